"""Code families of the mini world: arithmetic, limits and comparisons on one number."""

from __future__ import annotations

from relearn.mini.families import Family, function, numbered, pool

NUMBER = pool(
    "word digit",
    "two 2; three 3; four 4; five 5; six 6; seven 7; eight 8; nine 9; ten 10; eleven 11; twelve 12",
)
AMOUNT = pool("amount", "price; score; age; size; weight; total; height")
LIMIT = pool("limit", "limit; stop; end; top; total; size; count")
PAIR = pool("more less", "above below; high low; big small; long short; late early; rich poor")

_OTHER = numbered(NUMBER, "b")

FAMILIES: tuple[Family, ...] = (
    function(
        "add",
        "add_$word($amount)",
        "returns $amount plus $digit",
        "result = $amount + $digit\nreturn result",
        (NUMBER, AMOUNT),
        ("assert add_$word(1) == 1 + $digit", "assert add_$word(-4) == $digit - 4"),
    ),
    function(
        "subtract",
        "subtract_$word($amount)",
        "returns $amount minus $digit",
        "result = $amount - $digit\nreturn result",
        (NUMBER, AMOUNT),
        ("assert subtract_$word(20) == 20 - $digit", "assert subtract_$word(0) == -$digit"),
    ),
    function(
        "multiply",
        "multiply_by_$word($amount)",
        "returns $amount times $digit",
        "result = $amount * $digit\nreturn result",
        (NUMBER, AMOUNT),
        ("assert multiply_by_$word(3) == 3 * $digit", "assert multiply_by_$word(0) == 0"),
    ),
    function(
        "divide",
        "divide_by_$word($amount)",
        "returns $amount divided by $digit, without the rest",
        "result = $amount // $digit\nreturn result",
        (NUMBER, AMOUNT),
        ("assert divide_by_$word(100) == 100 // $digit", "assert divide_by_$word(1) == 0"),
    ),
    function(
        "remainder",
        "rest_of_$word($amount)",
        "returns the rest of $amount divided by $digit",
        "rest = $amount % $digit\nreturn rest",
        (NUMBER, AMOUNT),
        ("assert rest_of_$word(100) == 100 % $digit", "assert rest_of_$word($digit) == 0"),
    ),
    function(
        "multiple",
        "is_multiple_of_$word($amount)",
        "checks if $amount is a multiple of $digit",
        "return $amount % $digit == 0",
        (NUMBER, AMOUNT),
        (
            "assert is_multiple_of_$word($digit * 3) is True",
            "assert is_multiple_of_$word($digit + 1) is False",
        ),
    ),
    function(
        "at_most",
        "at_most_$word($amount)",
        "returns $amount, but never more than $digit",
        "if $amount > $digit:\n    $amount = $digit\nreturn $amount",
        (NUMBER, AMOUNT),
        ("assert at_most_$word(50) == $digit", "assert at_most_$word(1) == 1"),
    ),
    function(
        "at_least",
        "at_least_$word($amount)",
        "returns $amount, but never less than $digit",
        "if $amount < $digit:\n    $amount = $digit\nreturn $amount",
        (NUMBER, AMOUNT),
        ("assert at_least_$word(50) == 50", "assert at_least_$word(1) == $digit"),
    ),
    function(
        "power",
        "power_$word($amount)",
        "multiplies $amount with itself $digit times in a loop",
        "result = 1\nfor step in range($digit):\n    result = result * $amount\nreturn result",
        (NUMBER, AMOUNT),
        ("assert power_$word(2) == 2 ** $digit", "assert power_$word(1) == 1"),
    ),
    function(
        "steps",
        "steps_of_$word($limit)",
        "lists the numbers from 0 to $limit in steps of $digit",
        "steps = []\nfor number in range(0, $limit, $digit):\n    steps.append(number)\nreturn steps",
        (NUMBER, LIMIT),
        ("assert steps_of_$word($digit + 1) == [0, $digit]", "assert steps_of_$word(0) == []"),
    ),
    Family(
        name="between",
        task="code",
        asks=(
            "Write a Python function between_${word}_and_$wordb(number) that checks if number "
            "is from $digit to $digitb.",
            "Define between_${word}_and_$wordb(number) in Python, a function that checks if number "
            "is from $digit to $digitb.",
        ),
        answer="def between_${word}_and_$wordb(number):\n    return $digit <= number <= $digitb",
        slots=(NUMBER, _OTHER),
        tests=(
            "assert between_${word}_and_$wordb($digit) is True",
            "assert between_${word}_and_$wordb($digitb + 1) is False",
        ),
        keep=lambda fields: int(fields["digit"]) < int(fields["digitb"]),
    ),
    function(
        "add_then_multiply",
        "add_${word}_times_$wordb(number)",
        "adds $digit to number and then multiplies by $digitb",
        "result = number + $digit\nresult = result * $digitb\nreturn result",
        (NUMBER, _OTHER),
        (
            "assert add_${word}_times_$wordb(1) == (1 + $digit) * $digitb",
            "assert add_${word}_times_$wordb(-$digit) == 0",
        ),
    ),
    function(
        "table",
        "table_of_$word($limit)",
        "lists the first $limit multiples of $digit",
        "table = []\nfor step in range(1, $limit + 1):\n    table.append(step * $digit)\nreturn table",
        (NUMBER, LIMIT),
        ("assert table_of_$word(2) == [$digit, $digit * 2]", "assert table_of_$word(0) == []"),
    ),
    function(
        "distance",
        "distance_to_$word($amount)",
        "returns how far $amount is from $digit",
        "gap = $amount - $digit\nreturn abs(gap)",
        (NUMBER, AMOUNT),
        ("assert distance_to_$word(0) == $digit", "assert distance_to_$word($digit) == 0"),
    ),
    function(
        "compare",
        "${more}_or_$less(number)",
        'returns "$more" when number is over $digit, else "$less"',
        'if number > $digit:\n    return "$more"\nreturn "$less"',
        (PAIR, NUMBER),
        ('assert ${more}_or_$less(99) == "$more"', 'assert ${more}_or_$less($digit) == "$less"'),
    ),
)
