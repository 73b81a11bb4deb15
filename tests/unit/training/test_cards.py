"""What a round does for a card's sake, as far as a CPU can tell: no waiting within an update, one card, less memory."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from peft.tuners.lora import LoraLayer

from bench.tuning import flop_per_token
from relearn import models
from relearn.errors import InputError
from relearn.params.finetune import ALL_LINEAR, Lora
from relearn.training import rounds, trainer
from relearn.training.rows import EncodedRow
from relearn.training.trainer import TrainingArguments, measure_loss, train
from tests.unit.tiny import model
from tests.unit.training.test_trainer import HELD_OUT, ROWS, WORDS, schedule

PAD = WORDS.pad_token_id


def adapted() -> Any:
    """A model that the libraries compute, as on a card: `quick` is for another attention."""
    base = model(WORDS)
    base.config._attn_implementation = "eager"
    return rounds.new_adapter(base, Lora(rank=2, alpha=4, dropout=0.0, targets=[ALL_LINEAR]))


def test_the_device_is_waited_for_once_an_update(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads = 0

    def counting(plain: Callable[..., Any]) -> Callable[..., Any]:
        def read(*arguments: Any) -> Any:
            nonlocal reads
            reads += 1
            return plain(*arguments)

        return read

    # transformers looks at each pass whether its rows are packed, which nothing here can keep it from
    monkeypatch.setattr("transformers.masking_utils.find_packed_sequence_indices", lambda position_ids: None)
    for name in ("item", "tolist", "__int__", "__float__", "__bool__"):
        monkeypatch.setattr(torch.Tensor, name, counting(getattr(torch.Tensor, name)))
    found = {}
    for passes in (1, 4):
        reads = 0
        shape = schedule(epochs=1, batch_size=8 // passes, accumulation=passes, eval_every=100, checkpoint_every=100)
        outcome = train(adapted(), ROWS, {}, PAD, shape, tmp_path / str(passes), "test")
        found[passes] = reads
        assert outcome.tokens_seen == sum(len(row.ids) for row in ROWS.rows)
    assert found[1] == found[4]


def test_a_loss_that_is_no_number_stops_within_its_update(tmp_path: Path) -> None:
    broken = adapted()
    with torch.no_grad():
        next(weight for name, weight in broken.named_parameters() if "lora_B" in name).fill_(math.nan)
    before = {name: weight.clone() for name, weight in broken.named_parameters()}
    with pytest.raises(InputError, match="the loss is nan at update 1; lower lr"):
        train(broken, ROWS, {}, PAD, schedule(batch_size=4, accumulation=2), tmp_path, "test")
    assert all(torch.equal(weight, before[name]) or "lora_B" in name for name, weight in broken.named_parameters())


class SeesTwo(TrainingArguments):
    """Arguments on a machine with two cards."""

    def __post_init__(self) -> None:
        super().__post_init__()
        assert self.n_gpu == 0
        self._n_gpu = 2


def test_several_visible_cards_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = train(model(WORDS), ROWS, HELD_OUT, PAD, schedule(), tmp_path / "one", "test")
    monkeypatch.setattr(trainer, "TrainingArguments", SeesTwo)
    two = train(model(WORDS), ROWS, HELD_OUT, PAD, schedule(), tmp_path / "two", "test")
    assert (two.steps, two.history) == (one.steps, one.history)


def test_under_autocast_no_input_is_cast_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(name: str) -> tuple[list[dict[str, float]], int]:
        cast = 0
        plain = LoraLayer._cast_input_dtype

        def spy(layer: Any, x: Any, dtype: torch.dtype) -> Any:
            nonlocal cast
            found = plain(layer, x, dtype)
            cast += found is not x
            return found

        with monkeypatch.context() as patch:
            patch.setattr(LoraLayer, "_cast_input_dtype", spy)
            small = adapted()
            for weight in small.parameters():
                weight.data = weight.data if weight.requires_grad else weight.data.bfloat16()
            return train(small, ROWS, HELD_OUT, PAD, schedule(bf16=True), tmp_path / name, "test").history, cast

    history, cast = run("ours")
    assert cast == 0
    monkeypatch.setattr(trainer, "disable_input_dtype_casting", lambda model, active: torch.enable_grad())
    same, cast = run("peft's")
    assert cast > 0
    assert history == same


def test_kernels_of_a_card_are_deterministic(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    models.set_seed_and_threads(torch.get_num_threads(), 0)
    # one of the two values that make cuBLAS so: https://docs.nvidia.com/cuda/cublas/#results-reproducibility
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    models.set_seed_and_threads(torch.get_num_threads(), 0)
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":16:8"


def test_held_out_rows_are_read_as_many_at_a_time_as_their_logits_allow(monkeypatch: pytest.MonkeyPatch) -> None:
    small = model(WORDS)
    whole = measure_loss(small, ROWS, PAD, 32)
    longest = max(len(row.ids) for row in ROWS.rows)
    seen: list[int] = []
    plain = trainer.collate

    def spy(rows: list[EncodedRow], pad: int) -> Any:
        seen.append(len(rows))
        assert len(rows) * max(len(row.ids) for row in rows) <= 3 * longest
        return plain(rows, pad)

    monkeypatch.setattr(trainer, "collate", spy)
    monkeypatch.setattr(trainer, "_MOST_LOGITS", 3 * longest * small.config.vocab_size)
    assert measure_loss(small, ROWS, PAD, 32) == pytest.approx(whole, rel=1e-6)
    assert sum(seen) == len(ROWS)
    assert max(seen) >= 3
    monkeypatch.setattr(trainer, "collate", plain)
    monkeypatch.setattr(trainer, "_MOST_LOGITS", 0)  # one row at least
    assert measure_loss(small, ROWS, PAD, 32) == pytest.approx(whole, rel=1e-6)


def test_weights_packed_in_pairs_count_whole() -> None:
    whole, packed = adapted(), adapted()
    for name, weight in packed.named_parameters():
        if not weight.requires_grad and "_proj" in name:
            weight.quant_state = SimpleNamespace(shape=weight.shape)
            weight.data = weight.data.reshape(-1)[: weight.numel() // 2]
    assert flop_per_token(packed, [(64, 20)]) == flop_per_token(whole, [(64, 20)])
