"""A round over two processes: the same losses as in one, one adapter, and no silent run with fewer."""

from __future__ import annotations

import csv

import pytest
from safetensors.numpy import load_file

from tests.integration.conftest import Clone

TWO = "launch:\n  kind: torchrun\n  processes: 2\n"
ACCELERATE = "launch:\n  kind: accelerate\n  config: two.yaml\n  processes: 2\n"


def launched_by(clone: Clone, group: str) -> None:
    profile = clone.folder / "profiles" / "tiny.yaml"
    head, _, rest = profile.read_text(encoding="utf-8").partition("launch:\n")
    profile.write_text(head + group + rest[rest.index("\nbase:\n") :], encoding="utf-8")


def losses(clone: Clone) -> dict[tuple[str, str], float]:
    with open(clone.folder / "metrics" / "losses" / "2b.csv", newline="", encoding="utf-8") as file:
        return {(row["step"], row["task"]): float(row["loss"]) for row in csv.DictReader(file)}


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("method", ["plain", "kl", "stm", "l2_init", "self_replay"])
def test_two_processes_train_as_one_does(run_clone: Clone, method: str) -> None:
    run_clone.edit("params.yaml", "method: plain", f"method: {method}")
    run_clone.edit("profiles/tiny.yaml", "answer_tokens: 96", "answer_tokens: 12")
    run_clone.python("stages.sample")
    run_clone.edit("profiles/tiny.yaml", "eval_every: 4 ", "eval_every: 1 ")
    run_clone.python("stages.finetune_2b")
    alone = losses(run_clone)
    adapter = run_clone.folder / "models" / "2b"
    weights = load_file(adapter / "adapter_model.safetensors")
    names = sorted(path.name for path in adapter.iterdir())
    launched_by(run_clone, TWO)
    run_clone.python("stages.finetune_2b")
    together = losses(run_clone)
    assert len({step for step, _ in alone}) > 5  # every update
    assert together == pytest.approx(alone, abs=1e-4)
    assert sorted(path.name for path in adapter.iterdir()) == names
    for name, weight in load_file(adapter / "adapter_model.safetensors").items():
        assert abs(weight - weights[name]).max() < 1e-3, name
    assert [path.name for path in adapter.parent.glob(".2b*")] == []


@pytest.mark.slow
def test_fewer_processes_than_asked_for_are_refused(run_clone: Clone) -> None:
    launched_by(run_clone, ACCELERATE)
    missing = run_clone.python("stages.finetune_2b", check=False)
    assert missing.returncode == 1
    assert "two.yaml: no such file; make it with `accelerate config" in missing.stderr
    (run_clone.folder / "two.yaml").write_text(
        "compute_environment: LOCAL_MACHINE\ndistributed_type: 'NO'\nnum_processes: 2\nuse_cpu: true\n"
    )
    fewer = run_clone.python("stages.finetune_2b", check=False)
    assert fewer.returncode == 1
    assert "launch.processes: 2 processes are set, but 1 started" in fewer.stderr
    assert fewer.stderr.splitlines()[-1].startswith("finetune_2b: launch: the processes ended with status 1")
