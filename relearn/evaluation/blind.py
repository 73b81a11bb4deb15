"""The keys under which the rating page shows answers: they hide the model, and evaluation can tell them again.

A key is an HMAC-SHA256 (RFC 2104) of the prompt's id, the model and its answer, under the run's seed. It binds a
rating to the text that was rated: after another run, ratings of texts that no longer exist match no model.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence

from relearn.records import Prediction

LENGTH = 12  # hexadecimal digits: 48 bits, so that two of 10,000 answers to a prompt meet once in five million


def key(seed: int, item: str, model: str, prediction: str) -> str:
    """The key of a model's answer to a prompt."""
    message = json.dumps([item, model, prediction]).encode()
    return hmac.new(f"relearn ratings {seed}".encode(), message, hashlib.sha256).hexdigest()[:LENGTH]


def names(predictions: Mapping[str, Sequence[Prediction]], seed: int) -> dict[str, str]:
    """`<item>/<key>` → model, over every answer; what `ratings.read` resolves keys with."""
    return {
        f"{row.id}/{key(seed, row.id, model, row.prediction)}": model
        for model, rows in predictions.items()
        for row in rows
    }
