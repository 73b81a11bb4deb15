"""Decoding by a server that speaks OpenAI's chat completions and serves the models by name.

The target is vLLM with LoRA modules, which serves base and both adapters from one copy of the weights:

    vllm serve models/base --enable-lora --lora-modules 2b=models/2b 2c=models/2c --generation-config vllm

The prompt is sent as messages, so the server's chat template must be the model's own. No likelihood comes
back: chat completions give no log-probabilities of a text that the caller chose, so `nll` is None, and bits per
byte are left out of the tables (`relearn.decoding.vllm` finds them). Answers go through the journal: a rerun asks only for what is missing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from relearn.decoding.items import Decoded, Prompt, Strategy
from relearn.endpoint.asking import ask
from relearn.endpoint.journal import Journal
from relearn.endpoint.request import Address, Request, ServerAnswer
from relearn.endpoint.tally import AskSettings, Tally
from relearn.errors import InputError
from relearn.finish_reasons import read_ending
from relearn.params.predict import Beam, Greedy, TopK
from relearn.reasoning import take_off_reasoning

# An answer that its limit cut off is an answer: below any limit, so that none is asked for again with a larger one.
NEVER_LONGER = 0


def make_settings(concurrency: int, timeout_s: float, attempts: int) -> AskSettings:
    """How the server is asked: requests in flight, seconds for one answer, tries of one request."""
    # Without its temperature a greedy answer would be a sampled one.
    return AskSettings(concurrency, timeout_s, attempts, max_tokens_limit=NEVER_LONGER, keep_temperature=True)


def decode(
    address: Address,
    model: str,
    items: Sequence[Prompt],
    journal: Journal,
    how: AskSettings,
    label: str,
    strategy: Strategy,
    seed: int,
    arguments: Mapping[str, Any] | None = None,
    fields: Mapping[str, Any] | None = None,
) -> tuple[list[Decoded], Tally]:
    """The answers of the model served as `model`, in the order of `items`, and what it took.

    `arguments` are for the server's chat template: vLLM and SGLang take them as `chat_template_kwargs`. `fields` are
    further ones of each request, for a server that is known to take them.

    `address.identity` must change when other weights are served under the same name, since it keys the journal.
    Raises InputError for beams, which the protocol cannot ask for; when the run had to stop; when a prompt got no
    answer, or one that the server withheld. What was received is kept.
    """
    requests = list(_make_requests(model, items, strategy, seed, arguments or {}, fields or {}))
    tally = Tally()
    ask(requests, address, how, journal, tally, label, "prompts")
    _refuse_unanswered(model, tally)
    return [_read_answer(request, journal.get(request.key(address.identity))) for request in requests], tally


def _make_requests(
    model: str,
    items: Sequence[Prompt],
    strategy: Strategy,
    seed: int,
    arguments: Mapping[str, Any],
    fields: Mapping[str, Any],
) -> Iterator[Request]:
    """One request an item. Greedy sends temperature 0 and `fields` alone: servers refuse what they do not know."""
    if isinstance(strategy, Beam):
        raise InputError(
            "predict.strategy: an endpoint cannot do beam search; use greedy, temperature or top_k, "
            "or the local backend"
        )
    asked: Counter[tuple[Any, ...]] = Counter()
    for number, item in enumerate(items, 1):
        turns = tuple((message.role, message.content) for message in item.messages)
        temperature = 0.0
        extra: tuple[tuple[str, Any], ...] = tuple(fields.items())
        if arguments:
            extra += (("chat_template_kwargs", dict(arguments)),)
        if not isinstance(strategy, Greedy):
            temperature = strategy.temperature
            # The same prompt twice is drawn twice, not read from the journal.
            again = asked[turns, item.limit]
            extra += (("seed", seed + again), ("top_p", 1.0))
            if isinstance(strategy, TopK):
                extra += (("top_k", strategy.k),)
        asked[turns, item.limit] += 1
        yield Request(
            model=model,
            messages=turns,
            temperature=temperature,
            max_tokens=item.limit,
            extra=extra,
            label=f"prompt {number}",
        )


def _refuse_unanswered(model: str, tally: Tally) -> None:
    if not tally.failed:
        return
    label, _, detail = tally.failed[0]
    raise InputError(
        f"model {model}: {len(tally.failed)} of {tally.total} prompts got no answer ({tally.count_failed()}; {label}: {detail}); "
        "run again: only these are asked"
    )


def _read_answer(request: Request, reply: ServerAnswer | None) -> Decoded:
    if reply is None:
        raise InputError(f"model {request.model}, {request.label}: no answer in the journal; run again")
    if read_ending(reply.finish_reason) == "refused" or (reply.content is None and reply.refusal is not None):
        raise InputError(
            f"model {request.model}, {request.label}: the server withheld the answer "
            f"({reply.refusal or 'content filter'}); switch its filter off, or leave the prompt out"
        )
    finish: Literal["stop", "length"] = "length" if reply.cut else "stop"
    text = (reply.content or "").strip()
    answer, reasoned = take_off_reasoning(text)
    return Decoded(answer.strip(), finish, None, text if reasoned else None)
