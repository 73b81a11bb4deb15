"""Sources to replies: the requests of a profile, answered through the journal, and read back in order.

What is not about sources serves the judge's requests as well.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from relearn.endpoint.budget import Prices
from relearn.endpoint.journal import Journal
from relearn.endpoint.request import Address, Request, ServerAnswer
from relearn.endpoint.survey import follow_caps
from relearn.endpoint.tally import AskSettings, BatchSettings, SettingNames, Tally
from relearn.errors import InputError
from relearn.params.asking import Asking, ChatServer
from relearn.params.generate import Generate
from relearn.records import Reply, Source, Usage
from relearn.teacher.prompts import PromptTemplate

TEACHER = SettingNames()


@dataclass(frozen=True)
class Question:
    """How a task's sources are asked about: the prompt, and the JSON Schema that an answer follows."""

    prompt: PromptTemplate
    schema: Mapping[str, Any]

    def make_format(self, kind: str) -> dict[str, Any] | None:
        """OpenAI's `response_format` for an answer by the schema."""
        return make_format(kind, "replies", self.schema)


def make_format(kind: str, name: str, schema: Mapping[str, Any]) -> dict[str, Any] | None:
    """OpenAI's `response_format` of the kind none, json_object or json_schema.

    A schema is asked for strictly only where it demands every field, since servers refuse others.
    """
    if kind == "json_schema":
        strict = set(schema.get("required", ())) == set(schema.get("properties", ()))
        closed = {"additionalProperties": False} if strict else {}
        named = {"name": name, "strict": strict, "schema": {**schema, **closed}}
        return {"type": "json_schema", "json_schema": named}
    return None if kind == "none" else {"type": kind}


def make_settings(options: Asking, names: SettingNames = TEACHER) -> AskSettings:
    """The parameter group as the endpoint's settings; `names` is what the user calls them."""
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
        names=names,
    )


def make_prices(options: Asking) -> Prices:
    """What the answers cost."""
    return Prices(options.price_input, options.price_output, options.batch.price)


def make_extra(options: Asking) -> tuple[tuple[str, Any], ...]:
    """The further fields of each request's body."""
    extra = dict(options.extra_body or {})
    if options.reasoning_effort is not None:
        extra["reasoning_effort"] = options.reasoning_effort
    return tuple(extra.items())


def find_address(server: ChatServer, setting: str, sending: bool = True) -> Address:
    """A server's address with the key from the environment, which only sending needs.

    Raises InputError, naming `setting`, where there is none.
    """
    key = os.environ.get(server.api_key_env, "").strip()
    if not key and sending:
        raise InputError(
            f"the environment variable {server.api_key_env} is not set ({setting}); "
            f"export {server.api_key_env}=… with the server's API key, or any word where it needs none"
        )
    return Address.of(server.base_url, key)


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
        extra = make_extra(options)
        for source in self.sources:
            yield Request(
                model=options.model,
                messages=self.by_task[source.task].prompt.messages(source.fields),
                temperature=options.temperature,
                max_tokens=options.max_tokens,
                response_format=forms[source.task],
                extra=extra,
                label=source.id,
            )


def refuse_unanswered(tally: Tally, listed: str) -> None:
    """InputError, in one line, when requests are left without an answer; `listed` is the file that names them all."""
    if not tally.failed:
        return
    raise InputError(
        f"{len(tally.failed)} of {tally.total} requests got no answer ({tally.count_failed()}), listed in {listed}; "
        "run again: only these are sent, all other answers are kept"
    )


def read_replies(questions: Questions, address: Address, journal: Journal, summary: dict[str, Any]) -> Iterator[Reply]:
    """The replies in the order of the sources, from the journal.

    Fills `summary` with what follows from the replies, as `read_answers`. Raises InputError when an answer is missing.
    """
    final = read_answers(questions, questions.options, address, journal, summary, "replies")
    for source, (request, answer) in zip(questions.sources, final, strict=True):
        if answer is None:
            raise InputError(f"{source.task} {source.id}: no answer in {journal.path}; run generate again")
        yield _make_reply(source, request, answer)


def read_answers(
    requests: Iterable[Request],
    options: Asking,
    address: Address,
    journal: Journal,
    summary: dict[str, Any],
    counted: str,
) -> Iterator[tuple[Request, ServerAnswer | None]]:
    """(the request as it was last put, its final answer) for each request, from the journal; None where it is missing.

    Fills `summary`, in the end, with counts (that of the answers as `counted`), tokens and cost (USD). Tokens and cost
    count the answers that were cut and asked again, too.
    """
    prices = make_prices(options)
    finish: dict[str, int] = {}
    counts = dict.fromkeys((counted, "refusals", "empty", "asked_longer", "without_format", "uncounted"), 0)
    prompt = completion = 0
    cost = 0.0
    for first in requests:
        answer: ServerAnswer | None = None
        request = first
        for step, pair in enumerate(follow_caps(first, journal, address.identity, options.max_tokens_limit)):
            request, answer = pair
            if answer is None:
                break
            counts["asked_longer"] += step > 0
            counts["uncounted"] += answer.prompt_tokens is None or answer.completion_tokens is None
            prompt += answer.prompt_tokens or 0
            completion += answer.completion_tokens or 0
            cost += prices.of(answer)
        if answer is not None:
            counts[counted] += 1
            counts["refusals"] += answer.refusal is not None
            counts["empty"] += not (answer.content or "").strip()
            counts["without_format"] += not answer.formatted
            reason = answer.finish_reason or "none"
            finish[reason] = finish.get(reason, 0) + 1
        yield request, answer
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
