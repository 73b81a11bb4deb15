"""2b: a LoRA fine-tune on the rows of the new tasks, which teaches them and damages older skills.

Run by `dvc repro`, or `python -m stages.finetune_2b`.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from relearn.errors import InputError
from relearn.model_files import ADAPTER
from relearn.params import Params
from relearn.training.method import load_method
from stages import corpus, launch
from stages.paths import Paths
from stages.rounds import finetune_round, run_each_seed
from stages.run import main


def work(params: Params, paths: Paths) -> dict[str, Any]:
    """Writes models/2b/, with seeds/<seed>/ for each further seed, and metrics/losses/2b.csv."""
    _check_method(params, paths)
    return run_each_seed(params, paths, "finetune_2b", _round)


def _check_method(params: Params, paths: Paths) -> None:
    """Raises InputError for a method that reads the adapter as it started, where accelerate shards the adapter too."""
    if (kind := launch.find_sharding(params.launch, paths)) is None:
        return
    method = load_method(params.method, getattr(params.finetune_2b.methods, params.method), params.seed)
    if method.compares:
        raise InputError(
            f"method: {params.method} compares the adapter with how it started, which {kind} of accelerate shards; use "
            "launch.kind torchrun with shard: true, or method plain"
        )


def _round(params: Params, paths: Paths, further: int | None, held: ExitStack) -> dict[str, Any]:
    method = load_method(params.method, getattr(params.finetune_2b.methods, params.method), params.seed)
    adapted = paths.models / "base" / ADAPTER
    return finetune_round(
        params,
        paths,
        name="finetune_2b",
        rows=method.choose_rows(corpus.read_new_to_learn(paths), corpus.read_replayed_to_learn(paths)),
        start=adapted if adapted.is_dir() else None,
        lr=params.lr,
        epochs=params.finetune_2b.epochs,
        target=paths.adapter("2b", further),
        inputs=[paths.instructions, paths.train, paths.samples, paths.models / "base", paths.method(params.method)],
        further=further,
        held=held,
        method=method,
    )


if __name__ == "__main__":
    main("finetune_2b", work)
