"""The plan of docs/scale.md: its table is what the command prints, from what was measured, and its FLOP are the trainer's."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import large_run
from bench.tuning import flop_per_token
from relearn.params.finetune import Lora
from relearn.training.rounds import new_adapter
from tests.conftest import ROOT
from tests.unit.tiny import tokenizer

BENCHMARKS = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")


def test_the_document_holds_what_the_command_prints() -> None:
    page = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")
    shown = page.partition("prints -->\n\n")[2].partition("\n\n<!-- /large run -->")[0]
    now = large_run.table(large_run.parse([]), BENCHMARKS)
    assert shown == now, (
        "docs/benchmarks.md has other rates now: put what `python -m bench.large_run` prints into docs/scale.md"
    )


def test_the_largest_size_that_was_measured_counts() -> None:
    text = (
        "| part | 10 rows | 1,000 rows | time grows as | memory a 1,000 rows |\n| --- |\n"
        "| repair, 2 processes | 0.0 s, 1 MB | 9.0 s, 1 MB | rows^2.00 | 9.00 MB |\n"
        "| repair | 0.1 s, 39 MB | 2.5 s, 1,116 MB | rows^1.01 | 1.08 MB |\n"
        "| prepare | 0.1 s, 39 MB | not run | rows^1.10 | 1.80 MB |\n"
    )
    assert large_run.read_rate("repair", text) == (1000, 2.5, 1.01, 1.08)
    assert large_run.read_rate("prepare", text) == (10, 0.1, 1.1, 1.8)
    with pytest.raises(SystemExit, match=r"no row scoring .* run python -m bench\.scale"):
        large_run.read_rate("scoring", text)


def test_what_a_reader_changes_changes_the_sum() -> None:
    def total(*arguments: str) -> str:
        (line,) = [
            line
            for line in large_run.table(large_run.parse([*arguments]), BENCHMARKS).splitlines()
            if "| all |" in line
        ]
        return line

    usual = total()
    for change in ("--rows=1e6", "--tokens=100", "--cards=16", "--price=1", "--mfu=0.5", "--epochs=3", "--peak=300"):
        assert total(change) != usual, change


def test_flop_and_weights_are_those_of_the_model_that_trains() -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    shape = large_run.Shape(hidden=64, inner=128, layers=3, keys=32, words=512)
    config = LlamaConfig(
        vocab_size=shape.words, hidden_size=shape.hidden, intermediate_size=shape.inner,
        num_hidden_layers=shape.layers, num_attention_heads=4, num_key_value_heads=2,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    norms = (2 * shape.layers + 1) * shape.hidden
    assert sum(weight.numel() for weight in model.parameters()) == shape.weights + norms
    lora = Lora(rank=large_run.RANK, alpha=16, dropout=0, targets=["all-linear"])
    tuned = new_adapter(model, lora)
    assert sum(weight.numel() for weight in tuned.parameters() if weight.requires_grad) == shape.adapter
    assert flop_per_token(tuned, [(40, 20)]) == pytest.approx(shape.flop(40))


def test_rows_are_measured(tmp_path: Path) -> None:
    tokenizer().save_pretrained(tmp_path)
    assert " ms a row of " in large_run.measure(tmp_path, 4)
