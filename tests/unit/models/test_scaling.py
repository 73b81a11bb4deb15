"""A part of a fine-tune's change is that part: nothing at 0, all at 1, in logits, for every kind that can be scaled."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import DeloraConfig, IA3Config, LoraConfig, PromptTuningConfig
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from relearn.cli import main
from relearn.errors import InputError
from relearn.models import FrozenBase, attach
from relearn.scaling.adapter import check_scalable, put_scaled, scale_adapter
from relearn.scaling.whole import Interpolation
from tests.unit.models.alone import edit, make_adapter, make_base

LORA: dict[str, Any] = {"r": 2, "lora_alpha": 4, "target_modules": ["q_proj", "down_proj"], "task_type": "CAUSAL_LM"}
KINDS: dict[str, Any] = {
    "lora": LoraConfig(**LORA),
    "rslora": LoraConfig(**{**LORA, "use_rslora": True, "r": 3}),
    "patterns": LoraConfig(**LORA, rank_pattern={"down_proj": 4}, alpha_pattern={"q_proj": 12}),
    "embeddings": LoraConfig(**{**LORA, "target_modules": ["q_proj", "embed_tokens"]}),
    "a bias of its own": LoraConfig(**{**LORA, "target_modules": ["q_proj"]}, lora_bias=True),
    "saved modules": LoraConfig(**LORA, modules_to_save=["lm_head", "input_layernorm"]),
    "started orthogonally": LoraConfig(**LORA, init_lora_weights="orthogonal"),
}
IDS = torch.tensor([[5, 9, 13, 40, 7, 22]])


def logits(model: Any) -> torch.Tensor:
    with torch.inference_mode():
        return model(input_ids=IDS).logits.float().clone()  # type: ignore[no-any-return]


def load(folder: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def merged_weights(base: Path, adapter: Path) -> dict[str, torch.Tensor]:
    """The whole model's weights with the adapter, as PEFT alone merges them."""
    merged: Any = attach(load(base), adapter, "adapter", "base").merge_and_unload()
    return {name: one.detach().clone() for name, one in merged.named_parameters()}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_base(tmp_path_factory.mktemp("scaling") / "base", "qwen2")  # whose projections have biases


@pytest.mark.parametrize("kind", KINDS)
def test_an_adapter_scaled_is_that_part_of_its_change(base: Path, tmp_path: Path, kind: str) -> None:
    adapter = make_adapter(base, tmp_path / "adapter", KINDS[kind])
    plain = load(base)
    tuned = logits(attach(load(base), adapter, "adapter", "base"))
    assert not torch.allclose(tuned, logits(plain), atol=1e-3)
    start, end = dict(load(base).named_parameters()), merged_weights(base, adapter)
    for factor in (0.0, 0.5, 1.0, 1.5):
        scale_adapter(adapter, factor, tmp_path / str(factor), "adapter", plain)
        found = logits(attach(load(base), tmp_path / str(factor), "adapter", "base"))
        if factor == 0:
            assert torch.equal(found, logits(plain))
        if factor == 1:
            assert torch.equal(found, tuned)
        made = load(base)
        with torch.no_grad():
            for name, weight in made.named_parameters():
                weight.copy_(start[name] + factor * (end[name] - start[name]))
        assert torch.allclose(found, logits(made), atol=1e-4)


def test_biases_that_were_trained_are_interpolated(base: Path, tmp_path: Path) -> None:
    for bias in ("all", "lora_only"):
        adapter = make_adapter(base, tmp_path / bias, LoraConfig(**LORA, bias=bias))
        scale_adapter(adapter, 0.5, tmp_path / f"{bias}-half", "adapter", load(base))
        scale_adapter(adapter, 0.0, tmp_path / f"{bias}-none", "adapter", load(base))
        assert torch.equal(logits(attach(load(base), tmp_path / f"{bias}-none", "a", "b")), logits(load(base)))
        start, end = dict(load(base).named_parameters()), merged_weights(base, adapter)
        half = merged_weights(base, tmp_path / f"{bias}-half")
        assert any(name.endswith(".bias") and not torch.equal(end[name], start[name]) for name in start)
        for name, weight in half.items():
            assert torch.allclose(weight, (start[name] + end[name]) / 2, atol=1e-6), name


@pytest.mark.parametrize(
    ("config", "named"),
    [
        (LoraConfig(**LORA, use_dora=True), "DoRA"),
        (LoraConfig(**LORA, init_lora_weights="olora"), "olora"),
        (LoraConfig(**LORA, init_lora_weights="pissa"), "pissa"),
        (LoraConfig(**LORA, trainable_token_indices=[1, 2]), "trainable tokens"),
        (IA3Config(target_modules=["k_proj"], feedforward_modules=[], task_type="CAUSAL_LM"), "IA3"),
        (DeloraConfig(target_modules=["q_proj"], task_type="CAUSAL_LM"), "DELORA"),
        (PromptTuningConfig(num_virtual_tokens=2, task_type="CAUSAL_LM"), "PROMPT_TUNING"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_other_kinds_are_refused_by_name(base: Path, tmp_path: Path, config: Any, named: str) -> None:
    adapter = make_adapter(base, tmp_path / "adapter", config)
    with pytest.raises(InputError, match=rf"mine: scaling this adapter does not .*{named}.*scale LoRA or rsLoRA"):
        check_scalable(adapter, "mine")


def test_saved_modules_need_the_base_that_they_are_of(base: Path, tmp_path: Path) -> None:
    adapter = make_adapter(base, tmp_path / "adapter", KINDS["saved modules"])
    with pytest.raises(InputError, match=r"whole tensor .* needs the base"):
        scale_adapter(adapter, 0.5, tmp_path / "out", "mine")
    other = load(make_base(tmp_path / "other", "qwen2", hidden_size=32))
    with pytest.raises(InputError, match="does not belong to this base"):
        scale_adapter(adapter, 0.5, tmp_path / "out", "mine", other)


@pytest.mark.parametrize("kind", ["lora", "saved modules"])
def test_one_load_of_the_base_serves_all_factors(base: Path, tmp_path: Path, kind: str) -> None:
    adapter = make_adapter(base, tmp_path / "adapter", KINDS[kind])
    frozen = FrozenBase(base, "cpu")
    first = logits(frozen.put(None))
    for factor in (0.5, 1.0, 1.5, 0.0):
        with put_scaled(frozen, adapter, factor, "mine") as model:
            scale_adapter(adapter, factor, tmp_path / str(factor), "mine", load(base))
            assert torch.equal(logits(model), logits(attach(load(base), tmp_path / str(factor), "a", "b")))
    assert torch.equal(logits(frozen.put(None)), first)
    if kind == "lora":  # saved modules take the base's place, which is then loaded again
        assert frozen.loads == 1


def test_whole_models_are_interpolated(base: Path, tmp_path: Path) -> None:
    tuned = load(base)
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for weight in tuned.parameters():
            weight += 0.1 * torch.randn(weight.shape, generator=generator)
    tuned.save_pretrained(tmp_path / "tuned")
    for file in base.iterdir():
        if file.name.startswith("tokenizer") or file.suffix == ".jinja":
            (tmp_path / "tuned" / file.name).write_bytes(file.read_bytes())
    between = Interpolation(base, tmp_path / "tuned", "cpu")
    for factor in (1.5, 0.0, 1.0, 0.25):  # in any order
        found = logits(between.put(factor))
        made, start = load(base), dict(load(base).named_parameters())
        with torch.no_grad():
            for (name, weight), end in zip(made.named_parameters(), tuned.parameters(), strict=True):
                weight.copy_(start[name] + factor * (end - start[name]))
        assert torch.allclose(found, logits(made), atol=1e-5)
        if factor in (0, 1):
            assert torch.equal(found, logits(tuned if factor else load(base)))
    assert main(
        ["scale", str(tmp_path / "tuned"), "0.25", str(tmp_path / "out"), "--base", str(base)], standalone_mode=False
    ) in (0, None)
    assert torch.equal(logits(load(tmp_path / "out")), logits(between.put(0.25)))


def test_whole_models_of_another_shape_or_setting_are_refused(base: Path, tmp_path: Path) -> None:
    wider = make_base(tmp_path / "wider", "qwen2", hidden_size=32)
    with pytest.raises(InputError, match=r"the weight model\.embed_tokens\.weight is not in both models"):
        Interpolation(base, wider, "cpu")
    other = make_base(tmp_path / "other", "qwen2")
    edit(other / "config.json", rope_parameters={"rope_type": "default", "rope_theta": 2.0})
    with pytest.raises(InputError, match="with the base's weights it does not behave like the base"):
        Interpolation(base, other, "cpu")


@pytest.mark.parametrize("kind", KINDS)
def test_a_scaled_adapter_is_loaded_by_anyone_and_merged_is_the_same(base: Path, tmp_path: Path, kind: str) -> None:
    from peft import PeftModel

    adapter = make_adapter(base, tmp_path / "adapter", KINDS[kind])
    scale_adapter(adapter, 0.5, tmp_path / "wanted", "adapter", load(base))
    wanted = logits(PeftModel.from_pretrained(load(base), tmp_path / "wanted").eval())
    given = [str(adapter), "0.5"]
    main(["scale", *given, str(tmp_path / "half"), "--base", str(base)], standalone_mode=False)
    assert torch.equal(logits(PeftModel.from_pretrained(load(base), tmp_path / "half").eval()), wanted)
    main(["scale", *given, str(tmp_path / "merged"), "--base", str(base), "--merged"], standalone_mode=False)
    assert torch.allclose(logits(load(tmp_path / "merged")), wanted, atol=1e-5)
    assert json.loads((tmp_path / "half" / "provenance.json").read_text()) == {"scaled": 0.5}
    assert (tmp_path / "merged" / "tokenizer.json").is_file()


def test_scaling_twice_says_the_product(base: Path, tmp_path: Path) -> None:
    adapter = make_adapter(base, tmp_path / "adapter", KINDS["lora"])
    main(["scale", str(adapter), "0.5", str(tmp_path / "half")], standalone_mode=False)
    main(["scale", str(tmp_path / "half"), "0.5", str(tmp_path / "quarter")], standalone_mode=False)
    assert json.loads((tmp_path / "quarter" / "provenance.json").read_text()) == {"scaled": 0.25}
    name = next(name for name in load_file(adapter / "adapter_model.safetensors") if "lora_B" in name)
    first, last = (load_file(tmp_path / one / "adapter_model.safetensors")[name] for one in ("adapter", "quarter"))
    assert torch.equal(first / 4, last)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ([], "whole tensor"),
        (["--base", "{adapter}"], "needs the whole model"),
        (["--base", "nowhere"], "nowhere: no such folder"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], said: str
) -> None:
    adapter = make_adapter(base, tmp_path / "adapter", KINDS["saved modules"])
    more = [one.format(adapter=adapter) for one in more]
    assert main(["scale", str(adapter), "0.5", str(tmp_path / "out"), *more], standalone_mode=False) == 1
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("scale: ")
    assert said in lines[0]
    assert not (tmp_path / "out").exists()
