"""The cards say what they must, and their front matter is YAML that the hub reads."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ruamel.yaml import YAML

from relearn.report.analysis import analyse
from relearn.report.cards import DatasetFacts, ModelFacts, dataset_card, model_card, split_rows
from tests.unit.report import made

DATASET = DatasetFacts(
    splits={"train": 1200, "test": 300},
    about="replying to reviews",
    kinds={"agree": 700, "disagree": 800},
    teacher="gpt-4o-mini",
    embedded=False,
    sources={"reviews": "the hub's data set stanfordnlp/imdb"},
    prompts={"reviews": "Write ```two``` replies to {{ review }}"},
    temperature=0.7,
    repair={
        "counts": {"rows": 1600, "rows_kept": 1500, "rows_quarantined": 100},
        "reasons": {"cut_off": 100},
        "flags": {"fence": 9},
    },
    generate={"replies": 800, "prompt_tokens": 12345, "completion_tokens": 678},
)


def front(card: str) -> Any:
    assert card.startswith("---\n")
    return YAML(typ="safe").load(card.split("---\n")[1])


def model(name: str, hub: bool = True) -> ModelFacts:
    return ModelFacts(
        model=name,
        base="meta-llama/Llama-2-7b-hf" if hub else "base",
        hub=hub,
        commit="0" * 40 if hub else None,
        provenance={"lr": 0.01, "epochs": 8.0, "rows": 349, "updates": 176, "seed": 7, "continues": None},
        lora={"rank": 16, "alpha": 32},
        table="| model | CodeBLEU |",
        analysis=analyse(made.intervals(), made.probes(), made.WORDS),
        words=made.WORDS,
    )


def test_the_data_set_card_has_counts_teacher_prompt_ledger_and_licence() -> None:
    card = dataset_card(DATASET)
    assert front(card)["configs"][0]["data_files"] == [
        {"split": "train", "path": "data/train.parquet"},
        {"split": "test", "path": "data/test.parquet"},
    ]
    assert front(card)["size_categories"] == ["1K<n<10K"]
    for part in (
        "1,500 instructions",
        "1,200 train, 300 test",
        "`gpt-4o-mini`",
        "12,345 prompt",
        "| cut off | 100 |",
        "| fence | 9 |",
        "stanfordnlp/imdb",
        "Check its provider's terms",
    ):
        assert part in card, part
    assert "````\nWrite ```two``` replies to {{ review }}\n````" in card
    assert "Check its provider's terms" not in dataset_card(replace(DATASET, embedded=True))


@pytest.mark.parametrize("name", ["2b", "2c"])
def test_the_model_card_carries_the_forgetting(name: str) -> None:
    card = model_card(model(name))
    assert front(card)["base_model"] == "meta-llama/Llama-2-7b-hf"
    assert "CodeBLEU 0.900 → 0.300" in card
    assert "| model | CodeBLEU |" in card
    assert "rank 16, alpha 32" in card
    if name == "2b":
        assert "writing code: **lost 0.600 of CodeBLEU** (95% interval 0.550 to 0.650)" in card
        assert "Do not ship 2b" in card
    else:
        assert "writing code: CodeBLEU 0.850, where base had 0.900 and 2b 0.300" in card


def test_a_base_made_here_is_not_claimed_to_be_on_the_hub() -> None:
    card = model_card(model("2b", hub=False))
    assert "base_model" not in front(card)
    assert "trained from scratch and comes with it" in card


def test_splits_have_the_hubs_names() -> None:
    rows = [{"id": str(n), "instruction": "i", "split": split} for n, split in enumerate(("val", "train", "train"))]
    found = split_rows(rows)
    assert {name: [row["id"] for row in chosen] for name, chosen in found.items()} == {
        "train": ["1", "2"],
        "validation": ["0"],
    }
    assert "split" not in found["train"][0]
