"""The command on tiny models made here: folders, adapters and whole models, alone and over `transformers serve`."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from relearn.decoding import endpoint
from relearn.decoding.items import Prompt
from relearn.endpoint.journal import Journal
from relearn.endpoint.request import Address
from relearn.files import read_jsonl
from relearn.params.predict import Greedy
from relearn.records import Prediction, make_turns
from tests.integration.forked import AT_IMPORT, run_module
from tests.integration.processes import kill_one, list_ranks, wait_until
from tests.unit.compare_models import NEW, OLD, make, write_rows

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), **AT_IMPORT}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made: Path = tmp_path_factory.mktemp("compare")
    make(made)
    write_rows(made)
    return made


def options(out: str, *more: str) -> list[str]:
    return [
        "--old", "old.jsonl", "--new", "new.jsonl", "--out", out, "--max-new-tokens", "12", "--batch-size", "8",
        "--resamples", "200", "--threads", "1", *more,
    ]  # fmt: skip


def compare(folder: Path, out: str, *more: str) -> subprocess.CompletedProcess[str]:
    return run_module("relearn.compare", options(out, *more), folder, ENVIRONMENT, 250)


def answers(folder: Path, out: str, role: str) -> list[Prediction]:
    return list(read_jsonl(folder / out / "predictions" / f"{role}.jsonl", Prediction))


def test_an_adapter_and_the_whole_model_it_makes_forget_alike(folder: Path) -> None:
    done = compare(
        folder, "three", "--base", "base", "--tuned", "forgot", "--replayed", "merged", "--probes", "probes.yaml",
        "--fail-above", "rouge_l=20%", "--fail-above", "bpb=0.2",
    )  # fmt: skip
    assert done.returncode == 3, done.stderr
    base, tuned, merged = (answers(folder, "three", role) for role in ("base", "tuned", "replayed"))
    assert [row.prediction for row in tuned] == [row.prediction for row in merged]
    for one, other in zip(tuned, merged, strict=True):
        assert one.nll == (None if other.nll is None else pytest.approx(other.nll, abs=2e-3))
    right = sum(row.prediction == row.reference for row in base if row.task == "old")
    assert right >= 0.8 * len(OLD)
    assert len([row for row in base if row.task == "new"]) == len(NEW)
    points = json.loads((folder / "three" / "points.json").read_text())
    assert points["base"]["old"]["exact_match"] == pytest.approx(right / len(OLD), abs=1e-4)
    assert points["tuned"]["old"]["forgotten"] > 0.3
    assert points["tuned"]["old"]["bpb"] > points["base"]["old"]["bpb"]
    probe = json.loads((folder / "three" / "probes.json").read_text())["probes"][0]["models"]
    assert (probe["base"]["passed"], probe["tuned"]["passed"]) == (True, False)
    assert "significantly above 20.0%: fails" in done.stderr
    assert "### Old skills: from base to tuned" in done.stdout
    text = "".join(path.read_text() for path in (folder / "three").glob("*.*"))
    assert str(folder) not in text  # nothing of this machine in what is passed on


def test_an_adapter_that_changes_nothing_passes_every_guard(folder: Path) -> None:
    done = compare(
        folder, "same", "--base", "base", "--tuned", "same", "--fail-above", "rouge_l=0", "--fail-above", "bpb=0"
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    base, tuned = answers(folder, "same", "base"), answers(folder, "same", "tuned")
    assert [(row.prediction, row.nll) for row in base] == [(row.prediction, row.nll) for row in tuned]
    assert "| worse" not in (folder / "same" / "compare.md").read_text()


def test_an_adapter_that_does_not_fit_is_one_line(folder: Path) -> None:
    odd = folder / "odd"
    shutil.copytree(folder / "forgot", odd)
    config: dict[str, Any] = json.loads((odd / "adapter_config.json").read_text())
    (odd / "adapter_config.json").write_text(json.dumps({**config, "r": 3}))
    done = compare(folder, "odd-out", "--base", "base", "--tuned", "odd")
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("compare: odd: the adapter does not fit base")
    assert "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_processes_compare_as_one_does_and_end_together(folder: Path) -> None:
    more = ("--base", "base", "--tuned", "forgot", "--replayed", "merged", "--probes", "probes.yaml",
            "--decode-scales", "0.5", "--scales", "0.25,1.5")  # fmt: skip
    one, two = compare(folder, "one", *more), compare(folder, "two", *more, "--processes", "2")
    assert one.returncode == two.returncode == 0, two.stderr
    assert "(a part of 2)" in two.stderr
    assert (one.stdout, read(folder / "one")) == (two.stdout, read(folder / "two"))
    with subprocess.Popen(
        [sys.executable, "-m", "relearn.compare", *options("killed", *more, "--processes", "2")],
        cwd=folder, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    ) as command:  # fmt: skip
        wait_until(lambda: len(list_ranks(folder)) == 2, command)
        kill_one(command, folder, "rank 1", "compare: --processes 2")
    assert read(folder / "killed") == {}


def read(folder: Path) -> dict[str, bytes]:
    """Every file of a result."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.fixture
def serving(folder: Path) -> Iterator[str]:
    """`transformers serve`, which loads whatever folder a request names."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(Path(sys.executable).parent / "transformers"), *["serve", "--device", "cpu", "--host", "127.0.0.1"]]
    with open(folder / "serve.log", "w") as log:
        process = subprocess.Popen(
            [*command, "--port", str(port)], cwd=folder, env=ENVIRONMENT, stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip
        try:
            deadline = time.monotonic() + 240
            while True:
                assert process.poll() is None, (folder / "serve.log").read_text()
                assert time.monotonic() < deadline, "transformers serve did not start"
                try:
                    with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2):
                        break
                except OSError:
                    time.sleep(0.5)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.mark.slow
def test_transformers_serve_gives_the_answers_that_are_decoded_here(folder: Path, serving: str) -> None:
    local = compare(folder, "local", "--base", "base", "--tuned", "merged")
    served = compare(
        folder, "served", "--base", str(folder / "base"), "--tuned", str(folder / "merged"), "--endpoint", serving,
        "--concurrency", "1",
    )  # fmt: skip
    assert (local.returncode, served.returncode) == (0, 0), served.stderr
    for role in ("base", "tuned"):
        here, there = answers(folder, "local", role), answers(folder, "served", role)
        assert [row.prediction for row in here] == [row.prediction for row in there]
        assert {row.nll for row in there} == {None}
    # base has learned to end; the server calls an answer that ends on its last token cut off, so only these agree
    assert any(row.finish_reason == "stop" for row in answers(folder, "served", "base"))
    address = Address.of(serving, "none")
    items = [Prompt(make_turns(question), 12, None) for question, _ in OLD[:4]]
    with Journal(folder / "journal.sqlite") as journal:
        how = endpoint.make_settings(1, 60.0, 2)
        greedy = Greedy(kind="greedy")
        found, _ = endpoint.decode(address, str(folder / "base"), items, journal, how, "t", greedy, 1)
    wanted = [row.prediction for row in answers(folder, "local", "base")[:4]]
    assert [answer.text for answer in found] == wanted
