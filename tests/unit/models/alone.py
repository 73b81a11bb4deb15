"""What a model answers alone, in plain transformers and PEFT: what relearn's answers are held against."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerBase, set_seed

from relearn.decoding.items import Decoded, Prompt
from relearn.decoding.local import decode
from relearn.models import FrozenBase, load_chat
from relearn.records import make_turns
from tests.unit import tiny

LIMIT = 6
ITEMS = [
    Prompt(make_turns("Say one then two."), LIMIT, "one two"),
    Prompt(make_turns("Say."), LIMIT, "three"),
    Prompt(make_turns("Say ten then nine then eight."), LIMIT, "six"),
]
# Width, layers, heads and feed-forward by the names that each architecture gives them.
USUAL = {
    "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1,
    "head_dim": 8, "max_position_embeddings": 256, "initializer_range": 0.4,
}  # fmt: skip
OLD = {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 256, "initializer_range": 0.4}
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "llama": USUAL,
    "qwen2": USUAL,
    "qwen3": USUAL,
    "mistral": {**USUAL, "sliding_window": None},
    "phi3": {**USUAL, "sliding_window": None},
    "gemma": USUAL,
    "gemma2": {**USUAL, "sliding_window": 16},
    "gemma3_text": {**USUAL, "sliding_window": 16},
    "gpt2": OLD,
    "gpt_neox": {**USUAL, "rotary_pct": 0.5},
    "opt": {"hidden_size": 16, "ffn_dim": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "word_embed_proj_dim": 16,
            "max_position_embeddings": 256, "init_std": 0.4},
    "bloom": {"hidden_size": 16, "n_layer": 2, "n_head": 2, "initializer_range": 0.4},
    "falcon": {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "initializer_range": 0.4,
               "max_position_embeddings": 256},
    "stablelm": USUAL,
    "olmo": USUAL,
    "olmo2": USUAL,
    "phi": {**USUAL, "num_key_value_heads": 2},
    "gptj": {**OLD, "rotary_dim": 4},
    "granite": USUAL,
    "cohere": USUAL,
    "starcoder2": {**USUAL, "sliding_window": None},
    "smollm3": {**USUAL, "use_sliding_window": False},
    "mixtral": {**USUAL, "sliding_window": None, "num_local_experts": 2, "num_experts_per_tok": 1},
}  # fmt: skip


@cache
def words() -> PreTrainedTokenizerBase:
    return tiny.tokenizer()


def make_base(folder: Path, kind: str, **changes: Any) -> Path:
    """A random model of an architecture, of a few thousand weights, in a folder with a tokenizer."""
    set_seed(1)
    tokenizer = words()
    ids = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id, "bos_token_id": None}
    values = {**ARCHITECTURES[kind], **changes}
    config = AutoConfig.for_model(kind, vocab_size=len(tokenizer), **{"tie_word_embeddings": False, **ids, **values})
    model = AutoModelForCausalLM.from_config(config)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def make_adapter(base: Path, folder: Path, config: Any, scale: float = 0.5, **saving: Any) -> Path:
    """An adapter of that configuration, its weights drawn, as PEFT saves it."""
    from peft import get_peft_model

    set_seed(2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tuned = get_peft_model(AutoModelForCausalLM.from_pretrained(base), config)
        generator = torch.Generator().manual_seed(3)
        for weights in tuned.parameters():
            if weights.requires_grad:
                weights.data += scale * torch.randn(weights.shape, generator=generator)
        tuned.save_pretrained(folder, **saving)
    return folder


def answer_alone(weights: Path, adapter: Path | None) -> list[tuple[str, float]]:
    """Each prompt by itself: the text that `generate` gives, and the likelihood of the reference."""
    from peft import PeftModel

    chat = load_chat(weights, "")
    found = []
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        model: Any = AutoModelForCausalLM.from_pretrained(weights).eval()
        if adapter is not None:
            model = PeftModel.from_pretrained(model, adapter).eval()
        for item in ITEMS:
            ids = torch.tensor([chat.encode_prompt(item.messages)])
            out = model.generate(
                input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=LIMIT, do_sample=False,
                eos_token_id=sorted(chat.stops), pad_token_id=chat.tokenizer.pad_token_id,
            )  # fmt: skip
            answer = chat.encode_response(item.reference or "")
            whole = torch.tensor([[*ids[0].tolist(), *answer]])
            logits = model(input_ids=whole, attention_mask=torch.ones_like(whole)).logits[0].log_softmax(-1)
            nll = -sum(float(logits[at - len(answer) - 1, token]) for at, token in enumerate(answer))
            found.append((chat.read_answer(out[0, ids.shape[1] :].tolist()).text, nll))
    return found


def answer_here(weights: Path, adapters: Sequence[Path | None], batch_size: int = 2) -> list[list[Decoded]]:
    """The same through relearn: weights loaded once, adapters on them one after the other."""
    base, chat = FrozenBase(weights, "cpu"), load_chat(weights, "")
    return [decode(base.put(adapter), chat, ITEMS, batch_size, "here") for adapter in adapters]


def differ(here: Sequence[Decoded], alone: Sequence[tuple[str, float]]) -> list[str]:
    """What is not the same; likelihoods may differ in the last bits."""
    return [
        f"{one.text!r} {one.nll} is {text!r} {nll} alone"
        for one, (text, nll) in zip(here, alone, strict=True)
        if one.text != text or abs((one.nll or 0) - nll) > 1e-3 * max(1, abs(nll))
    ]


def edit(file: Path, **changes: Any) -> None:
    """Changes keys of a JSON file, or makes it; a key of value ... is removed."""
    value = json.loads(file.read_text()) if file.exists() else {}
    value = {name: one for name, one in {**value, **changes}.items() if one is not ...}
    file.write_text(json.dumps(value))
