"""`dvc plots show` draws what is learned and what is forgotten, of both rounds, in one plot."""

from __future__ import annotations

import json
from collections import defaultdict

from tests.integration.conftest import Clone


def test_one_plot_has_every_task_of_both_rounds(run_clone: Clone) -> None:
    drawn = json.loads(run_clone.run("dvc", "plots", "show", "--json", "losses").stdout)
    assert not drawn.get("errors")
    (plot,) = drawn["data"]["losses"]
    points = plot["content"]["data"]["values"]
    encoding = plot["content"]["encoding"]
    assert (encoding["color"]["field"], encoding["y"]["field"]) == ("task", "loss")
    curves = defaultdict(list)
    for point in points:
        curves[point["filename"], point["task"]].append((int(point["step"]), float(point["loss"])))
    assert set(curves) == {
        (f"{name}.csv", task) for name in ("2b", "2c") for task in ("train", "code", "general", "reviews")
    }
    for (_, task), looks in curves.items():
        assert looks == sorted(looks)
        assert task == "train" or len(looks) > 1
        assert all(loss > 0 for _, loss in looks)
