"""What `relearn compare` does with odd models, up to the files it writes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from peft import LoraConfig

from relearn import models
from relearn.cli import main as scale
from relearn.compare.command import main
from relearn.decoding.items import CurveRow
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
        "compare: tuned was saved with a different chat template from that of base, which both use"
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


def curve(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "intervals.json").read_text())["curve"]
    return found


def test_a_curve_needs_one_load_of_the_weights_and_ends_in_base_and_tuned(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    loads: list[Any] = []
    real = models.load_base
    monkeypatch.setattr(models, "load_base", lambda *given: loads.append(given) or real(*given))
    both = ("--base", str(made / "base"), "--tuned", str(made / "tuned"))
    more = ("--scales", "--decode-scales", "0.25", "--most-lost", "900%")
    assert compare(made, tmp_path / "out", *both, *more) == 0
    assert len(loads) == 1
    found = curve(tmp_path / "out")
    assert found["factors"] == [number / 8 for number in range(13)]
    rows = list(read_jsonl(tmp_path / "out" / "predictions" / "curve.jsonl", CurveRow))
    for role, place in (("base", 0), ("tuned@0.25", 2), ("tuned", 8)):
        assert [row.nll[place] for row in rows] == [nll for _, nll in answers(tmp_path / "out", role)]
    assert found["limit"]["most_lost"] == 9
    page, text = ((tmp_path / "out" / name).read_text() for name in ("curve.html", "compare.md"))
    assert "<svg" in page
    assert "## A part of the change" in text
    assert "tuned@0.25" in json.loads((tmp_path / "out" / "points.json").read_text())
    assert "## A part of the change" in capsys.readouterr().out

    assert compare(made, tmp_path / "out", *both, "--rescore", "--scales", "--decode-scales", "0.25") == 0
    assert "limit" not in curve(tmp_path / "out")
    assert curve(tmp_path / "out")["tasks"] == found["tasks"]
    assert len(loads) == 1


def test_a_whole_model_has_the_curve_of_the_adapter_in_it(made: Path, tmp_path: Path) -> None:
    scale(
        ["scale", str(made / "tuned"), "1", str(tmp_path / "whole"), "--base", str(made / "base"), "--merged"],
        standalone_mode=False,
    )
    for name, tuned in (("one", made / "tuned"), ("two", tmp_path / "whole")):
        given = ("--base", str(made / "base"), "--tuned", str(tuned), "--scales", "0.5,1.5")
        assert compare(made, tmp_path / name, *given) == 0
    one, two = curve(tmp_path / "one"), curve(tmp_path / "two")
    assert one["factors"] == two["factors"] == [0, 0.5, 1, 1.5]
    for task in ("old", "new"):
        values = [[point["value"] for point in found["tasks"][task]["points"]] for found in (one, two)]
        assert values[0] == pytest.approx(values[1], abs=2e-3)
        assert len(set(values[0])) == 4


@pytest.mark.parametrize(
    ("tuned", "more", "said"),
    [
        ("rewriting", ["--scales"], "rewriting: scaling this adapter does not scale what was learned"),
        ("tuned", ["--scales", "0.5,x"], "--scales 0.5,x: expected numbers from 0 to 4"),
        ("tuned", ["--scales", "9"], "--scales 9: expected numbers from 0 to 4"),
        ("tuned", ["--most-lost", "5%"], "--most-lost: needs --scales"),
        ("tuned", ["--scales", "--most-lost", "0"], "--most-lost 0: expected a share above 0"),
        ("tuned", ["--scales", "--endpoint", "http://127.0.0.1:9/v1"], "a server does not scale an adapter"),
    ],
)
def test_a_curve_that_cannot_be_is_refused_before_anything_is_decoded(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], tuned: str, more: list[str], said: str
) -> None:
    given = ("--base", str(made / "base"), "--tuned", str(made / tuned))
    assert compare(made, tmp_path / "out", *given, *more) == 1
    assert said in capsys.readouterr().err.strip().splitlines()[-1]
    assert not (tmp_path / "out" / "predictions").exists()
