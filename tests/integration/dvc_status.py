"""What dvc says of a clone, in this process.

A status reads the same profile and lock file some twenty times, by a parser in pure Python: three quarters of its time.
Here a text is parsed once.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from dvc.repo import Repo
from dvc.utils import strictyaml
from dvc.utils.serialize import _yaml

_parse = _yaml.parse_yaml


@lru_cache(maxsize=256)
def _parsed(text: str, path: str) -> bytes:
    return pickle.dumps(_parse(text, path))


def _parse_once(text: str, path: str, typ: str = "safe") -> Any:
    return pickle.loads(_parsed(text, str(path))) if typ == "safe" else _parse(text, path, typ=typ)


@contextmanager
def _parsing_once() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for module in (_yaml, strictyaml):
            patch.setattr(module, "parse_yaml", _parse_once)
        yield


def read_status(folder: Path) -> dict[str, Any]:
    """What `dvc status` tells of each stage that would run again. The clone must be the working directory."""
    with _parsing_once(), Repo(str(folder)) as repo:
        return dict(repo.status())
