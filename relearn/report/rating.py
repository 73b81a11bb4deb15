"""The rating page: answers side by side, their models hidden, scores kept in the browser and saved as CSV.

The page holds nothing that tells a model: not its name, not the seed, and of each item only the answers, in the order
of their keys, which is effectively random (`relearn.evaluation.blind`). After the answers to score come pairs, of which
the better is chosen; among both are attention checks.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from relearn.escaping import shown
from relearn.evaluation import attention, blind
from relearn.evaluation.attention import AttentionCheck
from relearn.evaluation.ratings import COLUMNS, OF_PAIRS
from relearn.records import Prediction
from relearn.report.page import environment, read_template

PER_TASK = 10  # prompts of each task: an hour's work at most, and ten items already give an interval


@dataclass(frozen=True)
class RatedPrompt:
    """A prompt and its answers, as (key, text) in the order shown; of a pair, the better is chosen."""

    id: str
    prompt: str
    answers: Sequence[tuple[str, str]]
    pair: bool = False


def choose(
    predictions: Mapping[str, Sequence[Prediction]], tasks: Sequence[str], seed: int, per_task: int = PER_TASK
) -> list[RatedPrompt]:
    """The items of the page: `per_task` prompts of each of `tasks`, drawn and shuffled under the seed.

    Prompts to which all models gave the same answer tell raters nothing and are skipped while others are left.
    """
    generator = random.Random(seed)
    by_id = {model: {row.id: row for row in rows} for model, rows in predictions.items()}
    first = next(iter(predictions.values()))
    chosen: list[Prediction] = []
    for task in tasks:
        rows = [row for row in first if row.task == task]
        generator.shuffle(rows)
        rows.sort(key=lambda row: len({answers[row.id].prediction for answers in by_id.values()}) == 1)
        chosen += rows[:per_task]
    generator.shuffle(chosen)
    return [
        RatedPrompt(
            row.id,
            row.prompt,
            sorted(
                (blind.key(seed, row.id, model, answers[row.id].prediction), answers[row.id].prediction)
                for model, answers in by_id.items()
            ),
        )
        for row in chosen
    ]


def choose_pairs(
    predictions: Mapping[str, Sequence[Prediction]],
    models: Sequence[tuple[str, str]],
    tasks: Sequence[str],
    seed: int,
    judged: Collection[str] = (),
    per_task: int = PER_TASK,
) -> list[RatedPrompt]:
    """The pairs of the page: of each of `tasks`, `per_task` prompts with the answers of two of `models`, each in turn.

    Prompts in `judged`, which a judge has looked at, come first, so that people and judge can be compared; equal
    answers are passed over.
    """
    generator = random.Random(f"pairs/{seed}")
    by_id = {model: {row.id: row for row in rows} for model, rows in predictions.items()}
    chosen: list[RatedPrompt] = []
    for task in tasks:
        ids = [row.id for row in next(iter(predictions.values())) if row.task == task]
        generator.shuffle(ids)
        ids.sort(key=lambda name: name not in judged)
        found: list[RatedPrompt] = []
        for name in ids:
            rows = {model: by_id[model][name] for model in models[len(found) % len(models)]}
            if len(found) < per_task and len({row.prediction for row in rows.values()}) == len(rows):
                prompt = next(iter(rows.values())).prompt
                answers = [
                    (blind.key(seed, name, model, row.prediction), row.prediction) for model, row in rows.items()
                ]
                found.append(RatedPrompt(name, prompt, sorted(answers), pair=True))
        chosen += found
    generator.shuffle(chosen)
    return chosen


def mix_checks(items: Sequence[RatedPrompt], pairs: Sequence[RatedPrompt], seed: int) -> list[RatedPrompt]:
    """All items of the page, those to score first, with the attention checks among them."""
    generator = random.Random(f"checks/{seed}")
    found = []
    for kind, wants_scores in ((items, True), (pairs, False)):
        mixed = list(kind)
        for check in attention.list_checks(seed) if kind else ():
            if (check.scores is not None) == wants_scores:
                mixed.insert(generator.randint(1, len(mixed)), _hide(check, generator.choice(kind), seed))
        found += mixed
    return found


def _hide(check: AttentionCheck, item: RatedPrompt, seed: int) -> RatedPrompt:
    """The check in the place of one of an item's answers."""
    others = [(blind.key(seed, check.id, "beside", text), text) for _, text in item.answers[1:]]
    return RatedPrompt(check.id, item.prompt, sorted([(check.key, check.text), *others]), item.pair)


def render(items: Sequence[RatedPrompt]) -> str:
    """The page's HTML."""
    data = json.dumps(
        [
            {
                "id": item.id,
                "prompt": shown(item.prompt),
                "pair": item.pair,
                "answers": [{"key": key, "text": shown(text)} for key, text in item.answers],
            }
            for item in items
        ],
        ensure_ascii=True,
    ).replace("<", "\\u003c")  # no text can close the element that holds it
    script = read_template("rate.js").replace("COLUMNS", json.dumps([*COLUMNS, *OF_PAIRS]))
    page = environment().get_template("rate.html.j2")
    return page.render(
        data=data,
        number=sum(not item.pair for item in items),
        pairs=sum(item.pair for item in items),
        answers=max((len(item.answers) for item in items), default=0),
        fingerprint=hashlib.sha256(data.encode()).hexdigest()[:16],
        scripts=[script],
    )
