"""No dead keys: every leaf of the parameter tree is read by some stage, and each stage tracks what it reads."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ruamel.yaml import YAML

from relearn.mini.completions import Teacher
from relearn.mini.server import Server
from relearn.params.document import keys, stages_of
from tests.conftest import ROOT
from tests.hub_server import Hub
from tests.integration.conftest import Clone, copy
from tests.integration.test_hub import parquet

Reads = dict[str, set[str]]  # stage → the keys it read

# A rule of the tree holds lr between them; no stage needs them.
BOUNDS = {"finetune.lr_min", "finetune.lr_max"}
NOTE = ".git/reads.json"
NEAR = {"threshold": 0.9, "permutations": 32}
COLUMNS = {"instruction": "instruction", "input": None, "response": "response", "tests": None, "group": None}


def rows(clone: Clone, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (clone.folder / name).read_text(encoding="utf-8").splitlines()]


def change(clone: Clone, **groups: Any) -> None:
    """Changes keys of the tiny profile; a path's dots are written as two underscores."""
    file = clone.folder / "profiles" / "tiny.yaml"
    tree = YAML(typ="safe").load(file)
    for path, value in groups.items():
        *parents, name = path.split("__")
        group = tree
        for parent in parents:
            group = group[parent]
        group[name] = value
    file.write_text(json.dumps(tree))  # JSON is YAML


def own_files(clone: Clone) -> None:
    """What the tiny chain wrote becomes a user's own files, and its base a model folder."""
    sources = clone.folder / "data" / "sources" / "tiny"
    originals = rows(clone, "data/original.jsonl")
    reviews = rows(clone, "data/reviews.jsonl")
    for task in ("code", "general"):
        lines = [json.dumps(row) for row in originals if row["task"] == task]
        (sources / f"{task}.jsonl").write_text("\n".join(lines))
    (sources / "reviews.jsonl").write_text("\n".join(json.dumps(row) for row in reviews))
    (clone.folder / "models" / "base").rename(sources / "model")
    change(
        clone,
        prepare__source={
            "kind": "files",
            "reviews": {"path": "reviews.jsonl", "text": "text", "label": "label"},
            "code": {"path": "code.jsonl", **COLUMNS, "tests": "tests"},
            "general": {"path": "general.jsonl", **COLUMNS},
        },
        prepare__near_duplicates=NEAR,
        prepare__reviews={"train": 12, "val": 2, "test": 2},
        prepare__code={"train": 20, "val": 2, "test": 4},
        prepare__general={"train": 10, "val": 2, "test": 2},
        repair__near_duplicates=NEAR,
        base__model={
            "kind": "model", "path": "model", "revision": None, "adapt": {"epochs": 1, "lr": 0.001},
        },
        predict__strategy={"kind": "beam", "width": 2},
    )  # fmt: skip


pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def reads(reproduced: Clone, tmp_path_factory: pytest.TempPathFactory) -> Reads:
    """What each stage read over runs of every kind: mini, files with a server and a model folder, the hub, launchers."""
    clone = copy(reproduced, tmp_path_factory.mktemp("modes"))
    own_files(clone)
    clone.python("tests.integration.chain", NOTE, "prepare", "generate", "repair", "base", "finetune_2b",
                 "finetune_2c", "predict")  # fmt: skip
    originals = rows(clone, "data/original.jsonl")
    reviews = rows(clone, "data/reviews.jsonl")
    with Hub() as hub, Server(Teacher(1, {})) as server:
        for task in ("code", "general"):
            table = [
                {"instruction": row["instruction"], "response": row["response"], "input": ""}
                for row in originals
                if row["task"] == task
            ]
            hub.add("dataset", f"example/{task}", {"train.parquet": parquet(table)})
        table = [{"text": row["text"], "label": row["label"]} for row in reviews]
        hub.add("dataset", "example/reviews", {"train.parquet": parquet(table)})
        hub.add("model", "example/model", clone.folder / "data" / "sources" / "tiny" / "model")
        at = {"revision": "main", "split": "train"}
        columns = {"instruction": "instruction", "input": "input", "response": "response"}
        change(
            clone,
            prepare__source={
                "kind": "hub",
                "reviews": {"dataset": "example/reviews", **at, "text": "text", "label": "label"},
                "code": {"dataset": "example/code", **at, **columns},
                "general": {"dataset": "example/general", **at, **columns},
            },
            prepare__reviews={"train": 8, "val": 2, "test": 2},
            prepare__code={"train": 10, "val": 2, "test": 2},
            prepare__general={"train": 6, "val": 1, "test": 1},
            generate__teacher={"kind": "server", "base_url": server.base_url, "api_key_env": "TINY_KEY"},
            base__model={"kind": "model", "path": "example/model", "revision": "main", "adapt": None},
            predict__strategy={"kind": "top_k", "k": 5, "temperature": 0.8},
        )
        environment = {**hub.environment(clone.folder.parent / "hub"), "HF_HUB_OFFLINE": "0"}
        chain = ("-m", "tests.integration.chain", NOTE)
        clone.run("python", *chain, "prepare", "generate", "base", "predict", TINY_KEY="any", **environment)
        change(
            clone,
            predict__strategy={"kind": "temperature", "temperature": 0.8},
            predict__backend={
                "kind": "endpoint", "base_url": server.base_url, "api_key_env": "TINY_KEY", "concurrency": 4,
                "models": {"base": "zero", "2b": "one", "2c": "two"}, "timeout_s": 30, "attempts": 2,
            },
        )  # fmt: skip
        clone.run("python", *chain, "predict", TINY_KEY="any", **environment)
        launchers: list[dict[str, Any]] = [
            {"kind": "torchrun", "processes": 2},
            # on a CPU, accelerate starts one process of the two asked for, which is refused
            {"kind": "accelerate", "processes": 2, "config": "two.yaml"},
        ]
        (clone.folder / "two.yaml").write_text("distributed_type: 'NO'\nnum_processes: 2\nuse_cpu: true\n")
        for launch in launchers:
            change(clone, launch=launch)
            ended = clone.run("python", *chain, "finetune_2b", check=False, **environment)
            assert ended.returncode == (launch["kind"] == "accelerate"), ended.stderr
    found = json.loads((clone.folder / NOTE).read_text())
    # the report prints every key: that is no use of it
    return {stage: set(names) for stage, names in found.items() if stage != "report"}


def test_every_key_is_read_by_some_stage(reads: Reads) -> None:
    read = set().union(*reads.values())
    dead = [
        f"{key.name} ({key.owner})"
        for key in keys()
        if key.name not in BOUNDS and (f"{key.name}@{key.owner}" if key.owner else key.name) not in read
    ]
    assert dead == [], "these keys are validated and documented, and nothing reads them"


def test_a_stage_tracks_every_key_it_reads(reads: Reads) -> None:
    chain = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]
    leaves = {key.path for key in keys()}
    for stage, names in reads.items():
        untracked = [
            name
            for name in sorted(names)
            if tuple(name.split(".")) in leaves and stage not in stages_of(name.split("."), chain)
        ]
        assert untracked == [], f"a change of these would leave the outputs of {stage} as they are"


def test_a_stage_tracks_little_that_it_does_not_read(reads: Reads) -> None:
    """What a stage tracks and never reads makes it run again for nothing."""
    chain = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]
    leaves = [key for key in keys() if not key.when]
    idle = {
        stage: [key.name for key in leaves if stage in stages_of(key.path, chain) and key.name not in names]
        for stage, names in reads.items()
    }
    assert {stage: found for stage, found in idle.items() if found} == {}
