"""Reviews, code and general instructions from the profile's source: split, and kept apart from each other.

Run by `dvc repro`, or `python -m stages.prepare`. Writes data/reviews.jsonl, data/original.jsonl, and what was read,
left out and kept in metrics/prepare.json. A hub branch is resolved to a commit once, and remembered in .cache/hub.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from relearn import corpora
from relearn.params import Params
from relearn.params.groups import Counts, MiniSource
from relearn.progress import say
from relearn.records import InputError, Original, Review, write_json, write_jsonl
from stages import paths
from stages.run import main


def work(params: Params) -> dict[str, Any]:
    """Writes the rows and their counts, and returns the run's facts."""
    group = params.prepare
    counts: dict[str, Any]
    if isinstance(group.source, MiniSource):
        reviews, originals = _mini(params)
        counts = corpora.tally(reviews, originals)
    else:
        folder = _shown(paths.sources(params.profile))
        reviews, originals, counts = corpora.load(
            group,
            folder,
            params.seed,
            probes=_probes(folder / "probes.yaml"),
            memory=paths.CACHE / "hub",
        )
    write_jsonl(paths.REVIEWS, reviews)
    write_jsonl(paths.ORIGINAL, originals)
    write_json(paths.METRICS / "prepare.json", counts)
    _tell(counts)
    return {}


def _mini(params: Params) -> tuple[list[Review], list[Original]]:
    from relearn.mini import world

    def three(counts: Counts | None) -> tuple[int, int, int]:
        assert counts is not None  # the profile's rules hold it for this source
        return counts.train, counts.val, counts.test

    group = params.prepare
    return world.build(params.seed, three(group.reviews), three(group.code), three(group.general))


def _shown(folder: Path) -> Path:
    """The folder as messages show it: from the working directory, which is the repository when dvc runs the stage."""
    relative = Path(os.path.relpath(folder))
    return folder if ".." in relative.parts else relative


def _probes(file: Path) -> list[str]:
    """The probe's instructions, which no row may hold."""
    try:
        probes = YAML(typ="safe").load(file.read_text("utf-8"))
    except FileNotFoundError:
        raise InputError(
            f"{file}: no such file; the probe needs its ten instructions, restore it with git"
        ) from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: not YAML ({str(error).splitlines()[0]}); mend it by hand") from None
    if not isinstance(probes, list):
        raise InputError(f"{file}: a list of probes is expected, each with id, kind, instruction and check")
    for number, probe in enumerate(probes, 1):
        if not isinstance(probe, dict) or not isinstance(probe.get("instruction"), str):
            raise InputError(f"{file}, probe {number}: no instruction; write one")
    return [probe["instruction"] for probe in probes]


def _tell(counts: dict[str, Any]) -> None:
    for task, found in counts.items():
        if found is None:
            say(f"{task}: the source has none; the task is left out of the tables")
            continue
        kept = {
            split: sum(rows.values()) if isinstance(rows, dict) else rows
            for split, rows in found["splits"].items()
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
