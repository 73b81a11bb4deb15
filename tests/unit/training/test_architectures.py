"""A round on bases of several architectures: what is trained, written and read again; targets by any name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from relearn.errors import InputError
from relearn.models import FrozenBase, load_base
from relearn.params.finetune import Lora
from relearn.training.rounds import continue_adapter, new_adapter, save_adapter
from relearn.training.rows import encode
from tests.unit.models.alone import make_base
from tests.unit.tiny import ROWS as CONVERSATIONS
from tests.unit.training.test_trainer import CHAT, run

ROWS = encode(CONVERSATIONS[:16], CHAT, 64)
IDS = torch.tensor([ROWS.rows[0].ids])
LLAMA = ["down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"]
LINEAR = {
    "llama": LLAMA,
    "qwen3": LLAMA,
    "gemma": LLAMA,
    "phi3": ["down_proj", "gate_up_proj", "o_proj", "qkv_proj"],
    "gpt2": ["c_attn", "c_fc", "c_proj"],
    "gpt_neox": ["dense", "dense_4h_to_h", "dense_h_to_4h", "query_key_value"],
}


def lora(targets: Any) -> Lora:
    return Lora(rank=2, alpha=4, dropout=0.0, targets=targets)


@pytest.mark.parametrize("kind", LINEAR)
def test_a_round_learns_and_is_continued(tmp_path: Path, kind: str) -> None:
    base = make_base(tmp_path / "base", kind, initializer_range=0.1)
    tuned = new_adapter(load_base(base, "cpu"), lora("all-linear"))
    assert sorted(tuned.peft_config["default"].target_modules) == LINEAR[kind]
    _, history = run(tmp_path / "scratch", small=tuned, rows=ROWS, epochs=6, lr=0.02)
    assert history[-1]["train"] < history[0]["code"]
    save_adapter(tuned, tmp_path / "2b", {}, "")
    assert json.loads((tmp_path / "2b" / "adapter_config.json").read_text())["target_modules"] == LINEAR[kind]
    wanted = tuned.eval()(input_ids=IDS).logits
    frozen = FrozenBase(base, "cpu")
    torch.testing.assert_close(frozen.put(tmp_path / "2b")(input_ids=IDS).logits, wanted)
    torch.testing.assert_close(
        continue_adapter(load_base(base, "cpu"), tmp_path / "2b").eval()(input_ids=IDS).logits, wanted
    )
    assert not torch.equal(frozen.put(None)(input_ids=IDS).logits, wanted)


@pytest.mark.parametrize(
    ("kind", "targets", "count"),
    [
        ("phi3", ["qkv_proj", "gate_up_proj"], 4),
        ("gpt2", ["attn.c_proj"], 2),
        ("gpt2", ["c_attn", "mlp.c_proj"], 4),
        ("llama", ["embed_tokens", "lm_head"], 2),
        ("llama", ["layers.1.mlp.up_proj"], 1),
    ],
)
def test_targets_by_the_names_of_the_base(tmp_path: Path, kind: str, targets: list[str], count: int) -> None:
    tuned = new_adapter(load_base(make_base(tmp_path / "base", kind), "cpu"), lora(targets))
    trained = {name.partition(".lora_")[0] for name, weights in tuned.named_parameters() if weights.requires_grad}
    assert len(trained) == count


@pytest.mark.parametrize(
    ("kind", "targets", "said"),
    [
        (
            "phi3",
            ["q_proj", "o_proj"],
            "named q_proj; its linear ones are down_proj, gate_up_proj, o_proj, qkv_proj, and all-linear",
        ),
        ("gpt2", ["c_attn", "v_proj"], "named v_proj; its linear ones are c_attn, c_fc, c_proj"),
        ("llama", ["proj"], "named proj"),
        ("llama", ["Q_proj"], "named Q_proj"),
        ("llama", ["input_layernorm"], "name linear modules"),
        ("llama", ["mlp"], "name linear modules"),
    ],
)
def test_a_target_that_cannot_be_adapted_is_refused(tmp_path: Path, kind: str, targets: list[str], said: str) -> None:
    model = load_base(make_base(tmp_path / "base", kind), "cpu")
    with pytest.raises(InputError, match=f"^finetune.lora.targets: .*{said}") as caught:
        new_adapter(model, lora(targets))
    assert "\n" not in str(caught.value)
