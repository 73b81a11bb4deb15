"""What requests will cost, before any is sent."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from relearn.endpoint.budget import Guess
from relearn.endpoint.journal import Journal
from relearn.endpoint.request import Address, Request
from relearn.endpoint.survey import survey
from relearn.params.asking import Asking
from relearn.teacher.asking import make_prices


@dataclass(frozen=True)
class Estimate:
    """Requests, those in the journal, tokens and USD of the rest: expected, and at most (but for retries)."""

    requests: int
    journalled: int
    prompt_tokens: float
    completion_tokens: float
    completion_most: float
    cost: float
    cost_most: float
    spent: float
    basis: str

    def lines(self, budget: float | None) -> list[str]:
        """The estimate for people."""
        missing = self.requests - self.journalled
        text = [
            "estimate (nothing was sent):",
            f"  requests            {self.requests}",
            f"  in the journal      {self.journalled} ({self.spent:.4f} USD, paid)",
            f"  to be sent          {missing}",
            f"  prompt tokens       about {self.prompt_tokens:.0f}",
            f"  completion tokens   about {self.completion_tokens:.0f}, at most {self.completion_most:.0f}",
            f"  cost                about {self.cost:.4f} USD, at most {self.cost_most:.4f} USD without retries",
            f"  ({self.basis})",
        ]
        if budget is not None:
            total = self.spent + self.cost
            word = "passes" if total > budget else "stays within"
            text.append(f"  budget              {budget:g} USD; {total:.4f} USD in all {word} it")
        return text


def estimate(requests: Iterable[Request], options: Asking, address: Address, journal: Journal) -> Estimate:
    """Counts requests and guesses their tokens; from earlier answers of the same model where there are any.

    Without any, a prompt counts a token for four bytes of UTF-8, which suits English prose, and an answer half its
    cap. "At most" takes a token for two bytes and the whole cap; answers that are cut and asked again with a
    larger cap come on top.
    """
    prices = make_prices(options)
    share = prices.batch if options.mode == "batch" else 1.0
    found = survey(requests, journal, address.identity, options.max_tokens_limit, prices)
    frames = Guess.FRAME * found.missing_messages
    prompt, most = found.missing_bytes / 4 + frames / 4, found.missing_bytes / 2 + frames
    each, basis = (
        options.max_tokens / 2,
        "assuming a token for 4 bytes of prompt and answers of half the cap; nothing is known yet",
    )
    known = journal.count_tokens(address.identity, options.model)
    if known:
        each = min(known[2] / known[0], options.max_tokens)
        basis = f"from the {known[0]} answers that this model has given; a token for 4 bytes of prompt"
    return Estimate(
        requests=found.total,
        journalled=found.total - found.missing,
        prompt_tokens=prompt,
        completion_tokens=each * found.missing,
        completion_most=float(options.max_tokens * found.missing),
        cost=share * prices.cost(prompt, each * found.missing),
        cost_most=share * prices.cost(most, options.max_tokens * found.missing),
        spent=found.cost,
        basis=basis,
    )
