"""Where a stage keeps what it can go on from after a kill: a folder named by everything that decides the result."""

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
CODE = ("relearn/training", "relearn/chat.py", "relearn/models.py")  # what computes, besides the libraries


def name_folder(
    paths: Paths, stage: str, parameters: Iterable[BaseModel | str | float | int | list[str]], inputs: Iterable[Path]
) -> Path:
    """`.cache/<stage>/<hash>` over the resolved parameters, the inputs' bytes, the training code and the library versions."""
    digest = hashlib.sha256()
    for value in parameters:
        text = value.model_dump_json() if isinstance(value, BaseModel) else json.dumps(value)
        digest.update(text.encode() + b"\n")
    for library in LIBRARIES:
        digest.update(f"{library} {importlib.metadata.version(library)}\n".encode())
    for path in [*inputs, *(paths.root / name for name in CODE)]:
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and file.suffix != ".pyc":
                digest.update(f"{file.relative_to(paths.root)} {file_hash(file)}\n".encode())
    return paths.cache / stage / digest.hexdigest()[:16]


def clear(folder: Path) -> None:
    """Removes the checkpoints of a run whose outputs are written: they serve a killed run, never a later one."""
    shutil.rmtree(folder, ignore_errors=True)
