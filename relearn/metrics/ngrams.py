"""How many n-grams texts share with their references, counted for many at once: what BLEU and chrF are made of."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import chain

import numpy as np

from relearn.statistics.scores import Floats

BLOCK = 200_000  # symbols that are counted at once, a hundred bytes each

Symbols = Sequence[str]  # a text as its characters, or as its words


def count_shared(texts: Sequence[Symbols], references: Sequence[Symbols], orders: int) -> Floats:
    """n-grams of order 1 to `orders` that each text has in common with its reference, (items, orders).

    One that comes several times counts as often as it does in both: the clipped counts of BLEU (Papineni et al. 2002).
    """
    found = np.zeros((len(texts), orders))
    for rows in _split(texts, references):
        found[rows] = _count(texts[rows], references[rows], orders)
    return found


def count_all(texts: Sequence[Symbols], orders: int) -> Floats:
    """n-grams of order 1 to `orders` of each text, (items, orders)."""
    lengths = np.fromiter(map(len, texts), dtype=float, count=len(texts))
    return np.maximum(lengths[:, None] - np.arange(orders), 0)


def _split(texts: Sequence[Symbols], references: Sequence[Symbols]) -> Iterator[slice]:
    """Rows that go together, so that what is held does not grow with their number."""
    start = size = 0
    for end, (text, reference) in enumerate(zip(texts, references, strict=True), 1):
        size += len(text) + len(reference)
        if size >= BLOCK or end == len(texts):
            yield slice(start, end)
            start, size = end, 0


def _count(texts: Sequence[Symbols], references: Sequence[Symbols], orders: int) -> Floats:
    """As `count_shared`. Each position becomes one number: its item and the symbols that follow, then text or reference.

    Sorted, equal n-grams of an item are neighbours, whatever their order is: those of a lower one are the first digits.
    """
    items, both = len(texts), [*texts, *references]
    numbers: defaultdict[str, int] = defaultdict()
    numbers.default_factory = lambda: len(numbers) + 1  # 0 is what follows a text's end
    symbols = np.fromiter(map(numbers.__getitem__, chain.from_iterable(both)), dtype=np.int64)
    lengths = np.fromiter(map(len, both), dtype=np.int64, count=len(both))
    in_reference = np.repeat(np.arange(2 * items) >= items, lengths)
    owner = np.repeat(np.arange(2 * items) % items, lengths)
    left = np.repeat(np.cumsum(lengths), lengths) - np.arange(len(symbols))
    following = np.concatenate([symbols, np.zeros(orders, dtype=np.int64)])
    bits = len(numbers).bit_length()

    found = np.zeros((items, orders))
    begin, begins = owner, np.arange(items)  # what each number begins with, and the item of everything that one can
    done = 0
    while done < orders and len(symbols):
        step = min(orders - done, (62 - len(begins).bit_length()) // bits)  # as many symbols as 63 bits have room for
        keys = begin
        for at in range(done, done + step):
            keys = keys << bits | following[at : at + len(symbols)] * (left > at)
        ordered = np.sort(keys << 1 | in_reference)
        for order in range(1, step + 1):
            grams = ordered >> (1 + bits * (step - order))
            first = np.flatnonzero(np.diff(grams, prepend=-1))
            wanted = np.add.reduceat(ordered & 1, first)
            shared = np.minimum(wanted, np.diff(first, append=len(grams)) - wanted)
            grams = grams[first]
            whole = grams & ((1 << bits) - 1) != 0
            item = begins[grams >> (bits * order)]
            found[:, done + order - 1] = np.bincount(item, weights=shared * whole, minlength=items)
        done += step
        if done < orders:
            kinds, begin = np.unique(keys, return_inverse=True)
            begins = begins[kinds >> (bits * step)]
    return found
