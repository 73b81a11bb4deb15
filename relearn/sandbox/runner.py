"""Runs generated programs against their tests, each in a sandbox of its own.

With bubblewrap: no network, no environment, no /proc, a small empty scratch folder as the only place to write, the
Python library read-only and nothing else to read, process and user namespaces of its own. Without it, only when asked
for `best_effort`: rlimits, seccomp, an audit hook, a scratch folder that is deleted, and a warning. In both: limits
on CPU time, memory, file size, open files and processes, a wall clock, and everything killed as a group.

What runs inside is the package `checker`; a verdict counts only when that process, which never runs the program, gave it.
"""

from __future__ import annotations

import functools
import json
import math
import os
import py_compile
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from relearn.errors import InputError
from relearn.progress import Progress, say

SCRATCH_MB, FILE_MB, FILES, PROCESSES = 16, 4, 64, 32
MAX_VERDICT = 10_000
HERE = Path(__file__).parent
MAIN = "relearn/sandbox/checker/__main__.pyc"
Mode = Literal["strict", "best_effort"]


@dataclass(frozen=True)
class Job:
    """A program and the Python statements, asserts as a rule, that it must pass."""

    code: str
    tests: Sequence[str]


@dataclass(frozen=True)
class Verdict:
    """Whether every test passed, and if not, why, in a few words."""

    passed: bool
    reason: str


@dataclass(frozen=True)
class ProgramLimits:
    """CPU seconds and MiB of one program."""

    cpu_s: float
    memory_mb: int

    @property
    def wall_s(self) -> float:
        """Seconds after which a program that sleeps is killed; generous, since machines are shared."""
        return 3 * self.cpu_s + 3


@functools.cache
def bubblewrap() -> tuple[str, ...] | None:
    """The command that starts a sandbox, up to the program's own; None where bubblewrap is missing or refused."""
    program = shutil.which("bwrap")
    if program is None:
        return None
    command = (program, *_arguments())
    try:
        run = subprocess.run([*command, *_python("-c", "pass")], capture_output=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return command if run.returncode == 0 else None


def _arguments() -> list[str]:
    found = ["--unshare-all", "--unshare-user", "--die-with-parent", "--new-session", "--cap-drop", "ALL"]
    found += ["--uid", "65534", "--gid", "65534", "--hostname", "sandbox"]
    found += ["--clearenv", "--setenv", "PYTHONHASHSEED", "0", "--setenv", "PYTHONPATH", "/checker"]
    prefix = Path(sys.base_prefix).resolve()
    for folder in ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache"):
        found += ["--ro-bind-try", folder, folder]
    binary = _interpreter()
    found += ["--ro-bind-try", str(prefix / "lib"), str(prefix / "lib"), "--ro-bind", binary, binary]
    for device in ("/dev/null", "/dev/zero", "/dev/urandom"):
        found += ["--dev-bind", device, device]
    found += ["--ro-bind", _compiled_checker(), "/checker"]
    found += ["--size", str(SCRATCH_MB << 20), "--tmpfs", "/tmp", "--chdir", "/tmp", "--remount-ro", "/"]
    return found


def _interpreter() -> str:
    return os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)


@functools.cache
def _scratch() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="relearn-checker-")


@functools.cache
def _compiled_checker() -> str:
    """A folder with the checker as bytecode: compiling it anew for every program would cost more than starting Python."""
    folder = Path(_scratch().name)
    parts = sorted((HERE / "checker").glob("*.py"))
    for part in (HERE.parent / "__init__.py", HERE / "__init__.py", *parts):
        name = part.relative_to(HERE.parents[1])
        py_compile.compile(str(part), str(folder / name.with_suffix(".pyc")), str(name), doraise=True)
    return str(folder)


def _python(*arguments: str) -> list[str]:
    # No site-packages, no user folder, no script folder on the path. Not -I: it would ignore the hash seed, which
    # makes the order of sets, and with it a verdict, the same in every run.
    return [_interpreter(), "-S", "-s", "-P", "-B", *arguments]


def command(mode: Mode) -> tuple[str, ...] | None:
    """bubblewrap's command, or None for best effort without it, with a warning; InputError for strict."""
    found = bubblewrap()
    if found is None and mode == "strict":
        raise InputError(
            "sandbox.execute: strict needs a working bubblewrap (bwrap); install the package bubblewrap, "
            "allow user namespaces, or choose best_effort or off"
        )
    if found is None:
        _warn()
    return found


@functools.cache
def _warn() -> None:
    say(
        "warning: no working bubblewrap; generated code runs under rlimits, seccomp and an audit hook only "
        "(sandbox.execute: strict refuses this)"
    )


def run_all(
    jobs: Sequence[Job], limits: ProgramLimits, mode: Mode, label: str = "tests", workers: int = 2
) -> list[Verdict]:
    """The verdict of every job, in order; `workers` sandboxes at a time. InputError as `command`."""
    prefix = command(mode)
    with Progress(label, len(jobs), "programs") as progress, ThreadPoolExecutor(workers) as pool:

        def one(job: Job) -> Verdict:
            verdict = run(job, limits, prefix)
            progress.update()
            return verdict

        return list(pool.map(one, jobs))


def run(job: Job, limits: ProgramLimits, prefix: tuple[str, ...] | None) -> Verdict:
    """One program in one sandbox; `prefix` is `bubblewrap()`, None for rlimits alone."""
    request = {
        "code": job.code,
        "guard": prefix is None,
        "limits": {
            "cpu_s": math.ceil(limits.cpu_s),
            "memory_mb": limits.memory_mb,
            "file_mb": FILE_MB,
            "files": FILES,
            "processes": PROCESSES,
        },
    }
    data = b"".join(_block(part) for part in (request, {"tests": list(job.tests)}))
    if prefix is not None:
        return _supervise([*prefix, *_python(f"/checker/{MAIN}")], data, limits, None)
    with tempfile.TemporaryDirectory(prefix="relearn-sandbox-", ignore_cleanup_errors=True) as scratch:
        return _supervise(_python(f"{_compiled_checker()}/{MAIN}"), data, limits, scratch)


def _block(value: object) -> bytes:
    body = json.dumps(value).encode()
    return b"%d\n%s" % (len(body), body)


def _supervise(arguments: list[str], data: bytes, limits: ProgramLimits, scratch: str | None) -> Verdict:
    process = subprocess.Popen(
        arguments,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=scratch,
        env={"PYTHONHASHSEED": "0", "PYTHONPATH": _compiled_checker()},
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(data, timeout=limits.wall_s)
    except subprocess.TimeoutExpired:
        return Verdict(False, "out of time")
    finally:
        _end(process)
    try:
        verdict = json.loads(output[:MAX_VERDICT])
        return Verdict(verdict["passed"] is True, str(verdict["reason"]))
    except (ValueError, TypeError, KeyError):
        return Verdict(False, "ended without a verdict: out of CPU time or memory, or killed")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kills the whole group and reaps its leader; bubblewrap's namespace dies with it."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    streams: list[IO[bytes] | None] = [process.stdin, process.stdout]
    for stream in streams:
        if stream is not None:
            with suppress(BrokenPipeError):
                stream.close()
