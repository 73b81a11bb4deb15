"""Batches shared out over processes: answers and likelihoods are those of one process, to the last bit."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from relearn.decoding.share import ALONE, BatchJob, Share
from relearn.launched import MARK
from tests.conftest import ROOT
from tests.integration.forked import AT_IMPORT, run_module
from tests.integration.shared_decoding import STRATEGIES, list_items

MODULE = "tests.integration.shared_decoding"
Run = tuple[list[dict[str, Any]], list[str]]


def run(folder: Path, processes: int) -> Run:
    """What each of the processes found, and what it said."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    shared = {**os.environ, "PYTHONPATH": str(ROOT), **AT_IMPORT, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}

    def begin(rank: int) -> subprocess.CompletedProcess[str]:
        told = {MARK: MODULE, "RANK": str(rank), "WORLD_SIZE": str(processes)} if processes > 1 else {}
        return run_module(MODULE, [str(folder)], ROOT, shared | told, 300)

    with ThreadPoolExecutor(processes) as pool:
        ended = list(pool.map(begin, range(processes)))
    for one in ended:
        assert one.returncode == 0, one.stderr
    files = [folder / f"{processes}.{rank}.json" for rank in range(processes)]
    return [json.loads(file.read_text(encoding="utf-8")) for file in files], [one.stderr for one in ended]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run(tmp_path_factory.mktemp("alone"), 1)


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run(tmp_path_factory.mktemp("together"), 2)


@pytest.mark.parametrize("case", STRATEGIES)
def test_two_processes_find_what_one_does(alone: Run, together: Run, case: str) -> None:
    (one,), _ = alone
    answers = one["found"][case]["answers"]
    assert len({text for text, *_ in answers}) > 20  # else nothing is shown
    for number, rank in enumerate(together[0]):
        assert rank["met"] == 2
        assert rank["found"][case] == one["found"][case], f"rank {number}"
    assert [nll for _, _, nll, _ in answers] == one["found"][case]["scores"]
    assert [nll is None for nll in one["found"][case]["scores"]] == [item.reference is None for item in list_items()]


def test_each_process_computes_its_share_and_none_computes_another_s(alone: Run, together: Run) -> None:
    (one,), _ = alone
    first, second = (rank["computed"] for rank in together[0])
    assert Counter(first) + Counter(second) == Counter(one["computed"])
    assert abs(len(first) - len(second)) <= len(one["computed"]) / 10


def test_the_first_alone_speaks(alone: Run, together: Run) -> None:
    first, second = together[1]
    total = len(list_items())
    assert f"copied: {total}/{total} prompts" in alone[1][0]
    own, of = re.findall(r"^copied \(a part of 2\): (\d+)/(\d+) prompts", first, re.MULTILINE)[0]
    assert own == of
    assert 0 < int(own) < total
    assert "prompts" not in second


def test_alone_all_jobs_are_done_in_order() -> None:
    done: list[int] = []

    def job(number: int) -> BatchJob[int]:
        return BatchJob(1, lambda: done.append(number) or number * 10)  # type: ignore[func-returns-value]

    assert ALONE.do([job(number) for number in range(5)], "five") == [0, 10, 20, 30, 40]
    assert done == [0, 1, 2, 3, 4]


def test_a_cluster_s_variables_do_not_make_a_command_one_of_several(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert Share.of_launched() == ALONE
    monkeypatch.setenv(MARK, "stages.predict")
    assert Share.of_launched() == Share(1, 4)
