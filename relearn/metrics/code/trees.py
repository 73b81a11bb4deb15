"""What the tree of a Python line says: whether it holds what prose that happens to parse does not.

"not bad", "Alice: hello" and "return home" parse too.
"""

from __future__ import annotations

import ast
import functools
import re
import sys
import warnings
from enum import IntEnum

TYPES = {"int", "str", "float", "bool", "list", "dict", "set", "tuple", "bytes", "object", "Any"}
PACKAGES = {
    *sys.stdlib_module_names,
    *("numpy", "pandas", "requests", "matplotlib", "sklearn", "scipy", "torch", "tensorflow", "flask"),
    *("nltk", "seaborn", "cv2", "PIL", "django", "pytest", "yaml", "selenium", "pygame", "sqlalchemy"),
    *("bs4", "keras"),
}
# What "x = 4" and "n = a" are made of, which occur in mathematics and in verse as well.
HARMLESS = (ast.Name, ast.Constant, ast.BinOp, ast.UnaryOp, ast.operator, ast.unaryop, ast.expr_context)


class Evidence(IntEnum):
    """How strongly a line suggests code: not at all, together with others, or alone."""

    NONE = 0
    WEAK = 1
    STRONG = 2


def unquote(text: str) -> str:
    """Without what is between quotation marks; a mark that is never closed hides nothing."""
    return re.sub(r"\"[^\"]*\"|'[^']*'", "''", text)


HEADERS = re.compile(r"^(async\s+)?(def|class|for|while|if|with|elif|else|try|except|finally|match|case)\b")
LEADS = {
    "elif": "if 1:\n pass\n",
    "else": "if 1:\n pass\n",
    "except": "try:\n pass\n",
    "finally": "try:\n pass\n",
    "case": "match 1:\n ",
}


def is_header(line: str) -> bool:
    """A line that only opens a block."""
    return bool(HEADERS.match(line.strip())) and re.search(r":\s*(#.*)?$", line) is not None


@functools.lru_cache(maxsize=4)  # an answer of one line is asked about as a text, as a line and as a statement
def parse(source: str) -> ast.Module | None:
    """The tree of a Python text, or None; never warns, never raises. Callers share the tree: none may change it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def parse_line(line: str) -> list[ast.stmt] | None:
    """The statements of one line, with what it lacks supplied: a body, a lead, closing brackets; None if it is no Python."""
    candidates = [line]
    word = HEADERS.match(line)
    if word:
        lead = LEADS.get(word[2], "")
        body = "  pass" if word[2] == "case" else " pass"
        candidates = [line, f"{lead}{line}\n{body}", lead + line]
        if word[2] == "try":
            candidates.append(f"{line}\n pass\nfinally:\n pass")
    elif line.startswith("@"):
        candidates = [f"{line}\ndef f(): pass"]
    elif line.count("(") + line.count("[") + line.count("{") != line.count(")") + line.count("]") + line.count("}"):
        candidates.append(line + _closers(line))
    for candidate in candidates:
        tree = parse(candidate)
        if tree is not None:
            return tree.body
    return None


def _closers(line: str) -> str:
    pairs, stack = {"(": ")", "[": "]", "{": "}"}, []
    for char in unquote(line):
        if char in pairs:
            stack.append(pairs[char])
        elif stack and char == stack[-1]:
            stack.pop()
    return "".join(reversed(stack))


def _telling(node: ast.AST, line: str) -> bool:
    """Whether an expression holds what prose does not: calls, subscripts, comparisons, arithmetic, comprehensions."""
    for part in ast.walk(node):
        if isinstance(part, ast.Subscript | ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp | ast.Lambda):
            return True
        if isinstance(part, ast.JoinedStr | ast.Await | ast.List | ast.Dict):
            return True
        if isinstance(part, ast.Call) and not _spaced(part, line):
            return True
        if isinstance(part, ast.Compare) and not all(
            isinstance(op, ast.In | ast.Is | ast.NotIn | ast.IsNot) for op in part.ops
        ):
            return True
        if isinstance(part, ast.Attribute) and "." in line:
            return True
        if isinstance(part, ast.BinOp) and not (
            isinstance(part.op, ast.Sub | ast.Div) and " " not in _between(part, line)
        ):
            return True
    return False


def _between(node: ast.BinOp, line: str) -> str:
    """The characters around a binary operator: "home-made" has no space there."""
    end, start = node.left.end_col_offset, node.right.col_offset
    return line[end:start] if end is not None and node.left.end_lineno == node.right.lineno == 1 else " "


def _spaced(call: ast.Call, line: str) -> bool:
    """Smith (2010), a star (of sorts): a space, or nothing but a number, between brackets that follow a name."""
    end = call.func.end_col_offset
    if call.func.end_lineno == 1 and end is not None and line.isascii() and line[end : end + 1] == " ":
        return True
    only_number = len(call.args) == 1 and not call.keywords and isinstance(call.args[0], ast.Constant)
    number = only_number and isinstance(call.args[0].value, int | float)  # type: ignore[attr-defined]
    plural = (
        len(call.args) == 1 and isinstance(call.args[0], ast.Name) and call.args[0].id in {"s", "es", "ies", "d", "r"}
    )
    return isinstance(call.func, ast.Name) and (plural or (number and call.func.id[:1].isupper()))


def weigh(node: ast.stmt, line: str) -> Evidence:
    """How strongly a statement of one line suggests code."""
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            return Evidence.STRONG
        case ast.ClassDef():
            return Evidence.STRONG if node.name[:1].isupper() or node.bases else Evidence.WEAK
        case ast.Import():
            known = any(alias.asname or "." in alias.name or alias.name in PACKAGES for alias in node.names)
            return Evidence.STRONG if known else Evidence.WEAK
        case ast.ImportFrom():
            known = node.level > 0 or "." in (node.module or "") or (node.module or "") in PACKAGES
            return Evidence.STRONG if known else Evidence.WEAK
        case ast.Assign():
            sums = all(isinstance(part, HARMLESS) for part in ast.walk(node.value)) and not _text(node.value)
            return Evidence.WEAK if sums and all(isinstance(t, ast.Name) for t in node.targets) else Evidence.STRONG
        case ast.AugAssign():
            return Evidence.STRONG
        case ast.AnnAssign():
            typed = isinstance(node.annotation, ast.Subscript) or (
                isinstance(node.annotation, ast.Name) and node.annotation.id in TYPES
            )
            if not typed:
                return Evidence.NONE
            return Evidence.STRONG if node.value is not None else Evidence.WEAK
        case ast.For() | ast.AsyncFor():
            return Evidence.STRONG if _telling(node.iter, line) or _body(node.body) else Evidence.WEAK
        case ast.While() | ast.If():
            plain = isinstance(node.test, ast.Name | ast.BoolOp) and not _telling(node.test, line)
            alternative = node.orelse if line.startswith(("elif", "else")) else []
            if line.startswith("else"):
                return Evidence.WEAK
            if alternative:
                return max((weigh(part, line.replace("elif", "if", 1)) for part in alternative), default=Evidence.WEAK)
            return (
                Evidence.WEAK
                if plain and not _body(node.body)
                else _strong_if(_telling(node.test, line) or _constant(node.test))
            )
        case ast.With() | ast.AsyncWith():
            return _strong_if(any(_telling(item.context_expr, line) for item in node.items))
        case ast.Return() | ast.Assert() | ast.Raise() | ast.Delete():
            return _strong_if(any(_telling(child, line) for child in ast.iter_child_nodes(node)))
        case ast.Expr():
            return _expression(node.value, line)
        case _:
            return Evidence.WEAK


def _text(value: ast.expr) -> bool:
    return any(isinstance(part, ast.Constant) and isinstance(part.value, str) for part in ast.walk(value))


def _strong_if(test: bool) -> Evidence:
    return Evidence.STRONG if test else Evidence.WEAK


def _constant(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value in (True, False, 1)


def _body(body: list[ast.stmt]) -> bool:
    """Whether a one-line block does something."""
    return not all(
        isinstance(part, ast.Pass) or (isinstance(part, ast.Expr) and isinstance(part.value, ast.Name | ast.Constant))
        for part in body
    )


def _expression(value: ast.expr, line: str) -> Evidence:
    if isinstance(value, ast.Await | ast.Yield | ast.YieldFrom):
        return _strong_if(any(_telling(child, line) for child in ast.iter_child_nodes(value)))
    if isinstance(value, ast.Call):
        if isinstance(value.func, ast.List | ast.Tuple | ast.Constant):  # [a link](of Markdown)
            return Evidence.NONE
        return Evidence.NONE if _spaced(value, line) else Evidence.STRONG
    if isinstance(value, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp | ast.Lambda):
        return Evidence.STRONG
    if isinstance(value, ast.Compare) and any(isinstance(op, ast.Eq | ast.NotEq) for op in value.ops):
        return Evidence.WEAK
    if isinstance(value, ast.Subscript | ast.BinOp | ast.Attribute) and any(
        isinstance(part, ast.Call) and not _spaced(part, line) for part in ast.walk(value)
    ):
        return Evidence.STRONG
    if isinstance(value, ast.JoinedStr):
        return Evidence.WEAK
    return Evidence.NONE
