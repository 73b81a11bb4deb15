"""A suite of skills from its folder through prepare and predict's prompts to the table by skill."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from relearn.errors import InputError
from relearn.evaluation.suite import SkillItem
from relearn.files import read_jsonl, write_jsonl
from relearn.params import Params, load
from relearn.records import Prediction, Row
from stages import eval_3a, predict, prepare
from stages.paths import Paths
from tests.conftest import ROOT

NONE = {"prompt": None, "response": None}
SUITE = {"kind": "skills", "path": "own"}
QUESTION = (
    "{{id: q{n}, instruction: Please hum {n} times., check: {{type: contains, all: ['{n}']}}, answer: '{n} times'}}"
)
MODELS = ("base", "2b", "2c")


class Project:
    """A folder with the tiny profile and a watched task, the suite of a folder beside the probes."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.paths = folder, Paths.of(folder)
        shutil.copy(ROOT / "params.yaml", folder)
        (folder / "profiles").mkdir()
        sources = folder / "data" / "sources" / "tiny"
        shutil.copytree(ROOT / "data" / "sources" / "mini", sources)
        (sources / "own").mkdir()
        items = "\n".join(f"  - {QUESTION.format(n=n)}" for n in range(100, 120))
        text = f"name: humming\nabout: humming well\nmax_new_tokens: 5\nitems:\n{items}\n"
        (sources / "own" / "humming.yaml").write_text(text)
        self.tree: Any = YAML(typ="safe").load(ROOT / "tests" / "profiles" / "tiny.yaml")
        self.tree["tasks"]["skills"] = {"role": "watched"}
        self.tree["prepare"]["skills"] = {"source": SUITE, "train": 0, "val": 0, "test": 20, "max_chars": NONE}
        self.tree["predict"]["max_new_tokens"]["skills"] = 9
        self.tree["eval_3a"]["metrics"]["skills"] = ["checks"]

    def params(self, **changes: Any) -> Params:
        tree = copy.deepcopy(self.tree)
        for path, value in changes.items():
            *parents, name = path.split("__")
            group = tree
            for parent in parents:
                group = group[parent]
            group[name] = value
        (self.folder / "profiles" / "tiny.yaml").write_text(json.dumps(tree))
        swept = (self.folder / "params.yaml").read_text().replace("profile: mini", "profile: tiny")
        (self.folder / "params.yaml").write_text(swept)
        return load(self.folder)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_a_suite_is_held_out_asked_within_its_limit_and_told_by_skill(project: Project) -> None:
    params, paths = project.params(), project.paths
    prepare.work(params, paths)
    rows = [row for row in read_jsonl(paths.held_out, Row) if row.task == "skills"]
    assert len(rows) == 20
    assert not any(row.task == "skills" for row in read_jsonl(paths.train, Row))
    assert [item.id for item in read_jsonl(paths.skill_items, SkillItem)] == [row.id for row in rows]
    assert json.loads((paths.metrics / "prepare.json").read_text())["skills"]["splits"]["test"] == 20

    write_jsonl(paths.held_out_instructions, [])
    prompts = predict.list_prompts(params, paths)
    asked = [item for _, task, _, item in prompts if task == "skills"]
    assert {(item.limit, item.reference) for item in asked} == {(5, None)}

    for model in MODELS:
        write_jsonl(paths.predicted(model), (answer(one, forgetful=model == "2b") for one in prompts))
    for file in (paths.drift, paths.verdicts):
        write_jsonl(file, [])
    eval_3a.work(params, paths)
    found = json.loads((paths.metrics / "skills.json").read_text())["skills"]
    humming = found["skills"]["humming"]
    assert [humming["models"][model]["value"] for model in MODELS] == [1.0, 0.1, 1.0]
    assert humming["flips"]["base to 2b"]["lost"] == 18
    points = {model: json.loads(paths.scored(model).read_text()) for model in MODELS}
    assert [points[model]["skills"]["checks"] for model in MODELS] == [1.0, 0.1, 1.0]
    assert points["2b"]["skills"]["forgotten"] == 0.9
    pooled = json.loads((paths.metrics / "intervals.json").read_text())["pooled"]
    assert "bpb" in pooled["scores"]  # the suite has no references, and takes nothing from the others
    assert "humming well" in (paths.report / "skills.md").read_text()


def answer(one: predict.HeldOut, forgetful: bool) -> Prediction:
    """What a model says: the reference, or the number asked for, of which a forgetful one knows the first two alone."""
    identity, task, group, item = one
    number = item.instruction.split()[-2] if task == "skills" else ""
    said = item.reference or (number if number < "102" or not forgetful else "no idea")
    size = len(item.reference.encode()) if item.reference else None
    return Prediction(
        id=identity, task=task, group=group, prompt=item.instruction, reference=item.reference, prediction=said or "x",
        finish_reason="stop", nll=2.0 if size else None, bytes=size,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"tasks__skills__role": "replayed"}, "tasks.skills.role: a suite of skills is watched"),
        ({"prepare__skills__train": 5}, "prepare.skills.train: nobody trains on a suite"),
        ({"prepare__skills__source": {"kind": "skills", "path": "none"}}, "none: no such folder"),
    ],
)
def test_what_a_suite_cannot_be_is_said(project: Project, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        prepare.work(project.params(**changes), project.paths)
