"""The original experiment is one profile among others: the library names none of its tasks or kinds of rows."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NAMED = re.compile(r"(?<![a-zA-Z])(reviews|agree|disagree|general)(?![a-zA-Z])")
# Its world and its teacher, what tells a side, the metric of it, and a file format that has keys of that name.
ITS_OWN = ("relearn/mini/", "relearn/metrics/sides.py", "relearn/metrics/stance.py", "relearn/gguf/header.py")
FILES = [
    str(path.relative_to(ROOT))
    for path in sorted(ROOT.glob("relearn/**/*"))
    if path.suffix in (".py", ".j2", ".js", ".css") and not str(path.relative_to(ROOT)).startswith(ITS_OWN)
]


def named(text: str, kind: str) -> Iterator[str]:
    """`line: word` of every literal or name of a file, docstrings and comments of Python left out."""
    if kind != ".py":
        for number, line in enumerate(text.splitlines(), 1):
            yield from (f"{number}: {found[0]}" for found in NAMED.finditer(line))
        return
    told = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.body:
            told |= {id(node.body[0].value)} if isinstance(node.body[0], ast.Expr) else set()
        words = [node.value] if isinstance(node, ast.Constant) and id(node) not in told else []
        words += [getattr(node, field, "") for field in ("id", "attr", "arg")]
        for word in words:
            if isinstance(word, str) and (found := NAMED.search(word)):
                yield f"{getattr(node, 'lineno', 0)}: {found[0]}"


@pytest.mark.parametrize("file", FILES)
def test_the_library_names_no_task_of_the_original_experiment(file: str) -> None:
    assert list(named((ROOT / file).read_text(encoding="utf-8"), Path(file).suffix)) == []


def test_the_rule_sees_a_literal_and_a_name_but_no_docstring() -> None:
    code = '"""Of reviews."""\nx = "agree"\ndef f(general): ...\ny = z.reviews  # disagree\nagreement = "reviewed"\n'
    assert sorted(named(code, ".py")) == ["2: agree", "3: general", "4: reviews"]
    assert list(named('{{ words["general"] }}\n', ".j2")) == ["1: general"]
