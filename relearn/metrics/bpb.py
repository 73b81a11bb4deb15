"""Bits per byte of the references under a model: a score that needs no decoding and no tokenizer in common."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from relearn.metrics.metric import Metric
from relearn.statistics.scores import Floats, Scores, ratio


def bits_per_byte(nll: Sequence[float | None], size: Sequence[int | None]) -> Scores:
    """Pooled: the sum of negative log-likelihoods (nats) over ln 2, over the sum of UTF-8 bytes; lower is better.

    Items without both numbers, or of no bytes, do not count.
    """
    rows: Floats = np.array(
        [[n / math.log(2), float(b)] if n is not None and b else [0.0, 0.0] for n, b in zip(nll, size, strict=True)]
    ).reshape(-1, 2)
    return Scores("bpb", rows, ratio)


METRIC = Metric(
    name="bpb",
    label="bits per byte",
    signed="bits_per_byte",
    score=bits_per_byte,
    reads=("nll", "bytes"),
    needs=("nll", "bytes"),
    better="lower",
    describe=lambda: {"unit": "bits a UTF-8 byte of the reference, end token included"},
)
