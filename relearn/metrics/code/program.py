"""Which program of an answer its tests are of: the one that defines what the tests name.

Around it there may be installation lines, examples of use, other variants, and steps that only define helpers. The
first variant counts, as what was answered, unless the text calls it wrong or a later one the correction.
"""

from __future__ import annotations

import ast
import builtins
import re
import sys
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from relearn.metrics.code.find import PYTHON_TAGS, Block, find_blocks, find_code
from relearn.metrics.code.trees import parse

MOST_LINES = 2_000
WRONG = re.compile(
    r"\b(mistakes?|wrong(ly)?|incorrect(ly)?|bug(gy|s)?|broken|pitfalls?|anti-?pattern|bad|avoid|don['’]?t|do not|instead of|"
    r"fails?|your (original |current )?(code|version|function|attempt)|not work(ing)?|first attempt)\b",
    re.IGNORECASE,
)
CORRECTED = re.compile(
    r"\b(correct(ed|ion)?|fix(ed)?|final|revised?|right|actual|complete|full|whole|together|improved|updated|here is|"
    r"here['’]s|should be|proper(ly)?)\b",
    re.IGNORECASE,
)
BUILT_IN = frozenset(dir(builtins))


@dataclass(frozen=True)
class _Piece:
    """Code of an answer: its source, the names it defines at its top level, the line of text before it."""

    code: str
    defines: frozenset[str]
    introduction: str = ""


def find_program(text: str, prompt: str | None, tests: Sequence[str]) -> str | None:
    """The program of an answer that defines what the tests name, with what it needs of the answer's other code.

    Where the answer only goes on from code in the prompt, that is put before it. An answer that defines nothing of
    what is tested is `find_code`'s; None without code.
    """
    used = find_used(tests)
    blocks, bare = find_blocks(text, prompt)
    pieces = [_piece(block.code, block.introduction) for block in blocks if block.tag in PYTHON_TAGS]
    pieces += [_piece(block.code, block.introduction) for block in blocks if block.tag not in PYTHON_TAGS]
    own = _choose(pieces, used) or _choose([_piece(bare)] if bare else [], used)
    if own is None:
        return _continue(text, blocks, prompt, used) or find_code(text, prompt)
    if bare:
        pieces.append(_piece(bare))
    needed = [*_needed(own, [piece for piece in pieces if piece is not own], used), own]
    return "\n\n".join(piece.code for piece in needed)


def find_used(tests: Sequence[str]) -> frozenset[str]:
    """The names that tests use and do not make themselves; built-ins and modules only where a program redefines them."""
    trees = [tree for test in tests if (tree := parse(test)) is not None]
    made = {name for tree in trees for name in _bound(ast.walk(tree))}
    return frozenset(name for tree in trees for name in _loaded(tree)) - made


def _loaded(tree: ast.AST) -> Iterator[str]:
    return (node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load))


def _bound(nodes: Iterator[ast.AST]) -> Iterator[str]:
    """Names that definitions, imports, parameters and assignments among the nodes make."""
    for node in nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from ((alias.asname or alias.name).partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.ExceptHandler) and node.name:
            yield node.name


def _outer(tree: ast.Module) -> Iterator[ast.AST]:
    """The nodes of a program outside of functions and classes, these themselves included."""
    waiting: list[ast.AST] = list(tree.body)
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            waiting.extend(ast.iter_child_nodes(node))


def _piece(code: str, introduction: str = "") -> _Piece:
    if parse(code) is None:
        code = _readable(code)
    tree = parse(code)
    return _Piece(code, frozenset(_bound(_outer(tree))) if tree is not None else frozenset(), introduction)


def _readable(code: str) -> str:
    """The statements at the left margin that parse, without installation lines, text and what was cut off between them."""
    lines = code.split("\n")[:MOST_LINES]
    starts = [
        number
        for number, line in enumerate(lines)
        if line.strip() and line[0] not in " )]}" and not re.match(r"(else|elif|except|finally)\b", line)
    ]
    ends = [*starts[1:], len(lines)]
    kept: list[str] = []
    at = 0
    while at < len(starts):
        # a decorator, or a text over several lines, ends at a later start
        for last in range(at, min(at + 12, len(starts))):
            chunk = "\n".join(lines[starts[at] : ends[last]])
            if parse(chunk) is not None:
                kept.append(chunk)
                at = last
                break
        at += 1
    return "\n".join(kept)


def _choose(pieces: Sequence[_Piece], used: frozenset[str]) -> _Piece | None:
    """The piece that defines most of what is used; of several variants the first, or the one that corrects it."""

    def rank(piece: _Piece) -> tuple[int, int]:
        return len(piece.defines & used - BUILT_IN - sys.stdlib_module_names), len(piece.defines & used)

    best = max(map(rank, pieces), default=(0, 0))
    if best == (0, 0):
        return None
    variants = [piece for piece in pieces if rank(piece) == best]
    sound = [piece for piece in variants if not WRONG.search(piece.introduction)]
    corrected = [piece for piece in sound[1:] if CORRECTED.search(piece.introduction)]
    return (corrected[-1:] or sound or variants)[0]


def _needed(own: _Piece, others: Sequence[_Piece], used: frozenset[str]) -> list[_Piece]:
    """The other pieces that define what this one lacks, in their order: helpers, imports, earlier steps."""
    chosen: list[_Piece] = []
    known = set(own.defines) | BUILT_IN
    tree = parse(own.code)
    wanted = (set(_loaded(tree)) if tree is not None else set()) | used
    while missing := wanted - known:
        known |= missing
        for piece in others:
            if piece not in chosen and piece.defines & missing:
                chosen.append(piece)
                known |= piece.defines
                found = parse(piece.code)
                wanted |= set(_loaded(found)) if found is not None else set()
                break
    return sorted(chosen, key=others.index)


def _continue(text: str, blocks: Sequence[Block], prompt: str | None, used: frozenset[str]) -> str | None:
    """The code of the prompt with the answer after it, as its body, where that is the program."""
    if not prompt:
        return None
    bodies = [block.code for block in blocks] or [text.strip("\n")]
    for start in dict.fromkeys([prompt, find_code(prompt) or ""]):
        for body in bodies:
            for shifted in dict.fromkeys([body, textwrap.indent(textwrap.dedent(body), "    ")]):
                program = f"{start.rstrip()}\n{shifted}"
                tree = parse(program) or parse(program := _readable(program))
                if tree is not None and used & set(_bound(_outer(tree))) - BUILT_IN and _has_body(tree, used):
                    return program
    return None


def _has_body(tree: ast.Module, used: frozenset[str]) -> bool:
    """Whether the last function that is used does more than describe itself."""
    own = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name in used]
    return bool(own) and any(not isinstance(part, ast.Expr | ast.Pass) for part in own[-1].body)
