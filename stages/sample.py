"""What the base itself writes, for a method of the first round that needs it; nothing for the others.

Run by `dvc repro`, or `python -m stages.sample`. The rows are an output of their own, so that they are drawn once.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from relearn import models
from relearn.files import write_jsonl
from relearn.model_files import ADAPTER
from relearn.params import Params
from relearn.progress import say
from relearn.records import Message, SampledRow, make_turns
from relearn.training.method import load_method
from stages import corpus
from stages.base_model import find_base, freeze_base
from stages.paths import Paths
from stages.run import main


def work(params: Params, paths: Paths) -> dict[str, Any]:
    """Writes data/samples.jsonl."""
    method = load_method(params.method, None, params.seed)
    write_jsonl(paths.samples, _draw(params, paths) if method.needs_samples else [])
    return {}


def _draw(params: Params, paths: Paths) -> Iterator[SampledRow]:
    from relearn.decoding.sampling import sample_answers, sample_instructions

    options, seed = params.finetune_2b.sample, params.seed
    models.set_seed_and_threads(params.compute.threads, seed)
    weights, chat = find_base(params, paths)
    adapted = paths.models / "base" / ADAPTER
    model = freeze_base(params, weights).put(adapted if adapted.is_dir() else None)
    prompts: list[list[Message]]
    if options.prompts == "new":
        known = [talk[:-1] for talk in corpus.read_new_to_learn(paths)]
        prompts = random.Random(f"sample {seed}").sample(known, min(options.count, len(known)))
    else:
        written = sample_instructions(
            model, chat, options.count, options.prompt_tokens, options.batch_size, seed, "sample prompts"
        )
        prompts = [make_turns(text) for text in written]
    answers = sample_answers(model, chat, prompts, options.answer_tokens, options.batch_size, seed, "sample answers")
    empty = sum(not answer.text for answer in answers)
    if empty:
        say(f"sample: {empty} of {len(answers)} answers are empty and are left out")
    for number, (turns, answer) in enumerate(zip(prompts, answers, strict=True)):
        if answer.text:
            yield SampledRow(
                id=f"{number:04}",
                given=options.prompts == "new",
                messages=[*turns, Message(role="assistant", content=answer.text)],
                finish_reason=answer.finish_reason,
            )


if __name__ == "__main__":
    main("sample", work)
