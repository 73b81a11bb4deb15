"""From the answers to the table, the forgetting, the probes, the guards, and the files that say so."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from relearn.compare import sources, summary
from relearn.compare.judging import CompareJudge
from relearn.data.instruction_rows import HeldOutRow
from relearn.decoding.items import CurveRow
from relearn.errors import InputError
from relearn.evaluation.probes import Probe
from relearn.evaluation.roles import ModelRoles
from relearn.evaluation.suite import SkillItem
from relearn.files import atomic_write, read_jsonl, write_json, write_text
from relearn.params.evaluate import Scoring
from relearn.records import Prediction

SWAPS = 10_000  # of the paired tests


def name_roles(predictions: Collection[str]) -> ModelRoles:
    """What each of the models that have answered is."""
    others = tuple(role for role in predictions if role not in ("base", "tuned", "replayed"))
    return ModelRoles("base", "tuned", "replayed" if "replayed" in predictions else None, others)


def hold_code(asked: Sequence[HeldOutRow], task: str) -> bool:
    """Whether the responses of a task are mostly code, so that CodeBLEU says something of answers."""
    from relearn.evaluation.shares import examine

    return examine([row.reference for row in asked if row.task == task]).code


def name_answers(out: Path, role: str) -> Path:
    """The file of a model's answers."""
    return out / "predictions" / f"{role}.jsonl"


def read_answers(out: Path, role: str, asked: Sequence[HeldOutRow], probes: Sequence[Probe]) -> list[Prediction]:
    """The answers as they were written; InputError when they answer other prompts than those given now."""
    file = name_answers(out, role)
    found = list(read_jsonl(file, Prediction))
    wanted = [(row.id, row.instruction, row.reference) for row in asked]
    wanted += [(probe.id, probe.instruction, None) for probe in probes]
    if [(row.id, row.prompt, row.reference) for row in found] != wanted:
        raise InputError(f"{file}: answers other rows than those given now; run without --rescore")
    return found


def score(
    options: SimpleNamespace,
    predictions: dict[str, list[Prediction]],
    asked: Sequence[HeldOutRow],
    probes: Sequence[Probe],
    skills: Sequence[SkillItem],
    guards: Sequence[summary.Guard],
    most_lost: float | None,
    judge: CompareJudge | None,
) -> int:
    """Scores the answers, prints what was found and writes it to `options.out`; the exit status."""
    from relearn.evaluation import probing
    from relearn.evaluation.checking import Checker
    from relearn.evaluation.checks import CheckSettings
    from relearn.evaluation.curve import describe_curve, read_curve
    from relearn.evaluation.models import evaluate_models
    from relearn.evaluation.roles import ScoredTask
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
    roles = name_roles(predictions)
    listed = {task: metrics_for(hold_code(asked, task)) for task in (summary.OLD, summary.NEW)}
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
        traced = name_answers(out, "curve")
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
