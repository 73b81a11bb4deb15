"""lm-evaluation-harness: `samples_TASK_TIME.jsonl`, one row a document and filter, beside `results_TIME.json`.

Nothing in a samples file names the model or says which way a metric is better: the results file does. Its
`task_hashes` prove that a samples file belongs to it as a whole.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from relearn.errors import InputError
from relearn.logs import bounds
from relearn.logs.records import Run, Sample, Stated, Weighed, digest, kind, listing, look_up, mapping, number

TIME = r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d(?:\.\d+)?"
SAMPLES = re.compile(rf"samples_(?P<task>.+)_(?P<time>{TIME})\.jsonl")
RESULTS = re.compile(rf"results_(?P<time>{TIME})\.json")
# Corpus figures: a row holds [log-likelihood, weight]. For `perplexity` it is the log-likelihood alone.
BITS, EXPONENTIAL = "bits_per_byte", ("word_perplexity", "byte_perplexity", "perplexity")
LN2 = 0.6931471805599453
SETTINGS = ("chat_template_sha", "system_instruction_sha", "fewshot_as_multiturn")


def group_runs(paths: Sequence[Path]) -> list[list[Path]]:
    """The samples files of each run: those with one time in one folder."""
    found: dict[tuple[Path, str], list[Path]] = {}
    for path in paths:
        if match := SAMPLES.fullmatch(path.name):
            found.setdefault((path.parent, match["time"]), []).append(path)
    return list(found.values())


def read(paths: Sequence[Path], cluster: str | None) -> Run:
    """The run of samples files that lie beside one results file; without it, which way is better is a guess, and a note
    says so.
    """
    match = SAMPLES.fullmatch(paths[0].name)
    time = match["time"] if match else ""
    beside = paths[0].parent / f"results_{time}.json"
    results = bounds.read_document(beside) if beside.is_file() else {}
    tasks = {path: (found["task"] if (found := SAMPLES.fullmatch(path.name)) else path.stem) for path in paths}
    model = str(results.get("model_name") or paths[0].parent.name)
    run = Run(
        "lm-evaluation-harness",
        f"{paths[0].parent.name}, {time}" if time else paths[0].stem,
        paths[0].parent,
        iter(()),
        model,
    )
    if results:
        _describe(run, results, set(tasks.values()))
    else:
        run.notes.append(f"{paths[0].parent}: no results file beside the samples")
    run.samples = _samples(run, tasks, results, cluster)
    return run


def _describe(run: Run, results: Mapping[str, Any], tasks: set[str]) -> None:
    for task, metrics in mapping(results.get("higher_is_better")).items():
        for metric, higher in mapping(metrics).items():
            if isinstance(higher, bool):
                run.better[task, metric] = "higher" if higher else "lower"
    for task, stated in mapping(results.get("results")).items():
        for key, value in mapping(stated).items():
            metric, _, name = key.partition(",")
            if name and not metric.endswith("_stderr") and isinstance(value, int | float):
                error = stated.get(f"{metric}_stderr,{name}")
                run.stated[task, _name(metric, name)] = Stated(value, error if isinstance(error, int | float) else None)
    run.groups = {
        group: [task for task in listing(members) if isinstance(task, str)]
        for group, members in mapping(results.get("group_subtasks")).items()
    }
    config, shots, versions = (mapping(results.get(key)) for key in ("configs", "n-shot", "versions"))
    for task in tasks:
        # a task's own settings include the overrides
        overrides = None if task in config else mapping(results.get("config")).get("gen_kwargs")
        run.settings[task] = {
            "few-shot examples": shots.get(task),
            "task version": versions.get(task),
            "generation": mapping(config.get(task)).get("generation_kwargs"),
            "generation overrides": overrides,
            **{key.replace("_", " "): results.get(key) for key in SETTINGS},
        }
    told = set(mapping(results.get("n-samples"))) - tasks
    if told:
        run.notes.append(
            f"{run.source}: the results file has {len(told)} more tasks, whose samples are not here: {', '.join(sorted(told)[:5])}"
        )


def _name(metric: str, name: str) -> str:
    return metric if name in ("none", "") else f"{metric},{name}"


def _samples(run: Run, tasks: Mapping[Path, str], results: Mapping[str, Any], cluster: str | None) -> Iterator[Sample]:
    for path, task in tasks.items():
        proof, documents, cut = hashlib.sha256(), set(), list[str]()
        for where, row in bounds.read_rows(path, cut):
            for key in ("doc_hash", "prompt_hash", "target_hash"):
                proof.update(str(row.get(key)).encode("utf-8", "surrogatepass"))
            sample = _sample(run, task, row, where, cluster)
            documents.add(sample.id)
            yield sample
        run.unfinished = cut[0] if cut else run.unfinished
        wanted = mapping(mapping(results.get("n-samples")).get(task)).get("effective")
        if isinstance(wanted, int) and wanted != len(documents):
            run.notes.append(f"{path}: {len(documents)} documents, but its results file says {wanted}")
        stated = mapping(results.get("task_hashes")).get(task)
        if isinstance(stated, str) and stated != proof.hexdigest():
            run.notes.append(
                f"{path}: not the samples that its results file was made from (their hash differs): rows were added, removed or changed"
            )


def _sample(run: Run, task: str, row: Mapping[str, Any], where: str, cluster: str | None) -> Sample:
    if "doc_id" not in row:
        raise InputError(f"{where}: no doc_id; expected a row of lm-evaluation-harness's samples")
    name = str(row.get("filter", "none"))
    scores: dict[str, float | Weighed] = {}
    if "metrics" not in row:
        run.skipped[task, "metrics"] = (
            "the rows do not name theirs (lm-evaluation-harness does so from 0.4.7 on); evaluate again with a newer one"
        )
    for metric in listing(row.get("metrics")):
        value, full = row.get(str(metric)), _name(str(metric), name)
        found = _score(str(metric), value)
        if found is None:
            run.skipped.setdefault((task, full), f"a sample has {kind(value)} instead of a number")
            continue
        if isinstance(found, Weighed):
            run.better[task, full] = "lower"
            if metric in EXPONENTIAL:
                run.exponential.add((task, full))
            else:  # the corpus figure weighs texts by their bytes; the mean of texts does not
                scores[f"{full} (mean of texts)"] = found.value
                run.better[task, f"{full} (mean of texts)"] = "lower"
        elif (task, str(metric)) in run.better:
            run.better[task, full] = run.better[task, str(metric)]
        scores[full] = found
    doc, hashes = row.get("doc"), [row.get(key) for key in ("doc_hash", "target_hash")]
    note = f"{run.source}: rows without doc_hash, which pair only with others without"
    if doc and not any(hashes) and note not in run.notes:
        run.notes.append(note)
    return Sample(
        task,
        str(row["doc_id"]),
        scores,
        document=digest(hashes if any(hashes) else doc) if any(hashes) or doc else 0,
        prompt=_prompt(row),
        cluster=None if cluster is None else look_up(doc, cluster.removeprefix("doc.")),
        where=where,
    )


def _prompt(row: Mapping[str, Any]) -> int:
    """Of what was asked, and how it was to be answered. Versions differ in whether arguments are lists or objects."""
    requests = [_values(one) for one in _values(row.get("arguments") or [])]
    if row.get("prompt_hash"):  # of the prompt alone
        return digest([row["prompt_hash"], [part for one in requests for part in one if isinstance(part, dict)]])
    return digest(requests) if requests else 0


def _values(value: Any) -> list[Any]:
    return list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else [value]


def _score(metric: str, value: Any) -> float | Weighed | None:
    if metric in (*EXPONENTIAL, BITS):
        scale = LN2 if metric == BITS else 1.0
        if metric == "perplexity" and not isinstance(value, list):
            value = [value, 1]
        if not (isinstance(value, list) and len(value) == 2):
            return None
        total, weight = number(value[0]), number(value[1])
        if total is None or weight is None or not weight > 0:
            return None
        return Weighed(-total / weight / scale, weight)
    return None if isinstance(value, str) else number(value)
