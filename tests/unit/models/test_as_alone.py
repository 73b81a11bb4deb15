"""Each model answers as it does alone, or is refused in one line: over architectures and kinds of adapter."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import peft
import pytest
from peft import (
    AdaLoraConfig,
    BOFTConfig,
    IA3Config,
    LoHaConfig,
    LoKrConfig,
    LoraConfig,
    OFTConfig,
    PrefixTuningConfig,
    PromptEncoderConfig,
    PromptTuningConfig,
    TrainableTokensConfig,
    VeraConfig,
)  # fmt: skip

from relearn.decoding.llama import copy_llama
from relearn.errors import InputError
from relearn.models import FrozenBase
from tests.unit.models.alone import (
    ARCHITECTURES,
    LIMIT,
    answer_alone,
    answer_here,
    differ,
    edit,
    make_adapter,
    make_base,
)

TASK = {"task_type": "CAUSAL_LM"}
SLOW = ("phi", "gptj", "granite", "cohere", "starcoder2", "smollm3", "mixtral", "olmo2", "gemma2")


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=[pytest.mark.slow] * (kind in SLOW)) for kind in ARCHITECTURES]
)
def test_architectures(tmp_path: Path, kind: str) -> None:
    base = make_base(tmp_path / "base", kind)
    tuned = make_adapter(base, tmp_path / "tuned", LoraConfig(r=2, target_modules="all-linear", **TASK))
    here = answer_here(base, [None, tuned])
    alone = [answer_alone(base, adapter) for adapter in (None, tuned)]
    assert [differ(*pair) for pair in zip(here, alone, strict=True)] == [[], []]
    assert alone[0] != alone[1]  # else nothing is shown


T = ["q_proj", "v_proj", "down_proj"]
LORA: dict[str, Any] = {"r": 2, "lora_alpha": 4, "target_modules": T, **TASK}
KINDS: dict[str, Callable[[], Any]] = {
    "lora": lambda: LoraConfig(**LORA),
    "dora": lambda: LoraConfig(**LORA, use_dora=True),
    "rslora": lambda: LoraConfig(**LORA, use_rslora=True),
    "pissa": lambda: LoraConfig(**LORA, init_lora_weights="pissa"),
    "olora": lambda: LoraConfig(**LORA, init_lora_weights="olora"),
    "gaussian": lambda: LoraConfig(**LORA, init_lora_weights="gaussian"),
    "orthogonal": lambda: LoraConfig(**LORA, init_lora_weights="orthogonal"),
    "bias all": lambda: LoraConfig(**LORA, bias="all"),
    "bias lora_only": lambda: LoraConfig(**LORA, bias="lora_only"),
    "lora_bias": lambda: LoraConfig(**LORA, lora_bias=True),
    "modules_to_save": lambda: LoraConfig(**LORA, modules_to_save=["lm_head"]),
    "norms saved": lambda: LoraConfig(**LORA, modules_to_save=["input_layernorm"]),
    "embeddings saved": lambda: LoraConfig(**LORA, modules_to_save=["embed_tokens", "lm_head"]),
    "embeddings adapted": lambda: LoraConfig(**{**LORA, "target_modules": ["embed_tokens", "q_proj"]}),
    "tokens trained": lambda: LoraConfig(**LORA, trainable_token_indices=[*range(5, 300, 3)]),
    "tokens alone": lambda: TrainableTokensConfig(token_indices=[*range(5, 300, 3)], **TASK),
    "a regex": lambda: LoraConfig(**{**LORA, "target_modules": r".*\.1\.self_attn\.(q|k)_proj"}),
    "one layer": lambda: LoraConfig(**LORA, layers_to_transform=[1], layers_pattern="layers"),
    "ranks of their own": lambda: LoraConfig(**LORA, rank_pattern={"q_proj": 3}, alpha_pattern={"v_proj": 8}),
    "alora": lambda: LoraConfig(**LORA, alora_invocation_tokens=[4]),
    "adalora": lambda: AdaLoraConfig(init_r=3, target_r=2, total_step=10, tinit=1, tfinal=2, target_modules=T, **TASK),
    "loha": lambda: LoHaConfig(r=2, alpha=4, target_modules=T, **TASK),
    "lokr": lambda: LoKrConfig(r=2, alpha=4, target_modules=T, **TASK),
    "ia3": lambda: IA3Config(target_modules=T, feedforward_modules=["down_proj"], **TASK),
    "vera": lambda: VeraConfig(r=2, target_modules=["q_proj"], **TASK),
    "vera without its projections": lambda: VeraConfig(r=2, target_modules=["q_proj"], save_projection=False, **TASK),
    "oft": lambda: OFTConfig(oft_block_size=4, target_modules=T, **TASK),
    "boft": lambda: BOFTConfig(boft_block_size=4, target_modules=["q_proj"], **TASK),
    "prompt tuning": lambda: PromptTuningConfig(num_virtual_tokens=3, **TASK),
    "p-tuning": lambda: PromptEncoderConfig(num_virtual_tokens=3, encoder_hidden_size=8, **TASK),
    "prefix tuning": lambda: PrefixTuningConfig(num_virtual_tokens=3, **TASK),
}


FURTHER: dict[str, Callable[[], Any]] = {
    "adaption prompt": lambda: peft.AdaptionPromptConfig(adapter_len=3, adapter_layers=1, **TASK),
    "fourierft": lambda: peft.FourierFTConfig(n_frequency=20, target_modules=["q_proj"], **TASK),
    "hra": lambda: peft.HRAConfig(r=2, target_modules=T, **TASK),
    "norms tuned": lambda: peft.LNTuningConfig(target_modules=["input_layernorm"], **TASK),
    "vblora": lambda: peft.VBLoRAConfig(r=2, num_vectors=8, vector_length=4, topk=2, target_modules=["q_proj"], **TASK),
    "miss": lambda: peft.MissConfig(r=2, target_modules=T, **TASK),
    "randlora": lambda: peft.RandLoraConfig(r=2, target_modules=["q_proj"], **TASK),
    "shira": lambda: peft.ShiraConfig(r=2, target_modules=T, **TASK),
    "c3a": lambda: peft.C3AConfig(block_size=4, target_modules=["q_proj"], **TASK),
    "road": lambda: peft.RoadConfig(group_size=8, target_modules=["q_proj"], **TASK),
    "cpt": lambda: peft.CPTConfig(cpt_token_ids=[1, 2], cpt_mask=[1, 1], cpt_tokens_type_mask=[1, 2], **TASK),
    "delora": lambda: peft.DeloraConfig(r=2, target_modules=T, **TASK),
    "gralora": lambda: peft.GraloraConfig(r=4, gralora_k=2, target_modules=T, **TASK),
    "waveft": lambda: peft.WaveFTConfig(n_frequency=20, target_modules=["q_proj"], **TASK),
    "osf": lambda: peft.OSFConfig(target_modules=["q_proj"], **TASK),
    "psoft": lambda: peft.PsoftConfig(r=2, target_modules=["q_proj"], **TASK),
    "cartridge": lambda: peft.CartridgeConfig(num_virtual_tokens=3, **TASK),
}


Known = tuple[Path, Path, list[Any]]


def _make_llama(folder: Path, biases: bool) -> Known:
    """A base, a plain adapter, and what both answer alone."""
    base = make_base(folder / "base", "llama", attention_bias=biases)
    plain = make_adapter(base, folder / "plain", LoraConfig(**LORA))
    return base, plain, [answer_alone(base, adapter) for adapter in (None, plain)]


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Known:
    """One that decoding copies."""
    return _make_llama(tmp_path_factory.mktemp("llama"), biases=False)


@pytest.fixture(scope="module")
def biased(tmp_path_factory: pytest.TempPathFactory) -> Known:
    """One that it does not."""
    return _make_llama(tmp_path_factory.mktemp("biased"), biases=True)


COPIED = (
    *("lora", "rslora", "pissa", "olora", "gaussian", "orthogonal", "bias all", "bias lora_only"),
    *("a regex", "one layer", "ranks of their own"),
)


@pytest.mark.parametrize("kind", [*KINDS, *(pytest.param(kind, marks=pytest.mark.slow) for kind in FURTHER)])
def test_kinds_of_adapter(tmp_path: Path, llama: Known, kind: str) -> None:
    _hold_against_alone(tmp_path, llama, kind)
    tuned = FrozenBase(llama[0], "cpu").put(tmp_path / "tuned")
    assert (copy_llama(tuned) is not None) == (kind in COPIED)


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=[] if "bias" in kind else pytest.mark.slow) for kind in (*KINDS, *FURTHER)]
)
def test_kinds_of_adapter_of_a_base_with_biases(tmp_path: Path, biased: Known, kind: str) -> None:
    _hold_against_alone(tmp_path, biased, kind)


def _hold_against_alone(tmp_path: Path, llama: Known, kind: str) -> None:
    base, plain, (base_alone, plain_alone) = llama
    tuned = make_adapter(base, tmp_path / "tuned", {**KINDS, **FURTHER}[kind](), 1.0)
    alone = answer_alone(base, tuned)
    here = answer_here(base, [None, tuned, plain, None])  # what comes after it is as alone too
    assert [differ(*pair) for pair in zip(here, [base_alone, alone, plain_alone, base_alone], strict=True)] == [[]] * 4
    assert alone != base_alone


@pytest.mark.parametrize("start", ["pissa_niter_4", "corda", "lora_ga"])
def test_a_base_that_cannot_be_rewritten_in_the_same_way_is_refused(tmp_path: Path, llama: Known, start: str) -> None:
    base, plain, _ = llama
    shutil.copytree(plain, tmp_path / "tuned")
    edit(tmp_path / "tuned" / "adapter_config.json", init_lora_weights=start)
    with pytest.raises(InputError, match=rf"its initialisation \({start}\) had rewritten.*merged model"):
        answer_here(base, [None, tmp_path / "tuned"])


@pytest.mark.parametrize(("kind", "places"), [("gpt2", 18), ("opt", 18), ("llama", None)])
def test_more_tokens_than_the_model_has_places_for_are_refused(tmp_path: Path, kind: str, places: int | None) -> None:
    base = make_base(tmp_path / "base", kind, max_position_embeddings=18)
    if places is None:
        assert answer_here(base, [None])  # its places are turned, not looked up
        return
    with pytest.raises(
        InputError, match=rf"an answer of up to {LIMIT} exceed the {places} tokens that the model can read"
    ):
        answer_here(base, [None])


@pytest.mark.parametrize("kind", ["poly", "multitask"])
def test_an_adapter_that_must_be_told_its_task_is_refused(tmp_path: Path, llama: Known, kind: str) -> None:
    base, _, _ = llama
    config = {
        "poly": lambda: peft.PolyConfig(r=2, n_tasks=1, n_skills=2, target_modules=["q_proj"], **TASK),
        "multitask": lambda: peft.MultitaskPromptTuningConfig(num_virtual_tokens=3, num_tasks=2, **TASK),
    }[kind]()
    with pytest.raises(InputError, match=r"the adapter cannot run \(ValueError: task_ids .*; use another kind"):
        answer_here(base, [make_adapter(base, tmp_path / "tuned", config)])


# A linear module and the embeddings of further architectures.
OTHERS = {
    "gpt2": ("c_attn", "wte"), "gemma2": ("q_proj", "embed_tokens"), "phi3": ("qkv_proj", "embed_tokens"),
    "bloom": ("query_key_value", "word_embeddings"), "gpt_neox": ("query_key_value", "embed_in"), "opt": ("q_proj", "embed_tokens"),
}  # fmt: skip
# PEFT alone cannot run these either: OLoRA on the turned weights of GPT-2, prefixes on the key heads of GPT-NeoX.
UNABLE = {("gpt2", "olora"), ("gpt_neox", "prefix tuning")}


@pytest.mark.slow
@pytest.mark.parametrize("tied", [False, True], ids=["own head", "tied head"])
@pytest.mark.parametrize("architecture", OTHERS)
def test_kinds_on_other_architectures(tmp_path: Path, architecture: str, tied: bool) -> None:
    target, embeddings = OTHERS[architecture]
    base = make_base(tmp_path / "base", architecture, tie_word_embeddings=tied)
    lora: dict[str, Any] = {**LORA, "target_modules": [target]}
    configs = {
        "dora": LoraConfig(**lora, use_dora=True),
        "bias all": LoraConfig(**lora, bias="all"),
        "pissa": LoraConfig(**lora, init_lora_weights="pissa"),
        "olora": LoraConfig(**lora, init_lora_weights="olora"),
        "embeddings saved": LoraConfig(**lora, modules_to_save=[embeddings]),
        "embeddings saved and tied": LoraConfig(**lora, modules_to_save=[embeddings], ensure_weight_tying=True),
        "embeddings adapted": LoraConfig(**{**lora, "target_modules": [target, embeddings]}),
        "tokens trained": LoraConfig(**lora, trainable_token_indices=[*range(5, 300, 3)]),
        "ia3": IA3Config(target_modules=[target], feedforward_modules=[], **TASK),
        "prompt tuning": PromptTuningConfig(num_virtual_tokens=3, **TASK),
        "prefix tuning": PrefixTuningConfig(num_virtual_tokens=3, **TASK),
    }
    plain = make_adapter(base, tmp_path / "plain", LoraConfig(**lora))
    plain_alone, base_alone = answer_alone(base, plain), answer_alone(base, None)
    for kind, config in configs.items():
        tuned = make_adapter(base, tmp_path / kind.replace(" ", "-"), config, 1.0)
        if (architecture, kind) in UNABLE:
            with pytest.raises(InputError, match="the adapter cannot run"):
                answer_here(base, [tuned])
            continue
        alone = answer_alone(base, tuned)
        here = answer_here(base, [None, tuned, plain])
        found = [differ(*pair) for pair in zip(here, [base_alone, alone, plain_alone], strict=True)]
        assert (kind, found) == (kind, [[]] * 3)
        assert alone != base_alone
