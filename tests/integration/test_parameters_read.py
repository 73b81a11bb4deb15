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
TEXTS = {"form": "texts", "text": "text", "label": "label"}
COLUMNS = {
    "form": "instructions", "instruction": "instruction", "input": "input", "response": "response", "tests": "tests", "group": None,
}  # fmt: skip


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


def asked(source: dict[str, Any], train: int, val: int, test: int) -> dict[str, Any]:
    sizes = {"train": train, "val": val, "test": test}
    return {"source": source, **sizes, "max_chars": {"prompt": 2000, "response": 2000}}


def tables(clone: Clone) -> dict[str, list[dict[str, Any]]]:
    """What the clone prepared, as the tables that its tasks could have come from."""
    found = {
        "reviews": [
            row["fields"] for name in ("sources", "held_out_sources") for row in rows(clone, f"data/{name}.jsonl")
        ]
    }
    for row in [*rows(clone, "data/train.jsonl"), *rows(clone, "data/held_out.jsonl")]:
        asked, answered = (turn["content"] for turn in row["messages"])
        table = found.setdefault(row["task"], [])
        table.append({"instruction": asked, "response": answered, "input": "", "tests": row["tests"]})
    return found


def own_files(clone: Clone) -> None:
    """What the tiny chain wrote becomes a user's own files, and its base a model folder."""
    sources = clone.folder / "data" / "sources" / "tiny"
    for task, table in tables(clone).items():
        (sources / f"{task}.jsonl").write_text("\n".join(json.dumps(row) for row in table))
    (clone.folder / "models" / "base").rename(sources / "model")
    change(
        clone,
        prepare__near_duplicates=NEAR,
        prepare__reviews=asked({"kind": "files", "path": "reviews.jsonl", "columns": TEXTS}, 12, 2, 2),
        prepare__code=asked({"kind": "files", "path": "code.jsonl", "columns": COLUMNS}, 20, 2, 4),
        prepare__general=asked({"kind": "files", "path": "general.jsonl", "columns": COLUMNS | {"tests": None}}, 10, 2, 2),
        repair__near_duplicates=NEAR,
        base__model={
            "kind": "model", "path": "model", "revision": None, "adapt": {"epochs": 1, "lr": 0.001},
        },
        predict__strategy={"kind": "beam", "width": 2},
    )  # fmt: skip


@pytest.mark.timeout(1800)
def test_runs_of_every_kind_read_only_what_is_tracked(run_clone: Clone) -> None:
    """Files with a server and a model folder, the hub, launchers; the tiny chain itself runs so in every test."""
    clone = run_clone
    own_files(clone)
    clone.python("tests.integration.chain", "prepare", "generate", "repair", "base", "finetune_2b",
                 "finetune_2c", "predict")  # fmt: skip
    with Hub() as hub, Server(Teacher(1, {})) as server:
        for task, table in tables(clone).items():
            hub.add("dataset", f"example/{task}", {"train.parquet": parquet(table)})
        hub.add("model", "example/model", clone.folder / "data" / "sources" / "tiny" / "model")
        at = {"kind": "hub", "revision": "main", "split": "train"}
        change(
            clone,
            prepare__reviews=asked({**at, "dataset": "example/reviews", "columns": TEXTS}, 8, 2, 2),
            prepare__code=asked({**at, "dataset": "example/code", "columns": COLUMNS}, 10, 2, 2),
            prepare__general=asked({**at, "dataset": "example/general", "columns": COLUMNS}, 6, 1, 1),
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
            {"kind": "torchrun", "shard": True, "processes": 2},
            # on a CPU, accelerate starts one process of the two asked for, which is refused
            {"kind": "accelerate", "processes": 2, "config": "two.yaml"},
        ]
        (clone.folder / "two.yaml").write_text("distributed_type: 'NO'\nnum_processes: 2\nuse_cpu: true\n")
        for launch in launchers:
            change(clone, launch=launch)
            ended = clone.run("python", *chain, "finetune_2b", check=False, **environment)
            assert ended.returncode == (launch["kind"] == "accelerate"), ended.stderr
