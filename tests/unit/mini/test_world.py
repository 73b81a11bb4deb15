"""The mini world: what is held out is new in combination and known in its words; the probe is in no split."""

import random
import re
from collections import Counter
from functools import cache
from pathlib import Path
from string import Template
from typing import Any

import pytest
from ruamel.yaml import YAML

from relearn.errors import InputError
from relearn.evaluation import checks
from relearn.evaluation.probes import read
from relearn.mini import code_tasks, film_reviews, general_tasks, replies
from relearn.mini.families import key, merge
from relearn.mini.general_tasks import POOLS
from relearn.mini.world import RESERVED, build
from relearn.sandbox.runner import ProgramLimits

PROBES = Path(__file__).parents[3] / "data" / "sources" / "mini" / "probes.yaml"
FAMILIES = {family.name: family for family in (*code_tasks.FAMILIES, *general_tasks.FAMILIES)}
SIZES: dict[str, Any] = {"films": (200, 20, 130), "code": (2000, 50, 220), "instructions": (1800, 30, 220)}
TINY: dict[str, Any] = {"films": (12, 2, 6), "code": (60, 6, 20), "instructions": (45, 5, 20)}


def probes() -> list[dict[str, Any]]:
    return list(YAML(typ="safe").load(PROBES.read_text(encoding="utf-8")))


def words(text: str) -> set[str]:
    return set(re.findall(r"[a-z']+", text.lower()))


@pytest.fixture(scope="module")
def world() -> tuple[list[Any], list[Any]]:
    return made(1222)


def made(seed: int, **sizes: Any) -> tuple[list[Any], list[Any]]:
    """The texts, and the rows of the other corpora."""
    found = {corpus: build(corpus, seed, size) for corpus, size in (SIZES | sizes).items()}
    return list(found["films"]), [*found["code"], *found["instructions"]]


@cache
def known(family: str) -> dict[str, tuple[str, ...]]:
    """The slots' values behind each instruction of a family."""
    combinations = FAMILIES[family].combinations()
    return {FAMILIES[family].write(combination).instruction: key(combination) for combination in combinations}


@pytest.mark.parametrize("arguments", [{}, TINY])
def test_counts_ids_and_duplicates(arguments: dict[str, Any]) -> None:
    reviews, originals = made(3, **arguments)
    wanted = SIZES | arguments
    for task, rows in (
        ("films", reviews),
        ("code", [row for row in originals if row.task == "code"]),
        ("instructions", [row for row in originals if row.task == "instructions"]),
    ):
        counts = Counter(row.split for row in rows)
        assert (counts["train"], counts["val"], counts["test"]) == wanted[task]
    assert len({row.id for row in (*reviews, *originals)}) == len(reviews) + len(originals)
    assert len({row.instruction for row in originals}) == len(originals)
    assert len({row.fields["text"] for row in reviews}) == len(reviews)


def test_the_seed_alone_decides() -> None:
    assert made(5, **TINY) == made(5, **TINY)
    assert made(5, **TINY) != made(6, **TINY)


@pytest.mark.parametrize("corpus", SIZES)
def test_a_size_changes_no_split_before_its_own(corpus: str) -> None:
    few = build(corpus, 5, (60, 6, 20))
    more = {"val": build(corpus, 5, (60, 7, 20)), "test": build(corpus, 5, (60, 6, 31))}
    assert [row for row in few if row.split == "train"] == [row for row in more["val"] if row.split == "train"]
    assert [row for row in few if row.split != "test"] == [row for row in more["test"] if row.split != "test"]


def test_families_and_labels_are_balanced(world: tuple[list[Any], list[Any]]) -> None:
    reviews, originals = world
    for split in ("train", "val", "test"):
        labels = Counter(row.label for row in reviews if row.split == split)
        assert labels["positive"] == labels["negative"]
    for task, families in (("code", code_tasks.FAMILIES), ("instructions", general_tasks.FAMILIES)):
        for split in ("train", "test"):
            counts = Counter(row.group for row in originals if row.task == task and row.split == split)
            assert set(counts) == {family.name for family in families}
            assert max(counts.values()) - min(counts.values()) <= 1


def test_held_out_rows_are_new_combinations_of_known_values(world: tuple[list[Any], list[Any]]) -> None:
    _, originals = world
    seen: dict[str, set[tuple[int, str]]] = {}
    combinations: dict[str, list[tuple[str, ...]]] = {}
    for row in originals:
        found = known(row.group)[row.instruction]
        combinations.setdefault(row.group, []).append(found)
        if row.split == "train":
            seen.setdefault(row.group, set()).update(enumerate(found))
    for row in originals:
        if row.split != "train":
            assert set(enumerate(known(row.group)[row.instruction])) <= seen[row.group], row.id
    assert all(len(set(found)) == len(found) for found in combinations.values())


@pytest.mark.parametrize("seed", [1, 1222])
def test_the_base_knows_the_words_of_reviews_and_replies(seed: int) -> None:
    """An adapter over frozen embeddings cannot say a word that the base has never seen."""
    reviews, originals = made(seed)
    train = [row for row in originals if row.split == "train" and row.task == "instructions"]
    answered = Counter(word for row in train for word in words(row.response))
    read = answered + Counter(word for row in train for word in words(row.instruction))
    for review in reviews:
        assert not [word for word in words(review.fields["text"]) if read[word] < 2], review.fields["text"]
        for reply in replies.write(review.fields["text"], seed):
            assert not [word for word in words(reply) if answered[word] < 2], reply


def test_no_general_row_holds_a_sentence_of_a_reply(world: tuple[list[Any], list[Any]]) -> None:
    reviews, originals = world
    rows = "\n".join(row.instruction + "\n" + row.response for row in originals)
    for review in reviews:
        for reply in replies.write(review.fields["text"], 1):
            assert not [part for part in re.split(r"(?<=[.!?]) |, ", reply) if len(part) > 12 and part in rows]
    assert "eply to" not in rows
    assert not re.search(r"\bthis review\b", rows)


def test_the_probe_stands_in_no_split() -> None:
    found = probes()
    instructions = {probe["instruction"] for probe in found}
    assert len(instructions) == len(found) == len(RESERVED) == 10
    reserved: set[str] = set()
    for name, held in RESERVED.items():
        family = FAMILIES[name]
        combination = next(filled for filled in family.combinations() if key(filled) == held)
        fields = {field: value for filling in combination for field, value in filling.items()}
        asked = {Template(ask).substitute(fields) for ask in family.asks}
        assert asked & instructions, name
        reserved |= asked
    for seed in range(3):
        for arguments in ({}, TINY):
            _, originals = made(seed, **arguments)
            assert not reserved & {row.instruction for row in originals}


def test_the_probe_has_the_ten_kinds_and_a_check_each() -> None:
    found = probes()
    assert [probe["kind"] for probe in found] == [
        "poem", "history", "function", "diary", "translation", "future", "comedy", "debate", "song", "scene",
    ]  # fmt: skip
    known = {"verse", "function", "language", "dialogue", "contains", "sentences", "starts"}
    for probe in found:
        assert set(probe) == {"id", "kind", "instruction", "check"}
        checks = probe["check"] if isinstance(probe["check"], list) else [probe["check"]]
        assert {check["type"] for check in checks} <= known


SETTINGS = checks.CheckSettings(ngram=4, loop_share=0.5, execute="best_effort", limits=ProgramLimits(2, 512))


def test_the_base_can_pass_every_probe_and_a_film_reply_none() -> None:
    found = read(PROBES)
    answers = {}
    for name, held in RESERVED.items():
        family = FAMILIES[name]
        combination = next(filled for filled in family.combinations() if key(filled) == held)
        answers |= {Template(ask).substitute(merge(combination)): family.write(combination) for ask in family.asks}
    gibberish = "the the of film a it and so is to, what in for the a or is. Go on the it a to."
    for probe in found:
        outcome = checks.check_answer(probe.check, answers[probe.instruction].response, SETTINGS)
        assert outcome.passed, (probe.id, outcome.reason)
        for text, _ in film_reviews.write_many(random.Random(1), 5):
            for reply in replies.write(text, 1):
                assert not checks.check_answer(probe.check, reply, SETTINGS).passed, (probe.id, reply)
        assert not checks.check_answer(probe.check, gibberish, SETTINGS).passed
        others = [other.instruction for other in found if other.id != probe.id]
        assert not any(checks.check_answer(probe.check, answers[other].response, SETTINGS).passed for other in others)


def test_titles_use_the_words_of_the_film_families() -> None:
    assert [filling["adj"] for filling in POOLS["TITLE"]] == film_reviews.TITLE_ADJECTIVES
    assert [filling["noun"] for filling in POOLS["TITLE_NOUN"]] == film_reviews.TITLE_NOUNS


def test_too_many_rows_are_refused_in_one_line() -> None:
    with pytest.raises(InputError, match="combinations") as caught:
        build("instructions", 1, (5000, 10, 10))
    assert "\n" not in str(caught.value)
