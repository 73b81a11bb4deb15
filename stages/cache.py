"""Looks for damage in DVC's cache: an entry whose content is not what its name says.

    python -m stages.cache        # removes such entries (`make repro` begins with it); `dvc repro` makes them anew

DVC trusts an entry as long as the file is write-protected. One that a disk has spoiled would replace a right output
of the same name as soon as a stage had written it, and pass for up to date.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from relearn.errors import InputError
from stages import paths


def damaged(cache: Path) -> Iterator[Path]:
    """The entries of a DVC cache (version 3, MD5) that do not hold what their name says, in order."""
    for file in sorted(cache.glob("files/md5/[0-9a-f][0-9a-f]/*")):
        name = file.parent.name + file.name
        if re.fullmatch(r"[0-9a-f]{32}(\.dir)?", name) and file.is_file() and _md5(file) != name[:32]:
            yield file


def check_inputs(stage: str) -> None:
    """Raises InputError when an input that another stage has made is not what dvc.lock says it made."""
    yaml = YAML(typ="safe")
    try:
        lock = yaml.load((paths.ROOT / "dvc.lock").read_text(encoding="utf-8"))
        read = yaml.load((paths.ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"][stage]["deps"]
    except (FileNotFoundError, YAMLError, KeyError, TypeError):
        return  # the first stage of a first run; dvc itself words what is wrong with these files
    for name, facts in lock["stages"].items():
        for out in facts.get("outs", ()) if name != stage else ():
            place = paths.ROOT / out["path"]
            if out["path"] in read and place.exists() and digest(place) != out["md5"]:
                raise InputError(
                    f"{out['path']}: not what {name} has written, by dvc.lock; its entry in DVC's cache may be damaged: "
                    "run python -m stages.cache, then dvc repro"
                )


def digest(place: Path) -> str:
    """A file's or folder's MD5 as dvc.lock has it; a folder's is that of the list of its files, and ends in `.dir`."""
    if not place.is_dir():
        return _md5(place)
    files = {file.relative_to(place).parts: file for file in place.rglob("*") if file.is_file()}
    listed = [{"md5": _md5(file), "relpath": "/".join(parts)} for parts, file in sorted(files.items())]
    return f"{hashlib.md5(json.dumps(listed).encode(), usedforsecurity=False).hexdigest()}.dir"


def _md5(file: Path) -> str:
    with open(file, "rb") as stream:
        return hashlib.file_digest(
            stream, lambda: hashlib.md5(usedforsecurity=False)  # DVC's choice
        ).hexdigest()  # fmt: skip


def main() -> None:
    """Removes what is damaged and says so."""
    asked = subprocess.run(
        ["dvc", "cache", "dir"], cwd=paths.ROOT, capture_output=True, text=True, check=False
    )
    if asked.returncode:
        print(f"cache: dvc cache dir: {asked.stderr.strip()}", file=sys.stderr)
        sys.exit(1)
    for file in damaged(Path(asked.stdout.strip())):
        os.chmod(file, 0o644)  # Windows removes no protected file
        file.unlink()
        print(f"cache: {file.parent.name}{file.name} was damaged and is removed; dvc repro makes it anew")


if __name__ == "__main__":
    main()
