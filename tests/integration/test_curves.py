"""`dvc plots show` draws what is learned and what is forgotten, of both rounds, in one plot."""

from __future__ import annotations

import json

from tests.integration.conftest import Clone


def test_one_plot_has_every_task_of_both_rounds(run_clone: Clone) -> None:
    drawn = json.loads(run_clone.run("dvc", "plots", "show", "--json", "losses").stdout)
    assert not drawn.get("errors")
    (plot,) = drawn["data"]["losses"]
    points = plot["content"]["data"]["values"]
    curves = {point["filename::field"] for point in points}
    assert curves == {
        f"{name}.csv::{task}" for name in ("2b", "2c") for task in ("code", "general", "reviews")
    }
    for curve in curves:
        steps = [int(point["step"]) for point in points if point["filename::field"] == curve]
        assert steps == sorted(steps)
        assert len(steps) > 1
        assert all(
            float(point["dvc_inferred_y_value"]) > 0 for point in points if point["filename::field"] == curve
        )
