"""The predict stage over an endpoint: three models by name, and no answer of other weights."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from relearn.errors import InputError
from relearn.files import read_jsonl, write_jsonl
from relearn.params import Params
from relearn.records import Message, Prediction, Row
from stages import predict
from stages.paths import Paths
from tests.unit.decoding.serving import Body, Reply, Served
from tests.unit.params.test_groups import SERVED
from tests.unit.params.test_load import RATES, parsed

PROBE = "- {id: p1, kind: poem, instruction: Sing., check: [{type: sentences, min: 1}]}\n"

MODELS = ("base", "2b", "2c")


def params(base_url: str, key: str | None = None) -> Params:
    tree: dict[str, Any] = {
        "profile": "mini",
        "lr": RATES["mini"],
        "seed": 1,
        "method": "plain",
        **copy.deepcopy(parsed("mini")),
    }
    tree["predict"]["backend"] = {**SERVED, "base_url": base_url, "api_key_env": key}
    return Params.model_validate(tree)


def named(name: str) -> Any:
    def reply(body: Body) -> Reply:
        return f"{name}: {body['messages'][0]['content']}", "stop"

    return reply


@pytest.fixture
def house(tmp_path: Path) -> Paths:
    for name in MODELS:
        (tmp_path / "models" / name).mkdir(parents=True)
        (tmp_path / "models" / name / "weights").write_text(name)
    paths = Paths.of(tmp_path)
    messages = [Message(role="user", content="Write."), Message(role="assistant", content="x = 1")]
    code = Row(id="c1", task="code", role="replayed", group="g", split="test", messages=messages, tests=[])
    write_jsonl(paths.held_out, [code])
    write_jsonl(paths.held_out_instructions, [])
    write_jsonl(paths.skill_items, [])
    paths.probes("mini").parent.mkdir(parents=True)
    paths.probes("mini").write_text(PROBE)
    return paths


def test_each_model_answers_under_its_name_and_retrained_weights_are_asked_anew(house: Paths) -> None:
    with Served({name: named(name) for name in ("b", "c", "d")}) as served:
        tree = params(served.base_url)
        predict.work(tree, house)
        for model, name in zip(MODELS, "bcd", strict=True):
            rows = list(read_jsonl(house.predicted(model), Prediction))
            assert [row.prediction for row in rows] == [f"{name}: Write.", f"{name}: Sing."]
            assert [(row.id, row.nll, row.bytes) for row in rows] == [("c1", None, 5), ("p1", None, None)]
        assert len(served.bodies) == 6
        predict.work(tree, house)
        assert len(served.bodies) == 6
        (house.adapter("2b") / "weights").write_text("trained again")
        predict.work(tree, house)
        assert [body["model"] for body in served.bodies[6:]] == ["c", "c"]


def test_a_key_that_is_not_set_is_one_line(house: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SERVER_KEY", raising=False)
    with pytest.raises(InputError, match="SERVER_KEY is not set"):
        predict.work(params("http://127.0.0.1:9/v1", "SERVER_KEY"), house)
    assert not house.predictions.exists()
