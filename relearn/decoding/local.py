"""Batched decoding on this machine: prompts sorted by length, padded on the left, stopped where an answer ends (`Chat`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple
from functools import cache, partial
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

import torch

from relearn.chat import Chat
from relearn.decoding import greedy
from relearn.decoding.items import Decoded, Prompt, Strategy
from relearn.decoding.keeping import find_or_compute, name_batch
from relearn.decoding.llama import Batch, Llama, copy_llama
from relearn.decoding.share import ALONE, BatchJob, Share
from relearn.errors import InputError
from relearn.params.predict import Beam, Greedy, TopK
from relearn.progress import say
from relearn.weights import count_positions

Answer = tuple[str, Literal["stop", "length"], str | None]
BatchResults = tuple[dict[int, Answer], dict[int, float | None]]  # of some items: answers and likelihoods, by place


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
    share: Share = ALONE,
) -> list[Decoded]:
    """Answers in the order of `items`; greedy unless a strategy is given. A batch holds prompts of one task, one limit and
    like length.

    Sampling draws from torch's generator, seeded for each batch, so that the same batch answers the same, whatever came
    before it; the second of two equal batches of a task draws anew. `kept` is a folder of this model's answers
    (`keeping`): what is there is not computed again. Batches are shared out over the processes of `share`, all of which
    return all answers.
    """
    strategy = strategy or Greedy(kind="greedy")
    chosen = generate_options(strategy)
    llama = copy_llama(model)
    if _puts_tokens_before(model):
        batch_size = 1  # no padding may come between those tokens and a prompt
    own = isinstance(strategy, Greedy) and chat.stop_text is None and (llama is not None or greedy.supports(model))
    prompts = [chat.encode_prompt(item.messages) for item in items]
    _refuse_too_long(model, items, prompts, label)
    seen: Counter[tuple[str, str]] = Counter()

    def compute(asked: Sequence[Sequence[int]], limit: int, read: Callable[[], Batch] | None) -> list[Answer]:
        if own and read is not None:
            rows = read().answer(limit, chat.stops)
        elif own:
            rows = greedy.continue_prompts(model, asked, limit, chat.stops, chat.tokenizer.pad_token_id)
        else:
            rows = generate(model, chat, asked, limit, chosen)
        return [_read_text(row, chat) for row in rows]

    def answer(batch: list[int], asked: Sequence[list[int]], limit: int, name: str) -> BatchResults:
        read: Callable[[], Batch] | None = None
        nlls: dict[int, float | None] = {}
        if llama is not None:
            read, scores = _read_and_score(llama, chat, [items[index] for index in batch], asked, kept)
            nlls = dict(zip(batch, scores, strict=True))
        torch.manual_seed(int(name[:15], 16))
        answers = find_or_compute(kept, name, partial(compute, asked, limit, read))
        return dict(zip(batch, answers, strict=True)), nlls

    jobs: list[BatchJob[BatchResults]] = []
    for batch in _batches(items, prompts, batch_size):
        asked, task, limit = [prompts[index] for index in batch], items[batch[0]].task, items[batch[0]].limit
        name = name_batch(["answers", asked, limit, chosen, seed, sorted(chat.stops)])
        seen[task, name] += 1
        name = name_batch([name, seen[task, name]])
        jobs.append(BatchJob(len(batch), partial(answer, batch, asked, limit, name)))
    if llama is None:
        jobs += _score_references(model, chat, items, batch_size, kept, 0)
    with torch.inference_mode():
        found, nlls = _join(share.do(jobs, label))
    answers = [found[index] for index in range(len(items))]
    reasoned = sum(raw is not None for *_, raw in answers)
    if reasoned:
        empty = sum(raw is not None and not text for text, _, raw in answers)
        say(f"{label}: removed reasoning from {reasoned} of {len(items)} answers; {empty} held nothing else")
    return [Decoded(text, finish, nlls.get(index), raw) for index, (text, finish, raw) in enumerate(answers)]


def score(
    model: Any,
    chat: Chat,
    items: Sequence[Prompt],
    batch_size: int,
    label: str,
    kept: Path | None = None,
    share: Share = ALONE,
) -> list[float | None]:
    """The likelihoods of the references alone, without answers: bit for bit those that `decode` gives beside them.

    `kept` and `share` as `decode` has them, and the same folder for the same model.
    """
    llama = copy_llama(model)
    if llama is None:
        jobs = _score_references(model, chat, items, 1 if _puts_tokens_before(model) else batch_size, kept, 1)
    else:
        prompts = [chat.encode_prompt(item.messages) for item in items]

        def weigh(llama: Llama, batch: list[int]) -> BatchResults:
            asked = [prompts[index] for index in batch]
            scores = _read_and_score(llama, chat, [items[index] for index in batch], asked, kept)[1]
            return {}, dict(zip(batch, scores, strict=True))

        jobs = [BatchJob(len(batch), partial(weigh, llama, batch)) for batch in _batches(items, prompts, batch_size)]
    with torch.inference_mode():
        _, nlls = _join(share.do(jobs, label))
    return [nlls.get(index) for index in range(len(items))]


def _join(parts: Sequence[BatchResults]) -> BatchResults:
    answers: dict[int, Answer] = {}
    nlls: dict[int, float | None] = {}
    for some, scores in parts:
        answers |= some
        nlls |= scores
    return answers, nlls


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
                f"that the model can read (it begins {item.instruction[:40]!r}); lower the limit on new tokens, or leave this prompt out"
            )


def _puts_tokens_before(model: Any) -> bool:
    """Whether an adapter has the model read tokens of its own first (prompt tuning, prefix tuning, P-tuning)."""
    return any(adapter.is_prompt_learning for adapter in getattr(model, "peft_config", {}).values())


def _encode_reference(chat: Chat, item: Prompt, prompt: list[int]) -> tuple[list[int], list[int]]:
    """What comes before the reference, and the reference; the prompt and nothing where there is none."""
    reference = item.weighed_reference
    if reference is None:
        return prompt, []
    return chat.encode_context(item.messages), chat.encode_response(reference)


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


def _batches(items: Sequence[Prompt], prompts: Sequence[Sequence[int]], size: int) -> Iterator[list[int]]:
    """Runs of at most `size` indices that share a task and a limit, of like length."""
    keys = [(place, item.limit) for place, item in zip(_place_tasks(items), items, strict=True)]
    order = sorted(range(len(items)), key=lambda index: (keys[index], len(prompts[index]), index))
    return _cut(order, keys, size)


def _place_tasks(items: Sequence[Prompt]) -> list[int]:
    """For each item the place of its task, in the order in which they come."""
    places = {task: place for place, task in enumerate(dict.fromkeys(item.task for item in items))}
    return [places[item.task] for item in items]


def _cut(order: Sequence[int], keys: Sequence[object], size: int) -> Iterator[list[int]]:
    """Runs of at most `size` indices with the same key."""
    for _, run in groupby(order, lambda index: keys[index]):
        together = list(run)
        yield from (together[start : start + size] for start in range(0, len(together), size))


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


def _read_text(row: Sequence[int], chat: Chat) -> Answer:
    return astuple(chat.read_answer(row))


def _score_references(
    model: Any, chat: Chat, items: Sequence[Prompt], batch_size: int, kept: Path | None, counted: int
) -> list[BatchJob[BatchResults]]:
    """What finds the likelihoods of references: of each and its end, as the template has them in a conversation.

    Each item of a batch adds `counted` to the prompts done. `kept` as `decode` has it.
    """
    rows = {
        index: (chat.encode_context(item.messages), chat.encode_response(reference))
        for index, item in enumerate(items)
        if (reference := item.weighed_reference) is not None
    }

    def weigh(batch: list[int]) -> BatchResults:
        asked = [rows[index] for index in batch]
        compute = partial(score_batch, model, asked, chat.tokenizer.pad_token_id)
        scores = find_or_compute(kept, name_batch(["likelihoods", asked]), compute)
        return {}, dict(zip(batch, scores, strict=True))

    places = _place_tasks(items)
    order = sorted(rows, key=lambda index: (places[index], len(rows[index][0]) + len(rows[index][1]), index))
    return [BatchJob(counted * len(batch), partial(weigh, batch)) for batch in _cut(order, places, batch_size)]


def score_batch(model: Any, rows: Sequence[tuple[list[int], list[int]]], pad: int) -> list[float]:
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
    logits = model(input_ids=ids.to(model.device), logits_to_keep=kept).logits
    if logits.shape[1] != width - 1 - first:  # the last position too, or all of a model that does not choose
        logits = logits[:, first - width : -1]
    found = []
    for line, (prompt, answer) in enumerate(rows):
        # In fp32 a row at a time: all of them would take twice as much again as the model's own in bf16.
        part = logits[line, len(prompt) - 1 - first : len(prompt) - 1 - first + len(answer)].float()
        target = torch.tensor(answer, device=part.device)
        found.append(torch.nn.functional.cross_entropy(part, target, reduction="sum"))
    scores: list[float] = torch.stack(found).tolist()
    return scores
