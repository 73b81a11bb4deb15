"""Repairs a dump of model replies: clean rows out, the rest in quarantine, and a report of both.

    relearn repair INPUT [--fields NAMES] [--out rows.jsonl] [--quarantine bad.jsonl]
        [--report report.json] [--schema schema.json] [--truncated drop|trim|keep]
        [--duplicates keep|drop]

INPUT is a file, a folder of files, or `-`: JSON Lines of replies (`id`, `content`, `finish_reason`), JSON Lines of
records, an array, or any text that holds records, however broken. A row out has `fields`, `flags` and `source` (`id` where there is
one, `file` in a folder, and for each field the offsets, in characters, of its text: in the reply's `content`, or in the file where
the input is not a file of replies). Without --out the rows go to standard output. Exit status: 0, also when records
were quarantined; 1 when the input cannot be read or an output cannot be written; 2 on bad usage.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TextIO

import click

from relearn.commands import FILE, SETTINGS, SHARED, run_command
from relearn.errors import InputError
from relearn.files import atomic_write, write_json
from relearn.progress import Progress
from relearn.repair.dump import DumpText, read_dump
from relearn.repair.folder import read_folder
from relearn.repair.json import KNOWN_FIELDS, RecordSchema, read_schema
from relearn.repair.rows import DumpRepairer

DEFAULT = ",".join(KNOWN_FIELDS)


def _repair(**given: Any) -> None:
    options = SimpleNamespace(**given)
    ctx = click.get_current_context()
    if not options.input:
        raise click.UsageError("INPUT is empty; name a file, a folder, or - for standard input")
    schema = _choose_schema(options)
    outputs = [path for path in (options.out, options.quarantine, options.report) if path is not None]
    resolved = [path.resolve() for path in outputs]
    if len(set(resolved)) < len(resolved):
        raise click.UsageError("--out, --quarantine and --report must be three different files")
    if options.input != "-" and Path(options.input).resolve() in resolved:
        raise click.UsageError(f"{options.input} is the input; write to another file")
    if Path(options.input).is_dir() and any(Path(options.input).resolve() in path.parents for path in resolved):
        raise click.UsageError(f"{options.input} is the input; write to another folder")
    for path in outputs:
        if path.is_dir():
            raise click.UsageError(f"{path} is a folder; name a file")
    try:
        _refuse_files_as_folders(outputs)
        summary = _run(options, schema)
    except InputError as error:
        print(f"repair: {error}", file=sys.stderr)
        ctx.exit(1)
    except BrokenPipeError:
        # The reader of our rows has gone (`| head`): there is nobody left to write to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        ctx.exit(0)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"repair: {where}{(error.strerror or str(error)).lower()}", file=sys.stderr)
        ctx.exit(1)
    print(
        _summarise(summary, kept_apart=options.quarantine is not None),
        file=sys.stderr if options.out is None else sys.stdout,
    )


command = click.Command(
    "repair",
    callback=_repair,
    help="Turn broken model replies into clean JSON rows: INPUT is a file, a folder of files, or - for standard input.",
    epilog=SHARED,
    context_settings=SETTINGS,
    params=[
        click.Argument(["input"]),
        click.Option(
            ["--fields"],
            metavar="NAMES",
            help=f"The text fields of a record, separated by commas (default: {DEFAULT}). Numbers and lists need --schema.",
        ),
        click.Option(
            ["--out"], **FILE, help="Where the rows go (default: standard output). A file that is there is replaced."
        ),
        click.Option(
            ["--quarantine"], **FILE, help="Where unusable parts go, each with its reason (default: they are counted)."
        ),
        click.Option(["--report"], **FILE, help="Where the counts by flag and by reason go, as JSON."),
        click.Option(["--schema"], **FILE, help="A JSON Schema, for records of another shape."),
        click.Option(
            ["--duplicates"],
            type=click.Choice(["keep", "drop"]),
            default="keep",
            help="Rows of equal content with different ids: keep them (default), or drop all but the first.",
        ),
        click.Option(
            ["--truncated"],
            type=click.Choice(["drop", "trim", "keep"]),
            default="drop",
            help="A text that the reply ends inside: drop it (default), trim it to its last whole sentence, or keep it.",
        ),
    ],
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command under its older name and returns its exit status; SystemExit (2) on bad usage."""
    return run_command(command, arguments, "python -m relearn.repair")


def _choose_schema(options: SimpleNamespace) -> RecordSchema:
    if options.schema is None:
        names = [name.strip() for name in (DEFAULT if options.fields is None else options.fields).split(",")]
        if not all(names) or len(set(names)) < len(names):
            raise click.UsageError("--fields takes distinct names, separated by commas")
        return RecordSchema.of_texts(names)
    if options.fields is not None:
        raise click.UsageError("--schema names the fields; leave out --fields")
    try:
        return read_schema(json.loads(options.schema.read_text(encoding="utf-8-sig")), str(options.schema))
    except OSError as error:
        raise click.UsageError(f"{options.schema}: {(error.strerror or str(error)).lower()}") from None
    except (ValueError, RecursionError) as error:
        raise click.UsageError(f"{options.schema}: not JSON ({error})") from None
    except InputError as error:
        raise click.UsageError(str(error)) from None


def _refuse_files_as_folders(outputs: Sequence[Path]) -> None:
    for path in outputs:
        for parent in path.parents:
            if parent.exists() and not parent.is_dir():
                raise InputError(f"{path}: cannot be written, since {parent} is a file; name another folder")


def _run(options: SimpleNamespace, schema: RecordSchema) -> dict[str, Any]:
    repairer = DumpRepairer(schema, options.truncated, options.duplicates)
    with ExitStack() as stack:
        texts = _read(options.input, schema, stack)
        out: TextIO | None = None
        if options.out is None:
            sys.stdout.reconfigure(encoding="utf-8", newline="\n")  # type: ignore[union-attr]
            out = sys.stdout
        else:
            out = stack.enter_context(atomic_write(options.out))
        refused = stack.enter_context(atomic_write(options.quarantine)) if options.quarantine else None
        bar = stack.enter_context(Progress("repair", None, "texts", least=2.0))
        for kept, line in stack.enter_context(closing(repairer.repair_all(texts))):
            target = out if kept else refused
            if target is not None:
                target.write(line + "\n")
            bar.update(repairer.ledger.counts["texts"] - bar.done)
        bar.update(repairer.ledger.counts["texts"] - bar.done)
        if options.out is None:
            out.flush()
        summary = {
            "fields": dict(schema.fields),
            "truncated": options.truncated,
            "duplicates": options.duplicates,
            **repairer.ledger.as_dict(),
        }
        if options.report is not None:
            write_json(options.report, summary)
    return summary


def _read(name: str, schema: RecordSchema, stack: ExitStack) -> Iterator[DumpText]:
    if name == "-":
        return read_dump(sys.stdin.buffer, "standard input", schema)
    if Path(name).is_dir():
        return read_folder(Path(name), schema)
    try:
        return read_dump(stack.enter_context(open(name, "rb")), name, schema)
    except FileNotFoundError:
        raise InputError(f"{name}: no such file or folder") from None


def _summarise(summary: dict[str, Any], kept_apart: bool) -> str:
    counts, reasons = summary["counts"], summary["reasons"]
    why = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items(), key=lambda item: -item[1]))
    aside = counts["quarantine_rows"]
    if kept_apart or not aside:
        lost = f"{_count(aside, 'row')} in quarantine"
    else:
        lost = f"{_count(aside, 'piece')} left out, which --quarantine FILE keeps"
    hint = ""
    if reasons.get("no_record") and not counts["records"]:
        hint = (
            f"; no text holds {', '.join(summary['fields'])}: name the fields of your records with --fields or --schema"
        )
    elif reasons.get("broken_table"):
        hint = (
            "; a table's header names the fields, but its rows do not fit (`detail` in quarantine says where): "
            "quote each cell that holds a delimiter, a quote or a line end"
        )
    return (
        f"repair: {_count(counts['texts'], 'text')}, {_count(counts['records'], 'record')}: {counts['records_kept']} kept "
        f"({counts['fields_kept']} of {_count(counts['fields'], 'field')}), {lost}"
        + (f" ({why})" if why else "")
        + hint
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
