"""What `relearn compare` does with odd models, up to the files it writes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from peft import LoraConfig

from relearn.compare.command import main
from relearn.files import read_jsonl
from relearn.records import Prediction
from tests.unit import tiny
from tests.unit.models.alone import edit, make_adapter, make_base

LORA: dict[str, Any] = {"r": 2, "lora_alpha": 4, "target_modules": ["q_proj", "down_proj"], "task_type": "CAUSAL_LM"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`base`, `tuned` and `rewriting` on it, and rows."""
    folder: Path = tmp_path_factory.mktemp("compared")
    base = make_base(folder / "base", "llama")
    make_adapter(base, folder / "tuned", LoraConfig(**LORA), 1.0)
    make_adapter(base, folder / "rewriting", LoraConfig(**LORA, init_lora_weights="olora"), 1.0)
    for name in ("old", "new"):
        rows = [json.dumps({"prompt": f"Say {word} {name}.", "output": word}) + "\n" for word in tiny.WORDS[:4]]
        (folder / f"{name}.jsonl").write_text("".join(rows))
    return folder


def compare(made: Path, out: Path, *more: str) -> int:
    rows = ["--old", str(made / "old.jsonl"), "--new", str(made / "new.jsonl"), "--out", str(out)]
    return main([*rows, "--max-new-tokens", "4", "--resamples", "100", "--threads", "1", *more])


def answers(out: Path, role: str) -> list[tuple[str, float | None]]:
    return [(row.prediction, row.nll) for row in read_jsonl(out / "predictions" / f"{role}.jsonl", Prediction)]


def test_an_adapter_that_rewrites_the_base_leaves_the_next_as_it_is(made: Path, tmp_path: Path) -> None:
    base, tuned, rewriting = (str(made / name) for name in ("base", "tuned", "rewriting"))
    assert compare(made, tmp_path / "one", "--base", base, "--tuned", rewriting, "--replayed", tuned) == 0
    assert compare(made, tmp_path / "two", "--base", base, "--tuned", tuned, "--date", "2026-05-01") == 0
    assert answers(tmp_path / "one", "base") == answers(tmp_path / "two", "base")
    assert answers(tmp_path / "one", "replayed") == answers(tmp_path / "two", "tuned")
    assert answers(tmp_path / "one", "tuned") != answers(tmp_path / "one", "base")
    settings = json.loads((tmp_path / "two" / "settings.json").read_text())
    assert (settings["date"], settings["template_arguments"]) == ("2026-05-01", {})


def test_a_model_that_is_refused_leaves_nothing(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(made / "base", broken)
    edit(broken / "config.json", num_hidden_layers=3)
    guard = ("--fail-above", "bpb=5%")
    assert compare(made, tmp_path / "out", "--base", str(made / "base"), "--tuned", str(broken), *guard) == 1
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith(f"compare: {broken}: the weight model.layers.2.")
    assert "is missing" in said
    assert not (tmp_path / "out" / "predictions").exists()


def test_the_adapters_own_template_is_not_used_without_a_word(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tuned = tmp_path / "tuned"
    shutil.copytree(made / "tuned", tuned)
    (tuned / "chat_template.jinja").write_text(
        "{% for m in messages %}{{ m.role }}: {{ m.content }}<|end|>{% endfor %}"
    )
    assert compare(made, tmp_path / "out", "--base", str(made / "base"), "--tuned", str(tuned)) == 0
    assert (
        "compare: tuned was saved with another chat template than that of base, which is used"
        in capsys.readouterr().err
    )


def test_a_template_whose_tokens_the_base_lacks_is_refused(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare, tuned = tmp_path / "bare", tmp_path / "tuned"
    shutil.copytree(made / "base", bare)
    (bare / "chat_template.jinja").unlink()
    shutil.copytree(made / "tuned", tuned)
    words = tiny.tokenizer()
    words.add_tokens(["<turn>"])
    words.chat_template = "{% for m in messages %}{{ m.role }}: {{ m.content }}<turn>{% endfor %}"
    words.save_pretrained(tuned)
    assert compare(made, tmp_path / "out", "--base", str(bare), "--tuned", str(tuned)) == 1
    assert "its chat template uses <turn>, a token that the tokenizer of bare lacks" in capsys.readouterr().err
