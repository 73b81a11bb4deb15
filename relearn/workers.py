"""Work on rows, shared out over processes a chunk at a time; results come in the order of the chunks.

The environment variable RELEARN_WORKERS says how many processes work; unset, every core that this process may use has
one. How many there are changes nothing in a result.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import sys
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sized
from concurrent.futures import Future
from contextlib import suppress
from itertools import islice
from types import TracebackType
from typing import Any, Generic, TypeVar

from relearn.errors import InputError

VARIABLE = "RELEARN_WORKERS"
MOST = 1024
# The process that asks keeps AHEAD chunks on their way to each one that helps, and works on one itself whenever it would wait
# for the next in order. OWN more results may be there before their turn comes: memory does not grow with the rows.
AHEAD, OWN = 3, 12
# Bytes of a pipe between processes. In the 64 kB that it comes with, a result waits for the process that asks, which is busy
# with a chunk of its own.
PIPE = 2**20
PR_SET_PDEATHSIG = 1

T = TypeVar("T")
Chunk = TypeVar("Chunk", bound=Sized)
Found = TypeVar("Found")


def count_workers() -> int:
    """Processes that share the work. InputError where the environment asks for something else than a number of them."""
    asked = os.environ.get(VARIABLE, "").strip()
    if not asked:
        return count_cores()
    if not (asked.isascii() and asked.isdigit() and 1 <= int(asked) <= MOST):
        raise InputError(f"{VARIABLE}: is {asked!r}; expected a whole number of processes, from 1 to {MOST}")
    return int(asked)


def count_cores() -> int:
    """Cores that this process may use; where the system does not say (macOS), those there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def chunked(rows: Iterable[T], size: int) -> Iterator[list[T]]:
    """The rows in lists of `size`, the last perhaps shorter. Where reading fails, what was read before comes first."""
    rows = iter(rows)
    while True:
        chunk: list[T] = []
        failed: Exception | None = None
        try:
            for row in islice(rows, size):
                chunk.append(row)
        except Exception as error:  # noqa: BLE001 - raised again below
            failed = error
        if chunk:
            yield chunk
        if failed is not None:
            raise failed
        if len(chunk) < size:
            return


class Workers(Generic[Chunk, Found]):
    """Processes that do `work` on chunks of rows. Used as a context: leaving it ends them, whatever happened.

    The first `alone` rows are worked on in this process alone, so that small inputs do not wait for others to start; then it
    is one of those that work. `work` and its results travel by pickle, `work` once to each process.
    """

    def __init__(self, work: Callable[[Chunk], Found], alone: float) -> None:
        self.work, self.alone = work, alone
        self.number = count_workers()
        self._pool: Any = None

    def __enter__(self) -> Workers[Chunk, Found]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            if kind is not None:
                # loky drops what is not done, then looks for what it has not yet sent, and says a traceback on stderr.
                with self._pool._work_ids.mutex:
                    self._pool._work_ids.queue.clear()
            self._pool.shutdown(wait=True, kill_workers=kind is not None)
            self._pool = None

    def map(self, chunks: Iterable[Chunk]) -> Iterator[tuple[Chunk, Found]]:
        """Yields each chunk and what `work` makes of it, in order; chunks are read as they are needed.

        Raises what reading raises, after the results of the chunks before it; what `work` raises, InputError among it; and
        InputError when a process is killed.
        """
        chunks = iter(chunks)
        if self.number == 1:
            yield from ((chunk, self.work(chunk)) for chunk in chunks)
            return
        while self.alone > 0:
            chunk = next(chunks, None)
            if chunk is None:
                return
            self.alone -= len(chunk)
            yield chunk, self.work(chunk)
        yield from self._map_over_processes(chunks)

    def _map_over_processes(self, chunks: Iterator[Chunk]) -> Iterator[tuple[Chunk, Found]]:
        # Here, because it takes a third of a second, which small inputs do without.
        from joblib.externals.loky.process_executor import TerminatedWorkerError

        waiting: deque[tuple[Chunk, Future[Found]]] = deque()
        failed: Exception | None = None
        sent = AHEAD * (self.number - 1)

        def read() -> Chunk | None:
            nonlocal failed
            if failed is None and len(waiting) < sent + OWN:
                try:
                    return next(chunks, None)
                except Exception as error:  # noqa: BLE001 - raised again when the chunks before it are done
                    failed = error
            return None

        try:
            while True:
                while sum(not future.done() for _, future in waiting) < sent and (chunk := read()) is not None:
                    waiting.append((chunk, self._submit(chunk)))
                if not waiting:
                    break
                if not waiting[0][1].done() and (chunk := read()) is not None:
                    waiting.append((chunk, self._work_here(chunk)))
                    continue
                chunk, future = waiting.popleft()
                yield chunk, future.result()
        except TerminatedWorkerError:
            raise InputError(
                f"one of {self.number} processes that share the work was killed (out of memory?); run again, with "
                f"{VARIABLE}=1 for a single one"
            ) from None
        if failed is not None:
            raise failed

    def _work_here(self, chunk: Chunk) -> Future[Found]:
        future: Future[Found] = Future()
        try:
            future.set_result(self.work(chunk))
        except Exception as error:  # noqa: BLE001 - raised when the chunks before it are done
            future.set_exception(error)
        return future

    def _submit(self, chunk: Chunk) -> Any:
        if self._pool is not None:
            return self._pool.submit(_do, chunk)
        from joblib.externals.loky import ProcessPoolExecutor

        # loky starts a process anew that has grown by 300 MB, as imports and caches make it do, and warns of a leak. One
        # that is killed is told of all the same.
        warnings.filterwarnings("ignore", "A worker stopped while some jobs were given", UserWarning)
        self._pool = ProcessPoolExecutor(
            self.number - 1,
            timeout=None,
            initializer=_begin,
            initargs=(os.getpid(), self.work),
            env={"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        )
        if hasattr(fcntl, "F_SETPIPE_SZ"):
            for queue in (self._pool._call_queue, self._pool._result_queue):  # loky has no setting for it
                with suppress(OSError):  # where the system allows less, the work is slower, and the same
                    fcntl.fcntl(queue._reader.fileno(), fcntl.F_SETPIPE_SZ, PIPE)
        # Processes inherit what is blocked: Ctrl-C, which a terminal sends to all of them, reaches this one alone.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            return self._pool.submit(_do, chunk)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


_work: Callable[[Any], Any]


def _begin(parent: int, work: Callable[[Any], Any]) -> None:
    global _work
    end_with(parent)
    _work = work


def _do(chunk: Any) -> Any:
    return _work(chunk)


def end_with(parent: int) -> None:
    """Asks the kernel to end this process when `parent`, which started it, ends; ends it where that has happened already."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
