"""Coverage of a judge's intervals, by simulation: the embedded judge, whose expectation is known, on clustered prompts.

    python -m bench.judge_coverage [--runs 1000] [--out bench/judge_coverage.json]

A population of 4,000 clusters of prompts is made once: answers of two models, of other lengths and merits, whose
difference is partly the cluster's. A run draws clusters from it, lets the judge say which answer is better in both
orders, and measures. The target is what the rule gives in expectation over the population, exactly: for the win rate
1/2 + (P(both name it) - P(both name the other)) / 2, for the first position the expected judgements that name the first
answer over those that decide, less 1/2. Wanted: 93% to 97.5% of the runs' intervals hold it.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from relearn.evaluation.judged import JudgedPair, first_preference, win_rate
from relearn.files import write_json
from relearn.mini.judge import JudgeByRules
from relearn.records import Judgement

POPULATION = 4000
SHAPES = {"200 clusters of 1": (200, 1, 1), "60 clusters of 1 to 5": (60, 1, 5), "30 clusters of 2": (30, 2, 2)}
JUDGES = {
    "fair": JudgeByRules(0),
    "prefers the first": JudgeByRules(0, position_bias=1.0),
    "prefers the first by far": JudgeByRules(0, position_bias=3.0),
    "prefers length": JudgeByRules(0, length_bias=1.0),
    "both, with ties and unreadable answers": JudgeByRules(0, 0.7, 0.7, ties=0.15, unreadable=0.05),
    "random": JudgeByRules(0, ties=0.1),
}
NAMED = ("first", "second", "tie", None)
WORDS = "river stone music winter letter garden window summer kitchen bridge morning travel".split()


@dataclass(frozen=True)
class Population:
    """Prompts in clusters: what the judge says of each in each order, (prompts, 4) chances in the order of NAMED."""

    forward: np.ndarray
    backward: np.ndarray
    clusters: np.ndarray
    lengths: np.ndarray  # (prompts, 2), characters

    def truth(self) -> tuple[float, float]:
        """(win rate, preference for the first), expected over the population."""
        won, lost = self.forward[:, 1] * self.backward[:, 0], self.forward[:, 0] * self.backward[:, 1]
        first = self.forward[:, 0].sum() + self.backward[:, 0].sum()
        second = self.forward[:, 1].sum() + self.backward[:, 1].sum()
        return 0.5 + float((won - lost).mean()) / 2, float(first / (first + second)) - 0.5


def write_answer(words: int, on_topic: int, generator: np.random.Generator) -> str:
    """An answer of so many words, of which `on_topic` are from the instruction."""
    taken = [*WORDS[:on_topic], *(f"w{number}" for number in generator.integers(0, 400, size=max(0, words - on_topic)))]
    return " ".join(taken)


def populate(judge: JudgeByRules, low: int, high: int, random: bool) -> Population:
    """The prompts of POPULATION clusters; the answers of the second model are a little better, and longer.

    With `random`, both answers are as good and as long, so that only chance and the judge's faults decide.
    """
    generator = np.random.default_rng(5)
    instruction = " ".join(WORDS)
    chances: tuple[list[list[float]], list[list[float]]] = ([], [])
    clusters, lengths = [], []
    for cluster in range(POPULATION):
        gap = 0 if random else generator.normal(1, 3)
        for _ in range(generator.integers(low, high + 1)):
            middle = 6 + generator.integers(-2, 3)
            better = int(np.clip(middle + (0 if random else gap + generator.normal(0, 2)), 0, len(WORDS)))
            size = int(generator.integers(20, 60))
            texts = (
                write_answer(size, middle, generator),
                write_answer(size if random else int(size * generator.uniform(0.6, 2.2)), better, generator),
            )
            for order, (first, second) in zip(chances, (texts, texts[::-1]), strict=True):
                order.append(list(judge.chances(instruction, first, second).values()))
            clusters.append(cluster)
            lengths.append([len(text) for text in texts])
    return Population(*(np.array(each) for each in (*chances, clusters, lengths)))


def draw(chances: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """What the judge names of each, as an index of NAMED."""
    return (generator.random(len(chances))[:, None] > chances.cumsum(axis=1)[:, :-1]).sum(axis=1)


def run(
    population: Population, rows_of: list[np.ndarray], clusters: int, generator: np.random.Generator
) -> list[JudgedPair]:
    """A sample of clusters, judged in both orders."""
    drawn = generator.integers(0, len(rows_of), size=clusters)
    rows = np.concatenate([rows_of[cluster] for cluster in drawn])
    groups = np.repeat(np.arange(clusters), [len(rows_of[cluster]) for cluster in drawn])
    said = [draw(order[rows], generator) for order in (population.forward, population.backward)]
    return [
        JudgedPair("a", "b", *(
            Judgement.model_construct(
                id=str(number), task="t", group=str(group), first="ab"[order], second="ba"[order],
                first_chars=int(size[order]), second_chars=int(size[1 - order]),
                better=NAMED[said[order][number]], reason=None, content=None, request="asked",
            )
            for order in (0, 1)
        ))
        for number, (group, size) in enumerate(zip(groups, population.lengths[rows], strict=True))
    ]  # fmt: skip


def cover(judge: JudgeByRules, shape: tuple[int, int, int], runs: int, random: bool = False) -> dict[str, float]:
    """The shares of `runs` whose intervals hold the truth, and the truth."""
    clusters, low, high = shape
    population = populate(judge, low, high, random)
    starts = np.flatnonzero(np.diff(population.clusters, prepend=-1))
    rows_of = np.split(np.arange(len(population.clusters)), starts[1:])
    truth = dict(zip(("win_rate", "first_preference"), population.truth(), strict=True))
    held = dict.fromkeys(truth, 0)
    for number in range(runs):
        pairs = run(population, rows_of, clusters, np.random.default_rng([7, number]))
        for name, figure in (("win_rate", win_rate(pairs)), ("first_preference", first_preference(pairs))):
            low, high = figure["low"], figure["high"]
            held[name] += low is not None and high is not None and low <= truth[name] <= high
    return {
        **{f"true {name}": round(value, 4) for name, value in truth.items()},
        **{f"{name} covered": count / runs for name, count in held.items()},
    }


def main() -> None:
    """Prints the coverage of each judge and shape, and writes it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    found: dict[str, dict[str, dict[str, float]]] = {}
    if options.out is not None and options.out.is_file():  # go on where an earlier run was stopped
        earlier = json.loads(options.out.read_text(encoding="utf-8"))
        found = earlier["coverage"] if earlier["runs"] == options.runs else {}
    for shape, size in SHAPES.items():
        for name, judge in JUDGES.items():
            if name not in found.setdefault(shape, {}):
                found[shape][name] = cover(judge, size, options.runs, random=name == "random")
            print(f"{shape}; {name}: {found[shape][name]}", flush=True)
            if options.out is not None:
                write_json(options.out, {"runs": options.runs, "coverage": found})


if __name__ == "__main__":
    main()
