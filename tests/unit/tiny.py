"""A tokenizer and a Llama small enough to make in every test, and rows to train them on."""

from __future__ import annotations

from typing import Any

from transformers import LlamaForCausalLM, PreTrainedTokenizerBase, set_seed

from relearn.params.base import ScratchBase
from relearn.records import make_turns
from relearn.training import scratch

TEMPLATE = (
    "{% for message in messages %}<|{{ message.role }}|>\n{{ message.content }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
WORDS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
ROWS = [make_turns(f"Say {a} then {b}.", f"{a} {b}") for a in WORDS for b in WORDS if a != b]


def tokenizer() -> PreTrainedTokenizerBase:
    return scratch.train_tokenizer((turn.content for row in ROWS for turn in row), 320, TEMPLATE)


def shape(**changes: Any) -> ScratchBase:
    values: dict[str, Any] = {
        "kind": "scratch", "vocabulary": 320, "hidden": 16, "layers": 1, "heads": 2, "intermediate": 32, "epochs": 1,
        "batch_size": 8, "lr": 0.01, "warmup": 0.1, "weight_decay": 0.0, "max_tokens": 64, "review_instruction": None,
    }  # fmt: skip
    return ScratchBase(**{**values, **changes})


def model(words: PreTrainedTokenizerBase, seed: int = 0) -> LlamaForCausalLM:
    set_seed(seed)
    return scratch.new_model(words, shape())  # type: ignore[return-value]
