"""2c: the 2b adapter trained on, on the original code data (or on old and new together).

Run by `dvc repro`, or `python -m stages.finetune_2c`.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from relearn.params import Params
from stages import corpus, paths
from stages.rounds import each_seed, finetune_round
from stages.run import main


def work(params: Params) -> dict[str, Any]:
    """Writes models/2c/, with seeds/<seed>/ for each further seed, and metrics/losses/2c.csv."""
    return each_seed(params, "finetune_2c", _round)


def _round(params: Params, further: int | None, finished: list[Path]) -> dict[str, Any]:
    start = paths.adapter("2b", further)
    weights = sorted(file for file in start.iterdir() if file.is_file()) if start.is_dir() else []
    code = corpus.code_to_learn()
    count = max(1, round(len(code) * params.finetune_2c.share))
    pairs = random.Random(params.seed).sample(code, count)
    if params.finetune_2c.data == "combined":
        pairs += corpus.replies_to_learn()
    return finetune_round(
        params,
        name="finetune_2c",
        pairs=pairs,
        start=start,
        lr=params.lr,
        epochs=params.finetune.epochs_2c,
        target=paths.adapter("2c", further),
        inputs=[paths.INSTRUCTIONS, paths.ORIGINAL, paths.MODELS / "base", *weights],
        further=further,
        finished=finished,
    )


if __name__ == "__main__":
    main("finetune_2c", work)
