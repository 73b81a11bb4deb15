"""`relearn plan`: a comparison's numbers, and what a trial of a few blocks says of a whole model."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from transformers import AutoModelForCausalLM

from relearn.evaluation.suite import SHIPPED
from relearn.params import load
from relearn.params.base import ScratchBase
from relearn.training.rounds import new_adapter
from relearn.training.scratch import make_config
from stages.paths import Paths
from stages.plan import speed
from stages.plan.amounts import Amounts
from stages.plan.command import command
from stages.plan.detection import Assumed, Known, detect
from stages.plan.profile import _recall
from tests.conftest import ROOT

NOTHING = Assumed(score=0.5, correlation=0.5, within=1.0, deviation=None, seed_deviation=None)


def plan(*arguments: str) -> dict[str, object]:
    done = CliRunner().invoke(command, [*arguments, "--json"])
    assert done.exit_code == 0, done.output
    found: dict[str, object] = json.loads(done.stdout)["detection"][0]
    return found


def test_a_comparison_of_shares_has_connors_numbers() -> None:
    # by hand in tests/unit/statistics/test_power.py: 0.8 to 0.7, independent answers, 295.9 prompts
    found = plan("--prompts", "296", "--score", "0.8", "--correlation", "0", "--loss", "0.1")
    assert found["needed"] == 296
    assert found["detectable"] == pytest.approx(0.1, abs=0.001)


def test_prompts_of_a_cluster_count_as_much_as_they_tell() -> None:
    alone = plan("--prompts", "100")
    assert plan("--prompts", "400", "--clusters", "100")["detectable"] == alone["detectable"]
    assert (
        plan("--prompts", "400", "--clusters", "100", "--within", "0")["detectable"]
        == plan("--prompts", "400")["detectable"]
    )
    half = plan("--prompts", "400", "--clusters", "100", "--within", "0.5")["detectable"]
    assert half == pytest.approx(plan("--prompts", "160")["detectable"])


def test_a_known_deviation_is_scaled_to_the_clusters_of_the_plan() -> None:
    # Cohen: an effect of half a deviation needs 34
    found = plan("--prompts", "34", "--deviation", "0.2", "--loss", "0.1")
    assert found["needed"] == 34
    assert found["detectable"] == pytest.approx(0.1, rel=0.02)


def test_seeds_that_differ_hide_a_loss_of_the_method() -> None:
    found = detect("a", "b", 1000, 1000, 3, 0.05, NOTHING, Known(0.2, 0.05))
    assert found.detectable is not None
    assert found.of_method is not None
    assert found.detectable < 0.02
    assert found.of_method > 0.1
    assert detect("a", "b", 1000, 1000, 3, 0.05, NOTHING, Known(0.2, None)).of_method is None


def test_what_an_earlier_table_could_show_it_shows_again() -> None:
    cell = {"metric": "m", "kind": "forgetting", "detectable": 0.08}
    spread = {"tasks": {"a": {"2b": {"m": {"sd": 0.02}}}}}
    known = _recall({"tasks": {"a": {"clusters": 4000, "comparisons": [cell]}}, "seeds": spread}, "a", "m")
    assert known.seed_deviation == 0.02
    found = detect("a", "m", 4000, 4000, 1, 0.05, NOTHING, known)
    assert found.detectable == pytest.approx(0.08, rel=0.001)
    assert _recall({}, "a", "m") == Known()


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["--clusters", "20"], 2, "--clusters needs --prompts"),
        (["--prompts", "20", "--profile", "mini"], 2, "--profile cannot be used with --prompts"),
        (["--prompts", "20", "--clusters", "30"], 1, "plan: --clusters 30: more than the 20 prompts"),
        (["--prompts", "1"], 2, "--prompts"),
    ],
)
def test_options_that_do_not_fit_are_refused_in_a_line(arguments: list[str], status: int, said: str) -> None:
    done = CliRunner().invoke(command, arguments)
    assert done.exit_code == status
    assert said in done.stderr.splitlines()[-1]


def test_outside_a_project_it_says_what_to_do(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "relearn.cli", "plan"], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == "plan: no params.yaml here; run in a project (relearn init makes one), or give --prompts\n"


def test_blocks_that_were_not_tried_are_counted() -> None:
    params = load(ROOT)
    base = params.base.model
    assert isinstance(base, ScratchBase)
    shape = base.model_copy(update={"layers": 5, "hidden": 32, "heads": 2, "intermediate": 64, "vocabulary": 300})
    config = make_config(shape, 300)
    found = speed.measure_training(config, params.compute, params.finetune.lora, 4, 32)
    whole = new_adapter(AutoModelForCausalLM.from_config(config), params.finetune.lora)
    assert found.parameters == sum(weight.numel() for weight in whole.parameters())
    assert found.trainable == whole.get_nb_trainable_parameters()[0]
    assert found.seconds > 0
    assert found.saved > speed.measure_training(config, params.compute, params.finetune.lora, 2, 32).saved
    answered = speed.measure_answers(config, params.compute, 4, 16)
    assert answered.cached == 2 * 5 * 32 * 4  # keys and values, blocks, width, bytes
    assert speed.count_parameters(config) == sum(
        weight.numel() for weight in AutoModelForCausalLM.from_config(config).parameters()
    )


def test_a_plan_counts_the_rows_that_the_profile_asks_for(tmp_path: Path) -> None:
    sizes = Amounts(load(ROOT, "mini"), Paths.of(tmp_path))
    rows = {one.stage: (one.rows, one.passes) for one in sizes.list_rounds()}
    profile = load(ROOT, "mini")
    asked = profile.prepare.by_task
    assert rows["finetune_2b"] == (2 * asked["reviews"].train, profile.finetune_2b.epochs)
    assert rows["finetune_2c"] == (asked["code"].train, 1)
    assert rows["base"][0] == sum(asked[task].train for task in ("code", "general", "reviews"))
    assert sizes.count_prompts("reviews") == (2 * asked["reviews"].test, asked["reviews"].test)


def test_a_plan_counts_the_items_of_a_suite(tmp_path: Path) -> None:
    profile = load(ROOT, "smollm2")
    prompts, clusters = Amounts(profile, Paths.of(tmp_path)).count_prompts("skills")
    assert prompts == profile.prepare.by_task["skills"].test * len(list(SHIPPED.glob("*.yaml")))
    assert clusters > prompts / 2


def test_another_profile_is_planned_with_a_rate_of_its_own(tmp_path: Path) -> None:
    assert load(ROOT, "llama2-7b").lr <= load(ROOT, "llama2-7b").lr_range.max
    assert math.isclose(load(ROOT).lr, load(ROOT, load(ROOT).profile).lr)


@pytest.mark.parametrize("adapted", [True, False])
def test_bf16_is_tried_as_training_and_answering_compute_it(adapted: bool) -> None:
    params = load(ROOT)
    base = params.base.model
    assert isinstance(base, ScratchBase)
    shape = base.model_copy(update={"layers": 1, "hidden": 32, "heads": 2, "intermediate": 64, "vocabulary": 300})
    config, lora = make_config(shape, 300), params.finetune.lora if adapted else None
    single, half = (params.compute.model_copy(update={"precision": kind}) for kind in ("fp32", "bf16"))
    saved = [speed.measure_training(config, kind, lora, 4, 32).saved for kind in (single, half)]
    assert saved[1] < saved[0] if adapted else saved[1] == saved[0]  # weights that learn are in fp32 on a CPU
    assert (
        speed.measure_training(config, single, lora, 4, 32).seconds
        == speed.measure_training(config, single, lora, 4, 32).seconds
    )  # tried once
    cached = [speed.measure_answers(config, kind, 4, 16).cached for kind in (single, half)]
    assert cached == [2 * 32 * 4, 2 * 32 * 2]
