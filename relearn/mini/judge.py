"""A judge by rules: it says which of two answers is better, with faults of known size.

It prefers by chance, with the odds of Bradley & Terry (1952) and the order effect of Davidson & Beaver (1977): the
logit of choosing the first answer is its merit less that of the second, plus `position_bias`, plus `length_bias` for
each doubling of its length over the second's. So what it does in expectation is known exactly.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from relearn.mini.completions import make_body, read_request, read_text, version

FENCED = re.compile(r"<(\w+)-([0-9a-f]{8,64})>\n(.*?)\n</\1-\2>", re.DOTALL)
WORD = re.compile(r"\w+")
ON_TOPIC, UNREPEATED = 4.0, 2.0  # logits of an answer that takes up every word of the instruction, and repeats none
NO_VERDICT = "Both of them have their strengths, and it depends."


def rate_merit(instruction: str, answer: str) -> float:
    """How good an answer is, in logits: the share of the instruction's longer words taken up, and of its own that are new."""
    words = WORD.findall(answer.casefold())
    wanted = {word for word in WORD.findall(instruction.casefold()) if len(word) > 3}
    if not words:
        return 0.0
    return ON_TOPIC * len(wanted & set(words)) / max(1, len(wanted)) + UNREPEATED * len(set(words)) / len(words)


@dataclass(frozen=True)
class JudgeByRules:
    """The model behind the server. `ties` and `unreadable` are shares of all answers; the rest decide."""

    seed: int
    position_bias: float = 0.0
    length_bias: float = 0.0
    ties: float = 0.0
    unreadable: float = 0.0

    @property
    def identity(self) -> str:
        """What determines its answers, in place of the address."""
        rules = f"{self.position_bias:g},{self.length_bias:g},{self.ties:g},{self.unreadable:g}"
        return f"judge by rules/{version()}/seed={self.seed}/{rules}"

    def chances(self, instruction: str, first: str, second: str) -> dict[str, float]:
        """How likely it names the first, the second, a tie, or (the empty key) nothing that can be read."""
        logit = rate_merit(instruction, first) - rate_merit(instruction, second) + self.position_bias
        logit += self.length_bias * math.log2((1 + len(first)) / (1 + len(second)))
        decided = max(0.0, 1 - self.ties - self.unreadable)
        chosen = 1 / (1 + math.exp(-logit))
        return {
            "first": decided * chosen, "second": decided * (1 - chosen), "tie": self.ties, "": self.unreadable,
        }  # fmt: skip

    def answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The body of the response to a chat-completions request; ValueError when it shows no two answers."""
        messages, _ = read_request(request)
        asked = next((read_text(m.get("content")) for m in reversed(messages) if m.get("role") == "user"), "")
        texts = {name: text for name, _, text in FENCED.findall(asked)}
        if not {"instruction", "first", "second"} <= set(texts):
            raise ValueError("no instruction and two answers between marks <first-…> and </first-…>")
        chances = self.chances(texts["instruction"], texts["first"], texts["second"])
        digest = hashlib.sha256(json.dumps([self.seed, messages], sort_keys=True).encode()).hexdigest()
        (said,) = random.Random(digest).choices(list(chances), list(chances.values()))
        content = json.dumps({"better": said}) if said else NO_VERDICT
        return make_body(request, digest, content, None, "stop")
