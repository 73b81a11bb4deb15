"""Is this line code? The evidence that `code.find_code` weighs, one line at a time.

Python lines are parsed, each alone, and weighed by what the tree holds (`trees`). Lines that do not parse may still be
code with a mistake in it, or another language: patterns decide there.
"""

from __future__ import annotations

import functools
import itertools
import operator
import re

from relearn.metrics.code.trees import Evidence, parse, parse_line, unquote, weigh

MAX_LINE = 2000
SENTENCE_END = re.compile(r"[.!?][\"')]*$")
COMMENT = re.compile(r"^(#(?!include\b|define\b|!/)|//|/\*|\*/|--\s|<!--|;;)")


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


@functools.lru_cache(maxsize=16)  # asked about a line as it is, and as prose without what is in backticks
def is_loop(line: str) -> bool:
    """Most of the line is one to eight tokens said three times or more in a row: "def def def", "print(print(print(".

    A line that parses is left to the parser, so that `x + x + x + x` in code stays what it is.
    """
    tokens = re.findall(r"\w+|[^\w\s]", line[:MAX_LINE])
    if len(tokens) < 3:
        return False

    def is_enough(repeated: int, period: int) -> bool:
        return repeated >= 2 * period and repeated + period >= 0.6 * len(tokens)

    for period in range(1, min(8, len(tokens) // 3) + 1):
        same = list(map(operator.eq, tokens[period:], tokens))
        # All repeats are at least as many as the longest run of them, and sooner counted.
        if is_enough(sum(same), period) and is_enough(max(sum(run) for _, run in itertools.groupby(same)), period):
            return True
    return False


@functools.lru_cache(maxsize=20_000)
def judge(line: str) -> Evidence:
    """How strongly one line, without its indentation, suggests code."""
    line = line.strip()
    if not line or len(line) > MAX_LINE or is_comment(line):
        return Evidence.NONE
    looping = parse(line) is None and is_loop(line)
    tree = None if looping else parse_line(line)
    if tree is not None:
        evidence = max((weigh(node, line) for node in tree), default=Evidence.NONE)
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
    if any(pattern.search(line) for pattern in BROKEN) and not THREE_WORDS.search(unquote(line)):
        return Evidence.STRONG
    assignment = BROKEN_ASSIGNMENT.match(line)
    if assignment:
        value = assignment["value"]
        if "$" not in value and not THREE_WORDS.search(unquote(value)) and re.search(r"[\d\"'()\[\]{}+*/]", value):
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
