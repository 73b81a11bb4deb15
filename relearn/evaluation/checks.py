"""Does an answer to a probe still do what was asked? One function a kind of check.

Every check also asks that the answer is not empty and does not loop.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from relearn.evaluation import repetition
from relearn.evaluation.probes import Contains, Dialogue, Function, Language, Probe, Sentences, Starts, Verse
from relearn.metrics.code.find import find_code
from relearn.metrics.code.lines import parse
from relearn.sandbox import runner as sandbox

Execute = Literal["off", "strict", "best_effort"]

SPEAKER = re.compile(r"^\s*[-*]*\s*\**(?P<name>[A-ZÀ-Ý][\w.'’ -]{0,30}?)\**\s*(\([^)]*\))?\s*:\**\s*\S")
SENTENCE = re.compile(r"[^.!?…]*\w[^.!?…]*([.!?…]+[\"'”’)]*|$)")
LEADING = " \t\n\"'“”‘’*_#>-"
# The commonest function words, those that two of these languages share left out. A short answer of a small model
# holds a few of them at most, where a statistical identifier needs a paragraph; nothing has to be installed.
FUNCTION_WORDS: dict[str, frozenset[str]] = {
    "fr": frozenset(
        [
            "le",
            "les",
            "des",
            "est",
            "et",
            "dans",
            "une",
            "du",
            "au",
            "aux",
            "il",
            "elle",
            "je",
            "tu",
            "nous",
            "vous",
            "ils",
            "elles",
            "qui",
            "avec",
            "pour",
            "sur",
            "ce",
            "cette",
            "ces",
            "mon",
            "ma",
            "mes",
            "ton",
            "ta",
            "ses",
            "son",
            "leur",
            "pas",
            "ne",
            "sont",
            "était",
            "être",
            "mais",
            "où",
            "chez",
            "très",
            "plus",
            "l'",
            "d'",
            "j'",
            "c'",
            "n'",
            "s'",
            "qu'",
            "m'",
            "t'",
        ]
    ),
    "en": frozenset(
        [
            "the",
            "is",
            "and",
            "of",
            "to",
            "in",
            "that",
            "it",
            "was",
            "for",
            "with",
            "he",
            "she",
            "they",
            "his",
            "her",
            "on",
            "are",
            "this",
            "be",
            "at",
            "have",
            "from",
            "by",
            "not",
            "but",
            "or",
            "we",
            "you",
            "my",
            "your",
            "their",
            "there",
            "what",
            "which",
            "will",
            "would",
            "has",
            "had",
            "were",
        ]
    ),
    "de": frozenset(
        [
            "der",
            "das",
            "den",
            "dem",
            "ist",
            "und",
            "ein",
            "eine",
            "einen",
            "nicht",
            "ich",
            "du",
            "wir",
            "ihr",
            "sie",
            "mit",
            "auf",
            "für",
            "von",
            "zu",
            "auch",
            "war",
            "sind",
            "im",
            "am",
            "aus",
            "bei",
            "nach",
            "wie",
            "wenn",
            "aber",
            "oder",
            "sein",
            "hat",
            "haben",
        ]
    ),
    "es": frozenset(
        [
            "el",
            "los",
            "las",
            "es",
            "y",
            "en",
            "que",
            "del",
            "al",
            "por",
            "con",
            "para",
            "su",
            "sus",
            "una",
            "se",
            "no",
            "lo",
            "como",
            "más",
            "pero",
            "está",
            "son",
            "era",
            "muy",
            "mi",
            "tu",
            "yo",
            "hay",
            "también",
            "cuando",
            "porque",
        ]
    ),
    "it": frozenset(
        [
            "il",
            "lo",
            "gli",
            "è",
            "e",
            "di",
            "che",
            "nel",
            "della",
            "dello",
            "degli",
            "del",
            "con",
            "per",
            "una",
            "sono",
            "era",
            "non",
            "si",
            "come",
            "più",
            "ma",
            "anche",
            "mi",
            "ti",
            "io",
            "lui",
            "lei",
            "questo",
            "questa",
            "molto",
            "perché",
        ]
    ),
}
SHARED = {
    word
    for language, words in FUNCTION_WORDS.items()
    for word in words
    if sum(word in other for other in FUNCTION_WORDS.values()) > 1
}


@dataclass(frozen=True)
class Settings:
    """What is a loop (`probe_3b`), and how the tests of a function may be run (`eval_3a`)."""

    ngram: int
    loop_share: float
    execute: Execute
    limits: sandbox.Limits


@dataclass(frozen=True)
class Outcome:
    """Whether the answer holds up, and if not, why."""

    passed: bool
    reason: str


def check(probe: Probe, answer: str, settings: Settings) -> Outcome:
    """The first thing that is wrong with an answer, if any. InputError as `sandbox.command`."""
    if not answer.strip():
        return Outcome(False, "empty")
    if repetition.loops(answer, settings.ngram, settings.loop_share):
        return Outcome(False, "loops")
    for part in probe.check:
        reason = _fault(part, answer, settings)
        if reason:
            return Outcome(False, reason)
    return Outcome(True, "")


def _fault(part: object, answer: str, settings: Settings) -> str:
    match part:
        case Verse():
            return _verse(part, answer)
        case Function():
            return _function(part, answer, settings)
        case Language():
            found = language(answer)
            return "" if found == part.language else f"language: {found or 'unclear'}, not {part.language}"
        case Dialogue():
            return _dialogue(part, answer)
        case Contains():
            missing = [word for word in part.all if not holds(answer, word)]
            if missing:
                return f"does not hold {missing[0]}"
            if part.any and not any(holds(answer, word) for word in part.any):
                return f"holds none of {', '.join(part.any)}"
            return ""
        case Sentences():
            number = len(sentences(answer))
            if number < part.min:
                return f"{number} sentences, fewer than {part.min}"
            return (
                f"{number} sentences, more than {part.max}"
                if part.max is not None and number > part.max
                else ""
            )
        case Starts():
            begin = answer.lstrip(LEADING).casefold()
            wanted = [word.lstrip(LEADING).casefold() for word in part.any]
            return (
                "" if any(begin.startswith(word) for word in wanted) else f"does not start with {part.any[0]}"
            )
    raise TypeError(f"no check for {part!r}")


def holds(answer: str, phrase: str) -> bool:
    """Whether a word or phrase stands in the answer, whole and whatever its case and spacing."""
    words = r"\s+".join(re.escape(word) for word in phrase.split())
    return re.search(rf"(?<!\w){words}(?!\w)", answer, re.IGNORECASE) is not None


def sentences(answer: str) -> list[str]:
    """Sentences by their end marks; a last one without a mark counts where it has three words or more."""
    found = []
    for line in answer.splitlines():
        for part in SENTENCE.finditer(line):
            ended = re.search(r"[.!?…][\"'”’)]*$", part[0].strip()) is not None
            if ended or len(re.findall(r"\w+", part[0])) >= 3:
                found.append(part[0].strip())
    return found


def language(answer: str) -> str | None:
    """The language whose function words are the most frequent; None where none or two stand out equally."""
    words = re.findall(r"[^\W\d_]+['’]|[^\W\d_]+", answer.lower())
    words = [word.replace("’", "'") for word in words]
    scores = {
        name: sum(1.0 if word not in SHARED else 0.5 for word in words if word in known)
        for name, known in FUNCTION_WORDS.items()
    }
    ranked = sorted(scores.items(), key=lambda pair: (-pair[1], pair[0]))
    (best, first), (_, second) = ranked[0], ranked[1]
    return best if first >= 1 and first > second else None


def _verse(part: Verse, answer: str) -> str:
    lines = [line.strip() for line in answer.splitlines() if line.strip()]
    short = [line for line in lines if len(line) <= part.longest and re.search(r"\w", line)]
    if len(short) < part.lines:
        return f"{len(short)} lines of verse, fewer than {part.lines}"
    return "" if len(set(short)) > len(short) // 2 else "the same line again and again"


def _dialogue(part: Dialogue, answer: str) -> str:
    names = [found["name"].strip() for line in answer.splitlines() if (found := SPEAKER.match(line))]
    if len(names) < part.turns:
        return f"{len(names)} turns, fewer than {part.turns}"
    return (
        "" if len(set(names)) >= part.speakers else f"{len(set(names))} speakers, fewer than {part.speakers}"
    )


def _function(part: Function, answer: str, settings: Settings) -> str:
    code = find_code(answer)
    if code is None:
        return "no code"
    if parse(code) is None:
        return "the code does not parse"
    if not re.search(rf"^\s*(async\s+)?def\s+{part.name}\s*\(", code, re.MULTILINE):
        return f"does not define {part.name}"
    if not part.tests or settings.execute == "off":
        return ""
    verdict = run(code, part.tests, settings)
    return "" if verdict.passed else verdict.reason


def run(code: str, tests: Sequence[str], settings: Settings) -> sandbox.Verdict:
    """The function's tests in the sandbox."""
    assert settings.execute != "off"
    return sandbox.run(sandbox.Job(code, tests), settings.limits, sandbox.command(settings.execute))
