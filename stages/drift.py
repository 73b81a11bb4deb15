"""How far each trained model has moved from base, along base's own answers to held-out prompts of the new tasks.

Run by `dvc repro`, or `python -m stages.drift`. It needs no old data (`relearn.decoding.drift`).
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from relearn import model_files, models
from relearn.files import write_jsonl
from relearn.params import Params
from relearn.progress import Progress, say
from relearn.records import Drift, Row
from stages import corpus
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
    from relearn.decoding.drift import BaseAnswer, measure_drift
    from relearn.decoding.sampling import sample_answers

    chosen = choose_rows(corpus.read_held_out(paths), params.drift.prompts, params.seed)
    models.set_seed_and_threads(params.compute.threads, params.seed)
    weights = model_files.find_weights(paths.models / "base", paths.root)
    chat = models.load_chat(weights, params.chat.template, params.chat.arguments, params.chat.date)
    frozen = models.FrozenBase(weights, params.compute.device, params.compute.precision, params.compute.quantize)
    answers = sample_answers(
        frozen.put(None), chat, [row.prompt for row in chosen], params.drift.answer_tokens, params.drift.batch_size,
        params.seed, "drift base",
    )  # fmt: skip
    walks = [BaseAnswer.of(chat, row.prompt, answer) for row, answer in zip(chosen, answers, strict=True)]
    for seed in (None, *params.seeds):
        for name in MODELS:
            adapter = paths.adapter(name, seed)
            if _is_copy(adapter):
                continue
            model = frozen.put(adapter, str(adapter.relative_to(paths.root)))
            with Progress(
                f"drift {name}" if seed is None else f"drift {name}, seed {seed}", len(walks), "answers"
            ) as bar:
                for row, walk in zip(chosen, walks, strict=True):
                    if walk.answer:
                        yield Drift(
                            id=row.id, task=row.task, group=row.group, model=name, seed=seed, tokens=len(walk.answer),
                            divergence=round(measure_drift(model, walk), 6),
                        )  # fmt: skip
                    bar.update(1)


def choose_rows(rows: list[Row], most: int, seed: int) -> list[Row]:
    """At most so many held-out rows of each new task, drawn under the seed, in their order."""
    chosen: list[Row] = []
    for task in dict.fromkeys(row.task for row in rows if row.role == "new"):
        own = [row for row in rows if row.task == task]
        places = (
            range(len(own))
            if len(own) <= most
            else sorted(random.Random(f"drift {seed}").sample(range(len(own)), most))
        )
        chosen += [own[place] for place in places]
    return chosen


def _is_copy(adapter: Path) -> bool:
    file = adapter / "provenance.json"
    return file.is_file() and "copied" in json.loads(file.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main("drift", work)
