"""Fixtures that tests of several parts share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

from bench import real_data

# A busy machine is no fault of the code under test: growth is measured where it matters, by tests of its own.
settings.register_profile("relearn", deadline=None)
settings.load_profile("relearn")

# Beside other workers a second thread of torch only waits; read when torch is imported.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data, which is not part of this repository: RELEARN_SHARED, or ../shared/data."""
    if not real_data.DEFAULT.is_dir():
        pytest.skip(f"no real data at {real_data.DEFAULT}; set RELEARN_SHARED to the folder that holds it")
    return real_data.DEFAULT


@pytest.fixture(scope="session")
def shared_logs() -> Path:
    """The folder of logs that evaluation tools wrote, which is not part of this repository either."""
    return _beside_the_data("logs")


@pytest.fixture(scope="session")
def shared_cases() -> Path:
    """The folder of cases from the world, which is not part of this repository either."""
    return _beside_the_data("cases")


def _beside_the_data(name: str) -> Path:
    folder = real_data.DEFAULT.parent / name
    if not folder.is_dir():
        pytest.skip(f"no {name} at {folder}; set RELEARN_SHARED to a folder that has them beside it")
    return folder
