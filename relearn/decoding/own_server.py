"""A server that runs as long as this process asks it, and never longer.

A keeper, this module run as a program, starts the server in a process group of their own and reads a pipe from the
process that asks. When the pipe closes, because that process is done, raised, or was killed, the keeper ends the whole
group; when the keeper is killed, the kernel ends the server.
"""

from __future__ import annotations

import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from relearn.errors import InputError
from relearn.workers import end_with

STOP_S = 10.0  # that a server gets to end by itself
POLL_S = 0.2
TAIL = 20_000  # bytes of a log that its last line is looked for in
LONGEST_LINE = 300
_ESCAPES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


def find_free_port() -> int:
    """A port of 127.0.0.1 on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def keep_running(
    name: str,
    command: Sequence[str],
    environment: Mapping[str, str],
    log: Path,
    answers: Callable[[], bool],
    limit_s: float,
) -> Iterator[None]:
    """Starts a server, waits until `answers()`, and stops it and all that it started when the context is left.

    It runs in the folder of `log`, which takes what it prints. `name` is the server in errors: InputError when it ends
    before it answers, or while it is asked, and when it does not answer within `limit_s` seconds; each with the log's last line.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    keep = [sys.executable, "-m", "relearn.decoding.own_server", str(log.parent.resolve()), *command]
    with log.open("wb") as output:
        keeper = subprocess.Popen(
            keep, cwd=Path(__file__).parents[2], env=dict(environment), stdin=subprocess.PIPE, stdout=output,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    up = False
    try:
        until = time.monotonic() + limit_s
        while not answers():
            if keeper.poll() is not None:
                raise InputError(f"{name} ended before it answered: {_read_last_line(log)} ({log} has more)")
            if time.monotonic() > until:
                raise InputError(
                    f"{name} did not answer within {limit_s:g} s: {_read_last_line(log)} ({log} has more); give it longer"
                )
            time.sleep(POLL_S)
        up = True
        yield
    except InputError as error:
        if up and _has_ended(keeper):
            raise InputError(
                f"{name} ended while it was asked: {_read_last_line(log)} ({log} has more); run again"
            ) from error
        raise
    finally:
        _stop(keeper)


def _has_ended(keeper: subprocess.Popen[bytes]) -> bool:
    with suppress(subprocess.TimeoutExpired):  # a keeper needs a moment to see that its server has ended
        keeper.wait(5 * POLL_S)
    return keeper.poll() is not None


def _stop(keeper: subprocess.Popen[bytes]) -> None:
    assert keeper.stdin is not None
    keeper.stdin.close()
    with suppress(subprocess.TimeoutExpired):
        keeper.wait(2 * STOP_S)
    with suppress(ProcessLookupError, PermissionError):  # of a group that is gone
        os.killpg(keeper.pid, signal.SIGKILL)
    keeper.wait()


def _read_last_line(log: Path) -> str:
    with log.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL))
        text = _ESCAPES.sub("", file.read().decode(errors="replace"))
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:LONGEST_LINE] if lines else "it printed nothing"


def _keep(folder: str, command: Sequence[str]) -> None:
    """Runs the server until it ends or standard input does; then ends the process group, this process included."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    server = subprocess.Popen(
        command, cwd=folder, stdin=subprocess.DEVNULL, preexec_fn=partial(end_with, os.getpid())
    )  # nothing else runs in this process, so that a function before exec is safe
    try:
        while server.poll() is None and not select.select([sys.stdin], [], [], POLL_S)[0]:
            pass
        if server.poll() is None:
            server.terminate()
            with suppress(subprocess.TimeoutExpired):
                server.wait(STOP_S)
    finally:
        os.killpg(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    _keep(sys.argv[1], sys.argv[2:])
