"""What `relearn compare` does: it reads what is asked, refuses what cannot be, asks the models, and has them scored."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

from relearn.compare import answering, results, sources, summary
from relearn.compare.judging import CompareJudge
from relearn.data.instruction_rows import HeldOutRow, read_held_out
from relearn.decoding.items import Decoded, Prompt
from relearn.decoding.share import Share
from relearn.errors import InputError
from relearn.evaluation import probes as probing_file
from relearn.evaluation import suite
from relearn.evaluation.probes import Probe
from relearn.evaluation.suite import SkillItem
from relearn.files import write_json, write_jsonl
from relearn.launched import end_together, is_rank_zero, is_worker, run_in_processes, use_torchrun
from relearn.params.predict import MOST_SCALE
from relearn.progress import say
from relearn.workers import count_cores

SWAPS = 10_000  # of the paired tests
SHIPPED_SUITE = "skills"


def compare(options: SimpleNamespace) -> int:
    """Asks the models, scores their answers, and writes what was found to `options.out`; the exit status.

    With several processes, those ask, and this one waits, then goes on with what the first of them wrote.

    Raises InputError for a mistake in what was given, before a model is loaded where it can be seen then.
    """
    # All that can be refused is looked at before a model is loaded.
    judge = _read_judge(options)
    guards = summary.read_floors(options.floor, [summary.Guard.read(text) for text in options.fail_above])
    along = read_along(options)
    most_lost = None if options.most_lost is None else summary.read_most_lost(options.most_lost)
    asked: list[HeldOutRow] = []
    for task, file in ((summary.OLD, options.old), (summary.NEW, options.new)):
        if file is not None:
            asked += read_held_out(file, task, options.limit, options.seed)
    _refuse_unmeasurable(guards, options, asked)
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
        found = None if options.endpoint is not None else _find_models(given, options, notes)
        processes = 1 if found is None else _count_processes(options)
        if processes > 1 and not is_worker():
            threads, here = _count_threads(options, processes), Path.cwd()
            run_in_processes(
                use_torchrun(processes), "relearn.compare", options.arguments, threads, here, f"--processes {processes}"
            )
        else:
            # all, or nothing is written
            made = dict(_answer(given, found, asked, probes, skills, options, settings, along))
            if is_rank_zero():
                _write_answers(made, asked, probes, options, settings, along)
        if is_worker():
            end_together()
            return 0
    roles = [*given, *map(answering.name_scaled, along.decode)]
    predictions = {role: results.read_answers(options.out, role, asked, probes) for role in roles}
    for note in notes:
        say(f"compare: {note}")
    if judge is not None and options.judge_estimate:
        print("\n".join(judge.estimate(judge.make_requests(predictions, results.name_roles(predictions).pairs))))
        return 0
    return results.score(options, predictions, asked, probes, skills, guards, most_lost, judge)


def _write_answers(
    made: dict[str, list[Decoded]],
    asked: Sequence[HeldOutRow],
    probes: Sequence[Probe],
    options: SimpleNamespace,
    settings: dict[str, Any],
    along: answering.Along,
) -> None:
    for role, answers in made.items():
        write_jsonl(results.name_answers(options.out, role), answering.record_predictions(asked, probes, answers))
    if options.scales is not None:
        ends = {float(role == "tuned"): [one.nll for one in made[role]] for role in ("base", "tuned")}
        write_jsonl(results.name_answers(options.out, "curve"), answering.record_curve(asked, along.nlls | ends))
    else:
        results.name_answers(options.out, "curve").unlink(missing_ok=True)
    write_json(options.out / "settings.json", settings)


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


def _refuse_unmeasurable(
    guards: Sequence[summary.Guard], options: SimpleNamespace, asked: Sequence[HeldOutRow]
) -> None:
    for guard in guards:
        if guard.metric == "bpb" and options.endpoint is not None:
            raise InputError(
                "--fail-above bpb: a server gives no likelihood of the references; guard another metric, or decode here"
            )
        if guard.metric == "pass_at_1" and options.execute in (None, "off"):
            raise InputError("--fail-above pass_at_1: needs --execute strict (or best_effort)")
        if guard.metric == "codebleu" and not results.hold_code(asked, guard.task):
            raise InputError(
                f"--fail-above codebleu: fewer than half of the responses of --{guard.task} hold code, so it is not "
                "measured; guard another metric, or give the rows with code a file of their own"
            )


def _note_overlap(asked: Sequence[HeldOutRow]) -> list[str]:
    old = {" ".join(row.instruction.split()) for row in asked if row.task == summary.OLD}
    both = sum(" ".join(row.instruction.split()) in old for row in asked if row.task == summary.NEW)
    return [f"{both} prompts of --new are also in --old; they count on both sides"] if both else []


def _count_rows(asked: Sequence[HeldOutRow]) -> dict[str, int]:
    counts = {task: sum(row.task == task for row in asked) for task in (summary.OLD, summary.NEW, summary.SUITE)}
    return {task: count for task, count in counts.items() if count or task != summary.SUITE}


def _find_models(given: dict[str, str], options: SimpleNamespace, notes: list[str]) -> dict[str, sources.ModelSource]:
    """The models by role; `notes` gets what may not belong together."""
    found = {role: sources.find(name, options.out / ".hub") for role, name in given.items()}
    notes += sources.check(found)
    return found


def _answer(
    given: dict[str, str],
    found: dict[str, sources.ModelSource] | None,
    asked: Sequence[HeldOutRow],
    probes: Sequence[Probe],
    skills: Sequence[SkillItem],
    options: SimpleNamespace,
    settings: dict[str, Any],
    along: answering.Along,
) -> Iterator[tuple[str, list[Decoded]]]:
    """(role, answers), by a server where no models were found here; `settings` gets what a result should say of how they
    were made."""
    caps = {item.id: item.max_new_tokens for item in skills}
    items = answering.list_items(asked, probes, options.max_new_tokens, caps)
    settings["max_new_tokens"] = options.max_new_tokens
    if found is None:
        settings["backend"] = "endpoint"
        return _ask_server(given, items, options, bool(skills))
    how = _read_local(options)
    settings["models"] = {role: source.facts() for role, source in found.items()}
    settings |= {"backend": "local", "device": how.device, "precision": how.precision}
    settings |= {"quantize": how.quantize, "batch_size": how.batch_size, "template": how.template}
    settings |= {"template_arguments": how.arguments, "date": how.date}
    settings |= {"scales": [*along.score], "decode_scales": [*along.decode]} if along.wanted else {}
    return answering.decode_here(found, items, how, along, bool(skills))


def _choose_device(options: SimpleNamespace) -> Literal["cpu", "cuda"]:
    import torch

    return options.device or ("cuda" if torch.cuda.is_available() else "cpu")


def _count_processes(options: SimpleNamespace) -> int:
    """How many processes share the prompts: one a card, unless --processes says so."""
    import torch

    if options.processes is not None:
        return int(options.processes)
    return max(1, torch.cuda.device_count()) if _choose_device(options) == "cuda" else 1


def _count_threads(options: SimpleNamespace, processes: int) -> int:
    """CPU threads of each process."""
    return options.threads or max(1, count_cores() // processes)


def _read_local(options: SimpleNamespace) -> answering.LocalDecoding:
    from relearn import models

    share = Share.of_launched()
    models.set_seed_and_threads(_count_threads(options, share.processes), options.seed)
    device = _choose_device(options)
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
        device, precision, options.quantize, options.batch_size, template, arguments, str(options.date.date()), share
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
