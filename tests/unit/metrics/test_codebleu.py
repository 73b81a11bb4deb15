"""CodeBLEU: the library's own parts, less its faults; the known cases."""

from __future__ import annotations

import math
import random

import codebleu as library
import pytest

from relearn.metrics.codebleu import codebleu, item

CODE = [
    "def add(a, b):\n    total = a + b\n    return total",
    "def first(items):\n    for item in items:\n        if item:\n            return item\n    return None",
    "import os\n\ndef names(path):\n    found = os.listdir(path)\n    return sorted(found)",
    "def area(r):\n    import math\n    return math.pi * r ** 2",
    "count = 0\nwhile count < 10:\n    count += 1\n    print(count)",
    "class Stack:\n    def __init__(self):\n        self.items = []\n\n    def push(self, item):\n        self.items.append(item)",
    "words = text.split()\nlongest = max(words, key=len)\nprint(longest)",
    "def fact(n):\n    return 1 if n == 0 else n * fact(n - 1)",
]
SHORT = ["print('hi')", "x = 5", "x.sort()", "import os"]


def test_identical_is_the_maximum_whatever_the_length() -> None:
    found = codebleu(CODE + SHORT, CODE + SHORT)
    assert found.scores[0].each() == pytest.approx([1.0] * len(CODE + SHORT))


def test_identical_in_prose_and_fences_is_the_maximum() -> None:
    answers = [f"Here it is:\n\n```python\n{code}\n```\nHope it helps." for code in CODE]
    assert codebleu(answers, CODE).scores[0].point == pytest.approx(1.0)


def test_empty_and_prose_score_nothing_where_the_plain_library_gives_a_quarter() -> None:
    for answer in ("", "I agree with you about this film.", "# nothing\n# nothing"):
        found = codebleu([answer] * len(CODE), CODE)
        assert found.scores[0].point == 0
        assert [part.point for part in found.scores[1:]] == [0, 0, 0, 0]
        assert found.counts["without_code"] == len(CODE)
        assert found.counts["empty_output_baseline"] == pytest.approx(0.25)


def test_shuffled_references_score_at_most_six_tenths() -> None:
    order = list(range(len(CODE)))
    random.Random(1).shuffle(order)
    found = codebleu([CODE[i] for i in order], CODE)
    assert found.scores[0].point <= 0.6


def test_parts_are_the_librarys() -> None:
    pairs = [(CODE[0], CODE[7]), (CODE[1], CODE[0]), (CODE[2], CODE[3]), (CODE[5], CODE[5]), (CODE[7], CODE[0])]
    for prediction, reference in pairs:
        ours, theirs = item(prediction, reference), library.calc_codebleu([reference], [prediction], "python")
        assert ours["ngram"] == pytest.approx(theirs["ngram_match_score"])
        assert ours["weighted_ngram"] == pytest.approx(theirs["weighted_ngram_match_score"])
        assert ours["syntax"] == pytest.approx(theirs["syntax_match_score"])
        assert ours["dataflow"] == pytest.approx(theirs["dataflow_match_score"])


def test_renaming_variables_keeps_the_data_flow() -> None:
    renamed = CODE[0].replace("total", "z").replace("a,", "q,").replace("= a +", "= q +")
    assert item(renamed, CODE[0])["dataflow"] == 1


def test_weights_are_renormalised_without_data_flow() -> None:
    reference = "print('hello')"
    found = item("print('bye')", reference)
    assert found["flow"] == 0
    assert found["all"] == pytest.approx((found["ngram"] + found["weighted_ngram"] + found["syntax"]) / 3)


def test_counts() -> None:
    found = codebleu(["def f(x:\n    return x", "prose", CODE[0]], [CODE[0], CODE[1], "only prose here, no code"])
    assert found.counts == {
        "unparseable": 1,
        "without_code": 1,
        "references_without_code": 1,
        "references_without_dataflow": 0,
        "empty_output_baseline": pytest.approx(0.25),
    }
    assert found.scores[0].items == 2
    assert math.isnan(found.scores[0].each()[2])


def test_an_echoed_prompt_earns_nothing() -> None:
    prompt = "Complete this function:\ndef add(a, b):\n    total = a + b"
    assert codebleu([prompt], [CODE[0]], [prompt]).scores[0].point == 0
    assert codebleu([prompt], [CODE[0]]).scores[0].point > 0
