"""How the embedded teacher breaks its JSON: the ways real models do, each at a rate the profile sets.

Which reply is broken how follows from the seed and the messages alone (the server hands in a generator seeded by
both), so neither order nor concurrency changes a reply.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass

KINDS = [
    "fence",
    "prose",
    "inner_quotes",
    "trailing_comma",
    "missing_brace",
    "single_quotes",
    "nested",
    "renamed",
    "fused",
    "truncated",
    "refusal",
    "empty",
]

# What a server that enforces a format cannot produce any more; a model can still run on, refuse or say nothing.
EXCLUDED: dict[str, frozenset[str]] = {
    "json_object": frozenset(
        ["fence", "prose", "inner_quotes", "trailing_comma", "missing_brace", "single_quotes", "fused"]
    ),
    "json_schema": frozenset(KINDS) - {"truncated", "refusal", "empty"},
}

OPENINGS = (
    "Sure! Here are the two replies:\n\n",
    "Here is the JSON object you asked for:\n",
    "Of course. I read the review and wrote one reply for each side.\n\n",
)
CLOSINGS = (
    "\n\nLet me know if you would like another version!",
    "\n\nBoth replies stay close to the review.",
    "\n\nI hope this helps.",
    "",
)
NAMES = (
    ("Agree", "Disagree"),
    ("agree_reply", "disagree_reply"),
    ("agreeing_reply", "disagreeing_reply"),
    ("agreement", "disagreement"),
    ("reply_agree", "reply_disagree"),
)
WRAPPERS = ("replies", "response", "result", "output")
REFUSALS = (
    "I'm sorry, but I can't help with that request.",
    "I cannot write a reply to this review.",
    "I'm unable to assist with this one.",
)


@dataclass(frozen=True)
class Written:
    """What the model says: its text, or a refusal in the field of its own that structured output has.

    `endless` marks a text that goes on until the cap on tokens cuts it.
    """

    content: str | None
    refusal: str | None = None
    endless: bool = False


def choose(rates: Mapping[str, float], draw: float, response_format: str = "none") -> str | None:
    """The kind that `draw`, uniform in [0, 1), falls on, or None for an unbroken reply.

    Kinds are laid side by side in the order of KINDS. A kind that `response_format` rules out leaves the reply
    unbroken; the others keep their places, so that asking for a format breaks no reply that was whole before.
    """
    edge = 0.0
    for kind in KINDS:
        edge += rates.get(kind, 0.0)
        if draw < edge:
            return None if kind in EXCLUDED.get(response_format, frozenset()) else kind
    return None


def write(agree: str, disagree: str, kind: str | None, rng: random.Random, response_format: str = "none") -> Written:
    """The two replies as one JSON object, broken in the way `kind` says (None: whole)."""
    whole = _dump({"agree": agree, "disagree": disagree}, rng)
    if kind is None:
        return Written(whole)
    if kind == "fence":
        return Written(f"```{rng.choice(('json', 'json', 'JSON', ''))}\n{whole}\n```")
    if kind == "prose":
        return Written(rng.choice(OPENINGS) + whole + rng.choice(CLOSINGS))
    if kind == "inner_quotes":
        # Quoted after the escaping, so the quotation marks end the string early.
        return Written(_dump({"agree": _quote(agree, rng), "disagree": _quote(disagree, rng)}, rng, raw=True))
    if kind == "trailing_comma":
        return Written(re.sub(r"(\s*)\}$", r",\1}", whole))
    if kind == "missing_brace":
        return Written(whole[:-1].rstrip())
    if kind == "single_quotes":
        return Written(repr({"agree": agree, "disagree": disagree}))
    if kind == "nested":
        if rng.random() < 0.5:
            return Written(_dump({rng.choice(WRAPPERS): {"agree": agree, "disagree": disagree}}, rng))
        return Written(_dump({"agree": {"reply": agree}, "disagree": {"reply": disagree}}, rng))
    if kind == "renamed":
        first, second = rng.choice(NAMES)
        return Written(_dump({first: agree, second: disagree}, rng))
    if kind == "fused":
        gap = rng.choice(("", "\n", "\n\n", ", "))
        return Written(_dump({"agree": agree}, rng) + gap + _dump({"disagree": disagree}, rng))
    if kind == "truncated":
        # A small model caught in a loop: the same sentence until the cap cuts it.
        start = _dump({"agree": agree, "disagree": disagree}, rng)
        return Written(start[: start.rindex('"')] + " ", endless=True)
    if kind == "refusal":
        text = rng.choice(REFUSALS)
        return Written(None, refusal=text) if response_format == "json_schema" else Written(text)
    if kind == "empty":
        return Written(rng.choice((None, "", "\n")))
    raise ValueError(f"{kind!r} is not a kind of breakage; use one of {', '.join(KINDS)}")


def _dump(value: object, rng: random.Random, raw: bool = False) -> str:
    text = json.dumps(value, ensure_ascii=False, indent=rng.choice((None, None, 2)))
    return text.replace('\\"', '"') if raw else text


def _quote(text: str, rng: random.Random) -> str:
    """The text with one of its longer words in double quotes."""
    words = list(re.finditer(r"[^\W\d_]{4,}", text)) or list(re.finditer(r"\S+", text))
    if not words:
        return f'"{text}"'
    word = rng.choice(words)
    return f'{text[: word.start()]}"{word.group()}"{text[word.end() :]}'
