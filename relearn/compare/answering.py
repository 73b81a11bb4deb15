"""The same prompts answered by each model: here, weights loaded once for all adapters on them, or by a server."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

from relearn.chat import choose_template
from relearn.compare.sources import ALPACA, ModelSource, refuse_unknown_tokens, template_beside
from relearn.data.instruction_rows import HeldOutRow
from relearn.decoding.items import CurveRow, Decoded, Prompt
from relearn.decoding.share import ALONE, Share
from relearn.errors import InputError
from relearn.evaluation.probes import Probe
from relearn.params.predict import Greedy
from relearn.progress import say, tell_duration
from relearn.records import Prediction, make_turns

GREEDY = Greedy(kind="greedy")


@dataclass(frozen=True)
class LocalDecoding:
    """How to decode on this machine. `template` replaces every model's own chat template; `arguments` go to it, and `date`
    is what it takes for today. `share` is this process's part of the batches."""

    device: Literal["cpu", "cuda"]
    precision: Literal["fp32", "bf16"]
    quantize: Literal["none", "4bit"]
    batch_size: int
    template: str | None
    arguments: Mapping[str, Any]
    date: str
    share: Share = ALONE


@dataclass
class Along:
    """The factors of the tuned model's change under which it answers too (`decode`, as `tuned@0.5`) and under which only the
    likelihoods of the references are found (`score`); `nlls` gets the latter, in the order of what was asked."""

    decode: Sequence[float] = ()
    score: Sequence[float] = ()
    nlls: dict[float, list[float | None]] = field(default_factory=dict)

    @property
    def wanted(self) -> bool:
        return bool(self.decode or self.score)


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


def record_curve(rows: Sequence[HeldOutRow], nlls: Mapping[float, Sequence[float | None]]) -> Iterator[CurveRow]:
    """The likelihoods of the rows' references by factor, 0 and 1 among them; rows without a reference are left out."""
    factors = sorted(nlls)
    for index, row in enumerate(rows):
        if row.reference:
            size = len(row.reference.encode())
            found = [round(nlls[factor][index] or 0.0, 4) for factor in factors]
            yield CurveRow(id=row.id, task=row.task, group=row.group, bytes=size, factors=factors, nll=found)


def decode_here(
    sources: Mapping[str, ModelSource],
    asked: Sequence[Prompt],
    how: LocalDecoding,
    along: Along,
    say_time: bool = False,
) -> Iterator[tuple[str, list[Decoded]]]:
    """Yields (role, answers) in the order of `sources`, then of `along.decode`; one model's weights are in memory at a time.

    Between two whole models both are. With `say_time`, base answers a batch first, and the estimated time for all is
    printed.

    Raises InputError when a model or adapter cannot be loaded, an adapter does not fit the base, or its change cannot be
    scaled.
    """
    base = sources["base"].weights
    assert base is not None
    if along.wanted:
        _check_scalable(sources, how)
    on_base = {role: source for role, source in sources.items() if source.weights in (None, base)}
    timed = len(sources) + len(along.decode) if say_time else 0
    found = dict(_decode_on(base, on_base, asked, how, along, timed))
    for role, source in sources.items():
        if role not in found:
            assert source.weights is not None
            found |= dict(_decode_on(source.weights, {role: source}, asked, how, along))
    if along.wanted and sources["tuned"].weights is not None:
        found |= dict(_decode_between(sources, asked, how, along))
    for role in [*sources, *map(name_scaled, along.decode)]:
        yield role, found[role]


def name_scaled(factor: float) -> str:
    """The tuned model with so much of its change, as tables call it."""
    return f"tuned@{factor:g}"


def _check_scalable(sources: Mapping[str, ModelSource], how: LocalDecoding) -> None:
    from relearn.scaling.adapter import check_scalable

    base, tuned = sources["base"], sources["tuned"]
    if base.adapter is not None:
        raise InputError(
            f"{base.given}: has an adapter, so the change to {tuned.given} does not start from it; merge the adapter first"
        )
    if tuned.weights is None:
        assert tuned.adapter is not None
        check_scalable(tuned.adapter, tuned.given)
    elif tuned.adapter is not None:
        raise InputError(f"{tuned.given}: is a base with an adapter of its own; give the adapter's folder")
    elif how.quantize != "none":
        raise InputError("--scales: quantised weights of whole models cannot be scaled; use --quantize none")


def _decode_on(
    weights: Path,
    sources: Mapping[str, ModelSource],
    asked: Sequence[Prompt],
    how: LocalDecoding,
    along: Along,
    timed: int = 0,
) -> Iterator[tuple[str, list[Decoded]]]:
    """Everything that runs on one set of weights; `timed` is the number of models in the time estimate, if one is
    wanted.
    """
    from relearn import models
    from relearn.decoding.local import decode
    from relearn.scaling.adapter import put_scaled

    adapters = [source.adapter for source in sources.values() if source.adapter is not None]
    chat = _choose_chat(weights, adapters, how)
    label = next(iter(sources.values())).given
    base = models.FrozenBase(weights, how.device, how.precision, how.quantize, label)
    for role, source in sources.items():
        model = base.put(source.adapter, source.given)
        if timed:
            answer = partial(decode, model, chat, batch_size=how.batch_size, label="compare: timing", strategy=GREEDY)
            say_duration(asked, timed, how.batch_size, answer, how.share.processes)
            timed = 0
        yield role, decode(model, chat, asked, how.batch_size, f"compare: {role}", GREEDY, share=how.share)
        del model
    tuned = sources.get("tuned")
    if along.wanted and tuned is not None and tuned.weights is None and tuned.adapter is not None:
        for factor in [*along.decode, *along.score]:
            with put_scaled(base, tuned.adapter, factor, tuned.given) as model:
                yield from _answer_scaled(model, chat, factor, asked, how, along)
            del model
    del base
    models.free_memory()


def _decode_between(
    sources: Mapping[str, ModelSource], asked: Sequence[Prompt], how: LocalDecoding, along: Along
) -> Iterator[tuple[str, list[Decoded]]]:
    """What a whole model answers between base and itself."""
    from relearn import models
    from relearn.scaling.whole import Interpolation

    base, tuned = sources["base"].weights, sources["tuned"].weights
    assert base is not None
    assert tuned is not None
    chat = _choose_chat(tuned, [], how)
    between = Interpolation(base, tuned, how.device, how.precision, sources["tuned"].given)
    for factor in [*along.decode, *along.score]:
        yield from _answer_scaled(between.put(factor), chat, factor, asked, how, along)
    del between
    models.free_memory()


def _answer_scaled(
    model: Any, chat: Any, factor: float, asked: Sequence[Prompt], how: LocalDecoding, along: Along
) -> Iterator[tuple[str, list[Decoded]]]:
    from relearn.decoding.local import decode, score

    role = name_scaled(factor)
    if factor in along.decode:
        answers = decode(model, chat, asked, how.batch_size, f"compare: {role}", GREEDY, share=how.share)
        along.nlls[factor] = [answer.nll for answer in answers]
        yield role, answers
    else:
        along.nlls[factor] = score(model, chat, asked, how.batch_size, f"compare: {role}", share=how.share)


def say_duration(
    asked: Sequence[Prompt], models: int, number: int, answer: Callable[[Sequence[Prompt]], object], processes: int = 1
) -> None:
    """Prints how long the answers of all models will take several processes, timed on `number` of the prompts in one.

    Time is assumed proportional to the longest answer allowed. The prompts are a batch from the middle, in the order of
    limits and lengths. With four batches or fewer, prints nothing.
    """
    if len(asked) <= 4 * number:
        return
    order = sorted(asked, key=lambda item: (item.limit, sum(len(turn.content) for turn in item.messages)))
    first = (len(order) - number) // 2
    few = order[first : first + number]
    begun = time.monotonic()
    answer(few)
    share = sum(item.limit for item in asked) / sum(item.limit for item in few)
    about = tell_duration((time.monotonic() - begun) * share * models / processes)
    say(
        f"compare: {len(asked)} prompts for each of {models} models will take about {about}, estimated from {number} of them"
    )


def _choose_chat(weights: Path, adapters: Sequence[Path], how: LocalDecoding) -> Any:
    """One chat template for all models on the same weights, so no adapter is helped by a template of its own."""
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
                f"compare: {adapter.name} was saved with a different chat template from that of {weights.name}, which "
                "both use here; --template FILE sets another"
            )
    if own is None:
        first = next(iter(saved), None)
        whose = "using the adapter's" if saved else "using Alpaca's; --template FILE sets another"
        say(f"compare: the tokenizer of {weights.name} has no chat template: {whose}")
        if first is not None:
            refuse_unknown_tokens(first, saved[first], tokenizer, weights)
    return models.load_chat(weights, next(iter(saved.values()), ALPACA), *more)
