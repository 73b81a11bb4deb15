"""Looks for damage in DVC's cache: an entry whose content is not what its name says.

    python -m stages.cache        # removes such entries (`make repro` begins with it); `dvc repro` makes them again

DVC trusts an entry as long as the file is write-protected. One that a disk has spoiled would replace a right output of
the same name as soon as a stage wrote it, and pass for current. Here every byte is read again: DVC's plain object
database knows neither write protection nor remembered hashes.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from dvc_data.hashfile.build import build
from dvc_data.hashfile.db import HashFileDB
from dvc_objects.errors import ObjectFormatError
from dvc_objects.fs.local import LocalFileSystem
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from relearn.errors import InputError
from relearn.progress import Progress
from stages.paths import HERE, Paths


def remove_damaged(cache: Path) -> Iterator[str]:
    """Removes the entries of a DVC cache (version 3, MD5) that do not hold what their name says; yields the names."""
    entries = _open(cache / "files" / "md5")
    names = sorted(entries.all())  # type: ignore[no-untyped-call]
    with Progress("checking DVC's cache", len(names), "files", least=2.0) as bar:
        for name in names:
            if re.fullmatch(r"[0-9a-f]{32}(\.dir)?", name):  # others are files that DVC is still writing
                try:
                    entries.check(name)
                except ObjectFormatError:
                    yield name
            bar.update()


def check_inputs(stage: str, paths: Paths) -> None:
    """Raises InputError when an input that another stage made is not what dvc.lock says it made."""
    yaml = YAML(typ="safe")
    try:
        lock = yaml.load((paths.root / "dvc.lock").read_text(encoding="utf-8"))
        read = yaml.load((paths.root / "dvc.yaml").read_text(encoding="utf-8"))["stages"][stage]["deps"]
    except (FileNotFoundError, YAMLError, KeyError, TypeError):
        return  # the first stage of a first run; dvc itself words what is wrong with these files
    for name, facts in lock["stages"].items():
        for out in facts.get("outs", ()) if name != stage else ():
            place = paths.root / out["path"]
            if out["path"] in read and place.exists() and compute_digest(place) != out["md5"]:
                raise InputError(
                    f"{out['path']}: not what {name} wrote, according to dvc.lock; its entry in DVC's cache may be damaged: "
                    "run python -m stages.cache, then dvc repro"
                )


def compute_digest(place: Path) -> str:
    """A file's or folder's MD5 as dvc.lock has it; a folder's is that of the list of its files, and ends in `.dir`."""
    entries = _open(place.parent)
    _, _, found = build(entries, str(place), entries.fs, "md5", dry_run=True)
    return str(found.hash_info.value)


def _open(folder: Path) -> HashFileDB:
    return HashFileDB(LocalFileSystem(), str(folder), hash_name="md5")  # type: ignore[no-untyped-call]


def main() -> None:
    """Removes what is damaged, with a line for each."""
    asked = subprocess.run(["dvc", "cache", "dir"], cwd=HERE.root, capture_output=True, text=True, check=False)
    if asked.returncode:
        print(f"cache: dvc cache dir: {asked.stderr.strip()}", file=sys.stderr)
        sys.exit(1)
    for name in remove_damaged(Path(asked.stdout.strip())):
        print(f"cache: {name} was damaged and has been removed; dvc repro makes it again")


if __name__ == "__main__":
    main()
