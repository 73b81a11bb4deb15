"""What measures a card, on a CPU: both sides of each comparison do the same work, and give the same."""

from __future__ import annotations

import argparse
from typing import Any

import pytest
import torch

from bench import gpu_answers, gpu_lora

TINY: dict[str, Any] = {"shape": "tiny", "device": "cpu", "quantize": "none"}


def test_a_round_and_the_peers_make_the_same_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    passes, plain = 0, torch.Tensor.backward

    def backward(self: Any, *arguments: Any, **named: Any) -> Any:
        nonlocal passes
        passes += 1
        return plain(self, *arguments, **named)

    monkeypatch.setattr(torch.Tensor, "backward", backward)
    monkeypatch.setattr(gpu_lora, "clock", lambda device: float(passes))  # a second a pass
    monkeypatch.setattr(gpu_lora, "measure_peak", lambda device: 1e12)
    more: dict[str, Any] = {"updates": 2, "tokens": 12, "batch_size": 4, "keep_activations": True}
    found = gpu_lora.measure(argparse.Namespace(**TINY, **more))
    assert (found["rows_an_update"], found["rows_a_pass"], found["gradient_checkpointing"]) == (8, 4, False)
    assert {side: told["tokens_per_s"] for side, told in found["sides"].items()} == {
        "relearn": 48,
        "transformers.Trainer": 48,
    }
    assert found["ratio"] == 1.0


def test_rows_of_a_pass_divide_those_of_an_update() -> None:
    with pytest.raises(SystemExit, match="an update has 8 rows"):
        gpu_lora.measure(argparse.Namespace(**TINY, updates=1, tokens=12, batch_size=3, keep_activations=False))


def test_answers_and_likelihoods_are_those_of_the_peers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_answers, "measure_peak", lambda device: 1e12)
    more: dict[str, Any] = {"prompts": 5, "batches": [2, 5], "prompt": 12, "limit": 6}
    found = gpu_answers.measure(argparse.Namespace(**TINY, **more))
    for size in (2, 5):
        of_size = found[f"{size} at a time"]
        assert of_size["decoding"]["equal"] == 1.0
        ours, theirs = of_size["likelihoods"].values()
        assert ours["nats"] == pytest.approx(theirs["nats"], abs=0.2)
        assert ours["nats"] > 5 * 6  # five references of six tokens, of 512 words


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a card")
def test_without_a_card_it_says_what_to_do() -> None:
    with pytest.raises(SystemExit, match="no CUDA device here; --shape tiny --device cpu"):
        gpu_answers.measure(argparse.Namespace(shape="tiny", device="cuda", quantize="none"))
