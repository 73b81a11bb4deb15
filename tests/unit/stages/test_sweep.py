"""`make sweep`: which rates a machine takes, what dvc is told, and what is said of runs that failed."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from relearn.errors import InputError
from relearn.params import load
from stages import experiments, frontier, sweep
from stages.paths import Paths
from tests.conftest import ROOT


class Dvc:
    """Stands for dvc: notes what it is told, and has the experiments that it was told to run, `broken` ones apart."""

    def __init__(self, *there: str, broken: str = "") -> None:
        self.there, self.broken = set(there), broken
        self.told: list[str] = []
        self.queued: list[str] = []

    def ask(self, paths: Paths, *arguments: str) -> int:
        self.told.append(" ".join(arguments))
        name = arguments[arguments.index("--name") + 1] if "--name" in arguments else arguments[-1]
        if arguments[1] == "remove":
            self.there.remove(name)
        elif "--queue" in arguments:
            self.queued.append(name)
        elif "--run-all" in arguments:
            self.there |= {*self.queued} - {self.broken}
        elif name == self.broken:
            return 1
        else:
            assert name not in self.there, "dvc refuses a name that is taken"
            self.there.add(name)
        return 0


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    shutil.copytree(ROOT / "profiles", tmp_path / "profiles")
    shutil.copy(ROOT / "params.yaml", tmp_path)
    return Paths.of(tmp_path)


def run(monkeypatch: pytest.MonkeyPatch, paths: Paths, dvc: Dvc, *arguments: str) -> list[str]:
    """Runs the command, and returns what was drawn at its end."""
    drawn: list[str] = []
    for module in (experiments, sweep):
        monkeypatch.setattr(module, "ask_dvc", dvc.ask)
    monkeypatch.setattr(sweep, "list_names", lambda _: set(dvc.there))
    monkeypatch.setattr(frontier, "write", lambda *_, **__: drawn.append("frontier"))
    monkeypatch.setattr(sys, "argv", ["sweep", *arguments])
    sweep.work(load(paths.root), paths)
    return drawn


def test_parts_share_everything_out() -> None:
    assert experiments.take_part("abcde", None) == list("abcde")
    assert [experiments.take_part("abcde", f"{which}/3") for which in (1, 2, 3)] == [["a", "d"], ["b", "e"], ["c"]]
    assert experiments.take_part("ab", "3/3") == []
    for wrong in ("0/2", "3/2", "1", "a/b", "1/2/3", "-1/2"):
        with pytest.raises(InputError, match=rf"--part {wrong}: expected WHICH/OF, such as 1/2"):
            experiments.take_part("ab", wrong)


def test_one_after_the_other_in_the_place_of_an_earlier_one(monkeypatch: pytest.MonkeyPatch, paths: Paths) -> None:
    dvc = Dvc("lr-2e-3", "other")
    assert run(monkeypatch, paths, dvc, "1e-3", "2e-3", "1e-3") == ["frontier"]
    assert dvc.told == [
        "exp run --temp --name lr-1e-3 --set-param lr=1e-3",
        "exp remove --quiet lr-2e-3",
        "exp run --temp --name lr-2e-3 --set-param lr=2e-3",
    ]
    assert dvc.there == {"lr-1e-3", "lr-2e-3", "other"}


def test_a_part_runs_its_rates_and_draws_nothing(
    monkeypatch: pytest.MonkeyPatch, paths: Paths, capsys: pytest.CaptureFixture[str]
) -> None:
    dvc = Dvc()
    assert run(monkeypatch, paths, dvc, "1e-3", "2e-3", "5e-3", "--part", "2/2") == []
    assert dvc.there == {"lr-2e-3"}
    assert "1 of 3 rates are part 2/2; `python -m stages.share` sends them" in capsys.readouterr().err


@pytest.mark.parametrize("queue", [[], ["--queue", "2"]])
def test_what_failed_is_named_and_does_not_stop_the_others(
    monkeypatch: pytest.MonkeyPatch, paths: Paths, queue: list[str]
) -> None:
    dvc = Dvc("lr-2e-3", broken="lr-1e-3")
    with pytest.raises(InputError, match=r"^lr-1e-3 did not finish, 2 of 3 did; .* run again") as error:
        run(monkeypatch, paths, dvc, "1e-3", "2e-3", "5e-3", *queue)
    assert dvc.there == {"lr-2e-3", "lr-5e-3"}
    assert ("exp run --run-all --jobs 2" in dvc.told) == bool(queue)
    assert str(error.value).endswith("without --queue") == bool(queue)


def test_a_wrong_rate_runs_nothing(monkeypatch: pytest.MonkeyPatch, paths: Paths) -> None:
    dvc = Dvc()
    for arguments, said in (
        (["1e-3", "fast"], r"'fast'; usage: python -m stages\.sweep RATE"),
        (["1e-3", "9"], "lr"),
        ([], "usage"),
        (["1e-3", "--queue", "0"], "usage"),
        (["1e-3", "--half"], "--half: usage"),
        (["1e-3", "--part", "2"], "--part 2: expected WHICH/OF"),
    ):
        with pytest.raises(InputError, match=said):
            run(monkeypatch, paths, dvc, *arguments)
    assert dvc.told == []
