"""Every path that a stage reads or writes, in one place."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Paths:
    """The places of a project. Scratch that outlives a run is in `cache`: checkpoints, paid answers, run logs.

    `code` is the folder that holds `relearn/` and `stages/`: the project itself in a clone of the repository, the
    installed packages in a project that `relearn init` has made.
    """

    root: Path
    code: Path
    cache: Path
    source_rows: Path
    held_out_sources: Path
    train: Path
    held_out: Path
    skill_items: Path
    model_files: Path
    replies: Path
    instructions: Path
    held_out_instructions: Path
    quarantine: Path
    sources: Path
    samples: Path
    drift: Path
    predictions: Path
    verdicts: Path
    ratings: Path
    remedies: Path
    models: Path
    metrics: Path
    report: Path
    prompts: Path
    runs: Path
    keys: Path

    @classmethod
    def of(cls, root: Path, cache: Path | None = None, code: Path | None = None) -> Paths:
        """The places of the project at `root`; its scratch and its code are its own unless they are given."""
        data = root / "data"
        cache = root / ".cache" if cache is None else cache
        return cls(
            root=root,
            code=root if code is None else code,
            cache=cache,
            source_rows=data / "sources.jsonl",
            held_out_sources=data / "held_out_sources.jsonl",
            train=data / "train.jsonl",
            held_out=data / "held_out.jsonl",
            skill_items=data / "skills.jsonl",
            model_files=data / "model_files.json",
            replies=data / "replies.jsonl",
            instructions=data / "instructions.jsonl",
            held_out_instructions=data / "held_out_instructions.jsonl",
            quarantine=data / "quarantine.jsonl",
            sources=data / "sources",
            samples=data / "samples.jsonl",
            drift=data / "drift.jsonl",
            predictions=data / "predictions",
            verdicts=data / "verdicts.jsonl",
            ratings=data / "ratings",
            remedies=data / "remedies",
            models=root / "models",
            metrics=root / "metrics",
            report=root / "report",
            prompts=root / "prompts",
            runs=cache / "runs",
            keys=cache.parent / ".env",  # ignored by git, so that it too is in the main checkout alone
        )

    def probes(self, profile: str) -> Path:
        """The out-of-sample instructions of a profile."""
        return self.sources / profile / "probes.yaml"

    def adapter(self, model: str, seed: int | None = None) -> Path:
        """The folder of base, 2b or 2c; of a round trained with a further seed, where one is given."""
        return self.models / model if seed is None else self.models / model / "seeds" / str(seed)

    def method(self, name: str) -> Path:
        """The code of a method of the first round."""
        return self.code / "relearn" / "training" / "methods" / f"{name}.py"

    def predicted(self, model: str, seed: int | None = None) -> Path:
        """The predictions of a model; of a round trained with a further seed, where one is given."""
        folder = self.predictions if seed is None else self.predictions / "seeds" / str(seed)
        return folder / f"{model}.jsonl"

    def curve(self, seed: int | None = None) -> Path:
        """The likelihoods along 2b's learn-forget curve; of a round trained with a further seed, where one is given."""
        return self.predicted("curve", seed)

    def scored(self, model: str) -> Path:
        """The scores of a model, as `dvc metrics show` prints them."""
        return self.metrics / "eval_3a" / f"{model}.json"

    def live(self, stage: str, seed: int | None = None) -> Path:
        """Curves to be watched while a stage trains; each copy that `dvc exp run` works in has its own."""
        return self.root / ".cache" / stage / ("live" if seed is None else f"live-{seed}")

    def compared(self, profile: str) -> Path:
        """What `stages.frontier` found of a profile's methods."""
        return self.remedies / f"{profile}.json"

    def losses(self, model: str) -> Path:
        """The losses watched while a model was trained."""
        return self.metrics / "losses" / f"{model}.csv"


def keep_only(folder: Path, written: Collection[Path]) -> None:
    """Removes what an earlier run left in an output folder; dvc empties it before a stage, a run by hand does not."""
    for file in folder.rglob("*"):
        if file.is_file() and file not in written:
            file.unlink()


def find_root() -> Path:
    """The project that the working directory is in, as git and dvc find theirs: the nearest folder with a params.yaml.

    The working directory itself where there is none.
    """
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if (folder / "params.yaml").is_file()), here)


ROOT = find_root()
# DVC_ROOT names the main checkout even while `dvc exp run --temp` works in a copy, so that a checkpoint or a paid
# answer is found again whichever copy asks.
HERE = Paths.of(ROOT, Path(os.environ.get("DVC_ROOT", ROOT)) / ".cache", Path(__file__).resolve().parent.parent)
