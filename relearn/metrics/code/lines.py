"""Is this line code? The evidence that `code.find_code` weighs, one line at a time.

Python lines are parsed, each alone, with what it lacks supplied (a body, closing brackets). Prose that happens to
parse ("not bad", "Alice: hello", "return home") is told from code by what the tree holds. Lines that do not parse
may still be code with a mistake in it, or another language: patterns decide there.
"""

from __future__ import annotations

import ast
import functools
import re
import sys
import warnings
from enum import IntEnum

MAX_LINE = 2000
TYPES = {"int", "str", "float", "bool", "list", "dict", "set", "tuple", "bytes", "object", "Any"}
PACKAGES = {
    *sys.stdlib_module_names,
    *("numpy", "pandas", "requests", "matplotlib", "sklearn", "scipy", "torch", "tensorflow", "flask"),
    *("nltk", "seaborn", "cv2", "PIL", "django", "pytest", "yaml", "selenium", "pygame", "sqlalchemy"),
    *("bs4", "keras"),
}
# What "x = 4" and "n = a" are made of, which occur in mathematics and in verse as well.
HARMLESS = (ast.Name, ast.Constant, ast.BinOp, ast.UnaryOp, ast.operator, ast.unaryop, ast.expr_context)
SENTENCE_END = re.compile(r"[.!?][\"')]*$")
COMMENT = re.compile(r"^(#(?!include\b|define\b|!/)|//|/\*|\*/|--\s|<!--|;;)")


class Evidence(IntEnum):
    """How strongly a line suggests code: not at all, together with others, or alone."""

    NONE = 0
    WEAK = 1
    STRONG = 2


BROKEN = [
    re.compile(pattern)
    for pattern in (
        r"^(async\s+)?def\s+\w+\s*\([^.!?]*$",
        r"^class\s+[A-Z]\w*\s*(\([\w., =]*\))?\s*:",
        r"^for\s+\w+(\s*,\s*\w+)*\s+in\s+\w+[\w.]*[(\[]",
        r"^(if|elif|while)\b[^?!]*(==|!=|<=|>=|%|\w\(|\w\])",
        r"^return\s+[^?!]*(\w\(|\w\[|\]|[+*/%]|==)",
        r"^print\s*\(?\s*f?[\"']",
        r"^(print|input|len|range|append)\(\s*\w",
        r"^with\s+open\(",
        r"^except(\s+[A-Z]\w+)?(\s+as\s+\w+)?\s*:",
    )
]
BROKEN_ASSIGNMENT = re.compile(r"^[A-Za-z_][\w.]*(\[[^\]]*\])?\s*(?:=|\+=|-=|\*=|/=)\s*(?P<value>[^=\s].*)$")
THREE_WORDS = re.compile(r"(?<![\w'\"])[A-Za-z']{2,}\s+[A-Za-z']{2,}\s+[A-Za-z']{2,}")
OTHER_LANGUAGES = [
    re.compile(pattern)
    for pattern in (
        r"^#include\s*[<\"]",
        r"^#define\s+\w+",
        r"^#!/\w",
        r"^(public|private|protected)\s+(static\s+)?[\w<>\[\]]+\s+\w+.*[({;]\s*$",
        r"^(export\s+)?(default\s+)?(async\s+)?function\s*\w*\s*\([^)]*\)\s*\{",
        r"^(export\s+)?(const|let|var)\s+[\w{}\[\], ]+\s*=\s*\S",
        r"^(unsigned\s+|const\s+)?(int|float|double|char|void|bool|long|auto|string|String)[\s*&]+\w+\s*(=|;|\(|\[)",
        r"=>\s*[{(]",
        r"\b(console\.log|System\.out\.print\w*|document\.\w+|std::\w+|printf)\s*[(:<]",
        r"\bstd::|\bcout\s*<<",
        r"^using\s+namespace\s+\w+;",
        r"^(if|for|while|switch|else if|\} else)\s*\(.*\)\s*\{\s*$",
        r"^[\w.$]+(\[[^\]]*\])?\s*[+*/-]?=\s*[^=].*;$",
        r"^[\w.$]+\([^)]*\)\s*;$",
        r"^SELECT\s.+\sFROM\s+\w",
        r"^(INSERT\s+INTO|DELETE\s+FROM|CREATE\s+TABLE|UPDATE\s+\w+\s+SET)\b",
        r"^<(!DOCTYPE|html|head|body|script|div|table|ul|ol|form|input|button|a href|h[1-6])\b[^>]*>",
        r"^<\?php",
        r"^\$\s+(pip|npm|git|cd|sudo|python3?|docker|curl|ls|mkdir)\b",
        r"^(pip3?|npm|yarn|conda|apt-get|sudo apt(-get)?) install\s+[\w.-]+",
        r"^fn\s+\w+\s*\(.*\{\s*$",
        r"^func\s+\w+\s*\(.*\{\s*$",
        r"^package\s+\w+;?$",
        r"^puts\s+[\"']",
    )
]
INSIDE_PROSE = [
    re.compile(pattern)
    for pattern in (
        r"\bdef\s+\w+\s*\([^)]*\)\s*(->[^:]+)?:\s*\S",
        r"\blambda\s+\w[\w, ]*:\s*\S",
        r"\bprint\(\s*f?[\"'\w]",
        r"\bfor\s+\w+\s+in\s+range\(",
        r"\b\w+(\s=\s|=)[\w.]+\([^)]*\)(?!\w)",
        r"\bimport\s+\w+\s+as\s+\w+",
        r"\bconsole\.log\(",
        r"\breturn\s+\w+\s*[+*/%-]\s*\w+\s*[;}]",
    )
]


def is_comment(line: str) -> bool:
    """A comment of a common language, or a Markdown heading: neither says that there is code."""
    return bool(COMMENT.match(line.strip()))


def is_loop(line: str) -> bool:
    """Most of the line is one to eight tokens said three times or more in a row: "def def def", "print(print(print(".

    A line that parses is left to the parser, so that `x + x + x + x` in code stays what it is.
    """
    tokens = re.findall(r"\w+|[^\w\s]", line[:MAX_LINE])
    if len(tokens) < 3:
        return False
    for period in range(1, min(8, len(tokens) // 3) + 1):
        run = longest = 0
        for index in range(period, len(tokens)):
            run = run + 1 if tokens[index] == tokens[index - period] else 0
            longest = max(longest, run)
        covered = longest + period
        if longest >= 2 * period and covered >= 0.6 * len(tokens):
            return True
    return False


@functools.lru_cache(maxsize=20_000)
def judge(line: str) -> Evidence:
    """How strongly one line, without its indentation, suggests code."""
    line = line.strip()
    if not line or len(line) > MAX_LINE or is_comment(line):
        return Evidence.NONE
    looping = parse(line) is None and is_loop(line)
    tree = None if looping else _tree(line)
    if tree is not None:
        evidence = max((_statement(node, line) for node in tree), default=Evidence.NONE)
        if evidence:
            return evidence
        if any(pattern.search(line) for pattern in OTHER_LANGUAGES):
            return Evidence.STRONG
        return Evidence.NONE
    if looping:
        return Evidence.NONE
    if any(pattern.search(line) for pattern in OTHER_LANGUAGES):
        return Evidence.STRONG
    if SENTENCE_END.search(line) and not re.search(r"[\"'][.!?][\"')]*$", line):
        return Evidence.NONE
    if any(pattern.search(line) for pattern in BROKEN) and not THREE_WORDS.search(_unquoted(line)):
        return Evidence.STRONG
    assignment = BROKEN_ASSIGNMENT.match(line)
    if assignment:
        value = assignment["value"]
        if "$" not in value and not THREE_WORDS.search(_unquoted(value)) and re.search(r"[\d\"'()\[\]{}+*/]", value):
            return Evidence.STRONG
    return Evidence.NONE


def inside_prose(line: str) -> str | None:
    """The code that a line of prose holds, after "the answer is:" or between backticks; None when there is none."""
    for span in re.findall(r"`([^`\n]+)`", line):
        whole = line.strip().strip("`.:;*- ") == span.strip()
        if judge(span) == Evidence.STRONG and (whole or not _mention(span)):
            return str(span)
    bare = re.sub(r"`[^`]*`", " ", line)
    label = re.match(r"^[\w '()-]{1,60}:\s+(?P<rest>\S.*)$", bare.strip())
    if label and judge(label["rest"]) == Evidence.STRONG and not SENTENCE_END.search(label["rest"]):
        return label["rest"]
    if is_loop(bare):
        return None
    for pattern in INSIDE_PROSE:
        found = pattern.search(bare)
        if found:
            return bare[found.start() :].strip()
    return None


def _mention(span: str) -> bool:
    """`len(x)`, `str.join` or `x`: a name for a thing rather than code that does it."""
    return re.fullmatch(r"[\w.]+(\(\s*[\w., =]*\))?", span.strip()) is not None


def _unquoted(text: str) -> str:
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


def parse(source: str) -> ast.Module | None:
    """The tree of a Python text, or None; never warns, never raises."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _tree(line: str) -> list[ast.stmt] | None:
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
    for char in _unquoted(line):
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


def _statement(node: ast.stmt, line: str) -> Evidence:
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
                return max(
                    (_statement(part, line.replace("elif", "if", 1)) for part in alternative), default=Evidence.WEAK
                )
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
