"""Every path of the repository that a stage reads or writes, in one place."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

DATA = ROOT / "data"
REVIEWS = DATA / "reviews.jsonl"
ORIGINAL = DATA / "original.jsonl"
REPLIES = DATA / "replies.jsonl"
INSTRUCTIONS = DATA / "instructions.jsonl"
QUARANTINE = DATA / "quarantine.jsonl"
PREDICTIONS = DATA / "predictions"
SOURCES = DATA / "sources"
RATINGS = DATA / "ratings"

MODELS = ROOT / "models"
METRICS = ROOT / "metrics"
EVAL_3A = METRICS / "eval_3a"
REPORT = ROOT / "report"
PROMPTS = ROOT / "prompts"

# Scratch that outlives a run. DVC_ROOT names the main checkout even while `dvc exp run --temp` works in a copy,
# so that a checkpoint or a paid answer is found again whichever copy asks.
CACHE = Path(os.environ.get("DVC_ROOT", ROOT)) / ".cache"
RUNS = CACHE / "runs"
KEYS = CACHE.parent / ".env"  # ignored by git, so that it too stands in the main checkout alone


def sources(profile: str) -> Path:
    """The folder of a profile's own inputs."""
    return SOURCES / profile


def adapter(model: str, seed: int | None = None) -> Path:
    """The folder of base, 2b or 2c; of a round trained with a further seed, where one is given."""
    return MODELS / model if seed is None else MODELS / model / "seeds" / str(seed)


def predictions(model: str) -> Path:
    """The predictions of base, 2b or 2c."""
    return PREDICTIONS / f"{model}.jsonl"


def seed_predictions() -> Path:
    """The predictions of the rounds trained with further seeds, in one file; empty without any."""
    return PREDICTIONS / "seeds.jsonl"
