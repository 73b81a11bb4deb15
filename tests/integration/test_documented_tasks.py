"""The tasks of docs/tasks.md, added to the tiny profile by following it, and seen wherever a user looks for them.

Files and lines of the profile alone: a watched task, a new one with a teacher, a new one of conversations from a file.
The teacher is on loopback and answers any schema.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from relearn.mini.server import Server
from tests.conftest import ROOT
from tests.integration.conftest import Clone, copy
from tests.integration.test_reruns import TINY, merge
from tests.schema_teacher import SchemaTeacher

DOCUMENT = ROOT / "docs" / "tasks.md"
BLOCK = re.compile(r"^`([^`\n]+)`:\n\n```\w+\n(.*?)^```$", re.M | re.S)  # a file's name, then what it holds
FILES = "data/sources/files/"
ADDED = ["riddles", "support", "chats"]
OLD = ["code", "reviews", "general"]
HEADLINE = {"riddles": "rouge_l", "support": "rouge_l", "chats": "exact_match"}
CALLED = {"riddles": "riddles", "support": "answering customers", "chats": "chats"}
SMALL = {"train": 16, "val": 4, "test": 8}


def shrunk(tree: Any) -> Any:
    """The profile's lines at the size of the tiny chain."""
    if not isinstance(tree, dict):
        return tree
    made = {name: shrunk(value) for name, value in tree.items()}
    made |= {split: min(most, made[split]) for split, most in SMALL.items() if split in made}
    return made | {"max_new_tokens": dict.fromkeys(made["max_new_tokens"], 12)} if "max_new_tokens" in made else made


def follow(folder: Path) -> dict[str, Any]:
    """Does what the document says, in the profile `tiny`; returns its profile."""
    profile: dict[str, Any] = YAML(typ="safe").load(folder / TINY)
    del profile["generate"]["teacher"]  # another kind takes its place
    for name, content in BLOCK.findall(DOCUMENT.read_text(encoding="utf-8")):
        file = folder / name.replace(FILES, "data/sources/tiny/")
        if name == "profiles/files.yaml":
            merge(profile, shrunk(YAML(typ="safe").load(content)))
        elif file.suffix == ".jsonl":  # the one row shown, and others like it
            file.write_text("".join(content.replace("12", str(number)) for number in range(100, 140)))
        else:
            file.write_text(content, encoding="utf-8")
    return profile


@contextmanager
def followed(clone: Clone) -> Iterator[Clone]:
    """The clone with the document followed, while its teacher is there."""
    profile = follow(clone.folder)
    profile["prepare"]["riddles"]["val"] = 4  # so that its loss is drawn
    profile["predict"]["decode_scales"] = [0.5]
    profile["eval_3a"]["metrics"]["code"] = ["bpb", "codebleu"]  # so small a base scores nothing else on code
    schema = json.loads((clone.folder / "prompts" / "support.json").read_text())
    with Server(SchemaTeacher(schema)) as server:
        profile["generate"]["teacher"]["base_url"] = server.base_url
        (clone.folder / TINY).write_text(json.dumps(profile))  # JSON is YAML
        clone.environment["OPENAI_API_KEY"] = "any"
        yield clone


@pytest.fixture(scope="module")
def documented(pristine: Clone, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A clone in which the document was followed, and the chain has run."""
    with followed(copy(pristine, tmp_path_factory.mktemp("documented"))) as clone:
        clone.forked("tests.integration.chain")
        clone.run("dvc", "commit", "--force", "--quiet")
    return clone


def rows(clone: Clone, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (clone.folder / name).read_text(encoding="utf-8").splitlines()]


def test_the_rows_are_what_the_document_says(documented: Clone) -> None:
    taught = rows(documented, "data/instructions.jsonl")
    support = [row for row in taught if row["task"] == "support"]
    assert [row["template"] for row in support[:3]] == ["mood", "steps", "answer"]
    mood, steps, answer = ([message["content"] for message in row["messages"]] for row in support[:3])
    assert mood[0].startswith("Is this customer calm or cross?\n\nMy kettle, order 1")
    assert mood[1] in ("calm", "cross")
    assert len(steps[1].splitlines()) == 2
    assert answer[0].endswith(f"Do this:\n{steps[1]}")
    chats = [row for row in taught if row["task"] == "chats"]
    assert {tuple(message["role"] for message in row["messages"]) for row in chats} == {
        ("system", "user", "assistant", "user", "assistant")
    }
    assert len(chats) == SMALL["train"] + SMALL["val"]
    assert {row["task"] for row in rows(documented, "data/train.jsonl") if row["split"] == "train"} == {
        "code", "general", "chats",
    }  # fmt: skip


def test_the_tables_have_every_task_and_model(documented: Clone) -> None:
    with open(documented.folder / "report/table_3a.csv", encoding="utf-8", newline="") as file:
        cells = {(row["task"], row["model"], row["metric"]): row["value"] for row in csv.DictReader(file)}
    drawn = (documented.folder / "report/table_3a.md").read_text(encoding="utf-8")
    for task in ADDED:
        for model in ("base", "2b", "2c", "2b@0.5"):
            assert cells[task, model, HEADLINE[task]] != ""
        part = drawn.split(f"### {task}: ")[1].split("###")[0]
        assert part.startswith(f"{24 if task == 'support' else 8} prompts")
        assert [unescape(line.split("|")[1]).strip() for line in part.splitlines() if line.startswith("| ")][1:] == [
            "base", "2b", "2c", "2b@0.5",
        ]  # fmt: skip


def test_the_page_and_the_analysis_tell_of_every_task(documented: Clone) -> None:
    page = (documented.folder / "report/index.html").read_text(encoding="utf-8")
    analysis = (documented.folder / "report/analysis.md").read_text(encoding="utf-8")
    curves = page[page.index('id="curves"') :].split("</figure>")[0]
    told = {task: CALLED.get(task, "") for task in ADDED}
    for task, called in told.items():
        assert f"<caption>{task}: " in page
        assert f">{task}</text>" in curves
        assert called in analysis
    assert "new skill: mean of replying to reviews, answering customers and chats" in page
    assert "a new skill, from mails to the shop" in page
    assert "On answering customers, a new skill, from mails to the shop, ROUGE-L" in analysis
    assert "2b@0.5" in page


def test_the_losses_are_drawn_for_every_task(documented: Clone) -> None:
    for model in ("2b", "2c"):
        with open(documented.folder / f"metrics/losses/{model}.csv", encoding="utf-8", newline="") as file:
            assert {row["task"] for row in csv.DictReader(file)} == {*OLD, *ADDED, "train"}
    shown = documented.run("dvc", "plots", "show", "losses", "--show-vega").stdout
    assert {point["task"] for point in json.loads(shown)["data"]["values"]} >= {*OLD, *ADDED}


def test_raters_are_asked_about_every_task(documented: Clone) -> None:
    page = (documented.folder / "report/rate.html").read_text(encoding="utf-8")
    for text in ("and cannot bite. What am I?", "My kettle, order 1", "And after it?"):
        assert text in page


def test_dvc_metrics_show_has_every_task(documented: Clone) -> None:
    found = json.loads(documented.run("dvc", "metrics", "show", "--json").stdout)[""]["data"]
    assert set(found) == {f"metrics/eval_3a/{model}.json" for model in ("base", "2b", "2c", "2b@0.5")}
    for file in found.values():
        for task in ADDED:
            assert next(iter(file["data"][task])) == HEADLINE[task]
    table = documented.run("dvc", "metrics", "show", "--md").stdout
    assert all(f"{task}.{HEADLINE[task]}" in table for task in ADDED)


def test_the_frontier_has_every_task_and_model(documented: Clone) -> None:
    table = documented.forked("stages.frontier", "--markdown").stdout.splitlines()
    heads = [cell.strip() for cell in table[0].strip("|").split("|")]
    assert heads[6:-1] == [
        "reviews", "support", "chats", "new skill", "code kept", "general kept", "riddles kept",
    ]  # fmt: skip
    assert [line.split("|")[6].strip() for line in table if "plain" in line] == ["2b", "2c", "2b@0.5"]
    assert "answering customers" in (documented.folder / "report/frontier.html").read_text(encoding="utf-8")


def test_adding_the_old_task_as_documented_trains_nothing() -> None:
    shown = dict(BLOCK.findall(DOCUMENT.read_text(encoding="utf-8").split("## A new task")[0]))
    riddles = YAML(typ="safe").load(shown["profiles/files.yaml"])["prepare"]["riddles"]
    assert (riddles["train"], riddles["val"]) == (0, 0)


@pytest.mark.slow
def test_dvc_repro_runs_what_was_added(scratch_clone: Clone) -> None:
    with followed(scratch_clone) as clone:
        clone.run("dvc", "repro", "--quiet")
        assert clone.run("dvc", "status").stdout.strip() == "Data and pipelines are up to date."
    table = clone.run("dvc", "metrics", "show", "--md").stdout
    assert all(f"{task}.{HEADLINE[task]}" in table for task in ADDED)


# --- watched tasks only -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def watching(pristine: Clone, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A clone whose old tasks are watched only, and whose new one comes from a file, after the chain has run."""
    clone = copy(pristine, tmp_path_factory.mktemp("watching"))
    profile = follow(clone.folder)
    profile["tasks"] = {"general": {"role": "watched"}, "riddles": {"role": "watched"}, "chats": {"role": "new"}}
    profile["generate"]["teacher"]["api_key_env"] = "KEY"
    profile["eval_3a"]["metrics"] |= {"general": ["bpb", "rouge_l"], "riddles": ["bpb", "rouge_l"]}
    for path in ("prepare", "generate", "repair", "predict.max_new_tokens", "eval_3a.metrics", "report.tasks"):
        group = profile
        for part in path.split("."):
            group = group[part]
        for task in ("code", "reviews", "support"):
            group.pop(task, None)
    (clone.folder / TINY).write_text(json.dumps(profile))
    clone.environment["KEY"] = "any"
    clone.forked("tests.integration.chain")
    clone.run("dvc", "commit", "--force", "--quiet")
    return clone


def test_without_a_replayed_task_2c_is_a_copy_and_nothing_shows_it(watching: Clone) -> None:
    folder = watching.folder
    assert json.loads((folder / "models/2c/provenance.json").read_text())["copied"] == "models/2b"
    weights = [(folder / f"models/{model}/adapter_model.safetensors").read_bytes() for model in ("2b", "2c")]
    assert weights[0] == weights[1]
    assert sorted(file.name for file in (folder / "data/predictions").iterdir()) == [
        "2b.jsonl",
        "2c.jsonl",
        "base.jsonl",
    ]
    found = json.loads(watching.run("dvc", "metrics", "show", "--json").stdout)[""]["data"]
    assert {Path(file).stem: list(scores["data"]) for file, scores in found.items()} == {
        model: ["general", "riddles", "chats"] for model in ("base", "2b")
    }
    for file in ("report/table_3a.csv", "report/table_3a.md", "report/analysis.md", "report/probe_3b.md"):
        text = (folder / file).read_text(encoding="utf-8")
        assert re.search(r"\b2b\b", text), file
        assert not re.search(r"\b2c\b", text), file
    page = (folder / "report/index.html").read_text(encoding="utf-8")
    seen = page.split("<main")[1].split('id="facts"')[0]
    assert "Two models are compared" in seen
    assert not re.search(r"\b2c\b|None|nan", seen)
    assert all(f"<caption>{task}: " in seen or f"<caption>{task} " in seen for task in ("riddles", "chats"))
    shown = json.loads(watching.run("dvc", "plots", "show", "losses", "--show-vega").stdout)["data"]["values"]
    assert {point["task"] for point in shown} == {"general", "chats", "train"}  # riddles asked for no rows to watch
    assert {point["filename"] for point in shown} == {"2b.csv"}
    assert "And after it?" in (folder / "report/rate.html").read_text(encoding="utf-8")


def test_the_frontier_of_watched_tasks(watching: Clone) -> None:
    table = watching.forked("stages.frontier", "--markdown").stdout.splitlines()
    heads = [cell.strip() for cell in table[0].strip("|").split("|")]
    assert heads[6:-1] == ["chats", "general kept", "riddles kept", "old kept"]
    assert [line.split("|")[6].strip() for line in table if "plain" in line] == ["2b"]
