"""Where a stage keeps what it resumes from after a kill: a folder named by everything that decides the result."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import BaseModel

from relearn.errors import InputError
from relearn.files import file_hash
from relearn.progress import say
from stages.paths import Paths

LIBRARIES = ("torch", "transformers", "peft", "tokenizers", "accelerate")
# What computes besides the libraries; a method's file is an input of the round that uses it.
CODE = ("relearn/training/*.py", "relearn/chat.py", "relearn/models.py", "relearn/reasoning.py")


def name_folder(
    paths: Paths,
    stage: str,
    parameters: Iterable[BaseModel | str | float | int | list[str]],
    inputs: Iterable[Path],
    code: Iterable[str] = CODE,
) -> Path:
    """`.cache/<stage>/<hash>` over the resolved parameters, the bytes of inputs and code, and the library versions."""
    digest = hashlib.sha256()
    for value in parameters:
        text = value.model_dump_json() if isinstance(value, BaseModel) else json.dumps(value)
        digest.update(text.encode() + b"\n")
    for library in LIBRARIES:
        digest.update(f"{library} {importlib.metadata.version(library)}\n".encode())
    for path in [*inputs, *(file for pattern in code for file in sorted(paths.code.glob(pattern)))]:
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and file.suffix != ".pyc":
                # weights of the hub are elsewhere
                name = next(
                    (file.relative_to(at) for at in (paths.root, paths.code) if file.is_relative_to(at)), file.name
                )
                digest.update(f"{name} {file_hash(file)}\n".encode())
    return paths.cache / stage / digest.hexdigest()[:16]


@contextmanager
def hold(folder: Path, wait: bool = True) -> Iterator[None]:
    """Keeps a folder of `name_folder` to this process; without an error it is removed at the end.

    Two experiments at once (`dvc queue start -j 2`) train the same where they differ in a later stage alone: the second
    waits for the first. Without `wait`, which one of several workers cannot do unseen by the others: InputError.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder.with_name(f"{folder.name}.lock"))
    try:
        held = lock.acquire(timeout=0)
    except Timeout:
        if not wait:
            raise InputError("another experiment trains the same at this moment; wait for it and run again") from None
        say(f"{folder.parent.name}: another experiment trains the same; waiting for it")
        held = lock.acquire()
    with held:
        yield
        shutil.rmtree(folder, ignore_errors=True)  # checkpoints serve a killed run, never a later one
        Path(lock.lock_file).unlink()
