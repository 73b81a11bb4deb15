"""Finds the code in a model's answer: fenced or bare, alone or in prose, whole or with a mistake in it.

`holds_code` is what a reader would say; it asks for at least one line that does something. Comments, headings,
an echoed prompt, and one header or keyword repeated without end ("def def def") are not code. CodeBLEU and pass@1
read what `find_code` returns.
"""

from __future__ import annotations

import ast
import re
import textwrap
from collections import Counter
from dataclasses import dataclass

from relearn.metrics.code.lines import inside_prose, is_comment, judge
from relearn.metrics.code.trees import Evidence, is_header, parse

MAX_TEXT = 100_000
FENCE = re.compile(r"^[ \t>]*(?P<mark>```+|~~~+)[ \t]*(?P<tag>[\w+#.-]*)[^\n`]*$")
ONE_LINE_FENCE = re.compile(r"```(?:(?:python3?|py|javascript|js|java|c|cpp|bash|sql)\s+)?(?P<code>[^`\n]+)```")
PYTHON_TAGS = {"", "python", "python3", "py", "pycon", "ipython", "python-repl"}
DATA_TAGS = {
    *("json", "yaml", "yml", "toml", "text", "txt", "markdown", "md", "output", "csv"),
    *("plaintext", "console"),
}
LOOP = 3


def holds_code(text: str, prompt: str | None = None) -> bool:
    """Whether a reader would say that the answer holds code. `prompt` is left out where the answer echoes it."""
    return find_code(text, prompt) is not None


def find_code(text: str, prompt: str | None = None) -> str | None:
    """The code of an answer, without fences and prose; None when it holds none.

    Fenced code wins over bare code; of several fenced blocks the Python ones are joined. What was cut off or holds
    a mistake is returned as it is.
    """
    blocks, bare = find_blocks(text, prompt)
    if blocks:
        python = [block.code for block in blocks if block.tag in PYTHON_TAGS]
        return "\n\n".join(python or [block.code for block in blocks])
    return bare


@dataclass(frozen=True)
class Block:
    """Fenced code: its tag, the code, and the last line of text before the fence."""

    tag: str
    code: str
    introduction: str


def find_blocks(text: str, prompt: str | None = None) -> tuple[list[Block], str | None]:
    """The fenced blocks of an answer that hold code, and the code of the text outside of fences."""
    text = without_echo(text[:MAX_TEXT].removeprefix("\ufeff").replace("\r\n", "\n").replace("\t", "    "), prompt)
    blocks, rest = split_fences(text)
    found = [Block(one.tag, code, one.introduction) for one in blocks if (code := _judge_block(one.code, one.tag))]
    return found, _bare(rest)


def without_echo(text: str, prompt: str | None) -> str:
    """The text less every whole occurrence of the prompt (spacing aside); short prompts are left alone."""
    if not prompt or len(prompt.strip()) < 12:
        return text
    words = prompt.split()
    if " ".join(words) not in " ".join(text.split()):
        return text
    if len(words) > 5_000:
        return text.replace(prompt.strip(), "\n")
    return re.sub(r"\s+".join(re.escape(word) for word in words), "\n", text)


def split_fences(text: str) -> tuple[list[Block], str]:
    """Each fenced block, the last perhaps unclosed, and the text outside them."""
    blocks: list[Block] = []
    outside: list[str] = []

    def close(tag: str, content: str) -> None:
        blocks.append(Block(tag, content, next((line for line in reversed(outside) if line.strip()), "")))

    mark, tag = "", ""
    inside: list[str] = []
    for line in text.split("\n"):
        fence = FENCE.match(line)
        if mark:
            if fence and fence["mark"].startswith(mark) and not fence["tag"]:
                close(tag, "\n".join(inside))
                mark, inside = "", []
            elif line.rstrip().endswith(mark):
                close(tag, "\n".join([*inside, line.rstrip()[: -len(mark)]]))
                mark, inside = "", []
            else:
                inside.append(line)
        elif fence:
            mark, tag = fence["mark"][:3], fence["tag"].lower()
            if tag and judge(line.strip().lstrip("`~")) == Evidence.STRONG:  # ```def f(x): with no line end
                inside, tag = [line.strip().lstrip("`~")], ""
        elif one := ONE_LINE_FENCE.search(line):
            close("", one["code"].strip())
        else:
            outside.append(line)
    if mark:
        close(tag, "\n".join(inside))
    return blocks, "\n".join(outside)


def _judge_block(block: str, tag: str) -> str | None:
    """The block's code when it is code; a block tagged as another language needs one line beyond comments."""
    block = _without_repl(textwrap.dedent(block)).strip("\n")
    if not block.strip():
        return None
    if tag not in PYTHON_TAGS and tag not in DATA_TAGS:
        lines = {line.strip() for line in block.split("\n") if line.strip() and not is_comment(line)}
        lines = {line for line in lines if re.search(r"[^\w\s.,!?'\"]|\d", line) or tag in {"bash", "sh", "shell"}}
        return block if lines else None
    if tag in DATA_TAGS and parse(block) is None:
        return None
    return block if _is_code(block.split("\n"), fenced=True) else None


def _bare(text: str) -> str | None:
    text = _without_repl(text).strip("\n")
    lines = text.split("\n")
    if parse(textwrap.dedent(text)) is not None and _is_code(lines, fenced=True):
        return textwrap.dedent(text)
    marks = [judge(_plain(line)) for line in lines]
    if _is_code(lines, fenced=False):
        return _gather(lines, marks)
    if _repeats(lines):
        lines = list(dict.fromkeys(lines))
    inside = [code for line in lines if not is_comment(line) and (code := inside_prose(line)) is not None]
    if inside and not all(is_header(code) for code in inside):
        return "\n".join(inside)
    return None


def _plain(line: str) -> str:
    """A line without list marks, quotation marks of Markdown and enclosing backticks."""
    line = re.sub(r"^\s*(?:>\s+|[-*+]\s+|\d{1,3}[.)]\s+)+", "", line.strip())
    ticked = re.fullmatch(r"`([^`]+)`[.:]?", line)
    return ticked[1] if ticked else line


def _repeats(lines: list[str]) -> bool:
    """Whether some line, comments and code alike, comes back at least three times."""
    counts = Counter(line.strip() for line in lines if len(line.strip()) > 1)
    return bool(counts) and max(counts.values()) >= LOOP


def _is_code(lines: list[str], fenced: bool) -> bool:
    """One distinct line of strong evidence that does something, or weak lines that make up most of the text."""
    marks = {line.strip(): judge(_plain(line)) for line in lines if line.strip()}
    strong = [line for line, mark in marks.items() if mark == Evidence.STRONG]
    weak = [line for line, mark in marks.items() if mark == Evidence.WEAK]
    if not strong:
        substance = [line for line in marks if not is_comment(line)]
        enough = len(weak) >= 2 and len(weak) * 2 > len(substance)
        tree = parse(textwrap.dedent("\n".join(lines))) if fenced else None
        return enough or (tree is not None and _does_something(tree))
    if all(_empty(line) for line in strong):
        if _repeats(lines) and not weak:
            return False  # the same header or import over and over, with nothing below it
        return any(re.match(r"(import|from)\b", line) for line in strong) or _has_body(lines, strong)
    return True


def _empty(line: str) -> bool:
    """A header or an import: a line that does nothing by itself."""
    return is_header(line) or re.match(r"(import|from)\b", line) is not None


def _has_body(lines: list[str], headers: list[str]) -> bool:
    """Whether a header has an indented line below it, or was cut off at the end of the text."""
    wanted = set(headers)
    full = [line for line in lines if line.strip()]
    for index, line in enumerate(full):
        if line.strip() not in wanted:
            continue
        if index + 1 == len(full):
            return True
        below, indent = full[index + 1], len(line) - len(line.lstrip())
        if len(below) - len(below.lstrip()) > indent and below.strip() not in wanted:
            return True
    return False


def _does_something(tree: ast.Module) -> bool:
    """For a whole text that parses although no single line does: a call or an assignment over several lines."""
    return any(isinstance(node, ast.Assign | ast.AugAssign | ast.FunctionDef) for node in tree.body) or any(
        isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and node.end_lineno != node.lineno
        for node in tree.body
    )


def _without_repl(text: str) -> str:
    """An interactive session as the lines that were typed; other text, examples in a docstring included, unchanged."""
    lines = text.split("\n")
    if not any(re.match(r"\s*>>> ", line) for line in lines) or parse(textwrap.dedent(text)) is not None:
        return text
    kept: list[str] = []
    session = quoted = False
    for line in lines:
        typed = re.match(r"\s*(>>>|\.\.\.)( |$)", line)
        if quoted or (not typed and not session):
            kept.append(line)
            quoted ^= (line.count('"""') + line.count("'''")) % 2 == 1
        elif typed and (session or typed[1] == ">>>"):
            session = True
            kept.append(re.sub(r"^\s*(>>>|\.\.\.) ?", "", line))
        elif not line.strip() or re.match(r"(def|class|async def|import|from|@)\b", line):
            session = False
            kept.append(line)
    return "\n".join(kept)


def _gather(lines: list[str], marks: list[Evidence]) -> str:
    """The code lines of bare text with what is between them: comments, blanks, blocks, open brackets."""
    first = next(index for index, mark in enumerate(marks) if mark)
    last = max(index for index, mark in enumerate(marks) if mark)
    while last + 1 < len(lines) and lines[last + 1].strip() and lines[last + 1][:1] in " )]}":
        last += 1
    while first > 0 and lines[first - 1].strip() and is_comment(lines[first - 1]):
        first -= 1
    span = textwrap.dedent("\n".join(lines[first : last + 1]))
    if parse(span) is not None:
        return span
    kept: list[str] = []
    depth, quoted = 0, False
    for index in range(first, last + 1):
        line = lines[index]
        inside = depth > 0 or quoted
        indented = bool(kept) and line[:1] == " " and bool(kept[-1].strip())
        if marks[index] or inside or indented or not line.strip() or is_comment(line):
            bulleted = marks[index] and not inside and line != _plain(line) and judge(line) < marks[index]
            kept.append(_plain(line) if bulleted else line)
            if marks[index] or inside:
                quoted ^= (line.count('"""') + line.count("'''")) % 2 == 1
                depth = max(0, depth + sum(line.count(c) for c in "([{") - sum(line.count(c) for c in ")]}"))
                if depth and len(kept) > 200:
                    depth = 0
        elif kept and kept[-1].strip():
            kept.append("")
    return textwrap.dedent("\n".join(kept)).strip("\n")
