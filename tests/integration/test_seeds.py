"""Rounds run again with further seeds: apart from the main ones, which stay as they are; kept whole through a kill."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from stages import rounds
from tests.integration.conftest import Clone
from tests.integration.desk import Desk

MAIN = (
    "models/2b/adapter_model.safetensors",
    "models/2b/provenance.json",
    "models/2c/adapter_model.safetensors",
    "metrics/losses/2b.csv",
    "data/predictions/2b.jsonl",
    "data/predictions/2c.jsonl",
    "metrics/eval_3a/2b.json",
    "metrics/eval_3a/2c.json",
)


@pytest.fixture
def desk(
    reproduced: Clone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Desk:
    return Desk(reproduced, tmp_path / "desk", monkeypatch, capsys)


def digests(desk: Desk, names: tuple[str, ...]) -> dict[str, str]:
    return {name: hashlib.sha256((desk.folder / name).read_bytes()).hexdigest() for name in names}


def done(desk: Desk, *stages: str) -> None:
    for stage in stages:
        ended = desk.run(stage)
        assert ended.status == 0, ended.errors


def test_further_seeds_are_trained_decoded_and_spread_over(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    before = digests(desk, MAIN)
    desk.set(seeds=[5, 6])
    real = rounds.train  # type: ignore[attr-defined]
    calls: list[object] = []

    def dying(*arguments: object) -> object:
        calls.append(arguments)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(rounds, "train", dying)
    assert desk.run("finetune_2b").status == 130  # in the last of three rounds
    monkeypatch.setattr(rounds, "train", real)
    ended = desk.run("finetune_2b")
    assert ended.status == 0, ended.errors
    assert ended.errors.count("going on from checkpoint") >= 2  # the finished rounds were not trained again
    assert not [path for path in (desk.folder / ".cache/finetune_2b").iterdir() if "live" not in path.name]
    desk.write("requirements.txt", "")
    done(desk, "finetune_2c", "predict", "eval_3a", "report")
    assert digests(desk, MAIN) == before

    for seed in ("5", "6"):
        for model in ("2b", "2c"):
            folder = desk.folder / "models" / model / "seeds" / seed
            facts = json.loads((folder / "provenance.json").read_text())
            assert facts["seed"] == int(seed)
            assert (folder / "losses.csv").read_text().startswith("step,task,loss\n")
        assert facts["continues"] == f"models/2b/seeds/{seed}"
    weights = {
        (desk.folder / f"models/2b{more}/adapter_model.safetensors").read_bytes()
        for more in ("", "/seeds/5", "/seeds/6")
    }
    assert len(weights) == 3
    rows = {
        (model, seed): desk.rows(f"data/predictions/seeds/{seed}/{model}.jsonl")
        for seed in (5, 6)
        for model in ("2b", "2c")
    }
    main = [row["id"] for row in desk.rows("data/predictions/2b.jsonl")]
    assert all([row["id"] for row in answers] == main for answers in rows.values())
    assert rows["2b", 5][0]["nll"] != rows["2b", 6][0]["nll"]
    over = json.loads((desk.folder / "metrics/intervals.json").read_text())["seeds"]
    assert over["seeds"] == [1222, 5, 6]
    assert over["tasks"]["code"]["2b"]["bpb"]["sd"] > 0
    assert "± " in (desk.folder / "report/table_3a.md").read_text()
    assert "## Over training seeds" in (desk.folder / "report/analysis.md").read_text()


def test_a_seed_that_is_there_twice_is_refused(desk: Desk) -> None:
    for listed, said in (([1222], "is the main seed"), ([5, 5], "is listed twice"), ([-1], "out of bounds")):
        desk.set(seeds=listed)
        ended = desk.run("finetune_2b")
        assert ended.status == 1
        assert said in ended.errors
        assert "seeds: " in ended.errors
