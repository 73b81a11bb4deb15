"""docs/parameters.md is current, holds every key, and says rightly what a key re-runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from relearn.params.document import following, keys, stages_of
from relearn.params.page import page
from stages import parameters
from tests.unit.params.test_load import SHIPPED, parsed

ROOT = Path(__file__).resolve().parents[3]
CHAIN: dict[str, Any] = {
    "read": {"params": ["seed", {"p.yaml": ["read"]}], "deps": ["in"], "outs": ["data/rows"]},
    "train": {"params": ["lr", {"p.yaml": ["train.epochs"]}], "deps": ["data/rows"], "outs": ["models"]},
    "score": {"params": [], "deps": ["models/base.bin"], "metrics": [{"m.json": {"cache": False}}]},
    "draw": {"params": [{"p.yaml": None}], "deps": ["m.json"]},
    "count": {"params": [], "deps": ["data"]},
}


def test_the_page_is_current() -> None:
    written = (ROOT / "docs" / "parameters.md").read_text(encoding="utf-8")
    assert written == parameters.text(), "run `make docs`"


def test_the_page_shows_every_shipped_profile() -> None:
    assert sorted(parameters.SHIPPED) == [name for name in SHIPPED if name != "tiny"]


@pytest.mark.parametrize("profile", parameters.SHIPPED)
def test_every_value_of_a_profile_is_on_the_page(profile: str) -> None:
    known = {key.name for key in keys()}

    def leaves(value: Any, path: tuple[str, ...] = ()) -> list[str]:
        if isinstance(value, dict):
            if not value:
                return [".".join(path)]
            return [name for key, inner in value.items() for name in leaves(inner, (*path, key))]
        return [".".join(path)]

    text = page({profile: parsed(profile)}, {})
    tasks = "|".join(parsed(profile)["tasks"])
    for name in leaves(parsed(profile)):
        name = re.sub(rf"\.({tasks})(?=\.|$)", ".<task>", name)
        if name.endswith((".rows", ".checks")):
            name += ".name" if name.endswith("rows") else ".kind"
        assert name in known
        assert f"- **`{name}`** " in text


def test_a_key_re_runs_the_stages_that_track_it() -> None:
    chain = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]
    del chain["report"]  # it shows every key
    assert stages_of(("lr",), chain) == ["finetune_2b", "finetune_2c"]
    assert stages_of(("eval_3a", "resamples"), chain) == ["eval_3a"]
    assert stages_of(("finetune_2c", "share"), chain) == ["finetune_2c"]
    assert stages_of(("prepare", "reviews", "train"), chain) == ["prepare"]
    assert stages_of(("finetune_2b", "methods", "replay", "share"), chain) == ["finetune_2b"]
    # a name that begins like another is another
    assert stages_of(("read",), CHAIN) == ["read", "draw"]
    assert stages_of(("readings",), CHAIN) == ["draw"]
    assert stages_of(("train", "epochs"), CHAIN) == ["train", "draw"]
    assert stages_of(("train", "rate"), CHAIN) == ["draw"]


def test_every_key_re_runs_something_but_for_those_that_only_bound_another() -> None:
    chain = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]
    del chain["report"]
    idle = [key.name for key in keys() if not stages_of(key.path, chain)]
    assert idle == [
        "lr_range.min",
        "lr_range.max",
        "report.caption",
        "report.tasks.<task>.label",
        "report.tasks.<task>.about",
    ]


def test_what_follows_a_stage_reads_what_it_writes() -> None:
    assert following("read", CHAIN) == ["train", "score", "draw", "count"]
    assert following("train", CHAIN) == ["score", "draw"]
    assert following("draw", CHAIN) == []
