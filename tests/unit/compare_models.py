"""Models that the tests of relearn.compare share: a tiny base that knows its rows, and adapters that do not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from transformers import set_seed

from relearn.records import make_turns
from relearn.training import scratch
from relearn.training.rows import encode
from tests.unit import tiny
from tests.unit.training.test_trainer import CHAT, WORDS, run

OLD = [(f"{verb} {word}.", f"{word} {word}") for verb in ("Say", "Do") for word in tiny.WORDS]
NEW = [(f"Now say {word}.", f"{word} then {word}") for word in tiny.WORDS]


def make(folder: Path) -> None:
    """`base`, an adapter `forgot` that ruins it, an adapter `same` that changes nothing, `merged`: forgot as a whole."""
    set_seed(0)
    untrained = scratch.new_model(WORDS, tiny.shape(hidden=32, intermediate=64))
    rows = encode([make_turns(*pair) for pair in OLD], CHAT, 64)
    often = {"epochs": 40, "lr": 0.02, "eval_every": 60, "checkpoint_every": 60}
    base: Any = run(folder / "scratch", untrained, rows, **often)[0].eval()
    base.save_pretrained(folder / "base")
    WORDS.save_pretrained(folder / "base")
    config = LoraConfig(r=4, lora_alpha=4, target_modules=["q_proj", "v_proj", "down_proj"])
    wrapped: Any = get_peft_model(base, config)
    wrapped.save_pretrained(folder / "same")  # B starts at 0
    generator = torch.Generator().manual_seed(5)
    for name, weights in wrapped.named_parameters():
        if "lora_B" in name:
            weights.data = 4 * torch.randn(weights.shape, generator=generator)
    wrapped.save_pretrained(folder / "forgot")
    merged = wrapped.merge_and_unload()
    merged.save_pretrained(folder / "merged")
    WORDS.save_pretrained(folder / "merged")


def write_rows(folder: Path) -> None:
    """old.jsonl, new.jsonl and probes.yaml."""
    for name, pairs in (("old", OLD), ("new", NEW)):
        lines = [json.dumps({"prompt": question, "output": answer}) + "\n" for question, answer in pairs]
        (folder / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
    (folder / "probes.yaml").write_text(
        "- id: twice\n  kind: words\n  instruction: Do one.\n  check: {type: contains, all: [one one]}\n",
        encoding="utf-8",
    )
