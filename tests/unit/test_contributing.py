"""CONTRIBUTING.md and the README's tree say what is there."""

from __future__ import annotations

import re
import subprocess

from tests.conftest import ROOT
from tests.unit.test_imports import FLOORS

TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def test_every_path_that_it_names_is_there() -> None:
    named = re.findall(r"`((?:relearn|stages|tests|bench|profiles|prompts|data|docs)/[^`<>]*)`", TEXT)
    assert len(named) > 10
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_its_floors_are_those_that_the_tests_hold() -> None:
    house = TEXT.split("| --- | --- |\n")[1].split("\n\n")[0]
    told = [set(re.findall(r"`([a-z_]+)`", line.replace("`relearn score`", ""))) for line in house.splitlines()]
    assert told == list(reversed(FLOORS))


def test_every_row_of_where_to_add_names_what_it_says() -> None:
    """The names in the rows occur in the files that the rows name."""
    for name, file in (
        ("RENAMED", "relearn/params/moves.py"),
        ("ADDED", "relearn/params/moves.py"),
        ("METRIC", "relearn/metrics/rouge_l.py"),
        ("class FileTable", "relearn/data/files.py"),
        ("Row(", "bench/all.py"),
    ):
        assert name in (ROOT / file).read_text(encoding="utf-8"), f"{file} lacks {name}"


def test_the_readme_shows_every_folder_of_the_library() -> None:
    tree = (
        (ROOT / "README.md").read_text(encoding="utf-8").split("## The tree")[1].split("```")[1].split("\nstages/")[0]
    )
    shown = set(re.findall(r"  ([a-z]+)/  ", tree))
    assert shown == {
        path.parent.name for kind in ("__init__.py", "*.yaml") for path in (ROOT / "relearn").glob(f"*/{kind}")
    }


def test_nothing_says_to_install_somebody_elses_package() -> None:
    """`relearn` on the package index is another project; this one is `relearn-llm`."""
    pattern = r"pip3? install (-[^ ]+ )*[\"']?relearn([^-a-z]|$)"
    told = subprocess.run(
        ["git", "grep", "-nE", pattern, "--", "."], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert told.stdout == ""
