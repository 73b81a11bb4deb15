"""2b: a LoRA fine-tune on the teacher's replies, which teaches the new task and damages older ones.

Run by `dvc repro`, or `python -m stages.finetune_2b`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from relearn.model_files import ADAPTER
from relearn.params import Params
from relearn.training.methods.replay import mix
from stages import corpus, paths
from stages.rounds import each_seed, finetune_round
from stages.run import main


def work(params: Params) -> dict[str, Any]:
    """Writes models/2b/, with seeds/<seed>/ for each further seed, and metrics/losses/2b.csv."""
    return each_seed(params, "finetune_2b", _round)


def _round(params: Params, further: int | None, finished: list[Path]) -> dict[str, Any]:
    new = corpus.replies_to_learn()
    old = corpus.code_to_learn()
    mixed = mix(new, old, params.finetune_2b.replay, params.finetune_2b.replay_control, params.seed)
    adapted = paths.MODELS / "base" / ADAPTER
    return finetune_round(
        params,
        name="finetune_2b",
        pairs=mixed,
        start=adapted if adapted.is_dir() else None,
        lr=params.lr,
        epochs=params.finetune.epochs_2b,
        target=paths.adapter("2b", further),
        inputs=[paths.INSTRUCTIONS, paths.ORIGINAL, paths.MODELS / "base"],
        further=further,
        finished=finished,
    )


if __name__ == "__main__":
    main("finetune_2b", work)
