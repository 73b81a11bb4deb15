"""From the teacher's raw replies to clean rows of the new task; what cannot be used is quarantined with its reason.

Run by `dvc repro`, or `python -m stages.repair`.
"""

from __future__ import annotations

from typing import Any

from relearn.errors import InputError
from relearn.files import atomic_write, dump_line, read_jsonl, write_json
from relearn.params import Params
from relearn.progress import say
from relearn.records import NewRow, Quarantined, Reply, Row, Source
from relearn.repair.replies import ReplyRepairer
from stages.paths import Paths
from stages.run import main


def work(params: Params, paths: Paths) -> dict[str, Any]:
    """Writes data/instructions.jsonl, data/held_out_instructions.jsonl, data/quarantine.jsonl, metrics/repair.json."""
    files = (paths.source_rows, paths.held_out_sources)
    texts = {text.id: text for file in files for text in read_jsonl(file, Source)}
    (rules,) = params.repair.by_task.values()
    repairer = ReplyRepairer(texts, params.repair, rules)
    with (
        atomic_write(paths.instructions) as kept,
        atomic_write(paths.held_out_instructions) as held_out,
        atomic_write(paths.quarantine) as refused,
    ):
        for row in read_jsonl(paths.train, Row):
            if row.role == "new":  # from a file: there is nothing to mend
                kept.write(dump_line(NewRow(**dict(row), source=row.id, template="", flags=[])) + "\n")
        for found in repairer.repair_all(read_jsonl(paths.replies, Reply)):
            target = refused if isinstance(found, Quarantined) else held_out if found.split == "test" else kept
            target.write(dump_line(found) + "\n")
        summary = repairer.ledger.as_dict()
        counts = summary["counts"]
        if not counts["fields_kept"]:
            raise InputError(
                f"{paths.replies.relative_to(paths.root)}: none of {counts['replies']} replies could be used "
                f"({', '.join(summary['reasons']) or 'the file is empty'}); look at the replies, then run generate again"
            )
    write_json(paths.metrics / "repair.json", summary)
    reasons = ", ".join(f"{count} {reason}" for reason, count in summary["reasons"].items())
    say(
        f"repair: {counts['fields_kept']} of {counts['fields']} texts kept, "
        f"{counts['fields_quarantined']} quarantined{f' ({reasons})' if reasons else ''}"
    )
    return {}


if __name__ == "__main__":
    main("repair", work)
