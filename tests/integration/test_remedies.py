"""`python -m stages.remedies` runs what is missing, once, leaves the folder as it is, and compares at equal new skill."""

from __future__ import annotations

import json

import pytest

from tests.integration.conftest import Clone
from tests.integration.test_reruns import ran


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_methods_are_run_once_and_compared(run_clone: Clone) -> None:
    run_clone.run("make", "--silent", "identity")
    before = run_clone.run("git", "status", "--porcelain").stdout
    given = ("replay", "--seeds", "5", "-S", "profiles/tiny.yaml:predict.scale_rows=8")
    first = run_clone.python("stages.remedies", *given)
    assert "2 of 2 methods to run, about" in first.stderr
    assert not {"prepare", "generate", "repair", "base"} & set(ran(first.stdout))
    assert ran(first.stdout).count("finetune_2b") == 2
    found = json.loads((run_clone.folder / "metrics" / "equal_skill.json").read_text(encoding="utf-8"))
    assert [one["method"] for one in found] == ["plain", "replay share 0.05"]
    assert all(set(one["factors"]) == {"1222", "5"} for one in found)
    assert {loss["task"] for loss in found[1]["losses"]} == {"code", "general"}
    assert "| replay share 0.05" in first.stdout
    page = (run_clone.folder / "report" / "frontier.html").read_text(encoding="utf-8")
    assert "What each method loses at equal new skill" in page
    assert run_clone.run("git", "status", "--porcelain").stdout == before
    names = run_clone.run("dvc", "exp", "list", "--name-only").stdout.split()
    assert {"remedy-tiny-plain-5", "remedy-tiny-replay-5"} <= set(names)
    kept = run_clone.run("dvc", "exp", "show", "--json").stdout
    assert '"metrics/eval_3a/2c.json"' not in kept.split("remedy-tiny-plain-5")[1].split("remedy-tiny")[0]

    again = run_clone.python("stages.remedies", *given)
    assert "plain exists already" in again.stderr
    assert ran(again.stdout) == []
