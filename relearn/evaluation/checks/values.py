"""One right value, said in any words: a number, a label, an order, a pattern."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Literal

import regex
from pydantic import Field, field_validator, model_validator

from relearn.evaluation.checks.check import Check, CheckSettings

SMALL = {
    word: value
    for value, word in enumerate(
        """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
        eighteen nineteen""".split()
    )
}
TENS = {
    word: 10 * value for value, word in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split(), 2)
}
WORDS = "|".join([*TENS, *SMALL])
FIGURE = (
    r"(?P<minus>(?<![\w)])[-−–]\s?|\bminus )?[$€£]?"
    r"(?P<figure>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?)(?:\s?/\s?(?P<under>\d+)(?![\d/]))?"
)
NUMBER = re.compile(rf"{FIGURE}|\b(?P<words>(?:(?:{WORDS}|hundred|thousand)(?:[ -](?:and )?)?)+)\b", re.IGNORECASE)
MARKUP = re.compile(r"\\(?:boxed|text|mathbf|mathrm)|\\[()\[\],]|[*_`{}]")
STATED = re.compile(r"\banswer\b(?: \w+){0,4}?(?: is| are|:| =| would be)*:?\s*(?=\S)", re.IGNORECASE)
SENTENCE_END = re.compile(r"(?<=[.!?])(?=\s)|\n")
TIME_LIMIT = 0.5  # seconds of one search


class Number(Check):
    """Comes to the number `equals`, give or take `tolerance`, in figures or words: 1,200 is 1200, 3/4 is 0.75.

    The number that counts is what `the answer is` or `=` leads to, the one a line holds alone, or that of the last
    sentence that has any, where it comes first or last. A sum may be shown before it, or after.
    """

    type: Literal["number"]
    equals: float
    tolerance: float = Field(default=0.0, ge=0)

    def fault(self, answer: str, settings: CheckSettings) -> str:
        parts = [part.strip() for part in SENTENCE_END.split(MARKUP.sub("", answer)) if part.strip()]
        stated = [found for part in parts for found in _stated(part)]
        if stated:
            return self._compare(stated[-1:])
        told = [numbers for part in parts if (numbers := _conclude(part))]
        if not told:
            return "no number"
        if not self._compare(told[-1]) or not self._compare(told[0][-1:]):
            return ""
        return self._compare(told[-1])

    def _compare(self, found: list[float]) -> str:
        near = max(self.tolerance, 1e-9 * abs(self.equals))
        return "" if any(abs(value - self.equals) <= near for value in found) else f"{found[-1]:g}, not {self.equals:g}"


def _stated(sentence: str) -> Iterator[float]:
    """The numbers that a sentence calls the answer: what follows, to the last `=`."""
    for lead in STATED.finditer(sentence):
        found = _conclude(sentence[lead.end() :])
        if found:
            yield found[-1] if "=" in sentence[lead.end() :] else found[0]


def _conclude(sentence: str) -> list[float]:
    """The first and the last number of a sentence; where it has `=`, the first after the last one."""
    _, equals, after = sentence.rpartition("=")
    found = list(_read_numbers(after)) if equals else []
    if found:
        return found[:1]
    found = list(_read_numbers(sentence))
    return [found[0], found[-1]] if found else []


def _read_numbers(text: str) -> Iterator[float]:
    for match in NUMBER.finditer(text):
        if match["words"]:
            value = _read_words(match["words"].casefold())
        else:
            value = float(match["figure"].replace(",", ""))
            if match["under"]:
                value = value / float(match["under"]) if float(match["under"]) else math.nan
        yield -value if match["minus"] else value


def _read_words(text: str) -> float:
    """Three hundred and twelve thousand, forty → 312040."""
    total, part = 0, 0
    for word in re.findall(r"[a-z]+", text):
        if word == "hundred":
            part = max(part, 1) * 100
        elif word == "thousand":
            total, part = total + max(part, 1) * 1000, 0
        else:
            part += SMALL.get(word, 0) + TENS.get(word, 0)
    return float(total + part)


class Choice(Check):
    """Takes the one of the labels `of` that is `right`; each label may have other names after `|` (`yes|true`).

    Labels that are denied (`not positive`) or compared with (`larger than 12`) do not count. Where several are left, the
    answer's first line decides if it names one alone, then what `answer is`, `label:` or bold type says, then the last
    sentence.
    """

    type: Literal["choice"]
    right: str
    of: list[str] = Field(min_length=2)

    @model_validator(mode="after")
    def _is_there(self) -> Choice:
        if self.right not in [label.split("|")[0] for label in self.of]:
            raise ValueError(f"right: {self.right} is not the first name of any label of `of`")
        return self

    def fault(self, answer: str, settings: CheckSettings) -> str:
        lines = [line.strip() for line in answer.splitlines() if line.strip()]
        sentences = [part for part in SENTENCE_END.split(answer) if part.strip()]
        marked = [match[1] for match in re.finditer(r"\*\*([^*\n]+)\*\*", answer)]
        told = [
            match[1]
            for match in re.finditer(
                r"(?:answer|label|category|class|classified as|choice)\W*(?:is|:|would be)?\W*([^\n.]+)", answer, re.I
            )
        ]
        named = self._find(answer)
        for part in (answer, lines[0], sentences[0], *reversed(told), *marked, sentences[-1]):
            found = self._find(part)
            if len(found) == 1:
                return "" if found == {self.right} else f"{next(iter(found))}, not {self.right}"
        return "names several labels" if named else "names no label"

    def _find(self, text: str) -> set[str]:
        found = set()
        for label in self.of:
            names = "|".join(re.escape(name.strip()) for name in label.split("|"))
            denied = (
                r"\b(?:not|never|nor|neither|no|isn['’]t|than|rather than|instead of|over) (?:an? |the |very |really )?"
            )
            for match in re.finditer(rf"(?<!\w)(?:{names})(?!\w)", text, re.IGNORECASE):
                before = text[max(0, match.start() - 24) : match.start()]
                if not re.search(rf"{denied}[\"'“”*]*$", before, re.IGNORECASE):
                    found.add(label.split("|")[0])
        return found


class Order(Check):
    """Names all of `of` one after another in this order, whatever is between; a list in another order may come before.

    Case does not matter, whole words and numbers do.
    """

    type: Literal["order"]
    of: list[str] = Field(min_length=2)

    @field_validator("of")
    @classmethod
    def _different(cls, names: list[str]) -> list[str]:
        if len({name.casefold() for name in names}) < len(names):
            raise ValueError("a name is listed twice; give each once")
        return names

    def fault(self, answer: str, settings: CheckSettings) -> str:
        names = [name.casefold() for name in self.of]
        longest = sorted(names, key=len, reverse=True)
        pattern = "|".join(rf"(?<![\w.-]){re.escape(name)}(?![\w-]|\.\d)" for name in longest)
        text = re.sub(r"[*_`]", "", answer.casefold())
        text = re.sub(r"(?m)^\s*\d{1,2}[.)]\s+(?=\S)", "", text)  # the numbers of a list
        found = re.findall(pattern, re.sub(r"(?<=[\w)])-(?=>)", " ", text))
        missing = [name for name in self.of if name.casefold() not in found]
        if missing:
            return f"does not name {missing[0]}"
        windows = (found[at : at + len(names)] for at in range(len(found) - len(names) + 1))
        return "" if names in windows else "in another order"


class Matches(Check):
    """Holds text that the regular expression `pattern` matches (all of the answer, outer spaces aside, with `whole`).

    Case does not matter unless `case` is true. A search that takes longer than half a second fails.
    """

    type: Literal["matches"]
    pattern: str = Field(min_length=1, max_length=500)
    whole: bool = False
    case: bool = False

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        try:
            regex.compile(pattern)
        except regex.error as error:
            raise ValueError(f"not a regular expression ({error})") from None
        return pattern

    def fault(self, answer: str, settings: CheckSettings) -> str:
        flags = regex.MULTILINE | (0 if self.case else regex.IGNORECASE)
        compiled = regex.compile(self.pattern, flags)
        search = compiled.fullmatch if self.whole else compiled.search
        try:
            found = search(answer.strip(), timeout=TIME_LIMIT)
        except TimeoutError:
            return f"the pattern took longer than {TIME_LIMIT:g} s"
        return "" if found else "does not match the pattern"


class Equals(Check):
    """Is one of `any`, and nothing else; case, outer quotes and end marks do not matter."""

    type: Literal["equals"]
    any: list[str] = Field(min_length=1)

    def fault(self, answer: str, settings: CheckSettings) -> str:
        wanted = {_bare(text) for text in self.any}
        return "" if _bare(answer) in wanted else f"is not {self.any[0]}"


def _bare(text: str) -> str:
    return " ".join(text.casefold().split()).strip(" \"'“”‘’`*.!?")
