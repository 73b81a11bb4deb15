"""Fixtures that tests of several parts share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# A busy machine is no fault of the code under test: growth is measured where it matters, by tests of its own.
settings.register_profile("relearn", deadline=None)
settings.load_profile("relearn")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data, which is not part of this repository: RELEARN_SHARED, or ../shared/data."""
    folder = Path(os.environ.get("RELEARN_SHARED", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; set RELEARN_SHARED to the folder that holds it")
    return folder
