"""A key that is read also does something: each of these changes the output named, and nothing else changes it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import Clone
from tests.integration.desk import Desk

ROWS = [
    {"name": side, "instruction": f"Please {side}.\n\n{{text}}", "response": side} for side in ("agree", "disagree")
]
# The key, another value, the stage, and the output that changes.
EFFECTS: list[tuple[str, Any, str, str]] = [
    ("prepare.reviews.test", 6, "prepare", "data/held_out_sources.jsonl"),
    ("prepare.code.train", 50, "prepare", "data/train.jsonl"),
    ("generate.teacher.breakage.fence", 0.6, "generate", "data/replies.jsonl"),
    ("generate.temperature", 0.1, "generate", "data/replies.jsonl"),
    ("generate.reviews.prompt", "original", "generate", "data/replies.jsonl"),
    ("generate.price_output", 1.0, "generate", "metrics/generate.json"),
    ("repair.reviews.checks", [{"kind": "length", "min": 163, "max": 1200}], "repair", "data/instructions.jsonl"),
    ("repair.reviews.checks", [{"kind": "boilerplate", "phrases": ["you are right"]}], "repair", "data/quarantine.jsonl"),
    ("repair.reviews.rows", ROWS, "repair", "data/instructions.jsonl"),
    ("base.model.hidden", 16, "base", "models/base/model.safetensors"),
    ("base.model.review_instruction", None, "base", "models/base/model.safetensors"),
    ("chat.template", "{% for m in messages %}<|{{ m.role }}|> {{ m.content }}<|end|>{% endfor %}"
     "{% if add_generation_prompt %}<|assistant|> {% endif %}", "base", "models/base/chat_template.jinja"),
    ("finetune_2b.epochs", 1, "finetune_2b", "models/2b/adapter_model.safetensors"),
    ("finetune.lora.rank", 2, "finetune_2b", "models/2b/adapter_model.safetensors"),
    ("finetune.schedule", "constant", "finetune_2b", "models/2b/adapter_model.safetensors"),
    ("finetune.eval_every", 2, "finetune_2b", "metrics/losses/2b.csv"),
    ("finetune_2c.share", 0.5, "finetune_2c", "models/2c/provenance.json"),
    ("finetune_2c.data", "combined", "finetune_2c", "models/2c/adapter_model.safetensors"),
    ("predict.max_new_tokens.code", 4, "predict", "data/predictions/2b.jsonl"),
    ("predict.strategy", {"kind": "temperature", "temperature": 2.0}, "predict", "data/predictions/2b.jsonl"),
    ("eval_3a.resamples", 200, "eval_3a", "metrics/intervals.json"),
    ("eval_3a.encoder_layers", 3, "eval_3a", "metrics/signatures.json"),
]  # fmt: skip


def digest(desk: Desk, name: str) -> str:
    return hashlib.sha256((desk.folder / name).read_bytes()).hexdigest()


@pytest.fixture
def desk(
    reproduced: Clone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Desk:
    return Desk(reproduced, tmp_path / "desk", monkeypatch, capsys)


@pytest.mark.parametrize(("key", "value", "stage", "output"), EFFECTS, ids=lambda part: str(part)[:40])
def test_the_key_changes_the_output(desk: Desk, key: str, value: Any, stage: str, output: str) -> None:
    before = digest(desk, output)
    desk.set(**{key.replace(".", "__"): value})
    ended = desk.run(stage)
    assert ended.status == 0, ended.errors
    assert digest(desk, output) != before


@pytest.mark.parametrize("stage", dict.fromkeys(stage for _, _, stage, _ in EFFECTS))
def test_without_a_change_a_stage_writes_the_same_bytes(desk: Desk, stage: str) -> None:
    before = desk.state()
    ended = desk.run(stage)
    assert ended.status == 0, ended.errors
    assert desk.state() == before


@pytest.mark.parametrize(("key", "value"), [("probe_3b__ngram", 2), ("probe_3b__loop_share", 1.0)])
def test_what_makes_a_loop_changes_the_probe(desk: Desk, key: str, value: float) -> None:
    rows = desk.rows("data/predictions/2b.jsonl")
    looping = "The sea is big. The sky is. The sea is big. The sky is. The winter is cold. The sea is big."
    desk.put("data/predictions/2b.jsonl", [{**row, "prediction": looping} for row in rows])
    desk.set(probe_3b__ngram=4, probe_3b__loop_share=0.5)
    assert desk.run("probe_3b").status == 0
    before = digest(desk, "metrics/probe_3b.json")
    desk.set(**{key: value})
    assert desk.run("probe_3b").status == 0
    assert digest(desk, "metrics/probe_3b.json") != before


@pytest.mark.parametrize(("name", "stage", "output"), [
    ("lr: 0.01", "finetune_2b", "models/2b/adapter_model.safetensors"),
    ("method: plain", "finetune_2b", "models/2b/adapter_model.safetensors"),
    ("lr: 0.01", "finetune_2c", "models/2c/adapter_model.safetensors"),
    ("seed: 1222", "prepare", "data/train.jsonl"),
    ("seed: 1222", "base", "models/base/model.safetensors"),
    ("seed: 1222", "finetune_2b", "models/2b/adapter_model.safetensors"),
])  # fmt: skip
def test_what_is_swept_changes_the_output(desk: Desk, name: str, stage: str, output: str) -> None:
    before = digest(desk, output)
    desk.replace("params.yaml", name, name.replace("0.01", "0.001").replace("1222", "5").replace("plain", "replay"))
    assert desk.run(stage).status == 0
    assert digest(desk, output) != before
