"""bench.real_texts makes a profile that loads, and sources that its tasks read, from files of the known forms."""

import json
import shutil
import sys
from pathlib import Path

import pytest

from bench import real_texts
from relearn.params import load

ROOT = Path(__file__).resolve().parents[2]
PROBLEM = {
    "task_id": 7,
    "prompt": "Write a function to double a number.",
    "code": "def double(x):\r\n    return 2 * x\r\n",
    "test_imports": ["import math"],
    "test_list": ["assert double(2) == 4", "assert double(math.inf) == math.inf"],
}
INSTRUCTION = {
    "id": "user_oriented_task_0",
    "instruction": "Name the colour.",
    "instances": [{"input": "grass", "output": "green"}],
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with the profiles of this one, and a folder of real texts beside it."""
    root, data = tmp_path / "project", tmp_path / "data"
    shutil.copytree(ROOT / "profiles", root / "profiles")
    shutil.copy(ROOT / "params.yaml", root)
    probes = root / "data" / "sources" / "smollm2" / "probes.yaml"
    probes.parent.mkdir(parents=True)
    shutil.copy(ROOT / "data" / "sources" / "smollm2" / "probes.yaml", probes)
    files = {
        "imdb/imdb_1000.csv": "review,sentiment\nA dull film.,negative\n",
        "mbpp/sanitized-mbpp.json": json.dumps([PROBLEM], indent=2) + "\n",
        "general_instruct/self_instruct_252.jsonl": json.dumps(INSTRUCTION) + "\n",
    }
    for name, text in files.items():
        (data / name).parent.mkdir(parents=True)
        (data / name).write_text(text, encoding="utf-8")
    for name in ("ROOT", "SOURCES", "PROFILE"):
        monkeypatch.setattr(real_texts, name, root / getattr(real_texts, name).relative_to(ROOT))
    monkeypatch.setattr(sys, "argv", ["real_texts", "--data", str(data)])
    return root


def _rows(file: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def test_the_profile_loads_with_three_tasks_and_the_model_of_smollm2(project: Path) -> None:
    real_texts.main()
    params = load(project, changes={"profile": "real"})
    model = load(project, changes={"profile": "smollm2"})
    assert set(params.tasks) == set(real_texts.SIZES)
    assert params.base == model.base
    for task, sizes in real_texts.SIZES.items():
        rows = params.prepare.by_task[task]
        assert (rows.train, rows.val, rows.test) == sizes


def test_a_problem_shows_its_tests_and_its_code_passes_them(project: Path) -> None:
    real_texts.main()
    [row] = _rows(real_texts.SOURCES / "problems.jsonl")
    assert str(row["instruction"]).endswith("pass these tests:\n\n" + "\n".join(PROBLEM["test_list"]))
    assert row["group"] == "7"
    tests = row["tests"]
    assert isinstance(tests, list)
    exec("\n".join([str(row["response"]), *tests]), {})


def test_an_instruction_has_its_input_and_output(project: Path) -> None:
    real_texts.main()
    assert _rows(real_texts.SOURCES / "general.jsonl") == [
        {"instruction": "Name the colour.\n\ngrass", "response": "green", "group": "user_oriented_task_0"}
    ]
