"""The same Llama, computed with less work: for training in fp32 on a CPU.

Four things that change no result beyond rounding:
- the last block works only where the loss looks: keys and values everywhere, queries and all that follows at the
  labelled positions alone, and the logits there too;
- a LoRA projection multiplies once, by W + (alpha / rank) B A, instead of three times; its gradient needs only
  products as thin as the rank, and the input's gradient only one more;
- q, k and v are one product;
- RMSNorm and the rotary embedding have hand-written gradients, with a few passes over memory for a dozen.

No compiler is needed. Where the model, the adapter or the device is another, `quick` changes nothing and training
runs as the libraries have it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional

from relearn.training.rows import IGNORED


@contextmanager
def speed_up(model: Any) -> Iterator[bool]:
    """Inside, `model` computes its training loss with less work, if it can; yields whether it does.

    A forward pass with `logits_to_keep` and `shift_labels`, as `rows.collate` gives them, returns the same loss as
    outside; its `logits` are those of the labelled positions, in order, with shape (1, labelled, vocabulary). A pass
    without them is as outside.
    """
    causal = _llama(model)
    if causal is None:
        yield False
        return
    layers = causal.model.layers
    forwards = [(causal, _causal(causal))]
    forwards += [(layer, _Block(layer, last=layer is layers[-1]).forward) for layer in layers]
    forwards += [(norm, _norm(norm)) for norm in causal.modules() if type(norm).__name__ == "LlamaRMSNorm"]
    try:
        for module, forward in forwards:
            module.forward = forward
        yield True
    finally:
        for module, _ in forwards:
            module.__dict__.pop("forward", None)


def _llama(model: Any) -> Any | None:
    """The Llama inside, or None where this module does not apply."""
    from transformers import LlamaForCausalLM

    causal = model.get_base_model() if hasattr(model, "get_base_model") else model
    if type(causal) is not LlamaForCausalLM or causal.is_gradient_checkpointing:
        return None
    config = causal.config
    plain = config._attn_implementation == "sdpa" and not config.attention_dropout and not config.attention_bias
    kinds = {(weight.dtype, weight.device.type) for weight in causal.parameters()}
    return causal if plain and kinds == {(torch.float32, "cpu")} else None


def _causal(causal: Any) -> Any:
    plain = causal.forward

    @wraps(plain)
    def forward(*args: Any, **kwargs: Any) -> Any:
        targets, kept = kwargs.get("shift_labels"), kwargs.get("logits_to_keep")
        if targets is None or not isinstance(kept, Tensor):
            return plain(*args, **kwargs)
        looked = targets.ne(IGNORED)
        short = targets[looked][None]
        kwargs |= {"logits_to_keep": 0, "labels": short, "shift_labels": short, "use_cache": False}
        return plain(*args, **kwargs, looked=(int(kept[0]), looked))

    return forward


class _Block:
    """One decoder block. `looked` is (first position, (rows, width) mask of the labelled positions from there on)."""

    def __init__(self, layer: Any, last: bool) -> None:
        self.layer, self.last, self.plain = layer, last, layer.forward

    def forward(
        self,
        hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        position_embeddings: tuple[Tensor, Tensor] | None = None,
        past_key_values: Any = None,
        looked: tuple[int, Tensor] | None = None,
        **kwargs: Any,
    ) -> Tensor:
        if attention_mask is not None or past_key_values is not None or looked is None:
            return self.plain(  # type: ignore[no-any-return]
                hidden_states,
                attention_mask=attention_mask,
                position_embeddings=position_embeddings,
                past_key_values=past_key_values,
                **kwargs,
            )
        assert position_embeddings is not None
        attention, mlp = self.layer.self_attn, self.layer.mlp
        rows, length, _ = hidden_states.shape
        shape = (rows, length, -1, attention.head_dim)
        normed = self.layer.input_layernorm(hidden_states)
        projected = project(normed, [attention.q_proj, attention.k_proj, attention.v_proj])
        query, key, value = (part.view(shape).transpose(1, 2) for part in projected)
        cos, sin = position_embeddings
        key = _rotary(key, cos, sin)
        mask = None
        if self.last:
            first, labelled = looked
            query = _rotary(query[:, :, first:-1], cos[:, first:-1], sin[:, first:-1])
            width = labelled.shape[1]
            mask = torch.ones(width, length, dtype=torch.bool).tril(first)
        else:
            query = _rotary(query, cos, sin)
        mixed = functional.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=mask,
            is_causal=mask is None,
            scale=attention.scaling,
            enable_gqa=attention.num_key_value_groups > 1,
        ).transpose(1, 2)
        mixed = mixed.reshape(*mixed.shape[:2], -1)
        if self.last:
            mixed, hidden_states = mixed[labelled][None], hidden_states[:, first:-1][labelled][None]
        hidden_states = hidden_states + project(mixed, [attention.o_proj])[0]
        normed = self.layer.post_attention_layernorm(hidden_states)
        gate, up = project(normed, [mlp.gate_proj])[0], project(normed, [mlp.up_proj])[0]
        return hidden_states + project(mlp.act_fn(gate) * up, [mlp.down_proj])[0]


def project(inputs: Tensor, modules: Sequence[Any]) -> list[Tensor]:
    """What each linear module makes of `inputs` (rows, length, width), in one product where all carry plain LoRA."""
    parts = [_lora(module) for module in modules]
    found = [part for part in parts if part is not None]
    if len(found) < len(modules):
        return [module(inputs) for module in modules]
    weights, scales = [part[0] for part in found], [part[1] for part in found]
    pairs = [weight for part in found for weight in part[2:]]
    flat = _projection(inputs.reshape(-1, inputs.shape[-1]), weights, scales, *pairs)
    sizes = [len(weight) for weight in weights]
    return list(flat.view(*inputs.shape[:-1], sum(sizes)).split(sizes, dim=-1))


def _lora(module: Any) -> tuple[Tensor, float, Tensor, Tensor] | None:
    """(W, alpha / rank, A, B) of a plain LoRA layer with one active adapter, else None."""
    from peft.tuners.lora.layer import Linear

    if type(module) is not Linear or module.disable_adapters or module.merged or module.lora_variant:
        return None
    names = [name for name in module.active_adapters if name in module.lora_A]
    if len(names) != 1 or module.base_layer.bias is not None or module.lora_B[names[0]].bias is not None:
        return None
    name = names[0]
    if not isinstance(module.lora_dropout[name], torch.nn.Identity) or module.base_layer.weight.requires_grad:
        return None
    return (module.base_layer.weight, module.scaling[name], module.lora_A[name].weight, module.lora_B[name].weight)


class _Projection(torch.autograd.Function):
    """x (n, in) by the rows of W_i + s_i B_i A_i, side by side: (n, sum of out_i). W_i is frozen."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weights: list[Tensor], scales: list[float], *pairs: Tensor) -> Tensor:
        merged = [
            torch.addmm(weight, b, a, alpha=scale)
            for weight, scale, a, b in zip(weights, scales, pairs[::2], pairs[1::2], strict=True)
        ]
        whole = merged[0] if len(merged) == 1 else torch.cat(merged)
        ctx.save_for_backward(x, whole, *pairs)
        ctx.scales = scales
        return x @ whole.t()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, whole, *pairs = ctx.saved_tensors
        (dy,) = gradients
        found: list[Tensor | None] = []
        start = 0
        for scale, a, b in zip(ctx.scales, pairs[::2], pairs[1::2], strict=True):
            part = dy[:, start : start + len(b)]
            start += len(b)
            found += [(part @ b).t() @ x * scale, part.t() @ (x @ a.t()) * scale]
        return (dy @ whole if ctx.needs_input_grad[0] else None, None, None, *found)


class _Rotary(torch.autograd.Function):
    """Rotary position embedding (Su et al. 2021) of x (rows, heads, length, head width); its gradient turns back."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        ctx.save_for_backward(cos, sin)
        return _turn(x, cos[:, None], sin[:, None])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        cos, sin = ctx.saved_tensors
        return _turn(gradients[0], cos[:, None], -sin[:, None]), None, None


def _turn(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    half = x.shape[-1] // 2
    turned = x * cos
    turned[..., :half].addcmul_(x[..., half:], sin[..., :half], value=-1)
    turned[..., half:].addcmul_(x[..., :half], sin[..., half:])
    return turned


def _norm(norm: Any) -> Any:
    @wraps(norm.forward)
    def forward(hidden_states: Tensor) -> Tensor:
        return _rms_norm(hidden_states, norm.weight, norm.variance_epsilon)

    return forward


class _RMSNorm(torch.autograd.Function):
    """Root-mean-square layer normalisation (Zhang & Sennrich 2019) over the last dimension."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
        inverse = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        inverse = inverse.square_().div_(x.shape[-1]).add_(epsilon).rsqrt_()
        normed = x * inverse
        ctx.save_for_backward(normed, inverse, weight)
        return cast(Tensor, normed * weight)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        normed, inverse, weight = ctx.saved_tensors
        (dy,) = gradients
        dx = dw = None
        if ctx.needs_input_grad[1]:
            dw = (dy * normed).flatten(0, -2).sum(0)
        if ctx.needs_input_grad[0]:
            dx = dy * weight
            inner = (dx * normed).mean(-1, keepdim=True)
            dx.addcmul_(normed, inner, value=-1).mul_(inverse)
        return dx, dw, None


# `apply` has no types of its own.
_projection: Callable[..., Tensor] = _Projection.apply
_rotary: Callable[..., Tensor] = _Rotary.apply
_rms_norm: Callable[..., Tensor] = _RMSNorm.apply
