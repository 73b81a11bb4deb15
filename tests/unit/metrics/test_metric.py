"""The metrics are found by their files, say what they need, and work in the `evaluate` library."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import evaluate
import pytest

from relearn.errors import InputError
from relearn.metrics import bpb
from relearn.metrics.as_evaluate import as_evaluate
from relearn.metrics.metric import Metric, all_metrics, label
from relearn.statistics.scores import mean

SETTINGS = SimpleNamespace(rouge_stemmer=True, encoder="minilm", encoder_layers=None)
COLUMNS = {"predictions": ["a b c d", "x"], "references": ["a b c d", "y"]}


def test_a_file_is_a_metric() -> None:
    names = "bertscore bleu bpb checks chrf code_rate codebleu exact_match pass_at_1 rouge_l stance"
    assert " ".join(sorted(all_metrics())) == names
    assert {name for name, metric in all_metrics().items() if metric.better == "lower"} == {"bpb"}
    assert label("codebleu") == "CodeBLEU"
    assert label("codebleu_syntax") == "codebleu_syntax"


def test_a_metric_is_named_as_its_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bpb, "METRIC", replace(bpb.METRIC, name="bits"))
    with pytest.raises(InputError, match=r"bpb\.py: METRIC is named bits; name it bpb, like its file"):
        all_metrics.__wrapped__()


def test_finding_them_imports_nothing_heavy() -> None:
    code = (
        "import sys; from relearn.metrics.metric import all_metrics; all_metrics(); "
        "heavy = {'torch', 'transformers', 'datasets', 'evaluate', 'pandas', 'scipy', 'sacrebleu', 'nltk', 'codebleu'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


@pytest.mark.parametrize("count", [1, 3])
def test_a_metric_that_does_not_return_a_value_an_item_is_named(count: int) -> None:
    wrong = Metric(name="overlap", label="overlap", score=lambda *_: mean("overlap", [0.5] * count))
    with pytest.raises(InputError, match=f"metric overlap returned {count} values for 2 items; return one an item"):
        wrong.measure(COLUMNS, SETTINGS)


def test_the_modules_of_an_extra_that_are_missing_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert all_metrics()["bertscore"].lacks() == []
    monkeypatch.setitem(sys.modules, "torch", None)
    assert all_metrics()["bertscore"].lacks() == ["torch"]
    assert all_metrics()["bleu"].lacks() == []


def test_any_metric_is_one_of_the_evaluate_library() -> None:
    chosen = [as_evaluate(name, SETTINGS) for name in ("bleu", "rouge_l", "exact_match")]  # type: ignore[arg-type]
    found = evaluate.combine(chosen).compute(**COLUMNS)
    for name in ("bleu", "rouge_l", "exact_match"):
        (scores,) = all_metrics()[name].measure(COLUMNS, SETTINGS).scores
        assert found[name] == scores.point
    bits = as_evaluate("bpb", SETTINGS).compute(nll=[1.0, 2.0], bytes=[2, 4])  # type: ignore[arg-type]
    assert bits == {"bpb": pytest.approx(3 / 6 / 0.6931471805599453)}
