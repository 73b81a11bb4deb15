"""Chat rows as tokens: the loss looks at the assistant's turns and their end tokens, never at the rest or the padding."""

from __future__ import annotations

import random
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch.utils.data import Dataset, Sampler

from relearn.chat import Chat, TrainOn
from relearn.errors import InputError
from relearn.records import Message, SampledRow

IGNORED = -100  # the label that torch's cross entropy skips


@dataclass(frozen=True, slots=True)
class EncodedRow:
    """`ids` are prompt, response and end token; the first `prompt` of them carry no loss.

    Nor do those in `masked`, (start, end) of each: turns between the assistant's, where all of its turns are learned, and
    what a method masks.
    """

    ids: Sequence[int]
    prompt: int
    masked: tuple[tuple[int, int], ...] = ()

    def learned(self) -> list[int]:
        """The places in `ids` of the tokens at which the loss looks."""
        hidden = {at for start, end in self.masked for at in range(start, end)}
        return [at for at in range(self.prompt, len(self.ids)) if at not in hidden]


NOTHING = EncodedRow((0, 0), 2)  # a row at which the loss does not look


class EncodedRows(Dataset[EncodedRow]):
    """Encoded rows, and how many were left out for their length. Beyond the last one comes `NOTHING`."""

    def __init__(self, rows: Sequence[EncodedRow], too_long: int = 0) -> None:
        self.rows, self.too_long = list(rows), too_long

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> EncodedRow:
        return self.rows[index] if index < len(self.rows) else NOTHING


def encode(
    conversations: Iterable[Sequence[Message]], chat: Chat, max_tokens: int, train_on: TrainOn = "last"
) -> EncodedRows:
    """Conversations that end with the assistant's turn, as rows of at most `max_tokens` tokens.

    `train_on` says which of its turns carry loss. A longer row is left out and counted, never cut: a cut response
    teaches the model to stop in mid-sentence. Raises InputError when no row is left, a turn to learn has no token, or
    the chat template cannot render the conversation (`Chat.encode_conversation`).
    """
    rows, too_long = [], 0
    for messages in conversations:
        ids: list[int] = []
        masked = []
        for tokens, learned in chat.encode_conversation(messages, train_on):
            if not learned:
                masked.append((len(ids), len(ids) + len(tokens)))
            ids += tokens
        if len(ids) > max_tokens:
            too_long += 1
            continue
        (_, prompt), *between = masked
        # Four bytes a token, where a tuple takes eight and the numbers in it 28 each.
        rows.append(EncodedRow(array("i", ids), prompt, tuple(between)))
    if not rows:
        raise InputError(f"max_tokens: all {too_long} training rows are longer than {max_tokens} tokens; raise it")
    return EncodedRows(rows, too_long)


def encode_sample(sample: SampledRow, chat: Chat) -> EncodedRow:
    """What the base wrote, as a row whose loss looks at all that it wrote: the end of an answer that was cut is not its."""
    (asked, _), *rest = chat.encode_conversation(sample.messages, "last")
    ids = [*asked, *(token for tokens, _ in rest for token in tokens)]
    if sample.finish_reason == "length":
        del ids[-len(chat.end) :]
    return EncodedRow(array("i", ids), len(asked) if sample.given else len(chat.around_instruction()[0]))


def collate(rows: Sequence[EncodedRow], pad: int) -> dict[str, torch.Tensor]:
    """A batch for `LlamaForCausalLM.forward`.

    Shapes, for B rows of at most T tokens of which the loss looks at W positions: `input_ids` (B, T), padded on
    the right; `logits_to_keep` (W,), the positions whose logits are computed at all; `labels` and
    `shift_labels` (B, W), the token after each of those positions, or -100. No attention mask is needed: under
    causal attention no real token can look at padding on its right.
    """
    length = max(len(row.ids) for row in rows)
    # The token at position p is predicted from position p - 1.
    first = min(length - 1, *(row.prompt for row in rows)) - 1  # one position at least, where there is no label
    ids = torch.full((len(rows), length), pad, dtype=torch.long)
    labels = torch.full((len(rows), length - 1 - first), IGNORED, dtype=torch.long)
    for index, row in enumerate(rows):
        tokens = torch.tensor(row.ids, dtype=torch.long)
        ids[index, : len(tokens)] = tokens
        labels[index, row.prompt - 1 - first : len(tokens) - 1 - first] = tokens[row.prompt :]
        for start, end in row.masked:
            labels[index, start - 1 - first : end - 1 - first] = IGNORED
    return {
        "input_ids": ids,
        "logits_to_keep": torch.arange(first, length - 1),
        "labels": labels,
        "shift_labels": labels,
    }


class GroupedSampler(Sampler[int]):
    """Shuffles, then sorts by length within windows of many batches, then shuffles the batches.

    Its order is a function of (seed, epoch) alone, so that a resumed run sees the rows it would have seen: the
    trainer's own length-grouped sampler draws from the global generator.
    """

    WINDOW = 50  # batches

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int) -> None:
        self.lengths, self.batch_size, self.seed, self.epoch = list(lengths), batch_size, seed, 0
        self.fill = 1  # several processes need as many rows each: the last ones are `NOTHING`

    def set_epoch(self, epoch: int) -> None:
        """The trainer calls it at the start of each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return -(-len(self.lengths) // self.fill) * self.fill

    def __iter__(self) -> Iterator[int]:
        draw = random.Random(f"{self.seed}/{self.epoch}")
        order = list(range(len(self.lengths)))
        draw.shuffle(order)
        window = self.batch_size * self.WINDOW
        batches = []
        for start in range(0, len(order), window):
            part = sorted(order[start : start + window], key=lambda index: self.lengths[index])
            batches += [part[at : at + self.batch_size] for at in range(0, len(part), self.batch_size)]
        # A short batch anywhere but at the end would shift every batch after it.
        tail = [batch for batch in batches if len(batch) < self.batch_size]
        full = [batch for batch in batches if len(batch) == self.batch_size]
        draw.shuffle(full)
        found = [index for batch in full + tail for index in batch]
        return iter(found + [len(found)] * (len(self) - len(found)))
