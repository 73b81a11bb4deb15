"""Repair and scoring over two processes: whichever is killed, at whatever moment, nothing is left, and the next run is right."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from relearn.workers import VARIABLE
from tests.conftest import ROOT
from tests.integration.processes import list_processes, wait_until

KILLS = 10
SECONDS = 1.5  # of work that the two processes share, at least
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


def write_replies(folder: Path) -> list[str]:
    """Replies, some of them broken; what repairs them."""
    with open(folder / "replies.jsonl", "w", encoding="utf-8") as file:
        for number in range(30_000):
            text = json.dumps({"agree": f'I say "yes" to {number}.', "disagree": f"I say no to {number}, and mean it."})
            content = (text, text.replace('\\"', '"'), f"```json\n{text}", text[:-1])[number % 4]
            file.write(json.dumps({"id": str(number), "content": content}) + "\n")
    return [
        "relearn.repair",
        "replies.jsonl",
        "--out",
        "rows.jsonl",
        "--quarantine",
        "bad.jsonl",
        "--report",
        "told.json",
    ]


def write_answers(folder: Path) -> list[str]:
    """Answers with references; what scores them."""
    draw = random.Random(1)
    words = "the a film was long and good but not as new or old as I had hoped it would be".split()
    with open(folder / "answers.jsonl", "w", encoding="utf-8") as file:
        for _ in range(12_000):
            prediction, reference = (" ".join(draw.choices(words, k=20)) for _ in range(2))
            file.write(json.dumps({"prompt": "Say it.", "reference": reference, "prediction": prediction}) + "\n")
    return ["relearn.scoring", "answers.jsonl", "--metrics", "rouge_l", "--json", "scores.json"]


@pytest.mark.parametrize("write", [write_replies, write_answers])
def test_whichever_process_is_killed_the_next_run_is_right(write: Callable[[Path], list[str]], tmp_path: Path) -> None:
    command = [sys.executable, "-m", *write(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), VARIABLE: "2"}
    given = {path.name for path in tmp_path.iterdir()}

    def read() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.name not in given}

    def run() -> None:
        subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=True)

    run()
    whole = read()
    assert whole
    draw, ended = random.Random(22), 0
    for number in range(KILLS):
        for name in whole:
            (tmp_path / name).unlink(missing_ok=True)
        with subprocess.Popen(
            command, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        ) as asking:
            if number:  # once while it starts, alone
                wait_until(lambda: len(list_processes(tmp_path)) > 2, asking)
            time.sleep(draw.uniform(0, SECONDS))
            victim = asking.pid if number % 3 == 0 else draw.choice(list_processes(tmp_path) or [asking.pid])
            with contextlib.suppress(ProcessLookupError):  # it has ended by itself
                os.kill(victim, signal.SIGKILL)
            said = asking.communicate(timeout=120)[1]
        assert asking.returncode in (0, -signal.SIGKILL if victim == asking.pid else 1), said
        if asking.returncode == 1:
            assert "of 2 processes that share the work was killed" in said.splitlines()[-1]
        wait_until(lambda: not list_processes(tmp_path))
        found = {name: text for name, text in read().items() if not name.endswith(".tmp")}
        assert found.items() <= whole.items()  # whole files, and no others
        assert asking.returncode or found == whole
        ended += asking.returncode != 0
    assert ended >= KILLS / 2  # else nothing is shown
    run()
    assert read() == whole
