"""`python -m stages.remedies` runs what is missing, once, leaves the folder as it is, compares at equal new skill, and the
report then recommends from it.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.integration.conftest import Clone
from tests.integration.test_reruns import ran

FOUND = "data/remedies/tiny.json"


def show(clone: Clone) -> dict[str, Any]:
    """What dvc knows of each experiment, by its name."""
    document = json.loads(clone.run("dvc", "exp", "show", "--json").stdout)
    groups = [group for state in document for group in state["experiments"] or ()]
    return {group["name"]: group["revs"][0]["data"] for group in groups}


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_methods_are_run_once_and_compared(run_clone: Clone) -> None:
    run_clone.run("make", "--silent", "identity")
    before = set(run_clone.run("git", "status", "--porcelain").stdout.splitlines())
    # a model that knows nothing is unsure of every token, so that eaft weights all nearly alike: it gets where plain gets
    given = ("eaft", "--seeds", "5", "-S", "profiles/tiny.yaml:predict.scale_rows=8")
    first = run_clone.python("stages.remedies", *given)
    assert "2 of 2 methods to run, about" in first.stderr
    assert "then plain, eaft answer at equal new skill too: about" in first.stderr
    assert not {"prepare", "generate", "repair", "base"} & set(ran(first.stdout))
    assert ran(first.stdout).count("finetune_2b") == 2  # nothing is trained again to answer
    assert ran(first.stdout).count("predict") == 4

    plain, eaft = json.loads((run_clone.folder / FOUND).read_text(encoding="utf-8"))["methods"]
    assert (plain["method"], eaft["method"]) == ("plain", "eaft top 20 alpha 1")
    assert set(plain["factors"]) == set(eaft["factors"]) == {"1222", "5"}
    assert {loss["task"] for loss in eaft["losses"]} == {"code", "general"}
    assert plain["time"] == eaft["time"] == 1
    assert eaft["command"] == "dvc exp run -S method=eaft"
    for one in (plain, eaft):
        assert one["answers"]["factor"] == round(one["factors"]["1222"], 2)
        assert {score["task"] for score in one["answers"]["scores"]} == {"code", "reviews", "general"}
    assert "| eaft top 20 alpha 1" in first.stdout
    assert "By their answers" in first.stdout
    page = (run_clone.folder / "report" / "frontier.html").read_text(encoding="utf-8")
    assert "What each method loses at equal new skill" in page
    assert "Answers at equal new skill" in page

    left = set(run_clone.run("git", "status", "--porcelain").stdout.splitlines()) - before
    assert {f"?? {FOUND}"} <= left <= {f"?? {FOUND}", "?? metrics/frontier.csv"}
    shown = show(run_clone)
    names = ("remedy-tiny-plain-5", "remedy-tiny-eaft-5")
    assert {*names, *(f"{name}-crossing" for name in names)} <= shown.keys()
    metrics = shown["remedy-tiny-plain-5"]["metrics"]
    assert "metrics/eval_3a/2b.json" in metrics
    assert "metrics/eval_3a/2c.json" not in metrics

    again = run_clone.python("stages.remedies", *given)
    assert "plain exists already" in again.stderr
    assert ran(again.stdout) == []

    assert ran(run_clone.run("dvc", "repro").stdout) == ["report"]
    advice = (run_clone.folder / "report" / "index.html").read_text(encoding="utf-8").split("What to do</h2>")[1]
    compared = "of the 2 methods that <code>make remedies</code> compared"
    assert compared.capitalize() in advice or f"None {compared}" in advice


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_the_best_on_validation_rows_gets_the_further_seeds_on_which_its_claim_rests(run_clone: Clone) -> None:
    run_clone.run("make", "--silent", "identity")
    settings = ("-S", "lr=0.03", "-S", "profiles/tiny.yaml:predict.scale_rows=8")  # at that rate plain training forgets
    given = ("l2_init", "--choose", "1", "--seeds", "5", *settings)
    first = run_clone.python("stages.remedies", *given)
    assert "then plain, l2_init with further seeds: at most about" in first.stderr
    assert "remedies: chosen for further seeds: l2_init" in first.stderr
    assert ran(first.stdout).count("finetune_2b") == ran(first.stdout).count("predict") == 4
    shown = show(run_clone)
    names = {"remedy-tiny-plain", "remedy-tiny-l2-init", "remedy-tiny-plain-5", "remedy-tiny-l2-init-5-chosen"}
    assert names <= shown.keys()

    written = (run_clone.folder / FOUND).read_text(encoding="utf-8")
    plain, chosen = json.loads(written)["methods"]
    assert set(plain["factors"]) == {"1222", "5"}
    assert (set(chosen["factors"]), set(chosen["chosen_by"])) == ({"5"}, {"1222"})
    assert (
        "l2_init strength 0.001 got further seeds for what training with seed 1222 did on validation rows"
        in first.stdout
    )

    again = run_clone.python("stages.remedies", *given)
    assert ran(again.stdout) == []
    assert (run_clone.folder / FOUND).read_text(encoding="utf-8") == written
