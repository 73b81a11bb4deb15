"""Decoding by a server that speaks OpenAI's chat completions and serves the models by name.

The target is vLLM with LoRA modules, which serves base and both adapters from one copy of the weights:

    vllm serve models/base --enable-lora --lora-modules 2b=models/2b 2c=models/2c --generation-config vllm

The prompt is sent as one user message, so the server's chat template must be the model's own. No likelihood comes
back: chat completions give no log-probabilities of a text that the caller chose, so `nll` is None, and bits per
byte are left out of the tables. Answers go through the journal: a rerun asks only for what is missing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from relearn.decoding.items import Answer, Item, Strategy
from relearn.endpoint.journal import Journal
from relearn.endpoint.request import Address, Request
from relearn.endpoint.request import Answer as Reply
from relearn.endpoint.run import fetch
from relearn.endpoint.survey import survey
from relearn.endpoint.tally import Settings, Tally
from relearn.errors import InputError
from relearn.params.groups import Beam, Greedy, TopK
from relearn.progress import Progress

# An answer that its limit cut off is an answer: below any limit, so that none is asked for again with a larger one.
NEVER_LONGER = 0


def settings(concurrency: int, timeout_s: float, attempts: int) -> Settings:
    """How the server is asked: requests in flight, seconds for one answer, tries of one request."""
    return Settings(concurrency, timeout_s, attempts, max_tokens_limit=NEVER_LONGER)


def decode(
    address: Address,
    model: str,
    items: Sequence[Item],
    journal: Journal,
    how: Settings,
    label: str,
    strategy: Strategy,
    seed: int,
) -> tuple[list[Answer], Tally]:
    """The answers of the model served as `model`, in the order of `items`, and what it took.

    `address.identity` must change when other weights are served under the same name, since it keys the journal.
    Raises InputError for beams, which the protocol cannot ask for; when the run had to stop; when a prompt got no
    answer, or one that the server withheld. What was received is kept.
    """
    requests = list(_requests(model, items, strategy, seed))
    before = survey(requests, journal, address.identity, how.max_tokens_limit, how.prices)
    with Progress(label, before.total, "prompts") as bar:
        tally = Tally()

        def notify() -> None:
            bar.update(tally.done - bar.done, f"{tally.answered} new, {tally.rate():.1f}/s")

        fetch(requests, address, how, journal, before, tally, notify)
    _complain(model, tally)
    return [_answer(request, journal.get(request.key(address.identity))) for request in requests], tally


def _requests(model: str, items: Sequence[Item], strategy: Strategy, seed: int) -> Iterator[Request]:
    """One request an item. Greedy sends temperature 0 and nothing else: servers refuse fields they do not know."""
    if isinstance(strategy, Beam):
        raise InputError(
            "predict.strategy: beam search cannot be asked of an endpoint; use greedy, temperature or top_k, "
            "or the local backend"
        )
    asked: Counter[tuple[str, int]] = Counter()
    for number, item in enumerate(items, 1):
        temperature = 0.0
        extra: tuple[tuple[str, int | float], ...] = ()
        if not isinstance(strategy, Greedy):
            temperature = strategy.temperature
            # The same prompt twice is drawn twice, not read from the journal.
            again = asked[(item.instruction, item.limit)]
            extra = (("seed", seed + again), ("top_p", 1.0))
            if isinstance(strategy, TopK):
                extra += (("top_k", strategy.k),)
        asked[(item.instruction, item.limit)] += 1
        yield Request(
            model=model,
            messages=(("user", item.instruction),),
            temperature=temperature,
            max_tokens=item.limit,
            extra=extra,
            label=f"prompt {number}",
        )


def _complain(model: str, tally: Tally) -> None:
    if not tally.failed:
        return
    kinds = Counter(kind for _, kind, _ in tally.failed)
    counted = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    label, _, detail = tally.failed[0]
    raise InputError(
        f"model {model}: {len(tally.failed)} of {tally.total} prompts got no answer ({counted}; {label}: {detail}); "
        "run again: only these are asked"
    )


def _answer(request: Request, reply: Reply | None) -> Answer:
    if reply is None:
        raise InputError(f"model {request.model}, {request.label}: no answer in the journal; run again")
    if reply.finish_reason == "content_filter" or (reply.content is None and reply.refusal is not None):
        raise InputError(
            f"model {request.model}, {request.label}: the server withheld the answer "
            f"({reply.refusal or 'content filter'}); switch its filter off, or leave the prompt out"
        )
    finish: Literal["stop", "length"] = "length" if reply.cut else "stop"
    return Answer((reply.content or "").strip(), finish, None)


def facts(tally: Tally, how: Settings) -> dict[str, Any]:
    """The tally for a run log."""
    return tally.facts(how)
