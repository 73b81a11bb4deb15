"""Runs a module as `python -m` does, in a process forked from one that has imported the large libraries already.

Torch, transformers and peft take seconds to import, and most commands that a test runs take less than that. The
project's own modules are imported anew by each command, from the folder that it runs in. Tests that are about the
process itself, such as what it imports, start a real one.
"""

from __future__ import annotations

import atexit
import functools
import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext
from pathlib import Path
from unittest import mock

LIBRARIES = ["transformers.models.llama.modeling_llama", "transformers.trainer", "bert_score", "pandas", "scipy.stats"]
# What the libraries read when they are imported.
AT_IMPORT = {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "GOMP_SPINCOUNT": "0", "OMP_WAIT_POLICY": "passive"}


def run_module(
    module: str, arguments: Sequence[str], folder: Path, environment: Mapping[str, str], timeout: float
) -> subprocess.CompletedProcess[str]:
    """What `python -m module arguments` says and ends with, run in the folder. TimeoutExpired after `timeout` seconds."""
    command = [module, *arguments]
    with tempfile.TemporaryDirectory() as streams:
        out, err = Path(streams, "out"), Path(streams, "err")
        child = _server().Process(target=_run, args=(command, str(folder), dict(environment), str(out), str(err)))
        child.start()
        child.join(timeout)
        if child.exitcode is None:
            child.kill()
            child.join()
            raise subprocess.TimeoutExpired(command, timeout, out.read_bytes(), err.read_bytes())
        status = child.exitcode
        child.close()
        return subprocess.CompletedProcess(command, status, out.read_text("utf-8"), err.read_text("utf-8"))


@functools.cache
def _server() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(LIBRARIES)
    with mock.patch.dict(os.environ, {**AT_IMPORT, "HF_HOME": _home().name}):
        forkserver.ensure_running()
    return context


@functools.cache
def _home() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="relearn-forked-")


def _run(command: list[str], folder: str, environment: dict[str, str], out: str, err: str) -> None:
    for number, file in ((1, out), (2, err)):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT), number)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for name in [name for name in sys.modules if name.partition(".")[0] in ("tests", "stages", "relearn")]:
        del sys.modules[name]
    sys.path[:0] = [folder, *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))]
    sys.argv = list(command)
    try:
        runpy.run_module(command[0], run_name="__main__", alter_sys=True)
    finally:
        atexit._run_exitfuncs()  # multiprocessing's own end leaves them out
