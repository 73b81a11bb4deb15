"""How far each trained model has moved from base, along base's own answers to held-out prompts of the new tasks.

Run by `dvc repro`, or `python -m stages.drift`. It needs no old data (`relearn.decoding.drift`).
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from relearn import model_files, models
from relearn.files import write_jsonl
from relearn.params import Params
from relearn.progress import Progress, say
from relearn.records import Drift, Row
from stages import corpus
from stages.base_model import find_base, freeze_base, is_copy
from stages.paths import Paths
from stages.run import main

MODELS = ("2b", "2c")


def work(params: Params, paths: Paths) -> dict[str, Any]:
    """Writes data/drift.jsonl; empty with no prompts, or where base has an adapter of its own, which 2b continues."""
    adapted = paths.models / "base" / model_files.ADAPTER
    if params.drift.prompts and adapted.is_dir():
        say("drift: base has an adapter of its own, so 2b without its adapter is not base; nothing is measured")
    measured = params.drift.prompts and not adapted.is_dir()
    write_jsonl(paths.drift, _measure(params, paths) if measured else [])
    return {}


def _measure(params: Params, paths: Paths) -> Iterator[Drift]:
    from relearn.decoding.drift import DrawnAnswer, measure_drift
    from relearn.decoding.sampling import sample_answers

    chosen = choose_rows(corpus.read_held_out(paths), params.drift.prompts, params.seed)
    models.set_seed_and_threads(params.compute.threads, params.seed)
    weights, chat = find_base(params, paths)
    frozen = freeze_base(params, weights)
    answers = sample_answers(
        frozen.put(None), chat, [row.prompt for row in chosen], params.drift.answer_tokens, params.drift.batch_size,
        params.seed, "drift base",
    )  # fmt: skip
    draws = [DrawnAnswer.of(chat, row.prompt, answer) for row, answer in zip(chosen, answers, strict=True)]
    for seed in (None, *params.seeds):
        for name in MODELS:
            adapter = paths.adapter(name, seed)
            if is_copy(adapter):
                continue
            model = frozen.put(adapter, str(adapter.relative_to(paths.root)))
            with Progress(
                f"drift {name}" if seed is None else f"drift {name}, seed {seed}", len(draws), "answers"
            ) as bar:
                for row, drawn in zip(chosen, draws, strict=True):
                    if drawn.answer:
                        yield Drift(
                            id=row.id, task=row.task, group=row.group, model=name, seed=seed, tokens=len(drawn.answer),
                            divergence=round(measure_drift(model, drawn), 6),
                        )  # fmt: skip
                    bar.update(1)


def choose_rows(rows: list[Row], most: int, seed: int) -> list[Row]:
    """At most so many held-out rows of each new task, drawn under the seed, in their order."""
    chosen: list[Row] = []
    for task in dict.fromkeys(row.task for row in rows if row.role == "new"):
        own = [row for row in rows if row.task == task]
        chosen += corpus.draw(own, most, random.Random(f"drift {seed}"))
    return chosen


if __name__ == "__main__":
    main("drift", work)
