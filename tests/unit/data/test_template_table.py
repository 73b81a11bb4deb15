"""Rows put together from columns by templates, from plain or packed files, of the user's folder or of a package."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from relearn.data import load
from relearn.errors import InputError
from relearn.files import file_hash
from relearn.metrics.code.find import find_code
from relearn.params.prepare import Prepare
from relearn.records import Row
from relearn.sandbox.runner import Job, ProgramLimits, run_all
from tests.conftest import ROOT
from tests.unit.data import sources

COLUMNS: dict[str, Any] = {
    "form": "templates",
    "instruction": "Complete {{this}}:\n\n{head}",
    "response": "{head}{body}",
    "tests": "{check}\ncheck({name})",
    "group": "id",
}
ROWS: list[dict[str, Any]] = [
    {"id": number, "head": f"def add{number}(x):\n", "body": f"    return x + {number}\n", "name": f"add{number}",
     "check": ["def check(f):", f"    assert f(1) == {number + 1}"]}
    for number in range(12)
]  # fmt: skip


def rows_of(folder: Path, source: dict[str, Any], sizes: dict[str, int]) -> list[Row]:
    group = Prepare.model_validate(
        {"near_duplicates": None, "code": {"source": source, "max_chars": {"prompt": None, "response": None}, **sizes}}
    )
    return load({"code": "watched"}, group, folder, 1, memory=folder / "memory").rows["code"]


def own(path: str, **changes: Any) -> dict[str, Any]:
    return {"kind": "files", "path": path, "columns": COLUMNS | changes}


@pytest.mark.parametrize("packed", [False, True])
def test_templates_fill_in_columns(tmp_path: Path, packed: bool) -> None:
    sources.write_jsonl(tmp_path / "code.jsonl", ROWS)
    name = "code.jsonl"
    if packed:
        name += ".gz"
        (tmp_path / name).write_bytes(gzip.compress((tmp_path / "code.jsonl").read_bytes()))
    rows = rows_of(tmp_path, own(name), sources.SIZES)
    assert len(rows) == 12
    row = next(row for row in rows if row.group == "3")
    assert row.instruction == "Complete {this}:\n\ndef add3(x):\n"
    assert row.response == "def add3(x):\n    return x + 3\n"
    assert row.tests == ["def check(f):\n    assert f(1) == 4\ncheck(add3)"]


def test_a_csv_file_may_be_packed(tmp_path: Path) -> None:
    sources.write_csv(tmp_path / "code.csv", [{**row, "check": "pass"} for row in ROWS])
    (tmp_path / "code.csv.gz").write_bytes(gzip.compress((tmp_path / "code.csv").read_bytes()))
    assert len(rows_of(tmp_path, own("code.csv.gz", group=None, tests=None), sources.SIZES)) == 12


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-20], lambda data: b"{}" + data, lambda data: data[:200] + b"\0" * 9 + data[209:]]
)
def test_a_damaged_archive_is_named(tmp_path: Path, damage: Any) -> None:
    data = gzip.compress("".join(json.dumps(row) + "\n" for row in ROWS).encode())
    (tmp_path / "code.jsonl.gz").write_bytes(damage(data))
    with pytest.raises(InputError, match=r"code\.jsonl\.gz: not whole gzip"):
        rows_of(tmp_path, own("code.jsonl.gz"), sources.SIZES)


def test_a_template_with_an_unknown_column(tmp_path: Path) -> None:
    sources.write_jsonl(tmp_path / "code.jsonl", ROWS)
    with pytest.raises(InputError, match=r"line 1: no column 'heads'; .*did you mean 'head'"):
        rows_of(tmp_path, own("code.jsonl", instruction="{heads}"), sources.SIZES)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "site" / "some_data"
    (folder / "data").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise RuntimeError('imported')\n")
    sources.write_jsonl(folder / "data" / "rows.jsonl", ROWS)
    sources.write_jsonl(tmp_path / "site" / "beside.jsonl", ROWS)
    monkeypatch.syspath_prepend(tmp_path / "site")
    return folder / "data" / "rows.jsonl"


def inside(file: Path, **changes: Any) -> dict[str, Any]:
    source = {"kind": "package", "package": "some_data", "path": "data/rows.jsonl", "sha256": file_hash(file)}
    return {**source, "columns": COLUMNS} | changes


def test_rows_of_a_package_that_is_not_imported(package: Path, tmp_path: Path) -> None:
    assert len(rows_of(tmp_path, inside(package), sources.SIZES)) == 12


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"package": "no_such_data"}, "the Python package no_such_data is not installed; install it"),
        ({"path": "data/other.jsonl"}, "no such file in the package some_data"),
        ({"path": "../beside.jsonl"}, "no such file in the package some_data"),
        ({"sha256": "0" * 64}, "its SHA-256 is "),
    ],
)
def test_what_a_package_must_hold(package: Path, tmp_path: Path, changes: dict[str, str], told: str) -> None:
    with pytest.raises(InputError, match=told):
        rows_of(tmp_path, inside(package, **changes), sources.SIZES)


@pytest.mark.slow
def test_humaneval_has_164_problems_that_their_references_pass(tmp_path: Path) -> None:
    tree = YAML(typ="safe").load(ROOT / "profiles" / "smollm2.yaml")["prepare"]["humaneval"]
    try:
        rows = rows_of(tmp_path, tree["source"], {"train": 0, "val": 0, "test": 164})
    except InputError as error:
        if "is not installed" not in str(error):
            raise
        pytest.skip(str(error))
    assert len({row.group for row in rows}) == 164
    codes = [find_code(row.response, row.instruction) for row in rows]
    jobs = [Job(code or "", row.tests) for code, row in zip(codes, rows, strict=True)]
    verdicts = run_all(jobs, ProgramLimits(10, 512), "best_effort")
    assert [row.group for row, verdict in zip(rows, verdicts, strict=True) if not verdict.passed] == []
    empty = run_all([Job("def nothing(): pass", row.tests) for row in rows[:5]], ProgramLimits(10, 512), "best_effort")
    assert not any(verdict.passed for verdict in empty)
