"""The frame of every stage: parameters in, one line for a mistake, nothing left running.

`python -m stages.<name>` calls `main(name, work)`. Seconds, host, versions and the commit go to
`.cache/runs/<name>.json`, which is neither a dependency nor an output: outputs hold only what parameters and
inputs determine.
"""

from __future__ import annotations

import errno
import hashlib
import importlib.metadata
import io
import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from relearn.errors import InputError
from relearn.files import write_json
from relearn.launched import end_together, is_worker
from relearn.params import Params, load
from stages import cache, die_with_parent
from stages.paths import HERE, Paths

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

# What the user can do about an operating system's error; any other is a fault of the program.
_TODO = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space",
    errno.EACCES: "make it writable",
    errno.EPERM: "make it writable",
    errno.EROFS: "make it writable",
    errno.EEXIST: "expected a folder there: move the file away",
    errno.ENOTDIR: "expected a folder there: move the file away",
    errno.EISDIR: "expected a file there: move the folder away",
}

Work = Callable[[Params, Paths], dict[str, Any] | None]


def main(name: str, work: Work) -> None:
    """Runs a stage as a process that ends with its parent, or at SIGTERM; `--help` shows what its module says."""
    if _asks_for_help():
        print((sys.modules["__main__"].__doc__ or "").strip())
        sys.exit(0)
    die_with_parent()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    run(name, work, HERE)


def main_or_estimate(name: str, work: Work, estimate: Callable[[Params, Paths], list[str]]) -> None:
    """As `main`; with `--estimate` it sends nothing and prints the lines that say what a run would send and cost."""
    if sys.argv[1:] == ["--estimate"]:
        try:
            print("\n".join(estimate(load(HERE.root), HERE)))
        except InputError as error:
            print(f"{name}: {error}", file=sys.stderr)
            sys.exit(1)
    elif sys.argv[1:] and not _asks_for_help():
        print(f"usage: python -m stages.{name} [--estimate]", file=sys.stderr)
        sys.exit(2)
    else:
        main(name, work)


def _asks_for_help() -> bool:
    return bool({"-h", "--help"} & set(sys.argv[1:]))


def run(name: str, work: Work, paths: Paths, patience: float = 20.0) -> None:
    """Runs a stage and leaves the process: status 0, 1 for a mistake, which one line explains, 130 for Ctrl-C.

    `work` returns what belongs in the run log besides the time (or None). `patience`: seconds that it waits for the
    same stage to end.
    """
    started = time.time()
    try:
        _read_keys(paths.keys)
        params = load(paths.root)
        if is_worker():  # the process that started this one holds the lock, and keeps the log
            work(params, paths)
            end_together()
        else:
            with hold_lock(name, paths, patience):
                if "DVC_STAGE" in os.environ:
                    cache.check_inputs(name, paths)
                facts = work(params, paths) or {}
            _log(name, started, {"speed": name_speed(params), **facts}, paths)
    except InputError as error:
        _leave(name, " ".join(str(error).split("\n")), paths)
    except OSError as error:
        if error.errno not in _TODO:
            raise
        where = f"{error.filename}: " if error.filename else ""
        todo = _TODO[error.errno]
        _leave(name, f"{where}{(error.strerror or str(error)).lower()}; {todo} and run again", paths)
    except KeyboardInterrupt:
        print(f"{name}: stopped", file=sys.stderr)
        sys.exit(130)


def _read_keys(file: Path) -> None:
    """Reads keys of servers from `.env` where there is one (https://github.com/theskumar/python-dotenv).

    What the environment already holds stays as it is. Values are taken as they are, `$` included. Raises InputError
    that names the line, never what is in it.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return
    except UnicodeDecodeError:
        raise InputError(f"{file}: not UTF-8; save the file as UTF-8") from None
    from dotenv.parser import parse_stream

    for binding in parse_stream(io.StringIO(text)):
        if binding.error or (binding.key is not None and not binding.value):
            raise InputError(f"{file}, line {binding.original.line}: expected NAME=value; fix that line")
        if binding.key is not None and binding.value is not None:
            os.environ.setdefault(binding.key, binding.value)


def _leave(name: str, reason: str, paths: Paths) -> None:
    # paths are relative to the repository's root, where the user is; a reason may quote a row, and a terminal would act
    # on the control characters that it holds
    told = reason.replace(f"{paths.root}{os.sep}", "")
    told = "".join(mark if mark.isprintable() else f"⟨U+{ord(mark):04X}⟩" for mark in told)
    print(f"{name}: {told}", file=sys.stderr)
    sys.exit(1)


@contextmanager
def hold_lock(name: str, paths: Paths, patience: float) -> Iterator[None]:
    """Holds this checkout's lock for the stage; the kernel frees it when the process ends, however it ends."""
    folder = paths.root / ".cache" / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        lock = FileLock(folder / f"{name}.lock").acquire(timeout=patience, poll_interval=0.2)
    except Timeout:
        raise InputError("this stage is already running in this checkout; wait for it, or stop it") from None
    with lock:
        yield


def _log(name: str, started: float, facts: dict[str, Any], paths: Paths) -> None:
    record = {
        "stage": name,
        "seconds": round(time.time() - started, 2),
        "host": platform.node(),
        "python": platform.python_version(),
        "commit": _read_commit(paths.root),
        "libraries": {library: _find_version(library) for library in LIBRARIES},
        **facts,
    }
    write_json(paths.runs / f"{name}.json", record)


def _find_version(library: str) -> str | None:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return None


def _read_commit(root: Path) -> str | None:
    result = subprocess.run(["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True, check=False)
    return result.stdout.strip() if result.returncode == 0 else None


def name_speed(params: Params) -> str:
    """A name for what decides how fast a token is trained: a rate is another run's where the names are the same."""
    decides = [group.model_dump(mode="json") for group in (params.base, params.compute, params.launch, params.finetune)]
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:16]
