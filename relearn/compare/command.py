"""What did a fine-tune forget? The 3a table, forgetting and probes for models that you already have.

    relearn compare --base MODEL --tuned MODEL_OR_ADAPTER [--replayed MODEL_OR_ADAPTER] \\
        --old old.jsonl --new new.jsonl [--probes probes.yaml] --out DIR [--fail-above METRIC=X]
    relearn compare --base MODEL --tuned MODEL_OR_ADAPTER --suite skills [--limit N] --out DIR
    relearn compare --logs BASE TUNED [--replayed LOGS] [--out DIR] [--require-within METRIC=X]

A model is a folder, a hub name (`owner/name`, `owner/name@revision`), or an adapter of the base; with
`--endpoint URL`, the name under which a server answers. `--old` are held-out rows of what the base could do,
`--new` of what it was taught; a `--suite` of skills brings its own questions. Exit status: 0; 1 for a mistake, or a
guard (`--fail-above`) that cannot be judged; 3 when a guard fails. `--logs` runs no model: it compares evaluation logs
that you already have. See docs/compare.md.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any

import click
from click.core import ParameterSource

from relearn.chat import DATE
from relearn.commands import FILE, SETTINGS, run_command
from relearn.errors import InputError
from relearn.escaping import shown
from relearn.launched import end_with_launcher, is_worker


def option(name: str, help: str, least: int | None = None, choices: str = "", **more: Any) -> click.Option:
    """An option; `least` is the smallest whole number it takes, `choices` the words."""

    def check(_: click.Context, __: click.Parameter, value: int | None) -> int | None:
        if value is not None and least is not None and value < least:
            wanted = "0 or more" if least == 0 else f"at least {least}"
            raise click.UsageError(f"{name} {value}: expected {wanted}")
        return value

    if least is not None:
        more |= {"type": int, "callback": check, "metavar": "N"}
    if choices:
        more["type"] = click.Choice(choices.split())
    return click.Option([name], help=help, **more)


USUAL = ",".join(f"{number / 8:g}" for number in range(13))  # 0 to 1.5
A_MODEL = "a folder, a hub name (owner/name[@revision]), or an adapter"
GUARD = (
    "Exit 3 when the relative forgetting of METRIC on --old is significantly above X (0.05 or 5%), 1 when it cannot be "
    "judged. new.METRIC=X guards --new, suite.checks=X the mean over skills. Repeatable."
)
FLOOR = (
    "The score of guessing (default: 0). A relative guard on METRIC holds only where base is significantly above it. "
    "Repeatable."
)
WITHIN = (
    "Exit 0 only if proven to lose at most X, 3 if proven to lose more, 4 if undecided. X is 2% (of base's score) or 1.5pt "
    "(hundredths). *.METRIC names every task. Repeatable."
)
SCALES = (
    "The learn-forget curve: bits per byte with the tuned model's change scaled by each of LIST, such as 0.25,0.5 (default: "
    "0 to 1.5 in steps of 0.125). Nothing is trained or decoded."
)
MOST_LOST = (
    "Name the largest of --scales that is proven to lose at most X (0.05 or 5%) of base's bits per byte on --old."
)
OF_LOGS = "Evaluation logs instead of models (docs/compare.md)"
OPTIONS = {
    "What to compare": [
        option("--base", "The model before: a folder or hub name.", metavar="MODEL"),
        option("--tuned", f"The model after: {A_MODEL}.", metavar="MODEL"),
        option("--replayed", f"A model that also replayed old data: {A_MODEL}; or its logs.", metavar="MODEL"),
        option("--old", "Held-out rows of old skills. Needed, except with --suite or --logs.", **FILE),
        option("--new", "Held-out rows of the new skill. Needed, except with --suite or --logs.", **FILE),
        option("--suite", "A suite of skills: `skills`, the package's own, or a folder of your own (docs/skills.md).", metavar="SUITE"),
        option("--probes", "Instructions with checks (docs/evaluation.md).", **FILE),
        option("--out", "Folder for the results; those of an earlier run are replaced. Needed, except with --logs.", **FILE | {"metavar": "DIR"}),
        option("--fail-above", GUARD, multiple=True, metavar="METRIC=X"),
        option("--floor", FLOOR, multiple=True, metavar="METRIC=X"),
        option("--rescore", "Score the answers in DIR again without decoding; repeat the other options as they were.", is_flag=True),
        option("--limit", "At most N rows of each file, and of each skill, drawn under --seed.", least=1),
        option("--seed", "Seed of the draw and the resampling (default: 1).", least=0, default=1),
        option("--max-new-tokens", "Longest answer (default: 256).", least=1, default=256),
    ],
    "Part of the change (LoRA, rsLoRA, whole models)": [
        option("--scales", SCALES, is_flag=False, flag_value=USUAL, metavar="[LIST]"),
        option("--decode-scales", "Answer with the change scaled by each of LIST too.", metavar="LIST"),
        option("--most-lost", MOST_LOST, metavar="X"),
    ],
    OF_LOGS: [
        option("--logs", "The logs of each: a file or a run's folder; PATH#RUN where it holds several runs.", nargs=2, metavar="BASE TUNED"),
        option("--cluster", "Field of the document or metadata that groups samples into clusters.", metavar="KEY"),
        option("--metric", "The metric of a task that Holm's correction covers (default: its first).", multiple=True, metavar="[TASK.]METRIC"),
        option("--lower-is-better", "A metric of which less is better, where its log does not say so.", multiple=True, metavar="[TASK.]METRIC"),
        option("--require-within", WITHIN, multiple=True, metavar="[TASK.]METRIC=X"),
        option("--gates", "YAML with require_within, fail_above and floor, each METRIC: X.", **FILE),
        option("--allow-unfinished", "Compare what there is of an unfinished run.", is_flag=True),
        option("--allow-other-prompts", "Judge gates even where prompts or settings differ.", is_flag=True),
        option("--markdown", "Write a summary for a pull request.", **FILE),
        option("--junit", "Write the gates as JUnit XML.", **FILE),
    ],
    "Decoding here": [
        option("--device", "Default: cuda where there is one.", choices="cpu cuda"),
        option("--precision", "Default: bf16 on cuda, else fp32.", choices="fp32 bf16"),
        option("--quantize", "Default: none.", choices="none 4bit", default="none"),
        option("--batch-size", "Default: 16.", least=1, default=16),
        option("--processes", "Processes that share the prompts (default: one per CUDA device, or one on a CPU).", least=1),
        option("--threads", "CPU threads of each process (default: the cores, shared among the processes).", least=1),
        option("--template", "Jinja chat template for all models.", **FILE),
        option("--template-arguments", "Further arguments for templates, such as '{\"enable_thinking\": false}'.", metavar="JSON"),
        option("--date", f"Today's date, for templates that write it (default: {DATE}).", default=DATE, type=click.DateTime(["%Y-%m-%d"]), metavar="DATE"),
    ],
    "Asking a server (such as vLLM with LoRA modules)": [
        option("--endpoint", "Its address up to /v1; models are then the names it serves.", metavar="URL"),
        option("--api-key-env", "Environment variable that holds its key.", metavar="NAME"),
        option("--concurrency", "Requests in flight (default: 16).", least=1, default=16),
        option("--timeout", "Seconds for one answer (default: 300).", default=300.0, metavar="S"),
        option("--attempts", "Attempts at one request (default: 5).", least=1, default=5),
    ],
    "Judging (docs/judge.md)": [
        option("--judge", "Address up to /v1 of a model that says which of two answers is better.", metavar="URL"),
        option("--judge-model", "The name under which it is served.", metavar="NAME"),
        option("--judge-prompt", "The criterion: a prompt file (default: better.j2, which comes with relearn).", **FILE),
        option("--judge-api-key-env", "Environment variable that holds its key.", metavar="NAME"),
        option("--judge-rows", "Whose answers are judged (default: both).", choices="old new both", default="both"),
        option("--judge-limit", "Prompts of each file that are judged, drawn under --seed (default: 100).", least=1, default=100),
        option("--judge-max-tokens", "Longest verdict, reasoning included; up to four times as long where one is cut (default: 256).", least=1, default=256),
        option("--judge-price", "USD per million prompt and completion tokens.", type=(click.FloatRange(0), click.FloatRange(0)), metavar="IN OUT"),
        option("--judge-budget", "Stop before the cost exceeds this.", type=click.FloatRange(0, min_open=True), metavar="USD"),
        option("--judge-estimate", "Print what the judge would be asked and cost, and send nothing.", is_flag=True),
    ],
    "Scoring": [
        option("--encoder", "BERTScore's: minilm (default), a folder or a hub name.", default="minilm"),
        option("--cut-share", "Share of answers that may end at --max-new-tokens before a comparison is unsound (default: 0.1).", type=click.FloatRange(0, 1), default=0.1, metavar="X"),
        option("--resamples", "Bootstrap resamples (default: 1000).", least=100, default=1000),
        option("--execute", "Run rows' tests for pass@1 (default: off). A suite's programs run under bubblewrap unless this is off.", choices="off strict best_effort"),
    ],
}  # fmt: skip


class CompareCommand(click.Command):
    """Shows its options under the headings of OPTIONS, and keeps the arguments for further processes that share the work."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta[ARGUMENTS] = tuple(args)
        return super().parse_args(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for heading, options in OPTIONS.items():
            with formatter.section(heading):
                formatter.write_dl([record for one in options if (record := one.get_help_record(ctx))])


ARGUMENTS = "relearn.compare.arguments"
NEEDED = ("base", "tuned", "old", "new", "out")  # without --logs
ALWAYS_NEEDED = ("base", "tuned", "out")  # with --suite
OF_BOTH = ("replayed", "out", "seed", "fail_above", "floor")


def refuse_mixed_options(context: click.Context) -> None:
    """Raises UsageError for a model option given with --logs, and a log option given without."""
    of_logs = {one.name for one in OPTIONS[OF_LOGS]}
    logs = bool(context.params["logs"])
    for name in context.params:
        given = context.get_parameter_source(name) is not ParameterSource.DEFAULT
        if given and name not in OF_BOTH and (name in of_logs) != logs:
            hint = "; with models, --fail-above is the gate" if name in ("require_within", "gates") else ""
            raise click.UsageError(
                f"--{name.replace('_', '-')} cannot be used {'with' if logs else 'without'} --logs{hint}"
            )
    out = context.params["out"]
    if out is not None and out.exists() and not out.is_dir():
        raise click.UsageError(f"--out {out}: is a file; name a folder")


def _run(**options: Any) -> None:
    status = 0
    context = click.get_current_context()
    refuse_mixed_options(context)
    try:
        if options["logs"]:
            # no model is run, so that the light core is enough
            from relearn.compare.logs_command import run_options

            status = run_options(options)
        else:
            check_extra()
            for name in NEEDED if options["suite"] is None else ALWAYS_NEEDED:
                if options[name] is None:
                    other = ", or --suite skills, which needs no rows" if name in ("old", "new") else ""
                    raise click.UsageError(f"Missing option '--{name}'{other}.")
            if is_worker():
                end_with_launcher()
            # here, because it brings numpy, torch and more, which --help does without
            from relearn.compare.run import compare

            status = compare(SimpleNamespace(**options, arguments=context.meta[ARGUMENTS]))
    except InputError as error:
        print(f"compare: {' '.join(shown(str(error)).split())}", file=sys.stderr)
        status = 1
    except OSError as error:
        if error.filename is None:
            raise
        print(f"compare: {error.filename}: {(error.strerror or str(error)).lower()}", file=sys.stderr)
        status = 1
    except KeyboardInterrupt:
        print("compare: stopped", file=sys.stderr)
        status = 130
    context.exit(status)


def check_extra() -> None:
    """Raises InputError where what runs models is not installed."""
    missing = [name for name in ("torch", "transformers", "peft") if find_spec(name) is None]
    if missing:
        raise InputError(
            f"{missing[0]} is not installed: compare needs the extra `models`; run pip install '.[models]' in a "
            'checkout, or pip install "relearn-llm[models]"'
        )


command = CompareCommand(
    "compare",
    params=[one for options in OPTIONS.values() for one in options],
    callback=_run,
    short_help="Measure what a fine-tune forgot, for models you already have.",
    help="Measure what a fine-tune forgot and what replay brought back: the table, intervals and probes for models you have.",
    context_settings=SETTINGS,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit status; SystemExit (2) for wrong options."""
    return run_command(command, arguments, "python -m relearn.compare")
