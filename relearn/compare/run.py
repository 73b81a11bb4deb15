"""From models and rows to the table, the forgetting, the probes and the guards: what `relearn compare` does."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

from relearn.compare import answering, sources, summary
from relearn.compare.judging import CompareJudge
from relearn.data.instruction_rows import HeldOutRow, read_held_out
from relearn.decoding.items import CurveRow, Decoded, Prompt
from relearn.errors import InputError
from relearn.evaluation import probes as probing_file
from relearn.evaluation import suite
from relearn.evaluation.probes import Probe
from relearn.evaluation.roles import ModelRoles
from relearn.evaluation.suite import SkillItem
from relearn.files import atomic_write, read_jsonl, write_json, write_jsonl, write_text
from relearn.params.evaluate import Scoring
from relearn.params.predict import MOST_SCALE
from relearn.progress import say
from relearn.records import Prediction
from relearn.workers import count_cores

SWAPS = 10_000  # of the paired tests
SHIPPED_SUITE = "skills"


def compare(options: SimpleNamespace) -> int:
    """Asks the models, scores their answers, and writes what was found to `options.out`; the exit status.

    Raises InputError for a mistake in what was given, before a model is loaded where it can be seen then.
    """
    # All that can be refused is looked at before a model is loaded.
    judge = _read_judge(options)
    guards = summary.read_floors(options.floor, [summary.Guard.read(text) for text in options.fail_above])
    _refuse_unmeasurable(guards, options)
    along = read_along(options)
    most_lost = None if options.most_lost is None else summary.read_most_lost(options.most_lost)
    asked: list[HeldOutRow] = []
    for task, file in ((summary.OLD, options.old), (summary.NEW, options.new)):
        if file is not None:
            asked += read_held_out(file, task, options.limit, options.seed)
    of_suite, skills = _read_suite(options)
    asked += of_suite
    probes = probing_file.read(options.probes) if options.probes is not None else []
    given = {"base": options.base, "tuned": options.tuned}
    if options.replayed is not None:
        given["replayed"] = options.replayed
    notes = _note_overlap(asked)
    settings = {"models": given, "rows": _count_rows(asked), "probes": len(probes), "seed": options.seed}
    settings |= {"suite": options.suite, "limit": options.limit} if skills else {}
    if not options.rescore:
        made = dict(
            _answer(given, asked, probes, skills, options, notes, settings, along)
        )  # all, or nothing is written
        for role, answers in made.items():
            write_jsonl(_file(options.out, role), answering.record_predictions(asked, probes, answers))
        if options.scales is not None:
            ends = {float(role == "tuned"): [one.nll for one in made[role]] for role in ("base", "tuned")}
            write_jsonl(_file(options.out, "curve"), answering.record_curve(asked, along.nlls | ends))
        else:
            _file(options.out, "curve").unlink(missing_ok=True)
        write_json(options.out / "settings.json", settings)
    roles = [*given, *map(answering.name_scaled, along.decode)]
    predictions = {role: _read_answers(options.out, role, asked, probes) for role in roles}
    for note in notes:
        say(f"compare: {note}")
    if judge is not None and options.judge_estimate:
        print("\n".join(judge.estimate(judge.make_requests(predictions, _name_roles(predictions).pairs))))
        return 0
    return _score(options, predictions, asked, probes, skills, guards, most_lost, judge)


def read_along(options: SimpleNamespace) -> answering.Along:
    """The factors that the options ask for, without those of base and tuned, which are there anyway."""
    decode = _read_factors("--decode-scales", options.decode_scales)
    score = _read_factors("--scales", options.scales)
    if options.most_lost is not None and options.scales is None:
        raise InputError("--most-lost: needs --scales")
    if options.endpoint is not None and (decode or options.scales is not None):
        raise InputError("--scales: a server does not scale an adapter; decode here")
    if options.scales is not None and None in (options.old, options.new):
        raise InputError("--scales: needs --old and --new, whose references it follows")
    return answering.Along(decode, [factor for factor in score if factor not in decode])


def _read_factors(option: str, text: str | None) -> list[float]:
    factors: set[float] = set()
    for part in text.split(",") if text else ():
        try:
            factor = float(part)
        except ValueError:
            factor = -1.0
        if not 0 <= factor <= MOST_SCALE:
            raise InputError(
                f"{option} {text}: expected numbers from 0 to {MOST_SCALE:g} separated by commas, such as 0.25,0.5"
            )
        factors.add(factor)
    return sorted(factors - {0.0, 1.0})


def _read_suite(options: SimpleNamespace) -> tuple[list[HeldOutRow], list[SkillItem]]:
    """The items of the suite that --suite names, if it does: the package's own, or that of a folder."""
    if options.suite is None:
        return [], []
    folder = suite.SHIPPED if options.suite == SHIPPED_SUITE else Path(options.suite)
    rows, items = suite.make_rows(suite.read_suite(folder), summary.SUITE, options.limit, options.seed)
    return [HeldOutRow(row.id, row.task, row.group, tuple(row.prompt), None, ()) for row in rows], items


def _read_judge(options: SimpleNamespace) -> CompareJudge | None:
    """The judge, where one is named; InputError for its options without it."""
    if options.judge is not None:
        return CompareJudge(options)
    for name in ("model", "prompt", "api_key_env", "price", "budget", "estimate"):
        if getattr(options, f"judge_{name}"):
            raise InputError(f"--judge-{name.replace('_', '-')}: needs --judge, the judge's address")
    return None


def _name_roles(predictions: Collection[str]) -> ModelRoles:
    others = tuple(role for role in predictions if role not in ("base", "tuned", "replayed"))
    return ModelRoles("base", "tuned", "replayed" if "replayed" in predictions else None, others)


def _refuse_unmeasurable(guards: Sequence[summary.Guard], options: SimpleNamespace) -> None:
    for guard in guards:
        if guard.metric == "bpb" and options.endpoint is not None:
            raise InputError(
                "--fail-above bpb: a server gives no likelihood of the references; guard another metric, or decode here"
            )
        if guard.metric == "pass_at_1" and options.execute in (None, "off"):
            raise InputError("--fail-above pass_at_1: needs --execute strict (or best_effort)")


def _note_overlap(asked: Sequence[HeldOutRow]) -> list[str]:
    old = {" ".join(row.instruction.split()) for row in asked if row.task == summary.OLD}
    both = sum(" ".join(row.instruction.split()) in old for row in asked if row.task == summary.NEW)
    return [f"{both} prompts of --new are also in --old; they count on both sides"] if both else []


def _count_rows(asked: Sequence[HeldOutRow]) -> dict[str, int]:
    counts = {task: sum(row.task == task for row in asked) for task in (summary.OLD, summary.NEW, summary.SUITE)}
    return {task: count for task, count in counts.items() if count or task != summary.SUITE}


def _answer(
    given: dict[str, str],
    asked: Sequence[HeldOutRow],
    probes: Sequence[Probe],
    skills: Sequence[SkillItem],
    options: SimpleNamespace,
    notes: list[str],
    settings: dict[str, Any],
    along: answering.Along,
) -> Iterator[tuple[str, list[Decoded]]]:
    """(role, answers); `settings` gets what a result should say of how they were made."""
    caps = {item.id: item.max_new_tokens for item in skills}
    items = answering.list_items(asked, probes, options.max_new_tokens, caps)
    settings["max_new_tokens"] = options.max_new_tokens
    if options.endpoint is not None:
        settings["backend"] = "endpoint"
        return _ask_server(given, items, options, bool(skills))
    found = {role: sources.find(name, options.out / ".hub") for role, name in given.items()}
    notes += sources.check(found)
    how = _read_local(options)
    settings["models"] = {role: source.facts() for role, source in found.items()}
    settings |= {"backend": "local", "device": how.device, "precision": how.precision}
    settings |= {"quantize": how.quantize, "batch_size": how.batch_size, "template": how.template}
    settings |= {"template_arguments": how.arguments, "date": how.date}
    settings |= {"scales": [*along.score], "decode_scales": [*along.decode]} if along.wanted else {}
    return answering.decode_here(found, items, how, along, bool(skills))


def _read_local(options: SimpleNamespace) -> answering.LocalDecoding:
    import torch

    from relearn import models

    threads = options.threads or count_cores()
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
        raise InputError("--template-arguments: expected a JSON object, such as '{\"enable_thinking\": false}'")
    return value


def _ask_server(
    given: dict[str, str], items: Sequence[Prompt], options: SimpleNamespace, say_time: bool
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

        def ask(role: str, some: Sequence[Prompt]) -> list[Decoded]:
            label, strategy, seed = f"compare: {role}", answering.GREEDY, options.seed
            return endpoint.decode(address, given[role], some, journal, how, label, strategy, seed, arguments)[0]

        if say_time:
            answering.say_duration(items, len(given), options.concurrency, lambda few: ask("base", few))
        for role in given:
            yield role, ask(role, items)


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
    skills: Sequence[SkillItem],
    guards: Sequence[summary.Guard],
    most_lost: float | None,
    judge: CompareJudge | None,
) -> int:
    from relearn.evaluation import probing
    from relearn.evaluation.checking import Checker
    from relearn.evaluation.checks import CheckSettings
    from relearn.evaluation.curve import describe_curve, read_curve
    from relearn.evaluation.models import evaluate_models
    from relearn.evaluation.roles import ScoredTask
    from relearn.evaluation.shares import examine
    from relearn.evaluation.skill_table import describe, show_answers
    from relearn.evaluation.skills import as_guarded, measure_skills
    from relearn.evaluation.table import as_csv
    from relearn.evaluation.tasks import metrics_for
    from relearn.report import curve, judgements, table
    from relearn.report.page import render_curve
    from relearn.report.words import Words
    from relearn.sandbox.runner import ProgramLimits

    params = Scoring(
        encoder=options.encoder,
        encoder_layers=None,
        cut_share=options.cut_share,
        rouge_stemmer=True,
        execute=options.execute or "off",
        timeout_s=10.0,
        memory_mb=1024,
        resamples=options.resamples,
        swaps=SWAPS,
    )
    tests = {row.id: list(row.tests) for row in asked if row.tests}
    roles = _name_roles(predictions)
    listed = {
        task: metrics_for(examine([row.reference for row in asked if row.task == task]).code)
        for task in (summary.OLD, summary.NEW)
    }
    tasks = [
        ScoredTask(summary.OLD, "replayed" if roles.replayed else "watched", listed[summary.OLD]),
        ScoredTask(summary.NEW, "new", listed[summary.NEW]),
    ]
    tasks = [task for task in tasks if any(row.task == task.name for row in asked)]
    out: Path = options.out
    measured: dict[str, Any] = {}
    parts: list[str] = []
    if tasks:
        found = evaluate_models(predictions, tests, params, options.seed, tasks, roles)
        measured = found.intervals["tasks"]
        traced = _file(out, "curve")
        if options.scales is not None:
            rows = read_curve(read_jsonl(traced, CurveRow), str(traced))
            found.intervals["curve"] = describe_curve(rows, tasks, params.resamples, options.seed, most_lost)
        write_json(out / "points.json", found.points)
        write_json(out / "intervals.json", found.intervals)
        write_json(out / "signatures.json", found.signatures)
        scores = table.markdown(found.rows, found.intervals)
        write_text(out / "table.md", scores)
        write_text(out / "table.csv", as_csv(found.rows))
        parts.append(f"## Scores\n\n{scores}\n## Change\n\n{summary.describe_forgetting(measured, tasks)}")
        if (along := found.intervals.get("curve")) is not None:
            words, command = Words(tasks, roles), _name_command(options)
            parts.append(f"## A part of the change\n\n{curve.markdown(along, words, command)}")
            write_text(out / "curve.html", render_curve(along, words, command))
    limits = ProgramLimits(params.timeout_s, params.memory_mb)
    if skills:
        checker = Checker(skills, options.execute or "strict", limits)
        of_suite = measure_skills(predictions, skills, checker, roles, params.resamples, SWAPS, options.seed)
        write_json(out / "skills.json", of_suite)
        measured = measured | {summary.SUITE: as_guarded(of_suite)}
        parts.append(f"## Skills\n\n{describe(of_suite)}")
        write_text(out / "skills.md", f"{describe(of_suite)}\n{show_answers(of_suite)}")
    text = shown = "\n".join(parts)
    if probes:
        settings = CheckSettings(ngram=4, loop_share=0.5, execute=params.execute, limits=limits)
        probed = probing.probe_models(probes, predictions, settings)
        write_json(out / "probes.json", probed)
        text += f"\n## Probes\n\n{probing.markdown(probed)}"
        passed = ", ".join(f"{role} {count}" for role, count in probed["passed"].items())
        shown += f"\nProbes passed, of {probed['number']}: {passed}\n"
    if judge is not None:
        judged = judge.judge(judge.make_requests(predictions, roles.pairs), roles.pairs)
        said = judgements.markdown(judged, level=2)
        text, shown = text + said, shown + said
    findings = [guard.judge(measured, params.cut_share) for guard in guards]
    if findings:
        write_json(out / "guards.json", findings)
        text += "\n## Guards\n\n" + "".join(f"- {line}\n" for line in summary.describe_guards(findings))
    with atomic_write(out / "compare.md") as file:
        file.write(text)
    print(shown)
    for line in summary.describe_guards(findings):
        print(f"compare: {line}", file=sys.stderr)
    return summary.read_status(findings)


def _name_command(options: SimpleNamespace) -> str:
    """What writes a model of the curve, with `{factor}` in it."""
    whole = not (Path(options.tuned) / sources.ADAPTER_FILE).is_file()
    tuned, base = (shlex.quote(name).replace("{", "{{").replace("}", "}}") for name in (options.tuned, options.base))
    return f"relearn scale {tuned} {{factor}} OUT" + (f" --base {base}" if whole else "")
