"""The benchmarks that read what the chain wrote run on it; bench/ is outside mypy, so that nothing else sees them break."""

from __future__ import annotations

import json

import pytest

from tests.integration.conftest import Clone

pytestmark = pytest.mark.slow


def test_the_replay_sweep_fills_its_page(run_clone: Clone) -> None:
    run_clone.python("bench.replay_sweep", *"--shares 0 0.5 --seeds 1222 --prompts 2 --workers 1".split())
    page = (run_clone.folder / "docs" / "replay.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.split("|")[1:5]] for line in page.splitlines() if line.startswith("| 0")]
    assert [row[:2] for row in rows] == [["0", "none"], ["0.5", "replay"], ["0.5", "pad control"]]
    (_, _, fewer, _), (_, _, more, _), (_, _, same, _) = rows
    assert int(fewer) < int(more) == int(same)


def test_answers_are_scored_both_ways(run_clone: Clone) -> None:
    run_clone.python("bench.scoring", "--rounds", "1", "--limit", "4")
    found = json.loads((run_clone.folder / "bench" / "out" / "scoring.json").read_text(encoding="utf-8"))
    assert set(found["seconds"]) == {"relearn", "original", "with_intervals"}
