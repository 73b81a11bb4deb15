"""Whether answers to the items of a suite pass their checks, each answer looked at once."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Literal

from relearn.evaluation.check_files import read_checks
from relearn.evaluation.checks import CheckOutcome, CheckSettings, check_answer
from relearn.evaluation.suite import SkillItem
from relearn.reasoning import take_off_reasoning
from relearn.records import Prediction
from relearn.sandbox.runner import ProgramLimits, bubblewrap

NGRAM, LOOP_SHARE = 4, 0.5  # what is a loop


class Checker:
    """The checks of some items. Those that run programs need bubblewrap, and count as not measured without it."""

    def __init__(
        self, items: Sequence[SkillItem], execute: Literal["off", "strict", "best_effort"], limits: ProgramLimits
    ) -> None:
        self.items = {item.id: item for item in items}
        self._checks = {item.id: read_checks(item.checks, f"item {item.id}") for item in items}
        self._execute = execute
        self._settings = CheckSettings(NGRAM, LOOP_SHARE, "strict", limits)
        self._known: dict[tuple[str, str], CheckOutcome] = {}

    @functools.cached_property
    def runs_programs(self) -> bool:
        """Whether programs can be run as they must be here: `execute` is not off, and bubblewrap works."""
        return self._execute != "off" and bubblewrap() is not None

    def check(self, row: Prediction) -> CheckOutcome | None:
        """The outcome of an answer; None where it belongs to no item, or its checks cannot be run here."""
        checks = self._checks.get(row.id)
        if checks is None or (any(check.runs_programs for check in checks) and not self.runs_programs):
            return None
        answer, _ = take_off_reasoning(row.prediction)
        if (row.id, answer) not in self._known:
            self._known[row.id, answer] = check_answer(checks, answer, self._settings)
        return self._known[row.id, answer]
