"""The rating page: answers side by side, their models hidden, scores kept in the browser and saved as CSV.

The page holds nothing that tells a model: not its name, not the seed, and of each item only the answers, in the
order of their keys, which is as good as random (`relearn.evaluation.blind`).
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from relearn.escaping import shown
from relearn.evaluation import blind
from relearn.evaluation.ratings import COLUMNS
from relearn.records import Prediction
from relearn.report.page import environment, read_template

PER_TASK = 10  # prompts of each task: an hour's work at most, and ten items already give an interval


@dataclass(frozen=True)
class RatedPrompt:
    """A prompt and its answers, as (key, text) in the order shown."""

    id: str
    prompt: str
    answers: Sequence[tuple[str, str]]


def choose(
    predictions: Mapping[str, Sequence[Prediction]], tasks: Sequence[str], seed: int, per_task: int = PER_TASK
) -> list[RatedPrompt]:
    """The items of the page: `per_task` prompts of each of `tasks`, drawn and shuffled under the seed.

    Prompts to which all models answered alike tell raters nothing and are passed over while others are left.
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


def render(items: Sequence[RatedPrompt]) -> str:
    """The page's HTML."""
    data = json.dumps(
        [
            {
                "id": item.id,
                "prompt": shown(item.prompt),
                "answers": [{"key": key, "text": shown(text)} for key, text in item.answers],
            }
            for item in items
        ],
        ensure_ascii=True,
    ).replace("<", "\\u003c")  # no text can close the element that holds it
    script = read_template("rate.js").replace("COLUMNS", json.dumps(list(COLUMNS)))
    page = environment().get_template("rate.html.j2")
    return page.render(
        data=data,
        number=len(items),
        answers=max((len(item.answers) for item in items), default=0),
        fingerprint=hashlib.sha256(data.encode()).hexdigest()[:16],
        scripts=[script],
    )
