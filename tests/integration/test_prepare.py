"""The prepare stage as dvc runs it: in a copy of the project, on the sample, on real files, on a hub, on mistakes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from relearn.data.select import normalise
from tests.conftest import ROOT
from tests.hub_server import Hub
from tests.integration.project import PREPARED, Project
from tests.integration.test_hub import CARD, parquet


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path / "project")


def check_apart(project: Project) -> None:
    """No text and no problem is in two splits."""
    owners: dict[str, str] = {}
    for text in project.texts():
        assert owners.setdefault(normalise(text.fields["text"]), text.split) == text.split
    for row in project.rows():
        for key in (f"{row.task} group {row.group}", normalise(row.instruction)):
            assert owners.setdefault(key, row.split) == row.split


def test_the_sample_runs_as_it_is_and_twice_the_same(project: Project, tmp_path: Path) -> None:
    project.use("files")
    counts = project.prepared()
    first = project.hashes()
    assert set(first) == set(PREPARED)
    wanted = YAML(typ="safe").load(project.folder / "profiles/files.yaml")["prepare"]
    for task, found in counts.items():
        kept = {
            split: sum(rows.values()) if isinstance(rows, dict) else rows for split, rows in found["splits"].items()
        }
        assert kept == {split: wanted[task][split] for split in ("train", "val", "test")}
    assert not [reason for found in counts.values() for reason in found["left_out"] if "probe" in reason]
    check_apart(project)
    other = Project(tmp_path / "another place")
    other.use("files")
    other.prepared(PYTHONHASHSEED="7")
    assert other.hashes() == first
    other.use("files", seed=5)
    other.prepared()
    assert other.hashes()["data/sources.jsonl"] != first["data/sources.jsonl"]
    assert str(tmp_path) not in "".join((other.folder / name).read_text() for name in PREPARED)


@pytest.mark.parametrize("profile", ["files", "llama2-7b", "mini"])
def test_every_profile_has_ten_probes_of_the_ten_kinds(profile: str) -> None:
    probes = YAML(typ="safe").load(ROOT / "data" / "sources" / profile / "probes.yaml")
    kinds = [probe["kind"] for probe in probes]
    expected = "poem history function diary translation future comedy debate song scene"
    assert sorted(kinds) == sorted(expected.split())
    assert len({probe["id"] for probe in probes}) == 10


def test_the_sample_code_passes_its_own_tests() -> None:
    for line in (ROOT / "data/sources/files/code.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        assert row["tests"]
        space: dict[str, object] = {"print": lambda *_: None}
        for code in (row["output"], *row["tests"]):
            exec(compile(code, row["instruction"], "exec"), space)


def test_mini(project: Project) -> None:
    project.use("mini", lr=0.01)
    counts = project.prepared()
    wanted = YAML(typ="safe").load(project.folder / "profiles/mini.yaml")["prepare"]
    for task in ("code", "general"):
        assert counts[task]["splits"] == {split: wanted[task][split] for split in ("train", "val", "test")}
    assert sum(counts["reviews"]["splits"]["test"].values()) == wanted["reviews"]["test"]
    assert counts["reviews"]["splits"]["train"]["positive"] == wanted["reviews"]["train"] / 2


def drop(profile: Any, task: str) -> None:
    """Takes a task out of a profile."""
    for group in (profile["tasks"], profile["prepare"], profile["predict"]["max_new_tokens"],
                  profile["eval_3a"]["metrics"], profile["report"]["tasks"]):  # fmt: skip
        group.pop(task, None)


def test_real_reviews_and_real_instructions(project: Project, shared_data: Path) -> None:
    folder = project.folder / "data/sources/files"
    shutil.copy(shared_data / "imdb/imdb_1000.csv", folder / "reviews.csv")
    shutil.copy(shared_data / "python_instruct/python_2000.jsonl", folder / "code.jsonl")
    project.use("files")

    def change(profile: Any) -> None:
        group = profile["prepare"]
        drop(profile, "general")
        group["reviews"] |= {"train": 300, "val": 30, "test": 200, "max_chars": {"prompt": 2400, "response": None}}
        group["code"] |= {"train": 1400, "val": 40, "test": 200, "max_chars": {"prompt": 1200, "response": 2000}}

    project.edit("profiles/files.yaml", change)
    counts = project.prepared()
    assert set(counts) == {"reviews", "code"}
    assert counts["reviews"]["rows"] == 1000
    assert counts["reviews"]["left_out"]["duplicate"] == 1  # SOURCE.txt of the data says so
    assert counts["code"]["rows"] == 2000
    for split, total in (("train", 300), ("val", 30), ("test", 200)):
        by_label = counts["reviews"]["splits"][split]
        assert set(by_label) == {"positive", "negative"}
        assert abs(by_label["positive"] - total / 2) <= total * 0.03
    assert not any("<br" in text.fields["text"] for text in project.texts())
    check_apart(project)


def mistakes(project: Project) -> dict[str, tuple[Callable[[], object], str]]:
    folder = project.folder / "data/sources/files"
    reviews, code = folder / "reviews.csv", folder / "code.jsonl"
    lines = code.read_text(encoding="utf-8").splitlines()
    return {
        "missing": (reviews.unlink, "data/sources/files/reviews.csv: no such file"),
        "column": (
            lambda: reviews.write_text(reviews.read_text().replace("sentiment", "mood", 1)),
            "reviews.csv: no column 'sentiment'; the columns are review, mood",
        ),
        "cut": (lambda: code.write_text(code.read_text()[:-9]), f"code.jsonl, line {len(lines)}: not JSON"),
        "few": (
            lambda: code.write_text("\n".join(lines[:50])),
            "code.jsonl: has 50 usable rows of 50 (none left out), but code needs 125",
        ),
        "probes": ((folder / "probes.yaml").unlink, "data/sources/files/probes.yaml: no such file"),
        "not probes": (lambda: (folder / "probes.yaml").write_text("- {id: 1"), "probes.yaml"),
    }


@pytest.mark.parametrize("name", ["missing", "column", "cut", "few", "probes", "not probes"])
def test_a_mistake_is_one_line_and_leaves_the_outputs_as_they_were(project: Project, name: str) -> None:
    project.use("files")
    for output in PREPARED:
        (project.folder / output).parent.mkdir(exist_ok=True)
        (project.folder / output).write_text("as it was")
    before = project.hashes()
    spoil, expected = mistakes(project)[name]
    spoil()
    result = project.run("prepare")
    assert result.returncode == 1
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("prepare: ")
    assert expected in last
    assert "Traceback" not in result.stderr
    assert project.hashes() == before
    names = {path.name for path in (project.folder / "data").iterdir()}
    assert names == {"sources", *(Path(name).name for name in PREPARED if name.startswith("data/"))}


def test_the_original_experiments_data_sets(project: Project, tmp_path: Path) -> None:
    """Profile llama2-7b against small substitutes under the real names; a moved branch does not change a rerun."""

    def imdb(mark: str) -> dict[str, bytes]:
        rows = [
            {"text": f"{mark} {n} kept me guessing<br /><br />for {n * 7} minutes", "label": int(n >= 40)}
            for n in range(80)
        ]
        return {
            "README.md": CARD,
            "plain_text/train-00000-of-00001.parquet": parquet(rows),
            "plain_text/test-00000-of-00001.parquet": parquet(rows[:4]),
        }

    codes = [
        {"instruction": f"Print {n} and {n * n}", "input": "Not applicable", "output": f"print({n}, {n * n})"}
        for n in range(90)
    ]
    codes.append({"instruction": "Nothing comes of it", "input": "", "output": ""})

    def change(profile: Any) -> None:
        profile["prepare"]["reviews"] |= {"train": 40, "val": 4, "test": 20}
        profile["prepare"]["code"] |= {"train": 50, "val": 4, "test": 20}

    project.use("llama2-7b", lr=5e-5)
    project.edit("profiles/llama2-7b.yaml", change)
    with Hub() as hub:
        commits = [
            hub.add("dataset", "stanfordnlp/imdb", imdb("film")),
            hub.add("dataset", "flytech/python-codes-25k", {"python-codes-25k.json": json.dumps(codes).encode()}),
        ]
        counts = project.prepared(**hub.environment(tmp_path / "home"))
        first = project.hashes()
        assert [counts[task]["source"]["commit"] for task in ("reviews", "code")] == commits
        assert counts["reviews"]["splits"]["test"] == {"negative": 10, "positive": 10}
        assert counts["code"]["left_out"]["empty"] == 1
        assert all("guessing\nfor" in text.fields["text"] for text in project.texts())
        assert all(
            row.instruction.startswith("Print") and "\n" not in row.instruction
            for row in project.rows()
            if row.task == "code"
        )
        hub.move("dataset", "stanfordnlp/imdb", imdb("another film"))
        project.prepared(**hub.environment(tmp_path / "fresh home"))
        assert project.hashes() == first
