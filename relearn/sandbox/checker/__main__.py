"""One generated program and its tests, in two processes.

Started by `runner.py` as a script, with the standard library only. It forks. The child defines the program and
answers calls to it; the parent, which never runs a line of it, evaluates the tests, each use of a name of the
program being a message to the child. The expected values stay in the parent, only plain data comes back, and the
verdict is the parent's alone: a program that ends early, patches `assert`, returns an object equal to everything,
or writes "passed" wherever it can, gains nothing.

Input on stdin, two blocks (decimal length, newline, JSON): `{code, limits, guard}`, then `{tests}`, read only after the
fork. Output on stdout: `{passed, reason}`.
"""

from __future__ import annotations

import json
import os
import signal
import sys

from relearn.sandbox.checker.child import Child
from relearn.sandbox.checker.guard import set_guard
from relearn.sandbox.checker.limits import PR_SET_DUMPABLE, PR_SET_PDEATHSIG, libc, set_rlimits, set_seccomp
from relearn.sandbox.checker.protocol import describe, read_exactly
from relearn.sandbox.checker.session import NotPassed, Session, run_tests

TYPE_CHECKING = False  # importing typing would cost every program its time
if TYPE_CHECKING:
    from relearn.sandbox.checker.protocol import Json


def _read_block() -> Json:
    head = b""
    while not head.endswith(b"\n"):
        head += read_exactly(0, 1)
    return json.loads(read_exactly(0, int(head)))


def main() -> None:
    """Reads a program and its tests, and writes the verdict."""
    first = _read_block()
    os.environ.clear()
    set_rlimits(first["limits"])
    libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)  # the child must not read or write this process's memory
    request_read, request_write = os.pipe()
    answer_read, answer_write = os.pipe()
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        _become_child(first, parent, request_read, answer_write)
    os.close(request_read)
    os.close(answer_write)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    verdict = {"passed": True, "reason": ""}
    try:
        run_tests(Session(request_write, answer_read), _read_block()["tests"])
    except (EOFError, BrokenPipeError):
        verdict = {"passed": False, "reason": "the program ended early"}
    except BaseException as error:  # noqa: BLE001 - whatever went wrong, the program has not passed
        reason = str(error) if isinstance(error, NotPassed) else describe(error)
        verdict = {"passed": False, "reason": reason[:300]}
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if not verdict["passed"] and os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGXFSZ):
        verdict["reason"] = "out of CPU time" if os.WTERMSIG(status) == signal.SIGXCPU else "wrote too large a file"
    os.write(1, json.dumps(verdict).encode())
    os._exit(0)


def _become_child(first: Json, parent: int, requests: int, answers: int) -> None:
    try:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)
        null = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null, fd)
        sys.setrecursionlimit(5_000)
        sys.dont_write_bytecode = True
        set_seccomp()
        if first["guard"]:
            set_guard(os.getcwd())
        Child(requests, answers).run(first["code"])
    finally:
        os._exit(1)


if __name__ == "__main__":
    sys.set_int_max_str_digits(0)
    main()
