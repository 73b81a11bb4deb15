"""Plain fine-tuning: the rows of the new tasks, and their cross entropy."""

from __future__ import annotations

from relearn.training.method import Method


class Plain(Method):
    """No remedy."""
