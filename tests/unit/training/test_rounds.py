"""Adapters: fresh, continued, and saved with bytes that depend on the training alone."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch

from relearn.chat import Chat
from relearn.errors import InputError
from relearn.models import FrozenBase
from relearn.params.finetune import Lora
from relearn.training.rounds import continue_adapter, new_adapter, replace_folder, save_adapter
from relearn.training.rows import encode
from tests.unit.tiny import ROWS as CONVERSATIONS
from tests.unit.tiny import TEMPLATE, model, tokenizer
from tests.unit.training.test_trainer import run

WORDS = tokenizer()
CHAT = Chat(WORDS, TEMPLATE)
ROWS = encode(CONVERSATIONS[:40], CHAT, 64)
LORA = Lora(rank=4, alpha=8, dropout=0.0, targets=["v_proj", "q_proj", "down_proj"])
IDS = torch.tensor([ROWS.rows[0].ids])


def hashes(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def tuned(scratch: Path, target: Path) -> Any:
    base = model(WORDS)
    torch.manual_seed(5)
    adapter = new_adapter(base, LORA)
    run(scratch, small=adapter, rows=ROWS)
    save_adapter(adapter, target, {"rows": len(ROWS)}, "card\n")
    return adapter


def test_a_fresh_adapter_changes_nothing_and_trains_only_itself() -> None:
    before = model(WORDS)(input_ids=IDS).logits
    adapter = new_adapter(model(WORDS), LORA)
    assert torch.equal(adapter(input_ids=IDS).logits, before)
    assert all("lora_" in name for name, weight in adapter.named_parameters() if weight.requires_grad)


def test_the_saved_folder_is_the_same_whoever_writes_it(tmp_path: Path) -> None:
    tuned(tmp_path / "a", tmp_path / "one" / "2b")
    tuned(tmp_path / "b", tmp_path / "other" / "2b")
    assert hashes(tmp_path / "one" / "2b") == hashes(tmp_path / "other" / "2b")
    assert sorted(hashes(tmp_path / "one" / "2b")) == [
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
        "provenance.json",
    ]
    config = json.loads((tmp_path / "one" / "2b" / "adapter_config.json").read_text())
    assert config["target_modules"] == ["down_proj", "q_proj", "v_proj"]
    assert config["base_model_name_or_path"] == "models/base"
    assert str(tmp_path) not in (tmp_path / "one" / "2b" / "adapter_config.json").read_text()


def test_a_continued_adapter_starts_where_the_last_ended_and_leaves_it(tmp_path: Path) -> None:
    end = tuned(tmp_path / "scratch", tmp_path / "2b").eval()(input_ids=IDS).logits
    before = hashes(tmp_path / "2b")
    next_round = continue_adapter(model(WORDS), tmp_path / "2b")
    assert torch.equal(next_round.eval()(input_ids=IDS).logits, end)
    run(tmp_path / "scratch2", small=next_round, rows=encode(CONVERSATIONS[40:], CHAT, 64))
    save_adapter(next_round, tmp_path / "2c", {}, "card\n")
    assert hashes(tmp_path / "2b") == before
    assert hashes(tmp_path / "2c")["adapter_model.safetensors"] != before["adapter_model.safetensors"]


def test_checkpointed_activations_give_the_same_adapter(tmp_path: Path) -> None:
    """Under a frozen embedding, recomputation can silently cut the adapter off from the loss."""
    learned = []
    for checkpointing in (False, True):
        base = model(WORDS)
        torch.manual_seed(5)
        adapter = new_adapter(base, LORA)
        _, history = run(tmp_path / str(checkpointing), small=adapter, rows=ROWS, gradient_checkpointing=checkpointing)
        learned.append(({n: p for n, p in adapter.named_parameters() if "lora_B" in n}, history))
    (plain, looks), (recomputed, again) = learned
    assert all(weight.abs().max() > 0 for weight in recomputed.values())
    for name, weight in plain.items():
        torch.testing.assert_close(recomputed[name], weight, rtol=1e-3, atol=1e-5, msg=name)
    assert [look["code"] for look in again] == pytest.approx([look["code"] for look in looks], abs=1e-4)


def test_switching_adapters_gives_each_its_own_logits(tmp_path: Path) -> None:
    tuned(tmp_path / "scratch", tmp_path / "2b")
    model(WORDS).save_pretrained(tmp_path / "base")
    WORDS.save_pretrained(tmp_path / "base")
    base = FrozenBase(tmp_path / "base", "cpu")
    alone = continue_adapter(model(WORDS), tmp_path / "2b").eval()
    for _ in range(2):
        assert torch.equal(base.put(None)(input_ids=IDS).logits, model(WORDS)(input_ids=IDS).logits)
        adapted = base.put(tmp_path / "2b")
        assert torch.equal(adapted(input_ids=IDS).logits, alone(input_ids=IDS).logits)
        assert not any(weight.requires_grad for weight in adapted.parameters())
    assert base.loads == 1


def test_a_folder_without_an_adapter_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no adapter"):
        continue_adapter(model(WORDS), tmp_path)


def test_a_failed_write_leaves_the_old_folder(tmp_path: Path) -> None:
    with replace_folder(tmp_path / "2b") as folder:
        (folder / "a").write_text("old")
    with suppress(KeyboardInterrupt), replace_folder(tmp_path / "2b") as folder:
        (folder / "a").write_text("new")
        raise KeyboardInterrupt
    assert [path.name for path in tmp_path.iterdir()] == ["2b"]
    assert (tmp_path / "2b" / "a").read_text() == "old"
