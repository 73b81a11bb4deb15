"""Reviews to replies: the requests of a profile, answered through the journal, and read back in order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from relearn.endpoint.budget import Prices
from relearn.endpoint.journal import Journal
from relearn.endpoint.request import Address, Request, ServerAnswer
from relearn.endpoint.survey import follow_caps
from relearn.endpoint.tally import AskSettings, BatchSettings, Tally
from relearn.errors import InputError
from relearn.params.generate import Generate
from relearn.records import Reply, Review, Usage
from relearn.teacher.prompts import PromptTemplate

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"agree": {"type": "string"}, "disagree": {"type": "string"}},
    "required": ["agree", "disagree"],
    "additionalProperties": False,
}
FORMATS: dict[str, dict[str, Any] | None] = {
    "none": None,
    "json_object": {"type": "json_object"},
    "json_schema": {"type": "json_schema", "json_schema": {"name": "replies", "strict": True, "schema": SCHEMA}},
}


def make_settings(options: Generate) -> AskSettings:
    """The parameter group as the endpoint's settings."""
    batch, batched = options.batch, options.mode == "batch"
    return AskSettings(
        concurrency=options.concurrency,
        timeout_s=options.timeout_s,
        attempts=options.attempts,
        max_tokens_limit=options.max_tokens_limit,
        requests_per_minute=options.requests_per_minute,
        tokens_per_minute=options.tokens_per_minute,
        prices=make_prices(options),
        budget_usd=options.budget_usd,
        batch=BatchSettings(batch.requests, int(batch.megabytes * 1e6), batch.poll_s) if batched else None,
    )


def make_prices(options: Generate) -> Prices:
    """What the answers cost."""
    return Prices(options.price_input, options.price_output, options.batch.price)


class Questions:
    """The requests for some reviews, made anew at each iteration, so that they are never all in memory.

    `reviews` is iterated several times: a list, or an object whose `__iter__` reads the file again.
    """

    def __init__(self, reviews: Iterable[Review], options: Generate, prompt: PromptTemplate) -> None:
        self.reviews, self.options, self.prompt = reviews, options, prompt

    def __iter__(self) -> Iterator[Request]:
        options, form = self.options, FORMATS[self.options.response_format]
        extra = dict(options.extra_body or {})
        if options.reasoning_effort is not None:
            extra["reasoning_effort"] = options.reasoning_effort
        for review in self.reviews:
            yield Request(
                model=options.model,
                messages=self.prompt.messages(review.text),
                temperature=options.temperature,
                max_tokens=options.max_tokens,
                response_format=form,
                extra=tuple(extra.items()),
                label=review.id,
            )


def refuse_unanswered(tally: Tally, listed: str) -> None:
    """InputError, in one line, when reviews are left without an answer; `listed` is the file that names them all."""
    if not tally.failed:
        return
    raise InputError(
        f"{len(tally.failed)} of {tally.total} reviews got no answer ({tally.count_failed()}), listed in {listed}; "
        "run again: only these are asked, all other answers are kept"
    )


def read_replies(questions: Questions, address: Address, journal: Journal, summary: dict[str, Any]) -> Iterator[Reply]:
    """The replies in the order of the reviews, from the journal.

    Fills `summary` with what follows from the replies: counts, tokens and cost (USD). Tokens and cost count the
    answers that were cut and asked again, too. Raises InputError when an answer is missing.
    """
    options, prices = questions.options, make_prices(questions.options)
    finish: dict[str, int] = {}
    counts = dict.fromkeys(("replies", "refusals", "empty", "asked_longer", "without_format", "uncounted"), 0)
    prompt = completion = 0
    cost = 0.0
    for first in questions:
        answer: ServerAnswer | None = None
        request = first
        for step, pair in enumerate(follow_caps(first, journal, address.identity, options.max_tokens_limit)):
            request, answer = pair
            if answer is None:
                raise InputError(f"review {first.label}: no answer in {journal.path}; run generate again")
            counts["asked_longer"] += step > 0
            counts["uncounted"] += answer.prompt_tokens is None or answer.completion_tokens is None
            prompt += answer.prompt_tokens or 0
            completion += answer.completion_tokens or 0
            cost += prices.of(answer)
        assert answer is not None
        counts["replies"] += 1
        counts["refusals"] += answer.refusal is not None
        counts["empty"] += not (answer.content or "").strip()
        counts["without_format"] += not answer.formatted
        reason = answer.finish_reason or "none"
        finish[reason] = finish.get(reason, 0) + 1
        yield _make_reply(request, answer)
    summary.update(
        **counts,
        finish_reasons=dict(sorted(finish.items())),
        prompt_tokens=prompt,
        completion_tokens=completion,
        cost_usd=round(cost, 6),
    )


def _make_reply(request: Request, answer: ServerAnswer) -> Reply:
    usage = None
    if answer.prompt_tokens is not None and answer.completion_tokens is not None:
        usage = Usage(prompt_tokens=answer.prompt_tokens, completion_tokens=answer.completion_tokens)
    return Reply(
        id=request.label,
        content=answer.content,
        finish_reason=answer.finish_reason,
        model=answer.model,
        usage=usage,
        request=request.digest(),
        refusal=answer.refusal,
        raw=None if (answer.content or "").strip() else answer.raw,
    )
