"""Where a stage keeps what it resumes from after a kill: a folder named by everything that decides the result."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import shutil
from collections.abc import Iterable
from pathlib import Path

from pydantic import BaseModel

from relearn.files import file_hash
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


def clear(folder: Path) -> None:
    """Removes the checkpoints of a run whose outputs are written: they serve a killed run, never a later one."""
    shutil.rmtree(folder, ignore_errors=True)
