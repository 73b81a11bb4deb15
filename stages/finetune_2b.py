"""2b: a LoRA fine-tune on the teacher's replies, which teaches the new task and damages older ones.

Run by `dvc repro`, or `python -m stages.finetune_2b`.
"""

from __future__ import annotations

from typing import Any

from relearn.models import ADAPTER
from relearn.params import Params
from relearn.tuning.replay import mix
from stages import corpus, paths
from stages.rounds import finetune_round
from stages.run import main


def work(params: Params) -> dict[str, Any]:
    """Writes models/2b/ and metrics/losses/2b.csv."""
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
        target=paths.adapter("2b"),
        inputs=[paths.INSTRUCTIONS, paths.ORIGINAL, paths.MODELS / "base"],
    )


if __name__ == "__main__":
    main("finetune_2b", work)
