"""Code families of the mini world: dictionaries and small classes."""

from __future__ import annotations

from relearn.mini.code_tasks_numbers import NUMBER
from relearn.mini.families import Family, function, numbered, pool

KEY = pool("field", "name; price; color; size; title; city; age; weight")
THING = pool("thing", "book; car; house; boat; song; shop; film; user")

FAMILIES: tuple[Family, ...] = (
    function(
        "get_field",
        "get_$field($thing)",
        "returns the $field of a $thing, which is a dictionary",
        '$field = $thing["$field"]\nreturn $field',
        (KEY, THING),
        ('assert get_$field({"$field": 3}) == 3', 'assert get_$field({"$field": "x", "other": 1}) == "x"'),
    ),
    function(
        "get_or_default",
        "${field}_or_$word(data)",
        'returns the "$field" in data, or $digit when it is missing',
        'result = data.get("$field", $digit)\nreturn result',
        (KEY, NUMBER),
        ('assert ${field}_or_$word({"$field": 1}) == 1', "assert ${field}_or_$word({}) == $digit"),
    ),
    function(
        "set_field",
        "set_$field($thing, $field)",
        "puts the $field into a $thing, which is a dictionary",
        '$thing["$field"] = $field\nreturn $thing',
        (KEY, THING),
        (
            'assert set_$field({}, 3) == {"$field": 3}',
            'assert set_$field({"a": 1}, 2) == {"a": 1, "$field": 2}',
        ),
    ),
    function(
        "sum_field",
        "sum_${field}(${thing}s)",
        "adds up the $field of all ${thing}s",
        'result = 0\nfor $thing in ${thing}s:\n    result += $thing["$field"]\nreturn result',
        (KEY, THING),
        ('assert sum_$field([{"$field": 2}, {"$field": 3}]) == 5', "assert sum_$field([]) == 0"),
    ),
    function(
        "list_field",
        "list_$field(${thing}s)",
        "lists the $field of each $thing",
        'return [$thing["$field"] for $thing in ${thing}s]',
        (KEY, THING),
        ('assert list_$field([{"$field": 2}, {"$field": 3}]) == [2, 3]', "assert list_$field([]) == []"),
    ),
    function(
        "make_pair",
        "make_${field}_and_$fieldb($field, $fieldb)",
        "makes a dictionary of $field and $fieldb",
        'data = {"$field": $field, "$fieldb": $fieldb}\nreturn data',
        (KEY, numbered(KEY, "b")),
        ('assert make_${field}_and_$fieldb(1, 2) == {"$field": 1, "$fieldb": 2}',),
    ),
    Family(
        name="class_field",
        task="code",
        asks=(
            "Write a Python class $Thing with one attribute $field.",
            "Define $Thing in Python, a class with one attribute $field.",
        ),
        answer="class $Thing:\n    def __init__(self, $field):\n        self.$field = $field",
        slots=(THING, KEY),
        tests=("assert $Thing(3).$field == 3", 'assert $Thing("x").$field == "x"'),
    ),
    Family(
        name="class_counter",
        task="code",
        asks=(
            "Write a Python class $Thing whose count starts at $digit, with a method add.",
            "Define $Thing in Python, a class whose count starts at $digit, with a method add.",
        ),
        answer=(
            "class $Thing:\n    def __init__(self):\n        self.count = $digit\n\n"
            "    def add(self):\n        self.count += 1"
        ),
        slots=(THING, NUMBER),
        tests=(
            "assert $Thing().count == $digit",
            "assert [one := $Thing(), one.add(), one.count][2] == $digit + 1",
        ),
    ),
)
