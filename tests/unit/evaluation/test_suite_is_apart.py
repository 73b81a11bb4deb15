"""Nothing that the suite of the package asks is in a text that a model of this project is trained on, exactly or nearly."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator

import pytest

from relearn.data.near_duplicates import Index
from relearn.data.select import normalise
from relearn.evaluation.suite import SHIPPED, Item, read_suite
from relearn.mini import world
from relearn.records import Row
from tests.conftest import ROOT

NEAR = 0.5  # Jaccard of word 3-grams
SIZES = (330, 24, 220)  # train, val and test rows of a corpus of mini: as many as any profile takes


def texts_of_mini() -> Iterator[tuple[str, str]]:
    for corpus in ("films", "code", "instructions"):
        for row in world.build(corpus, 1222, SIZES):
            if isinstance(row, Row):
                yield row.id, row.instruction
                yield row.id, row.response
            else:
                yield from ((row.id, text) for text in row.fields.values())


def texts_of_files() -> Iterator[tuple[str, str]]:
    for file in sorted((ROOT / "data" / "sources").glob("*/*")):
        if file.suffix == ".jsonl":
            rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        elif file.suffix == ".csv":
            rows = list(csv.DictReader(file.open(encoding="utf-8", newline="")))
        else:
            continue
        for number, row in enumerate(rows, 1):
            yield from ((f"{file.name}, row {number}", value) for value in row.values() if isinstance(value, str))


@pytest.fixture(scope="module")
def trained() -> tuple[Index, dict[str, str]]:
    index, exact = Index(NEAR), {}
    for label, text in dict.fromkeys([*texts_of_mini(), *texts_of_files()]):
        if len(text.split()) >= 4:
            index.add(label, text)
            exact[normalise(text)] = label
    return index, exact


def asked(item: Item) -> list[str]:
    """What an item asks, as one text and by message."""
    texts = [item.instruction, *(message.content for message in item.messages)]
    return [text for text in dict.fromkeys(texts) if len(text.split()) >= 4]


def test_no_training_text_is_asked_or_nearly_asked(trained: tuple[Index, dict[str, str]]) -> None:
    index, exact = trained
    found = [
        (item.id, text, exact.get(normalise(text)) or index.near(text))
        for skill in read_suite(SHIPPED)
        for item in skill.items
        for text in asked(item)
        if normalise(text) in exact or index.near(text)
    ]
    assert found == []
    assert len(exact) > 1_500


def test_the_search_sees_a_training_text_and_one_that_is_nearly_so(trained: tuple[Index, dict[str, str]]) -> None:
    index, exact = trained
    text = max(exact, key=len)
    assert index.near(text)
    assert index.near(f"{text} Answer in one sentence.")
