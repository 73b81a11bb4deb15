"""Words, sentences, languages, verse and speech: what an answer says, and in which form."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Literal

from pydantic import Field, model_validator

from relearn.evaluation.checks.check import Check, CheckSettings
from relearn.evaluation.language import identify_language
from relearn.metrics.code.find import find_code
from relearn.scripts import may_join, split_words

SPEAKER = re.compile(r"^\s*[-*]*\s*\**(?P<name>[^\W\d_][\w.'’·・ -]{0,30}?)\**\s*([(（][^)）]*[)）])?\s*[:：]\**\s*\S")
NAME_ALONE = re.compile(r"^\s*\**(?P<name>[A-ZÀ-Ý][\w.'’ -]{0,30}?)\**\s*(\([^)]*\))?\s*(?P<colon>:?)\**\s*$")
# What may come before a colon, or be alone in a line, without being the name of a speaker.
HEADS = frozenset(
    """act advantage argument chapter character characters chorus con conclusion cons cut date day disadvantage
    example ext fade from genre int intro introduction location moral note outro part place point pro pros refrain scene
    sentence setting step subject summary time tip title topic translation verse bridge""".split()
)
QUOTED = re.compile(r"“([^“”]+)(?:”|\Z)|\"([^\"\n]+)(?:\"|\Z)")  # the last may have been cut off
LISTED = re.compile(r"^\s*([-*•]|\d{1,2}[.)])\s+\S")
PERSONS = {
    "first": frozenset("i me my mine myself we us our ours ourselves".split()),
    "second": frozenset("you your yours yourself yourselves".split()),
}
# Besides Latin's: Chinese and Japanese, Arabic and Urdu, Devanagari, Armenian, Ethiopic, Burmese, Khmer.
END_MARKS = ".!?…。！？｡؟۔।॥։።፧။៕។"
CLOSING = "\"'”’)»」』）"
SENTENCE = re.compile(rf"[^{END_MARKS}]*\w[^{END_MARKS}]*([{END_MARKS}]+[{CLOSING}]*|$)")
ENDED = re.compile(rf"[{END_MARKS}][{CLOSING}]*$")
# Thai and Lao have no mark: a space ends a sentence.
UNMARKED = re.compile(r"(?<=[\u0e00-\u0eff]) +(?=[\u0e00-\u0eff])")
LEADING = " \t\n\"'“”‘’«»「」『』《》（(*_#>-"


class Verse(Check):
    """At least `lines` lines that are not blank, at least `lines` of them at most `longest` characters long."""

    type: Literal["verse"]
    lines: int = Field(ge=2)
    longest: int = Field(default=90, ge=10)

    def fault(self, answer: str, settings: CheckSettings) -> str:
        lines = [line.strip() for line in answer.splitlines() if line.strip()]
        short = [line for line in lines if len(line) <= self.longest and re.search(r"\w", line)]
        if len(short) < self.lines:
            return f"{len(short)} lines of verse, fewer than {self.lines}"
        return "" if len(set(short)) > len(short) // 2 else "the same line again and again"


class Language(Check):
    """Is written in a language, told by its function words (fr, en, de, es, it) or by its script and letters."""

    type: Literal["language"]
    language: Literal["fr", "en", "de", "es", "it", "zh", "ja", "ko", "ru", "uk", "el", "he", "ar", "fa", "hi", "th"]

    def fault(self, answer: str, settings: CheckSettings) -> str:
        found = identify_language(answer)
        return "" if found == self.language else f"language: {found or 'unclear'}, not {self.language}"


class Dialogue(Check):
    """At least `turns` lines `Name: …`, by at least `speakers` speakers."""

    type: Literal["dialogue"]
    turns: int = Field(ge=2)
    speakers: int = Field(default=2, ge=1)

    def fault(self, answer: str, settings: CheckSettings) -> str:
        found = filter(None, map(SPEAKER.match, answer.splitlines()))
        names = [match["name"].strip() for match in found if not match["name"][0].islower()]
        if len(names) < self.turns:
            return f"{len(names)} turns, fewer than {self.turns}"
        different = len(set(names))
        return "" if different >= self.speakers else f"{different} speakers, fewer than {self.speakers}"


class Contains(Check):
    """Holds every word or phrase of `all`, and at least one of `any`; case does not matter, whole words do."""

    type: Literal["contains"]
    all: tuple[str, ...] = ()
    any: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _something(self) -> Contains:
        if not self.all and not self.any:
            raise ValueError("give `all` or `any` at least one word")
        return self

    def fault(self, answer: str, settings: CheckSettings) -> str:
        missing = [word for word in self.all if not _holds(answer, word)]
        if missing:
            return f"does not hold {missing[0]}"
        held = [word for word in self.any if _holds(answer, word)]
        return f"holds none of {', '.join(self.any)}" if self.any and not held else ""


def _holds(answer: str, phrase: str) -> bool:
    """Whether a word or phrase is in the answer, whole (or with any end, where it ends in `*`), whatever its case and
    spacing.

    Where a script writes no spaces, any place is whole.
    """
    answer, phrase = (unicodedata.normalize("NFC", text) for text in (answer, phrase))
    words = r"\s+".join(re.escape(word) for word in phrase.removesuffix("*").split())
    for found in re.finditer(f"(?={words})", answer, re.IGNORECASE):
        matched = re.compile(words, re.IGNORECASE).match(answer, found.start())
        assert matched is not None
        start, end = matched.span()
        edges = (start,) if phrase.endswith("*") else (start, end)
        if not any(may_join(answer[at - 1]) and may_join(answer[at]) for at in edges if 0 < at < len(answer)):
            return True
    return False


class Sentences(Check):
    """From `min` to `max` sentences, by their end marks; a last one without a mark counts from three words on."""

    type: Literal["sentences"]
    min: int = Field(default=1, ge=1)
    max: int | None = Field(default=None, ge=1)

    def fault(self, answer: str, settings: CheckSettings) -> str:
        number = count_sentences(answer)
        if number < self.min:
            return f"{number} sentences, fewer than {self.min}"
        return f"{number} sentences, more than {self.max}" if self.max is not None and number > self.max else ""


def count_sentences(text: str) -> int:
    """Sentences by their end marks; a last one without a mark counts from three words on."""
    number = 0
    for line in UNMARKED.sub("\n", text).splitlines():
        for part in SENTENCE.finditer(line):
            ended = ENDED.search(part[0].strip()) is not None
            number += ended or len(split_words(part[0])) >= 3
    return number


class Starts(Check):
    """Begins with one of `any`; case and leading marks do not matter."""

    type: Literal["starts"]
    any: list[str] = Field(min_length=1)

    def fault(self, answer: str, settings: CheckSettings) -> str:
        begin = answer.lstrip(LEADING).casefold()
        wanted = tuple(word.lstrip(LEADING).casefold() for word in self.any)
        return "" if begin.startswith(wanted) else f"does not start with {self.any[0]}"


class Mentions(Check):
    """Holds at least `least` of `words` (all of them where it is None); case does not matter.

    Each of `words` is a word or phrase, or a list of which one is enough. `flower*` means every word that begins so.
    """

    type: Literal["mentions"]
    words: list[str | list[str]] = Field(min_length=1)
    least: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _enough_words(self) -> Mentions:
        if self.least is not None and self.least > len(self.words):
            raise ValueError(f"`least` is {self.least}, more than the {len(self.words)} words")
        return self

    def fault(self, answer: str, settings: CheckSettings) -> str:
        groups = [[group] if isinstance(group, str) else group for group in self.words]
        missing = ["/".join(group) for group in groups if not any(_holds(answer, word) for word in group)]
        held, least = len(groups) - len(missing), self.least or len(groups)
        return "" if held >= least else f"mentions {held} of {least}, not {missing[0]}"


class Excludes(Check):
    """Holds none of `words`, each a word, a phrase, or the beginning of one (`film*`); case does not matter."""

    type: Literal["excludes"]
    words: list[str] = Field(min_length=1)

    def fault(self, answer: str, settings: CheckSettings) -> str:
        held = [word for word in self.words if _holds(answer, word)]
        return f"holds {held[0]}" if held else ""


class Without(Check):
    """Is not written as one of `forms`: most of it a list, or turns of speakers who come again, or code in it."""

    type: Literal["without"]
    forms: list[Literal["list", "dialogue", "code"]] = Field(min_length=1)

    def fault(self, answer: str, settings: CheckSettings) -> str:
        lines = [line for line in answer.splitlines() if line.strip()]
        most = max(2, len(lines) // 2 + 1)
        if "list" in self.forms and sum(LISTED.match(line) is not None for line in lines) >= most:
            return "is a list"
        names = _speakers(lines)
        if "dialogue" in self.forms and len(names) >= most and len(set(names)) < len(names):
            return "is a dialogue"
        return "holds code" if "code" in self.forms and find_code(answer) is not None else ""


class Person(Check):
    """Speaks as `I` or `we` (first) or to `you` (second): at least `least` such words, of all `persons` together."""

    type: Literal["person"]
    persons: list[Literal["first", "second"]] = Field(min_length=1)
    least: int = Field(default=2, ge=1)

    def fault(self, answer: str, settings: CheckSettings) -> str:
        known = frozenset[str]().union(*(PERSONS[person] for person in self.persons))
        number = sum(word in known for word in re.findall(r"[a-z]+", answer.casefold()))
        return "" if number >= self.least else f"{number} words of the {' or '.join(self.persons)} person"


class Conversation(Check):
    """At least `turns` turns of speech in any form that plays and prose use, by at least `speakers` speakers.

    `Name: …`; a name alone in a line, with a colon or in capitals, and the speech below it; or quoted speech, whose
    speakers are not counted. Headings (`Title:`, `Step 1:`) are not speakers.
    """

    type: Literal["conversation"]
    turns: int = Field(ge=2)
    speakers: int = Field(default=2, ge=1)

    def fault(self, answer: str, settings: CheckSettings) -> str:
        names = _speakers([line for line in answer.splitlines() if line.strip()])
        quoted = [first or second for first, second in QUOTED.findall(answer)]
        spoken = sum(len(speech.split()) >= 2 or speech[-1] in ".!?," for speech in quoted)
        if len(names) < self.turns and spoken < self.turns:
            return f"{max(len(names), spoken)} turns of speech, fewer than {self.turns}"
        different = len({name.casefold() for name in names})
        if spoken < self.turns and different < self.speakers:
            return f"{different} speakers, fewer than {self.speakers}"
        return ""


def _speakers(lines: Sequence[str]) -> list[str]:
    """The speaker of each labelled turn, in order; of lines that are not blank."""
    names = []
    for number, line in enumerate(lines):
        found = SPEAKER.match(line)
        if found is None and number + 1 < len(lines):
            found = NAME_ALONE.match(line)
            if found is not None and not found["colon"] and not found["name"].isupper():
                found = None
        if found is not None and re.split(r"[^\w]+", found["name"].casefold())[0] not in HEADS:
            names.append(found["name"].strip())
    return names


class Passage(Check):
    """Holds a passage (a line, a sentence, or the text in quotes or after a colon) in a language.

    At least `words` words long. So an answer may say in English that it translates, and then translate.
    """

    type: Literal["passage"]
    language: Literal["fr", "en", "de", "es", "it"]
    words: int = Field(default=4, ge=2)

    def fault(self, answer: str, settings: CheckSettings) -> str:
        parts = re.split(r"[\n.!?:;\"“”«»()*]+", answer)
        long = [part for part in parts if len(re.findall(r"[^\W\d_]+", part)) >= self.words]
        if any(identify_language(part) == self.language for part in long):
            return ""
        return f"no passage in the language {self.language}"
