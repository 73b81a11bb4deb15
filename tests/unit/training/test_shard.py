"""A base in parts: each process holds its part, and all the rest is as in one process, methods and a resumed run too."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file

from tests.unit.stages.test_launch import read
from tests.unit.training.in_processes import CHANGES, OPTIONS, list_cases

ROOT = Path(__file__).resolve().parents[3]
LAUNCHER = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")
WORKER = "tests.unit.training.in_processes"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _run(tmp_path_factory.mktemp("alone"), "-m", WORKER)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _run(tmp_path_factory.mktemp("shared"), *LAUNCHER, "-m", WORKER)


@pytest.fixture(scope="module")
def by_accelerate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """FSDP2 as accelerate does it, adapter and optimizer too, with our configuration of it."""
    return _run(tmp_path_factory.mktemp("accelerate"), *LAUNCHER, "-m", WORKER, **read("fsdp2")[1])


def _run(folder: Path, *arguments: str, **told: str) -> Path:
    environment = {**os.environ, **told, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *arguments, str(folder)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def saw(folder: Path, case: str, rank: int = 0) -> dict[str, Any]:
    return dict(json.loads((folder / f"{case}.{rank}.json").read_text(encoding="utf-8")))


def test_each_process_holds_half_of_the_frozen_weights(alone: Path, shared: Path) -> None:
    whole = saw(alone, "plain")
    assert whole["held"] == whole["whole"]
    assert whole["trained"] < whole["whole"] / 5
    for rank in (0, 1):
        part = saw(shared, "plain", rank)
        assert part["whole"] == whole["whole"]
        assert part["held"] == pytest.approx((whole["whole"] - whole["trained"]) / 2 + whole["trained"], rel=1e-3)


@pytest.mark.parametrize("case", [*OPTIONS, *CHANGES])
def test_losses_and_adapter_are_those_of_one_process(alone: Path, shared: Path, case: str) -> None:
    check_equal(alone, shared, case)


def check_equal(alone: Path, shared: Path, case: str) -> None:
    expected = saw(alone, case)["history"]
    assert len(expected) == 6  # each update, and the start
    assert expected[-1]["code"] < expected[0]["code"]
    for rank in (0, 1):
        for look, same in zip(saw(shared, case, rank)["history"], expected, strict=True):
            assert look == pytest.approx(same, abs=1e-4)
    adapter, together = (load_file(folder / f"{case}.safetensors") for folder in (alone, shared))
    assert adapter.keys() == together.keys()
    for name, weight in adapter.items():
        assert abs(weight - together[name]).max() < 1e-4, name


def test_a_resumed_run_ends_in_the_same_bytes(shared: Path) -> None:
    assert (shared / "again.safetensors").read_bytes() == (shared / "long.safetensors").read_bytes()
    assert saw(shared, "again")["history"] == saw(shared, "long")["history"]


@pytest.mark.parametrize("case", list_cases(True))
def test_what_accelerate_shards_ends_as_one_process_does(alone: Path, by_accelerate: Path, case: str) -> None:
    check_equal(alone, by_accelerate, case)


def test_accelerate_leaves_each_process_half_of_everything_and_resumes(alone: Path, by_accelerate: Path) -> None:
    for rank in (0, 1):
        whole, part = saw(alone, "plain"), saw(by_accelerate, "plain", rank)
        assert part["held"] == pytest.approx(whole["whole"] / 2, rel=1e-3)
    assert (by_accelerate / "again.safetensors").read_bytes() == (by_accelerate / "long.safetensors").read_bytes()
    assert saw(by_accelerate, "again")["history"] == saw(by_accelerate, "long")["history"]


def test_a_base_in_bf16_is_shared_out_too(alone: Path, shared: Path) -> None:
    whole, part = saw(alone, "bf16"), saw(shared, "bf16", 1)
    assert part["held"] == pytest.approx((whole["whole"] - whole["trained"]) / 2 + whole["trained"], rel=1e-3)
    for look, same in zip(part["history"], whole["history"], strict=True):
        assert look == pytest.approx(same, abs=0.05)
