"""What a model writes by itself: instructions, from what its chat template puts before a user's turn, and answers.

A language model can be asked for its own training distribution (Marek et al. 2026, arXiv 2605.26097). All is drawn at
temperature 1, from the whole distribution: only then are the rows samples of what the model says.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from relearn.chat import Chat
from relearn.decoding.items import Decoded, Prompt
from relearn.decoding.local import decode, generate, generate_options
from relearn.errors import InputError
from relearn.params.predict import Sampled
from relearn.progress import Progress
from relearn.records import Message

PLAIN = Sampled(kind="temperature", temperature=1.0)
MOST = 4  # times as many draws as instructions wanted


def sample_instructions(
    model: Any, chat: Chat, count: int, limit: int, batch_size: int, seed: int, label: str
) -> list[str]:
    """`count` instructions of at most `limit` tokens each; empty ones are drawn again.

    Raises InputError where a model writes too few.
    """
    prefix, closing = chat.around_instruction()
    found: list[str] = []
    with Progress(label, count, "instructions") as bar, torch.inference_mode():
        for batch in range(-(-MOST * count // batch_size)):
            torch.manual_seed(seed * 1_000_003 + batch)
            rows = generate(model, chat, [prefix] * batch_size, limit, generate_options(PLAIN))
            texts = [text for row in rows if (text := _read(row, chat, closing))][: count - len(found)]
            found += texts
            bar.update(len(texts))
            if len(found) == count:
                return found
    raise InputError(
        f"finetune_2b.sample.prompts: only {len(found)} of {MOST * count} instructions that the base wrote are not "
        "empty; set it to new, so that the tasks give the prompts"
    )


def sample_answers(
    model: Any, chat: Chat, prompts: Sequence[Sequence[Message]], limit: int, batch_size: int, seed: int, label: str
) -> list[Decoded]:
    """An answer of at most `limit` tokens to each prompt."""
    return decode(model, chat, [Prompt(turns, limit, None) for turns in prompts], batch_size, label, PLAIN, seed)


def _read(row: Sequence[int], chat: Chat, closing: str) -> str:
    """The instruction in what a model wrote after the prefix: what comes before the end of the turn."""
    ended = next((at for at, token in enumerate(row) if token in chat.stops), len(row))
    text = str(chat.tokenizer.decode(list(row[:ended]), skip_special_tokens=False))
    if closing:
        text = text.partition(closing)[0]
    for token in chat.tokenizer.all_special_tokens:
        text = text.replace(token, "")
    return text.strip()
