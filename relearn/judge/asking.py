"""Pairs of answers to judgements: each pair asked about in both orders, through the journal, and read by repair.

What the judge is shown holds no model's name, and nothing tells it which answer is whose. Texts are fenced as data by
digits that they cannot hold (`relearn.teacher.prompts`); what an order in a text still gains in one order of the two
answers, it loses in the other.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, cast

from relearn.endpoint.asking import ask
from relearn.endpoint.journal import Journal
from relearn.endpoint.request import Address, Request, ServerAnswer
from relearn.endpoint.tally import AskSettings, SettingNames, Tally
from relearn.errors import InputError
from relearn.finish_reasons import read_ending
from relearn.params.asking import Asking
from relearn.records import Judgement, Prediction
from relearn.repair.json import read_records, read_schema
from relearn.teacher import asking as teacher
from relearn.teacher.prompts import PromptTemplate

FIELDS: Final = ("instruction", "first", "second")
NAMES: Final = SettingNames(
    model="judge.model",
    server="judge.judge.base_url",
    key="judge.judge.api_key_env",
    budget="judge.budget_usd",
    mode="judge.mode",
)
Better = Literal["first", "second", "tie"]
SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {"better": {"type": "string", "enum": ["first", "second", "tie"]}},
    "required": ["better"],
}
RECORD = read_schema(SCHEMA)


@dataclass(frozen=True)
class AnswerPair:
    """Two models' answers to a prompt."""

    id: str
    task: str
    group: str
    instruction: str
    models: tuple[str, str]
    answers: tuple[str, str]


def choose_pairs(
    predictions: Mapping[str, Sequence[Prediction]],
    models: Sequence[tuple[str, str]],
    tasks: Sequence[str],
    prompts: int,
    seed: int,
) -> list[AnswerPair]:
    """The pairs to judge: of at most `prompts` prompts of each of `tasks`, drawn under the seed, one for each of `models`.

    Raises InputError where a model has not answered a prompt that another has.
    """
    by_id = {model: {(row.task, row.id): row for row in rows} for model, rows in predictions.items()}
    first = next(iter(predictions.values()))
    found = []
    for task in tasks:
        rows = [row for row in first if row.task == task]
        kept = set(random.Random(f"judge/{seed}/{task}").sample(range(len(rows)), min(prompts, len(rows))))
        for number, row in enumerate(rows):
            for pair in models if number in kept else ():
                answers = [by_id[model].get((task, row.id)) for model in pair]
                if None in answers:
                    raise InputError(f"predictions of {' and '.join(pair)}: {row.id} is not in both; run predict again")
                one, other = cast(list[Prediction], answers)
                texts = (one.prediction, other.prediction)
                found.append(AnswerPair(row.id, task, row.group, row.prompt, pair, texts))
    return found


def read_criterion(path: Path, setting: str) -> PromptTemplate:
    """The prompt file that says what is better; `setting` is what names it. InputError where it leaves out a text."""
    template = PromptTemplate(path, FIELDS, setting)
    for name in FIELDS:
        if name not in template.shown:
            raise InputError(f"{path}: never shows {{{{ {name} }}}}; the judge would compare blindly")
    return template


@dataclass(frozen=True)
class _Shown:
    """A pair in one order, and the request about it; None where both answers are the same."""

    pair: AnswerPair
    swapped: bool
    request: Request | None

    def in_order(self, values: tuple[Any, Any]) -> tuple[Any, Any]:
        return (values[1], values[0]) if self.swapped else values


class JudgeRequests:
    """What is asked about some pairs, each request once: equal answers of two models make equal requests."""

    def __init__(self, pairs: Sequence[AnswerPair], options: Asking, criterion: PromptTemplate) -> None:
        self.options = options
        form, extra = teacher.make_format(options.response_format, "verdict", SCHEMA), teacher.make_extra(options)
        self.shown: list[_Shown] = []
        for pair in pairs:
            for swapped in (False, True):
                shown = _Shown(pair, swapped, None)
                one, other = shown.in_order(pair.answers)
                request = Request(
                    model=options.model,
                    messages=criterion.messages({"instruction": pair.instruction, "first": one, "second": other}),
                    temperature=options.temperature,
                    max_tokens=options.max_tokens,
                    response_format=form,
                    extra=extra,
                    label=f"{pair.id} ({' and '.join(shown.in_order(pair.models))})",
                )
                self.shown.append(shown if one == other else _Shown(pair, swapped, request))
        self._distinct = {shown.request.digest(): shown.request for shown in self.shown if shown.request is not None}

    def __iter__(self) -> Iterator[Request]:
        return iter(self._distinct.values())


def judge(
    requests: JudgeRequests, address: Address, journal: Journal, settings: AskSettings, tally: Tally, log: str
) -> tuple[list[Judgement], dict[str, Any]]:
    """The judgements, two a pair in the pairs' order, and what follows from the answers: counts, tokens, cost (USD).

    `tally` holds what was done also when this raises: InputError when the run had to stop, or requests are left
    without an answer (listed in `log`). What was received is kept in the journal.
    """
    if any(True for _ in requests):
        ask(requests, address, settings, journal, tally, "judge", "requests")
    teacher.refuse_unanswered(tally, log)
    summary: dict[str, Any] = {}
    answers: dict[str, ServerAnswer] = {}
    final = teacher.read_answers(requests, requests.options, address, journal, summary, "answers")
    for first, (_, answer) in zip(requests, final, strict=True):
        if answer is None:
            raise InputError(f"judge, {first.label}: no answer in {journal.path}; run again")
        answers[first.digest()] = answer
    judgements = [_make_judgement(shown, answers) for shown in requests.shown]
    unreadable = [judgement.reason for judgement in judgements if judgement.reason is not None]
    counts = {reason: unreadable.count(reason) for reason in sorted(set(unreadable))}
    return judgements, {"judgements": len(judgements), "unreadable": counts, **summary}


def _make_judgement(shown: _Shown, answers: Mapping[str, ServerAnswer]) -> Judgement:
    pair = shown.pair
    (first, second), (one, other) = shown.in_order(pair.models), shown.in_order(pair.answers)
    better: Better | None = "tie"
    reason = content = digest = None
    if shown.request is not None:
        digest = shown.request.digest()
        better, reason = read_verdict(answers[digest])
        content = answers[digest].content
    return Judgement(
        id=pair.id,
        task=pair.task,
        group=pair.group,
        first=first,
        second=second,
        first_chars=len(one),
        second_chars=len(other),
        better=better,
        reason=reason,
        content=content,
        request=digest,
    )


def read_verdict(answer: ServerAnswer) -> tuple[Better | None, str | None]:
    """What an answer names, or None and why it cannot be read: refused, empty, no_verdict, or several that differ."""
    text = answer.content or ""
    if not text.strip():
        refused = answer.refusal is not None or read_ending(answer.finish_reason) == "refused"
        return None, "refused" if refused else "empty"
    fields = [record.fields["better"] for record in read_records(text, RECORD, answer.finish_reason).records]
    named = {None if field.lost else field.value for field in fields}
    if len(named) > 1:
        return None, "several"
    better = named.pop() if named else None
    return better, None if better is not None else "no_verdict"
