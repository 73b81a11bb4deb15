"""The tiny chain on bases of several architectures, from training to answers; weights are drawn here.

pytest tests/integration/test_architectures.py -m slow
"""

from __future__ import annotations

from pathlib import Path

import pytest

from relearn.files import read_jsonl
from relearn.records import Prediction
from tests.integration.conftest import Clone, copy
from tests.unit.models.alone import make_base

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
TARGETS = {
    "llama": "all-linear",
    "qwen3": "all-linear",
    "gemma": "all-linear",
    "phi3": "[qkv_proj, gate_up_proj]",
    "gpt2": "[c_attn]",
}


@pytest.fixture(scope="module")
def prepared(pristine: Clone, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    clone = copy(pristine, tmp_path_factory.mktemp("prepared"))
    clone.python("tests.integration.chain", "prepare", "generate", "repair")
    return clone


@pytest.mark.parametrize("kind", TARGETS)
def test_from_training_to_answers(prepared: Clone, tmp_path: Path, kind: str) -> None:
    clone = copy(prepared, tmp_path)
    make_base(clone.folder / "data/sources/tiny/base", kind, initializer_range=0.1, max_position_embeddings=1024)
    text = (clone.folder / "profiles/tiny.yaml").read_text()
    before, _, rest = text.partition("    kind: scratch")
    after = rest[rest.index("\nlr_range:") :]
    text = f"{before}    kind: model\n    path: base\n    revision: null\n    adapt: null\n{after}"
    start = text.index("    targets: [")
    text = text[:start] + f"    targets: {TARGETS[kind]}\n" + text[text.index("\n", start) + 1 :]
    (clone.folder / "profiles/tiny.yaml").write_text(text)
    done = clone.python(
        "tests.integration.chain", "prepare", "base", "finetune_2b", "finetune_2c", "predict", check=False
    )
    assert done.returncode == 0, done.stderr
    answers = {
        name: list(read_jsonl(clone.folder / f"data/predictions/{name}.jsonl", Prediction))
        for name in ("base", "2b", "2c")
    }
    assert len({len(rows) for rows in answers.values()}) == 1
    new = {name: sum(row.nll or 0 for row in rows if row.task == "reviews") for name, rows in answers.items()}
    assert new["2b"] < new["base"]  # it has learned
    old = {name: sum(row.nll or 0 for row in rows if row.task == "code") for name, rows in answers.items()}
    assert old["2c"] < old["2b"]
