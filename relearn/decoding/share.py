"""Batches dealt out to the processes that a launcher has started: each works on its own, and all get all results.

What a batch holds does not depend on how many processes there are, so neither does what comes of it, to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Generic, TypeVar

from relearn.launched import find_rank
from relearn.progress import Progress

Found = TypeVar("Found")
# The longest wait for the others to end their part; one that is killed ends all at once (`relearn.launched`).
LONGEST = timedelta(days=30)


@dataclass(frozen=True)
class BatchJob(Generic[Found]):
    """What one process does: `run`, for so many prompts. What `run` returns travels by pickle."""

    prompts: int
    run: Callable[[], Found]


@dataclass(frozen=True)
class Share:
    """Which of how many processes this one is. All of them do the same calls in the same order."""

    rank: int = 0
    processes: int = 1

    @classmethod
    def of_launched(cls) -> Share:
        """This process's own, of those that a launcher has started."""
        return cls(*find_rank())

    def do(self, jobs: Sequence[BatchJob[Found]], label: str) -> list[Found]:
        """The results of all jobs, in order; those that are this process's part are run here."""
        mine = jobs[self.rank :: self.processes]
        if self.processes > 1:
            label = f"{label} (a part of {self.processes})"
        results: list[Found] = []
        with Progress(label, sum(job.prompts for job in mine), "prompts") as bar:
            for job in mine:
                results.append(job.run())
                bar.update(job.prompts)
        return results if self.processes == 1 else self._exchange(results, len(jobs))

    def _exchange(self, own: list[Found], count: int) -> list[Found]:
        import torch.distributed

        if not torch.distributed.is_initialized():
            torch.distributed.init_process_group("gloo", timeout=LONGEST)  # results are in memory, whatever the device
        parts: list[Any] = [None] * self.processes
        torch.distributed.all_gather_object(parts, own)
        results: list[Any] = [None] * count
        for rank, part in enumerate(parts):
            results[rank :: self.processes] = part
        return results


ALONE = Share()
