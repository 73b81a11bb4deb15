"""How often a gate says "proven within X" of a loss that is exactly X: at most 5% is wanted, in every row.

    python -m bench.gate_coverage [--draws 10000] [--out bench/gate_coverage.json]

`within` is the gate's share (relearn/statistics/gates.py; the bound aims at 2.5%), `student` that of a t interval over
clusters, the usual way, and `without loss` how often the gate says so where nothing was lost: its power. Pairs are
right or wrong before and after, in clusters whose shares vary (`icc` 0: not at all, 1: a cluster is lost as a whole).
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.special import stdtrit

from relearn.statistics import gates
from relearn.statistics.scores import Floats

WANTED = 0.05
CELLS = 2_000_000


@dataclass(frozen=True)
class Row:
    """A setting: `clusters` of `low` to `high` samples, base's score, the loss (over base if `relative`), and churn."""

    name: str
    clusters: int
    low: int
    high: int
    base: float
    loss: float
    relative: bool = False
    gained: float = 0.0  # share of samples that turn from wrong to right; as many more are lost
    icc: float = 0.0
    kind: str = "right or wrong"

    @property
    def label(self) -> str:
        margin = f"{self.loss:.3g} of base" if self.relative else f"{100 * self.loss:.3g}pt"
        return (
            f"{self.name}; {self.clusters} x {self.low}"
            + (f" to {self.high}" if self.high > self.low else "")
            + f", base {self.base:g}, loss {margin}"
        )


def rows() -> Iterator[Row]:
    for n in (20, 50, 100, 200, 500, 1000, 2000):
        for expected in (1, 2, 3, 3.8, 5):  # losses: no flip at all is then common
            yield Row("0 flips in n", n, 1, 1, 0.99, expected / n)
        yield Row("0 flips in n, relative", n, 1, 1, 0.5, min(0.5, 4 / n), relative=True)
    for base, gained in ((0.03, 0.005), (0.5, 0.1), (0.97, 0.005)):
        for loss in (0.01, 0.02):
            for n in (100, 400, 2000):
                yield Row("near 0 and 1", n, 1, 1, base, loss, gained=gained)
    for clusters, low, high in ((5, 8, 8), (20, 11, 11), (44, 3, 7), (20, 1, 100), (150, 1, 20)):
        for icc in (0.2, 0.9):
            for base, gained in ((0.5, 0.1), (0.97, 0.005)):
                yield Row(f"clusters, icc {icc}", clusters, low, high, base, 0.02, gained=gained, icc=icc)
            yield Row(f"clusters, icc {icc}, relative", clusters, low, high, 0.5, 0.1, True, 0.05, icc)
    for base in (0.005, 0.02, 0.1, 0.5, 0.95):
        for loss in (0.05, 0.5):
            yield Row("relative", 400, 1, 1, base, loss, True, base / 10 if base < 0.5 else 0.02)
            yield Row("relative, clusters", 60, 2, 8, base, loss, True, base / 10 if base < 0.5 else 0.02, 0.3)
    for clusters in (20, 100, 500):
        yield Row("partial scores, losses rare and large", clusters, 1, 5, 0.8, 0.02, kind="partial")
        yield Row("unbounded scores, skewed losses", clusters, 1, 5, 2.0, 0.05, kind="unbounded")
        yield Row("unbounded scores, skewed losses", clusters, 1, 5, 2.0, 0.05, True, kind="unbounded")


def draw(row: Row, draws: int, loss: float, generator: np.random.Generator) -> tuple[Floats, Floats, Floats, Floats]:
    """(sums before, sums after, sizes), each (draws, clusters), and the range of scores in each draw."""
    sizes = generator.integers(row.low, row.high + 1, size=(draws, row.clusters))
    if row.kind == "right or wrong":
        lost = loss * (row.base if row.relative else 1) + row.gained
        shares = np.clip([row.base - lost, lost, row.gained, 1 - row.base - row.gained], 0, 1)
        shares /= shares.sum()
        rates = np.broadcast_to(shares, (draws, row.clusters, 4))
        if row.icc:
            rates = generator.gamma(np.maximum(shares * (1 - row.icc) / row.icc, 1e-9), size=(draws, row.clusters, 4))
            total = rates.sum(axis=2, keepdims=True)
            rates = np.where(total > 0, rates / np.where(total > 0, total, 1), shares)
        both, only, gained, _ = np.moveaxis(generator.multinomial(sizes, rates), 2, 0).astype(float)
        return both + only, both + gained, sizes.astype(float), np.ones(draws)
    most = row.high
    mask = np.arange(most) < sizes[:, :, None]
    shape = (draws, row.clusters, most)
    if row.kind == "partial":
        before = generator.beta(8, 2, size=shape)
        # A twentieth of the samples loses much: the share of its own score that makes the mean loss exact.
        fall = np.where(generator.random(shape) < 0.05, before * loss / (0.05 * 0.8), 0.0)
        after, span = before - fall, np.ones(draws)
    else:
        before = generator.normal(row.base, 0.3, size=shape)
        effect = generator.lognormal(-0.5, 1, size=(draws, row.clusters, 1)) * generator.lognormal(-0.5, 1, size=shape)
        after = before + (loss * (row.base if row.relative else 1)) * effect
        span = np.array([np.ptp(np.r_[before[i][mask[i]], after[i][mask[i]]]) for i in range(draws)])
    return (before * mask).sum(2), (after * mask).sum(2), sizes.astype(float), span


def measure(row: Row, draws: int, seed: int, lost: bool = True) -> tuple[float, float]:
    """Shares of draws in which the gate, and a t interval, says within."""
    generator = np.random.default_rng(seed)
    step = max(1, CELLS // (row.clusters * row.high))
    within = student = 0
    for start in range(0, draws, step):
        number = min(step, draws - start)
        before, after, sizes, span = draw(row, number, row.loss if lost else 0.0, generator)
        sign = -1 if row.kind == "unbounded" else 1
        beyond, worst = np.empty_like(before), np.empty(number)
        for index in range(number):
            losses = gates.Losses(before[index], after[index], sizes[index], sign, float(span[index]))
            beyond[index], worst[index] = losses.against(row.loss, row.relative)
        within += int((gates.chances_above(beyond, np.ones((1, row.clusters)), worst) <= gates.TAIL).sum())
        spread = beyond.std(axis=1, ddof=1) / np.sqrt(row.clusters)
        student += int((beyond.mean(axis=1) + stdtrit(row.clusters - 1, 1 - gates.TAIL) * spread < 0).sum())
    return within / draws, student / draws


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--draws", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1222)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    started, found = time.time(), {}
    for row in rows():
        within, student = measure(row, options.draws, options.seed)
        power, _ = measure(row, max(200, options.draws // 10), options.seed, lost=False)
        found[row.label] = {"within": within, "student": student, "without loss": power}
        print(
            f"{row.label}: within {within:.4f}, student {student:.4f}, without loss {power:.3f}"
            + ("  TOO OFTEN" if within > WANTED else ""),
            flush=True,
        )
    if options.out:
        record = {"draws": options.draws, "seed": options.seed, "found": found}
        options.out.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    print(f"largest: {max(one['within'] for one in found.values()):.4f}; {time.time() - started:.0f} s")


if __name__ == "__main__":
    main()
