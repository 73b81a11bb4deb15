"""What did a fine-tune forget? The 3a table, forgetting and probes for models that you already have.

    python -m relearn.compare --base MODEL --tuned MODEL_OR_ADAPTER [--replayed MODEL_OR_ADAPTER] \\
        --old old.jsonl --new new.jsonl [--probes probes.yaml] --out DIR [--fail-above METRIC=X]

A model is a folder, a hub name (`owner/name`, `owner/name@revision`), or an adapter of the base; with
`--endpoint URL`, the name under which a server answers. `--old` are held-out rows of what the base could do,
`--new` of what it was taught. Exit status: 0, 1 for a mistake, 3 when a guard (`--fail-above`) fails.
docs/compare.md says more.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from relearn.compare import answering, rows, sources, summary
from relearn.decoding.items import Decoded, Prompt
from relearn.errors import InputError
from relearn.evaluation import probes as probing_file
from relearn.evaluation.probes import Probe
from relearn.files import atomic_write, read_jsonl, write_json, write_jsonl
from relearn.params.groups import Eval3a
from relearn.progress import say
from relearn.records import Prediction

FAILED = 3
SWAPS = 10_000  # of the paired tests


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; its exit status."""
    options = _options(arguments)
    try:
        return _compare(options)
    except InputError as error:
        print(f"compare: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("compare: stopped", file=sys.stderr)
        return 130


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m relearn.compare",
        description="What a fine-tune forgot, and what replay brought back: the table, intervals and probes for models you have.",
    )
    model = "a folder, a hub name (owner/name[@revision]), or an adapter"
    parser.add_argument(
        "--base", required=True, metavar="MODEL", help="the model before: a folder or hub name"
    )
    parser.add_argument("--tuned", required=True, metavar="MODEL", help=f"the model after: {model}")
    parser.add_argument("--replayed", metavar="MODEL", help=f"a model that also replayed old data: {model}")
    parser.add_argument("--old", type=Path, required=True, metavar="FILE", help="held-out rows of old skills")
    parser.add_argument(
        "--new", type=Path, required=True, metavar="FILE", help="held-out rows of the new one"
    )
    parser.add_argument(
        "--probes", type=Path, metavar="FILE", help="instructions with checks (docs/compare.md)"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the results go")
    parser.add_argument(
        "--fail-above",
        action="append",
        default=[],
        metavar="METRIC=X",
        help="exit 3 when METRIC's relative forgetting is surely above X (0.05 or 5%%); on --old, or new.METRIC=X",
    )
    parser.add_argument(
        "--rescore", action="store_true", help="score the answers in DIR again, decode nothing"
    )
    parser.add_argument(
        "--limit", type=int, metavar="N", help="at most N rows of each file, drawn under --seed"
    )
    parser.add_argument("--seed", type=int, default=1, help="of the draw and the resampling (default: 1)")
    parser.add_argument(
        "--max-new-tokens", type=int, default=256, metavar="N", help="longest answer (default: 256)"
    )

    here = parser.add_argument_group("decoding here")
    here.add_argument("--device", choices=("cpu", "cuda"), help="default: cuda where there is one")
    here.add_argument("--precision", choices=("fp32", "bf16"), help="default: bf16 on cuda, else fp32")
    here.add_argument("--quantize", choices=("none", "4bit"), default="none")
    here.add_argument("--batch-size", type=int, default=16, metavar="N", help="default: 16")
    here.add_argument(
        "--threads", type=int, metavar="N", help="CPU threads (default: all that are free to use)"
    )
    here.add_argument("--template", type=Path, metavar="FILE", help="Jinja chat template for all models")

    there = parser.add_argument_group("asking a server (vLLM with LoRA modules, say)")
    there.add_argument(
        "--endpoint", metavar="URL", help="its address up to /v1; models are then names it serves"
    )
    there.add_argument("--api-key-env", metavar="NAME", help="environment variable that holds its key")
    there.add_argument(
        "--concurrency", type=int, default=16, metavar="N", help="requests in flight (default: 16)"
    )
    there.add_argument(
        "--timeout", type=float, default=300.0, metavar="S", help="seconds for one answer (default: 300)"
    )
    there.add_argument(
        "--attempts", type=int, default=5, metavar="N", help="tries of one request (default: 5)"
    )

    score = parser.add_argument_group("scoring")
    score.add_argument("--encoder", default="minilm", help="BERTScore's: minilm, a folder or a hub name")
    score.add_argument(
        "--resamples", type=int, default=1000, metavar="N", help="bootstrap resamples (default: 1000)"
    )
    score.add_argument(
        "--execute",
        choices=("off", "strict", "best_effort"),
        default="off",
        help="run rows' tests for pass@1 (default: off)",
    )
    options = parser.parse_args(arguments)  # fmt: skip
    for name in ("limit", "max_new_tokens", "batch_size", "threads", "concurrency", "attempts"):
        value = getattr(options, name)
        if value is not None and value < 1:
            parser.error(f"--{name.replace('_', '-')} {value}: at least 1 is expected")
    if options.resamples < 100:
        parser.error(f"--resamples {options.resamples}: at least 100 are expected")
    if options.seed < 0:
        parser.error(f"--seed {options.seed}: 0 or more is expected")
    return options


def _compare(options: argparse.Namespace) -> int:
    # All that can be refused is looked at before a model is loaded.
    guards = [summary.Guard.read(text) for text in options.fail_above]
    _refuse_unmeasurable(guards, options)
    asked = [
        *rows.read(options.old, "old", options.limit, options.seed),
        *rows.read(options.new, "new", options.limit, options.seed),
    ]
    probes = probing_file.read(options.probes) if options.probes is not None else []
    given = {"base": options.base, "tuned": options.tuned}
    if options.replayed is not None:
        given["replayed"] = options.replayed
    notes = _overlap(asked)
    settings = {"models": given, "rows": _counts(asked), "probes": len(probes), "seed": options.seed}
    if not options.rescore:
        made = _answers(given, asked, probes, options, notes, settings)
        for role, answers in made:
            write_jsonl(_file(options.out, role), answering.predictions(asked, probes, answers))
        write_json(options.out / "settings.json", settings)
    predictions = {role: _read(options.out, role, asked, probes) for role in given}
    for note in notes:
        say(f"compare: {note}")
    return _score(options, predictions, asked, probes, guards)


def _refuse_unmeasurable(guards: Sequence[summary.Guard], options: argparse.Namespace) -> None:
    for guard in guards:
        if guard.metric == "bpb" and options.endpoint is not None:
            raise InputError(
                "--fail-above bpb: a server gives no likelihood of the references; guard another metric, "
                "or decode here"
            )
        if guard.metric == "pass_at_1" and options.execute == "off":
            raise InputError("--fail-above pass_at_1: needs --execute strict (or best_effort)")


def _overlap(asked: Sequence[rows.Row]) -> list[str]:
    old = {" ".join(row.instruction.split()) for row in asked if row.task == "old"}
    both = sum(" ".join(row.instruction.split()) in old for row in asked if row.task == "new")
    return [f"{both} prompts of --new stand in --old too; they count on both sides"] if both else []


def _counts(asked: Sequence[rows.Row]) -> dict[str, int]:
    return {task: sum(row.task == task for row in asked) for task in ("old", "new")}


def _answers(
    given: dict[str, str],
    asked: Sequence[rows.Row],
    probes: Sequence[Probe],
    options: argparse.Namespace,
    notes: list[str],
    settings: dict[str, Any],
) -> Iterator[tuple[str, list[Decoded]]]:
    """(role, answers); `settings` gets what a result should say of how they were made."""
    items = answering.items(asked, probes, options.max_new_tokens)
    settings["max_new_tokens"] = options.max_new_tokens
    if options.endpoint is not None:
        settings["backend"] = "endpoint"
        return _served(given, items, options)
    found = {role: sources.find(name, options.out / ".hub") for role, name in given.items()}
    notes += sources.check(found)
    how = _local(options)
    settings["models"] = {role: source.facts() for role, source in found.items()}
    settings |= {"backend": "local", "device": how.device, "precision": how.precision}
    settings |= {"quantize": how.quantize, "batch_size": how.batch_size, "template": how.template}
    return answering.decode_here(found, items, how)


def _local(options: argparse.Namespace) -> answering.Local:
    import torch

    from relearn import models

    threads = options.threads or len(os.sched_getaffinity(0))
    models.set_seed_and_threads(threads, options.seed)
    device: Literal["cpu", "cuda"] = options.device or ("cuda" if torch.cuda.is_available() else "cpu")
    precision: Literal["fp32", "bf16"] = options.precision or ("bf16" if device == "cuda" else "fp32")
    if device == "cpu" and options.quantize == "4bit":
        raise InputError("--quantize 4bit: needs --device cuda")
    if device == "cpu" and precision == "bf16":
        raise InputError("--precision bf16: needs --device cuda; on cpu use fp32")
    template = None
    if options.template is not None:
        try:
            template = options.template.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{options.template}: cannot be read ({error})") from None
    return answering.Local(device, precision, options.quantize, options.batch_size, template)


def _served(
    given: dict[str, str], items: Sequence[Prompt], options: argparse.Namespace
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
    say("compare: a server gives no likelihood of the references, so there are no bits per byte")
    with Journal(options.out / "journal.sqlite") as journal:
        for role, name in given.items():
            label, strategy, seed = f"compare: {role}", answering.GREEDY, options.seed
            yield role, endpoint.decode(address, name, items, journal, how, label, strategy, seed)[0]


def _file(out: Path, role: str) -> Path:
    return out / "predictions" / f"{role}.jsonl"


def _read(out: Path, role: str, asked: Sequence[rows.Row], probes: Sequence[Probe]) -> list[Prediction]:
    """The answers as they were written; InputError when they answer other prompts than those given now."""
    file = _file(out, role)
    found = list(read_jsonl(file, Prediction))
    wanted = [(row.id, row.instruction, row.reference) for row in asked]
    wanted += [(probe.id, probe.instruction, None) for probe in probes]
    if [(row.id, row.prompt, row.reference) for row in found] != wanted:
        raise InputError(f"{file}: answers other rows than those given now; run without --rescore")
    return found


def _score(
    options: argparse.Namespace,
    predictions: dict[str, list[Prediction]],
    asked: Sequence[rows.Row],
    probes: Sequence[Probe],
    guards: Sequence[summary.Guard],
) -> int:
    from relearn.evaluation import probing, table
    from relearn.evaluation.checks import Settings
    from relearn.evaluation.models import evaluate_models
    from relearn.sandbox.runner import Limits

    params = Eval3a(
        encoder=options.encoder,
        encoder_layers=None,
        rouge_stemmer=True,
        execute=options.execute,
        timeout_s=10.0,
        memory_mb=1024,
        resamples=options.resamples,
        swaps=SWAPS,
    )
    tests = {row.id: list(row.tests) for row in asked if row.tests}
    found = evaluate_models(predictions, tests, params, options.seed, ("old", "new"))
    out: Path = options.out
    write_json(out / "points.json", found.points)
    write_json(out / "intervals.json", found.intervals)
    write_json(out / "signatures.json", found.signatures)
    table.write(found, out / "table.md", out / "table.csv")
    text = (
        f"## Scores\n\n{table.markdown(found)}\n## Change\n\n{summary.forgetting(found.intervals['tasks'])}"
    )
    shown = text
    if probes:
        limits = Limits(params.timeout_s, params.memory_mb)
        settings = Settings(ngram=4, loop_share=0.5, execute=options.execute, limits=limits)
        probed = probing.probe_models(probes, predictions, settings)
        write_json(out / "probes.json", probed)
        text += f"\n## Probes\n\n{probing.markdown(probed)}"
        passed = ", ".join(f"{role} {count}" for role, count in probed["passed"].items())
        shown += f"\nProbes passed, of {probed['number']}: {passed}\n"
    findings = [guard.judge(found.intervals["tasks"]) for guard in guards]
    if findings:
        write_json(out / "guards.json", findings)
        text += "\n## Guards\n\n" + "".join(f"- {line}\n" for line in summary.guards_said(findings))
    with atomic_write(out / "compare.md") as file:
        file.write(text)
    print(shown)
    for line in summary.guards_said(findings):
        print(f"compare: {line}", file=sys.stderr)
    return FAILED if any(one["failed"] for one in findings) else 0
