"""What tokens cost, and a budget that is never exceeded."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from relearn.endpoint.request import Request, ServerAnswer


@dataclass(frozen=True)
class Prices:
    """USD per million tokens; `batch` is the share of it that an answer of a batch costs."""

    input: float = 0.0
    output: float = 0.0
    batch: float = 1.0

    def cost(self, prompt_tokens: float, completion_tokens: float) -> float:
        """USD for so many tokens."""
        return (prompt_tokens * self.input + completion_tokens * self.output) / 1e6

    def of(self, answer: ServerAnswer) -> float:
        """USD of an answer; tokens that the server did not count cost nothing."""
        cost = self.cost(answer.prompt_tokens or 0, answer.completion_tokens or 0)
        return cost * self.batch if answer.batched else cost


class Guess:
    """Tokens of requests not answered yet, from those that have been.

    Before anything is known a prompt counts a quarter of its bytes, or at most all of them: a byte-level
    tokenizer makes no more tokens than bytes, and a chat template adds a few for each message.
    """

    FRAME = 16  # tokens a chat template may add to a message

    def __init__(self) -> None:
        self.answers = self.completion = 0
        self.densest = 0.0  # most tokens a byte seen

    def learn(self, request: Request, answer: ServerAnswer) -> None:
        """Takes an answered request into account."""
        if answer.prompt_tokens is not None and answer.completion_tokens is not None:
            self.answers += 1
            self.completion += answer.completion_tokens
            frame = self.FRAME * len(request.messages)
            self.densest = max(self.densest, (answer.prompt_tokens - frame) / max(request.size, 1))

    def expect(self, request: Request) -> tuple[float, float]:
        """(prompt, completion) tokens to expect."""
        frame = self.FRAME * len(request.messages)
        density = self.densest or 0.25
        completion = self.completion / self.answers if self.answers else request.max_tokens
        return request.size * density + frame, min(completion, request.max_tokens)

    def bound(self, request: Request) -> tuple[float, float]:
        """(prompt, completion) tokens at most; a tenth above the densest prompt once eight are known."""
        frame = self.FRAME * len(request.messages)
        density = min(1.0, 1.1 * self.densest) if self.answers >= 8 and self.densest > 0 else 1.0
        return request.size * density + frame, float(request.max_tokens)


class OverBudget(Exception):
    """The next request could exceed the budget, and nothing in flight can make room for it."""


class Budget:
    """Money spent, and money set aside for what is in flight, under an optional cap.

    A request is admitted only when everything spent, everything set aside and the most that it can cost stay
    within the cap.
    """

    def __init__(self, cap: float | None, spent: float = 0.0) -> None:
        self.cap, self.spent, self.aside, self.flying = cap, spent, 0.0, 0
        self._settled = asyncio.Event()

    async def admit(self, most: float) -> None:
        """Sets `most` USD aside once there is room; OverBudget when there can be none."""
        while self.cap is not None and self.spent + self.aside + most > self.cap + 1e-12:
            if not self.flying:
                raise OverBudget
            self._settled.clear()
            await self._settled.wait()
        self.aside += most
        self.flying += 1

    def charge(self, most: float, cost: float) -> None:
        """A request that had set `most` aside has cost `cost`."""
        self.flying -= 1
        self.aside = self.aside - most if self.flying else 0.0
        self.spent += cost
        self._settled.set()
