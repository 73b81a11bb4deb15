"""Weights that are not there, not used or not numbers: refused in one line that names the weight and the likely cause."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from peft import LoraConfig
from safetensors.torch import load_file, save_file
from transformers.models.auto.auto_factory import _LazyAutoMapping

from relearn.errors import InputError
from relearn.models import FrozenBase, load_base, load_tokenizer
from relearn.training.rounds import continue_adapter
from tests.unit.models.alone import edit, make_adapter, make_base

LORA = LoraConfig(r=2, target_modules=["q_proj", "v_proj", "down_proj"], task_type="CAUSAL_LM")
Weights = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`base`, a Llama with a head of its own, and `adapter` on it."""
    folder: Path = tmp_path_factory.mktemp("weights")
    make_base(folder / "base", "llama")
    make_adapter(folder / "base", folder / "adapter", LORA)
    return folder


def change(source: Path, target: Path, change_weights: Callable[[Weights], Weights]) -> Path:
    """A copy of a model or adapter with other weights."""
    shutil.copytree(source, target)
    [file] = target.glob("*.safetensors")
    weights = change_weights(load_file(file))
    save_file({name: one.contiguous().clone() for name, one in weights.items()}, file, metadata={"format": "pt"})
    return target


def rename(old: str, new: str) -> Callable[[Weights], Weights]:
    return lambda weights: {re.sub(old, new, name): one for name, one in weights.items()}


def drop(part: str) -> Callable[[Weights], Weights]:
    return lambda weights: {name: one for name, one in weights.items() if part not in name}


def put(part: str, value: float) -> Callable[[Weights], Weights]:
    """One number of one weight is that value."""

    def changed(weights: Weights) -> Weights:
        name = next(name for name in weights if part in name)
        weights[name].view(-1)[3] = value
        return weights

    return changed


def widen(part: str) -> Callable[[Weights], Weights]:
    return lambda weights: {name: torch.cat([one, one]) if part in name else one for name, one in weights.items()}


BASES: dict[str, tuple[Callable[[Weights], Weights], str]] = {
    "a prefix of torch.compile": (rename("^", "_orig_mod."), r"_orig_mod\. is a prefix of torch\.compile"),
    "the same further in": (rename(r"^model\.layers", "model._orig_mod.layers"), r"_orig_mod\. is a prefix of torch\.compile"),
    "of each layer": (rename(r"layers\.(\d+)", r"layers.\1._orig_mod"), r"torch\.compile"),
    "a prefix of PEFT": (rename("^", "base_model.model."), r"base_model\.model\. is a prefix of PEFT"),
    "a prefix of DataParallel": (rename("^", "module."), r"module\. is a prefix of DataParallel"),
    "a prefix of FSDP": (rename(r"layers\.", "layers._fsdp_wrapped_module."), "FSDP"),
    "of activation checkpointing": (rename(r"layers\.(\d+)", r"layers.\1._checkpoint_wrapped_module"), "activation checkpointing"),
    "a worn adapter": (rename(r"q_proj\.", "q_proj.base_layer."), "merge_and_unload"),
    "an adapter left beside": (lambda weights: {**weights, "model.layers.0.self_attn.q_proj.lora_A.weight": torch.ones(2, 16)}, "merge it"),
    "another library's names": (rename("self_attn", "attention"), "another architecture"),
    "a layer missing": (drop("layers.1."), r"layers\.1\..* is missing; the file is incomplete"),
    "one norm missing": (drop("model.norm"), r"model\.norm\.weight is missing"),
    "the head missing": (drop("lm_head"), r"lm_head\.weight is missing"),
    "the embeddings missing": (drop("embed_tokens"), r"embed_tokens\.weight is missing"),
    "biases that the configuration denies": (lambda weights: {**weights, "model.layers.0.self_attn.q_proj.bias": torch.ones(16)}, r"q_proj\.bias is not used"),
    "a NaN": (put("layers.1.mlp.up_proj", float("nan")), r"layers\.1\.mlp\.up_proj\.weight holds NaN or infinity"),
    "an infinity": (put("lm_head", float("-inf")), r"lm_head\.weight holds NaN or infinity"),
    "another shape": (widen("layers.0.mlp.gate_proj"), r"gate_proj\.weight has the shape 64 × 16, config\.json asks for 32 × 16"),
    "more rows than words": (widen("embed_tokens"), r"embed_tokens\.weight has the shape"),
}  # fmt: skip


@pytest.mark.parametrize("case", BASES)
def test_whole_models(made: Path, tmp_path: Path, case: str) -> None:
    changed, said = BASES[case]
    with pytest.raises(InputError, match=said) as caught:
        load_base(change(made / "base", tmp_path / "model", changed), "cpu")
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / "model"))


def test_tied_weights_are_not_missed(tmp_path: Path) -> None:
    base = make_base(tmp_path / "tied", "llama")
    edit(base / "config.json", tie_word_embeddings=True)
    tied = load_base(change(base, tmp_path / "without", drop("lm_head")), "cpu")
    head, words = tied.get_output_embeddings(), tied.get_input_embeddings()
    assert torch.equal(head.weight, words.weight)


def test_a_shard_that_is_not_there_is_named(made: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(made / "base", folder)
    weights = load_file(folder / "model.safetensors")
    names = {name: f"model-0000{1 + ('layers.1' in name)}-of-00002.safetensors" for name in weights}
    first = {name: one for name, one in weights.items() if names[name].startswith("model-00001")}
    save_file(first, folder / "model-00001-of-00002.safetensors", metadata={"format": "pt"})
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": names}))
    with pytest.raises(InputError, match=r"model-00002-of-00002\.safetensors") as caught:
        load_base(folder, "cpu")
    assert "\n" not in str(caught.value)


ADAPTERS: dict[str, tuple[Callable[[Weights], Weights], str]] = {
    "a prefix of torch.compile": (rename(r"base_model\.model\.", "base_model.model._orig_mod."), r"_orig_mod\. is a prefix of torch\.compile"),
    "compiled layers": (rename(r"layers\.(\d+)", r"layers.\1._orig_mod"), r"torch\.compile"),
    "a prefix too few": (rename(r"base_model\.model\.model\.", "base_model.model."), "is not used"),
    "no prefix": (rename(r"base_model\.model\.", ""), "not used"),
    "a prefix too many": (rename("^", "base_model.model."), "is not used"),
    "a name in the middle": (rename("lora_A.weight", "lora_A.mine.weight"), "is not used"),
    "of FSDP": (rename(r"layers\.", "layers._fsdp_wrapped_module."), "FSDP"),
    "one target of three": (drop("down_proj"), r"target_modules of adapter_config\.json names down_proj.* has no weights for it"),
    "one layer of two": (drop("layers.1."), r"layers\.1\.\S+ \(and 5 more\) is missing"),
    "half of each pair": (drop("lora_B"), r"lora_B\.weight \(and 5 more\) is missing"),
    "one weight": (drop("layers.0.self_attn.q_proj.lora_A"), r"q_proj\.lora_A\.weight is missing"),
    "a layer that the base lacks": (lambda weights: {**weights, **rename(r"layers\.1", "layers.2")(weights)}, r"layers\.2\.\S+ \(and 5 more\) is not used.*another base"),
    "a NaN": (put("layers.1.self_attn.v_proj.lora_B", float("nan")), r"v_proj\.lora_B\.weight holds NaN"),
    "an infinity": (put("lora_A", float("inf")), r"holds NaN or infinity"),
    "another rank": (widen("lora_A"), "does not fit .*; give the base that it was trained on"),
    "nothing": (lambda _: {}, "holds no weights"),
}  # fmt: skip


@pytest.mark.parametrize("case", ADAPTERS)
@pytest.mark.parametrize("place", ["first", "further"])
def test_adapters(made: Path, tmp_path: Path, case: str, place: str) -> None:
    changed, said = ADAPTERS[case]
    broken = change(made / "adapter", tmp_path / "broken", changed)
    base = FrozenBase(made / "base", "cpu")
    if place == "further":
        base.put(made / "adapter")
    with pytest.raises(InputError, match=said) as caught:
        base.put(broken)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(str(broken))


def test_a_round_is_not_continued_from_half_an_adapter(made: Path, tmp_path: Path) -> None:
    broken = change(made / "adapter", tmp_path / "broken", drop("layers.1."))
    with pytest.raises(InputError, match="is missing"):
        continue_adapter(load_base(made / "base", "cpu"), broken)


CONFIGURATIONS: dict[str, tuple[dict[str, object], str]] = {
    "a target without weights": ({"target_modules": ["q_proj", "v_proj", "down_proj", "o_proj"]}, "names o_proj"),
    "a target of another architecture": (
        {"target_modules": ["q_proj", "v_proj", "down_proj", "c_attn"]},
        "names c_attn",
    ),
    "fewer targets than weights": ({"target_modules": ["q_proj"]}, "not used"),
    "a regex that finds nothing": ({"target_modules": ".*nothing"}, "does not fit"),
    "a module saved without weights": ({"modules_to_save": ["lm_head"]}, "modules_to_save of .* names lm_head"),
    "a kind that nobody knows": ({"peft_type": "SLORA"}, "does not fit"),
    "no kind": ({"peft_type": ...}, "does not fit"),
    "a prompt with the weights of LoRA": (
        {"peft_type": "PROMPT_TUNING", "num_virtual_tokens": 2},
        "does not fit|missing|not used",
    ),
}


@pytest.mark.parametrize("case", CONFIGURATIONS)
def test_configurations_that_the_weights_belie(made: Path, tmp_path: Path, case: str) -> None:
    changes, said = CONFIGURATIONS[case]
    shutil.copytree(made / "adapter", tmp_path / "broken")
    edit(tmp_path / "broken" / "adapter_config.json", **changes)
    with pytest.raises(InputError, match=said) as caught:
        FrozenBase(made / "base", "cpu").put(tmp_path / "broken")
    assert "\n" not in str(caught.value)


def test_biases_that_the_file_lacks_are_missed_where_the_base_has_some(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made / "adapter", tmp_path / "bias")
    for bias in ("all", "lora_only"):
        edit(tmp_path / "bias" / "adapter_config.json", bias=bias)
        FrozenBase(made / "base", "cpu").put(tmp_path / "bias")
        biased = make_base(tmp_path / bias, "llama", attention_bias=True)
        with pytest.raises(InputError, match=f"was trained with bias: {bias}, but the file has no biases"):
            FrozenBase(biased, "cpu").put(tmp_path / "bias")


def test_an_adapter_of_another_architecture_is_refused(made: Path, tmp_path: Path) -> None:
    other = make_base(tmp_path / "gpt2", "gpt2")
    with pytest.raises(InputError, match=r"does not fit .*gpt2"):
        FrozenBase(other, "cpu").put(made / "adapter")


def test_an_adapter_with_added_words_asks_for_the_larger_base(made: Path, tmp_path: Path) -> None:
    wide = change(
        made / "base",
        tmp_path / "wide",
        lambda w: {**w, **{k: torch.cat([w[k], w[k][:2]]) for k in w if "embed" in k or "lm_head" in k}},
    )
    rows = load_file(wide / "model.safetensors")["lm_head.weight"].shape[0]
    edit(wide / "config.json", vocab_size=rows)
    added = make_adapter(wide, tmp_path / "added", LORA, save_embedding_layers=True)
    with pytest.raises(InputError, match="added tokens; give the base with its vocabulary enlarged"):
        FrozenBase(made / "base", "cpu").put(added)
    FrozenBase(wide, "cpu").put(added)


# What transformers says where a library is not installed, and where one config asks for a model that it does not know.
FOLDERS: dict[str, tuple[dict[str, object], str]] = {
    "bitsandbytes": ({"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}}, r"is quantised \(bitsandbytes\).*or give the unquantised model"),
    "gptq": ({"quantization_config": {"quant_method": "gptq", "bits": 4}}, r"is quantised \(gptq\)"),
    "awq": ({"quantization_config": {"quant_method": "awq", "bits": 4}}, r"is quantised \(awq\)"),
    "compressed-tensors": ({"quantization_config": {"quant_method": "compressed-tensors", "format": "pack-quantized", "config_groups": {}}}, r"is quantised \(compressed-tensors\)"),
    "an encoder-decoder": ({"model_type": "t5", "architectures": ["T5ForConditionalGeneration"]}, "t5 does not write text from left to right"),
    "heads that do not divide": ({"num_attention_heads": 3, "head_dim": ...}, r"config\.json cannot be read .*multiple of the number of attention heads"),
    "a text for a number": ({"hidden_size": "wide"}, r"config\.json cannot be read"),
    "ends that are words": ({"eos_token_id": "<end>"}, "eos_token_id holds no token numbers"),
}  # fmt: skip


@pytest.mark.parametrize("case", FOLDERS)
def test_folders_that_cannot_be_loaded(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    # transformers' message lists every model that it knows, and imports them all for their names: ten seconds
    monkeypatch.setattr(_LazyAutoMapping, "__iter__", lambda mapping: iter(()))
    changes, said = FOLDERS[case]
    folder = tmp_path / "model"
    shutil.copytree(made / "base", folder)
    (folder / "generation_config.json").unlink()
    edit(folder / "config.json", **changes)
    with pytest.raises(InputError, match=said) as caught:
        load_both(folder)
    assert "\n" not in str(caught.value)


def load_both(folder: Path) -> None:
    load_tokenizer(folder)
    load_base(folder, "cpu")
