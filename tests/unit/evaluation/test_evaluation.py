"""Three models compared: points, forgetting, recovery, flips, significance, on answers whose scores are known."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from relearn.errors import InputError
from relearn.evaluation import forgetting, tasks
from relearn.evaluation import models as evaluation
from relearn.evaluation.forgetting import Rounds
from relearn.evaluation.models import Evaluation, evaluate_models
from relearn.evaluation.roles import ModelRoles, ScoredTask
from relearn.evaluation.table import as_csv
from relearn.evaluation.tasks import TaskScores
from relearn.metrics.metric import label
from relearn.params.evaluate import Scoring
from relearn.records import Prediction
from relearn.report import table
from relearn.statistics.scores import mean

PARAMS = Scoring(
    encoder="minilm",
    encoder_layers=None,
    cut_share=0.1,
    rouge_stemmer=True,
    execute="best_effort",
    timeout_s=5.0,
    memory_mb=512,
    resamples=200,
    swaps=500,
)
ITEMS = 12
CODE = ScoredTask(
    "code", "replayed", ("codebleu", "pass_at_1", "code_rate", "rouge_l", "bertscore", "bleu", "exact_match", "bpb")
)
REVIEWS = ScoredTask("reviews", "new", ("rouge_l", "bertscore", "bleu", "stance", "code_rate", "bpb"))
TASKS = [CODE, REVIEWS]
ROLES = ModelRoles("base", "2b", "2c")


def code(number: int) -> str:
    return f"def add_{number}(n):\n    total = n + {number}\n    return total"


def rows(task: str, answers: list[str], nats: float) -> list[Prediction]:
    references = [
        code(i) if task == "code" else f"I agree, film number {i} is a fine film to see." for i in range(ITEMS)
    ]
    return [
        Prediction(
            id=f"{task}-{i}",
            task=task,
            group=f"group-{i // 2}",
            prompt=f"Write add_{i}." if task == "code" else f"Reply to this review and agree with it.\n\nFilm {i}.",
            reference=reference,
            prediction=answer,
            finish_reason="stop",
            nll=nats * len(reference),
            bytes=len(reference),
        )
        for i, (answer, reference) in enumerate(zip(answers, references, strict=True))
    ]


@pytest.fixture(scope="module")
def found() -> Evaluation:
    right = [code(i) for i in range(ITEMS)]
    prose = [f"I agree, film number {i} is a fine film to see." for i in range(ITEMS)]
    predictions = {
        "base": rows("code", right, 0.5) + rows("reviews", [""] * ITEMS, 1.2),
        "2b": rows("code", prose, 1.0) + rows("reviews", prose, 0.4),
        "2c": rows("code", right[:9] + prose[9:], 0.6) + rows("reviews", prose, 0.5),
    }
    tests = {f"code-{i}": [f"assert add_{i}(1) == {i + 1}"] for i in range(ITEMS)}
    return evaluate_models(predictions, tests, PARAMS, 7, TASKS, ROLES)


def test_points_are_the_known_scores(found: Evaluation) -> None:
    base, tuned, replayed = (found.points[model]["code"] for model in ("base", "2b", "2c"))
    assert (base["codebleu"], base["pass_at_1"], base["code_rate"], base["exact_match"]) == (1, 1, 1, 1)
    assert (tuned["codebleu"], tuned["pass_at_1"], tuned["code_rate"], tuned["exact_match"]) == (0, 0, 0, 0)
    assert replayed["codebleu"] == replayed["pass_at_1"] == 0.75
    assert base["bpb"] == pytest.approx(0.5 / math.log(2), abs=1e-4)
    assert tuned["forgotten"] == 1
    assert replayed["recovered"] == 0.75
    reviews = found.points["2b"]["reviews"]
    assert (reviews["rouge_l"], reviews["bleu"], reviews["bertscore"], reviews["stance"]) == (1, 1, 1, 1)
    assert found.points["base"]["reviews"]["rouge_l"] == 0
    assert found.points["2c"]["reviews"]["backward_transfer"] == 0
    assert "recovered" not in found.points["2c"]["reviews"]
    assert "general" not in found.points["base"]


def test_intervals_hold_the_points(found: Evaluation) -> None:
    for task in found.intervals["tasks"].values():
        assert (task["items"], task["clusters"]) == (ITEMS, 6)
        for models in task["scores"].values():
            for score in models.values():
                if score["low"] is not None:
                    assert score["low"] - 1e-4 <= score["value"] <= score["high"] + 1e-4
    share = found.intervals["tasks"]["code"]["scores"]["pass_at_1"]["base"]
    assert share["low"] < share["high"] == 1


def test_flips_both_ways(found: Evaluation) -> None:
    flips = found.intervals["tasks"]["code"]["flips"]["pass_at_1"]
    assert flips == {
        "base to 2b": {"lost": 12, "gained": 0, "kept": 0},
        "2b to 2c": {"lost": 0, "gained": 9, "kept": 0},
    }


def test_recovery_is_undefined_where_nothing_was_lost(found: Evaluation) -> None:
    comparisons = {(c["metric"], c["kind"]): c for c in found.intervals["tasks"]["reviews"]["comparisons"]}
    assert comparisons["rouge_l", "forgetting"]["value"] == -1
    assert comparisons["rouge_l", "recovery"]["ratio"] is None
    assert comparisons["bpb", "forgetting"]["value"] < 0
    code_loss = {(c["metric"], c["kind"]): c for c in found.intervals["tasks"]["code"]["comparisons"]}
    assert code_loss["bpb", "forgetting"]["value"] > 0
    assert code_loss["bpb", "forgetting"]["ratio"] == pytest.approx(1.0, abs=1e-3)
    assert not code_loss["bpb", "forgetting"]["better"]


def test_warnings_signatures_and_json(found: Evaluation) -> None:
    assert any("12 prompts, fewer than 200" in warning for warning in found.warnings)
    assert {"bleu", "chrf", "rouge_l", "bertscore", "codebleu", "pass_at_1", "bpb", "stance"} <= set(found.signatures)
    assert found.signatures["bertscore"]["encoder_sha256"].startswith("53aa5117")
    assert "tok:13a" in found.signatures["bleu"]["signature"]
    json.dumps([found.points, found.intervals, found.signatures, found.rows], allow_nan=False)
    assert found.intervals["tasks"]["code"]["counts"]["2b"]["without_code"] == 12
    assert found.intervals["tasks"]["code"]["counts"]["base"]["empty_output_baseline"] == 0.25


def test_pooled_over_tasks(found: Evaluation) -> None:
    pooled = found.intervals["pooled"]
    assert (pooled["items"], pooled["clusters"]) == (2 * ITEMS, 12)
    assert set(pooled["scores"]) == {"rouge_l", "bertscore", "bleu", "bpb"}
    # Half of the prompts are right and half empty: the mean is 0.5; the bits are pooled over all bytes.
    assert pooled["scores"]["rouge_l"]["base"]["value"] == 0.5
    sizes = {task: sum(len(r.reference or "") for r in rows(task, [""] * ITEMS, 1)) for task in ("code", "reviews")}
    nats = 0.5 * sizes["code"] + 1.2 * sizes["reviews"]
    assert pooled["scores"]["bpb"]["base"]["value"] == pytest.approx(nats / math.log(2) / sum(sizes.values()), abs=1e-4)
    assert "### all tasks pooled: 24 prompts in 12 clusters" in table.markdown(found.rows, found.intervals)


def test_tables(found: Evaluation) -> None:
    page = table.markdown(found.rows, found.intervals)
    assert "### code: 12 prompts in 6 clusters" in page
    assert "| base  " in page
    assert "CodeBLEU" in page
    lines = as_csv(found.rows).splitlines()
    assert lines[0] == "model,task,metric,value,low,high,mark"
    assert "base,code,codebleu,1.0," in lines[1]


def test_significance_marks_need_enough_clusters() -> None:
    # 30 clusters that all fall: p = 1/(swaps + 1) for every swap pattern but the observed one.
    scored = {}
    for model, values in (("base", np.ones(60)), ("2b", np.zeros(60)), ("2c", np.ones(60))):
        ids = [f"i{i}" for i in range(60)]
        scores = {"pass_at_1": mean("pass_at_1", values, proportion=True)}
        scored[model] = TaskScores("code", ids, [f"g{i // 2}" for i in range(60)], scores, {}, {})
    rounds = Rounds(scored, ROLES, 500, 3, 500)
    lost, back = rounds.compare("pass_at_1")
    assert lost.p == pytest.approx(1 / 501)
    assert (lost.value, back.value, back.ratio) == (1, 1, 1)
    assert lost.low > 0.8
    compared = [(CODE, lost), (CODE, back)]
    evaluation._correct(compared)
    assert lost.p_holm == pytest.approx(2 / 501)
    marked: list[dict[str, Any]] = [
        {"task": "code", "metric": "pass_at_1", "model": model, "mark": ""} for model in scored
    ]
    evaluation._mark(marked, compared)
    assert [row["mark"] for row in marked] == ["", "▼", "▲"]


def test_models_must_answer_the_same_items() -> None:
    answers = rows("code", [code(i) for i in range(ITEMS)], 0.5)
    with pytest.raises(InputError, match="code-3 is not in both"):
        evaluate_models({"base": answers, "2b": answers[:3] + answers[4:]}, {}, PARAMS, 1, TASKS, ROLES)
    with pytest.raises(InputError, match="an id comes twice"):
        evaluate_models({"base": answers, "2b": [*answers, answers[0]]}, {}, PARAMS, 1, TASKS, ROLES)


def test_rows_without_a_reference_get_what_needs_none() -> None:
    answers = [
        row.model_copy(update={"reference": None, "nll": None, "bytes": None})
        for row in rows("code", [code(i) for i in range(ITEMS)], 1)
    ]
    scored = tasks.score_task(CODE, answers, {}, PARAMS)
    assert scored.points() == {"code_rate": 1.0}
    assert scored.counts["with_reference"] == 0
    mixed = answers[:6] + rows("code", [code(i) for i in range(ITEMS)], 1)[6:]
    scored = tasks.score_task(CODE, mixed, {}, PARAMS.model_copy(update={"execute": "off"}))
    assert scored.scores["codebleu"].items == 6
    assert scored.scores["code_rate"].items == 12
    assert "pass_at_1" not in scored.scores


def compared_alone(name: str, *values: np.ndarray, **how: Any) -> list[forgetting.Comparison]:
    """Base, 2b and 2c over 60 items in 30 clusters, by their values."""
    scored = {}
    for model, own in zip(("base", "2b", "2c"), values, strict=False):
        scores = {name: mean(name, own, **how)}
        scored[model] = TaskScores(
            "code", [f"i{i}" for i in range(60)], [f"g{i // 2}" for i in range(60)], scores, {}, {}
        )
    return Rounds(scored, ROLES, 300, 3, 300).compare(name)


@pytest.mark.parametrize("proportion", [True, False])
def test_a_loss_of_everything_has_an_interval(proportion: bool) -> None:
    most = np.array([1.0] * 56 + [0.0] * 4) if proportion else np.linspace(0.8, 1, 60)
    lost, back = compared_alone("x", most, np.zeros(60), np.ones(60), proportion=proportion)
    assert lost.ratio == 1
    assert lost.ratio_low is not None
    assert lost.ratio_high is not None
    assert 0.8 < lost.ratio_low < 0.97
    assert lost.ratio_high == 1
    assert lost.low < lost.value <= lost.high
    assert lost.detectable > 0.02
    assert back.ratio_low is not None
    assert back.ratio_high is not None
    assert back.ratio is not None
    assert 0.8 < back.ratio_low < back.ratio < back.ratio_high


def test_the_interval_of_a_relative_loss_agrees_with_resampling_away_from_the_ends() -> None:
    generator = np.random.default_rng(8)
    base, tuned, replayed = ((generator.random(60) < share).astype(float) for share in (0.85, 0.35, 0.6))
    shares = compared_alone("x", base, tuned, replayed, proportion=True)
    means = compared_alone("x", base, tuned, replayed, unit=False)
    for share, other in zip(shares, means, strict=True):
        assert share.ratio == pytest.approx(other.ratio)
        for end in ("ratio_low", "ratio_high", "low", "high"):
            assert getattr(share, end) == pytest.approx(getattr(other, end), abs=0.12)


def test_code_in_replies_is_neither_better_nor_worse() -> None:
    prose, right = [f"I agree, film {i} is fine." for i in range(ITEMS)], [code(i) for i in range(ITEMS)]
    predictions = {
        "base": rows("code", right, 1) + rows("reviews", prose, 1),
        "2b": rows("code", prose, 1) + rows("reviews", right, 1),
    }
    found = evaluate_models(
        predictions, {}, PARAMS.model_copy(update={"execute": "off", "swaps": 5000}), 7, TASKS, ROLES
    )
    one = {
        task: next(c for c in of["comparisons"] if c["metric"] == "code_rate")
        for task, of in found.intervals["tasks"].items()
    }
    assert one["code"]["better"] is False
    assert one["code"]["ratio"] == 1
    assert one["reviews"]["better"] is None
    assert (one["reviews"]["value"], one["reviews"]["ratio"]) == (-1, None)
    directions = {task: of["directions"] for task, of in found.intervals["tasks"].items()}
    assert (directions["code"]["code_rate"], directions["reviews"]["code_rate"]) == ("higher", "neither")
    assert directions["code"]["bpb"] == "lower"
    page = table.markdown(found.rows, found.intervals)
    assert f"{label('code_rate')} ↕" in page.split("### reviews")[1].split("###")[0]
    assert "↕" not in page.split("### code")[1].split("###")[0]
    evaluation._mark(found.rows, [(REVIEWS, forgetting.Comparison(**{**one["reviews"], "p_holm": 0.01}))])
    assert [r["mark"] for r in found.rows if (r["task"], r["metric"]) == ("reviews", "code_rate")] == ["", "◆"]


def test_too_few_swaps_to_show_anything_are_warned_of() -> None:
    right = [code(i) for i in range(ITEMS)]
    predictions = {"base": rows("code", right, 1), "2b": rows("code", right, 2)}
    off = PARAMS.model_copy(update={"execute": "off", "swaps": 100})
    assert any(
        "100 random swaps are too few" in note
        for note in evaluate_models(predictions, {}, off, 1, TASKS, ROLES).warnings
    )
    many = off.model_copy(update={"swaps": 1000})
    assert not any("swaps" in note for note in evaluate_models(predictions, {}, many, 1, TASKS, ROLES).warnings)


def test_pooled_intervals_keep_each_tasks_share() -> None:
    # Tasks that score 0 and 1 throughout: resampling over all clusters would move the mean, within tasks it cannot.
    def scored(task: str, value: float) -> TaskScores:
        scores = {"rouge_l": mean("rouge_l", np.full(20, value), unit=False)}
        return TaskScores(task, [f"{i}" for i in range(20)], [f"{i}" for i in range(20)], scores, {}, {})

    together = {"base": evaluation.pool([scored("code", 0.0), scored("reviews", 1.0)])}
    strata = ["code"] * 20 + ["reviews"] * 20
    kept = Rounds(together, ROLES, 200, 1, strata=strata).interval("base", "rouge_l")
    assert (kept.low, kept.high) == (0.5, 0.5)
    assert Rounds(together, ROLES, 200, 1).interval("base", "rouge_l").low < 0.45


def cut_off(rows: list[Prediction], number: int) -> list[Prediction]:
    return [
        row.model_copy(update={"finish_reason": "length" if index < number else "stop"})
        for index, row in enumerate(rows)
    ]


def test_answers_that_ended_at_the_cap_are_a_column_and_a_warning() -> None:
    answers = rows("code", [code(i) for i in range(ITEMS)], 0.5)
    predictions = {"base": cut_off(answers, 1), "2b": cut_off(answers, 3), "2c": answers}
    found = evaluate_models(predictions, {}, PARAMS, 7, [CODE], ROLES)
    assert {model: of["cut"] for model, of in found.intervals["tasks"]["code"]["counts"].items()} == {
        "base": 1,
        "2b": 3,
        "2c": 0,
    }
    warnings = [warning for warning in found.warnings if "cap" in warning]
    assert len(warnings) == 1
    assert warnings[0].startswith("code: 3 of 12 answers of 2b ended at the cap")
    assert "unsound" in warnings[0]
    text = table.markdown(found.rows, found.intervals)
    assert "| ended at the cap   |" in text
    assert [line.split("|")[-2].strip() for line in text.splitlines() if line.startswith(("| base", "| 2"))] == [
        "8.3%",
        "25.0% !",
        "0.0%",
    ]
    assert f"Warning: {warnings[0]}." in text
    lenient = evaluate_models(predictions, {}, PARAMS.model_copy(update={"cut_share": 0.25}), 7, [CODE], ROLES)
    assert not any("cap" in warning for warning in lenient.warnings)


def test_what_a_metric_cannot_see_is_a_warning_of_the_task() -> None:
    chinese = [
        row.model_copy(update={"reference": "我们明天去山上看日出。" * 80, "prediction": "我们明天去海边。" * 80})
        for row in rows("reviews", [""] * ITEMS, 1.0)
    ]
    english = rows("code", [code(i) for i in range(ITEMS)], 0.5)
    found = evaluate_models(
        {"base": chinese + english, "2b": chinese + english}, {}, PARAMS, 7, TASKS, ModelRoles("base", "2b")
    )
    assert any(warning.startswith("reviews: BERTScore read only the first") for warning in found.warnings)
    assert any(warning.startswith("reviews: BERTScore cannot see 12 of 12") for warning in found.warnings)
    shown = {(row["task"], row["metric"]) for row in found.rows}
    assert ("reviews", "chrf") in shown
    assert ("code", "chrf") not in shown
    # each task's texts have the tokenizer that fits them
    signatures = found.signatures["bleu"]["by_task"]
    assert "tok:zh" in signatures["reviews"]["signature"]
    assert "tok:13a" in signatures["code"]["signature"]
    assert "library" in found.signatures["rouge_l"]


def test_reasoning_in_predictions_is_taken_off_and_counted() -> None:
    plain = rows("code", [code(i) for i in range(ITEMS)], 0.5)
    thinking = [
        row.model_copy(update={"prediction": f"<think>\ndef add_{i}(n): return n\n</think>\n\n{row.prediction}"})
        for i, row in enumerate(plain)
    ]
    found = evaluate_models({"base": plain, "2b": thinking}, {}, PARAMS, 7, [CODE], ModelRoles("base", "2b"))
    counts = found.intervals["tasks"]["code"]["counts"]
    assert (counts["base"]["reasoning"], counts["2b"]["reasoning"]) == (0, ITEMS)
    assert found.points["2b"]["code"]["exact_match"] == 1
