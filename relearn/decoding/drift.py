"""How far a model has moved from its base, where the base goes: what is measured without any old data.

Shenfeld et al. (2025, arXiv 2509.04259) find that forgetting follows KL(π₀‖π) on the new task, whatever the training. Here
it is exact over the vocabulary at each token of answers that the base drew itself, at temperature 1: along its own answers the
mean of the exact divergence has much less noise than that of log π₀(y) − log π(y), whose expectation it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

from relearn.chat import Chat
from relearn.decoding.items import Decoded
from relearn.records import Message


@dataclass(frozen=True)
class DrawnAnswer:
    """A prompt and the base's answer, as tokens."""

    prompt: tuple[int, ...]
    answer: tuple[int, ...]

    @classmethod
    def of(cls, chat: Chat, prompt: Sequence[Message], answer: Decoded) -> DrawnAnswer:
        """The end token of an answer that was cut at its limit is not the base's, and is left out."""
        tokens = chat.encode_response(answer.text)
        if answer.finish_reason == "length":
            tokens = tokens[: -len(chat.end)]
        return cls(tuple(chat.encode_prompt(prompt)), tuple(tokens))


def measure_drift(model: Any, drawn: DrawnAnswer) -> float:
    """KL(π₀‖π) in nats, summed over the answer's tokens. `model` is PEFT's; π₀ is it without its adapter."""
    with torch.inference_mode():
        own = _find_log_probabilities(model, drawn)
        with model.disable_adapter():
            base = _find_log_probabilities(model, drawn)
        return float(functional.kl_div(own, base, reduction="sum", log_target=True))


def _find_log_probabilities(model: Any, drawn: DrawnAnswer) -> torch.Tensor:
    """(answer tokens, vocabulary), of what follows the prompt and each token but the last."""
    ids = torch.tensor([[*drawn.prompt, *drawn.answer]], device=model.device)
    kept = torch.arange(len(drawn.prompt) - 1, ids.shape[1] - 1, device=model.device)
    logits = model(input_ids=ids, logits_to_keep=kept).logits[0]
    if len(logits) != len(kept):  # of a model that does not choose
        logits = logits[kept]
    return logits.float().log_softmax(-1)  # type: ignore[no-any-return]
