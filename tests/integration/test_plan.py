"""`relearn plan` in a project that has run: counted rows, the earlier table and rates, the teacher's price."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.integration.conftest import Clone

TINY = "profiles/tiny.yaml"


def plan(clone: Clone, *arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(clone.python("relearn.cli", "plan", "--json", *arguments).stdout)
    return found


def read(clone: Clone, name: str) -> Any:
    return json.loads((clone.folder / name).read_text(encoding="utf-8"))


def test_after_a_run_it_knows_the_rows_the_spread_and_the_rates(run_clone: Clone) -> None:
    run_clone.python("stages.finetune_2c")  # the fixture's stages leave no logs of their own
    log = read(run_clone, ".cache/runs/finetune_2c.json")
    found = plan(run_clone)
    table = read(run_clone, "metrics/intervals.json")["tasks"]
    for row in found["detection"]:
        assert (row["prompts"], row["clusters"]) == (table[row["task"]]["items"], table[row["task"]]["clusters"])
        assert "from the earlier table" in row["basis"]
    costs = {cost["stage"]: cost for cost in found["stages"]}
    again = costs["finetune_2c"]
    assert again["rows"] == read(run_clone, "models/2c/provenance.json")["rows"]
    assert again["tokens"] == pytest.approx(log["tokens"], rel=0.35)
    assert again["basis"] == "the rate of an earlier run"
    assert again["seconds"] == pytest.approx(again["tokens"] * log["train_seconds"] / log["tokens"], rel=0.01)
    assert costs["finetune_2b"]["basis"] == "tried with random weights"
    assert all(cost["seconds"] > 0 and cost["memory"] > 0 for cost in costs.values())
    assert found["teacher"] == {"requests": 36, "cost": 0.0, "lines": ["  teacher: 36 requests, free"]}

    # another base: neither its rate nor its time is known from this run
    run_clone.edit(TINY, "hidden: 32", "hidden: 64")
    other = {cost["stage"]: cost for cost in plan(run_clone)["stages"]}["finetune_2c"]
    assert other["basis"] == "tried with random weights"
    assert other["memory"] > again["memory"]


def test_a_teacher_that_takes_money_has_the_price_of_the_estimate(run_clone: Clone) -> None:
    text = (run_clone.folder / TINY).read_text(encoding="utf-8")
    start, end = text.index("    kind: embedded"), text.index("  model: mini-teacher")
    server = "    {kind: server, base_url: 'http://127.0.0.1:9/v1', api_key_env: NO_SUCH_KEY}\n"
    (run_clone.folder / TINY).write_text(text[:start] + server + text[end:], encoding="utf-8")
    run_clone.edit(TINY, "price_input: 0 ", "price_input: 150 ")
    run_clone.edit(TINY, "price_output: 0 ", "price_output: 600 ")
    teacher = plan(run_clone)["teacher"]
    said = run_clone.python("stages.generate", "--estimate").stdout.splitlines()
    assert teacher["lines"][1:] == said[1:]
    assert teacher["cost"] > 1
    # the texts of another seed are not these
    run_clone.edit("params.yaml", "seed: 1222", "seed: 7")
    found = plan(run_clone)
    assert found["teacher"]["cost"] is None
    assert any("200 tokens a row" in note for note in found["notes"])
