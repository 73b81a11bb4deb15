"""Batched decoding on this machine: prompts sorted by length, padded on the left, stopped where an answer ends (`Chat`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import astuple
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal

import torch

from relearn.chat import Chat
from relearn.decoding import greedy
from relearn.decoding.items import Decoded, Prompt, Strategy
from relearn.decoding.keeping import find_or_compute, name_batch
from relearn.decoding.llama import Batch, Llama, copy_llama
from relearn.errors import InputError
from relearn.params.predict import Beam, Greedy, TopK
from relearn.progress import Progress, say
from relearn.weights import count_positions


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
    if _puts_tokens_before(model):
        batch_size = 1  # no padding may come between those tokens and a prompt
    own = isinstance(strategy, Greedy) and chat.stop_text is None and (llama is not None or greedy.supports(model))
    prompts = [chat.encode_prompt(item.messages) for item in items]
    _refuse_too_long(model, items, prompts, label)
    found: dict[int, tuple[str, Literal["stop", "length"], str | None]] = {}
    nlls: dict[int, float | None] = {}
    seen: Counter[str] = Counter()

    def answer(
        asked: Sequence[Sequence[int]], limit: int, read: Callable[[], Batch] | None
    ) -> list[tuple[str, Literal["stop", "length"], str | None]]:
        if own and read is not None:
            rows = read().answer(limit, chat.stops)
        elif own:
            rows = greedy.continue_prompts(model, asked, limit, chat.stops, chat.tokenizer.pad_token_id)
        else:
            rows = generate(model, chat, asked, limit, chosen)
        return [_read_text(row, chat) for row in rows]

    with Progress(label, len(items), "prompts") as bar, torch.inference_mode():
        for batch in _batches(items, prompts, batch_size):
            asked, limit = [prompts[index] for index in batch], items[batch[0]].limit
            name = name_batch(["answers", asked, limit, chosen, seed, sorted(chat.stops)])
            seen[name] += 1
            name = name_batch([name, seen[name]])
            read = None
            if llama is not None:
                read, scores = _read_and_score(llama, chat, [items[index] for index in batch], asked, kept)
                nlls |= zip(batch, scores, strict=True)
            torch.manual_seed(int(name[:15], 16))
            found |= zip(batch, find_or_compute(kept, name, partial(answer, asked, limit, read)), strict=True)
            bar.update(len(batch))
    if llama is None:
        nlls = dict(enumerate(score_references(model, chat, items, batch_size, kept)))
    answers = [found[index] for index in range(len(items))]
    reasoned = sum(raw is not None for *_, raw in answers)
    if reasoned:
        empty = sum(raw is not None and not text for text, _, raw in answers)
        say(f"{label}: removed reasoning from {reasoned} of {len(items)} answers; {empty} held nothing else")
    return [Decoded(text, finish, nlls[index], raw) for index, (text, finish, raw) in enumerate(answers)]


def score(
    model: Any, chat: Chat, items: Sequence[Prompt], batch_size: int, label: str, kept: Path | None = None
) -> list[float | None]:
    """The likelihoods of the references alone, without answers: bit for bit those that `decode` gives beside them.

    `kept` as `decode` has it, and the same folder for the same model.
    """
    llama = copy_llama(model)
    if llama is None:
        return score_references(model, chat, items, 1 if _puts_tokens_before(model) else batch_size, kept)
    prompts = [chat.encode_prompt(item.messages) for item in items]
    nlls: dict[int, float | None] = {}
    with Progress(label, len(items), "prompts") as bar, torch.inference_mode():
        for batch in _batches(items, prompts, batch_size):
            asked = [prompts[index] for index in batch]
            nlls |= zip(
                batch, _read_and_score(llama, chat, [items[index] for index in batch], asked, kept)[1], strict=True
            )
            bar.update(len(batch))
    return [nlls[index] for index in range(len(items))]


def _read_and_score(
    llama: Llama, chat: Chat, items: Sequence[Prompt], asked: Sequence[list[int]], kept: Path | None
) -> tuple[Callable[[], Batch], list[float | None]]:
    """What reads a batch of prompts, at most once, and the likelihoods of their references."""
    rows = [_encode_reference(chat, item, prompt) for item, prompt in zip(items, asked, strict=True)]
    read = cache(partial(Batch, llama, asked))
    return read, _score_read(llama, read, asked, rows, kept)


def _refuse_too_long(model: Any, items: Sequence[Prompt], prompts: Sequence[Sequence[int]], label: str) -> None:
    places = count_positions(model)
    for item, prompt in zip(items, prompts, strict=True):
        if places is not None and len(prompt) + item.limit > places:
            raise InputError(
                f"{label}: a prompt of {len(prompt)} tokens and an answer of up to {item.limit} exceed the {places} tokens "
                f"that the model can read (it begins {item.instruction[:40]!r}); lower the limit on new tokens, or leave it out"
            )


def _puts_tokens_before(model: Any) -> bool:
    """Whether an adapter has the model read tokens of its own first (prompt tuning, prefix tuning, P-tuning)."""
    return any(adapter.is_prompt_learning for adapter in getattr(model, "peft_config", {}).values())


def _encode_reference(chat: Chat, item: Prompt, prompt: list[int]) -> tuple[list[int], list[int]]:
    """What comes before the reference, and the reference; the prompt and nothing where there is none."""
    if item.reference is None or not item.weighed:
        return prompt, []
    return chat.encode_context(item.messages), chat.encode_response(item.reference)


def _score_read(
    llama: Llama,
    read: Callable[[], Batch],
    asked: Sequence[list[int]],
    rows: Sequence[tuple[list[int], list[int]]],
    kept: Path | None,
) -> list[float | None]:
    """The likelihoods of a batch's references, None where there is none.

    The prompts are read for them at the latest, unless a template has something else before an answer that is given.
    """
    before, references = [context for context, _ in rows], [reference for _, reference in rows]
    if not any(references):
        return [None] * len(rows)

    def score() -> list[float]:
        batch = read() if before == asked else Batch(llama, before)
        return batch.score(references)

    scores = find_or_compute(kept, name_batch(["likelihoods", rows]), score)
    return [score if reference else None for score, reference in zip(scores, references, strict=True)]


def _batches(items: Sequence[Prompt], prompts: Sequence[Sequence[int]], size: int) -> Iterable[list[int]]:
    """Runs of at most `size` indices that share a limit, of like length."""
    batch: list[int] = []
    for index in sorted(range(len(items)), key=lambda index: (items[index].limit, len(prompts[index]), index)):
        if batch and (len(batch) == size or items[batch[0]].limit != items[index].limit):
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def generate(
    model: Any, chat: Chat, prompts: Sequence[Sequence[int]], limit: int, chosen: dict[str, Any]
) -> list[list[int]]:
    """Continuations by transformers' own `generate`, the prompts cut off; call inside `inference_mode`."""
    width = max(len(prompt) for prompt in prompts)
    pad = chat.tokenizer.pad_token_id
    ids = torch.tensor([[pad] * (width - len(prompt)) + list(prompt) for prompt in prompts], device=model.device)
    mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts], device=model.device)
    more = {} if chat.stop_text is None else {"stop_strings": [chat.stop_text], "tokenizer": chat.tokenizer}
    out = model.generate(
        input_ids=ids,
        attention_mask=mask,
        max_new_tokens=limit,
        eos_token_id=sorted(chat.stops),
        pad_token_id=pad,
        **more,
        **chosen,
    )
    return [row.tolist() for row in out[:, width:]]


def _read_text(row: Sequence[int], chat: Chat) -> tuple[str, Literal["stop", "length"], str | None]:
    return astuple(chat.read_answer(row))


def score_references(
    model: Any, chat: Chat, items: Sequence[Prompt], batch_size: int, kept: Path | None = None
) -> list[float | None]:
    """The summed negative log-likelihood, in nats, of each reference and its end, as the template has them in a conversation.

    `kept` as `decode` has it.
    """
    rows = {
        index: (chat.encode_context(item.messages), chat.encode_response(item.reference))
        for index, item in enumerate(items)
        if item.reference is not None and item.weighed
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
    # An adapter that puts tokens of its own before the prompt moves all positions: there they are counted from the end.
    counted = _puts_tokens_before(model)
    kept = width - first if counted else torch.arange(first, width - 1, device=model.device)
    logits = model(input_ids=ids.to(model.device), logits_to_keep=kept).logits.float()
    if logits.shape[1] != width - 1 - first:  # the last position too, or all of a model that does not choose
        logits = logits[:, first - width : -1]
    found = []
    for line, (prompt, answer) in enumerate(rows):
        part = logits[line, len(prompt) - 1 - first : len(prompt) - 1 - first + len(answer)]
        target = torch.tensor(answer, device=part.device)
        found.append(float(torch.nn.functional.cross_entropy(part, target, reduction="sum")))
    return found
