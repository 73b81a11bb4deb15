"""From the teacher's raw replies to clean rows of the new tasks; what cannot be used is quarantined with its reason.

Run by `dvc repro`, or `python -m stages.repair`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, closing
from typing import Any

from relearn.errors import InputError
from relearn.files import atomic_write, dump_line, read_jsonl, write_json
from relearn.params import Params
from relearn.progress import say
from relearn.records import NewRow, Reply, Row, Source
from relearn.repair.json import load_task_schema
from relearn.repair.replies import ReplyRepairer, ReplyTask, pair_with_sources
from stages.paths import Paths
from stages.run import main


def work(params: Params, paths: Paths) -> dict[str, Any]:
    """Writes the rows of the new tasks, data/quarantine.jsonl and metrics/repair.json.

    Rows to train on go to data/instructions.jsonl, with those that came from a file, test rows to
    data/held_out_instructions.jsonl.
    """
    repairer = _make_repairer(params, paths)
    with ExitStack() as stack:
        kept, held_out, refused = (
            stack.enter_context(atomic_write(path))
            for path in (paths.instructions, paths.held_out_instructions, paths.quarantine)
        )
        files = {"train": kept, "val": kept, "test": held_out, None: refused}
        for row in _read_finished(paths):
            files[row.split].write(dump_line(row) + "\n")
        pairs = pair_with_sources(read_jsonl(paths.replies, Reply), _read_sources(paths), repairer.tasks)
        repaired = stack.enter_context(closing(repairer.repair_all(pairs)))
        for split, line in repaired:
            files[split].write(line + "\n")
        summary = repairer.ledger.as_dict()
        counts = summary["counts"]
        if repairer.tasks and not counts["rows_kept"]:
            raise InputError(
                f"{paths.replies.relative_to(paths.root)}: none of {counts['replies']} replies could be used "
                f"({', '.join(summary['reasons']) or 'the file is empty'}); look at the replies, then run generate again"
            )
    write_json(paths.metrics / "repair.json", summary)
    reasons = ", ".join(f"{count} {reason}" for reason, count in summary["reasons"].items())
    say(
        f"repair: {counts['rows_kept']} of {counts['rows']} rows kept, "
        f"{counts['rows_quarantined']} quarantined{f' ({reasons})' if reasons else ''}"
    )
    return {}


def _make_repairer(params: Params, paths: Paths) -> ReplyRepairer:
    shown = _find_fields(paths, params.repair.by_task.keys())
    tasks = {}
    for name, record in params.repair.by_task.items():
        asked = params.generate.by_task[name]
        assert asked is not None  # Params refuses it
        schema = load_task_schema(paths.prompts / f"{asked.record_schema}.json")[1]
        tasks[name] = ReplyTask(name, schema, record, shown.get(name, {}))
    rules = params.repair
    return ReplyRepairer(tasks, rules.truncated, rules.duplicates, rules.near_duplicates)


def _find_fields(paths: Paths, tasks: Collection[str]) -> dict[str, Mapping[str, str]]:
    """The fields of each task's sources, by the first of them."""
    shown: dict[str, Mapping[str, str]] = {}
    for source in _read_sources(paths):
        shown.setdefault(source.task, source.fields)
        if shown.keys() >= set(tasks):
            break
    return shown


def _read_sources(paths: Paths) -> Iterator[Source]:
    """In the order in which generate asks, and writes the replies."""
    for file in (paths.source_rows, paths.held_out_sources):
        yield from read_jsonl(file, Source)


def _read_finished(paths: Paths) -> Iterator[NewRow]:
    """The rows of new tasks that came from a file, train and val; predict reads their test rows where they are."""
    for row in read_jsonl(paths.train, Row):
        if row.role == "new":
            yield NewRow(**dict(row), source=row.id, template="", flags=[])


if __name__ == "__main__":
    main("repair", work)
