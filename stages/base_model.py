"""The base and its adapters, as the stages that train and decode load them."""

from __future__ import annotations

import json
from pathlib import Path

from relearn import model_files, models
from relearn.chat import Chat
from relearn.params import Params
from stages.paths import Paths


def find_base(params: Params, paths: Paths) -> tuple[Path, Chat]:
    """The folder that holds the base's weights, and its chat."""
    weights = model_files.find_weights(paths.models / "base", paths.root)
    return weights, models.load_chat(weights, params.chat.template, params.chat.arguments, params.chat.date)


def freeze_base(params: Params, weights: Path) -> models.FrozenBase:
    """The base's weights on the profile's device, in its precision."""
    return models.FrozenBase(weights, params.compute.device, params.compute.precision, params.compute.quantize)


def is_copy(adapter: Path) -> bool:
    """Whether nothing was trained for this adapter: it is the one of the round before."""
    file = adapter / "provenance.json"
    return file.is_file() and "copied" in json.loads(file.read_text(encoding="utf-8"))
