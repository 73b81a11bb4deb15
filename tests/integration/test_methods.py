"""A method is one file and one entry of the profile: another one's re-run nothing. Without old rows 2c is 2b."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from relearn.params.finetune import Methods
from tests.conftest import ROOT
from tests.integration.conftest import Clone, copy
from tests.integration.desk import Desk
from tests.integration.dvc_status import read_status

TINY = "profiles/tiny.yaml"
METHODS = "relearn/training/methods"
# file, old text, new text; the stages that track it
CHANGES = {
    "another method": ("params.yaml", "method: plain", "method: replay", ["finetune_2b", "report", "sample"]),
    "its code": (f"{METHODS}/plain.py", '"""', '"""\n', ["finetune_2b", "sample"]),
    "the core": ("relearn/training/method.py", '"""', '"""\n', ["base", "finetune_2b", "finetune_2c", "sample"]),
    "another's code": (f"{METHODS}/replay.py", '"""', '"""\n', []),
    "another's parameters": (TINY, "share: 0.05", "share: 0.5", ["report"]),  # the report shows every key
    "a new one's parameters": (TINY, "    plain: {}", "    later: {beta: 1}\n    plain: {}", ["report"]),
}


@pytest.fixture(scope="module")
def changed(reproduced: Clone, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    return copy(reproduced, tmp_path_factory.mktemp("changed"))


@pytest.fixture
def desk(
    reproduced: Clone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Desk:
    return Desk(reproduced, tmp_path / "desk", monkeypatch, capsys)


@pytest.mark.parametrize("name", CHANGES)
def test_a_method_runs_only_the_round_that_uses_it(changed: Clone, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    file, old, new, expected = CHANGES[name]
    before = (changed.folder / file).read_text(encoding="utf-8")
    monkeypatch.chdir(changed.folder)
    changed.edit(file, old, new)
    (changed.folder / METHODS / "later.py").write_text("")
    try:
        assert sorted(read_status(changed.folder)) == expected
    finally:
        (changed.folder / file).write_text(before, encoding="utf-8")


def test_the_method_chosen_is_the_one_that_trains(desk: Desk) -> None:
    plain = json.loads((desk.folder / "models/2b/provenance.json").read_text())["rows"]
    desk.set(finetune_2b__methods__replay={"share": 0.5, "control": False})
    desk.replace("params.yaml", "method: plain", "method: replay")
    ended = desk.run("finetune_2b")
    assert ended.status == 0, ended.errors
    assert json.loads((desk.folder / "models/2b/provenance.json").read_text())["rows"] == 2 * plain


@pytest.mark.parametrize("name", [name for name in Methods.model_fields if name not in ("plain", "replay")])
def test_every_method_trains_in_the_chain(desk: Desk, name: str) -> None:
    adapter = desk.folder / "models/2b/adapter_model.safetensors"
    plain = adapter.read_bytes()
    desk.replace("params.yaml", "method: plain", f"method: {name}")
    desk.set(
        finetune_2b__sample={"count": 6, "prompts": "template", "prompt_tokens": 8, "answer_tokens": 8, "batch_size": 4}
    )
    desk.set(finetune_2b__methods__stm={"threshold": 400.0})  # this base is sure of nothing
    samples = []
    for stage in ("sample", "sample", "finetune_2b"):
        ended = desk.run(stage)
        assert ended.status == 0, ended.errors
        samples.append((desk.folder / "data/samples.jsonl").read_bytes())
    assert adapter.read_bytes() != plain
    assert samples[0] == samples[1]
    assert bool(samples[0].strip()) == (name == "self_replay")


def test_the_base_answers_given_prompts(desk: Desk) -> None:
    desk.replace("params.yaml", "method: plain", "method: self_replay")
    desk.set(
        finetune_2b__sample={"count": 5, "prompts": "new", "prompt_tokens": 8, "answer_tokens": 8, "batch_size": 4}
    )
    assert desk.run("sample").status == 0
    known = {json.dumps(row["messages"][:-1]) for row in desk.rows("data/instructions.jsonl")}
    rows = desk.rows("data/samples.jsonl")
    assert 0 < len(rows) <= 5
    assert all(row["given"] and json.dumps(row["messages"][:-1]) in known for row in rows)


@pytest.mark.parametrize("lacking", ["rows", "epochs"])
def test_without_anything_to_replay_2c_is_2b_and_is_not_decoded(desk: Desk, lacking: str) -> None:
    if lacking == "rows":
        desk.put("data/train.jsonl", [row for row in desk.rows("data/train.jsonl") if row["role"] != "replayed"])
    else:
        desk.set(finetune_2c__epochs=0)
    desk.write("requirements.txt", (ROOT / "requirements.txt").read_bytes())
    ended = desk.run("finetune_2c")
    assert (ended.status, ended.errors.count("nothing is replayed, so 2c is a copy of 2b")) == (0, 1)
    tuned, copied = desk.folder / "models/2b", desk.folder / "models/2c"
    for file in ("adapter_model.safetensors", "adapter_config.json"):
        assert (copied / file).read_bytes() == (tuned / file).read_bytes()
    assert json.loads((copied / "provenance.json").read_text())["copied"] == "models/2b"
    assert (desk.folder / "metrics/losses/2c.csv").read_text() == "step,task,loss\n"
    ended = desk.run("predict")
    assert ended.status == 0, ended.errors
    assert sorted(file.name for file in desk.paths.predictions.iterdir()) == ["2b.jsonl", "2c.jsonl", "base.jsonl"]
    assert desk.rows("data/predictions/2c.jsonl") == []
    for stage in ("eval_3a", "probe_3b", "report"):
        ended = desk.run(stage)
        assert ended.status == 0, ended.errors
    assert sorted(file.stem for file in (desk.folder / "metrics/eval_3a").iterdir()) == ["2b", "base"]


def test_replay_with_nothing_to_replay_is_one_line(desk: Desk) -> None:
    desk.put("data/train.jsonl", [row for row in desk.rows("data/train.jsonl") if row["role"] != "replayed"])
    desk.replace("params.yaml", "method: plain", "method: replay")
    ended = desk.run("finetune_2b")
    assert ended.status == 1
    assert ended.errors.strip().endswith("method: replay needs rows of a task of role replayed; add one, or use plain")
