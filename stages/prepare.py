"""Reviews, code and general instructions from the profile's source: split, and kept apart from each other.

Run by `dvc repro`, or `python -m stages.prepare`. Writes data/reviews.jsonl, data/original.jsonl, and what was read,
left out and kept in metrics/prepare.json. A hub branch is resolved to a commit once, and remembered in .cache/hub.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from relearn import data as corpora
from relearn.evaluation.probes import read as read_probes
from relearn.files import write_json, write_jsonl
from relearn.params import Params
from relearn.params.prepare import Counts, MiniSource
from relearn.progress import say
from relearn.records import Original, Review
from stages.paths import Paths
from stages.run import main


def work(params: Params, paths: Paths) -> dict[str, Any]:
    """Writes the rows and their counts, and returns the run's facts."""
    group = params.prepare
    counts: dict[str, Any]
    folder = _from_here(paths.sources / params.profile)
    # read whole, checks too: a mistake in them should show now, not after the training
    probes = read_probes(folder / "probes.yaml")
    if isinstance(group.source, MiniSource):
        reviews, originals = _mini(params)
        counts = corpora.tally(reviews, originals)
    else:
        reviews, originals, counts = corpora.load(
            group, folder, params.seed, probes=[probe.instruction for probe in probes], memory=paths.cache / "hub"
        )
    write_jsonl(paths.reviews, reviews)
    write_jsonl(paths.original, originals)
    write_json(paths.metrics / "prepare.json", counts)
    _tell(counts)
    return {}


def _mini(params: Params) -> tuple[list[Review], list[Original]]:
    from relearn.mini import world

    def three(counts: Counts | None) -> tuple[int, int, int]:
        assert counts is not None  # the profile's rules hold it for this source
        return counts.train, counts.val, counts.test

    group = params.prepare
    return world.build(params.seed, three(group.reviews), three(group.code), three(group.general))


def _from_here(folder: Path) -> Path:
    """The folder as messages show it: from the working directory, which is the repository when dvc runs the stage."""
    relative = Path(os.path.relpath(folder))
    return folder if ".." in relative.parts else relative


def _tell(counts: dict[str, Any]) -> None:
    for task, found in counts.items():
        if found is None:
            say(f"{task}: the source has none; the task is left out of the tables")
            continue
        kept = {
            split: sum(rows.values()) if isinstance(rows, dict) else rows for split, rows in found["splits"].items()
        }
        line = f"{task}: " + ", ".join(f"{rows} {split}" for split, rows in kept.items())
        left_out = ", ".join(
            f"{rows} {reason.replace('_', ' ')}" for reason, rows in found.get("left_out", {}).items() if rows
        )
        if "rows" in found:
            line += f" of {found['rows']} rows" + (f" (left out: {left_out})" if left_out else "")
        say(line)
        commit = found.get("source", {}).get("commit")
        if commit is not None and commit != found["source"]["revision"]:
            say(f"{task}: {found['source']['dataset']} {found['source']['revision']} is commit {commit}")


if __name__ == "__main__":
    main("prepare", work)
