"""Less work gives the same loss and the same gradients, and leaves the model as it was."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from relearn import likelihood
from relearn.chat import Chat
from relearn.params.finetune import Lora
from relearn.training.quick import speed_up
from relearn.training.rounds import new_adapter
from relearn.training.rows import NOTHING, EncodedRow, collate, encode
from relearn.training.scratch import new_model
from tests.unit.tiny import ROWS as CONVERSATIONS
from tests.unit.tiny import TEMPLATE, shape, tokenizer

WORDS = tokenizer()
ROWS = [
    *encode(CONVERSATIONS[:6], Chat(WORDS, TEMPLATE), 64).rows,
    EncodedRow((5, 6, 7, 8, 9, 10, 11, 12), 3),
    EncodedRow((9, 8, 7), 1),
    EncodedRow((5, 9, 8, 7, 6, 12, 11, 10), 2, ((4, 6),)),  # a turn between two that are learned
]
BATCH = collate(ROWS, WORDS.pad_token_id)


def llama(**changes: Any) -> Any:
    torch.manual_seed(1)
    model = new_model(WORDS, shape(layers=2, hidden=32, **changes))
    with torch.no_grad():  # weights of one would hide a wrong product
        for name, weight in model.named_parameters():
            if "norm" in name:
                weight.uniform_(0.5, 1.5)
    return model


def grouped(dtype: torch.dtype = torch.float32) -> Any:
    """A Llama whose heads share keys and values, and whose head width is not its width over its heads."""
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=len(WORDS), hidden_size=48, intermediate_size=64, num_hidden_layers=3, num_attention_heads=6,
        num_key_value_heads=2, head_dim=16, tie_word_embeddings=True, initializer_range=0.05,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "norm" in name:
                weight.uniform_(0.5, 1.5)
    return model.to(dtype)


def tuned(targets: list[Any], dropout: float = 0.0, model: Any = None, size: float = 0.3) -> Any:
    adapter = new_adapter(model or llama(), Lora(rank=4, alpha=6, dropout=dropout, targets=targets))
    with torch.no_grad():  # one of the two starts at zero, which would hide the other's gradient
        for name, weight in adapter.named_parameters():
            if "lora_B" in name or "lora_embedding_A" in name:
                weight.normal_(0, size)
    return adapter.train()


ALL = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
MODELS: dict[str, Callable[[], Any]] = {
    "all weights": lambda: llama().train(),
    "all projections": lambda: tuned(ALL),
    "some projections": lambda: tuned(["q_proj", "v_proj", "down_proj"]),
    "grouped heads": lambda: tuned(ALL, model=grouped()),
    "the head too": lambda: tuned([*ALL, "lm_head"], size=0.1),
    "the embeddings too": lambda: tuned([*ALL, "embed_tokens"]),
    "grouped heads, all weights": lambda: grouped().train(),
}


def learn(model: Any) -> tuple[float, dict[str, torch.Tensor]]:
    model.zero_grad()
    loss = model(**BATCH, num_items_in_batch=7).loss
    loss.backward()
    return loss.item(), {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.requires_grad}


@pytest.mark.parametrize("keep_logits", [True, False])
@pytest.mark.parametrize("kind", list(MODELS))
def test_loss_and_gradients_are_those_of_the_libraries(
    kind: str, keep_logits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(likelihood, "POSITIONS", 7)  # several pieces, the last one smaller
    model = MODELS[kind]()
    loss, gradients = learn(model)
    with speed_up(model, keep_logits) as used:
        again, others = learn(model)
    assert used
    assert again == pytest.approx(loss, rel=1e-6)
    assert gradients.keys() == others.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(others[name], gradient, rtol=1e-4, atol=1e-6, msg=name)
        assert gradient.abs().max() > 0, name


def test_over_weights_in_bf16_it_is_as_near_to_fp32_as_the_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounding differs; the distance from what fp32 gives is of the same size."""
    monkeypatch.setattr(likelihood, "POSITIONS", 7)
    half = tuned(ALL, model=grouped(torch.bfloat16))
    exact = tuned(ALL, model=grouped(torch.bfloat16).float())
    exact.load_state_dict(half.state_dict())
    assert {weight.dtype for weight in half.parameters() if weight.requires_grad} == {torch.float32}
    loss, gradients = learn(exact)
    theirs = learn(half)
    with speed_up(half, keep_logits=False) as used:
        ours = learn(half)
    assert used

    def distance(found: dict[str, torch.Tensor]) -> float:
        pairs = [((found[name] - gradient).norm(), gradient.norm()) for name, gradient in gradients.items()]
        return float(torch.stack([off for off, _ in pairs]).norm() / torch.stack([all for _, all in pairs]).norm())

    assert ours[0] == pytest.approx(loss, rel=0.02)
    assert distance(ours[1]) < 2 * distance(theirs[1]) < 0.1


def test_logits_are_not_kept_where_nobody_wants_them() -> None:
    model = tuned(ALL)
    with speed_up(model, keep_logits=False):
        assert model(**BATCH).logits is None


def test_logits_are_those_of_the_labelled_positions() -> None:
    model = tuned(ALL).eval()
    plain = model(input_ids=BATCH["input_ids"]).logits
    unmasked = [
        [at - 1 for at in range(row.prompt, len(row.ids)) if not any(start <= at < end for start, end in row.masked)]
        for row in ROWS
    ]
    expected = torch.cat([plain[i, positions] for i, positions in enumerate(unmasked)])
    with speed_up(model):
        found = model(**BATCH).logits
        asked = model(input_ids=BATCH["input_ids"]).logits  # no labels: every position
    torch.testing.assert_close(found, expected[None], rtol=1e-4, atol=1e-5)
    assert asked.shape == plain.shape
    torch.testing.assert_close(asked, plain, rtol=1e-4, atol=1e-5)


def test_afterwards_the_model_is_as_before() -> None:
    model = tuned(ALL)
    loss, _ = learn(model)
    with speed_up(model):
        pass
    assert learn(model)[0] == loss
    assert not any("forward" in module.__dict__ for module in model.modules())


def test_a_model_it_does_not_fit_is_left_alone() -> None:
    half = llama().to(torch.bfloat16)  # all of it is trained
    eager, gelu = llama(), llama()
    eager.config._attn_implementation = "eager"
    gelu.config.hidden_act = "gelu"
    for model in (half, eager, gelu):
        with speed_up(model) as used:
            assert not used
            assert not any("forward" in module.__dict__ for module in model.modules())


def test_dropout_is_not_left_out() -> None:
    model = tuned(ALL, dropout=0.5)
    with speed_up(model):
        torch.manual_seed(3)
        one = learn(model)[0]
        torch.manual_seed(4)
        other = learn(model)[0]
    assert one != other


def test_a_batch_at_which_the_loss_does_not_look_teaches_nothing() -> None:
    model = tuned(ALL)
    with speed_up(model):
        loss = model(**collate([NOTHING, NOTHING], 0), num_items_in_batch=7).loss
        loss.backward()
    assert loss.item() == 0
    learned = [weight.grad for weight in model.parameters() if weight.requires_grad]
    assert all(gradient is not None and not gradient.any() for gradient in learned)
