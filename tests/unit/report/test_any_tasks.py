"""Other tasks and other models: everything that people look at takes them from what is handed in."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest

from relearn.evaluation.models import Evaluation, evaluate_models
from relearn.evaluation.roles import ModelRoles, ScoredTask
from relearn.params.evaluate import Scoring
from relearn.records import Prediction
from relearn.report import figures, frontier, rating, table
from relearn.report.analysis import analyse
from relearn.report.cards import ModelFacts, model_card
from relearn.report.page import render
from relearn.report.words import TaskText, Words
from tests.unit.report import made
from tests.unit.report.material import material

PARAMS = Scoring(
    encoder="minilm", encoder_layers=None, cut_share=0.1, rouge_stemmer=True, execute="off", timeout_s=2.0, memory_mb=512,
    resamples=100, swaps=1000,
)  # fmt: skip
ITEMS = 24
TASKS = [
    ScoredTask("sums", "watched", ("exact_match", "bpb")),
    ScoredTask("sql", "new", ("rouge_l", "bpb")),
    ScoredTask("verse", "watched", ("bpb", "rouge_l")),
    ScoredTask("letters", "new", ("rouge_l", "stance")),
]
ROLES = ModelRoles("before", "after", None, ("after@0.5",))
WORDS = Words(TASKS, ROLES, {"sql": TaskText("writing SQL", "queries over three tables")})
RIGHT = {"before": {"sums", "verse"}, "after": {"sql", "letters"}, "after@0.5": {"sql", "sums", "letters", "verse"}}


def answers(model: str) -> list[Prediction]:
    """A model's answers: the reference where it knows the task, else nothing of it, and likelihoods that fit."""
    return [
        Prediction(
            id=f"{task.name}-{number}", task=task.name, group=str(number // 2), prompt=f"{task.name} {number}",
            reference=f"the answer is {number} of {task.name}", finish_reason="stop", bytes=20,
            prediction=f"the answer is {number} of {task.name}" if task.name in RIGHT[model] else "?",
            nll=(5.0 if task.name in RIGHT[model] else 50.0) + number / 10,
        )
        for task in TASKS
        for number in range(ITEMS)
    ]  # fmt: skip


@pytest.fixture(scope="module")
def found() -> Evaluation:
    return evaluate_models({model: answers(model) for model in ROLES.names}, {}, PARAMS, 7, TASKS, ROLES)


def test_each_model_is_held_against_base_where_nothing_was_replayed(found: Evaluation) -> None:
    assert list(found.points) == ["before", "after", "after@0.5"]
    assert list(found.points["after"]) == ["sums", "sql", "verse", "letters"]
    assert found.points["after"]["sums"] | {"bpb": 0} == {"exact_match": 0.0, "bpb": 0, "forgotten": 1.0}
    assert found.points["after@0.5"]["sums"]["forgotten"] == 0
    assert {(c["before"], c["after"], c["kind"]) for c in found.intervals["tasks"]["sql"]["comparisons"]} == {
        ("before", "after", "forgetting"), ("before", "after@0.5", "forgetting"),
    }  # fmt: skip
    assert set(found.intervals["tasks"]["sums"]["flips"]["exact_match"]) == {"before to after", "before to after@0.5"}
    assert "stance" not in found.intervals["tasks"]["sql"]["scores"]
    drawn = table.markdown(found.rows, found.intervals, ROLES.others)
    assert [line for line in drawn.splitlines() if line.startswith("###")][:4] == [
        f"### {task.name}: {ITEMS} prompts in 12 clusters" for task in TASKS
    ]
    assert "than the model above (after@0.5: than base)" in drawn


def page(found: Evaluation) -> tuple[str, str]:
    probes = made.probes(poem=(made.answer("sea"), made.answer("?", False, 0.0), made.answer("sea")))
    for probe in probes["probes"]:
        probe["models"] = dict(zip(ROLES.names, probe["models"].values(), strict=True))
    probes["passed"] = dict(zip(ROLES.names, probes["passed"].values(), strict=True))
    analysis = analyse(found.intervals, probes, WORDS)
    curve: list[dict[str, float | None]] = [
        {"step": step, "train": 1.0, **{task.name: 1.0 + place for place, task in enumerate(TASKS)}}
        for step in (0.0, 9.0)
    ]
    source = material(words=WORDS, intervals=found.intervals, rows=found.rows, probes=probes, losses={"after": curve})
    return analysis.markdown, render(source, analysis)


def test_the_analysis_tells_every_task_and_no_replay(found: Evaluation) -> None:
    text, _ = page(found)
    assert "Fine-tuning (after) taught the model new skills, writing SQL (ROUGE-L" in text
    assert "and letters (ROUGE-L" in text
    assert "cost it 100% of its skill in sums" in text
    assert "of its skill in verse (bits per byte" in text
    assert "On writing SQL, queries over three tables, ROUGE-L rose" in text
    assert "On sums, an old skill, which is never replayed," in text
    assert "brought back" not in text
    assert "2b" not in text
    assert "2c" not in text


def test_the_page_shows_every_task_and_model(found: Evaluation) -> None:
    _, text = page(found)
    assert "Three models are compared" in text
    for task in TASKS:
        assert f"<caption>{task.name}: " in text
        assert f">{task.name}<" in text[text.index('id="curves"') : text.index("</figure>", text.index('id="curves"'))]
    assert "old skill: mean of sums and verse" in text
    assert "new skill: mean of writing SQL and letters" in text
    assert '<strong class="m-other">after@0.5</strong> is compared with before' in text
    assert "to the left (after@0.5: than before)" in text
    assert "back in" not in text
    assert "None" not in text.split("<main")[1].split('id="facts"')[0]


def test_ratings_and_cards_take_the_same_tasks(found: Evaluation) -> None:
    chosen = rating.choose({model: answers(model) for model in ROLES.names}, [task.name for task in TASKS], 7, 3)
    assert sorted(item.id.split("-")[0] for item in chosen) == sorted([task.name for task in TASKS] * 3)
    probes = {"number": 0, "passed": dict.fromkeys(ROLES.names, 0), "probes": []}
    analysis = analyse(found.intervals, probes, WORDS)
    facts = {"lr": 0.1, "epochs": 1, "rows": 1, "updates": 1, "seed": 1, "continues": None}
    card = model_card(ModelFacts("after", "b", False, None, facts, {"rank": 1, "alpha": 1}, "", analysis, WORDS))
    assert "# after: before fine-tuned on writing SQL and letters" in card
    assert "sums: **lost 1.000 of exact match**" in card
    assert "No old skill was replayed" in card


def test_many_tasks_are_told_apart_in_the_losses() -> None:
    names = [f"task_{number}" for number in range(len(figures.DASHES) + 2)]
    curve: list[dict[str, float | None]] = [{"step": 0.0, **dict.fromkeys(names, 1.0)}]
    drawn = figures.draw_losses({"after": curve}, names, {"after": "tuned"})
    assert all(f">{name}<" in drawn for name in names)


def test_the_frontier_has_a_column_a_task_and_the_methods_parameters(found: Evaluation) -> None:
    def experiment(name: str, method: str, without: str = "") -> dict[str, Any]:
        scores = {
            f"metrics/eval_3a/{model}.json": {"data": {task: of for task, of in points.items() if task != without}}
            for model, points in found.points.items()
        }
        params = {
            "profile": "own", "lr": 0.1, "seed": 7, "method": method,
            "finetune_2b": {"methods": {"plain": {}, "replay": {"share": 0.05, "control": False}}},
        }  # fmt: skip
        data = {"params": {"params.yaml": {"data": params}}, "metrics": scores}
        return {"revs": [{"rev": name * 40, "name": name, "data": data}], "name": name}

    shown = [experiment("a", "plain"), experiment("b", "replay"), experiment("c", "plain", without="letters")]
    trials = frontier.read([{"rev": "main", "experiments": shown}], WORDS, "own")
    assert [(t.experiment, t.model, t.method) for t in trials] == [
        ("a", "after", "plain"), ("a", "after@0.5", "plain"),
        ("b", "after", "replay share 0.05"), ("b", "after@0.5", "replay share 0.05"),
    ]  # fmt: skip
    after = trials[0]
    points = found.points
    lost = 1 - points["after"]["sums"]["exact_match"]
    lost += points["after"]["verse"]["bpb"] / points["before"]["verse"]["bpb"] - 1  # lower is better
    assert after.forgetting == pytest.approx(lost / 2, abs=1e-3)
    assert after.new == 1
    rows = list(csv.DictReader(io.StringIO(frontier.as_csv(trials, WORDS))))
    assert set(rows[0]) >= {"new_sql", "new_letters", "kept_sums", "kept_verse"}
    heads = frontier.table_heads(WORDS)
    assert heads[6:-1] == ["sql", "letters", "new skill", "sums kept", "verse kept", "old kept"]
    assert "after@0.5 0.1, replay share 0.05" in frontier.render(trials, WORDS, trials[0].profile)
