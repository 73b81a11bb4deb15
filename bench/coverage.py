"""Coverage of the 95% intervals, and level of the randomisation test, by simulation on clustered data.

    python -m bench.coverage [--simulations 10000] [--only scores|ratios] [--out bench/coverage.json]

Clusters are like ours: a problem or a film of about five prompts (44 clusters of 3 to 7), or a family of eleven
(20 clusters). Continuous scores have a cluster effect (intraclass correlation 0.2) and skewed items; proportions
are beta-binomial with intraclass correlation 0.2. The wanted ranges are those of the project's evaluation
document: continuous 93% to 97%; proportions of 0.5 to 0.99 at least 93%; a test at 5% rejects a true null in 4% to
6% of continuous samples and in at most 6% of proportions. Ratios are relative losses of paired proportions (MOVER-R);
`pooled` the mean over three tasks of 220, 228 and 220 prompts with other means, resampled within tasks. With `--only`
the other figures of the file stay.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
from scipy.stats import beta

from relearn.statistics import resampling as rs
from relearn.statistics.scores import Floats, ratio
from relearn.statistics.significance import randomisation

SHAPES = {"44 clusters of 3 to 7": (44, 3, 7), "20 clusters of 11": (20, 11, 11), "220 clusters of 1": (220, 1, 1)}
SHARES = (0.5, 0.7, 0.9, 0.95, 0.99)
ICC = 0.2
RESAMPLES = 1000
LOSSES = ((0.95, 0.9), (0.9, 0.45), (0.9, 0.05), (0.5, 0.01))  # shares before and after, for relative losses
TASKS = ((44, 3, 7), (114, 2, 2), (20, 11, 11))  # clusters of each task, for the pooled mean
SWAPS = 299  # of the test; its level is exact for any number of them


def sizes(shape: tuple[int, int, int], generator: np.random.Generator) -> Floats:
    clusters, low, high = shape
    return generator.integers(low, high + 1, size=clusters).astype(float)


def continuous(shape: tuple[int, int, int], generator: np.random.Generator, shift: float = 0.0) -> tuple[Floats, float]:
    """(clusters, 2) sums of skewed scores with a cluster effect, and their true mean."""
    number = sizes(shape, generator)
    effect = generator.gamma(4, 1, size=len(number))
    items = [
        generator.gamma(1, 4, size=int(n)) * np.sqrt(1 - ICC) / 1 + e * np.sqrt(ICC) * 2 + shift
        for n, e in zip(number, effect, strict=True)
    ]
    truth = 4 * np.sqrt(1 - ICC) + 8 * np.sqrt(ICC) + shift
    return np.array([[v.sum(), len(v)] for v in items]), float(truth)


def proportion(shape: tuple[int, int, int], share: float, generator: np.random.Generator, icc: float = ICC) -> Floats:
    number = sizes(shape, generator)
    scale = (1 - icc) / icc
    rates = generator.beta(share * scale, (1 - share) * scale, size=len(number))
    return np.stack([generator.binomial(number.astype(int), rates), number], axis=1).astype(float)


def paired(shape: tuple[int, int, int], share: float, generator: np.random.Generator) -> tuple[Floats, Floats]:
    """Two models with the same share whose hits go together: half of the clusters' rates are common."""
    number = sizes(shape, generator)
    scale = (1 - ICC) / ICC
    common = generator.beta(share * scale, (1 - share) * scale, size=len(number))
    own = generator.beta(share * scale, (1 - share) * scale, size=(2, len(number)))
    pick = generator.random((2, len(number))) < 0.5
    rates = np.where(pick, common, own)
    hits = generator.binomial(number.astype(int), rates)
    return np.stack([hits[0], number], 1).astype(float), np.stack([hits[1], number], 1).astype(float)


def losing(
    shape: tuple[int, int, int], shares: tuple[float, float], generator: np.random.Generator
) -> tuple[Floats, Floats]:
    """Two models with shares of their own, whose clusters' ranks go together in half of the clusters."""
    number = sizes(shape, generator)
    scale = (1 - ICC) / ICC
    common, own = generator.random((2, len(number)))
    pick = np.where(generator.random(len(number)) < 0.5, common, own)
    hits = [
        generator.binomial(number.astype(int), beta.ppf(rank, share * scale, (1 - share) * scale))
        for rank, share in zip((common, pick), shares, strict=True)
    ]
    return np.stack([hits[0], number], 1).astype(float), np.stack([hits[1], number], 1).astype(float)


def ratios(simulations: int, seed: int) -> dict[str, dict[str, float]]:
    generator = np.random.default_rng(seed + 1)
    found: dict[str, dict[str, float]] = {}
    for name, shape in SHAPES.items():
        found[name] = {}
        for shares in LOSSES:
            hit = told = 0
            for _ in range(simulations):
                before, after = losing(shape, shares, generator)
                ends = rs.quotient(
                    rs.share(after),
                    rs.wilson(after),
                    rs.share(before),
                    rs.wilson(before),
                    rs.correlation(after, before),
                )
                told += not np.isnan(ends.low)
                hit += ends.holds(shares[1] / shares[0])
            found[name][f"relative loss {shares[0]} to {shares[1]}"] = hit / told
        print(name, json.dumps(found[name], indent=1), flush=True)
    strata = [clusters for clusters, _, _ in TASKS]
    draws = [rs.draw_within(strata, RESAMPLES, seed + index) for index in range(64)]
    hit = 0
    for index in range(simulations):
        parts = [continuous(shape, generator, shift) for shape, shift in zip(TASKS, (0.0, 10.0, 40.0), strict=True)]
        sums = np.vstack([part for part, _ in parts])
        weights = [part[:, 1].sum() for part, _ in parts]
        truth = float(np.average([mean for _, mean in parts], weights=weights))
        hit += rs.percentiles(rs.resampled(sums, ratio, draws[index % 64]), min(strata)).holds(truth)
    found["three tasks"] = {"pooled": hit / simulations}
    print(json.dumps(found["three tasks"]), flush=True)
    return found


def simulate(simulations: int, seed: int) -> dict[str, dict[str, float]]:
    generator = np.random.default_rng(seed)
    found: dict[str, dict[str, float]] = {}
    for name, shape in SHAPES.items():
        draws = [rs.draw(shape[0], RESAMPLES, seed + index) for index in range(64)]
        hit = difference = rejected = 0
        for index in range(simulations):
            sums, truth = continuous(shape, generator)
            drawn = draws[index % len(draws)]
            hit += rs.percentiles(rs.resampled(sums, ratio, drawn), shape[0]).holds(truth)
            other = sums.copy()
            noise, _ = continuous(shape, generator)
            other[:, 0] = 0.5 * sums[:, 0] + 0.5 * noise[:, 0] / noise[:, 1] * sums[:, 1]
            again, _ = continuous(shape, generator)
            first = sums.copy()
            first[:, 0] = 0.5 * sums[:, 0] + 0.5 * again[:, 0] / again[:, 1] * sums[:, 1]
            change = rs.resampled(other, ratio, drawn) - rs.resampled(first, ratio, drawn)
            difference += rs.percentiles(change, shape[0]).holds(0.0)
            rejected += randomisation(first, other, ratio, SWAPS, seed + index) <= 0.05
        found[name] = {
            "continuous": hit / simulations,
            "continuous difference": difference / simulations,
            "continuous rejected": rejected / simulations,
        }
        for share in SHARES:
            hit = difference = rejected = 0
            for index in range(simulations):
                hit += rs.wilson(proportion(shape, share, generator)).holds(share)
                before, after = paired(shape, share, generator)
                difference += rs.newcombe(before, after).holds(0.0)
                rejected += randomisation(before, after, ratio, SWAPS, seed + index) <= 0.05
            found[name] |= {
                f"proportion {share}": hit / simulations,
                f"proportion {share} difference": difference / simulations,
                f"proportion {share} rejected": rejected / simulations,
            }
        print(name, json.dumps(found[name], indent=1), flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--simulations", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1222)
    parser.add_argument("--only", choices=("scores", "ratios"))
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    started = time.time()
    found: dict[str, dict[str, float]] = {}
    if options.only and options.out and options.out.exists():
        found = json.loads(options.out.read_text(encoding="utf-8"))["found"]
    for kind, measure in (("scores", simulate), ("ratios", ratios)):
        if options.only in (None, kind):
            for name, figures in measure(options.simulations, options.seed).items():
                found[name] = {**found.get(name, {}), **figures}
    if options.out:
        record = {
            "simulations": options.simulations,
            "seed": options.seed,
            "resamples": RESAMPLES,
            "icc": ICC,
            "found": found,
        }
        options.out.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    print(f"{time.time() - started:.0f} s")


if __name__ == "__main__":
    main()
