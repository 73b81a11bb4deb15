"""Where a reasoning model's thoughts end and its answer begins.

The marks are those of the models' chat templates: tags of several names, paired or with the end alone (the template
wrote the beginning), special tokens, and channels (https://cookbook.openai.com/articles/openai-harmony).
"""

from __future__ import annotations

import re
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
_SIGNS = ("[THINK", "[/THINK", "think▷", "assistantfinal", "Here is my response:")
_MAY_OPEN = re.compile(
    r"(?:<|&lt;)\s?/?\s?(?:\w{1,20}:)?(?:th|rea|ref|res|sc|so|ana|ans|ra|in|ch|cot|pl|unused9|de|fi|ou)", re.IGNORECASE
)
_VALUE = re.compile(r"[\w\"'”’]\s*+[:：]\s*+([\"“'‘])")
_VALUE_END = {quote: re.compile(rf"(?<!\\)[{re.escape(ends)}]\s*+[,}}\]，｝]") for quote, ends in
              (('"', '"'), ("'", "'"), ("“", "”“"), ("‘", "’‘"))}  # fmt: skip
_WINDOW = 20_000


def _may_hold(text: str) -> bool:
    """Whether a text has any sign of reasoning: the quick look that spares most texts the long one."""
    return (
        "<|" in text
        or any(sign in text for sign in _SIGNS)
        or (("<" in text or "&lt;" in text) and _MAY_OPEN.search(text) is not None)
    )


def find_answers(text: str, last_only: bool) -> list[tuple[int, int]] | None:
    """The stretches of a text that are not reasoning; None when nothing marks any.

    With `last_only` the text is one reply, and its answer is what follows the last end of reasoning; otherwise it may
    be many replies, and everything outside marked reasoning counts. A text that ends inside reasoning has no answer
    after the last mark. A mark inside the text of a value does not count.
    """
    if not _may_hold(text):
        return None
    answers: list[tuple[int, int]] = []
    at = 0  # where the stretch that may be an answer begins
    inside = marked = False
    values = _Values(text)
    for mark in _MARK.finditer(text):
        kind = mark.lastgroup
        if kind == "open":
            if inside or values.hold(at, mark):
                continue
            answers.append((at, mark.start()))
            inside = marked = True
        elif kind == "answer" or (kind == "details" and not inside):
            # The tag of an answer ends what comes before it, where the text is one reply.
            if kind == "answer" and last_only and text[at : mark.start()].strip() and not values.hold(at, mark):
                inside, marked, at = False, True, mark.end()
        elif inside or not values.hold(at, mark):
            if not inside and last_only is False and answers:
                answers = []  # an end alone: what came before it was reasoning too
            inside, marked, at = False, True, mark.end()
    if not marked:
        return None
    if not inside:
        answers.append((at, len(text)))
    elif last_only:
        return []
    return answers[-1:] if last_only else [(start, end) for start, end in answers if text[start:end].strip()]


class _Values:
    """The beginnings of values in a text, met in order as the marks are; each is looked at once."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._all = _VALUE.finditer(text)
        self._next = next(self._all, None)
        self._opening: re.Match[str] | None = None
        self._open_until = 0  # so far the value is known not to close
        self._closed = False

    def hold(self, floor: int, mark: re.Match[str]) -> bool:
        """Whether a mark is in the text of a value that is not closed before it, and not on a line of its own."""
        text = self.text
        while self._next is not None and self._next.end() <= mark.start():
            self._opening, self._next = self._next, next(self._all, None)
            self._open_until, self._closed = self._opening.end(), False
        opening = self._opening
        if opening is None or opening.start() < max(floor, mark.start() - _WINDOW):
            return False
        if not self._closed:
            closing = _VALUE_END[opening.group(1)].search(text, self._open_until, mark.start())
            self._closed = closing is not None
            self._open_until = max(self._open_until, mark.start() - 200)
        if self._closed:
            return False
        before, after = text[max(0, mark.start() - 200) : mark.start()], text[mark.end() : mark.end() + 200]
        follows = after.lstrip(" \t")[:1]
        own_line = before.rstrip(" \t")[-1:] in ("\n", "") and (not follows or follows in "\n\r{[`")
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
    """The records, by index into their spans, that the text withdraws before the one that follows, or calls drafts."""
    return [
        index
        for index, (one, other) in enumerate(pairwise(spans))
        if other[0] - one[1] < 600
        and (
            _CORRECTION.search(text, one[1], other[0])
            or (_DRAFT.search(text[max(0, one[0] - 60) : one[0]]) and _LABEL.search(text[one[1] : other[0]]))
        )
    ]


_LEFT = re.compile(r"\s*(?:<\|(?:return|end|im_end|eot_id)\|>\s*)+$")
_WRAPPED = re.compile(
    r"\s*<(?P<tag>answer|final_answer|response)>(?P<answer>.*?)(?:</(?P=tag)>\s*)?", re.DOTALL | re.IGNORECASE
)
_LEAD = re.compile(r"\A\ufeff?(?:(?:[ \t]*\r?\n)+|[ \t]+)")  # not the indentation of a first line
_CHANNELS = re.compile(r"\s*analysis.*assistantfinal", re.DOTALL)  # channels whose special tokens were left out
_FENCE = re.compile(r"^[ \t]*(?:```|~~~)", re.MULTILINE)


def take_off_reasoning(answer: str) -> tuple[str, bool]:
    """A model's answer without its reasoning, and whether it held any.

    What follows the last end of reasoning is the answer; an answer that ends inside its reasoning holds none. An end
    alone counts too: the chat template may have written the beginning. A tag that is quoted, in code, or named in a
    sentence is text.
    """
    if not _may_hold(answer):
        return answer, False
    if bare := _CHANNELS.match(answer):
        return answer[bare.end() :].strip(), True
    marks = [mark for mark in _MARK.finditer(answer) if not _is_quoted(answer, mark)]
    before, at, inside, found = "", 0, False, False  # `before`: what was outside paired reasoning
    for number, mark in enumerate(marks):
        opens = mark.lastgroup == "open"
        if not inside and mark.lastgroup in ("details", "answer"):
            continue
        if opens and not inside:
            closed = any(other.lastgroup == "close" for other in marks[number + 1 :])
            if _in_fence(answer, at, mark.start()) or not (closed or _begins_line(answer, mark)):
                continue
            if answer[at : mark.start()].strip():
                before = answer[at : mark.start()]
            inside = found = True
        elif not opens and (inside or not _in_fence(answer, at, mark.start())):
            if not inside:
                before = ""
            inside, found = False, True
            at = mark.start() if mark.lastgroup == "answer" else mark.end()
    if not found:
        return answer, False
    if inside:
        return "", True
    last = answer[at:] if answer[at:].strip() else before
    if wrapped := _WRAPPED.fullmatch(last):
        last = wrapped["answer"]
    return _LEAD.sub("", _LEFT.sub("", last)).rstrip(), True


def _begins_line(text: str, mark: re.Match[str]) -> bool:
    return not text[text.rfind("\n", 0, mark.start()) + 1 : mark.start()].strip("\ufeff \t")


def _in_fence(text: str, start: int, end: int) -> bool:
    """Whether a block of code is open at `end`."""
    return len(_FENCE.findall(text[start:end])) % 2 == 1


def _is_quoted(text: str, mark: re.Match[str]) -> bool:
    """Whether a mark is between quotation marks or backticks on its line, as a name or in a program's string."""
    line = text[text.rfind("\n", 0, mark.start()) + 1 : mark.start()]
    rest = text[mark.end() :].split("\n", 1)[0]
    if line[-1:] in ("'", "‘", "“", "«") and rest[:1] in ("'", "’", "”", "»"):
        return True
    return any(line.count(quote) % 2 == 1 and quote in rest for quote in ('"', "`"))
