"""Predict computes only what is missing, and writes the bytes of a run that computed everything."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from relearn.decoding import local
from relearn.models import FrozenBase
from tests.integration.conftest import Clone
from tests.integration.desk import Desk


@pytest.fixture
def desk(
    reproduced: Clone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Desk:
    desk = Desk(reproduced, tmp_path / "desk", monkeypatch, capsys)
    desk.set(predict__batch_size=4)
    return desk


class Batches:
    """Counts the batches that are computed, and stops the run at one of them."""

    def __init__(self, patch: pytest.MonkeyPatch, desk: Desk) -> None:
        self.count, self.last, self.desk = 0, 0, desk
        for owner, name in ((local, "_read_text"), (local.Batch, "score")):
            real = getattr(owner, name)
            patch.setattr(owner, name, lambda *given, real=real: self._counted(real, *given))

    def _counted(self, real: Any, *given: Any) -> Any:
        self.count += 1
        if self.count == self.last:
            raise KeyboardInterrupt
        return real(*given)

    def predict(self, last: int = 0) -> tuple[int, dict[str, bytes]]:
        """(answers and batches of likelihoods computed, what is written) of a run that ends at number `last`."""
        self.count, self.last = 0, last
        shutil.rmtree(self.desk.paths.predictions, ignore_errors=True)  # as dvc does before a stage
        ended = self.desk.run("predict")
        assert ended.status == (130 if last else 0), ended.errors
        found = self.desk.paths.predictions
        written = {file.name: file.read_bytes() for file in sorted(found.iterdir())} if found.is_dir() else {}
        return self.count, written


def test_a_killed_run_ends_in_the_bytes_of_a_whole_one(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    batches = Batches(monkeypatch, desk)
    every, whole = batches.predict()
    assert set(whole) == {"2b.jsonl", "2c.jsonl", "base.jsonl"}
    assert batches.predict() == (0, whole)
    shutil.rmtree(desk.paths.cache / "predict")
    for last in (every // 6, every // 2, every // 3):
        batches.predict(last)
    left, again = batches.predict()
    assert again == whole
    assert 0 < left < every // 2


def test_a_scaled_adapter_is_a_further_model_and_computes_its_own_answers_alone(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = Batches(monkeypatch, desk)
    every, whole = batches.predict()
    desk.set(predict__decode_scales=[2, 0.5])
    more, written = batches.predict()
    assert more == 2 * every // 3
    assert {name: written[name] for name in whole} == whole
    nll = {
        name: sum(row["nll"] for row in desk.rows(f"data/predictions/{name}.jsonl") if row["task"] == "reviews")
        for name in ("base", "2b@0.5", "2b")
    }
    assert sorted(nll, key=lambda name: -nll[name]) == list(nll)  # the more of the adapter, the more was learned
    for stage in ("eval_3a", "probe_3b"):
        ended = desk.run(stage)
        assert ended.status == 0, ended.errors
    assert list(json.loads((desk.folder / "metrics/probe_3b.json").read_text())["passed"]) == [
        "base", "2b", "2c", "2b@0.5", "2b@2",
    ]  # fmt: skip
    compared = json.loads((desk.folder / "metrics/intervals.json").read_text())["tasks"]["code"]["comparisons"]
    assert {(one["before"], one["after"]) for one in compared} == {
        ("base", "2b"), ("2b", "2c"), ("base", "2b@0.5"), ("base", "2b@2"),
    }  # fmt: skip
    desk.set(predict__decode_scales=[])
    assert batches.predict() == (0, whole)
    assert desk.run("eval_3a").status == 0
    assert sorted(file.stem for file in (desk.folder / "metrics/eval_3a").iterdir()) == ["2b", "2c", "base"]


def test_a_curve_costs_likelihoods_of_its_factors_alone(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    batches = Batches(monkeypatch, desk)
    loads: list[Any] = []
    real = FrozenBase.__init__
    monkeypatch.setattr(FrozenBase, "__init__", lambda self, *given: loads.append(self) or real(self, *given))
    every, whole = batches.predict()
    desk.set(predict__scales=[0, 0.5, 1, 1.5])
    more, written = batches.predict()
    assert len(loads) == 2
    assert loads[-1].loads == 1
    assert {name: written[name] for name in whole} == whole
    rows = desk.rows("data/predictions/curve.jsonl")
    scored = [row for row in desk.rows("data/predictions/base.jsonl") if row["reference"] is not None]
    likelihoods = sum(-(-sum(row["task"] == task for row in scored) // 4) for task in {row["task"] for row in scored})
    assert more == 2 * likelihoods  # of two factors, a batch of four prompts each; nothing is answered
    assert every > 3 * likelihoods
    assert [row["id"] for row in rows] == [row["id"] for row in scored]
    for place, name in ((0, "base"), (2, "2b")):  # found where they were decoded
        nll = {row["id"]: row["nll"] for row in desk.rows(f"data/predictions/{name}.jsonl")}
        assert [row["nll"][place] for row in rows] == [nll[row["id"]] for row in rows]
    assert all(row["factors"] == [0, 0.5, 1, 1.5] for row in rows)

    desk.set(predict__decode_scales=[0.5])  # its likelihoods are those of the curve
    more, _ = batches.predict()
    decoded = {row["id"]: row["nll"] for row in desk.rows("data/predictions/2b@0.5.jsonl")}
    assert [row["nll"][1] for row in rows] == [decoded[row["id"]] for row in rows]
    assert desk.run("eval_3a").status == 0
    curve = json.loads((desk.folder / "metrics/intervals.json").read_text())["curve"]
    assert curve["factors"] == [0, 0.5, 1, 1.5]
    assert "limit" not in curve
    desk.set(eval_3a__most_lost=0.05, predict__scale_rows=3)
    batches.predict()
    assert desk.run("eval_3a").status == 0
    curve = json.loads((desk.folder / "metrics/intervals.json").read_text())["curve"]
    assert {found["items"] for found in curve["tasks"].values()} == {3}
    assert curve["limit"]["factor"] == 0  # of three rows nothing can be proven
    assert curve["limit"]["stopped"]["factor"] == 0.5


def test_the_references_of_a_task_need_not_be_weighed(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    batches = Batches(monkeypatch, desk)
    _, whole = batches.predict()
    before = desk.rows("data/predictions/2b.jsonl")
    desk.set(predict__likelihoods=["general", "reviews"], predict__scales=[0.5])
    on_curve, _ = batches.predict()
    for old, new in zip(before, desk.rows("data/predictions/2b.jsonl"), strict=True):
        assert new == (old | {"nll": None} if new["task"] == "code" else old)
    rows = desk.rows("data/predictions/curve.jsonl")
    assert {row["task"] for row in rows} == {"general", "reviews"}
    assert on_curve == -(-sum(row["task"] == "general" for row in rows) // 4) - (
        -sum(row["task"] == "reviews" for row in rows) // 4
    )
    assert desk.run("eval_3a").status == 0
    scored = json.loads((desk.folder / "metrics/eval_3a/2b.json").read_text())
    assert "bpb" not in scored["code"]
    assert {"codebleu", "rouge_l"} <= set(scored["code"])
    assert "bpb" in scored["general"]
    desk.set(predict__likelihoods=None, predict__scales=[])
    assert batches.predict() == (0, whole)
    desk.set(predict__likelihoods=["codes"])
    ended = desk.run("predict")
    assert ended.status != 0
    assert "predict.likelihoods.0: codes is not a task (did you mean code?)" in ended.errors


def test_a_changed_task_is_answered_anew_and_no_other(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.own_code()
    batches = Batches(monkeypatch, desk)
    batches.predict()
    desk.set(predict__max_new_tokens__code=15)
    code = sum(row["task"] == "code" for row in desk.rows("data/predictions/base.jsonl"))
    assert batches.predict()[0] == 3 * code  # likelihoods have no limit
    model = desk.folder / "models/2b/adapter_model.safetensors"
    model.write_bytes((desk.folder / "models/2c/adapter_model.safetensors").read_bytes())
    count, written = batches.predict()
    assert count > code
    assert written["2b.jsonl"] == written["2c.jsonl"]
    desk.replace("relearn/decoding/local.py", '"""', '"""\n')
    assert batches.predict()[0] >= 3 * count  # another program is not believed
