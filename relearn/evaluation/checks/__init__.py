"""Does an answer do what was asked? One class for each kind of check: what probes and skills ask for, and how it is
checked.

Every module of this package is imported, so that a check is a class in one file.
"""

from __future__ import annotations

import importlib
import pkgutil

from relearn.evaluation.checks.check import CHECKS, Check, CheckOutcome, CheckSettings, check_answer

__all__ = ["CHECKS", "Check", "CheckOutcome", "CheckSettings", "check_answer"]

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
