"""A stage tracks every key it reads: runs of every kind, each stage with the keys alone that it tracks."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ruamel.yaml import YAML

from relearn.mini.completions import Teacher
from relearn.mini.server import Server
from tests.hub_server import Hub
from tests.integration.conftest import Clone
from tests.integration.test_hub import parquet

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


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_runs_of_every_kind_read_only_what_is_tracked(run_clone: Clone) -> None:
    """Files with a server and a model folder, the hub, launchers; the tiny chain itself runs so in every test."""
    clone = run_clone
    own_files(clone)
    clone.python("tests.integration.chain", "prepare", "generate", "repair", "base", "finetune_2b",
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
        chain = ("-m", "tests.integration.chain")
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
