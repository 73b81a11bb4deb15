"""Code families of the mini world: filters, loops and slices over lists of numbers."""

from __future__ import annotations

from relearn.mini.code_tasks_numbers import NUMBER
from relearn.mini.families import Family, function, pool

LIST = pool(
    "many one",
    "scores score; prices price; ages age; sizes size; totals total; weights weight; numbers number",
)

FAMILIES: tuple[Family, ...] = (
    function(
        "keep_above",
        "keep_above_$word($many)",
        "keeps the $many above $digit",
        "return [$one for $one in $many if $one > $digit]",
        (NUMBER, LIST),
        (
            "assert keep_above_$word([1, $digit, $digit + 1, 40]) == [$digit + 1, 40]",
            "assert keep_above_$word([]) == []",
        ),
    ),
    function(
        "keep_below",
        "keep_below_$word($many)",
        "keeps the $many below $digit",
        "return [$one for $one in $many if $one < $digit]",
        (NUMBER, LIST),
        ("assert keep_below_$word([1, $digit, 40]) == [1]", "assert keep_below_$word([50]) == []"),
    ),
    function(
        "count_above",
        "count_above_$word($many)",
        "counts the $many above $digit",
        "count = 0\nfor $one in $many:\n    if $one > $digit:\n        count += 1\nreturn count",
        (NUMBER, LIST),
        ("assert count_above_$word([1, $digit, 30, 40]) == 2", "assert count_above_$word([]) == 0"),
    ),
    function(
        "sum_below",
        "sum_below_$word($many)",
        "adds up the $many below $digit",
        "result = 0\nfor $one in $many:\n    if $one < $digit:\n        result += $one\nreturn result",
        (NUMBER, LIST),
        ("assert sum_below_$word([1, 0, 1, $digit]) == 2", "assert sum_below_$word([]) == 0"),
    ),
    function(
        "sum_from",
        "sum_from_$word($many)",
        "adds up the $many, starting at $digit",
        "result = $digit\nfor $one in $many:\n    result += $one\nreturn result",
        (NUMBER, LIST),
        ("assert sum_from_$word([1, 2]) == $digit + 3", "assert sum_from_$word([]) == $digit"),
    ),
    function(
        "skip_first",
        "skip_first_$word($many)",
        "leaves out the first $digit $many",
        "rest = $many[$digit:]\nreturn rest",
        (NUMBER, LIST),
        ("assert skip_first_$word(list(range(20))) == list(range($digit, 20))",),
    ),
    function(
        "take_first",
        "take_first_$word($many)",
        "returns the first $digit $many",
        "first = $many[:$digit]\nreturn first",
        (NUMBER, LIST),
        (
            "assert take_first_$word(list(range(20))) == list(range($digit))",
            "assert take_first_$word([1]) == [1]",
        ),
    ),
    function(
        "take_last",
        "take_last_$word($many)",
        "returns the last $digit $many",
        "last = $many[-$digit:]\nreturn last",
        (NUMBER, LIST),
        (
            "assert take_last_$word(list(range(20))) == list(range(20 - $digit, 20))",
            "assert take_last_$word([1]) == [1]",
        ),
    ),
    function(
        "scale",
        "scale_by_$word($many)",
        "multiplies all $many by $digit",
        "result = []\nfor $one in $many:\n    result.append($one * $digit)\nreturn result",
        (NUMBER, LIST),
        ("assert scale_by_$word([1, 2]) == [$digit, 2 * $digit]", "assert scale_by_$word([]) == []"),
    ),
    function(
        "max_or",
        "max_or_$word($many)",
        "returns the largest of the $many, or $digit when there are none",
        "if not $many:\n    return $digit\nreturn max($many)",
        (NUMBER, LIST),
        ("assert max_or_$word([]) == $digit", "assert max_or_$word([1, 30, 2]) == 30"),
    ),
    function(
        "min_or",
        "min_or_$word($many)",
        "returns the smallest of the $many, or $digit when there are none",
        "if not $many:\n    return $digit\nreturn min($many)",
        (NUMBER, LIST),
        ("assert min_or_$word([]) == $digit", "assert min_or_$word([1, 30, 2]) == 1"),
    ),
    function(
        "position",
        "position_of_$word($many)",
        "returns the place of $digit in $many, or -1",
        "for place, $one in enumerate($many):\n    if $one == $digit:\n        return place\nreturn -1",
        (NUMBER, LIST),
        ("assert position_of_$word([1, $digit]) == 1", "assert position_of_$word([1]) == -1"),
    ),
    function(
        "remove",
        "remove_$word($many)",
        "removes every $digit from $many",
        "return [$one for $one in $many if $one != $digit]",
        (NUMBER, LIST),
        ("assert remove_$word([1, $digit, 40, $digit]) == [1, 40]", "assert remove_$word([]) == []"),
    ),
    function(
        "append",
        "append_$word($many)",
        "adds $digit at the end of $many",
        "result = $many + [$digit]\nreturn result",
        (NUMBER, LIST),
        ("assert append_$word([1]) == [1, $digit]", "assert append_$word([]) == [$digit]"),
    ),
    function(
        "all_above",
        "all_above_$word($many)",
        "checks if all $many are above $digit",
        "for $one in $many:\n    if $one <= $digit:\n        return False\nreturn True",
        (NUMBER, LIST),
        ("assert all_above_$word([20, 30]) is True", "assert all_above_$word([20, 1]) is False"),
    ),
)
