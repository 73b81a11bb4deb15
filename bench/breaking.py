"""Breaks clean records the way models and scripts break them, and says which fields can still be recovered.

A record is written out under a style (delimiters, escapes, keys, structure) and the text is then cut, wrapped or
repeated. The places of both delimiters of every field are known while writing, so whether a field is recoverable
(both its delimiters survive) is settled here, before any repair runs.
"""

from __future__ import annotations

import json
import random
import re
from dataclasses import dataclass, field

FIELDS = ("agree", "disagree")
Record = dict[str, str]

DELIMITERS = {"single_quotes", "python_repr", "typographic_quotes"}
STRUCTURES = {"nested", "one_key_objects", "one_text_in_object"}
CUTS = {"cut_in_last", "cut_in_first"}
CLASSES = (
    *("fence", "prose_around", "inner_quotes", "inner_quotes_comma", "trailing_comma", "comma_missing"),
    *("closing_brace_missing", "cut_in_last", "cut_in_first", "single_quotes", "python_repr"),
    *("typographic_quotes", "bare_keys", "raw_newlines", "renamed_keys", "nested", "one_key_objects"),
    *("comments", "encoded_twice", "python_extras", "invalid_escapes", "repeated_dump"),
    *("reasoning", "full_width", "number_separators", "one_text_in_object", "concatenation"),
)
RENAMED = (
    ("Agree", "Disagree"),
    ("AGREE", "DISAGREE"),
    ("agree_response", "disagree_response"),
    ("agreeReply", "disagreeReply"),
    ("agreement", "disagreement"),
    ("Agreeing reply", "Disagreeing reply"),
    ("response_agree", "response_disagree"),
)
WRAPPERS = ("result", "response", "replies", "data", "review_1")
BEFORE = (
    "Sure! Here is the JSON object you asked for:\n\n",
    "Here are two replies to the review, one that agrees and one that doesn't:\n",
    'I\'ve read the review. The "agree" reply comes first.\n\n',
    "Certainly, here you go: ",
)
AFTER = (
    "\n\nLet me know if you'd like me to change the tone!",
    '\n\nNote: the "disagree" reply takes the opposite view.',
    "\nI hope this helps.",
    "\n\nBoth replies are two sentences long; shall I write more?",
)
COMMENTS = (
    ("// the reply that agrees\n", "// and the one that doesn't\n"),
    ("/* agree */ ", "/* disagree */ "),
    ("# first\n", '# "second"\n'),
)
EXTRAS = (
    '"valid": True, ',
    '"note": None, ',
    '"tags": ("film", "review"), ',
    '"score": 0.75, "draft": False, ',
    '"words": {"min": 20, "max": None}, ',
)
SEPARATED = ('"views": 12,000, ', '"seen": 1,234,567, ', '"price": $1,299.00, ', '"votes": 12 000, ')
FLAGS = (('"ok": true, ', ', "score": 0.5'), ("", ', "draft": false, "words": 12'), ('"n": 3, "final": null, ', ""))
INNER_KEYS = ("body", "said", "written", "out_1")
THOUGHTS = (
    ("<think>\nLet me draft it: ", "\nGood, but it can be shorter.\n</think>\n\n"),
    ("<thinking>A first try, ", ", will do better.</thinking>\n"),
    ("I'll try: ", "\nNo, again.\n</think>\n"),
    ("[THINK]Perhaps ", "? Let me see.[/THINK]"),
    ("<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>"),
)
JOIN = re.compile(r"(?<=[a-z]) (?=[a-z])")
INVALID = re.compile(r"(\\\\)([^\"\\/bfnrtu'])|(\\.)", re.DOTALL)
ESCAPE = re.compile(r"\\(.)", re.DOTALL)


@dataclass
class Broken:
    """A broken text, the records that were written into it, and for each which fields are recoverable."""

    text: str
    records: list[Record]
    recoverable: list[set[str]] = field(default_factory=list)


def compatible(first: str, second: str) -> bool:
    """Whether two classes can be had at once (Python's `repr` writes no escape that Python does not know)."""
    pair = {first, second}
    exclusive = (
        *(DELIMITERS, STRUCTURES, CUTS, {"invalid_escapes", "python_repr"}),
        # No key in quotes, or a comment, tells full-width punctuation from a text's; bare quotes hide where pieces end.
        *({"full_width", "bare_keys"}, {"full_width", "comments"}),
        *({"concatenation", "inner_quotes"}, {"concatenation", "inner_quotes_comma"}),
        # Python reads no 12,000; a bare key after it is text.
        *({"number_separators", "python_repr"}, {"number_separators", "bare_keys"}),
    )
    return not any(len(pair & group) == 2 for group in exclusive)


def prepare(record: Record, classes: set[str], rng: random.Random) -> Record | None:
    """The record with what its classes need (quotes to leave bare, apostrophes, line ends); None if it cannot."""
    texts = dict(record)
    for name in FIELDS:
        if classes & {"inner_quotes", "typographic_quotes"}:
            texts[name] = _quote_words(texts[name], rng, comma=False)
        if "inner_quotes_comma" in classes:
            texts[name] = _quote_words(texts[name], rng, comma=True)
        if "raw_newlines" in classes:
            texts[name] = _at_space(texts[name], rng.choice(("\n", "\n\n", "\t", "\r\n")), rng)
        if "single_quotes" in classes and "'" not in texts[name]:
            texts[name] = _at_space(texts[name], " it's ", rng)
        if "invalid_escapes" in classes and not re.search(r"'|\\[^\"\\/bfnrtu']", texts[name]):
            texts[name] = _at_space(texts[name], rng.choice((" it's ", r" \d+ ", r" C:\Games ")), rng)
        if "concatenation" in classes and JOIN.search(texts[name]) is None:
            return None
    return texts if all(len(texts[name]) >= 12 for name in FIELDS) else None


def _at_space(text: str, what: str, rng: random.Random) -> str:
    spaces = [match.start() for match in re.finditer(" ", text)]
    if not spaces:
        return text + what + "end."
    at = rng.choice(spaces)
    return text[:at] + what + text[at + 1 :]


def _quote_words(text: str, rng: random.Random, comma: bool) -> str:
    words = [match.span() for match in re.finditer(r"(?<=\s)\w+(?=\s)", text)]
    for start, end in sorted(rng.sample(words, min(len(words), rng.randint(1, 2))), reverse=True):
        text = f'{text[:start]}"{text[start:end]}"{"," if comma else ""}{text[end:]}'
    return text


def _string(value: str, classes: set[str], rng: random.Random) -> tuple[str, str, str]:
    """Opening delimiter, inside, closing delimiter."""
    bare = classes & {"inner_quotes", "inner_quotes_comma"}
    if "python_repr" in classes:
        written = repr(value)
        inside, quote = written[1:-1], written[0]
        if bare:
            inside = ESCAPE.sub(lambda match: quote if match.group(1) == quote else match.group(), inside)
        if "raw_newlines" in classes:
            inside = _raw_controls(inside)
        return quote, inside, quote
    inside = json.dumps(value, ensure_ascii=rng.random() < 0.3)[1:-1]
    if "invalid_escapes" in classes:
        inside = INVALID.sub(lambda m: "\\" + m.group(2) if m.group(1) else m.group(3), inside).replace("'", "\\'")
    if bare:
        inside = ESCAPE.sub(lambda match: '"' if match.group(1) == '"' else match.group(), inside)
    if "raw_newlines" in classes:
        inside = _raw_controls(inside)
    if "single_quotes" in classes:
        return "'", inside, "'"
    if "typographic_quotes" in classes:
        return "“", inside, "”"
    return '"', inside, '"'


def _raw_controls(inside: str) -> str:
    table = {"n": "\n", "t": "\t", "r": "\r"}
    return ESCAPE.sub(lambda match: table.get(match.group(1), match.group()), inside)


def _key(name: str, classes: set[str]) -> str:
    if "bare_keys" in classes:
        return name.replace(" ", "_")
    if classes & {"single_quotes", "python_repr"}:
        return f"'{name}'"
    if "typographic_quotes" in classes:
        return f"“{name}”"
    return f'"{name}"'


def write(record: Record, classes: set[str], rng: random.Random) -> tuple[str, dict[str, tuple[int, int]]]:
    """The record under the style of its classes, and where each field's opening and closing delimiters are."""
    names = rng.choice(RENAMED) if "renamed_keys" in classes else FIELDS
    space = rng.choice(("", " ", "\n  "))
    comments = rng.choice(COMMENTS) if "comments" in classes else ("", "")
    nested = "nested" in classes
    each = nested and rng.random() < 0.5
    one_key = "one_key_objects" in classes
    text = ""
    places: dict[str, tuple[int, int]] = {}
    if nested and not each:
        text += f"{{{_key(rng.choice(WRAPPERS), classes)}: "
    text += "[{" if one_key else "{"
    one_text = "one_text_in_object" in classes
    colon, comma, brace = ("：", "，", rng.choice(("{}", "｛｝"))) if "full_width" in classes else (": ", ",", "{}")
    if not one_key:
        text = text[:-1] + brace[0]
    for turn, (name, key) in enumerate(zip(FIELDS, names, strict=True)):
        text += space + comments[turn]
        if "python_extras" in classes and (turn == 0 or rng.random() < 0.5):
            text += rng.choice(EXTRAS)
        if "number_separators" in classes and (turn == 1 or rng.random() < 0.5):
            text += rng.choice(SEPARATED)
        text += _key(key, classes) + colon
        before, after = rng.choice(FLAGS) if one_text else ("", "")
        if one_text:
            text += "{" + before + _key(rng.choice(INNER_KEYS), classes) + ": "
        if each:
            text += "{" + _key("text", classes) + ": "
        opening, inside, closing = _string(record[name], classes, rng)
        if "concatenation" in classes:
            gap = rng.choice((" + ", " +\n    ", "\n  "))
            meets = [match.start() for match in JOIN.finditer(inside)]
            for at in sorted(rng.sample(meets, min(len(meets), rng.randint(1, 2))), reverse=True):
                inside = inside[: at + 1] + closing + gap + opening + inside[at + 1 :]
        places[name] = (len(text), len(text) + len(opening) + len(inside))
        text += opening + inside + closing
        if one_text:
            text += after + "}"
        if each:
            text += "}"
        if turn == 0:
            separator = "" if "comma_missing" in classes else comma
            text += "}" + (separator or " ") + "{" if one_key else (separator or " ")
        elif "trailing_comma" in classes:
            text += comma
    if "closing_brace_missing" not in classes:
        text += space.rstrip(" ") + ("}]" if one_key else brace[1]) + ("}" if nested and not each else "")
    return text, places


def break_records(records: list[Record], classes: set[str], rng: random.Random) -> Broken | None:
    """Writes the records (one, or several for a repeated dump) broken by the classes; None where they do not fit."""
    texts: list[str] = []
    done: list[Record] = []
    recoverable: list[set[str]] = []
    for record in records if "repeated_dump" in classes else records[:1]:
        prepared = prepare(record, classes, rng)
        if prepared is None:
            return None
        text, places = write(prepared, classes, rng)
        cut = classes & CUTS
        if cut:
            start, end = places["disagree" if "cut_in_last" in cut else "agree"]
            text = text[: rng.randint(start + 2, end)]
        done.append(prepared)
        recoverable.append({name for name, (_, close) in places.items() if close < len(text)})
        texts.append(text)
    if "repeated_dump" in classes:
        between = rng.choice(("\n", "\n\n", "\n---\n"))
        text = between.join(piece for size in range(1, len(texts) + 1) for piece in texts[:size])
    else:
        text = texts[0]
    if "encoded_twice" in classes:
        text = json.dumps(text, ensure_ascii=rng.random() < 0.3)
    if "fence" in classes:
        text = f"```{rng.choice(('json', '', 'JSON'))}\n{text}\n```"
    if "prose_around" in classes:
        text = rng.choice(BEFORE) + text + rng.choice(AFTER)
    if "reasoning" in classes:
        begin, end = rng.choice(THOUGHTS)
        draft = {name: f"A draft, {records[-1][name][:60]}" for name in FIELDS}
        text = begin + json.dumps(draft) + end + text
    return Broken(text, done, recoverable)
