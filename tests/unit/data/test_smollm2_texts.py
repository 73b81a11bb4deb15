"""The texts for a real model are what their README says: enough, unlike each other, and right."""

from __future__ import annotations

import ast
import collections
import io
import json
import keyword
import re
import tokenize
from pathlib import Path
from typing import Any

import pytest

from relearn.data import load
from relearn.data.near_duplicates import Index, grams, jaccard
from relearn.evaluation import probes
from relearn.metrics.code.find import find_code
from relearn.mini.code_tasks import FAMILIES
from relearn.params.prepare import Prepare
from relearn.sandbox import runner as sandbox

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "data" / "sources" / "smollm2"


def read(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (FOLDER / name).read_text(encoding="utf-8").splitlines()]


REVIEWS, PROBLEMS, GENERAL = read("reviews.jsonl"), read("problems.jsonl"), read("general.jsonl")


def shape(code: str) -> str:
    """The code with its own names numbered and docstrings left out: what two copies with other names share."""
    names: dict[str, str] = {}
    parts = []
    for token in tokenize.generate_tokens(io.StringIO(code).readline):
        if token.type == tokenize.NAME and not keyword.iskeyword(token.string):
            parts.append(names.setdefault(token.string, f"name{len(names)}"))
        elif token.string.strip() and not token.string.startswith('"""'):
            parts.append(token.string)
    return " ".join(parts)


def test_they_are_small_enough_to_commit() -> None:
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 2_000_000


def test_the_readme_counts_right() -> None:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert f"| {len(REVIEWS)} film reviews" in text
    assert f"| {len(PROBLEMS)} Python problems in {len({row['family'] for row in PROBLEMS})} families" in text
    assert f"| {len(GENERAL)} other instructions" in text
    for name, rows in (("reviews", REVIEWS), ("problems", PROBLEMS), ("general", GENERAL)):
        columns = ", ".join(f"`{key}`" for key in rows[0])
        assert re.search(rf"\| `{name}\.jsonl` \|.*\| {columns} \|", text)
        assert all(list(row) == list(rows[0]) for row in rows)


def test_enough_reviews_of_both_kinds_in_every_hand() -> None:
    assert len(REVIEWS) >= 320
    hands = collections.Counter((row["voice"], row["sentiment"]) for row in REVIEWS)
    assert {sentiment for _, sentiment in hands} == {"positive", "negative"}
    assert len({voice for voice, _ in hands}) == 14
    assert min(hands.values()) >= 8
    assert all(40 <= len(row["review"].split()) <= 160 for row in REVIEWS)


def test_no_review_is_near_another_or_shares_a_sentence() -> None:
    index = Index(0.31)
    sentences: collections.Counter[str] = collections.Counter()
    for number, row in enumerate(REVIEWS):
        assert index.near(row["review"]) == []
        index.add(str(number), row["review"])
        sentences.update({part for part in re.split(r"(?<=[.!?])\s+", row["review"]) if len(part.split()) > 3})
    assert [part for part, count in sentences.items() if count > 1] == []


def test_enough_problems_in_families_and_groups() -> None:
    families = collections.Counter(row["family"] for row in PROBLEMS)
    assert len(families) >= 30
    assert min(families.values()) >= 10
    groups = collections.Counter(row["group"] for row in PROBLEMS)
    assert max(groups.values()) <= 8  # so that no split hangs on one of them
    assert len(groups) >= 650


def test_every_problem_names_its_function_and_tests_it() -> None:
    names = []
    for row in PROBLEMS:
        tree = ast.parse(row["response"])
        function = next(node for node in tree.body if isinstance(node, ast.FunctionDef))
        names.append(function.name)
        assert ast.get_docstring(function)
        assert re.search(rf"\b{function.name}\b", row["instruction"])
        arguments = [*function.args.args, *([function.args.vararg] if function.args.vararg else [])]
        assert all(re.search(rf"\b{argument.arg}\b", row["instruction"]) for argument in arguments)
        assert 3 <= len(row["tests"]) <= 5
        assert all(test.startswith("assert ") and function.name in test for test in row["tests"])
        assert find_code(row["response"]) == row["response"]
    assert len(set(names)) == len(names)


def test_problems_are_unlike_each_other_and_mini() -> None:
    """Across groups, no two solutions are the same but for names, and no two instructions are near."""
    shapes: dict[str, str] = {}
    index = Index(0.6)
    for row in PROBLEMS:
        assert shapes.setdefault(shape(row["response"]), row["group"]) == row["group"], row["instruction"]
        assert set(index.near(row["instruction"])) <= {row["group"]}, row["instruction"]
        index.add(row["group"], row["instruction"])
    templates = [grams(f"{family.asks[0]} {family.answer}") for family in FAMILIES]
    for row in PROBLEMS:
        found = grams(f"{row['instruction']} {row['response']}")
        assert max(jaccard(found, template) for template in templates) < 0.5, row["instruction"]


def test_general_instructions_are_enough_and_different() -> None:
    assert len(GENERAL) >= 220
    assert len({row["kind"] for row in GENERAL}) >= 20
    assert len({row["group"] for row in GENERAL}) == len(GENERAL)
    assert max(len(row["response"].split()) for row in GENERAL) <= 120
    index = Index(0.6)
    for row in GENERAL:
        assert index.near(row["instruction"]) == [], row["instruction"]
        index.add(row["group"], row["instruction"])


def test_no_text_stands_in_two_files() -> None:
    index = Index(0.5)
    for row in (*PROBLEMS, *GENERAL):
        index.add(row["group"], row["instruction"])
    assert [row["review"] for row in REVIEWS if index.near(row["review"])] == []
    other = Index(0.5)
    for row in PROBLEMS:
        other.add(row["group"], row["instruction"])
    assert [row["instruction"] for row in GENERAL if other.near(row["instruction"])] == []


def test_they_split_into_what_training_and_evaluation_need(tmp_path: Path) -> None:
    """Nothing is left out as too near, to another split or to a probe, and at least 200 rows of each are held out."""
    columns = {"form": "instructions", "instruction": "instruction", "input": None, "response": "response"}
    tasks: dict[str, Any] = {
        "code": ("problems", columns | {"tests": "tests", "group": "group"}, (460, 30, 210)),
        "reviews": ("reviews", {"form": "texts", "text": "review", "label": "sentiment"}, (195, 20, 110)),
        "general": ("general", columns | {"tests": None, "group": "group"}, (0, 30, 220)),
    }
    group = {
        task: {
            "source": {"kind": "files", "path": f"{name}.jsonl", "columns": kind},
            "max_chars": {"prompt": None, "response": None},
            **dict(zip(("train", "val", "test"), sizes, strict=True)),
        }
        for task, (name, kind, sizes) in tasks.items()
    }
    asked = [probe.instruction for probe in probes.read(FOLDER / "probes.yaml")]
    prepare = Prepare.model_validate({"near_duplicates": {"threshold": 0.8, "permutations": 128}} | group)
    found = load(
        {"code": "replayed", "reviews": "new", "general": "watched"},
        prepare,
        FOLDER,
        1222,
        probes=asked,
        memory=tmp_path,
    )
    for task in tasks:
        assert set(found.counts[task]["left_out"]) <= {"not_needed", "group_in_other_split"}, task


@pytest.mark.slow
def test_every_solution_passes_its_tests_in_the_sandbox() -> None:
    jobs = [sandbox.Job(row["response"], row["tests"]) for row in PROBLEMS]
    verdicts = sandbox.run_all(jobs, sandbox.ProgramLimits(5, 512), "best_effort")
    assert [job.tests[0] for job, verdict in zip(jobs, verdicts, strict=True) if not verdict.passed] == []


def test_a_solution_that_does_nothing_passes_no_problem() -> None:
    """The tests of each problem tell a right answer from one that returns nothing or its argument."""
    for row in PROBLEMS:
        name = next(node.name for node in ast.parse(row["response"]).body if isinstance(node, ast.FunctionDef))
        for body in (lambda *a, **k: None, lambda *a, **k: a[0] if a else None):
            assert not _all_hold(row["tests"], {name: body}), row["instruction"]


def _all_hold(tests: list[str], names: dict[str, Any]) -> bool:
    try:
        for test in tests:
            exec(test, dict(names))
    except Exception:  # noqa: BLE001 - whatever a wrong answer raises fails its test
        return False
    return True
