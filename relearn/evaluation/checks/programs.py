"""Python that an answer holds, run against tests."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field

from relearn.evaluation.checks.check import Check, CheckSettings
from relearn.metrics.code.program import find_program
from relearn.metrics.code.trees import parse
from relearn.sandbox import runner as sandbox


class Function(Check):
    """Holds Python code that parses, defines `name`, and passes `tests` (asserts) in the sandbox."""

    type: Literal["function"]
    name: str = Field(pattern=r"^[A-Za-z_]\w*$")
    tests: tuple[str, ...] = ()

    @property
    def runs_programs(self) -> bool:
        return bool(self.tests)

    def fault(self, answer: str, settings: CheckSettings) -> str:
        code = find_program(answer, None, [self.name, *self.tests])
        if code is None:
            return "no code"
        if parse(code) is None:
            return "the code does not parse"
        if not re.search(rf"^\s*(async\s+)?def\s+{self.name}\s*\(", code, re.MULTILINE):
            return f"does not define {self.name}"
        if not self.tests or settings.execute == "off":
            return ""
        job = sandbox.Job(code, self.tests)
        return sandbox.run(job, settings.limits, sandbox.command(settings.execute)).reason
