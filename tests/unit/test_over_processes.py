"""Repair and scoring over processes: the same bytes whatever their number, the right row in an error."""

from __future__ import annotations

import dataclasses
import io
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from relearn.errors import InputError
from relearn.evaluation import shares, tasks
from relearn.evaluation.models import evaluate_models
from relearn.evaluation.roles import ModelRoles, ScoredTask
from relearn.files import read_jsonl, write_jsonl
from relearn.params.evaluate import Scoring
from relearn.params.prepare import NearDuplicates
from relearn.params.repair import TaskRepair
from relearn.records import Prediction, Reply, Source
from relearn.repair import command, replies, rows
from relearn.repair.dump import read_dump
from relearn.repair.json import RecordSchema, load_task_schema
from relearn.repair.replies import ReplyRepairer, ReplyTask, pair_with_sources
from relearn.repair.rows import DumpRepairer
from relearn.workers import VARIABLE

PAIR = {"agree": "I feel the same about the acting in it.", "disagree": "I was bored by the acting all evening."}
TEXTS = [
    json.dumps(PAIR),
    f"```json\n{json.dumps(PAIR)}\n```",
    json.dumps({**PAIR, "agree": 'He said "yes", and so do I, twice.'}).replace('\\"', '"'),
    json.dumps(PAIR)[:60],
    "I'm sorry, but I can't help with that.",
    "",
    '{"agree": "Half a character \\ud83d is in it.", "disagree": "None is in this one, I am sure."}',
    f"{json.dumps(PAIR)} and {json.dumps({**PAIR, 'agree': 'Another one that I can agree with.'})}",
    f"<think>{json.dumps(PAIR)}</think>",
]


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of a few rows, and processes after as few."""
    for module in (rows, replies):
        monkeypatch.setattr(module, "ALONE", 4)
        monkeypatch.setattr(module, "CHUNK", 3)
    monkeypatch.setattr(shares, "FEWEST", 0)
    for owner in (shares, tasks):
        monkeypatch.setattr(owner, "ROWS", 3)


def dump(number: int) -> str:
    """Replies with their ids, some ids twice, and lines that are no JSON between them."""
    rng = random.Random(number)
    lines = []
    for row in range(number):
        text = rng.choice(TEXTS).replace("acting", rng.choice(["acting", f"plot {row}"]))
        lines.append(
            json.dumps({"id": row // 2, "content": text, "finish_reason": rng.choice(["stop", "length", None])})
        )
        if rng.random() < 0.2:
            lines.append(rng.choice(['{"agree": "A line that nobody', "prose", "", text]))
    return "".join(line + "\n" for line in lines)


@pytest.mark.parametrize(("number", "duplicates"), [(0, "keep"), (1, "keep"), (26, "keep"), (40, "drop")])
def test_a_dump(number: int, duplicates: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for workers in ("1", "2", "3"):
        monkeypatch.setenv(VARIABLE, workers)
        schema = RecordSchema.of_texts(list(PAIR))
        repairer = DumpRepairer(schema, duplicates=duplicates)
        lines = list(repairer.repair_all(read_dump(io.BytesIO(dump(number).encode()), "dump", schema)))
        found.append((lines, repairer.ledger.as_dict()))
    assert found[0] == found[1] == found[2]
    alone = DumpRepairer(schema, duplicates=duplicates)
    one_by_one = [
        row for text in read_dump(io.BytesIO(dump(number).encode()), "dump", schema) for row in alone.repair(text)
    ]
    assert [(kept, json.loads(line)) for kept, line in found[0][0]] == one_by_one
    if number == 40:
        assert {"duplicate", "refusal", "only_reasoning"} <= found[0][1]["reasons"].keys()
        assert any(not kept and "row" in json.loads(line) for kept, line in found[0][0])


@pytest.mark.parametrize("near", [None, NearDuplicates(threshold=0.9, permutations=32)])
def test_replies_of_the_teacher(near: NearDuplicates | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(1)
    names = [f"r{number}" for number in range(31)]
    sources = {
        ("film", name): Source(id=name, task="film", group=name, label=None, split=rng.choice(["train", "val", "test"]),
            fields={"text": f"The film {name} was long, and I liked every minute of it a lot."})
        for name in names[:-1]
    }  # fmt: skip
    asked = [
        Reply(
            id=name, task="film", content=rng.choice(TEXTS).replace("acting", rng.choice(["acting", f"plot of {name}"])),
            finish_reason="stop", model="m", usage=None, request="x",
        )
        for name in names
    ]  # fmt: skip
    (tmp_path / "pair.json").write_text(
        json.dumps({"type": "object", "properties": {name: {"type": "string"} for name in PAIR}})
    )
    rules = TaskRepair.model_validate({
        "rows": [{"name": name, "instruction": f"{name}: {{text}}", "response": name} for name in PAIR],
        "checks": [
            {"kind": "refusal"}, {"kind": "length", "min": 10, "max": 400}, {"kind": "echo", "of": "text", "share": 0.5},
            {"kind": "contradiction", "sides": {name: name for name in PAIR}},
            {"kind": "boilerplate", "phrases": ["as an ai"]}, {"kind": "similarity", "rows": list(PAIR), "share": 0.9},
        ],
    })  # fmt: skip
    film = ReplyTask("film", load_task_schema(tmp_path / "pair.json")[1], rules, ["text"])
    found = []
    for workers in ("1", "2", "3"):
        monkeypatch.setenv(VARIABLE, workers)
        repairer = ReplyRepairer({"film": film}, "trim", "drop", near)
        found.append(
            (
                list(repairer.repair_all((one, sources.get((one.task, one.id))) for one in asked)),
                repairer.ledger.as_dict(),
            )
        )
    assert found[0] == found[1] == found[2]
    reasons, splits = found[0][1]["reasons"], {row.split for row in found[0][0]}
    assert {"duplicate", "refusal", "empty", "unknown_source"} <= reasons.keys()
    assert splits >= {"train", "val", "test", None}


def test_the_line_of_a_mistake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = json.dumps({"id": "a", "content": TEXTS[0], "finish_reason": "stop"}).encode()
    (tmp_path / "dump.jsonl").write_bytes(b"\n".join([good] * 19 + [b'{"id": "\xff"}'] + [good] * 9))
    asked = [
        Reply(id=str(n), task="film", content="", finish_reason="stop", model="m", usage=None, request="x")
        for n in range(30)
    ]
    write_jsonl(tmp_path / "replies.jsonl", asked)
    text = (tmp_path / "replies.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "replies.jsonl").write_text("".join([*text[:23], '{"id": 5}\n', *text[23:]]))
    told = []
    for workers in ("1", "2"):
        monkeypatch.setenv(VARIABLE, workers)
        ended = CliRunner().invoke(
            command.command, [str(tmp_path / "dump.jsonl"), "--out", str(tmp_path / "out.jsonl")]
        )
        assert ended.exit_code == 1
        assert ended.stderr == f"repair: {tmp_path}/dump.jsonl, line 20: not UTF-8 (byte 9); save the file as UTF-8\n"
        assert not (tmp_path / "out.jsonl").exists()
        told.append(CliRunner().invoke(command.command, [str(tmp_path / "dump.jsonl")]).stdout)
        schema = RecordSchema.of_texts(list(PAIR))
        row = {"name": "agree", "instruction": "Agree: {text}", "response": "agree"}
        film = ReplyTask("film", schema, TaskRepair.model_validate({"rows": [row], "checks": []}), ["text"])
        repairer = ReplyRepairer({"film": film}, "drop", "drop", None)
        asked = pair_with_sources(read_jsonl(tmp_path / "replies.jsonl", Reply), [], {"film"})
        with pytest.raises(InputError, match=r"replies.jsonl, line 24: "):
            list(repairer.repair_all(asked))
    assert told[0] == told[1]  # what comes before the bad line is the same
    assert told[0].count("\n") == 1


CODE = "def add(n):\n    total = n + 1\n    return total"
ODD = ["", CODE, f"Here:\n```python\n{CODE}\n```", "I agree, it is fine.", "我同意这部电影很好看。", "<think>hm</think>I agree.",
    "<think>only thoughts</think>", "yes yes yes yes yes", "😀", "Eine längere Antwort, die nichts von all dem sagt."]  # fmt: skip
OFF = Scoring(
    encoder="minilm", encoder_layers=None, cut_share=0.1, rouge_stemmer=True, execute="off", timeout_s=2.0, memory_mb=512,
    resamples=100, swaps=100,
)  # fmt: skip


def answers(model: str, task: str, number: int) -> list[Prediction]:
    shared, own = random.Random(task), random.Random(model + task)
    made = []
    for row in range(number):
        reference = shared.choice([*ODD, None])
        prompt = shared.choice(["Reply and agree.\n\nx", "Reply and disagree.\n\nx", "Write add."])
        made.append(
            Prediction(
                id=f"{task}{row}", task=task, group=f"g{row // 2}", prompt=prompt, reference=reference,
                prediction=own.choice([reference or "", *ODD]), finish_reason="stop",
                nll=None if reference is None else own.random(), bytes=None if reference is None else 9,
            )
        )  # fmt: skip
    return made


def test_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a task of one row, one of many, and one of none, with a further seed."""
    listed = ("rouge_l", "bleu", "chrf", "stance", "codebleu", "exact_match", "bpb")
    scored = [ScoredTask(name, "watched", listed) for name in ("one", "many", "none")]

    def answer(*models: str) -> dict[str, list[Prediction]]:
        return {model: answers(model, "one", 1) + answers(model, "many", 31) for model in models}

    further = {5: {name.split()[0]: rows for name, rows in answer("2b again", "2c again").items()}}
    found = []
    for workers, of_share in (("1", 1000), ("1", 3), ("2", 3), ("3", 2)):
        monkeypatch.setenv(VARIABLE, workers)
        for owner in (shares, tasks):
            monkeypatch.setattr(owner, "ROWS", of_share)
        made = evaluate_models(answer("base", "2b", "2c"), {}, OFF, 7, scored, ModelRoles("base", "2b", "2c"), further)
        found.append(json.dumps(dataclasses.asdict(made), ensure_ascii=False))
    assert found[0] == found[1] == found[2] == found[3]


def test_a_metric_that_sees_all_items_gets_texts_without_reasoning(monkeypatch: pytest.MonkeyPatch) -> None:
    from relearn.metrics.metric import Metric, all_metrics
    from relearn.statistics.scores import mean

    seen: dict[str, Any] = {}

    def look(predictions: Any, references: Any) -> Any:
        seen.update(predictions=predictions, references=references)
        return mean("look", [1.0] * len(references))

    whole = {**all_metrics(), "look": Metric(name="look", label="look", score=look)}
    monkeypatch.setattr(tasks, "all_metrics", lambda: whole)
    asked = [
        Prediction(id=str(n), task="t", group=str(n), prompt="p", reference=reference, prediction=answer,
            finish_reason="stop", nll=None, bytes=None)
        for n, (reference, answer) in enumerate([("a", "b"), (None, "c"), ("<think>x</think>d", "e"), ("f", "g"),
            ("<think>only</think>", "<think>h</think>i"), ("j", "<think>k</think>l")])
    ]  # fmt: skip
    monkeypatch.setenv(VARIABLE, "1")
    made = tasks.score_models(ScoredTask("t", "new", ("look",)), {"m": asked}, {}, OFF, {"look": "higher"})["m"]
    assert seen["predictions"] == ["b", "e", "g", "<think>h</think>i", "l"]
    assert seen["references"] == ["a", "d", "f", "<think>only</think>", "j"]
    assert made.counts == {"items": 6, "with_reference": 5, "cut": 0, "reasoning": 1}
    assert np.array_equal(made.scores["look"].stats[:, 1], [1, 0, 1, 1, 1, 1])
