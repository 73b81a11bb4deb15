"""Batched decoding on this machine: prompts sorted by length, padded on the left, stopped at the end token."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import torch

from relearn.chat import Chat
from relearn.decoding import greedy
from relearn.decoding.items import Decoded, Prompt, Strategy
from relearn.params.predict import Beam, Greedy, TopK
from relearn.progress import Progress


def generate_options(strategy: Strategy) -> dict[str, Any]:
    """The strategy as `generate` takes it, everything it could take from a model's own defaults stated."""
    plain = {"repetition_penalty": 1.0, "no_repeat_ngram_size": 0}  # some hub models ship a penalty
    if isinstance(strategy, Greedy):
        return {**plain, "do_sample": False, "num_beams": 1}
    if isinstance(strategy, Beam):
        return {**plain, "do_sample": False, "num_beams": strategy.width, "early_stopping": True}
    top_k = strategy.k if isinstance(strategy, TopK) else 0
    return {
        **plain,
        "do_sample": True,
        "num_beams": 1,
        "temperature": strategy.temperature,
        "top_k": top_k,
        "top_p": 1.0,
    }


def decode(
    model: Any,
    chat: Chat,
    items: Sequence[Prompt],
    batch_size: int,
    label: str,
    strategy: Strategy | None = None,
    seed: int = 0,
) -> list[Decoded]:
    """Answers in the order of `items`; greedy unless a strategy is given. A batch holds prompts of one limit and like length.

    Sampling draws from torch's generator, seeded here, so that the same items in the same batches answer the same.
    """
    strategy = strategy or Greedy(kind="greedy")
    chosen = generate_options(strategy)
    own = isinstance(strategy, Greedy) and greedy.supports(model)
    torch.manual_seed(seed)
    prompts = [chat.encode_prompt(item.messages) for item in items]
    order = sorted(range(len(items)), key=lambda index: (items[index].limit, len(prompts[index]), index))
    texts: dict[int, tuple[str, Literal["stop", "length"]]] = {}
    with Progress(label, len(items), "prompts") as bar, torch.inference_mode():
        for batch in _batches(order, batch_size, [item.limit for item in items]):
            asked, limit = [prompts[index] for index in batch], items[batch[0]].limit
            rows = (
                greedy.continue_prompts(model, asked, limit, chat.end, chat.tokenizer.pad_token_id)
                if own
                else _generate(model, chat, asked, limit, chosen)
            )
            for index, row in zip(batch, rows, strict=True):
                texts[index] = _read_text(row, chat)
            bar.update(len(batch))
    nlls = score_references(model, chat, items, prompts, batch_size)
    return [Decoded(*texts[index], nlls[index]) for index in range(len(items))]


def _batches(order: Sequence[int], size: int, limits: Sequence[int]) -> Iterable[list[int]]:
    """Runs of at most `size` indices that share a limit."""
    batch: list[int] = []
    for index in order:
        if batch and (len(batch) == size or limits[batch[0]] != limits[index]):
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def _generate(
    model: Any, chat: Chat, prompts: Sequence[Sequence[int]], limit: int, chosen: dict[str, Any]
) -> list[list[int]]:
    """Continuations by transformers' own `generate`, the prompts cut off."""
    width = max(len(prompt) for prompt in prompts)
    pad = chat.tokenizer.pad_token_id
    ids = torch.tensor([[pad] * (width - len(prompt)) + list(prompt) for prompt in prompts], device=model.device)
    mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts], device=model.device)
    out = model.generate(
        input_ids=ids, attention_mask=mask, max_new_tokens=limit, eos_token_id=chat.end, pad_token_id=pad, **chosen
    )
    return [row.tolist() for row in out[:, width:]]


def _read_text(row: Sequence[int], chat: Chat) -> tuple[str, Literal["stop", "length"]]:
    """The text up to the end token. The end token, not padding, decides: they may be the same token."""
    ended = chat.end in row
    kept = row[: row.index(chat.end)] if ended else row
    text = chat.tokenizer.decode(list(kept), skip_special_tokens=True)
    return str(text).strip(), "stop" if ended else "length"


def score_references(
    model: Any, chat: Chat, items: Sequence[Prompt], prompts: Sequence[Sequence[int]], batch_size: int
) -> list[float | None]:
    """The summed negative log-likelihood, in nats, of each reference and its end token given its prompt."""
    rows = {
        index: (list(prompts[index]), chat.encode_response(item.reference))
        for index, item in enumerate(items)
        if item.reference is not None
    }
    order = sorted(rows, key=lambda index: (len(rows[index][0]) + len(rows[index][1]), index))
    found: list[float | None] = [None] * len(items)
    with torch.inference_mode():
        for start in range(0, len(order), batch_size):
            batch = order[start : start + batch_size]
            width = max(len(rows[index][0]) + len(rows[index][1]) for index in batch)
            ids = torch.full((len(batch), width), chat.tokenizer.pad_token_id, dtype=torch.long)
            for line, index in enumerate(batch):
                tokens = rows[index][0] + rows[index][1]
                ids[line, : len(tokens)] = torch.tensor(tokens)
            first = min(len(rows[index][0]) for index in batch) - 1
            # Only positions that predict a response need logits; padding on the right is never attended to.
            logits = model(
                input_ids=ids.to(model.device), logits_to_keep=torch.arange(first, width - 1, device=model.device)
            ).logits.float()
            for line, index in enumerate(batch):
                prompt, answer = rows[index]
                part = logits[line, len(prompt) - 1 - first : len(prompt) - 1 - first + len(answer)]
                target = torch.tensor(answer, device=part.device)
                found[index] = float(torch.nn.functional.cross_entropy(part, target, reduction="sum"))
    return found
