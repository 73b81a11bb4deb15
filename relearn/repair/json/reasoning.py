"""Where a reasoning model's thoughts end and its answer begins.

The marks are those of the models' chat templates: tags of several names, paired or with the end alone (the template
wrote the beginning), special tokens, and channels (https://cookbook.openai.com/articles/openai-harmony).
"""

from __future__ import annotations

import re
from collections import deque
from itertools import pairwise

_NAMES = (
    r"(?:\w+:)?(?:think|thinking|thoughts?|thought_process|reasoning|reasoning_content|reasoning_process|reflection|"
    r"scratchpad|analysis|rationale|inner_monologue|chain_of_thought|cot|planning)"
)
_LT, _GT = r"(?:<|&lt;)\s?", r"\s?(?:>|&gt;)"
_MARK = re.compile(
    rf"(?P<open>{_LT}{_NAMES}(?:\s[^<>]{{0,200}}?)?{_GT}|\[THINK(?:ING)?\]|◁think▷|<\|(?:begin_of_thought|"
    r"START_THINKING|think|thinking|begin_of_thinking|inner_prefix)\|>|<unused94>|"
    r"<details\s[^<>]{0,80}?type=[\"']?reasoning\b[^<>]{0,80}>|<\|channel\|?>(?:analysis|commentary|thought)\b)"
    rf"|(?P<close>{_LT}/\s?{_NAMES}{_GT}|\[/THINK(?:ING)?\]|◁/think▷|<\|(?:end_of_thought|END_THINKING|/think|"
    r"/thinking|end_of_thinking|inner_suffix)\|>|<unused95>|<channel\|>|"
    r"<\|channel\|>final(?:[^\n]{0,40}?<\|message\|>)?|\bassistantfinal\b)"
    r"|(?P<details></details>)"
    rf"|(?P<answer>{_LT}(?:final_?)?(?:answer|output|response|solution|final){_GT}|<\|START_RESPONSE\|>|"
    r"<\|begin_of_solution\|>|Here is my response:)",
    re.IGNORECASE,
)
# Most texts hold no mark: these are quick to tell.
_MAY_OPEN = re.compile(
    r"(?:<|&lt;)\s?/?\s?(?:\w{1,20}:)?(?:th|rea|ref|res|sc|so|ana|ans|ra|in|ch|cot|pl|unused9|de|fi|ou)", re.IGNORECASE
)
_VALUE = re.compile(r"[\w\"'”’]\s*+[:：]\s*+([\"“'‘])")
_VALUE_END = {quote: re.compile(rf"(?<!\\)[{re.escape(ends)}]\s*+[,}}\]，｝]") for quote, ends in
              (('"', '"'), ("'", "'"), ("“", "”“"), ("‘", "’‘"))}  # fmt: skip
_WINDOW = 20_000


def find_answers(text: str, last_only: bool) -> list[tuple[int, int]] | None:
    """The stretches of a text that are no reasoning; None when nothing marks any.

    With `last_only` the text is one reply, and its answer is what follows the last end of reasoning; otherwise it may
    be many replies, and all that stands outside marked reasoning counts. A text that ends inside reasoning has no
    answer after the last mark. A mark inside the text of a value is none.
    """
    if (
        ("<" not in text or ("<|" not in text and _MAY_OPEN.search(text) is None))
        and ("&lt;" not in text or _MAY_OPEN.search(text) is None)
        and "[THINK" not in text
        and "[/THINK" not in text
        and "think▷" not in text
        and "assistantfinal" not in text
        and "Here is my response:" not in text
    ):
        return None
    answers: list[tuple[int, int]] = []
    at = 0  # where the stretch that may be an answer begins
    inside = marked = False
    for mark in _MARK.finditer(text):
        kind = mark.lastgroup
        if kind == "open":
            if inside or _is_in_value(text, at, mark):
                continue
            answers.append((at, mark.start()))
            inside = marked = True
        elif kind == "answer" or (kind == "details" and not inside):
            # The tag of an answer ends what stands before it, where the text is one reply.
            if kind == "answer" and last_only and text[at : mark.start()].strip() and not _is_in_value(text, at, mark):
                inside, marked, at = False, True, mark.end()
        elif inside or not _is_in_value(text, at, mark):
            if not inside and last_only is False and answers:
                answers = []  # an end alone: what stood before it was reasoning too
            inside, marked, at = False, True, mark.end()
    if not marked:
        return None
    if not inside:
        answers.append((at, len(text)))
    elif last_only:
        return []
    return answers[-1:] if last_only else [(start, end) for start, end in answers if text[start:end].strip()]


def _is_in_value(text: str, floor: int, mark: re.Match[str]) -> bool:
    """Whether a mark stands in the text of a value that is not closed before it, on no line of its own."""
    start = max(floor, mark.start() - _WINDOW)
    opening = next(iter(deque(_VALUE.finditer(text, start, mark.start()), maxlen=1)), None)
    if opening is None or _VALUE_END[opening.group(1)].search(text, opening.end(), mark.start()):
        return False
    before, after = text[max(0, mark.start() - 200) : mark.start()], text[mark.end() : mark.end() + 200]
    own_line = before.rstrip(" \t")[-1:] in ("\n", "") and (after.lstrip(" \t")[:1] in ("\n", "\r", "{", "[", "`", ""))
    return not own_line and not re.match(r"\s*(?:```\w*\s*)?[{\[]\s*[\"“'{]", after)


_CORRECTION = re.compile(
    r"\b(?:correct(?:ed|ion)|revis(?:ed|ion)|fixed version|wait|oops|scratch that|let me (?:re|fix|try|correct)\w*|"
    r"on (?:second thought|reflection)|actually|(?:a )?better (?:one|version)|improved|polished|rewritten|redo|"
    r"second (?:draft|attempt|try)|try again|my mistake|final|the (?:real |actual )?answer)\b",
    re.IGNORECASE,
)
_DRAFT = re.compile(
    r"\b(?:think(?:ing)?|thoughts?(?: process)?|reasoning|draft|analysis|scratchpad|first try)\b\W{0,8}\Z",
    re.IGNORECASE,
)
_LABEL = re.compile(r"\b(?:answer|output|response|result|reply)\b\W{0,6}\Z", re.IGNORECASE)


def find_superseded(text: str, spans: list[tuple[int, int]]) -> list[int]:
    """The records, by index into their spans, that the text takes back before the one that follows, or calls drafts."""
    return [
        index
        for index, (one, other) in enumerate(pairwise(spans))
        if other[0] - one[1] < 600
        and (
            _CORRECTION.search(text, one[1], other[0])
            or (_DRAFT.search(text[max(0, one[0] - 60) : one[0]]) and _LABEL.search(text[one[1] : other[0]]))
        )
    ]
