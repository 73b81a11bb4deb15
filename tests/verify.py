"""The chain twice, from two fresh clones of HEAD in different folders: are all outputs the same, byte for byte?

    make verify                                  # the profile that params.yaml names
    python -m tests.verify --profile tiny        # in about two minutes

The clones' folders differ in name and length, and the two runs in everything that must not matter: hash seed, time
zone, OMP_NUM_THREADS, home folder, umask and, where /dev/shm is a file system of its own, the order in which folders are listed. Each has
an empty DVC cache and starts without dvc.lock or any recorded output. Then dvc.lock, models/, data/, metrics/ and report/
are compared, and what the stages wrote is searched for this machine's name, today's date, and the folders' paths.
Prints what differs and where; the last line is the verdict, and the exit status 1 where something differs.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parent.parent
COMPARED = ("dvc.lock", "models", "data", "metrics", "report")
TINY = "tests/profiles/tiny.yaml"


@dataclass(frozen=True)
class Difference:
    """A file that is not the same on both sides, and where it first is not."""

    file: str
    where: str

    def __str__(self) -> str:
        return f"{self.file}: {self.where}"


def files(folder: Path) -> dict[str, Path]:
    """What is compared of a checkout, by path from its root, sorted."""
    found: dict[str, Path] = {}
    for name in COMPARED:
        place = folder / name
        for file in sorted(place.rglob("*")) if place.is_dir() else [place]:
            if file.is_file():
                found[str(file.relative_to(folder))] = file
    return found


def compare(one: Path, two: Path) -> list[Difference]:
    """The files of two checkouts that are not the same, byte for byte."""
    first, second = files(one), files(two)
    found = []
    for name in sorted(first.keys() | second.keys()):
        if name not in first or name not in second:
            found.append(Difference(name, f"only in the {'second' if name in second else 'first'} clone"))
            continue
        left, right = first[name].read_bytes(), second[name].read_bytes()
        if left != right:
            found.append(Difference(name, _first_place(left, right)))
    return found


def _first_place(left: bytes, right: bytes) -> str:
    """The first byte that differs, its line, and what is there on both sides."""
    place = next((at for at, pair in enumerate(zip(left, right, strict=False)) if pair[0] != pair[1]), None)
    if place is None:
        return (
            f"byte {min(len(left), len(right))}: one ends there, the other has {abs(len(left) - len(right))} bytes more"
        )
    where = f"byte {place}"
    if b"\0" not in left:
        line = left.count(b"\n", 0, place) + 1
        where += f", line {line}"
    before = max(0, place - 20)
    return f"{where}: {left[before : place + 30]!r} / {right[before : place + 30]!r}"


def outputs(folder: Path) -> list[Path]:
    """What the stages write, by the checkout's dvc.lock, files only."""
    lock = YAML(typ="safe").load(folder / "dvc.lock")
    places = [folder / out["path"] for stage in lock["stages"].values() for out in stage.get("outs", ())]
    return [
        file
        for place in sorted(places)
        for file in (sorted(place.rglob("*")) if place.is_dir() else [place])
        if file.is_file()
    ]


def traces(folder: Path, home: Path) -> list[str]:
    """Outputs that hold this machine's name, today's date, or a path of the checkout or of its home."""
    today = {datetime.date.today(), datetime.datetime.now(datetime.UTC).date()}
    words = {str(folder): "the folder", str(home): "the home folder", **{f"{day}": "the date" for day in today}}
    if len(platform.node()) > 3:
        words[platform.node()] = "the machine's name"
    found = []
    for file in outputs(folder):
        content = file.read_bytes()
        for word, meaning in words.items():
            if re.search(rb"(?<![\w-])" + re.escape(word.encode()) + rb"(?![\w-])", content):
                found.append(f"{file.relative_to(folder)} holds {meaning} ({word})")
    return found


def clone(into: Path, profile: str | None) -> str:
    """A clone of HEAD without anything that a run has left, and the name of its profile."""
    head = _git(ROOT, "rev-parse", "HEAD")
    into.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["git", "clone", "--quiet", "--no-checkout", "--no-hardlinks", str(ROOT), str(into)], check=True)
    _git(into, "checkout", "--quiet", "--detach", head)
    # nothing recorded can then pass for a result
    for place in outputs(into) if (into / "dvc.lock").exists() else []:
        place.unlink()
    (into / "dvc.lock").unlink(missing_ok=True)
    yaml = YAML()
    params = yaml.load(into / "params.yaml")
    name = profile or str(params["profile"])
    if name == "tiny":
        shutil.copy(into / TINY, into / "profiles" / "tiny.yaml")
        shutil.copytree(into / "data" / "sources" / "mini", into / "data" / "sources" / "tiny")
    if name != params["profile"]:
        params["profile"] = name
        yaml.dump(params, into / "params.yaml")
    return name


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def environment(home: Path, **other: str) -> dict[str, str]:
    """The environment of a run that shares neither a DVC cache nor a DVC configuration with anyone."""
    home.mkdir(parents=True, exist_ok=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DVC_", "PYTHON", "LC_"))}
    # what a user's home holds and a run needs: models and data of the hub
    hub = os.environ.get("HF_HOME", str(Path.home() / ".cache" / "huggingface"))
    return {
        **kept,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(home),
        "HF_HOME": hub,
        "DVC_GLOBAL_CONFIG_DIR": str(home / "dvc"),
        "DVC_SYSTEM_CONFIG_DIR": str(home / "dvc-system"),
        "DVC_SITE_CACHE_DIR": str(home / "dvc-site"),
        **other,
    }


def run(folder: Path, variables: dict[str, str], umask: int, log: Path) -> float:
    """`dvc repro` in a clone; tells the stages as they begin, and returns the seconds. Leaves when it fails."""
    begun = time.monotonic()
    with open(log, "w", encoding="utf-8") as said:
        process = subprocess.Popen(
            ["dvc", "repro"], cwd=folder, env=variables, umask=umask,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
        )  # fmt: skip
        assert process.stdout is not None
        for line in process.stdout:
            said.write(line)
            if found := re.match(r"Running stage '(\w+)'", line):
                print(f"  {time.monotonic() - begun:6.1f} s  {found[1]}", flush=True)
        status = process.wait()
    if status:
        print("".join(log.read_text(encoding="utf-8").splitlines(keepends=True)[-20:]))
        sys.exit(f"verify: FAILED: dvc repro ended with status {status} in {folder}")
    return time.monotonic() - begun


def places(base: Path) -> Iterator[tuple[Path, Path, dict[str, str], int]]:
    """Folder, home, what else differs, and umask of each of the two runs."""
    yield (
        base / "one" / "relearn",
        base / "one" / "home",
        {"PYTHONHASHSEED": "0", "TZ": "UTC", "OMP_NUM_THREADS": "2"},
        0o022,
    )
    other = Path("/dev/shm")
    roomy = other.is_dir() and os.access(other, os.W_OK) and shutil.disk_usage(other).free > 2 << 30
    second = Path(tempfile.mkdtemp(prefix="verify-", dir=other)) if roomy else base / "another"
    folder = second / "a much longer name" / "in which the second clone is" / "checkout"
    others = {"PYTHONHASHSEED": "4711", "TZ": "Pacific/Auckland", "OMP_NUM_THREADS": "1"}
    yield folder, second / "home", others, 0o077


def verdict(folders: list[Path], homes: list[Path]) -> int:
    """Prints what differs and the last line; the exit status."""
    found = [str(difference) for difference in compare(*folders)]
    for number, (folder, home) in enumerate(zip(folders, homes, strict=True), start=1):
        found += [f"clone {number}: {trace}" for trace in traces(folder, home)]
    for line in found:
        print(f"  differs: {line}" if not line.startswith("clone ") else f"  {line}")
    compared = files(folders[0])
    size = sum(file.stat().st_size for file in compared.values())
    if found:
        print(f"verify: FAILED: {len(found)} differences in {len(compared)} files")
        return 1
    print(f"verify: OK: {len(compared)} files, {size:,} bytes, the same in both clones; no path, host or date in them")
    return 0


def main() -> None:
    """Makes the clones, runs the chain in each, and compares."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", help="a profile's name; the one that params.yaml names (default); or tiny")
    parser.add_argument("--keep", action="store_true", help="keep the clones, and print where they are")
    chosen = parser.parse_args()
    if _git(ROOT, "status", "--porcelain"):
        print("verify: the working tree has uncommitted changes; verifying HEAD without them")
    base = Path(tempfile.mkdtemp(prefix="verify-"))
    made: list[Path] = [base]
    folders: list[Path] = []
    homes: list[Path] = []
    try:
        for folder, home, other, umask in places(base):
            if not folder.is_relative_to(base):
                made.append(folder.parents[2])
            name = clone(folder, chosen.profile)
            head = _git(folder, "log", "-1", "--format=%h")
            print(f"clone {len(folders) + 1}: {folder}\n  commit {head}, profile {name}", flush=True)
            seconds = run(folder, environment(home, **other), umask, home / "repro.log")
            print(f"  {seconds:6.1f} s  done", flush=True)
            folders.append(folder)
            homes.append(home)
        status = verdict(folders, homes)
    finally:
        if not chosen.keep:
            for place in made:
                shutil.rmtree(place, ignore_errors=True)
    sys.exit(status)


if __name__ == "__main__":
    main()
