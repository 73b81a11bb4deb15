"""2c: the 2b adapter trained on, on rows of the replayed tasks (or of old and new together).

Run by `dvc repro`, or `python -m stages.finetune_2c`.
"""

from __future__ import annotations

import json
import random
import shutil
from contextlib import ExitStack
from typing import Any

from relearn.files import write_json
from relearn.model_files import check_adapter
from relearn.params import Params
from relearn.progress import say
from relearn.training.rounds import replace_folder
from stages import corpus
from stages.curves import write_curves
from stages.paths import Paths
from stages.rounds import finetune_round, run_each_seed
from stages.run import main


def work(params: Params, paths: Paths) -> dict[str, Any]:
    """Writes models/2c/, with seeds/<seed>/ for each further seed, and metrics/losses/2c.csv.

    Without a replayed task, or an epoch, 2c is 2b's adapter copied, and `provenance.json` says so under `copied`.
    """
    if not params.finetune_2c.epochs or not corpus.read_replayed_to_learn(paths):
        say("finetune_2c: nothing is replayed, so 2c is a copy of 2b, and tables leave it out")
        _copy(paths, params.seeds)
        return {}
    return run_each_seed(params, paths, "finetune_2c", _round)


def _copy(paths: Paths, seeds: list[int]) -> None:
    for seed in (None, *seeds):
        source, target = paths.adapter("2b", seed), paths.adapter("2c", seed)
        check_adapter(source)
        with replace_folder(target) as folder:
            for file in source.iterdir():
                if file.is_file():
                    shutil.copy(file, folder)
            facts = json.loads((source / "provenance.json").read_text(encoding="utf-8"))
            write_json(folder / "provenance.json", {**facts, "copied": str(source.relative_to(paths.root))})
    write_curves(paths.losses("2c"), [], [])


def _round(params: Params, paths: Paths, further: int | None, held: ExitStack) -> dict[str, Any]:
    start = paths.adapter("2b", further)
    weights = sorted(file for file in start.iterdir() if file.is_file()) if start.is_dir() else []
    old = corpus.read_replayed_to_learn(paths)
    count = max(1, round(len(old) * params.finetune_2c.share))
    rows = random.Random(params.seed).sample(old, count)
    if params.finetune_2c.data == "combined":
        rows += corpus.read_new_to_learn(paths)
    return finetune_round(
        params,
        paths,
        name="finetune_2c",
        rows=rows,
        start=start,
        lr=params.lr,
        epochs=params.finetune_2c.epochs,
        target=paths.adapter("2c", further),
        inputs=[paths.instructions, paths.train, paths.models / "base", *weights],
        further=further,
        held=held,
    )


if __name__ == "__main__":
    main("finetune_2c", work)
