"""What the loss looks at, decoded; and the order of rows."""

from __future__ import annotations

import pytest
import torch

from relearn.chat import Chat
from relearn.errors import InputError
from relearn.records import Message, make_turns
from relearn.training.rows import IGNORED, EncodedRow, EncodedRows, GroupedSampler, collate, encode
from tests.unit.tiny import ROWS as CONVERSATIONS
from tests.unit.tiny import TEMPLATE, model, tokenizer

WORDS = tokenizer()
CHAT = Chat(WORDS, TEMPLATE)
LONG = make_turns("Say one, two, three, four, five, six.", "one two three four five six")


def looked_at(batch: dict[str, torch.Tensor]) -> list[str]:
    """The text of the unmasked labels of each row."""
    return [WORDS.decode(row[row != IGNORED].tolist()) for row in batch["shift_labels"]]


def test_the_loss_sees_exactly_the_response_and_the_end_token() -> None:
    rows = encode(CONVERSATIONS, CHAT, 64)
    batch = collate(rows.rows[:16], WORDS.pad_token_id)
    assert looked_at(batch) == [f"{response.content}<|end|>" for *_, response in CONVERSATIONS[:16]]


def test_of_several_turns_the_loss_sees_the_last_answer_or_all() -> None:
    asked = Message(role="system", content="Count.")
    turns = [asked, *make_turns("Say one.", "one"), *make_turns("Say two.", "two"), *make_turns("Say six.", "six")]
    short = make_turns("Say ten.", "ten")
    pad = WORDS.pad_token_id
    assert looked_at(collate(encode([turns, short], CHAT, 99).rows, pad)) == ["six<|end|>", "ten<|end|>"]
    every = encode([turns, short], CHAT, 99, "all").rows
    assert looked_at(collate(every, pad)) == ["one<|end|>two<|end|>six<|end|>", "ten<|end|>"]
    with pytest.raises(InputError, match="empty response"):
        encode([[*make_turns("Say nothing.", ""), *make_turns("Say one.", "one")]], CHAT, 99, "all")


def test_no_row_is_masked_altogether() -> None:
    for row in encode(CONVERSATIONS, CHAT, 64).rows:
        labels = collate([row], WORDS.pad_token_id)["shift_labels"]
        assert (labels != IGNORED).any()
        assert labels[0, -1] == CHAT.end[-1]


def test_each_label_is_the_token_after_its_position() -> None:
    batch = collate(encode(CONVERSATIONS, CHAT, 64).rows[:5], WORDS.pad_token_id)
    ids, labels = batch["input_ids"], batch["shift_labels"]
    for column, position in enumerate(batch["logits_to_keep"].tolist()):
        kept = labels[:, column] != IGNORED
        assert torch.equal(labels[kept, column], ids[kept, position + 1])


def test_a_batch_gives_the_loss_of_its_rows_alone() -> None:
    # Padding on the right and shared positions must not change what a row costs.
    small = model(WORDS)
    rows = encode([CONVERSATIONS[0], LONG], CHAT, 64).rows
    together = small(**collate(rows, WORDS.pad_token_id), num_items_in_batch=1).loss
    alone = sum(small(**collate([row], WORDS.pad_token_id), num_items_in_batch=1).loss for row in rows)
    assert torch.allclose(together, alone, atol=1e-4)


def test_no_row_of_a_batch_sees_another() -> None:
    """A batch gives each row the logits it has alone, and another text beside it changes none of them."""
    small = model(WORDS)
    rows = encode([CONVERSATIONS[0], CONVERSATIONS[1], LONG], CHAT, 64).rows
    ids = collate(rows, WORDS.pad_token_id)["input_ids"]
    together = small(input_ids=ids).logits
    for row, logits in zip(rows, together, strict=True):
        alone = small(input_ids=torch.tensor([row.ids])).logits[0]
        assert torch.allclose(logits[: len(row.ids)], alone, atol=1e-5)
    changed = small(input_ids=torch.cat([ids[:2], ids[2:].flip(1)])).logits
    assert torch.allclose(changed[:2], together[:2], atol=1e-6)
    assert not torch.allclose(changed[2], together[2], atol=1e-2)


def test_long_rows_are_left_out_whole_and_counted() -> None:
    rows = encode([*CONVERSATIONS[:3], make_turns("Say it.", "one " * 100)], CHAT, 64)
    assert (len(rows), rows.too_long) == (3, 1)
    with pytest.raises(InputError, match="all 1 training rows are longer than 64 tokens"):
        encode([make_turns("Say it.", "one " * 100)], CHAT, 64)


def test_an_empty_response_is_refused() -> None:
    with pytest.raises(InputError, match="empty response"):
        encode([make_turns("Say nothing.", "")], CHAT, 64)


def test_the_order_is_a_function_of_seed_and_epoch() -> None:
    lengths = [(index * 37) % 50 + 1 for index in range(103)]

    def order(seed: int, epoch: int) -> list[int]:
        sampler = GroupedSampler(lengths, 8, seed)
        sampler.set_epoch(epoch)
        return list(sampler)

    assert order(1, 0) == order(1, 0)
    assert order(1, 0) != order(1, 1) != order(2, 1)
    assert sorted(order(1, 3)) == list(range(103))


def test_batches_hold_rows_of_like_length() -> None:
    lengths = [(index * 37) % 200 + 1 for index in range(400)]
    order = list(GroupedSampler(lengths, 8, 0))
    batches = [[lengths[index] for index in order[at : at + 8]] for at in range(0, 400, 8)]
    padded = sum(max(batch) * len(batch) for batch in batches)
    assert padded / sum(lengths) < 1.05


def test_rows_fill_the_last_batch_of_several_processes() -> None:
    rows = EncodedRows([EncodedRow((5, 6, 7, 8), 2), EncodedRow((5, 6, 7), 1), EncodedRow((5, 6), 1)])
    sampler = GroupedSampler([4, 3, 2], 2, seed=1)
    alone = list(sampler)
    sampler.fill = 4
    assert list(sampler) == [*alone, 3]
    assert len(sampler) == 4
    nothing = collate([rows[3], rows[3]], 0)
    assert nothing["labels"].tolist() == [[-100], [-100]]
    assert len(nothing["logits_to_keep"]) == 1
    some = collate([rows[0], rows[3]], 0)
    assert some["labels"].tolist() == [[7, 8], [-100, -100]]
