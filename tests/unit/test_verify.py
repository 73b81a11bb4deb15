"""The comparison behind `make verify` sees what it is there to see; the two whole chains are a slow test."""

from __future__ import annotations

import datetime
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from tests import verify
from tests.conftest import ROOT

LOCK = "schema: '2.0'\nstages:\n  one:\n    outs:\n    - path: models/base\n    - path: data/rows.jsonl\n"


def checkout(folder: Path) -> Path:
    """A folder with what is compared, and some that is not."""
    for name, content in {
        "dvc.lock": LOCK,
        "models/base/weights": "\0\1\2",
        "data/rows.jsonl": '{"id": "a"}\n{"id": "b"}\n',
        "metrics/m.json": "{}",
        "report/index.html": "<p>",
        ".cache/runs/one.json": str(folder),
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    return folder


@pytest.fixture
def pair(tmp_path: Path) -> list[Path]:
    return [checkout(tmp_path / "one"), checkout(tmp_path / "other")]


def told(pair: list[Path]) -> list[str]:
    return [str(found) for found in verify.compare(*pair)]


def test_equal_outputs_are_equal(pair: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert told(pair) == []
    assert verify.verdict(pair, [Path("/home/one"), Path("/home/two")]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("verify: OK: 5 files, ")


def test_a_byte_is_found_with_its_place(pair: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    (pair[1] / "data/rows.jsonl").write_text('{"id": "a"}\n{"id": "c"}\n')
    (pair[1] / "models/base/weights").write_text("\0\1\3")
    assert told(pair) == [
        """data/rows.jsonl: byte 20, line 2: b'{"id": "a"}\\n{"id": "b"}\\n' / b'{"id": "a"}\\n{"id": "c"}\\n'""",
        "models/base/weights: byte 2: b'\\x00\\x01\\x02' / b'\\x00\\x01\\x03'",
    ]
    assert verify.verdict(pair, [Path("/home/one"), Path("/home/two")]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "verify: FAILED: 2 differences in 5 files"


def test_a_file_too_many_too_few_or_longer_is_found(pair: list[Path]) -> None:
    (pair[0] / "report/left.md").write_text("")
    (pair[1] / "models/.hidden").write_text("")
    (pair[1] / "metrics/m.json").write_text("{}\n\n")
    assert told(pair) == [
        "metrics/m.json: byte 2: one ends there, the other has 2 bytes more",
        "models/.hidden: only in the second clone",
        "report/left.md: only in the first clone",
    ]


@pytest.mark.parametrize("file", ["models/base/weights", "data/rows.jsonl"])
@pytest.mark.parametrize("kind", ["folder", "home", "day", "machine"])
def test_what_an_output_must_not_hold(pair: list[Path], file: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "node", lambda: "buildbox7")
    home = Path("/home/someone")
    assert verify.traces(pair[0], home) == []
    word = {"folder": f"{pair[0]}/models", "home": f"{home}/.cache", "day": str(datetime.date.today())}.get(
        kind, "on buildbox7."
    )
    (pair[0] / file).write_text(f"\0 {word} ")
    assert len(verify.traces(pair[0], home)) == 1
    # inputs may hold what they like
    (pair[0] / file).write_text("")
    (pair[0] / "data/source.csv").write_text(word)
    assert verify.traces(pair[0], home) == []


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_two_clones_of_head_write_the_same_bytes() -> None:
    if subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, check=False).returncode:
        pytest.skip("not a git checkout, so there is no HEAD to clone")
    done = subprocess.run(
        [sys.executable, "-m", "tests.verify", "--profile", "tiny"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].startswith("verify: OK: ")
