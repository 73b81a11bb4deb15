"""Decodes the held-out prompts of every task and the probes with base, 2b and 2c, in one process.

Run by `dvc repro`, or `python -m stages.predict`.
"""

from __future__ import annotations

from typing import Any

from relearn import models
from relearn.chat import Chat
from relearn.decoding.local import Item, decode
from relearn.params import Params
from relearn.records import MODELS, Prediction, Task, write_jsonl
from relearn.scoring import probes
from stages import corpus, paths
from stages.run import main

Prompt = tuple[str, Task, str, Item]  # id, task, group, what to answer


def work(params: Params) -> dict[str, Any]:
    """Writes data/predictions/{base,2b,2c}.jsonl."""
    models.settle(params.compute.threads, params.seed)
    base = paths.MODELS / "base"
    weights = models.locate(base, paths.ROOT)
    tokenizer = models.load_tokenizer(weights)
    chat = Chat(tokenizer, params.chat.template)
    prompts = _prompts(params)
    frozen = models.load_base(
        weights, params.compute.device, params.finetune.precision, params.finetune.quantize
    )
    folders = {name: paths.adapter(name) for name in ("2b", "2c")}
    adapted = base / models.ADAPTER
    if adapted.is_dir():
        folders["base"] = adapted
    model = models.load_adapters(frozen, folders)
    counts = {}
    for name in MODELS:
        with models.active(model, name):
            answers = decode(
                model, chat, [item for *_, item in prompts], params.predict.batch_size, f"predict {name}"
            )
        rows = [
            Prediction(
                id=identity,
                task=task,
                group=group,
                prompt=item.instruction,
                reference=item.reference,
                prediction=answer.text,
                finish_reason=answer.finish_reason,
                nll=None if answer.nll is None else round(answer.nll, 4),
                bytes=None if item.reference is None else len(item.reference.encode()),
            )
            for (identity, task, group, item), answer in zip(prompts, answers, strict=True)
        ]
        counts[name] = write_jsonl(paths.predictions(name), rows)
    return {"prompts": counts}


def _prompts(params: Params) -> list[Prompt]:
    """The held-out rows of the three tasks, then the probes."""
    limits = params.predict.max_new_tokens
    prompts: list[Prompt] = [
        (row.id, "code", row.group, Item(row.instruction, limits.code, row.response))
        for row in corpus.original("code", "test")
    ]
    prompts += [
        (row.id, "reviews", row.review_id, Item(row.instruction, limits.reviews, row.response))
        for row in corpus.instructions("test")
    ]
    prompts += [
        (row.id, "general", row.group, Item(row.instruction, limits.general, row.response))
        for row in corpus.original("general", "test")
    ]
    prompts += [
        (probe.id, "probe", probe.kind, Item(probe.instruction, limits.probe, None))
        for probe in probes.read(paths.sources(params.profile) / "probes.yaml")
    ]
    return prompts


if __name__ == "__main__":
    main("predict", work)
