"""The same prompts answered by each model: here, weights loaded once for all adapters on them, or by a server."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from relearn.chat import choose_template
from relearn.compare.sources import ALPACA, ModelSource, refuse_unknown_tokens, template_beside
from relearn.data.instruction_rows import HeldOutRow
from relearn.decoding.items import Decoded, Prompt
from relearn.evaluation.probes import Probe
from relearn.params.predict import Greedy
from relearn.progress import say
from relearn.records import Prediction, make_turns

GREEDY = Greedy(kind="greedy")


@dataclass(frozen=True)
class LocalDecoding:
    """How to decode on this machine. `template` replaces every model's own chat template; `arguments` go to it, and `date`
    is what it takes for today."""

    device: Literal["cpu", "cuda"]
    precision: Literal["fp32", "bf16"]
    quantize: Literal["none", "4bit"]
    batch_size: int
    template: str | None
    arguments: Mapping[str, Any]
    date: str


def list_items(
    rows: Sequence[HeldOutRow], probes: Sequence[Probe], limit: int, caps: Mapping[str, int]
) -> list[Prompt]:
    """What is asked: the rows, then the probes; answers of at most `limit` tokens, of a row in `caps` perhaps fewer."""
    return [
        *(Prompt(row.prompt, min(limit, caps.get(row.id, limit)), row.reference) for row in rows),
        *(Prompt(make_turns(probe.instruction), limit, None) for probe in probes),
    ]


def record_predictions(
    rows: Sequence[HeldOutRow], probes: Sequence[Probe], answers: Sequence[Decoded]
) -> Iterator[Prediction]:
    """The answers to `list_items`, as the records that are scored."""
    answered, probed = answers[: len(rows)], answers[len(rows) :]
    for row, answer in zip(rows, answered, strict=True):
        yield answer.to_prediction(row.id, row.task, row.group, row.instruction, row.reference)
    for probe, answer in zip(probes, probed, strict=True):
        yield answer.to_prediction(probe.id, "probe", probe.kind, probe.instruction, None)


def decode_here(
    sources: Mapping[str, ModelSource], asked: Sequence[Prompt], how: LocalDecoding, say_time: bool = False
) -> Iterator[tuple[str, list[Decoded]]]:
    """Yields (role, answers) in the order of `sources`; one model's weights are in memory at a time.

    With `say_time` base answers a batch first, and what all will take is said.

    Raises InputError when a model or adapter cannot be loaded, or an adapter does not fit the base.
    """
    base = sources["base"].weights
    assert base is not None
    on_base = {role: source for role, source in sources.items() if source.weights in (None, base)}
    found = dict(_decode_on(base, on_base, asked, how, len(sources) if say_time else 0))
    for role, source in sources.items():
        if role not in found:
            assert source.weights is not None
            found |= dict(_decode_on(source.weights, {role: source}, asked, how))
        yield role, found[role]


def _decode_on(
    weights: Path, sources: Mapping[str, ModelSource], asked: Sequence[Prompt], how: LocalDecoding, timed: int = 0
) -> Iterator[tuple[str, list[Decoded]]]:
    """Everything that runs on one set of weights; `timed` is how many models the time is said for, if it is."""
    from relearn import models
    from relearn.decoding.local import decode

    adapters = [source.adapter for source in sources.values() if source.adapter is not None]
    chat = _choose_chat(weights, adapters, how)
    label = next(iter(sources.values())).given
    base = models.FrozenBase(weights, how.device, how.precision, how.quantize, label)
    for role, source in sources.items():
        model = base.put(source.adapter, source.given)
        if timed:
            answer = partial(decode, model, chat, batch_size=how.batch_size, label="compare: a look", strategy=GREEDY)
            say_duration(asked, timed, how.batch_size, answer)
            timed = 0
        yield role, decode(model, chat, asked, how.batch_size, f"compare: {role}", GREEDY)
        del model
    del base
    models.free_memory()


def say_duration(
    asked: Sequence[Prompt], models: int, number: int, answer: Callable[[Sequence[Prompt]], object]
) -> None:
    """Says how long the answers of all models will take, from `number` of the prompts that `answer` is timed on.

    Time is taken to go with the longest answer allowed. The prompts are a batch from the middle, in the order of
    limits and lengths. Where there are no more than four batches, nothing is said.
    """
    if len(asked) <= 4 * number:
        return
    order = sorted(asked, key=lambda item: (item.limit, sum(len(turn.content) for turn in item.messages)))
    first = (len(order) - number) // 2
    few = order[first : first + number]
    begun = time.monotonic()
    answer(few)
    share = sum(item.limit for item in asked) / sum(item.limit for item in few)
    minutes = (time.monotonic() - begun) * share * models / 60
    shown = "less than a minute" if minutes < 1 else f"about {minutes:.0f} minutes"
    say(f"compare: {len(asked)} prompts for each of {models} models will take {shown}, to judge by {number} of them")


def _choose_chat(weights: Path, adapters: Sequence[Path], how: LocalDecoding) -> Any:
    """One way of asking for all models on the same weights: adapters are not helped by a prompt of their own."""
    from relearn import models

    more = (how.arguments, how.date)
    if how.template is not None:
        return models.load_chat(weights, how.template, *more, instead=True)
    tokenizer = models.load_tokenizer(weights)
    own = choose_template(tokenizer.chat_template, weights.name)
    saved = {adapter: text for adapter in adapters if (text := template_beside(adapter)) is not None}
    for adapter, text in saved.items():
        if own is not None and text.strip() != own.strip():
            say(
                f"compare: {adapter.name} was saved with another chat template than that of {weights.name}, which is used for "
                "both; --template FILE gives another"
            )
    if own is None:
        first = next(iter(saved), None)
        whose = "the adapter's is used" if saved else "Alpaca's is used; --template FILE gives another"
        say(f"compare: the tokenizer of {weights.name} has no chat template: {whose}")
        if first is not None:
            refuse_unknown_tokens(first, saved[first], tokenizer, weights)
    return models.load_chat(weights, next(iter(saved.values()), ALPACA), *more)
