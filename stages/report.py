"""The page people look at, the written analysis, and the page for blind ratings.

Run by `dvc repro`, or `python -m stages.report`. Reads what the other stages wrote; decodes and scores nothing.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from relearn.errors import InputError
from relearn.files import file_hash, read_jsonl, write_text
from relearn.params import Params
from relearn.params.base import ScratchBase
from relearn.params.generate import EmbeddedTeacher
from relearn.records import Judgement, NewRow, Prediction, Quarantined, Reply, SampledRow
from relearn.report import curve, judgements, rating, table
from relearn.report.analysis import analyse
from relearn.report.page import Material, render
from relearn.report.recommend import recommend
from relearn.report.words import TaskText, Words
from stages import corpus
from stages.curves import read_curves
from stages.paths import Paths
from stages.roles import list_tasks, name_models
from stages.run import main

EXAMPLES = 4  # examples of repaired replies, and of quarantined ones, each with another fault


def work(params: Params, paths: Paths) -> dict[str, Any]:
    """Writes report/index.html, report/analysis.md, report/table_3a.md and report/rate.html."""
    words = describe_tasks(params, paths)
    material = _material(params, paths, words)
    recommended = recommend(_read_compared(params, paths), params.eval_3a.most_lost, words)
    analysis = analyse(material.intervals, material.probes, words, recommended)
    write_text(paths.report / "analysis.md", analysis.markdown)
    scores = table.markdown(material.rows, material.intervals, words.roles.others, params.report.caption)
    if (found := material.intervals.get("curve")) is not None:
        scores += f"\n### {words.roles.tuned}, part of its change\n\n{curve.markdown(found, words)}"
    scores += judgements.markdown(material.intervals.get("judge"))
    write_text(paths.report / "table_3a.md", scores)
    write_text(paths.report / "index.html", render(material, analysis))
    predictions: dict[str, list[Prediction]] = {
        model: list(read_jsonl(paths.predicted(model), Prediction)) for model in words.roles.names
    }
    write_text(paths.report / "rate.html", _render_rating(words, predictions, _list_judged(paths), params.seed))
    return {}


def _render_rating(words: Words, predictions: dict[str, list[Prediction]], judged: Collection[str], seed: int) -> str:
    tasks = [task.name for task in words.tasks]
    pairs = rating.choose_pairs(predictions, words.roles.pairs, tasks, seed, judged)
    return rating.render(rating.mix_checks(rating.choose(predictions, tasks, seed), pairs, seed))


def _list_judged(paths: Paths) -> set[str]:
    """The prompts that a judge has looked at; none where there is none."""
    return {judgement.id for judgement in read_jsonl(paths.verdicts, Judgement)}


def _read_compared(params: Params, paths: Paths) -> Any:
    """What `stages.frontier` found of the profile's methods; None where it found nothing about rounds like this run's."""
    file = paths.compared(params.profile)
    found = read_document(file) if file.is_file() else None
    return found if found and found["settings"] == describe_rounds(params) else None


def describe_rounds(params: Params) -> dict[str, Any]:
    """What rounds of different methods have in common where they can be compared, for JSON."""
    whole = params.model_dump(mode="json")
    return {name: whole[name] for name in ("lr", "seed", "finetune")} | {"epochs": params.finetune_2b.epochs}


def describe_tasks(params: Params, paths: Paths) -> Words:
    """The tasks and models, and what people call them."""
    texts = {name: TaskText(said.label, said.about) for name, said in params.report.tasks.by_task.items()}
    return Words(list_tasks(params), name_models(params, paths), texts)


def _material(params: Params, paths: Paths, words: Words) -> Material:
    mended, as_sent = _choose_mended(paths)
    return Material(
        words=words,
        intervals=read_document(paths.metrics / "intervals.json"),
        rows=_read_table(paths),
        probes=read_document(paths.metrics / "probe_3b.json"),
        ngram=params.probe_3b.ngram,
        losses={
            model: read_curves(paths.losses(model), [task.name for task in words.tasks])
            for model in words.roles.trained
        },
        repair=read_document(paths.metrics / "repair.json"),
        generate=read_document(paths.metrics / "generate.json"),
        mended=mended,
        refused=_choose_refused(paths),
        as_sent=as_sent,
        samples=list(read_jsonl(paths.samples, SampledRow)),
        suites=read_document(paths.metrics / "skills.json"),
        setting=list(_describe_setting(params)),
        facts={
            "Parameters": list(_flatten(params.model_dump(mode="json"))),
            "Pinned versions": _read_pins(paths),
            "Metrics, and what computed them": [
                (name, json.dumps(signature, ensure_ascii=False))
                for name, signature in sorted(read_document(paths.metrics / "signatures.json").items())
            ],
            "Models": list(_describe_models(paths, words)),
            "Data (SHA-256)": [
                (str(file.relative_to(paths.root)), file_hash(file))
                for file in [
                    *(paths.source_rows, paths.held_out_sources, paths.train, paths.held_out),
                    *(paths.replies, paths.instructions, paths.held_out_instructions, paths.quarantine),
                    paths.samples,
                    *(paths.predicted(model) for model in words.roles.names),
                ]
            ],
        },
    )


def _describe_setting(params: Params) -> Iterator[str]:
    """What a reader who only gets the page must know before believing it."""
    if params.report.caption is not None:
        yield params.report.caption
    model = params.base.model
    rate = f"tuned by LoRA (rank {params.finetune.lora.rank}, learning rate {params.lr:g})"
    if isinstance(model, ScratchBase):
        yield (
            f"A small demonstration: base is a Llama of {model.layers} layers, {model.hidden} wide, trained from "
            f"scratch, and {rate}. Expect different effects on a large model."
        )
    else:
        yield f"base is {model.path}, {rate}."
    if isinstance(params.generate.teacher, EmbeddedTeacher):
        yield "The teacher is a program that comes with the project; it breaks its JSON on purpose, at set rates."


def read_document(file: Path) -> Any:
    """A JSON file that another stage wrote. Raises InputError when there is none."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        raise InputError(f"{file}: missing or not JSON; run dvc repro") from None


def _read_table(paths: Paths) -> list[dict[str, Any]]:
    """The rows of the 3a table; empty cells as None."""
    with open(paths.report / "table_3a.csv", encoding="utf-8", newline="") as file:
        return [
            {
                name: text if name in ("model", "task", "metric", "mark") else float(text) if text else None
                for name, text in row.items()
            }
            for row in csv.DictReader(file)
        ]


def _choose_mended(paths: Paths) -> tuple[list[tuple[str, str, str, str]], int]:
    """Of each of the first few flags a row's: flag, raw reply, kind of row, kept text; how many rows had no flag."""
    chosen: dict[str, NewRow] = {}
    as_sent = 0
    for row in corpus.read_all_new(paths):
        as_sent += not row.flags
        if len(row.flags) == 1 and len(chosen) < EXAMPLES:
            chosen.setdefault(row.flags[0], row)
    wanted = {row.source for row in chosen.values()}
    replies = {reply.id: reply for reply in read_jsonl(paths.replies, Reply) if reply.id in wanted}
    found: list[tuple[str, str, str, str]] = [
        (flag, replies[row.source].content or "", row.template, row.response) for flag, row in sorted(chosen.items())
    ]
    return found, as_sent


def _choose_refused(paths: Paths) -> list[Quarantined]:
    """A quarantined text of each of the first few reasons."""
    chosen: dict[str, Quarantined] = {}
    for row in read_jsonl(paths.quarantine, Quarantined):
        reason = row.reason.partition(" of ")[0]
        if len(chosen) < EXAMPLES:
            chosen.setdefault(reason, row)
    return list(chosen.values())


def _flatten(tree: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """(dotted name, value) of every leaf."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from _flatten(value, f"{name}.{key}" if name else str(key))
    else:
        yield name, json.dumps(tree, ensure_ascii=False)


def _read_pins(paths: Paths) -> list[tuple[str, str]]:
    """The versions that requirements.txt pins."""
    lines = (paths.root / "requirements.txt").read_text(encoding="utf-8").splitlines()
    pairs = [line.partition("#")[0].strip().partition("==") for line in lines]
    return [(name, version) for name, mark, version in pairs if mark]


def _describe_models(paths: Paths, words: Words) -> Iterator[tuple[str, str]]:
    """What base.json and the adapters' provenance say, and the hash of every file of weights."""
    for model in words.roles.names:
        folder = paths.adapter(model)
        for name in ("base.json", "provenance.json"):
            if (folder / name).is_file():
                yield from _flatten(json.loads((folder / name).read_text(encoding="utf-8")), model)
        for file in sorted(folder.rglob("*.safetensors")):
            yield f"{file.relative_to(paths.models)} (SHA-256)", file_hash(file)


if __name__ == "__main__":
    main("report", work)
