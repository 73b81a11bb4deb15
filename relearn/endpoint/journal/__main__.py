"""The journal's command: `python -m relearn.endpoint.journal list|export|import|prune PATH ...`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from relearn.endpoint.journal import Journal
from relearn.errors import InputError
from relearn.files import atomic_write, read_json_lines
from relearn.finish_reasons import ENDINGS


class ExportedAnswer(BaseModel):
    """An exported answer: a line of the file that `export` writes and `import` reads. Fields are the table's.

    A file of an earlier version lacks the last three.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    key: str
    identity: str
    model: str
    content: str | None
    finish_reason: str | None
    refusal: str | None
    served: str
    prompt_tokens: int | None
    completion_tokens: int | None
    formatted: int
    received: float
    raw: str | None = None
    dialect: str | None = None
    batched: int = 0


def main(arguments: list[str] | None = None) -> None:
    """Runs the command; status 1 and one line for a mistake."""
    options = _parser().parse_args(arguments)
    try:
        if options.command != "import" and not options.path.is_file():
            raise InputError(f"{options.path}: no such journal; see .cache/teacher/")
        with Journal(options.path) as journal:
            options.run(journal, options)
    except InputError as error:
        print(error, file=sys.stderr)
        sys.exit(1)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m relearn.endpoint.journal",
        description="What teachers and other servers have answered: memoisation outside DVC's graph.",
    )
    commands = parser.add_subparsers(dest="command", required=True)

    def command(name: str, run: Any, text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.add_argument("path", type=Path, metavar="PATH", help="the journal (SQLite)")
        sub.set_defaults(run=run)
        return sub

    command("list", _list, "Counts and tokens by server and model, and the failures still open.")
    command("export", _export, "Writes every answer to a JSON Lines file.").add_argument("file", type=Path)
    command("import", _import, "Adds the answers of an exported file; known ones stay as they are.").add_argument(
        "file", type=Path
    )
    prune = command("prune", _prune, "Deletes what matches all the conditions given.")
    prune.add_argument("--model", help="the model asked for")
    prune.add_argument("--identity", help="the server: its address, or the beginning of it")
    prune.add_argument("--before", type=_date, metavar="DATE", help="received before this day (UTC), 2026-01-31")
    prune.add_argument("--ending", choices=ENDINGS, help="how the answer ended, whatever the server calls it")
    prune.add_argument("--failures", action="store_true", help="the failures, not the answers")
    prune.add_argument("--kind", help="the failures of this kind, such as http_500")
    prune.add_argument("--batches", action="store_true", help="the open batches: their results are given up")
    prune.add_argument("--all", action="store_true", help="everything: needed when no condition is given")
    return parser


def _date(text: str) -> float:
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a date; write it like 2026-01-31") from None


def _list(journal: Journal, _: argparse.Namespace) -> None:
    for row in journal.summary():
        answers = row.get("answers", 0)
        print(f"{row['identity']}  {row['model']}: {answers} answers, {row.get('failures', 0)} failures")
        if answers:
            first, last = (datetime.fromtimestamp(row[name], UTC) for name in ("first", "last"))
            print(
                f"  {row['prompt_tokens']:.0f} prompt and {row['completion_tokens']:.0f} completion tokens, "
                f"{first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC"
            )
        ends = [
            f"{count} {ending} ({word or 'none'})"
            for identity, model, ending, word, count in journal.endings()
            if (identity, model) == (row["identity"], row["model"])
        ]
        if ends:
            print(f"  ended: {', '.join(ends)}")
    for row in journal.open_batches():
        opened = datetime.fromtimestamp(row["opened"], UTC)
        told = f"{row['id'] or 'not created yet'}, opened {opened:%Y-%m-%d %H:%M} UTC"
        print(f"  batch under way: {row['identity']}  {row['model']}: {row['requests']} requests, {told}")
    for label, kind, detail, attempts in journal.failures():
        print(f"  failed: {label}: {kind} after {attempts} attempts: {detail}")


def _export(journal: Journal, options: argparse.Namespace) -> None:
    count = 0
    with atomic_write(options.file) as file:
        for row in journal.rows():
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
            count += 1
    print(f"{count} answers written to {options.file}")


def _import(journal: Journal, options: argparse.Namespace) -> None:
    added, known = journal.add(_rows(options.file))
    print(f"{added} answers added, {known} already there")


def _rows(path: Path) -> Iterator[tuple[Any, ...]]:
    for number, value in read_json_lines(path):
        try:
            row = ExportedAnswer.model_validate(value)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "the row"
            raise InputError(
                f"{path}, line {number}: {where}: {first['msg']}; expected a file that `export` wrote"
            ) from None
        yield tuple(row.model_dump().values())


def _prune(journal: Journal, options: argparse.Namespace) -> None:
    conditions, values = [], []
    if options.model is not None:
        conditions.append("model = ?")
        values.append(options.model)
    if options.identity is not None:
        conditions.append("substr(identity, 1, length(?)) = ?")
        values += [options.identity, options.identity]
    failures = options.failures or options.kind is not None
    if (options.ending is not None) + failures + options.batches > 1:
        raise InputError(
            "prune: --ending selects answers, --failures and --kind failures, --batches batches; use one of them"
        )
    table = "batches" if options.batches else "failures" if failures else "answers"
    if options.ending is not None:
        conditions.append("ending(finish_reason) = ?")
        values.append(options.ending)
    if options.kind is not None:
        conditions.append("kind = ?")
        values.append(options.kind)
    if options.before is not None:
        moment = {"answers": "received", "failures": "failed", "batches": "opened"}[table]
        conditions.append(f"{moment} < ?")
        values.append(options.before)
    if not conditions and not (options.failures or options.batches or options.all):
        raise InputError(
            "prune: say what to delete: --model, --identity, --before, --ending, --failures, --kind, --batches, or --all"
        )
    count = journal.prune(table, " AND ".join(conditions) or "1", tuple(values))
    journal.vacuum()
    print(f"{count} {table} deleted")


if __name__ == "__main__":
    main()
