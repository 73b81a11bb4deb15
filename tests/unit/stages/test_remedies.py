"""`make remedies`: the parameters of each method's experiment, what counts as done, and what dvc is told."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from relearn.errors import InputError
from relearn.params import Params, load
from stages import remedies
from stages.paths import Paths
from tests.conftest import ROOT


@pytest.fixture
def project(tmp_path: Path) -> tuple[Params, Paths]:
    shutil.copytree(ROOT / "profiles", tmp_path / "profiles")
    shutil.copy(ROOT / "params.yaml", tmp_path)
    return load(tmp_path), Paths.of(tmp_path)


def choose(project: tuple[Params, Paths], *arguments: str, method: str = "replay") -> Params:
    _, seeds, given, _ = remedies.read_arguments(arguments)
    return remedies.choose_params(*project, method, seeds, given)


def test_plain_is_always_among_the_methods_and_once() -> None:
    assert remedies.read_arguments(["replay", "plain", "replay"]) == (["plain", "replay"], [], {}, None)
    assert remedies.read_arguments(["replay", "--seeds", "1", "2", "-S", "lr=1e-3"]) == (
        ["plain", "replay"], [1, 2], {"lr": 0.001}, None,
    )  # fmt: skip
    for wrong in (["--seeds", "x"], ["--half"], ["-S", "lr"]):
        with pytest.raises(InputError, match=r"usage: python -m stages\.remedies METHOD"):
            remedies.read_arguments(wrong)


def test_an_experiment_trains_2b_only_and_answers_with_it_alone(project: tuple[Params, Paths]) -> None:
    own = choose(project, "--seeds", "1", "2")
    assert (own.method, own.seeds, own.finetune_2c.epochs, own.replays) == ("replay", [1, 2], 0, False)
    assert own.predict.scales == remedies.SCALES
    assert own.predict.decode_scales == []
    assert remedies.name_experiment(own) == "remedy-mini-replay-1-2"


def test_settings_change_the_experiment_and_go_to_dvc(project: tuple[Params, Paths]) -> None:
    given = (
        "-S",
        "lr=5e-3",
        "-S",
        "profiles/mini.yaml:predict.scale_rows=null",
        "-S",
        "profiles/mini.yaml:finetune_2b.epochs=2",
    )
    own = choose(project, *given)
    assert (own.lr, own.predict.scale_rows, own.finetune_2b.epochs) == (0.005, None, 2)
    told = remedies.list_settings(own, "replay", remedies.read_arguments(given)[2])
    assert told[::2] == ["-S"] * (len(told) // 2)
    # dvc reads a value as YAML: what it then writes into the files is the experiment's parameters
    settings = {name: YAML(typ="safe").load(value) for name, _, value in (one.partition("=") for one in told[1::2])}
    assert remedies.choose_params(*project, "replay", own.seeds, settings) == own
    with pytest.raises(InputError, match="no such key"):
        choose(project, "-S", "profiles/mini.yaml:predict.scalse=[1]")
    with pytest.raises(InputError, match=r"expected settings of profiles/mini\.yaml"):
        choose(project, "-S", "profiles/files.yaml:predict.scales=[1]")
    with pytest.raises(InputError, match="scales: 9 is out of bounds"):
        choose(project, "-S", "profiles/mini.yaml:predict.scales=[9]")


def test_another_profile_is_one_setting(project: tuple[Params, Paths]) -> None:
    own = choose(project, "-S", "profile=smollm2", "-S", "lr=1e-3", method="plain")
    assert (own.profile, own.lr, remedies.name_experiment(own)) == ("smollm2", 0.001, "remedy-smollm2-plain")


def shown(params: Params) -> dict[str, Any]:
    """An experiment's parameters as dvc shows them."""
    return params.model_dump(mode="json")


def test_what_ran_with_the_same_parameters_is_done_and_nothing_else(project: tuple[Params, Paths]) -> None:
    own = choose(project)
    assert remedies.is_done(shown(own), own)
    assert not remedies.is_done({}, own)
    other = shown(own)
    other["finetune"]["lora"]["targets"] = "all-linear"  # as a profile may write it
    assert not remedies.is_done(other, own)
    assert remedies.is_done(other, Params.model_validate(other))
    for changed in ("lr=5e-3", "seed=4", "profiles/mini.yaml:finetune_2b.methods.replay.share=0.2"):
        assert not remedies.is_done(shown(choose(project, "-S", changed)), own), changed
    assert remedies.is_done(shown(choose(project, "-S", "profiles/mini.yaml:report.caption=x")), own)
