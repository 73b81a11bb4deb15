"""The frontier is Pareto's, and what `dvc exp show --json` prints is read as it is."""

from __future__ import annotations

import csv
import io
import re
from typing import Any
from xml.etree import ElementTree

import pytest

from relearn.errors import InputError
from relearn.report import frontier
from tests.unit.report.made import WORDS


def data(lr: float, new: float, code: float, profile: str = "mini", rank: int = 16) -> dict[str, Any]:
    """An experiment's entry: 2b has `new` of reviews and `code` of code, 2c brings most code back."""

    def scores(reviews: float, kept: float) -> dict[str, Any]:
        return {
            "data": {
                "code": {"codebleu": kept, "bpb": 9.0},
                "reviews": {"rouge_l": reviews, "bleu": 9.0},
                "general": {"rouge_l": kept / 2},
            }
        }

    return {
        "params": {
            "params.yaml": {"data": {"profile": profile, "lr": lr, "seed": 7}},
            f"profiles/{profile}.yaml": {
                "data": {"finetune": {"lora": {"rank": rank}}, "finetune_2b": {"replay": 0.1}}
            },
        },
        "metrics": {
            "metrics/eval_3a/base.json": scores(0.1, 0.8),
            "metrics/eval_3a/2b.json": scores(new, code),
            "metrics/eval_3a/2c.json": scores(new / 2, 0.8),
        },
    }


def shown() -> list[dict[str, Any]]:
    """What dvc prints: the workspace, a commit, and its experiments, of which one failed, one is queued and one runs."""
    done = [
        {"revs": [{"rev": "a" * 40, "name": "lr-5e-3", "data": data(0.005, 0.5, 0.4)}], "name": "lr-5e-3"},
        {"revs": [{"rev": "b" * 40, "name": "lr-1e-3", "data": data(0.001, 0.2, 0.8)}], "name": "lr-1e-3"},
        {"revs": [{"rev": "c" * 40, "name": "worse", "data": data(0.02, 0.4, 0.2)}], "name": "worse"},
        {"revs": [{"rev": "d" * 40, "name": "other", "data": data(0.01, 0.9, 0.8, "files")}], "name": "other"},
        {"revs": [{"rev": "e" * 40, "name": "failed", "data": None, "error": {"msg": "no"}}], "name": "failed"},
        {"revs": [{"rev": "f" * 40, "name": "queued", "data": {"params": {}, "metrics": {}}}], "name": "queued"},
        {
            "revs": [{"rev": "9" * 40, "name": "runs", "data": data(0.03, 0.5, 0.4)}],
            "name": "runs",
            "executor": {"state": "running", "name": "tempdir", "local": None},
        },
    ]
    return [
        {"rev": "workspace", "name": None, "data": data(0.005, 0.5, 0.4), "experiments": None},
        {"rev": "0" * 40, "name": "main", "data": data(0.005, 0.5, 0.4), "experiments": done},
    ]


def test_experiments_are_read_once_and_of_one_profile() -> None:
    trials = frontier.read(shown(), WORDS, "mini")
    assert [(t.experiment, t.model) for t in trials] == [
        (name, model) for name in ("lr-1e-3", "lr-5e-3", "worse") for model in ("2b", "2c")
    ]
    first = trials[2]
    assert (first.lr, first.rank, first.method, first.seed) == (0.005, 16, "replay share 0.1", 7)
    assert first.new == 0.5
    assert first.forgetting == 0.5
    assert first.kept == {"code": 0.5, "general": 0.5}


def test_nothing_on_the_frontier_is_beaten_and_everything_else_is() -> None:
    trials = frontier.read(shown(), WORDS, "mini")
    best = frontier.find_frontier(trials)

    def beats(one: frontier.Trial, other: frontier.Trial) -> bool:
        return (one.new >= other.new and one.forgetting <= other.forgetting) and (
            (one.new, one.forgetting) != (other.new, other.forgetting)
        )

    assert [t.experiment for t in best] == ["lr-5e-3", "lr-5e-3"]  # 2c keeps all code, 2b has most of the new skill
    assert [t.model for t in best] == ["2c", "2b"]
    for trial in trials:
        assert (trial in best) != any(beats(other, trial) for other in trials)


def test_a_commit_of_earlier_code_does_not_stand_beside_the_same_setting() -> None:
    past = {"rev": "9" * 40, "name": None, "data": data(0.005, 0.1, 0.1), "experiments": None}
    alone = {"rev": "8" * 40, "name": None, "data": data(0.007, 0.1, 0.1), "experiments": None}
    plain = frontier.read(shown(), WORDS)
    assert frontier.read([*shown(), past], WORDS) == plain
    assert len(frontier.read([*shown(), alone], WORDS)) == len(plain) + 2


def test_without_experiments_it_says_what_to_run() -> None:
    with pytest.raises(
        InputError,
        match="profile llama2-7b whose base scores on code: none has run \\(run `dvc repro`, or `make sweep`",
    ):
        frontier.read(shown(), WORDS, "llama2-7b")
    with pytest.raises(InputError, match="dvc repro"):
        frontier.read([{"rev": "workspace", "data": {"params": {}, "metrics": {}}}], WORDS)


def test_table_and_plot_hold_every_trial() -> None:
    trials = frontier.read(shown(), WORDS, "mini")
    table = frontier.markdown(trials, WORDS)
    assert len(table.splitlines()) == 2 + len(trials)
    assert re.search(r"lr-5e-3 .* 0.005 .* 2b .* 0.500 .* 50% .* 50% .* frontier", table)
    points = list(csv.DictReader(io.StringIO(frontier.as_csv(trials, WORDS))))
    assert [(float(p["forgetting"]), float(p["new_skill"])) for p in points] == [(t.forgetting, t.new) for t in trials]


def test_the_page_draws_every_setting() -> None:
    text = frontier.render(frontier.read(shown(), WORDS, "mini"), WORDS, "mini")
    figure = text[text.index("<svg") : text.index("</svg>") + 6]
    ElementTree.fromstring(figure)
    assert figure.count(">2b 0.0") == 3
    assert "over 3 settings" in text
    assert text == frontier.render(frontier.read(shown(), WORDS, "mini"), WORDS, "mini")


def test_the_distance_from_base_is_held_against_forgetting_over_runs() -> None:
    """One point a run of the first round; a distance that grows with what is lost has a correlation of 1."""
    runs = []
    for number, kept in enumerate([0.8, 0.7, 0.5, 0.4, 0.2, 0.1]):
        one = data(0.001 * (number + 1), 0.2, kept)
        one["metrics"]["metrics/eval_3a/2b.json"]["data"]["reviews"]["drift"] = 0.1 * number
        runs.append(
            {"revs": [{"rev": f"{number}" * 40, "name": f"run-{number}", "data": one}], "name": f"run-{number}"}
        )
    document = [{"rev": "0" * 40, "name": "main", "data": None, "experiments": runs}]
    trials = frontier.read(document, WORDS, "mini")
    said = frontier.describe_drift(trials, WORDS)
    assert "forgetting over 6 runs of 2b: rank correlation 1.00 [0.38, 1.00]" in said
    assert said in frontier.render(trials, WORDS, "mini")
    assert frontier.describe_drift(frontier.read(shown(), WORDS, "mini"), WORDS) == ""
