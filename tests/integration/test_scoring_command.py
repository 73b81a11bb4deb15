"""`python -m relearn.scoring`: the values of the stage, null references, and mistakes in the file."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from relearn.evaluation import command
from relearn.evaluation.models import evaluate_models
from relearn.evaluation.roles import ModelRoles, ScoredTask
from relearn.evaluation.tasks import metrics_for
from relearn.params.evaluate import Scoring
from relearn.records import Prediction

FUNCTIONS = [
    f"def {name}(values):\n    result = []\n    for value in values:\n        if {test}:\n            result.append({kept})\n    return result"
    for name, test, kept in (
        ("evens", "value % 2 == 0", "value"),
        ("long_words", "len(value) > 4", "value.upper()"),
        ("positive", "value > 0", "value * 2"),
        ("first_letters", "value", "value[0]"),
        ("known", "value in seen", "seen[value]"),
    )
]


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def score(path: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert command.main([str(path), *arguments]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def pairs(predictions: list[str], references: list[str | None]) -> list[dict[str, Any]]:
    return [
        {"prompt": f"Task {i}.", "reference": reference, "prediction": prediction}
        for i, (prediction, reference) in enumerate(zip(predictions, references, strict=True))
    ]


def test_as_a_process(tmp_path: Path) -> None:
    path = write(tmp_path / "p.jsonl", pairs(FUNCTIONS, [*FUNCTIONS]))
    out = tmp_path / "out.json"
    run = subprocess.run(
        [sys.executable, "-m", "relearn.scoring", str(path), "--task", "code", "--json", str(out)],
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(run.stdout)
    assert found == json.loads(out.read_text())
    for name in ("codebleu", "rouge_l", "chrf", "bertscore", "bleu", "code_rate", "exact_match"):
        assert found[name] == 1
    assert all(not isinstance(value, dict | list) for value in found.values())


def test_without_the_libraries_of_models(tmp_path: Path) -> None:
    path = write(tmp_path / "p.jsonl", pairs(FUNCTIONS, [*FUNCTIONS]))
    absent = ("torch", "transformers", "datasets", "evaluate", "dvc", "pandas", "scipy", "openai", "pyarrow")
    code = (
        f"import sys; sys.modules |= dict.fromkeys({absent}); "
        f"from relearn.evaluation.command import main; sys.exit(main([{str(path)!r}]))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    found = json.loads(run.stdout)
    assert found["codebleu"] == found["rouge_l"] == found["chrf"] == 1
    assert "bertscore" not in found
    (line,) = run.stderr.splitlines()
    assert "bertscore is left out" in line
    assert "extra `models`" in line


def test_the_known_cases(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    empty = score(write(tmp_path / "e.jsonl", pairs([""] * 5, [*FUNCTIONS])), capsys)
    names = ("codebleu", "rouge_l", "chrf", "bertscore", "bleu", "code_rate", "exact_match")
    assert {name: empty[name] for name in names} == dict.fromkeys(names, 0)
    assert empty["empty_output_baseline"] == 0.25
    shuffled = score(write(tmp_path / "s.jsonl", pairs(FUNCTIONS[1:] + FUNCTIONS[:1], [*FUNCTIONS])), capsys)
    assert 0 < shuffled["codebleu"] < 1


def test_real_references_known_cases(tmp_path: Path, capsys: pytest.CaptureFixture[str], shared_data: Path) -> None:
    lines = (shared_data / "python_instruct" / "python_2000.jsonl").read_text().splitlines()[:150]
    references = [json.loads(line)["output"] for line in lines]
    same = score(write(tmp_path / "a.jsonl", pairs(references, references)), capsys)
    assert same["codebleu"] == same["rouge_l"] == same["chrf"] == same["bertscore"] == 1
    shuffled = score(write(tmp_path / "b.jsonl", pairs(references[7:] + references[:7], references)), capsys)
    assert shuffled["codebleu"] <= 0.6


def test_the_same_values_as_the_stage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answers = [FUNCTIONS[0], "I agree.", FUNCTIONS[2].replace("> 0", "> 1"), "", f"```python\n{FUNCTIONS[4]}\n```"]
    rows = [
        {
            "id": str(i),
            "task": "code",
            "group": str(i),
            "prompt": f"Task {i}.",
            "reference": FUNCTIONS[i],
            "prediction": answers[i],
        }
        | {"finish_reason": "stop", "nll": 10.0 + i, "bytes": len(FUNCTIONS[i])}
        for i in range(5)
    ]
    found = score(write(tmp_path / "p.jsonl", rows), capsys)
    params = Scoring(
        encoder="minilm",
        encoder_layers=None,
        cut_share=0.1,
        rouge_stemmer=True,
        execute="off",
        timeout_s=2.0,
        memory_mb=512,
        resamples=100,
        swaps=500,
    )
    tasks = [ScoredTask("code", "replayed", metrics_for(True))]
    answered = {"base": [Prediction(**row) for row in rows]}
    stage = evaluate_models(answered, {}, params, 1, tasks, ModelRoles("base", "2b")).points["base"]["code"]
    assert {name: found[name] for name in stage} == stage
    assert "bpb" in stage


def test_null_references(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = pairs([FUNCTIONS[0], "# a comment\n" * 20], [None, None])
    found = score(write(tmp_path / "p.jsonl", rows), capsys, "--task", "code")
    assert found == {"task": "code", "items": 2, "with_reference": 0, "code_rate": 0.5, "reasoning": 0}


def test_tests_are_run_only_when_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [row | {"tests": ["assert evens([1, 2]) == [2]"]} for row in pairs([FUNCTIONS[0]], [None])]
    path = write(tmp_path / "p.jsonl", rows)
    assert "pass_at_1" not in score(path, capsys)
    assert score(path, capsys, "--execute", "best_effort")["pass_at_1"] == 1


def test_a_metric_that_was_asked_for_and_cannot_be_computed_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "p.jsonl", pairs(["A reply of some words."], ["A reply of other words."]))
    assert command.main([str(path), "--metrics", "pass_at_1,bpb"]) == 0
    said = capsys.readouterr()
    assert not {"pass_at_1", "bpb"} & set(json.loads(said.out))
    assert "pass_at_1 is left out: it runs the rows' tests; choose --execute strict or best_effort" in said.err
    assert "bpb is left out: no row has nll and bytes" in said.err
    assert command.main([str(path), "--metrics", "pass_at_1", "--execute", "best_effort"]) == 0
    assert "pass_at_1 is left out: no row has tests" in capsys.readouterr().err


def test_rows_of_another_task_are_not_scored(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [row | {"task": "reviews"} for row in pairs(["Red."], ["Blue."])]
    path = write(tmp_path / "p.jsonl", rows)
    assert command.main([str(path), "--task", "code"]) == 1
    assert "no row of task code; it has rows of reviews" in capsys.readouterr().err
    assert score(path, capsys, "--task", "reviews", "--metrics", "rouge_l")["items"] == 1


def test_the_answers_are_not_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "p.jsonl", pairs(["Red."], ["Blue."]))
    before = path.read_bytes()
    with pytest.raises(SystemExit, match="2"):
        command.main([str(path), "--json", str(path)])
    assert "is the input; write to another file" in capsys.readouterr().err
    assert path.read_bytes() == before
    assert command.main([str(path), "--metrics", "rouge_l", "--json", str(tmp_path)]) == 1
    assert f"score: {tmp_path}: Is a directory" in capsys.readouterr().err


def test_reviews(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        {
            "prompt": "Reply to this review and disagree with it.\n\nDull.",
            "reference": "I disagree, it is funny.",
            "prediction": said,
            "other": 1,
        }
        for said in ("I disagree, it is fun.", "I agree, it is dull.")
    ]
    found = score(write(tmp_path / "p.jsonl", rows), capsys, "--metrics", "rouge_l, stance")
    assert found["stance"] == 0.5
    assert found["stance_reference"] == 1
    assert "codebleu" not in found


def test_odd_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = ["\ud800 lone", "\x00 null", "😀 " * 50, "a" * 50_000, "[" * 5000, "```" * 100, "\r\n\r\n"]
    path = tmp_path / "p.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in pairs(texts, ["def f(x): return x"] * len(texts))))
    found = score(path, capsys)
    assert found["items"] == len(texts)
    assert found["code_rate"] == 0


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", "no rows"),
        ("[1]\n", "line 1: not a JSON object"),
        ('{"prompt": "a", "prediction": "b"}\n', "line 1: reference: missing"),
        ('{"prompt": "a", "reference": 3, "prediction": "b"}\n', "line 1: reference: is int"),
        ('{"prompt": "a", "reference": "c", "prediction": null}\n', "line 1: prediction: is null"),
        ('{"prompt": "a", "reference": "c", "prediction": "b"}\n{oops\n', "line 2: not JSON"),
        (
            '{"prompt": "a", "reference": "c", "prediction": "b", "tests": "x"}\n',
            "line 1: tests: expected a list of strings",
        ),
    ],
)
def test_mistakes_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, wanted: str) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text(text)
    assert command.main([str(path)]) == 1
    said = capsys.readouterr().err.strip()
    assert wanted in said
    assert "p.jsonl" in said
    assert "\n" not in said


def test_a_missing_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["nowhere.jsonl"]) == 1
    assert "nowhere.jsonl: no such file" in capsys.readouterr().err
