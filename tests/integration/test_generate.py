"""The stage `generate` as a user runs it: a process of its own, in a copy of the project."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from bench.scratch import KEY, KEY_ENV, Scratch, server_teacher
from relearn.endpoint.request import Address
from relearn.mini.completions import Teacher
from relearn.mini.faults import KINDS, FaultPlan
from relearn.mini.server import Server

CALM = {"rate_limit": 0, "rate_limit_bare": 0, "server_error": 0, "unavailable": 0, "stall": 0, "reset": 0}
CALM |= {"not_json": 0, "no_choices": 0}


def words(review: str, seed: int) -> tuple[str, str]:
    return f"Yes: {review}", f"No: {review}"


def server(*script: str, rates: Mapping[str, float] | None = None, **more: Any) -> Server:
    return Server(Teacher(0, {}, words), faults=FaultPlan(rates, 0, script), **more)


def scratch(folder: Path, count: int, running: Server | None = None, **generate: Any) -> Scratch:
    if running is not None:
        generate["teacher"] = server_teacher(running.base_url)
    return Scratch(folder / "project", count, generate)


def test_the_embedded_teacher_answers_every_review_and_the_outputs_do_not_vary(tmp_path: Path) -> None:
    project = scratch(tmp_path, 60)
    first = project.run()
    assert first.returncode == 0, first.stderr
    assert [reply.id for reply in project.replies()] == [f"r{number:04d}" for number in range(60)]
    outputs = [project.folder / "data/replies.jsonl", project.folder / "metrics/generate.json"]
    before = [path.read_bytes() for path in outputs]
    assert project.run().returncode == 0
    assert project.facts()["sent"] == 0
    assert [path.read_bytes() for path in outputs] == before
    project.journal.unlink()  # asked anew, at another port, in another order
    project.configure({"concurrency": 3})
    assert project.run().returncode == 0
    assert project.facts()["sent"] >= 60
    assert [path.read_bytes() for path in outputs] == before
    metrics = json.loads(before[1])
    assert metrics["replies"] == 60
    assert not re.search(rb"127\.0\.0\.1|seconds|/tmp", b"".join(before))


def test_killed_runs_go_on_and_pay_for_nothing_twice(tmp_path: Path) -> None:
    with server(latency_s=0.05) as running:
        project = scratch(tmp_path, 120, running, concurrency=6)
        names = project.messages_by_key(Address.of(running.base_url, "key").identity)
        paid: set[str] = set()
        for moment in (20, 80):
            child = project.start()
            while running.arrived < moment and child.poll() is None:
                time.sleep(0.005)
            os.kill(child.pid, signal.SIGKILL)
            child.communicate()
            kept = project.answered()
            assert {names[key] for key in kept} <= set(running.seen)
            assert kept >= paid
            paid = kept
            assert not (project.folder / "data/replies.jsonl").exists()
        counts = dict(running.seen)
        assert 0 < len(paid) < 120
        done = project.run()
        assert done.returncode == 0, done.stderr
        assert project.facts()["journalled"] == len(paid)
        for key in paid:
            assert running.seen[names[key]] == counts[names[key]], "an answer in the journal was asked for again"
        assert running.arrived - 120 <= 2 * 6  # at most what was in flight at the kills
        assert project.facts()["asked_again_after_a_kill"] <= 6
        assert sorted(running.seen) == sorted(names.values())
    assert [reply.id for reply in project.replies()] == [f"r{number:04d}" for number in range(120)]


def test_two_checkouts_at_once_share_one_journal(tmp_path: Path) -> None:
    """Two stages at once, one in a copy as `dvc exp run --temp` makes it: DVC_ROOT names the main checkout."""
    with server(latency_s=0.02) as running:
        main = scratch(tmp_path / "main", 80, running)
        copy = scratch(tmp_path / "copy", 80, running)
        children = [main.start(), copy.start(DVC_ROOT=str(main.folder))]
        for child in children:
            _, said = child.communicate()
            assert child.returncode == 0, said
        assert running.arrived == 80
        assert set(running.seen.values()) == {1}
    assert main.replies() == copy.replies()
    assert not (copy.folder / ".cache" / "teacher").exists()


def test_a_missing_key_stops_before_anything_is_sent(tmp_path: Path) -> None:
    with server() as running:
        project = scratch(tmp_path, 5, running)
        for key in (None, "  "):
            done = project.run(**{KEY_ENV: key})
            assert done.returncode == 1
            assert KEY_ENV in done.stderr
            assert done.stderr.strip().count("\n") == 0
        assert running.arrived == 0


def test_an_error_that_no_retry_mends_is_one_line(tmp_path: Path) -> None:
    with server("quota") as running:
        project = scratch(tmp_path, 5, running, concurrency=1)
        done = project.run()
        assert done.returncode == 1
        assert "add credit" in done.stderr
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        assert len(lines) == 1
        assert running.arrived == 1
        assert not (project.folder / "data/replies.jsonl").exists()


def test_reviews_without_an_answer_are_listed_and_asked_by_the_next_run(tmp_path: Path) -> None:
    with server(*["server_error"] * 4) as running:
        project = scratch(tmp_path, 20, running, concurrency=1, attempts=2)
        done = project.run()
        assert done.returncode == 1
        assert "2 of 20 requests got no answer (2 http_500" in done.stderr
        assert "run again" in done.stderr
        facts = project.facts()
        assert "listed in .cache/runs/generate.json" in done.stderr
        assert [failed["id"] for failed in facts["failed_requests"]] == ["r0000", "r0001"]
        assert (facts["stopped"], facts["answered"], facts["sent"]) == (True, 18, 22)
        assert not (project.folder / "data/replies.jsonl").exists()
        arrived = running.arrived
        assert project.run().returncode == 0
        assert running.arrived - arrived == 2
    assert len(project.replies()) == 20


def test_faults_of_every_kind(tmp_path: Path) -> None:
    """Every fault at 5%, retries few: the counts add up, and runs that need no help end it."""
    with server(rates=dict.fromkeys(KINDS, 0.05)) as running:
        project = scratch(tmp_path, 50, running, attempts=3, timeout_s=1.0)
        for _ in range(8):
            arrived, done = running.arrived, project.run()
            if done.returncode == 0:
                break
            assert "requests got no answer" in done.stderr
        assert done.returncode == 0
        facts = project.facts()
        assert facts["sent"] == running.arrived - arrived
        assert facts["answered"] + facts["journalled"] == facts["requests"] == 50
        assert facts["sent"] == facts["answered"] + sum(facts["failures"].values())
    poor = [reply for reply in project.replies() if reply.content is None]
    metrics = json.loads((project.folder / "metrics/generate.json").read_text())
    assert metrics["empty"] == len(poor)
    assert metrics["refusals"] == sum(reply.refusal is not None for reply in poor)


def test_an_estimate_sends_nothing_and_a_budget_stops_in_time(tmp_path: Path) -> None:
    prices = {"price_input": 1000.0, "price_output": 5000.0}
    with server() as running:
        project = scratch(tmp_path, 30, running, budget_usd=4.0, **prices)
        shown = project.run("--estimate", **{KEY_ENV: None})  # needs no key
        assert shown.returncode == 0, shown.stderr
        assert "estimate" in shown.stdout
        assert re.search(r"to be sent +30$", shown.stdout, re.MULTILINE)
        assert "passes it" in shown.stdout
        assert running.arrived == 0
        done = project.run()
        assert done.returncode == 1
        assert "budget of 4 USD" in done.stderr
        assert 0 < project.facts()["cost_usd"] <= 4.0
        answered = len(project.answered())
        assert 0 < answered < 30
        again = project.run("--estimate")
        assert re.search(rf"in the journal +{answered} ", again.stdout)
        assert float(re.findall(r"\(([\d.]+) USD, paid\)", again.stdout)[0]) <= 4.0
        project.configure({"budget_usd": 1000.0})
        assert project.run().returncode == 0
        assert running.arrived == 30
    assert json.loads((project.folder / "metrics/generate.json").read_text())["cost_usd"] > 4


def test_a_refused_format_is_said(tmp_path: Path) -> None:
    with server("format_refused") as running:
        project = scratch(tmp_path, 6, running, response_format="json_schema", concurrency=1)
        done = project.run()
        assert done.returncode == 0, done.stderr
        assert "refused response_format (sent as json_object)" in done.stderr
        assert running.arrived == 7


@pytest.mark.parametrize("fault", ["ok", "auth", "stall"])
def test_the_key_is_in_nothing_that_is_written(tmp_path: Path, fault: str) -> None:
    """Ends well, with an error, with retries: the planted key is in no file and no line, debug logs included."""
    with server(*[fault] * 2) as running:
        project = scratch(tmp_path, 6, running, attempts=2, timeout_s=0.5, concurrency=1)
        done = project.run(OPENAI_LOG="debug", HOME=str(tmp_path))
        searched = 0
        for path in sorted(tmp_path.rglob("*")):
            if path.is_file():
                searched += 1
                assert KEY.encode() not in path.read_bytes(), path
        assert searched > 50
        assert KEY not in done.stdout + done.stderr
        assert (done.returncode == 0) == (fault in ("ok", "reset", "stall", "server_error")) or done.returncode == 1


def test_a_broken_prompt_is_named(tmp_path: Path) -> None:
    project = scratch(tmp_path, 3)
    (project.folder / "prompts" / "agree_disagree.j2").write_text("{% block user %}{{ revue }}{% endblock %}")
    done = project.run()
    assert done.returncode == 1
    assert "agree_disagree.j2" in done.stderr
    assert "revue" in done.stderr
    assert done.stderr.strip().count("\n") == 0
