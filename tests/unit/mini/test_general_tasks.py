"""The general families: enough of them, readable, and French that agrees."""

import pytest

from relearn.mini.families import Family
from relearn.mini.general_tasks import FAMILIES

BY_NAME = {family.name: family for family in FAMILIES}


def answer(name: str, *values: str) -> str:
    family = BY_NAME[name]
    items = [family.write(combination) for combination in family.combinations()]
    return next(item.response for item in items if item.values == values)


def test_there_are_twenty_families_with_names_of_their_own() -> None:
    assert len(BY_NAME) == len(FAMILIES) >= 20
    assert all(family.task == "general" and 1 <= len(family.asks) <= 2 for family in FAMILIES)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_every_combination_makes_a_row_of_its_own(family: Family) -> None:
    items = [family.write(combination) for combination in family.combinations()]
    assert len(items) >= 40
    assert len({item.instruction for item in items}) == len(items)
    for item in items:
        assert "$" not in item.instruction + item.response
        assert 2 <= len(item.response.split()) <= 70
        assert item.response == item.response.strip()


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_one_combination_always_gives_the_same_row(family: Family) -> None:
    combination = family.combinations()[0]
    assert family.write(combination) == family.write(combination)


def test_french_adjectives_agree_with_their_nouns() -> None:
    assert answer("french_is", "house", "green") == "La maison est verte."
    assert answer("french_is", "dog", "old") == "Le chien est vieux."
    assert answer("french_is", "car", "new") == "La voiture est nouvelle."
    assert answer("french_see", "see", "cat", "door") == "Je vois le chat et la porte."
    assert answer("french_where", "book", "on the table") == "Le livre est sur la table."


def test_nothing_is_in_itself() -> None:
    pairs = {item.values for item in map(BY_NAME["french_where"].write, BY_NAME["french_where"].combinations())}
    assert ("house", "in the house") not in pairs
    assert ("house", "in the town") in pairs


def test_counting_names_every_number_once() -> None:
    assert answer("counting", "two", "five") == "Counting from two to five: two, three, four, five."


def test_both_phrasings_are_used() -> None:
    for family in FAMILIES:
        starts = {family.write(combination).instruction[:4] for combination in family.combinations()}
        texts = {ask[:4] for ask in family.asks if "$" not in ask[:4]}
        assert texts <= starts, family.name
