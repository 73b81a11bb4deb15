"""What a reader calls code, and what a reader does not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relearn.metrics.code.find import find_code, holds_code, without_echo
from relearn.metrics.code.lines import is_loop, parse

CODE = {
    "a function": "def add_seven(n):\n    return n + 7",
    "one line": "print(sum(range(10)))",
    "an assignment": "total = sum(values)",
    "fenced": "Sure! Here is the function:\n\n```python\ndef f(x):\n    return x * 2\n```\n\nIt doubles x.",
    "fenced without a tag": "```\nfor i in range(3):\n    print(i)\n```",
    "fenced, cut off": "Here you go:\n```python\ndef f(x):\n    y = x +",
    "fenced in one line": "Use ```print('hi')``` to print.",
    "tildes": "~~~python\nx = [1, 2]\n~~~",
    "bare in prose": "You can write it like this:\n\ndef f(x):\n    return x * 2\n\nThis doubles the number.",
    "bare in one line of prose": "The answer is: def f(x): return x + 1",
    "a missing colon": "def add(a, b)\n    return a + b",
    "a missing bracket": "def add(a, b):\n    return (a + b",
    "python 2": 'for i in range(3):\n    print "hello"',
    "a misspelt keyword": "def add(a, b):\n    retrun a + b",
    "with comments": "# add two numbers\ndef add(a, b):\n    # the sum\n    return a + b",
    "after an echoed marker": "### Response:\ndef f(x):\n    return x",
    "in a list": "1. Open the file:\n   `with open('a.txt') as f: data = f.read()`\n2. Print it.",
    "a session": ">>> x = 3\n>>> x + 1\n4",
    "a class": "class Stack:\n    def __init__(self):\n        self.items = []",
    "many lines": "result = some_function(\n    first,\n    second,\n)",
    "indented by markdown": "Here:\n\n    import os\n    print(os.getcwd())\n",
    "javascript": "function add(a, b) {\n  return a + b;\n}",
    "c": '#include <stdio.h>\nint main() {\n  printf("hi");\n}',
    "sql": "SELECT name FROM users WHERE age > 3",
    "shell": "```bash\npip install requests\n```",
    "a script with a shebang": "```python\n#!/bin/bash\nnmap -p 1-65535 target\n```",
    "tabs": "def f(x):\n\treturn x",
    "windows lines": "def f(x):\r\n    return x\r\n",
    "code that loops": "x = f(x)\n" * 40,
    "code, then prose that loops": "def f(x):\n    return x + 1\n" + "I loved this film. " * 30,
    "backticks around a statement": "`x = sorted(names)`",
    "a comprehension": "[x * x for x in range(10)]",
    "a lambda": "add = lambda a, b: a + b",
    "an assignment of a number": "x = 5",
    "an import alone": "import numpy as np",
    "after a label": "Answer: print(len(words))",
}
PROSE = {
    "nothing": "",
    "blank": " \n\t\n",
    "prose": "I agree with you about the film. The acting was wonderful and the ending moved me.",
    "prose with keywords": "If you want this: return to the class and import nothing. For me, it is a pass.",
    "about code": "The function takes a list and returns the sum of its elements.",
    "an inline mention": "You can call `len(x)` on a list, or `str.join` on a string.",
    "a heading": "# Introduction\n## Background\nSome text here.",
    "repeated headings": "### Response:\n" * 30,
    "repeated comments": "# Write a function\n" * 30,
    "comments, each another": "# first do this\n# then do that\n# and return the result",
    "fenced comments": "```python\n# Your code here\n# Your code here\n```",
    "an empty fence": "```python\n```",
    "fenced prose": "```\nThis film is about a man and his dog.\n```",
    "def def def": "def " * 60,
    "def on lines": "def\n" * 40,
    "print print": "print print print print print print",
    "open calls": "print(" * 50,
    "the same header": "def add_seven(n):\n" * 20,
    "the same header in a row": "def f(x): " * 20,
    "import import": "import import import import",
    "the same import": "import os\n" * 25,
    "brackets": "[[[[[[[[[[[[[[[[[[[[",
    "a prompt": "Write a Python function that adds seven to a number.",
    "a prompt again and again": "Write a Python function that adds seven.\n" * 20,
    "instructions": "### Instruction:\nWrite a function.\n\n### Response:\n### Instruction:\nWrite a function.",
    "a poem": "The sea is grey, the wind is cold,\nand winter comes to young and old,\nreturn home,\nnot bad",
    "a dialogue": "Alice: Hello there.\nBob: Hi, how are you?\nAlice: Fine = good.",
    "a list": "- apples\n- pears\n- not bad",
    "numbers": "1, 2, 3",
    "one word": "Yes",
    "a rating": "Rating: 8/10",
    "a citation": "Smith (2010) says film(s) are long. See Jones(1999)",
    "a web address": "http://example.com/a?b=c",
    "html of a review": "Great film.<br /><br />I loved it.",
    "dates": "2020-01-02",
    "mathematics on lines": "We solve the equation.\n\nx = 2\n\nSo the answer is 2, as was to be shown.",
    "mathematics": "So 3 + 4 = 7, and x = 2 is the answer we want here.",
    "quoted": '"To be or not to be"',
    "bold": "**Pros:**\n* Fast\n* Cheap",
    "french": "Le chat est noir. Il dort sur le lit.",
    "a table": "| a | b |\n|---|---|\n| 1 | 2 |",
    "json": '{"name": "Anna", "age": 3}',
    "film words": "import duties, class action, global warming, with love",
    "dots": "... ... ...",
    "dashes": "-----\n-----\n-----",
    "echo of hashes": "#" * 200,
}


@pytest.mark.parametrize("name", CODE)
def test_code_is_found(name: str) -> None:
    assert holds_code(CODE[name])


@pytest.mark.parametrize("name", PROSE)
def test_prose_is_not_code(name: str) -> None:
    assert not holds_code(PROSE[name]), find_code(PROSE[name])


def test_an_echoed_prompt_does_not_count() -> None:
    prompt = "What does this print?\nfor i in range(3):\n    print(i)"
    assert not holds_code(prompt + "\nIt prints numbers.", prompt)
    assert not holds_code((prompt + "\n") * 5, prompt)
    assert holds_code(prompt + "\n\nfor i in range(4):\n    print(i * 2)", prompt)
    assert without_echo("Add  seven to\nthis: x and more", "Add seven to this: x").strip() == "and more"


def test_prose_and_fences_are_left_out() -> None:
    found = find_code(
        "Here it is:\n```python\ndef f(x):\n    return x\n```\nUsage:\n```\nf(3)\n```\nIt prints:\n```\n3\n```"
    )
    assert found == "def f(x):\n    return x\n\nf(3)"
    bare = find_code("Here is the code:\n\ndef f(x):\n    # double\n    return x * 2\n\nHope this helps!")
    assert bare == "def f(x):\n    # double\n    return x * 2"


def test_code_alone_stays_as_it_is() -> None:
    code = '"""Doc."""\nimport os\n\n\ndef f(x):\n    """Words that are prose."""\n    return os.path.join(x, "a")\n'
    assert find_code(code) == code.strip("\n")


def test_prose_between_two_pieces() -> None:
    text = "First import it:\n\nimport math\n\nThen define the function as follows.\n\ndef area(r):\n    return math.pi * r ** 2\n\nDone."
    found = find_code(text)
    assert found is not None
    assert parse(found) is not None
    assert "follows" not in found


def test_examples_in_a_docstring_are_no_session() -> None:
    code = 'def twice(x):\n    """Doubles.\n    >>> twice(2)\n    4\n    """\n    return 2 * x'
    assert find_code(code) == code
    assert find_code(f"Here it is:\n```python\n{code}\n```\nDone.") == code
    assert find_code(code.replace("return 2 * x", "...")) == code.replace("return 2 * x", "...")
    assert find_code(code.removesuffix(" * x") + " * (") == code.removesuffix(" * x") + " * ("


def test_a_session_is_what_was_typed() -> None:
    assert find_code(">>> x = 3\n>>> for i in range(x):\n...     print(i)\n0\n1\n2") == (
        "x = 3\nfor i in range(x):\n    print(i)"
    )


def test_loops_of_tokens() -> None:
    assert is_loop("def def def def")
    assert is_loop("a b a b a b a b")
    assert not is_loop("for i in range(10):")
    assert not is_loop("one two three")


@given(st.text(max_size=300))
def test_never_raises_and_is_stable(text: str) -> None:
    found = find_code(text)
    assert (found is not None) == holds_code(text)
    assert found is None or found.strip()


@given(
    st.lists(
        st.sampled_from(["def", "return", "(", ")", ":", "\n", "    ", "x", "=", "`", "```", "#", "print", "if"]),
        max_size=40,
    )
)
def test_fragments_never_raise(parts: list[str]) -> None:
    holds_code(" ".join(parts))
