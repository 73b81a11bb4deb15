"""Greedy decoding of a batch: the likeliest token each time, with room for the answers made once.

`generate` of transformers copies the keys and values of all earlier tokens at every step, and carries a finished row
along until the last row of its batch has ended. Here a step writes one slot of a buffer, and finished rows are dropped
from the batch. What a row answers is the same: rows never look at each other.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import torch
from transformers import Cache, DynamicCache
from transformers.cache_utils import DynamicLayer

DROP = 8  # rows are dropped when one in so many has ended: dropping copies the others' buffers


class _Room(DynamicLayer):
    """A layer's keys and values, (rows, heads, tokens, width), in a buffer with room for `most` tokens."""

    def __init__(self, most: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.most, self.length = most, 0
        self.rooms: tuple[torch.Tensor, ...] = ()

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        self.dtype, self.device = key_states.dtype, key_states.device
        self.rooms = tuple(
            states.new_empty((*states.shape[:-2], self.most, states.shape[-1])) for states in (key_states, value_states)
        )
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        start, self.length = self.length, self.length + key_states.shape[-2]
        for room, states in zip(self.rooms, (key_states, value_states), strict=True):
            room[..., start : self.length, :] = states
        keys, values = (room[..., : self.length, :] for room in self.rooms)
        return keys, values

    def get_seq_length(self) -> int:
        return self.length

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        kept = [room.new_empty((len(indices), *room.shape[1:])) for room in self.rooms]
        for new, old in zip(kept, self.rooms, strict=True):
            new[:, :, : self.length] = old[indices, :, : self.length]
        self.rooms = tuple(kept)


def supports(model: Any) -> bool:
    """Whether every layer of the model attends to all earlier tokens, and keeps them as `_Room` does.

    Not with an adapter that looks at the prompt: one that puts tokens of its own before it, or begins at some of its
    tokens (aLoRA).
    """
    for adapter in getattr(model, "peft_config", {}).values():
        if adapter.is_prompt_learning or getattr(adapter, "alora_invocation_tokens", None):
            return False
    layers = DynamicCache(config=model.config).layers
    return bool(layers) and all(type(layer) is DynamicLayer for layer in layers)


def continue_prompts(
    model: Any, prompts: Sequence[Sequence[int]], limit: int, ends: Collection[int], pad: int
) -> list[list[int]]:
    """The tokens that follow each prompt, up to and with one of `ends`, at most `limit`; call inside `inference_mode`."""
    width = max(len(prompt) for prompt in prompts)
    ids = torch.tensor([[pad] * (width - len(prompt)) + list(prompt) for prompt in prompts], device=model.device)
    # 0 for padding, 1 for tokens, those to come included
    mask = torch.ones((len(prompts), width + limit), dtype=torch.long, device=model.device)
    for row, prompt in enumerate(prompts):
        mask[row, : width - len(prompt)] = 0
    positions = (mask[:, :width].cumsum(-1) - 1).clamp(min=0)
    layers = [_Room(width + limit) for _ in DynamicCache(config=model.config).layers]
    cache = Cache(layers=list(layers))
    found: list[list[int]] = [[] for _ in prompts]
    rows = list(range(len(prompts)))  # which prompt each row of the batch answers
    ended = [False] * len(prompts)  # by row of the batch
    for step in range(1, limit + 1):
        logits = model(
            input_ids=ids,
            attention_mask=mask[:, : width + step - 1],
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        ).logits
        chosen = logits[:, -1].argmax(-1)
        for at, token in enumerate(chosen.tolist()):  # where a step waits for the device, and nowhere else
            if not ended[at]:
                found[rows[at]].append(token)
                ended[at] = token in ends
        positions = positions[:, -1:] + 1
        left = [at for at, over in enumerate(ended) if not over]
        if not left:
            break
        if (len(rows) - len(left)) * DROP >= len(rows):
            kept = torch.tensor(left, device=model.device)
            for layer in layers:
                layer.batch_select_indices(kept)
            rows, ended = [rows[at] for at in left], [False] * len(left)
            chosen, mask, positions = chosen[kept], mask[kept], positions[kept]
        ids = chosen[:, None]
    return found
