"""Batched decoding on this machine: prompts sorted by length, padded on the left, stopped at the end token."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal

import torch

from relearn.chat import Chat
from relearn.decoding import greedy
from relearn.decoding.items import Decoded, Prompt, Strategy
from relearn.decoding.keeping import find_or_compute, name_batch
from relearn.decoding.llama import Batch, copy_llama
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
    kept: Path | None = None,
) -> list[Decoded]:
    """Answers in the order of `items`; greedy unless a strategy is given. A batch holds prompts of one limit and like length.

    Sampling draws from torch's generator, seeded for each batch, so that the same batch answers the same, whatever came
    before it; the second of two equal batches draws anew. `kept` is a folder of this model's answers (`keeping`): what
    is there is not computed again.
    """
    strategy = strategy or Greedy(kind="greedy")
    chosen = generate_options(strategy)
    llama = copy_llama(model)
    own = isinstance(strategy, Greedy) and greedy.supports(model)
    prompts = [chat.encode_prompt(item.messages) for item in items]
    order = sorted(range(len(items)), key=lambda index: (items[index].limit, len(prompts[index]), index))
    references = [[] if item.reference is None else chat.encode_response(item.reference) for item in items]
    found: dict[int, tuple[str, Literal["stop", "length"]]] = {}
    nlls: dict[int, float | None] = {}
    seen: Counter[str] = Counter()

    def answer(
        asked: Sequence[Sequence[int]], limit: int, read: Callable[[], Batch] | None
    ) -> list[tuple[str, Literal["stop", "length"]]]:
        if read is not None and isinstance(strategy, Greedy):
            rows = read().answer(limit, chat.end)
        elif own:
            rows = greedy.continue_prompts(model, asked, limit, chat.end, chat.tokenizer.pad_token_id)
        else:
            rows = _generate(model, chat, asked, limit, chosen)
        return [_read_text(row, chat) for row in rows]

    with Progress(label, len(items), "prompts") as bar, torch.inference_mode():
        for batch in _batches(order, batch_size, [item.limit for item in items]):
            asked, limit = [prompts[index] for index in batch], items[batch[0]].limit
            name = name_batch(["answers", asked, limit, chosen, seed])
            seen[name] += 1
            name = name_batch([name, seen[name]])
            read = None
            if llama is not None:
                wanted = [references[index] for index in batch]
                read = cache(partial(Batch, llama, asked, max(limit, *map(len, wanted))))
                nlls |= zip(batch, _score_read(read, asked, wanted, kept), strict=True)
            torch.manual_seed(int(name[:15], 16))
            found |= zip(batch, find_or_compute(kept, name, partial(answer, asked, limit, read)), strict=True)
            bar.update(len(batch))
    if llama is None:
        nlls = dict(enumerate(score_references(model, chat, items, prompts, batch_size, kept)))
    return [Decoded(*found[index], nlls[index]) for index in range(len(items))]


def _score_read(
    read: Callable[[], Batch], asked: Sequence[Sequence[int]], references: Sequence[Sequence[int]], kept: Path | None
) -> list[float | None]:
    """The likelihoods of a batch's references, None where there is none; the prompts are read for them at the latest."""
    if not any(references):
        return [None] * len(references)
    name = name_batch(["likelihoods", asked, references])
    scores = find_or_compute(kept, name, lambda: read().score(references))
    return [score if reference else None for score, reference in zip(scores, references, strict=True)]


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
    model: Any,
    chat: Chat,
    items: Sequence[Prompt],
    prompts: Sequence[Sequence[int]],
    batch_size: int,
    kept: Path | None = None,
) -> list[float | None]:
    """The summed negative log-likelihood, in nats, of each reference and its end token given its prompt.

    `kept` as `decode` has it.
    """
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
            asked = [rows[index] for index in batch]
            score = partial(_score_batch, model, asked, chat.tokenizer.pad_token_id)
            scores = find_or_compute(kept, name_batch(["likelihoods", asked]), score)
            for index, nll in zip(batch, scores, strict=True):
                found[index] = nll
    return found


def _score_batch(model: Any, rows: Sequence[tuple[list[int], list[int]]], pad: int) -> list[float]:
    """The negative log-likelihoods of (prompt, answer) rows."""
    width = max(len(prompt) + len(answer) for prompt, answer in rows)
    ids = torch.full((len(rows), width), pad, dtype=torch.long)
    for line, (prompt, answer) in enumerate(rows):
        tokens = prompt + answer
        ids[line, : len(tokens)] = torch.tensor(tokens)
    first = min(len(prompt) for prompt, _ in rows) - 1
    # Only positions that predict a response need logits; padding on the right is never attended to.
    logits = model(
        input_ids=ids.to(model.device), logits_to_keep=torch.arange(first, width - 1, device=model.device)
    ).logits.float()
    found = []
    for line, (prompt, answer) in enumerate(rows):
        part = logits[line, len(prompt) - 1 - first : len(prompt) - 1 - first + len(answer)]
        target = torch.tensor(answer, device=part.device)
        found.append(float(torch.nn.functional.cross_entropy(part, target, reduction="sum")))
    return found
