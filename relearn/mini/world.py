"""The mini world: reviews of invented films, and the code and general tasks that its base model learns.

Everything is made here from templates under one seed, with draws of its own for each corpus and split. Reviews are split by review; code and general tasks by
combination of slot values, so that a held-out row is new while each of its words is known from training.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from relearn.errors import InputError
from relearn.mini import code_tasks, film_reviews, general_tasks
from relearn.mini.families import Family, Filling, key
from relearn.records import Message, Row, Source, Split

SplitSizes = tuple[int, int, int]  # rows for train, val and test
WINDOW = 200  # combinations looked at for each training row: enough to find one that balances the values
SPLITS: tuple[Split, ...] = ("train", "val", "test")

# Combinations that belong to the probe (data/sources/mini/probes.yaml) and are in no split.
RESERVED: dict[str, tuple[str, ...]] = {
    "poem": ("sea", "winter"),
    "history": ("cheese", "France"),
    "count_above": ("seven", "scores"),
    "diary": ("sailor", "snow"),
    "french_is": ("cat", "black"),
    "future": ("schools", "2100"),
    "comedy": ("goat", "library"),
    "debate": ("farmers", "chess"),
    "love_song": ("baker", "Paris"),
    "film_scene": ("letter", "kitchen"),
}


def build(corpus: str, seed: int, sizes: SplitSizes) -> list[Source] | list[Row]:
    """The rows of a corpus (`films`, `code` or `instructions`), train before val before test.

    Each split has draws of its own, under the seed, and keeps clear of the ones before it: a size changes its own split
    and those after it, and no other corpus. Rows are spread evenly over the families. Raises InputError when a family
    has fewer combinations than its share.
    """
    if corpus == "films":
        return _texts(seed, sizes)
    return _rows(corpus, {"code": code_tasks.FAMILIES, "instructions": general_tasks.FAMILIES}[corpus], seed, sizes)


def _draw(*names: object) -> random.Random:
    return random.Random(f"relearn mini world {'/'.join(map(str, names))}")


def _texts(seed: int, sizes: SplitSizes) -> list[Source]:
    """Reviews, in each split as many positive as negative ones (one more when its size is odd)."""
    seen: set[str] = set()
    texts = []
    for split, size in zip(SPLITS, sizes, strict=True):
        made = film_reviews.write_many(_draw(seed, "reviews", split), size, seen)
        for number, (text, label) in enumerate(made):
            name = f"review-{split}-{number:04d}"
            fields = {"text": text, "label": label}
            texts.append(Source(id=name, task="reviews", group=name, label=label, split=split, fields=fields))
    return texts


def _rows(corpus: str, families: Sequence[Family], seed: int, sizes: SplitSizes) -> list[Row]:
    """The rows of one corpus. Each split is shuffled, so that a prefix of it holds many families."""
    draws = {split: _draw(seed, corpus, split) for split in SPLITS}
    shares = [_shares(draws[split], size, len(families)) for split, size in zip(SPLITS, sizes, strict=True)]
    rows: dict[Split, list[Row]] = {split: [] for split in SPLITS}
    for number, family in enumerate(families):
        wanted = (shares[0][number], shares[1][number], shares[2][number])
        for split, combinations in zip(SPLITS, _divide(_draw(seed, corpus, family.name), family, wanted), strict=True):
            for combination in combinations:
                item = family.write(combination)
                rows[split].append(
                    Row(
                        id=f"{corpus}-{'-'.join((family.name, *item.values)).replace(' ', '_')}",
                        task=corpus,
                        role="watched",
                        group=family.name,
                        split=split,
                        messages=[
                            Message(role="user", content=item.instruction),
                            Message(role="assistant", content=item.response),
                        ],
                        tests=list(item.tests),
                    )
                )
    for split in SPLITS:
        draws[split].shuffle(rows[split])
    return [row for split in SPLITS for row in rows[split]]


def _shares(rng: random.Random, count: int, families: int) -> list[int]:
    """`count` spread over the families as evenly as it goes; chance says which families get one more."""
    whole, rest = divmod(count, families)
    extra = set(rng.sample(range(families), rest))
    return [whole + (number in extra) for number in range(families)]


def _divide(rng: random.Random, family: Family, counts: SplitSizes) -> list[list[tuple[Filling, ...]]]:
    """Combinations of one family for train, val and test.

    Training takes the combination whose values it has used least, one after the other, so that few rows show all
    values; val and test take from the rest, at random, those whose values training shows (as far as there are
    enough: a handful of training rows cannot show them all).
    """
    reserved = RESERVED.get(family.name)
    left = [combination for combination in family.combinations() if key(combination) != reserved]
    if len(left) < sum(counts):
        raise InputError(
            f"mini world: family {family.name} has {len(left)} combinations, but {sum(counts)} are needed; "
            "lower the number of rows"
        )
    rng.shuffle(left)
    used: dict[tuple[int, str], int] = {}
    train: list[tuple[Filling, ...]] = []
    for _ in range(counts[0]):
        best = min(
            range(min(len(left), WINDOW)), key=lambda at: sum(used.get(pair, 0) for pair in enumerate(key(left[at])))
        )
        combination = left.pop(best)
        train.append(combination)
        for pair in enumerate(key(combination)):
            used[pair] = used.get(pair, 0) + 1
    left.sort(key=lambda combination: sum(pair not in used for pair in enumerate(key(combination))))
    return [train, left[: counts[1]], left[counts[1] : counts[1] + counts[2]]]
