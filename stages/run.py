"""The frame of every stage: parameters in, one line for a mistake, nothing left running.

`python -m stages.<name>` calls `main(name, work)`. Seconds, host, versions and the commit go to
`.cache/runs/<name>.json`, which is neither a dependency nor an output: outputs hold only what parameters and
inputs determine.
"""

from __future__ import annotations

import errno
import fcntl
import importlib.metadata
import io
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from relearn.errors import InputError
from relearn.files import write_json
from relearn.params import Params, load
from stages import cache, die_with_parent, launch, paths

LIBRARIES = (
    "torch",
    "transformers",
    "peft",
    "tokenizers",
    "datasets",
    "openai",
    "json-repair",
    "sacrebleu",
    "codebleu",
)

# What a person can do about an operating system's error; any other is a fault of the program.
_TODO = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space",
    errno.EACCES: "make it writable",
    errno.EPERM: "make it writable",
    errno.EROFS: "make it writable",
    errno.EEXIST: "a folder is expected there: move the file away",
    errno.ENOTDIR: "a folder is expected there: move the file away",
    errno.EISDIR: "a file is expected there: move the folder away",
}

Work = Callable[[Params], dict[str, Any] | None]


def main(name: str, work: Work) -> None:
    """Runs a stage and leaves the process: status 0, 1 for a mistake that one line explains, 130 for Ctrl-C.

    `work` returns what belongs in the run log besides the time (or None).
    """
    die_with_parent()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    started = time.time()
    try:
        _keys()
        params = load(paths.ROOT)
        if launch.inside():  # the process that started this one holds the lock, and keeps the log
            work(params)
        else:
            with _alone(name):
                if "DVC_STAGE" in os.environ:
                    cache.check_inputs(name)
                facts = work(params) or {}
            _log(name, started, facts)
    except InputError as error:
        _leave(name, " ".join(str(error).split("\n")))
    except OSError as error:
        if error.errno not in _TODO:
            raise
        where = f"{error.filename}: " if error.filename else ""
        todo = _TODO[error.errno]
        _leave(name, f"{where}{(error.strerror or str(error)).lower()}; {todo} and run again")
    except KeyboardInterrupt:
        print(f"{name}: stopped", file=sys.stderr)
        sys.exit(130)


def _keys() -> None:
    """Takes keys of servers from `.env` where there is one (https://github.com/theskumar/python-dotenv).

    What the environment holds already stays as it is. Values are taken as they stand, `$` included. Raises InputError
    that names the line, never what is in it.
    """
    try:
        text = paths.KEYS.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return
    except UnicodeDecodeError:
        raise InputError(f"{paths.KEYS}: not UTF-8; save the file as UTF-8") from None
    from dotenv.parser import parse_stream

    for binding in parse_stream(io.StringIO(text)):
        if binding.error or (binding.key is not None and not binding.value):
            raise InputError(
                f"{paths.KEYS}, line {binding.original.line}: lines of the form NAME=value are expected; mend that one"
            )
        if binding.key is not None and binding.value is not None:
            os.environ.setdefault(binding.key, binding.value)


def _leave(name: str, reason: str) -> None:
    # paths are told from the repository's root, where the user stands; a reason may quote a row, and a terminal would act
    # on the control characters that it holds
    told = reason.replace(f"{paths.ROOT}{os.sep}", "")
    told = "".join(mark if mark.isprintable() else f"⟨U+{ord(mark):04X}⟩" for mark in told)
    print(f"{name}: {told}", file=sys.stderr)
    sys.exit(1)


@contextmanager
def _alone(name: str, patience: float = 20.0) -> Iterator[None]:
    """Holds this checkout's lock for the stage; the kernel frees it when the process ends, however it ends."""
    folder = paths.ROOT / ".cache" / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / f"{name}.lock", "w") as file:
        deadline = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise InputError(
                        "this stage is already running in this checkout; wait for it, or end it"
                    ) from None
                time.sleep(0.2)
        yield


def _log(name: str, started: float, facts: dict[str, Any]) -> None:
    record = {
        "stage": name,
        "seconds": round(time.time() - started, 2),
        "host": platform.node(),
        "python": platform.python_version(),
        "commit": _commit(),
        "libraries": {library: _version(library) for library in LIBRARIES},
        **facts,
    }
    write_json(paths.RUNS / f"{name}.json", record)


def _version(library: str) -> str | None:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return None


def _commit() -> str | None:
    result = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=paths.ROOT, capture_output=True, text=True, check=False
    )
    return result.stdout.strip() or None
