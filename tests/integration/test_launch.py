"""Stages over two processes: a round has the losses of one and writes one adapter, predict writes the bytes of one;
whoever is killed, nothing is left, and there is no silent run with fewer."""

from __future__ import annotations

import csv
import json
import random
import re
import shutil
import subprocess
import sys
import time

import pytest
from safetensors.numpy import load_file

from tests.integration.conftest import Clone
from tests.integration.processes import VICTIMS, kill_one, list_ranks, wait_until

TWO = "launch:\n  kind: torchrun\n  processes: 2\n  shard: false\n"
SHARDED = TWO.replace("false", "true")
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
    run_clone.edit("profiles/tiny.yaml", "threshold: 2.5", "threshold: 400")  # this base is sure of nothing
    run_clone.python("stages.sample")
    run_clone.edit("profiles/tiny.yaml", "eval_every: 4 ", "eval_every: 1 ")
    run_clone.python("stages.finetune_2b")
    alone = losses(run_clone)
    adapter = run_clone.folder / "models" / "2b"
    weights = load_file(adapter / "adapter_model.safetensors")
    names = sorted(path.name for path in adapter.iterdir())
    assert len({step for step, _ in alone}) > 5  # every update
    for group in (TWO, SHARDED):
        launched_by(run_clone, group)
        said = run_clone.python("stages.finetune_2b").stderr
        assert ("MB of weights in this process, one of 2" in said) == (group == SHARDED)
        assert losses(run_clone) == pytest.approx(alone, abs=1e-4)
        assert sorted(path.name for path in adapter.iterdir()) == names
        for name, weight in load_file(adapter / "adapter_model.safetensors").items():
            assert abs(weight - weights[name]).max() < 1e-3, name
        assert [path.name for path in adapter.parent.glob(".2b*")] == []


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_whichever_process_is_killed_the_others_end_and_the_next_run_goes_on(run_clone: Clone) -> None:
    run_clone.edit("profiles/tiny.yaml", "epochs: 2             # passes over the replies", "epochs: 60")
    launched_by(run_clone, SHARDED)
    run_clone.python("stages.finetune_2b")
    adapter, curves = run_clone.folder / "models" / "2b", run_clone.folder / "metrics" / "losses" / "2b.csv"
    whole = {path.name: path.read_bytes() for path in (*adapter.iterdir(), curves)}
    shutil.rmtree(adapter)
    draw = random.Random(22)
    for number in range(10):
        with begin(run_clone, "finetune_2b") as stage:
            wait_until(lambda: len(list_ranks(run_clone.folder)) == 2, stage)
            if number % 2:  # some updates further than the last time
                before = newest(run_clone)
                wait_until(lambda before=before: newest(run_clone) > before, stage)
            time.sleep(draw.uniform(0, 0.2 if number % 2 else 5))  # the latter is while they start
            kill_one(stage, run_clone.folder, VICTIMS[(number + number // 4) % 4], "finetune_2b: launch")
        assert not adapter.exists()
    said = run_clone.python("stages.finetune_2b").stderr
    assert "going on from checkpoint-" in said
    assert curves.read_text().splitlines() == whole[curves.name].decode().splitlines()  # where it differs, if it does
    assert {path.name: path.read_bytes() for path in (*adapter.iterdir(), curves)} == whole
    assert sorted(path.name for path in adapter.parent.iterdir() if path.name.startswith(".2b")) == []


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_two_processes_predict_what_one_does_whichever_is_killed(run_clone: Clone) -> None:
    for old, new in (("batch_size: 64 ", "batch_size: 4 "), ("  scales: []", "  scales: [0.5]")):
        run_clone.edit("profiles/tiny.yaml", old, new)
    kept, predictions = run_clone.folder / ".cache" / "predict", run_clone.folder / "data" / "predictions"

    def read() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in predictions.rglob("*") if path.is_file()}

    def count() -> int:
        return len([*kept.glob("*/*.json")])

    shutil.rmtree(kept)
    run_clone.python("stages.predict")
    alone, every = read(), count()
    assert set(alone) == {"base.jsonl", "2b.jsonl", "2c.jsonl", "curve.jsonl"}
    launched_by(run_clone, TWO)
    draw = random.Random(22)
    for number in range(10):
        shutil.rmtree(kept, ignore_errors=True)
        shutil.rmtree(predictions, ignore_errors=True)
        with begin(run_clone, "predict") as stage:
            wait_until(lambda: len(list_ranks(run_clone.folder)) == 2, stage)
            if number % 2:  # while they decode
                least = draw.randrange(every * 2 // 3)
                wait_until(lambda least=least: count() > least, stage)
            else:  # while they start
                time.sleep(draw.uniform(0, 3))
            kill_one(stage, run_clone.folder, VICTIMS[(number + number // 4) % 4], "predict: launch")
        assert count() < every
        assert read().items() <= alone.items()  # some models' whole files, and nothing else
    assert count() > 0
    said = run_clone.python("stages.predict").stderr
    own, total = re.findall(r"^predict base \(a part of 2\): (\d+)/(\d+) prompts", said, re.MULTILINE)[0]
    assert own == total
    assert int(own) < len(alone["base.jsonl"].splitlines()) * 2 / 3
    assert read() == alone
    assert count() == every
    log = json.loads((run_clone.folder / ".cache" / "runs" / "predict.json").read_text())
    assert log["processes"] == 2


def begin(clone: Clone, stage: str) -> subprocess.Popen[str]:
    """The stage as it runs in the clone."""
    return subprocess.Popen(
        [sys.executable, "-m", f"stages.{stage}"], cwd=clone.folder, env=clone.environment,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def newest(clone: Clone) -> int:
    """The last update of which there is a whole checkpoint."""
    states = (clone.folder / ".cache" / "finetune_2b").glob("*/checkpoint-*/trainer_state.json")
    return max((int(state.parent.name.split("-")[1]) for state in states), default=0)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fsdp2", "zero2", "zero3"])
def test_what_accelerate_shards_needs_a_gpu_and_a_method_that_does_not_compare(run_clone: Clone, name: str) -> None:
    kind = "FSDP" if name == "fsdp2" else "DEEPSPEED"
    launched_by(run_clone, f"launch:\n  kind: accelerate\n  config: profiles/launch/{name}.yaml\n  processes: 2\n")
    refused = run_clone.python("stages.finetune_2b", check=False)
    assert refused.returncode == 1
    assert refused.stderr.splitlines() == [
        f"finetune_2b: launch.config: profiles/launch/{name}.yaml: accelerate has no {kind} on a CPU, and would train "
        "without; use launch.kind torchrun with shard: true"
    ]
    run_clone.edit("params.yaml", "method: plain", "method: kl")
    refused = run_clone.python("stages.finetune_2b", check=False)
    assert refused.returncode == 1
    assert refused.stderr.splitlines() == [
        f"finetune_2b: method: kl compares the adapter with how it started, which {kind} of accelerate shards; use "
        "launch.kind torchrun with shard: true, or method plain"
    ]


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
