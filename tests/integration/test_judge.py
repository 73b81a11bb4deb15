"""The stage judge, as dvc runs it: off by default, killed and continued, by rules and by a server no one here wrote."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from relearn.endpoint.journal import Journal
from relearn.evaluation.judged import join_orders, measure
from relearn.files import read_jsonl, write_jsonl
from relearn.mini.judge import JudgeByRules
from relearn.mini.server import Server
from relearn.records import Judgement, Prediction
from tests.conftest import ROOT
from tests.integration.conftest import Clone
from tests.integration.desk import Desk
from tests.integration.project import HALF_WRITTEN
from tests.integration.test_generate_transformers import served

__all__ = ["served"]

KEY, KEY_ENV = "sk-planted-7b19e4c0", "SCRATCH_JUDGE_KEY"
MODELS = {"base": "It flows to the sea", "2b": "I agree with this review of river", "2c": "The river is wide and cold"}
PAIRS = [("base", "2b"), ("2b", "2c"), ("base", "2c")]
JUDGING: dict[str, Any] = {
    "judge": {"kind": "embedded", "position_bias": 0.5, "length_bias": 0.0, "ties": 0.1, "unreadable": 0.05},
    "model": "referee",
    "prompt": "better",
    "tasks": ["general"],
    "prompts": 20,
    "temperature": 0,
    "max_tokens": 64,
    "max_tokens_limit": 128,
    "response_format": "none",
    "concurrency": 4,
    "requests_per_minute": None,
    "tokens_per_minute": None,
    "timeout_s": 120,
    "attempts": 3,
    "price_input": 1.0,
    "price_output": 2.0,
    "budget_usd": None,
    "mode": "live",
    "batch": {"price": 0.5, "requests": 100, "megabytes": 10, "poll_s": 1},
    "reasoning_effort": None,
    "extra_body": None,
}


class Project:
    """A folder with the project's code, and predictions of three models for 30 prompts."""

    def __init__(self, folder: Path, judging: Mapping[str, Any] | None) -> None:
        self.folder = folder
        for name in ("relearn", "stages", "profiles", "prompts"):
            shutil.copytree(ROOT / name, folder / name, ignore=HALF_WRITTEN)
        shutil.copy(ROOT / "params.yaml", folder)
        self.configure(judging)
        for model, text in MODELS.items():
            rows = (self.predict(number, text) for number in range(30))
            write_jsonl(folder / "data" / "predictions" / f"{model}.jsonl", rows)

    @staticmethod
    def predict(number: int, text: str) -> Prediction:
        return Prediction(
            id=f"general-{number}", task="general", group=f"g{number // 2}", prompt=f"Describe river {number}, and the sea.",
            reference=None, prediction=f"{text} {number}.", finish_reason="stop", nll=None, bytes=None,
        )  # fmt: skip

    def configure(self, judging: Mapping[str, Any] | None) -> None:
        yaml, path = YAML(), self.folder / "profiles" / "mini.yaml"
        profile = yaml.load(path)
        profile["judge"] = judging
        yaml.dump(profile, path)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("DVC_", "PYTHON"))}
        return subprocess.Popen(
            [sys.executable, "-m", "stages.judge", *arguments], cwd=self.folder, env={**kept, KEY_ENV: KEY},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def run(self, *arguments: str) -> str:
        """Runs the stage to its end; what it printed."""
        child = self.start(*arguments)
        out, err = child.communicate()
        assert child.returncode == 0, err
        return out

    @property
    def journal(self) -> Path:
        return self.folder / ".cache" / "judge" / "journal.sqlite"

    def judgements(self) -> list[Judgement]:
        return list(read_jsonl(self.folder / "data" / "verdicts.jsonl", Judgement))

    def read(self, name: str) -> Any:
        return json.loads((self.folder / name).read_text(encoding="utf-8"))


def serve(url: str, **more: Any) -> dict[str, Any]:
    """The judge behind a server."""
    return JUDGING | {"judge": {"kind": "server", "base_url": url, "api_key_env": KEY_ENV}} | more


def test_off_it_asks_nothing_and_writes_nothing(tmp_path: Path) -> None:
    project = Project(tmp_path / "project", None)
    assert "nothing is sent, and it costs nothing" in project.run("--estimate")
    project.run()
    assert project.judgements() == []
    assert project.read("metrics/judge.json") == {}
    assert not project.journal.exists()


def test_the_embedded_judge_judges_every_pair_in_both_orders(tmp_path: Path) -> None:
    project = Project(tmp_path / "project", JUDGING)
    assert "requests            120" in project.run("--estimate")
    project.run()
    judgements = project.judgements()
    assert len(judgements) == 20 * 3 * 2
    counts = project.read("metrics/judge.json")
    assert counts["cost_usd"] == pytest.approx(
        (counts["prompt_tokens"] + 2 * counts["completion_tokens"]) / 1e6, abs=1e-6
    )
    assert counts["unreadable"] == {"no_verdict": sum(one.better is None for one in judgements)}
    found = measure(join_orders(judgements, PAIRS), PAIRS)
    assert [(won["before"], won["after"], won["number"]) for won in found["wins"]] == [(*pair, 20) for pair in PAIRS]
    before = (project.folder / "data" / "verdicts.jsonl").read_bytes()
    project.run()
    assert (project.folder / "data" / "verdicts.jsonl").read_bytes() == before
    assert project.read(".cache/runs/judge.json")["sent"] == 0


def kill_when(project: Project, answers: int) -> set[str]:
    """Starts the stage, kills it once the journal holds so many answers, and returns their keys."""
    child = project.start()
    deadline = time.monotonic() + 300
    while True:
        assert time.monotonic() < deadline
        assert child.poll() is None, child.communicate()[1]
        if project.journal.exists():
            with Journal(project.journal) as journal:
                if len(list(journal.rows())) >= answers:
                    break
        time.sleep(0.1)
    child.send_signal(signal.SIGKILL)
    child.communicate()
    with Journal(project.journal) as journal:
        return {row["key"] for row in journal.rows()}


def test_killed_and_continued_it_asks_nothing_twice(tmp_path: Path) -> None:
    with Server(JudgeByRules(1), latency_s=0.1) as server:
        project = Project(tmp_path / "project", serve(server.base_url, concurrency=1))
        kept = kill_when(project, 20)
        assert not (project.folder / "data" / "verdicts.jsonl").exists()
        server.latency_s = 0
        project.run()
        facts = project.read(".cache/runs/judge.json")
        assert (facts["journalled"], facts["sent"]) == (len(kept), 120 - len(kept))
        # the one request in flight when it was killed may have been answered unheard
        again = Counter(server.seen.values())
        assert again[1] >= 119
        assert sum(server.seen.values()) <= 121
        project.run()
        assert sum(server.seen.values()) <= 121
    written = [path for path in project.folder.rglob("*") if path.is_file()]
    assert not any(KEY.encode() in path.read_bytes() for path in written)


@pytest.mark.slow
def test_judging_through_transformers_serve(served: tuple[str, Path], tmp_path: Path) -> None:
    url, model = served
    more = {"model": str(model), "concurrency": 1, "max_tokens": 8, "max_tokens_limit": 8, "prompts": 4}
    project = Project(tmp_path / "project", serve(url, **more))
    kept = kill_when(project, 5)
    project.run()
    facts = project.read(".cache/runs/judge.json")
    assert (facts["journalled"], facts["sent"]) == (len(kept), 24 - len(kept))
    judgements = project.judgements()
    assert len(judgements) == 24
    # a random model names nothing: that is counted, and one half
    counts = project.read("metrics/judge.json")
    unreadable = sum(one.better is None for one in judgements)
    assert sum(counts["unreadable"].values()) == unreadable > 0
    assert counts["prompt_tokens"] > 24 * 100
    found = measure(join_orders(judgements, PAIRS), PAIRS)
    assert found["wins"][0]["number"] == 4
    project.run()
    assert project.read(".cache/runs/judge.json")["sent"] == 0


def test_verdicts_reach_table_and_page_and_leave_no_trace_when_off(
    reproduced: Clone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    desk = Desk(reproduced, tmp_path / "desk", monkeypatch, capsys)
    desk.write("requirements.txt", (ROOT / "requirements.txt").read_bytes())
    shown = ["metrics/intervals.json", "metrics/eval_3a/2c.json", "report/table_3a.md", "report/analysis.md"]
    before = {name: (desk.folder / name).read_bytes() for name in shown}
    assert b"judge" not in b"".join(before.values())
    assert (desk.folder / "data" / "verdicts.jsonl").read_bytes().strip() == b""

    desk.set(judge={**JUDGING, "tasks": ["general", "reviews"]})
    for stage in ("judge", "eval_3a", "report"):
        ended = desk.run(stage)
        assert ended.status == 0, ended.errors
    judged = json.loads((desk.folder / "metrics/intervals.json").read_text())["judge"]
    assert [(won["before"], won["after"]) for won in judged["wins"]] == PAIRS
    assert judged["people"] is None
    points = json.loads((desk.folder / "metrics/eval_3a/2c.json").read_text())
    assert set(points["judge"]) == {"over_base", "over_2b"}
    assert "### judge: which of two answers is better" in (desk.folder / "report/table_3a.md").read_text()
    assert 'id="judge"' in (desk.folder / "report/index.html").read_text()

    desk.set(judge=None)
    for stage in ("judge", "eval_3a", "report"):
        assert desk.run(stage).status == 0
    assert {name: (desk.folder / name).read_bytes() for name in shown} == before
