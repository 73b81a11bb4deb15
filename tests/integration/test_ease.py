"""A metric, a method and a check of the probes are each one file, and what names it; tasks are in test_documented_tasks."""

from __future__ import annotations

import csv
import json
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.integration.conftest import Clone, copy
from tests.integration.dvc_status import read_status

TINY = "profiles/tiny.yaml"
PROBES = "data/sources/tiny/probes.yaml"

METRIC = '''"""Length: characters of the answer."""

from relearn.metrics.metric import Metric
from relearn.statistics.scores import Scores, mean


def length(predictions: list[str]) -> Scores:
    return mean("length", [float(len(text)) for text in predictions])


METRIC = Metric(name="length", label="characters", score=length, reads=("predictions",), needs=(), better="lower")
'''
METHOD = '''"""Fewer rows: the first of the new tasks' rows alone."""

from relearn.training.method import Method


class FewRows(Method):
    def choose_rows(self, new, old):
        return list(new)[: self.options.rows]
'''
PARAMETERS = '''class FewRowsMethod(Group):
    """The first rows of the new tasks alone."""

    rows: int = key("Rows to train on.", "rows", ge=1)


class Methods(Group):
'''
CHECK = '''

class Shouts(Check):
    """Letters are capitals."""

    type: Literal["shouts"]

    def fault(self, answer: str, settings: CheckSettings) -> str:
        return "" if answer.isupper() else "does not shout"
'''


@pytest.fixture(scope="module")
def eased(reproduced: Clone, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A clone with a metric, a method and a check more, after the stages that they concern."""
    clone = copy(reproduced, tmp_path_factory.mktemp("eased"))
    (clone.folder / "relearn/metrics/length.py").write_text(METRIC)
    clone.edit(TINY, "general: [rouge_l,", "general: [length, rouge_l,")

    (clone.folder / "relearn/training/methods/few_rows.py").write_text(METHOD)
    clone.edit("relearn/params/finetune.py", "class Methods(Group):\n", PARAMETERS)
    clone.edit(
        "relearn/params/finetune.py",
        "    plain: PlainMethod\n",
        "    plain: PlainMethod\n    few_rows: FewRowsMethod\n",
    )
    clone.edit(TINY, "    plain: {}", "    few_rows: {rows: 5}\n    plain: {}")
    clone.edit("params.yaml", "method: plain", "method: few_rows")

    checks = clone.folder / "relearn/evaluation/checks/text.py"
    checks.write_text(checks.read_text(encoding="utf-8") + CHECK, encoding="utf-8")
    probes = YAML(typ="safe").load(clone.folder / PROBES)
    probes[0]["check"] = [{"type": "shouts"}]
    (clone.folder / PROBES).write_text(json.dumps(probes))
    return clone


@pytest.fixture(scope="module")
def ran(eased: Clone, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """Another clone in which the stages have run, so that the first still shows what dvc would run."""
    clone = copy(eased, tmp_path_factory.mktemp("ran"))
    clone.python("tests.integration.chain", "finetune_2b", "eval_3a", "probe_3b", "report")
    return clone


def test_only_what_reads_them_runs_again(eased: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(eased.folder)
    found = read_status(eased.folder)
    # prepare keeps rows apart from the probes' instructions, and predict asks them: both read their file
    assert sorted(found) == ["eval_3a", "finetune_2b", "predict", "prepare", "probe_3b", "report", "sample"]
    assert "relearn/training/methods/few_rows.py" in _deps(found["finetune_2b"])


def _deps(status: list[Any]) -> set[str]:
    return {name for part in status if isinstance(part, dict) for name in part.get("changed deps", {})}


def test_a_metric_is_a_file_and_its_name_in_the_profile(ran: Clone) -> None:
    with open(ran.folder / "report/table_3a.csv", encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["metric"] == "length"]
    assert {(row["task"], row["model"]) for row in rows} == {("general", model) for model in ("base", "2b", "2c")}
    scores = json.loads((ran.folder / "metrics/eval_3a/2b.json").read_text())
    assert next(iter(scores["general"])) == "length"
    assert "characters ↓" in (ran.folder / "report/table_3a.md").read_text(encoding="utf-8")
    assert "characters" in (ran.folder / "report/analysis.md").read_text(encoding="utf-8")
    assert json.loads((ran.folder / "metrics/signatures.json").read_text())["length"] == {"metric": "length"}


def test_a_method_is_a_file_and_its_parameters(ran: Clone) -> None:
    facts = json.loads((ran.folder / "models/2b/provenance.json").read_text())
    assert facts["rows"] == 5
    assert "few_rows" in (ran.folder / "report/index.html").read_text(encoding="utf-8")


def test_a_check_of_the_probes_is_a_class(ran: Clone) -> None:
    first = json.loads((ran.folder / "metrics/probe_3b.json").read_text())["probes"][0]["models"]
    assert {answer["reason"] for answer in first.values()} <= {"does not shout", "empty", "loops"}
    assert not any(answer["passed"] for answer in first.values())
