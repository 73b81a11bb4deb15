"""Real logs of two models: the figures that a right comparison finds, those the tools printed, and what odd logs get."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from relearn.compare.command import command
from relearn.compare.logs.changes import MetricChange
from relearn.compare.logs.result import Result
from relearn.compare.logs_command import Asked, compare
from relearn.logs.find import find_runs
from relearn.logs.records import Stated

CORPUS = "(corpus, as in results_*.json)"


def compared(base: Path, tuned: Path, **options: Any) -> Result:
    return compare(Asked(str(base), str(tuned), cluster="topic", **options), [])


@pytest.fixture(scope="module")
def found(shared_logs: Path) -> dict[tuple[str, str, str], MetricChange]:
    return {
        (tool, change.task.split("|")[0], change.metric): change
        for tool in ("lm_eval", "inspect", "lighteval")
        for change in compared(shared_logs / tool / "base", shared_logs / tool / "tuned").comparisons[0].changes
    }


def change_of(found: dict[tuple[str, str, str], MetricChange], tool: str, name: str) -> MetricChange:
    """`ferry_say | strict-match | exact_match`, `harbour | match`, `ferry_sense (group, …) | none | acc`."""
    task, *filters, metric = name.split(" | ")
    metric = metric.replace(f" {CORPUS}", "").replace("(mean of per-text values)", "(mean of texts)")
    if filters and filters[0] != "none":
        metric = f"{metric},{filters[0]}"
    return found[tool, task.split(" (")[0], metric]


def test_every_expected_figure_is_found(shared_logs: Path, found: dict[tuple[str, str, str], MetricChange]) -> None:
    expected = json.loads((shared_logs / "expected.json").read_text())
    checked = 0
    for tool in ("lm_eval", "inspect", "lighteval"):
        for name, figures in expected[tool].items():
            change, checked = change_of(found, tool, name), checked + 1
            assert (change.samples, change.clusters) == (figures["n_pairs"], figures["clusters"]), name
            before, after = (figures.get(f"mean_{side}", figures.get(side)) for side in ("base", "tuned"))
            assert (change.before, change.after) == pytest.approx((before, after), rel=1e-9), name
            difference = figures.get("mean_difference_tuned_minus_base", figures.get("difference_tuned_minus_base"))
            assert change.difference == pytest.approx(difference, rel=1e-9, abs=1e-12), name
            low, high = figures["cluster_bootstrap_95"]
            if low == high:  # no flip at all is no certainty
                assert change.exact_ends
                assert change.low < low < change.high
            else:
                assert (change.low, change.high) == pytest.approx((low, high), abs=0.06 * (high - low)), name
            if "tuned_higher" in figures:
                up, down = (change.better_samples, change.worse)[:: 1 if change.better == "higher" else -1]
                assert (up, down) == (figures["tuned_higher"], figures["tuned_lower"]), name
                test = "mcnemar" if "mcnemar_exact_p" in figures else "sign_test"
                assert change.p == pytest.approx(figures[f"{test}_exact_p"], rel=1e-9), name
                assert change.test == ("McNemar" if test == "mcnemar" else "sign"), name
    assert checked == 18


def test_one_epoch_alone_is_binary(shared_logs: Path, tmp_path: Path) -> None:
    expected = json.loads((shared_logs / "expected.json").read_text())["inspect"]
    for epoch in (1, 2):
        paths = []
        for side in ("base", "tuned"):
            log = json.loads(next((shared_logs / "inspect" / side).glob("*.json")).read_text())
            log["samples"] = [sample for sample in log["samples"] if sample["epoch"] == epoch]
            paths.append(tmp_path / f"{side}{epoch}.json")
            paths[-1].write_text(json.dumps(log))
        changes = {change.metric: change for change in compared(*paths).comparisons[0].changes}
        for metric in ("match", "shape.found"):
            figures, change = expected[f"harbour | {metric}"][f"epoch_{epoch}_only"], changes[metric]
            assert change.test == "McNemar"
            assert (change.better_samples, change.worse) == (figures["gained_0_to_1"], figures["lost_1_to_0"])
            assert change.p == pytest.approx(figures["mcnemar_exact_p"])


def test_means_and_errors_are_those_that_the_tools_printed(
    shared_logs: Path, found: dict[tuple[str, str, str], MetricChange]
) -> None:
    errors = 0
    for tool in ("lm_eval", "inspect", "lighteval"):
        for side in ("base", "tuned"):
            stated: dict[tuple[str, str], Stated] = {}
            for run in find_runs(str(shared_logs / tool / side), "topic"):
                stated |= run.stated
            for (task, metric), one in stated.items():
                if task == "all":
                    continue
                change = found[tool, task.split("|")[0], metric]
                mean, error = (
                    (change.before, change.error_before) if side == "base" else (change.after, change.error_after)
                )
                assert mean == pytest.approx(one.mean, rel=1e-9), (task, metric)
                if one.error is not None:
                    assert error == pytest.approx(one.error, rel=1e-9), (task, metric)
                    errors += 1
    assert errors == 28


def test_the_archive_and_the_converted_json_are_one_log(
    shared_logs: Path, found: dict[tuple[str, str, str], MetricChange]
) -> None:
    paths = [next((shared_logs / "inspect" / side).glob("*.json")) for side in ("base", "tuned")]
    for change in compared(*paths).comparisons[0].changes:
        assert vars(change) == pytest.approx(
            vars(found["inspect", "harbour", change.metric]), nan_ok=True, abs=0.02
        )  # swaps are drawn over clusters in the log's order


def command_line(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(command, ["--logs", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


ODD_LM_EVAL = {
    "one_missing": (
        0,
        ["1 sample only in base: 17", "39 documents, but its results file says 40", "their hash differs"],
    ),
    "doc_hash_changed": (0, ["1 sample not paired because the document differs: 5", "39 in 5"]),
    "other_fewshot": (
        0,
        [
            "the prompts of 30 of 30 pairs DIFFER",
            "few-shot examples differs: 3 in base, 0 in tuned",
            "not comparable: prompts and settings differ",
        ],
    ),
    "second_run_appended": (0, ["40 samples more than once, with the same scores", "40 in 5"]),
    "two_models_in_one_file": (1, ["11 samples of 12 more than once with scores that differ (0, 1, 2"]),
    "last_line_cut": (1, ["samples_ferry_sense_yes", "line 12", "cut off"]),
    "nan_scores": (0, ["acc is not a finite number for 3, 8", "10 in 3"]),
}
ODD_INSPECT = {
    "truncated.eval": (1, ["not a whole zip archive"]),
    "status_started.eval": (1, ["had not finished"]),
    "status_cancelled.eval": (1, ["status is cancelled", "36 of 60", "4 samples failed"]),
    "status_error.eval": (1, ["the harbour is closed", "4 samples failed"]),
    "nan_scores.json": (0, ["brevity is not a finite number for h-004, epoch 1, h-011, epoch 2"]),
    "epoch_missing.json": (
        0,
        ["58 samples, each epoch counted; its results count 60", "2 samples with fewer epochs on one side"],
    ),
}


@pytest.mark.parametrize("name", ODD_LM_EVAL)
def test_odd_logs_of_lm_eval(shared_logs: Path, name: str) -> None:
    status, said = ODD_LM_EVAL[name]
    found, output = command_line(
        shared_logs / "lm_eval" / "base", shared_logs / "odd" / f"lm_eval_{name}", "--cluster", "topic"
    )
    assert found == status
    for expected in said:
        assert expected in output


@pytest.mark.parametrize("name", ODD_INSPECT)
def test_odd_logs_of_inspect(shared_logs: Path, name: str) -> None:
    status, said = ODD_INSPECT[name]
    found, output = command_line(
        shared_logs / "inspect" / "base", shared_logs / "odd" / f"inspect_{name}", "--cluster", "topic"
    )
    assert found == status
    for expected in said:
        assert expected in output


def test_an_unfinished_run_is_compared_on_request(shared_logs: Path) -> None:
    base, odd = shared_logs / "inspect" / "base", shared_logs / "odd"
    status, output = command_line(base, odd / "inspect_status_cancelled.eval", "--allow-unfinished")
    assert status == 0
    assert "max_tokens differs: 12 in base, 24 in tuned" in output
    status, output = command_line(shared_logs / "lm_eval" / "base", odd / "lm_eval_last_line_cut", "--allow-unfinished")
    assert status == 0
    assert "1 sample only in base: 11" in output


def test_other_prompts_are_judged_by_no_gate(shared_logs: Path) -> None:
    arguments = [
        shared_logs / "lm_eval" / "base",
        shared_logs / "odd" / "lm_eval_other_fewshot",
        "--fail-above",
        "exact_match,strict-match=5%",
    ]
    assert command_line(*arguments)[0] == 1
    assert command_line(*arguments, "--allow-other-prompts")[0] == 3


def test_a_nan_is_never_part_of_a_mean(shared_logs: Path) -> None:
    (change, *_) = (
        compared(shared_logs / "lm_eval" / "base", shared_logs / "odd" / "lm_eval_nan_scores").comparisons[0].changes
    )
    assert change.samples == 10
    assert math.isfinite(change.after)
