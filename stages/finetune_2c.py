"""2c: the 2b adapter trained on, on the original code data (or on old and new together).

Run by `dvc repro`, or `python -m stages.finetune_2c`.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from relearn.params import Params
from stages import corpus
from stages.paths import Paths
from stages.rounds import finetune_round, run_each_seed
from stages.run import main


def work(params: Params, paths: Paths) -> dict[str, Any]:
    """Writes models/2c/, with seeds/<seed>/ for each further seed, and metrics/losses/2c.csv."""
    return run_each_seed(params, paths, "finetune_2c", _round)


def _round(params: Params, paths: Paths, further: int | None, finished: list[Path]) -> dict[str, Any]:
    start = paths.adapter("2b", further)
    weights = sorted(file for file in start.iterdir() if file.is_file()) if start.is_dir() else []
    replayed = corpus.read_replayed_to_learn(paths)
    count = max(1, round(len(replayed) * params.finetune_2c.share))
    pairs = random.Random(params.seed).sample(replayed, count)
    if params.finetune_2c.data == "combined":
        pairs += corpus.read_new_to_learn(paths)
    return finetune_round(
        params,
        paths,
        name="finetune_2c",
        pairs=pairs,
        start=start,
        lr=params.lr,
        epochs=params.finetune_2c.epochs,
        target=paths.adapter("2c", further),
        inputs=[paths.instructions, paths.train, paths.models / "base", *weights],
        further=further,
        finished=finished,
    )


if __name__ == "__main__":
    main("finetune_2c", work)
