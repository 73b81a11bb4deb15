"""The form of an answer: JSON, tool calls, tables, lists, lengths, case, how often a word comes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field, model_validator

from relearn.evaluation.checks.check import Check, CheckSettings
from relearn.evaluation.checks.text import LISTED, count_sentences
from relearn.scripts import split_words

FENCE = re.compile(r"```\w*\n?(.*?)```", re.DOTALL)
MOST_STARTS = 200
CALL_KEYS = ("arguments", "parameters")


class Json(Check):
    """Holds a JSON value: with `keys` an object that has these, and no others if `only`; with `items` a list of so many.

    `holds` gives keys with their right values: text without regard to case and end marks, numbers also in quotes,
    `{any: [a, b]}` for several that are right. With `alone` there is nothing around it but a code fence.
    """

    type: Literal["json"]
    keys: tuple[str, ...] = ()
    only: bool = False
    holds: dict[str, Any] = Field(default_factory=dict)
    items: int | None = Field(default=None, ge=0)
    alone: bool = False

    def fault(self, answer: str, settings: CheckSettings) -> str:
        found = list(_find_json(answer, self.alone))
        if not found:
            return "is not JSON alone" if self.alone else "no JSON"
        reasons = [self._compare(value) for value in found]
        return "" if "" in reasons else reasons[0]

    def _compare(self, value: Any) -> str:
        if self.items is not None and (not isinstance(value, list) or len(value) != self.items):
            return f"no list of {self.items}"
        wanted = [*self.keys, *(key for key in self.holds if key not in self.keys)]
        if not wanted:
            return ""
        if not isinstance(value, dict):
            return "no JSON object"
        missing = [key for key in wanted if key not in value]
        if missing:
            return f"no key {missing[0]}"
        if self.only and len(value) > len(wanted):
            return "further keys"
        wrong = [key for key, right in self.holds.items() if not _same(value[key], right)]
        return f"another value of {wrong[0]}" if wrong else ""


def _find_json(answer: str, alone: bool) -> Iterator[Any]:
    """The objects and lists of an answer, the outer ones."""
    text = answer.strip()
    fenced = [match[1] for match in FENCE.finditer(text)]
    if alone:
        whole = FENCE.fullmatch(text)
        texts = [whole[1] if whole else text]
    else:
        texts = [*fenced, text]
    for one in texts:
        try:
            value = json.loads(one)
        except (ValueError, RecursionError):
            pass
        else:
            if isinstance(value, dict | list):
                yield value
            continue
        if not alone:
            yield from _scan(one)


def _scan(text: str) -> Iterator[Any]:
    decoder, at = json.JSONDecoder(), 0
    for _ in range(MOST_STARTS):
        start = re.compile(r"[\[{]").search(text, at)
        if start is None:
            return
        try:
            value, at = decoder.raw_decode(text, start.start())
            yield value
        except (ValueError, RecursionError):
            at = start.end()


def _same(value: Any, right: Any) -> bool:
    if isinstance(right, dict) and set(right) == {"any"}:
        return any(_same(value, one) for one in right["any"])
    if isinstance(right, list):
        return isinstance(value, list) and len(value) == len(right) and all(map(_same, value, right))
    if isinstance(right, dict):
        return isinstance(value, dict) and all(key in value and _same(value[key], one) for key, one in right.items())
    if isinstance(right, bool) or right is None or isinstance(value, bool):
        return value is right
    if isinstance(right, int | float):
        try:
            return float(str(value).replace(",", "")) == right
        except ValueError:
            return False
    return isinstance(value, str | int | float) and _plain(str(value)) == _plain(str(right))


def _plain(text: str) -> str:
    return " ".join(text.casefold().split()).strip(" .!?\"'")


class ToolCall(Check):
    """Calls the tool `name`, once, with `arguments` that hold these values (compared as `json` does), and no others if `only`.

    A call is a JSON object with `name` and `arguments`, alone, in a fence, or in the tags that the question asks for
    (`tag: tool_call`). Without a `name`, it must call no tool.
    """

    type: Literal["tool_call"]
    name: str | None = None
    arguments: dict[str, Any] = Field(default_factory=dict)
    only: bool = True
    tag: str | None = None

    def fault(self, answer: str, settings: CheckSettings) -> str:
        if self.tag is not None:
            inner = re.findall(rf"<{re.escape(self.tag)}>(.*?)</{re.escape(self.tag)}>", answer, re.DOTALL)
            calls = [call for part in inner for call in _find_calls(part)]
        else:
            calls = list(_find_calls(answer))
        if self.name is None:
            return f"calls {calls[0]['name']}" if calls or list(_find_calls(answer)) else ""
        if len(calls) != 1:
            return "calls no tool" if not calls else f"{len(calls)} calls"
        (call,) = calls
        if call["name"] != self.name:
            return f"calls {call['name']}, not {self.name}"
        given = next(call[key] for key in CALL_KEYS if key in call)
        for key, right in self.arguments.items():
            if key not in given:
                return f"no argument {key}"
            if not _same(given[key], right):
                return f"another value of {key}"
        return "further arguments" if self.only and len(given) > len(self.arguments) else ""


def _find_calls(text: str) -> Iterator[dict[str, Any]]:
    seen = []
    for found in _find_json(text, alone=False):
        for value in found if isinstance(found, list) else [found]:
            if isinstance(value, dict) and isinstance(value.get("name"), str) and value not in seen:
                given = next((value[key] for key in CALL_KEYS if key in value), None)
                if isinstance(given, dict):
                    seen.append(value)
                    yield value


class MarkdownTable(Check):
    """Holds a Markdown table of `columns` columns and `rows` rows (its head not counted), `heads` in its head, in order."""

    type: Literal["table"]
    columns: int | None = Field(default=None, ge=1)
    rows: int | None = Field(default=None, ge=1)
    heads: tuple[str, ...] = ()

    def fault(self, answer: str, settings: CheckSettings) -> str:
        lines = [line.strip() for line in answer.splitlines()]
        rule = re.compile(r"\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?")
        start = next(
            (
                at
                for at in range(1, len(lines))
                if "|" in lines[at] and rule.fullmatch(lines[at]) and "|" in lines[at - 1]
            ),
            None,
        )
        if start is None:
            return "no table"
        body = []
        for line in lines[start + 1 :]:
            if "|" not in line:
                break
            body.append(_cells(line))
        head = _cells(lines[start - 1])
        if self.columns is not None and any(len(cells) != self.columns for cells in (head, *body)):
            return f"not {self.columns} columns throughout"
        if self.rows is not None and len(body) != self.rows:
            return f"{len(body)} rows, not {self.rows}"
        if self.heads and [_plain(cell) for cell in head] != [_plain(name) for name in self.heads]:
            return f"the head is not {', '.join(self.heads)}"
        return ""


def _cells(line: str) -> list[str]:
    return [cell.strip(" *") for cell in line.strip().strip("|").split("|")]


class Listing(Check):
    """Holds a list of `min` to `max` entries, a line each: `- a`, `* a`, `1. a` or `1) a`; of one kind, if `mark` says which."""

    type: Literal["listing"]
    min: int = Field(default=2, ge=1)
    max: int | None = Field(default=None, ge=1)
    mark: Literal["any", "bullets", "numbers"] = "any"

    def fault(self, answer: str, settings: CheckSettings) -> str:
        wanted = {
            "any": LISTED,
            "bullets": re.compile(r"^\s*[-*•]\s+\S"),
            "numbers": re.compile(r"^\s*\**\d{1,2}[.)]\**\s+\S"),
        }
        lines = [line for line in answer.splitlines() if wanted[self.mark].match(line)]
        if self.mark == "numbers":
            figures = [int(re.search(r"\d+", line)[0]) for line in lines]  # type: ignore[index]
            if figures != list(range(1, len(lines) + 1)):
                return "the numbers do not run from 1"
        if len(lines) < self.min:
            return f"{len(lines)} entries, fewer than {self.min}"
        return f"{len(lines)} entries, more than {self.max}" if self.max is not None and len(lines) > self.max else ""


class Length(Check):
    """Has `min` to `max` words, characters, lines (that are not blank), paragraphs (between blank lines) or sentences."""

    type: Literal["length"]
    of: Literal["words", "characters", "lines", "paragraphs", "sentences"]
    min: int = Field(default=1, ge=1)
    max: int | None = Field(default=None, ge=1)

    def fault(self, answer: str, settings: CheckSettings) -> str:
        text = answer.strip()
        number = {
            "words": lambda: len(split_words(text)),
            "characters": lambda: len(text),
            "lines": lambda: sum(bool(line.strip()) for line in text.splitlines()),
            "paragraphs": lambda: sum(bool(part.strip()) for part in re.split(r"\n\s*\n", text)),
            "sentences": lambda: count_sentences(text),
        }[self.of]()
        if number < self.min:
            return f"{number} {self.of}, fewer than {self.min}"
        return f"{number} {self.of}, more than {self.max}" if self.max is not None and number > self.max else ""


class Case(Check):
    """Is written in capitals (`upper`), without any (`lower`), or with every word of four letters or more begun by one (`title`)."""

    type: Literal["case"]
    letters: Literal["upper", "lower", "title"]

    def fault(self, answer: str, settings: CheckSettings) -> str:
        if not any(letter.isalpha() for letter in answer):
            return "no letters"
        if self.letters == "title":
            words = [word for word in re.findall(r"[^\W\d_]{4,}", answer) if word[0].islower()]
            return f"{words[0]} is not capitalised" if words else ""
        changed = answer.upper() if self.letters == "upper" else answer.lower()
        return "" if changed == answer else f"not all in {self.letters} case"


class Times(Check):
    """Holds the word or phrase `word` `min` to `max` times; case does not matter, whole words do."""

    type: Literal["times"]
    word: str = Field(min_length=1)
    min: int = Field(default=1, ge=0)
    max: int | None = Field(default=None, ge=0)

    def fault(self, answer: str, settings: CheckSettings) -> str:
        words = r"\s+".join(map(re.escape, self.word.split()))
        number = len(re.findall(rf"(?<!\w){words}(?!\w)", answer, re.IGNORECASE))
        if number < self.min:
            return f"{self.word} {number} times, fewer than {self.min}"
        return f"{self.word} {number} times, more than {self.max}" if self.max is not None and number > self.max else ""


class Letters(Check):
    """Uses none of the letters `without`, or begins every word, line or sentence (`each`) with the letter `initial`."""

    type: Literal["letters"]
    without: str = ""
    initial: str = Field(default="", max_length=1)
    each: Literal["word", "line", "sentence"] = "word"

    @model_validator(mode="after")
    def _something(self) -> Letters:
        if not self.without and not self.initial:
            raise ValueError("give `without` or `initial`")
        return self

    def fault(self, answer: str, settings: CheckSettings) -> str:
        text = answer.casefold()
        used = [letter for letter in self.without.casefold() if letter in text]
        if used:
            return f"holds the letter {used[0]}"
        if not self.initial:
            return ""
        parts = {"word": r"\s+", "line": r"\n+", "sentence": r"(?<=[.!?])\s+"}[self.each]
        firsts = [re.sub(r"^[\W\d_]+", "", part) for part in re.split(parts, text)]
        wrong = [part for part in firsts if part and not part.startswith(self.initial.casefold())]
        return f"{wrong[0].split()[0]} does not begin with {self.initial}" if wrong else ""


class Ends(Check):
    """Ends with one of `any`; case, end marks and quotes do not matter, unless a phrase ends in an end mark itself."""

    type: Literal["ends"]
    any: list[str] = Field(min_length=1)

    def fault(self, answer: str, settings: CheckSettings) -> str:
        text = " ".join(answer.casefold().split()).rstrip("\"'”’*_` ")
        bare = text.rstrip(".!?…\"'”’*_ ")
        for phrase in (" ".join(one.casefold().split()) for one in self.any):
            whole = text if phrase[-1] in ".!?…" else bare
            if whole.endswith(phrase) and not re.search(r"\w$", whole.removesuffix(phrase)):
                return ""
        return f"does not end with {self.any[0]}"
