"""From models and rows to the table, the forgetting, the probes and the guards: what `relearn compare` does."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

from relearn.compare import answering, sources, summary
from relearn.compare.judging import CompareJudge
from relearn.data.instruction_rows import HeldOutRow, read_held_out
from relearn.decoding.items import Decoded, Prompt
from relearn.errors import InputError
from relearn.evaluation import probes as probing_file
from relearn.evaluation.probes import Probe
from relearn.evaluation.roles import ModelRoles
from relearn.files import atomic_write, read_jsonl, write_json, write_jsonl, write_text
from relearn.params.evaluate import Scoring
from relearn.progress import say
from relearn.records import Prediction

SWAPS = 10_000  # of the paired tests


def compare(options: SimpleNamespace) -> int:
    """Asks the models, scores their answers, and writes what was found to `options.out`; the exit status.

    Raises InputError for a mistake in what was given, before a model is loaded where it can be seen then.
    """
    # All that can be refused is looked at before a model is loaded.
    judge = _read_judge(options)
    guards = summary.read_floors(options.floor, [summary.Guard.read(text) for text in options.fail_above])
    _refuse_unmeasurable(guards, options)
    asked = [
        *read_held_out(options.old, summary.OLD, options.limit, options.seed),
        *read_held_out(options.new, summary.NEW, options.limit, options.seed),
    ]
    probes = probing_file.read(options.probes) if options.probes is not None else []
    given = {"base": options.base, "tuned": options.tuned}
    if options.replayed is not None:
        given["replayed"] = options.replayed
    notes = _note_overlap(asked)
    settings = {"models": given, "rows": _count_rows(asked), "probes": len(probes), "seed": options.seed}
    if not options.rescore:
        made = list(_answer(given, asked, probes, options, notes, settings))  # all, or nothing is written
        for role, answers in made:
            write_jsonl(_file(options.out, role), answering.record_predictions(asked, probes, answers))
        write_json(options.out / "settings.json", settings)
    predictions = {role: _read_answers(options.out, role, asked, probes) for role in given}
    for note in notes:
        say(f"compare: {note}")
    if judge is not None and options.judge_estimate:
        print("\n".join(judge.estimate(judge.make_requests(predictions, _name_roles(predictions).pairs))))
        return 0
    return _score(options, predictions, asked, probes, guards, judge)


def _read_judge(options: SimpleNamespace) -> CompareJudge | None:
    """The judge, where one is named; InputError for its options without it."""
    if options.judge is not None:
        return CompareJudge(options)
    for name in ("model", "prompt", "api_key_env", "price", "budget", "estimate"):
        if getattr(options, f"judge_{name}"):
            raise InputError(f"--judge-{name.replace('_', '-')}: needs --judge, the judge's address")
    return None


def _name_roles(predictions: Collection[str]) -> ModelRoles:
    return ModelRoles("base", "tuned", "replayed" if "replayed" in predictions else None)


def _refuse_unmeasurable(guards: Sequence[summary.Guard], options: SimpleNamespace) -> None:
    for guard in guards:
        if guard.metric == "bpb" and options.endpoint is not None:
            raise InputError(
                "--fail-above bpb: a server gives no likelihood of the references; guard another metric, or decode here"
            )
        if guard.metric == "pass_at_1" and options.execute == "off":
            raise InputError("--fail-above pass_at_1: needs --execute strict (or best_effort)")


def _note_overlap(asked: Sequence[HeldOutRow]) -> list[str]:
    old = {" ".join(row.instruction.split()) for row in asked if row.task == summary.OLD}
    both = sum(" ".join(row.instruction.split()) in old for row in asked if row.task == summary.NEW)
    return [f"{both} prompts of --new stand in --old too; they count on both sides"] if both else []


def _count_rows(asked: Sequence[HeldOutRow]) -> dict[str, int]:
    return {task: sum(row.task == task for row in asked) for task in (summary.OLD, summary.NEW)}


def _answer(
    given: dict[str, str],
    asked: Sequence[HeldOutRow],
    probes: Sequence[Probe],
    options: SimpleNamespace,
    notes: list[str],
    settings: dict[str, Any],
) -> Iterator[tuple[str, list[Decoded]]]:
    """(role, answers); `settings` gets what a result should say of how they were made."""
    items = answering.list_items(asked, probes, options.max_new_tokens)
    settings["max_new_tokens"] = options.max_new_tokens
    if options.endpoint is not None:
        settings["backend"] = "endpoint"
        return _ask_server(given, items, options)
    found = {role: sources.find(name, options.out / ".hub") for role, name in given.items()}
    notes += sources.check(found)
    how = _read_local(options)
    settings["models"] = {role: source.facts() for role, source in found.items()}
    settings |= {"backend": "local", "device": how.device, "precision": how.precision}
    settings |= {"quantize": how.quantize, "batch_size": how.batch_size, "template": how.template}
    settings |= {"template_arguments": how.arguments, "date": how.date}
    return answering.decode_here(found, items, how)


def _read_local(options: SimpleNamespace) -> answering.LocalDecoding:
    import torch

    from relearn import models

    threads = options.threads or len(os.sched_getaffinity(0))
    models.set_seed_and_threads(threads, options.seed)
    device: Literal["cpu", "cuda"] = options.device or ("cuda" if torch.cuda.is_available() else "cpu")
    precision: Literal["fp32", "bf16"] = options.precision or ("bf16" if device == "cuda" else "fp32")
    if device == "cpu" and options.quantize == "4bit":
        raise InputError("--quantize 4bit: needs --device cuda")
    template = None
    if options.template is not None:
        try:
            template = options.template.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{options.template}: cannot be read ({error})") from None
    arguments = _read_arguments(options.template_arguments)
    return answering.LocalDecoding(
        device, precision, options.quantize, options.batch_size, template, arguments, str(options.date.date())
    )


def _read_arguments(given: str | None) -> dict[str, Any]:
    if given is None:
        return {}
    try:
        value = json.loads(given)
    except ValueError as error:
        raise InputError(
            f"--template-arguments: not JSON ({error}); write them as '{{\"enable_thinking\": false}}'"
        ) from None
    if not isinstance(value, dict):
        raise InputError("--template-arguments: a JSON object is expected, such as '{\"enable_thinking\": false}'")
    return value


def _ask_server(
    given: dict[str, str], items: Sequence[Prompt], options: SimpleNamespace
) -> Iterator[tuple[str, list[Decoded]]]:
    from relearn.decoding import endpoint
    from relearn.endpoint.journal import Journal
    from relearn.endpoint.request import Address

    key = "none"
    if options.api_key_env is not None:
        key = os.environ.get(options.api_key_env, "").strip()
        if not key:
            raise InputError(f"--api-key-env: the environment variable {options.api_key_env} is not set")
    address = Address.of(options.endpoint, key)
    how = endpoint.make_settings(options.concurrency, options.timeout, options.attempts)
    arguments = _read_arguments(options.template_arguments)
    say("compare: a server gives no likelihood of the references, so there are no bits per byte")
    with Journal(options.out / "journal.sqlite") as journal:
        for role, name in given.items():
            label, strategy, seed = f"compare: {role}", answering.GREEDY, options.seed
            yield role, endpoint.decode(address, name, items, journal, how, label, strategy, seed, arguments)[0]


def _file(out: Path, role: str) -> Path:
    return out / "predictions" / f"{role}.jsonl"


def _read_answers(out: Path, role: str, asked: Sequence[HeldOutRow], probes: Sequence[Probe]) -> list[Prediction]:
    """The answers as they were written; InputError when they answer other prompts than those given now."""
    file = _file(out, role)
    found = list(read_jsonl(file, Prediction))
    wanted = [(row.id, row.instruction, row.reference) for row in asked]
    wanted += [(probe.id, probe.instruction, None) for probe in probes]
    if [(row.id, row.prompt, row.reference) for row in found] != wanted:
        raise InputError(f"{file}: answers other rows than those given now; run without --rescore")
    return found


def _score(
    options: SimpleNamespace,
    predictions: dict[str, list[Prediction]],
    asked: Sequence[HeldOutRow],
    probes: Sequence[Probe],
    guards: Sequence[summary.Guard],
    judge: CompareJudge | None,
) -> int:
    from relearn.evaluation import probing
    from relearn.evaluation.checks import CheckSettings
    from relearn.evaluation.models import evaluate_models
    from relearn.evaluation.roles import ScoredTask
    from relearn.evaluation.table import as_csv
    from relearn.evaluation.tasks import metrics_for
    from relearn.report import judgements, table
    from relearn.sandbox.runner import ProgramLimits

    params = Scoring(
        encoder=options.encoder,
        encoder_layers=None,
        cut_share=options.cut_share,
        rouge_stemmer=True,
        execute=options.execute,
        timeout_s=10.0,
        memory_mb=1024,
        resamples=options.resamples,
        swaps=SWAPS,
    )
    tests = {row.id: list(row.tests) for row in asked if row.tests}
    roles = _name_roles(predictions)
    listed = {
        task: metrics_for([row.reference for row in asked if row.task == task]) for task in (summary.OLD, summary.NEW)
    }
    tasks = [
        ScoredTask(summary.OLD, "replayed" if roles.replayed else "watched", listed[summary.OLD]),
        ScoredTask(summary.NEW, "new", listed[summary.NEW]),
    ]
    found = evaluate_models(predictions, tests, params, options.seed, tasks, roles)
    out: Path = options.out
    write_json(out / "points.json", found.points)
    write_json(out / "intervals.json", found.intervals)
    write_json(out / "signatures.json", found.signatures)
    scores = table.markdown(found.rows, found.intervals)
    write_text(out / "table.md", scores)
    write_text(out / "table.csv", as_csv(found.rows))
    text = f"## Scores\n\n{scores}\n## Change\n\n{summary.describe_forgetting(found.intervals['tasks'], tasks)}"
    shown = text
    if probes:
        limits = ProgramLimits(params.timeout_s, params.memory_mb)
        settings = CheckSettings(ngram=4, loop_share=0.5, execute=options.execute, limits=limits)
        probed = probing.probe_models(probes, predictions, settings)
        write_json(out / "probes.json", probed)
        text += f"\n## Probes\n\n{probing.markdown(probed)}"
        passed = ", ".join(f"{role} {count}" for role, count in probed["passed"].items())
        shown += f"\nProbes passed, of {probed['number']}: {passed}\n"
    if judge is not None:
        measured = judge.judge(judge.make_requests(predictions, roles.pairs), roles.pairs)
        said = judgements.markdown(measured, level=2)
        text, shown = text + said, shown + said
    findings = [guard.judge(found.intervals["tasks"], params.cut_share) for guard in guards]
    if findings:
        write_json(out / "guards.json", findings)
        text += "\n## Guards\n\n" + "".join(f"- {line}\n" for line in summary.describe_guards(findings))
    with atomic_write(out / "compare.md") as file:
        file.write(text)
    print(shown)
    for line in summary.describe_guards(findings):
        print(f"compare: {line}", file=sys.stderr)
    return summary.read_status(findings)
