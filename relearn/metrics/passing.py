"""pass@1: the share of answers whose code passes the row's tests (Chen et al. 2021, one greedy sample)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from relearn.metrics.code.find import find_code
from relearn.sandbox.runner import Job, Limits, Verdict, run_all
from relearn.statistics.scores import Scores, mean

if TYPE_CHECKING:
    from relearn.params.groups import Eval3a


def passes(
    predictions: Sequence[str], prompts: Sequence[str], tests: Sequence[Sequence[str]], params: Eval3a
) -> Scores:
    """1 for an answer whose code passes all tests of its row, else 0; an answer without code fails unrun."""
    return mean(
        "pass_at_1",
        [verdict.passed for verdict in verdicts(predictions, prompts, tests, params)],
        proportion=True,
    )


def verdicts(
    predictions: Sequence[str], prompts: Sequence[str], tests: Sequence[Sequence[str]], params: Eval3a
) -> list[Verdict]:
    """What became of each answer; equal programs with equal tests are run once."""
    if params.execute == "off":
        raise ValueError("eval_3a.execute is off: nothing may be run")
    limits = Limits(params.timeout_s, params.memory_mb)
    codes = [find_code(p, q) for p, q in zip(predictions, prompts, strict=True)]
    keys = [
        None if c is None else (c, tuple(t), limits, params.execute)
        for c, t in zip(codes, tests, strict=True)
    ]
    new = [key for key in dict.fromkeys(keys) if key is not None and key not in _known]
    found = run_all([Job(code, asserts) for code, asserts, *_ in new], limits, params.execute)
    _known.update(zip(new, found, strict=True))
    return [Verdict(False, "no code") if key is None else _known[key] for key in keys]


# What this process has already run: models that give the same answer share its verdict.
_known: dict[tuple[str, tuple[str, ...], Limits, str], Verdict] = {}
