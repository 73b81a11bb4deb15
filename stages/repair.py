"""From the teacher's raw replies to clean rows of the new task; what cannot be used is quarantined with its reason.

Run by `dvc repro`, or `python -m stages.repair`.
"""

from __future__ import annotations

from typing import Any

from relearn.errors import InputError
from relearn.files import atomic_write, dump_line, read_jsonl, write_json
from relearn.params import Params
from relearn.progress import say
from relearn.records import Instruction, Reply, Review
from relearn.repair.replies import ReplyRepairer
from stages.paths import Paths
from stages.run import main


def work(params: Params, paths: Paths) -> dict[str, Any]:
    """Writes data/instructions.jsonl, data/quarantine.jsonl and metrics/repair.json."""
    reviews = {review.id: review for review in read_jsonl(paths.reviews, Review)}
    repairer = ReplyRepairer(reviews, params.repair)
    with atomic_write(paths.instructions) as kept, atomic_write(paths.quarantine) as refused:
        for row in repairer.repair_all(read_jsonl(paths.replies, Reply)):
            (kept if isinstance(row, Instruction) else refused).write(dump_line(row) + "\n")
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
