"""The code families: every reference passes its tests, and every test can fail."""

import ast

import pytest

from relearn.mini.code_tasks import FAMILIES
from relearn.mini.families import Family


def test_there_are_forty_families_with_names_of_their_own() -> None:
    assert len(FAMILIES) >= 40
    assert len({family.name for family in FAMILIES}) == len(FAMILIES)
    assert all(family.task == "code" and 1 <= len(family.asks) <= 2 for family in FAMILIES)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_every_reference_passes_its_tests(family: Family) -> None:
    items = [family.write(combination) for combination in family.combinations()]
    assert len(items) >= 25
    assert len({item.instruction for item in items}) == len(items)
    for item in items:
        assert 2 <= len(item.response.splitlines()) <= 6
        assert item.tests
        for test in item.tests:
            assert isinstance(ast.parse(test).body[0], ast.Assert)
            exec(compile(f"{item.response}\n{test}", item.instruction, "exec"), {})


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_the_tests_refuse_a_function_that_does_nothing(family: Family) -> None:
    for combination in family.combinations()[::7]:
        item = family.write(combination)
        tree = ast.parse(item.response)
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                node.body = [ast.Pass()]
        empty = compile(ast.fix_missing_locations(tree), "empty", "exec")
        names: dict[str, object] = {}
        exec(empty, names)
        with pytest.raises((AssertionError, AttributeError)):
            exec("\n".join(item.tests), names)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_two_combinations_do_not_share_a_reference(family: Family) -> None:
    """Otherwise a held-out row could be answered without reading the instruction."""
    answers = [family.write(combination).response for combination in family.combinations()]
    assert len(set(answers)) == len(answers)
