"""Which requested field a key names: exactly, in another case, or under another name.

A renamed key is recognised by its words, not by likeness: what remains of the key after words such as
"response" or "text" are taken away must be the field's own words, or a known synonym of a stance.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

FILLER = frozenset(
    [
        "a",
        "an",
        "the",
        "i",
        "my",
        "our",
        "your",
        "with",
        "to",
        "of",
        "on",
        "in",
        "side",
        "one",
        "response",
        "responses",
        "reply",
        "replies",
        "answer",
        "text",
        "statement",
        "comment",
        "comments",
        "opinion",
        "argument",
        "arguments",
        "view",
        "viewpoint",
        "point",
        "perspective",
        "position",
        "stance",
        "stmt",
        "message",
        "msg",
        "content",
        "paragraph",
        "version",
        "output",
        "result",
        "value",
        "field",
        "if",
        "who",
        "someone",
        "person",
        "user",
        "reviewer",
        "review",
        "reviews",
        "critic",
        "film",
        "movie",
        "resp",
    ]
)
SYNONYMS = {
    "agree": frozenset(
        [
            "agree",
            "agrees",
            "agreed",
            "agreeing",
            "agreement",
            "agreeable",
            "pro",
            "pros",
            "support",
            "supports",
            "supporting",
            "supportive",
            "for",
            "favor",
            "favour",
            "favorable",
            "favourable",
            "positive",
            "affirm",
            "affirmative",
            "affirming",
            "concur",
            "concurring",
        ]
    ),
    "disagree": frozenset(
        [
            "disagree",
            "disagrees",
            "disagreed",
            "disagreeing",
            "disagreement",
            "disagreeable",
            "con",
            "cons",
            "against",
            "oppose",
            "opposes",
            "opposing",
            "opposed",
            "opposition",
            "negative",
            "dissent",
            "dissenting",
            "counter",
            "counterargument",
            "refute",
        ]
    ),
}
WORDS = re.compile(r"[^\W\d_]+|\d+")
CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")


def _words(key: str) -> list[str]:
    return [word.casefold() for word in WORDS.findall(CAMEL.sub(" ", key))]


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


class Keys:
    """Maps keys to fields; answers are cached, so a file with few distinct keys costs nothing."""

    def __init__(self, fields: Sequence[str]) -> None:
        self.fields = tuple(fields)
        self._folded = {name.casefold(): name for name in fields}
        self._own = {name: tuple(_singular(word) for word in _words(name)) for name in fields}
        self._needed = {word for words in self._own.values() for word in words}
        self._numbered = any(word.isdigit() for word in self._needed)
        self._cache: dict[str, tuple[str, str | None] | None] = {name: (name, None) for name in fields}

    def match(self, key: str) -> tuple[str, str | None] | None:
        """(field, flag) for a key that names a field, None for any other; the flag is None for the exact name."""
        try:
            return self._cache[key]
        except KeyError:
            found = self._find(key)
            if len(self._cache) < 4096:
                self._cache[key] = found
            return found

    def _find(self, key: str) -> tuple[str, str | None] | None:
        stripped = key.strip()
        folded = self._folded.get(stripped.casefold())
        if folded is not None:
            return folded, None if folded == key else "recased_key"
        words = [_singular(word) for word in _words(stripped)]
        if not self._numbered:
            words = [word for word in words if not word.isdigit()]
        words = [word for word in words if word in self._needed or word not in FILLER]
        hits = [name for name, own in self._own.items() if own and list(own) == words]
        if not hits and len(words) == 1:
            raw = [
                word
                for word in _words(stripped)
                if (word not in FILLER or word == "for") and not word.isdigit()
            ]
            hits = [
                name
                for name in self.fields
                if name in SYNONYMS and len(raw) == 1 and ({raw[0], words[0]} & SYNONYMS[name])
            ]
        return (hits[0], "renamed_key") if len(hits) == 1 else None
