"""The texts and rows of every task from its source: split, and kept apart from each other.

Run by `dvc repro`, or `python -m stages.prepare`. What only predict and eval_3a read (the test rows) is apart from what
is trained on, so that a change of it trains nothing: data/sources.jsonl and data/train.jsonl have train and val,
data/held_out_sources.jsonl and data/held_out.jsonl have test;
data/skills.jsonl has the checks of those rows that are items of a suite of skills; data/model_files.json has the hashes of a model folder. What was read, left out and kept is in
metrics/prepare.json. A hub branch is resolved to a commit once, and remembered in .cache/hub.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from relearn import data as corpora
from relearn.evaluation import suite
from relearn.evaluation.probes import read as read_probes
from relearn.evaluation.suite import SkillItem
from relearn.files import file_hash, write_json, write_jsonl
from relearn.params import Params
from relearn.params.prepare import MiniSource, SkillsSource
from relearn.progress import say
from relearn.records import Role, Row, Source
from stages.paths import Paths
from stages.run import main


def work(params: Params, paths: Paths) -> dict[str, Any]:
    """Writes the texts, the rows and their counts, and returns the run's facts."""
    folder = _from_here(paths.sources / params.profile)
    # read whole, checks too: a mistake in them should show now, not after the training
    probes = read_probes(folder / "probes.yaml")
    skills, items = _read_suites(params, folder)
    found = corpora.load(
        {name: task.role for name, task in params.tasks.items()},
        params.prepare,
        folder,
        params.seed,
        # nobody trains on what a suite asks, in whatever task it is found
        probes=[
            *(probe.instruction for probe in probes),
            *(row.instruction for rows in skills.values() for row in rows),
        ],
        memory=paths.cache / "hub",
        made=_make_mini(params) | skills,
    )
    texts = [text for rows in found.texts.values() for text in rows]
    rows = [row for rows in found.rows.values() for row in rows]
    write_jsonl(paths.source_rows, (text for text in texts if text.split != "test"))
    write_jsonl(paths.held_out_sources, (text for text in texts if text.split == "test"))
    write_jsonl(paths.train, (row for row in rows if row.split != "test"))
    write_jsonl(paths.held_out, (row for row in rows if row.split == "test"))
    write_jsonl(paths.skill_items, items)
    write_json(paths.model_files, _hash_folders(folder))
    write_json(paths.metrics / "prepare.json", found.counts)
    _tell(found.counts)
    return {}


def _hash_folders(folder: Path) -> dict[str, str]:
    """The files of the folders beside the sources (a model, when the base is one), by SHA-256.

    The base stage depends on them and not on the folder, so that a new source of rows trains nothing.
    """
    files = sorted(file for file in folder.rglob("*") if file.is_file() and file.parent != folder)
    return {str(file.relative_to(folder)): file_hash(file) for file in files}


def _make_mini(params: Params) -> dict[str, Sequence[Source | Row]]:
    """What mini makes for the tasks that ask it for a corpus."""
    asked = {
        name: (rows.source.corpus, (rows.train, rows.val, rows.test))
        for name, rows in params.prepare.by_task.items()
        if isinstance(rows.source, MiniSource)
    }
    if not asked:
        return {}
    from relearn.mini import world

    return {
        name: [_rename(row, name, params.tasks[name].role) for row in world.build(corpus, params.seed, sizes)]
        for name, (corpus, sizes) in asked.items()
    }


def _read_suites(params: Params, folder: Path) -> tuple[dict[str, list[Row]], list[SkillItem]]:
    """The rows of the tasks that are suites of skills, and what scores their answers."""
    made: dict[str, list[Row]] = {}
    items: list[SkillItem] = []
    for name, rows in params.prepare.by_task.items():
        if isinstance(rows.source, SkillsSource):
            where = suite.find_folder(rows.source.path, folder)
            made[name], found = suite.make_rows(suite.read_suite(where), name, rows.test, params.seed)
            items += found
    return made, items


def _rename(row: Source | Row, task: str, role: Role) -> Source | Row:
    """The row as one of the profile's task."""
    return row.model_copy(update={"task": task} | ({"role": role} if isinstance(row, Row) else {}))


def _from_here(folder: Path) -> Path:
    """The folder as messages show it: from the working directory, which is the repository when dvc runs the stage."""
    relative = Path(os.path.relpath(folder))
    return folder if ".." in relative.parts else relative


def _tell(counts: dict[str, Any]) -> None:
    for task, found in counts.items():
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
