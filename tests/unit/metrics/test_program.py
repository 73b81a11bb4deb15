"""The program that is tested is the one that defines what the tests name, whatever is around it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from relearn.metrics.code.find import find_code
from relearn.metrics.code.program import find_program, find_used
from relearn.metrics.pass_at_1 import pass_at_1

PROMPT = "Write a function total(values) that adds up numbers."
TESTS = ["assert total([1, 2, 3]) == 6", "assert total([]) == 0"]
LOOP = "def total(values):\n    result = 0\n    for value in values:\n        result += value\n    return result\n"
MINUS = LOOP.replace("+=", "-=")
WITH_HELPER = "def total(values):\n    result = 0\n    for value in values:\n        result = add(result, value)\n    return result\n"
HELPER = "def add(a, b):\n    return a + b\n"


def fenced(code: str, tag: str = "python") -> str:
    return f"```{tag}\n{code}\n```\n"


RIGHT = {
    "alone": LOOP,
    "in prose": f"Sure! Here is the function:\n\n{LOOP}\nIt loops over the values.",
    "tilde fence": f"~~~python\n{LOOP}~~~",
    "tabs": fenced(LOOP.replace("    ", "\t")),
    "a fence in a list": "1. Write it:\n   ```python\n   def total(values):\n       return sum(values)\n   ```\n2. Done.",
    "a magic line": fenced(f"!pip install numpy\n{LOOP}"),
    "an installation line without a tag": fenced(f"pip install numpy\n\n{LOOP}", ""),
    "an installation block": fenced("conda install numpy", "bash") + fenced(LOOP),
    "use that reads input, same block": fenced(f"{LOOP}\nn = int(input('n? '))\nprint(total(range(n)))"),
    "use that reads input, next block": fenced(LOOP) + fenced("print(total([int(input())]))"),
    "use without end, next block": fenced(LOOP) + fenced("while True:\n    try:\n        total([int(input())])\n    except Exception:\n        pass"),
    "use after a bare function": f"{LOOP}\nExample:\n" + fenced("print(total([1, 2]))"),
    "an example that is wrong": fenced(f"{LOOP}\nassert total([1]) == 2"),
    "leaves at the end": fenced(f"import sys\n{LOOP}\nprint(total([1]))\nsys.exit(0)"),
    "main guard": fenced(f"{LOOP}\nif __name__ == '__main__':\n    print(total(map(int, input().split())))"),
    "a plot": fenced(LOOP) + fenced("import matplotlib.pyplot as plt\nplt.plot([total([1])])\nplt.show()"),
    "an import that is not used": fenced(f"import numpy as np\n{LOOP}"),
    "its own pytest, same block": fenced(f"import pytest\n\n{LOOP}\ndef test_total():\n    assert total([1]) == 1"),
    "examples in the docstring": fenced('def total(values):\n    """Sum.\n\n    >>> total([1, 2])\n    3\n    """\n    return sum(values)'),
    "a session below": fenced(f"{LOOP}>>> total([1, 2])\n3"),
    "a session of its own": fenced(LOOP) + fenced(">>> total([1, 2])\n3", "pycon"),
    "output without a tag": fenced(LOOP) + "Output:\n" + fenced("6", ""),
    "output as JSON": fenced(LOOP) + fenced('{"total": 6}', "json"),
    "prose in the fence": fenced(f"{LOOP}\nThis adds up the values."),
    "cut in the example": f"```python\n{LOOP}\nprint(total([1, 2",
    "a mistake shown first": "A common mistake is this:\n" + fenced(MINUS) + "The correct version:\n" + fenced(LOOP),
    "a mistake shown after": fenced(LOOP) + "Do not write this instead:\n" + fenced(MINUS),
    "corrected": fenced(MINUS) + "Wait, that subtracts. Here is the corrected code:\n" + fenced(LOOP),
    "an alternative after": fenced(LOOP) + "Or, shorter:\n" + fenced(MINUS),
    "another language first": fenced("function total(v) { return v.reduce((a, b) => a + b, 0); }", "javascript") + fenced(LOOP),
    "a helper before": "First a helper:\n" + fenced(HELPER) + "Then:\n" + fenced(WITH_HELPER),
    "a helper after": fenced(WITH_HELPER) + "with\n" + fenced(HELPER),
    "an import before": fenced("from functools import reduce") + fenced("def total(values):\n    return reduce(lambda a, b: a + b, values, 0)"),
    "a method by another name": fenced("class Solution:\n    def total(self, values):\n        return sum(values)\n\ntotal = Solution().total"),
    "an unrelated program": fenced(LOOP) + fenced("import asyncio\nasync def main():\n    await asyncio.sleep(100)\nasyncio.run(main())"),
    "a type that is not imported": fenced(LOOP.replace("(values)", "(values: Iterable[float])")),
}  # fmt: skip
WRONG = {
    "wrong": LOOP.replace("= 0", "= 1"),
    "minus": fenced(MINUS),
    "only a helper": fenced(HELPER),
    "fails before it defines anything": f"raise ValueError\n{LOOP}",
    "defined anew, wrongly": fenced(f"{LOOP}\n{MINUS}"),
    "cut inside the function": "```python\n" + LOOP.replace("    return result\n", "    return res"),
    "an alternative that is right": fenced(MINUS) + "Or, shorter:\n" + fenced(LOOP),
    "needs what is not there": fenced("import numpy as np\ndef total(values):\n    return np.sum(values)"),
    "no code": "Add the numbers up, one after the other.",
}


@pytest.fixture(scope="module")
def passed() -> dict[str, bool]:
    answers = list({**RIGHT, **WRONG}.values())
    scores = pass_at_1(answers, [PROMPT] * len(answers), [TESTS] * len(answers), "best_effort", 5, 512).each()
    return {name: value == 1 for name, value in zip({**RIGHT, **WRONG}, scores, strict=True)}


@pytest.mark.parametrize("name", RIGHT)
def test_what_stands_around_a_right_program_does_not_break_it(name: str, passed: dict[str, bool]) -> None:
    assert passed[name]


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_program_stays_wrong(name: str, passed: dict[str, bool]) -> None:
    assert not passed[name]


def test_the_names_that_tests_use() -> None:
    assert find_used(TESTS) >= {"total"}
    checker = "def check(candidate):\n    for x in range(3):\n        assert candidate(x) == x\n\ncheck(same)"
    assert find_used([checker]) - {"range"} == {"same"}
    assert find_used(["import math", "assert math.isclose(area(1), math.pi)"]) == {"area"}
    assert find_used(["this is no Python ("]) == frozenset()


def test_a_builtin_that_is_asked_for_is_found() -> None:
    answer = fenced("print(1)") + fenced("def sum(a, b):\n    return a + b")
    found = find_program(answer, None, ["assert sum(1, 2) == 3"])
    assert found is not None
    assert "def sum" in found


def test_the_body_of_a_function_in_the_prompt_goes_on_from_it() -> None:
    prompt = 'def double(x):\n    """Twice x.\n\n    >>> double(2)\n    4\n    """\n'
    for answer in ("    return 2 * x\n", "return 2 * x", fenced("    return 2 * x")):
        for asked in (prompt, f"Complete this function:\n\n{fenced(prompt)}"):
            found = find_program(answer, asked, ["assert double(2) == 4"])
            assert found is not None, answer
            assert "def double" in found
            assert found.rstrip().endswith("return 2 * x")
    assert find_program("I cannot do that.", prompt, ["assert double(2) == 4"]) is None


def test_examples_in_a_docstring_are_no_session() -> None:
    code = 'def double(x):\n    """Twice x.\n\n    >>> double(2)\n    4\n    """\n    import math\n    return 2 * x'
    assert find_code(code) == code
    assert find_code(fenced(code)) == code
    broken = code.replace("(x):", "(x:", 1)
    assert find_code(fenced(broken)) == broken


def test_every_reference_solution_of_humaneval_is_found(shared_data: Path) -> None:
    for line in (shared_data / "humaneval" / "HumanEval.jsonl").read_text().splitlines():
        row = json.loads(line)
        tests = [f"{row['test']}\ncheck({row['entry_point']})"]
        whole = row["prompt"] + row["canonical_solution"]
        for answer in (whole, fenced(whole), row["canonical_solution"]):
            found = find_program(answer, row["prompt"], tests)
            assert found is not None, row["task_id"]
            assert f"def {row['entry_point']}" in found, row["task_id"]
            assert find_code(answer) is not None, row["task_id"]
