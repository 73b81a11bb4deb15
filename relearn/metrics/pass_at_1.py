"""pass@1: the share of answers whose code passes the row's tests (Chen et al. 2021, one greedy sample)."""

from __future__ import annotations

from collections.abc import Sequence

from relearn.metrics.code.program import find_program
from relearn.metrics.metric import Metric
from relearn.sandbox.runner import Job, Mode, ProgramLimits, Verdict, run_all
from relearn.statistics.scores import Scores, mean

# What this process has already run: models that give the same answer share its verdict.
_known: dict[tuple[str, tuple[str, ...], ProgramLimits, str], Verdict] = {}


def pass_at_1(
    predictions: Sequence[str],
    prompts: Sequence[str],
    tests: Sequence[Sequence[str]],
    execute: Mode,
    timeout_s: float,
    memory_mb: int,
) -> Scores:
    """1 for an answer whose program passes all tests of its row, run in the sandbox; one without code fails unrun.

    Equal programs with equal tests are run once. InputError as `run_all`.
    """
    limits = ProgramLimits(timeout_s, memory_mb)
    codes = map(find_program, predictions, prompts, tests)
    keys = [
        None if code is None else (code, tuple(asserts), limits, execute)
        for code, asserts in zip(codes, tests, strict=True)
    ]
    new = [key for key in dict.fromkeys(keys) if key is not None and key not in _known]
    found = run_all([Job(code, asserts) for code, asserts, *_ in new], limits, execute)
    _known.update(zip(new, found, strict=True))
    return mean("pass_at_1", [key is not None and _known[key].passed for key in keys], proportion=True)


METRIC = Metric(
    name="pass_at_1",
    label="pass@1",
    signed="pass_at1",
    score=pass_at_1,
    reads=("predictions", "prompts", "tests"),
    needs=("tests",),
    options=("execute", "timeout_s", "memory_mb"),
    paper="Chen et al. 2021",
    describe=lambda **options: {"samples": 1, **options},
)
