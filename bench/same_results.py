"""Did a change of code change the results? Two sides' scores over the same seeds, paired.

    python -m bench.same_results ../before/seeds ../after/seeds

Each side is a folder that holds, for each seed, the `metrics` folder that a run with this seed left, under the seed as
its name. A seed draws everything: corpora, splits, weights, order; both sides have the same data for one seed. For each
score of each model and task: the mean over seeds of after - before, and its 95% interval (Student's t). Where nothing
changed but rounding, 19 of 20 intervals hold 0; Holm's correction says whether any of the others is more than chance.
Prints a line for each score whose interval does not hold 0, and the count; exit status 1 when a change is
significant after Holm's correction.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

from scipy.special import stdtr, stdtrit

from relearn.statistics.significance import LEVEL, holm

MODELS = ("base", "2b", "2c")
Score = tuple[str, str, str]  # model, task, name


def points(metrics: Path) -> dict[Score, float]:
    """Every score in the `eval_3a` folder of one run."""
    found: dict[Score, float] = {}
    for model in MODELS:
        values = json.loads((metrics / "eval_3a" / f"{model}.json").read_text(encoding="utf-8"))
        for task, of_task in values.items():
            found |= {(model, task, name): value for name, value in of_task.items()}
    return found


def paired(changes: Sequence[float]) -> tuple[float, float, float]:
    """Mean, half the width of its 95% interval, and p of a two-sided t test that it is 0."""
    mean, spread = statistics.fmean(changes), statistics.stdev(changes)
    if spread == 0:
        return mean, 0.0, float(mean == 0)
    error, freedom = spread / len(changes) ** 0.5, len(changes) - 1
    return mean, float(stdtrit(freedom, 0.975)) * error, 2 * float(stdtr(freedom, -abs(mean) / error))


def main() -> int:
    """Prints what changed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    options = parser.parse_args()
    seeds = sorted({path.name for path in options.before.iterdir()} & {path.name for path in options.after.iterdir()})
    if len(seeds) < 2:
        sys.exit(
            f"same_results: {len(seeds)} seeds are in both {options.before} and {options.after}; at least two are needed"
        )
    before, after = ([points(side / seed) for seed in seeds] for side in (options.before, options.after))
    # A score that some run does not have (nothing significant was lost, say, so nothing could come back) is left out.
    names = [name for name in after[0] if all(name in run for run in before + after)]
    tested = [
        (name, *paired([new[name] - old[name] for old, new in zip(before, after, strict=True)])) for name in names
    ]
    adjusted = holm([p for *_, p in tested])
    for (name, mean, half, _), p in zip(tested, adjusted, strict=True):
        if abs(mean) > half:
            print(f"{' '.join(name)}: {mean:+.4f} ± {half:.4f}, p after Holm {p:.2f}")
    inside = sum(abs(mean) <= half for _, mean, half, _ in tested)
    sure = sum(p <= LEVEL for p in adjusted)
    print(
        f"seeds {', '.join(seeds)}: {inside} of {len(tested)} intervals of the mean change hold 0; "
        f"{sure} changes are significant after Holm's correction"
    )
    return int(sure > 0)


if __name__ == "__main__":
    sys.exit(main())
