"""Sources to replies: the requests of a profile, answered through the journal, and read back in order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from relearn.endpoint.budget import Prices
from relearn.endpoint.journal import Journal
from relearn.endpoint.request import Address, Request, ServerAnswer
from relearn.endpoint.survey import follow_caps
from relearn.endpoint.tally import AskSettings, BatchSettings, Tally
from relearn.errors import InputError
from relearn.params.generate import Generate
from relearn.records import Reply, Source, Usage
from relearn.teacher.prompts import PromptTemplate


@dataclass(frozen=True)
class Question:
    """How a task's sources are asked about: the prompt, and the JSON Schema that an answer follows."""

    prompt: PromptTemplate
    schema: Mapping[str, Any]

    def make_format(self, kind: str) -> dict[str, Any] | None:
        """OpenAI's `response_format` of the kind none, json_object or json_schema.

        A schema is asked for strictly only where it demands every field, since servers refuse others.
        """
        if kind == "json_schema":
            strict = set(self.schema.get("required", ())) == set(self.schema.get("properties", ()))
            closed = {"additionalProperties": False} if strict else {}
            named = {"name": "replies", "strict": strict, "schema": {**self.schema, **closed}}
            return {"type": "json_schema", "json_schema": named}
        return None if kind == "none" else {"type": kind}


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
    """The requests for some sources, made anew at each iteration, so that they are never all in memory.

    `sources` is iterated several times: a list, or an object whose `__iter__` reads the file again. `by_task` has the
    question of each of their tasks.
    """

    def __init__(self, sources: Iterable[Source], options: Generate, by_task: Mapping[str, Question]) -> None:
        self.sources, self.options, self.by_task = sources, options, by_task

    def __iter__(self) -> Iterator[Request]:
        options = self.options
        forms = {task: question.make_format(options.response_format) for task, question in self.by_task.items()}
        extra = dict(options.extra_body or {})
        if options.reasoning_effort is not None:
            extra["reasoning_effort"] = options.reasoning_effort
        for source in self.sources:
            yield Request(
                model=options.model,
                messages=self.by_task[source.task].prompt.messages(source.fields),
                temperature=options.temperature,
                max_tokens=options.max_tokens,
                response_format=forms[source.task],
                extra=tuple(extra.items()),
                label=source.id,
            )


def refuse_unanswered(tally: Tally, listed: str) -> None:
    """InputError, in one line, when requests are left without an answer; `listed` is the file that names them all."""
    if not tally.failed:
        return
    raise InputError(
        f"{len(tally.failed)} of {tally.total} requests got no answer ({tally.count_failed()}), listed in {listed}; "
        "run again: only these are asked, all other answers are kept"
    )


def read_replies(questions: Questions, address: Address, journal: Journal, summary: dict[str, Any]) -> Iterator[Reply]:
    """The replies in the order of the sources, from the journal.

    Fills `summary` with what follows from the replies: counts, tokens and cost (USD). Tokens and cost count the
    answers that were cut and asked again, too. Raises InputError when an answer is missing.
    """
    options, prices = questions.options, make_prices(questions.options)
    finish: dict[str, int] = {}
    counts = dict.fromkeys(("replies", "refusals", "empty", "asked_longer", "without_format", "uncounted"), 0)
    prompt = completion = 0
    cost = 0.0
    for source, first in zip(questions.sources, questions, strict=True):
        answer: ServerAnswer | None = None
        request = first
        for step, pair in enumerate(follow_caps(first, journal, address.identity, options.max_tokens_limit)):
            request, answer = pair
            if answer is None:
                raise InputError(f"{source.task} {source.id}: no answer in {journal.path}; run generate again")
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
        yield _make_reply(source, request, answer)
    summary.update(
        **counts,
        finish_reasons=dict(sorted(finish.items())),
        prompt_tokens=prompt,
        completion_tokens=completion,
        cost_usd=round(cost, 6),
    )


def _make_reply(source: Source, request: Request, answer: ServerAnswer) -> Reply:
    usage = None
    if answer.prompt_tokens is not None and answer.completion_tokens is not None:
        usage = Usage(prompt_tokens=answer.prompt_tokens, completion_tokens=answer.completion_tokens)
    return Reply(
        id=source.id,
        task=source.task,
        content=answer.content,
        finish_reason=answer.finish_reason,
        model=answer.model,
        usage=usage,
        request=request.digest(),
        refusal=answer.refusal,
        raw=None if (answer.content or "").strip() else answer.raw,
    )
