"""The same Llama, computed with less work: for training on a CPU, in fp32, or over frozen weights in bf16.

What changes no result beyond rounding:
- products run over the tokens that affect the loss: none of the padding, and nothing after a row's last label;
- the last block works only where the loss looks: keys and values everywhere, queries and all that follows at the
  labelled positions alone;
- a LoRA projection multiplies once, by W + (alpha / rank) B A, instead of three times; its gradient needs only
  products as thin as the rank, and the input's gradient only one more;
- q, k and v are one product, and so are gate and up;
- the loss is taken from a few positions' logits at a time, which are not kept, where the vocabulary's weights are frozen;
- RMSNorm, the rotary embedding, SwiGLU and, in bf16, attention have hand-written gradients, with a few passes over
  memory for a dozen.

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

from relearn.likelihood import score_positions
from relearn.training.rows import IGNORED
from relearn.training.shard import is_shared_out


@contextmanager
def speed_up(model: Any) -> Iterator[Any | None]:
    """Inside, `model` computes its training loss with less work, if it can; yields its head then, else None.

    A forward pass with `logits_to_keep` and `shift_labels`, as `rows.collate` gives them, returns the same loss as
    outside and no logits. With `output_hidden_states` too it returns no loss, and as `hidden_states` one tensor
    (labelled, width), of the labelled positions in order: what the head makes logits of. A pass without those two is
    as outside.
    """
    causal = _llama(model)
    if causal is None:
        yield None
        return
    plain = causal.forward

    @wraps(plain)
    def forward(*args: Any, **kwargs: Any) -> Any:
        targets, kept = kwargs.get("shift_labels"), kwargs.get("logits_to_keep")
        if targets is None or not isinstance(kept, Tensor):
            return plain(*args, **kwargs)
        states = bool(kwargs.get("output_hidden_states"))
        return _forward(causal, kwargs["input_ids"], int(kept[0]), targets, kwargs.get("num_items_in_batch"), states)

    causal.forward = forward
    try:
        yield causal.lm_head
    finally:
        del causal.forward


def _llama(model: Any) -> Any | None:
    """The Llama inside, or None where this module does not apply."""
    from transformers import LlamaForCausalLM

    causal = model.get_base_model() if hasattr(model, "get_base_model") else model
    if type(causal) is not LlamaForCausalLM or causal.is_gradient_checkpointing:
        return None
    config = causal.config
    plain = config._attn_implementation == "sdpa" and config.hidden_act == "silu"
    plain &= not (config.attention_dropout or config.attention_bias or config.mlp_bias)
    kinds: dict[bool, set[tuple[torch.dtype, str]]] = {True: set(), False: set()}
    for weight in causal.parameters():
        kinds[weight.requires_grad].add((weight.dtype, weight.device.type))
        plain &= not is_shared_out(weight)
    single, half = (torch.float32, "cpu"), (torch.bfloat16, "cpu")
    return causal if plain and kinds[True] <= {single} and kinds[False] in (set(), {single}, {half}) else None


def _forward(causal: Any, ids: Tensor, first: int, targets: Tensor, count: Any, states: bool) -> Any:
    """The model's output for `ids` (rows, tokens); `targets` (rows, width) follow the positions from `first` on.

    Hidden states are (tokens, width), of all rows one after the other, without those after a row's last label.
    """
    from transformers.modeling_outputs import CausalLMOutputWithPast

    model = causal.model
    rows, width = targets.shape
    length = first + width
    labelled = targets.ne(IGNORED)
    # Of a row without a label the first token stays, so that every weight has a gradient.
    ends = first + (labelled * torch.arange(1, width + 1)).amax(1)
    used = torch.arange(length)[None] < ends.where(labelled.any(1), 1)[:, None]
    places = _Places(rows, length, used.flatten().nonzero()[:, 0], first, labelled)
    positions = torch.arange(length).expand(rows, -1)[used]
    hidden = model.embed_tokens(ids[:, :length][used])
    cos, sin = (part[0, positions][:, None] for part in model.rotary_emb(hidden, torch.arange(length)[None]))
    for layer in model.layers:
        hidden = _block(layer, hidden, cos, sin, places, last=layer is model.layers[-1])
    hidden = _norm(model.norm, hidden)
    if states:
        return CausalLMOutputWithPast(hidden_states=(hidden,))
    wanted = targets[labelled]
    count = len(wanted) if count is None else count
    head = causal.lm_head.weight
    if head.requires_grad or type(causal.lm_head) is not torch.nn.Linear:
        loss = functional.cross_entropy(causal.lm_head(hidden).float(), wanted, reduction="sum") / count
        return CausalLMOutputWithPast(loss=loss)
    return CausalLMOutputWithPast(loss=_head_loss(hidden, head, wanted) / count)


class _Places:
    """Where the tokens that are computed with belong in a grid of (rows, length), and where the loss looks."""

    def __init__(self, rows: int, length: int, at: Tensor, first: int, labelled: Tensor) -> None:
        self.rows, self.length, self.at, self.first, self.labelled = rows, length, at, first, labelled
        self.whole = len(at) == rows * length
        position = (labelled.nonzero() * torch.tensor([length, 1])).sum(1) + first  # in the grid
        self.looked = torch.searchsorted(at, position)  # among the tokens
        self.masks: dict[tuple[int, torch.dtype], Tensor] = {}

    def spread(self, tokens: Tensor) -> Tensor:
        """(tokens, heads, width) as (rows, heads, length, width), zero where there is no token."""
        if not self.whole:
            grid = tokens.new_zeros(self.rows * self.length, *tokens.shape[1:])
            tokens = grid.index_copy(0, self.at, tokens)
        return tokens.view(self.rows, self.length, *tokens.shape[1:]).transpose(1, 2)

    def gather(self, grid: Tensor) -> Tensor:
        """What `spread` spread, heads side by side: (tokens, heads × width)."""
        flat = grid.transpose(1, 2).reshape(self.rows * self.length, -1)
        return flat if self.whole else flat.index_select(0, self.at)

    def mask(self, groups: int, dtype: torch.dtype) -> Tensor:
        """What is added to scores, (groups × length, length): minus infinity for later tokens."""
        if (groups, dtype) not in self.masks:
            hidden = torch.full((self.length, self.length), float("-inf"), dtype=dtype).triu(1)
            self.masks[groups, dtype] = hidden.repeat(groups, 1)
        return self.masks[groups, dtype]


def _block(layer: Any, hidden: Tensor, cos: Tensor, sin: Tensor, places: _Places, last: bool) -> Tensor:
    """One decoder block; the last one returns the labelled positions alone."""
    attention, mlp = layer.self_attn, layer.mlp
    heads = attention.config.num_attention_heads
    groups = attention.num_key_value_groups
    projected = project(
        _norm(layer.input_layernorm, hidden), [attention.q_proj, attention.k_proj, attention.v_proj]
    ).view(len(hidden), -1, attention.head_dim)
    turned = _rotary(projected[:, : heads + heads // groups], cos, sin)
    query, key = places.spread(turned[:, :heads]), places.spread(turned[:, heads:])
    value = places.spread(projected[:, heads + heads // groups :])
    if last:
        mixed = _attend_last(query, key, value, attention.scaling, places)
        hidden = hidden[places.looked]
    else:
        mixed = places.gather(_attend(query, key, value, attention.scaling, groups, places))
    hidden = hidden + project(mixed, [attention.o_proj])
    normed = _norm(layer.post_attention_layernorm, hidden)
    return hidden + project(_swiglu(project(normed, [mlp.gate_proj, mlp.up_proj])), [mlp.down_proj])


def _attend(query: Tensor, key: Tensor, value: Tensor, scale: float, groups: int, places: _Places) -> Tensor:
    if query.dtype == torch.float32:
        return functional.scaled_dot_product_attention(
            query, key, value, is_causal=True, scale=scale, enable_gqa=groups > 1
        )
    return _attention(query, key, value, scale, places.mask(groups, query.dtype))


def _attend_last(query: Tensor, key: Tensor, value: Tensor, scale: float, places: _Places) -> Tensor:
    """Attention of the labelled positions alone: (labelled, heads × width)."""
    width = places.labelled.shape[1]
    mask = torch.ones(width, places.length, dtype=torch.bool).tril(places.first)
    mixed = functional.scaled_dot_product_attention(
        query[:, :, places.first :], key, value, attn_mask=mask, scale=scale, enable_gqa=query.shape[1] > key.shape[1]
    ).transpose(1, 2)
    return mixed[places.labelled].flatten(1)


def project(inputs: Tensor, modules: Sequence[Any]) -> Tensor:
    """What the linear modules make of `inputs` (tokens, width), side by side; in one product where all are plain."""
    parts = [_lora(module) for module in modules]
    found = [part for part in parts if part is not None]
    if len(found) < len(modules):
        return torch.cat([module(inputs) for module in modules], -1)
    weights, scales = [part[0] for part in found], [part[1] for part in found]
    if any(weight.requires_grad for weight in weights):
        return functional.linear(inputs, torch.cat(weights))
    return _projection(inputs, weights, scales, *(weight for part in found for weight in part[2:]))


def _lora(module: Any) -> tuple[Tensor, float, Tensor | None, Tensor | None] | None:
    """(W, alpha / rank, A, B) of a plain LoRA layer with one active adapter, A and B None for a linear one; else None."""
    from peft.tuners.lora.layer import Linear

    if type(module) is torch.nn.Linear:
        return (module.weight, 0.0, None, None) if module.bias is None else None
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
    """x (n, in) by the rows of W_i + s_i B_i A_i, side by side: (n, sum of out_i). W_i is frozen.

    Products are in W's precision; A, B and their gradients stay in their own.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weights: list[Tensor], scales: list[float], *pairs: Tensor | None) -> Tensor:
        merged: list[Tensor] = []
        halves: list[Tensor | None] = []
        for weight, scale, a, b in zip(weights, scales, pairs[::2], pairs[1::2], strict=True):
            if a is None or b is None:
                merged.append(weight)
                halves += [None, None]
                continue
            thin = a.to(weight.dtype), b.to(weight.dtype)
            merged.append(torch.addmm(weight, thin[1], thin[0], alpha=scale))
            halves += thin
        whole = merged[0] if len(merged) == 1 else torch.cat(merged)
        ctx.save_for_backward(x, whole, *halves)
        ctx.scales, ctx.sizes = scales, [len(weight) for weight in weights]
        return x @ whole.t()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, whole, *pairs = ctx.saved_tensors
        (dy,) = gradients
        found: list[Tensor | None] = []
        for scale, part, a, b in zip(ctx.scales, dy.split(ctx.sizes, 1), pairs[::2], pairs[1::2], strict=True):
            if a is None:
                found += [None, None]
                continue
            found += [((part @ b).t() @ x).float() * scale, (part.t() @ (x @ a.t())).float() * scale]
        return (dy @ whole if ctx.needs_input_grad[0] else None, None, None, *found)


class _Attention(torch.autograd.Function):
    """Causal attention (Vaswani et al. 2017) as four products, a group's queries below each other.

    query (rows, heads, length, width), key and value (rows, groups of heads, length, width); returns (rows, heads,
    length, width). The CPU's fused kernel takes three times as long over the gradient in bf16.
    """

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, scale: float, mask: Tensor) -> Tensor:
        rows, heads, length, width = query.shape
        pairs = rows * key.shape[1]
        q = query.reshape(pairs, -1, width)
        k, v = key.reshape(pairs, length, width), value.reshape(pairs, length, width)
        shares = torch.baddbmm(mask[None], q, k.transpose(1, 2), alpha=scale).softmax(-1)
        ctx.save_for_backward(q, k, v, shares)
        ctx.scale, ctx.shapes = scale, (query.shape, key.shape)
        return torch.bmm(shares, v).view(rows, heads, length, width)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, shares = ctx.saved_tensors
        of_query, of_key = ctx.shapes
        out = gradients[0].reshape(q.shape)
        dv = torch.bmm(shares.transpose(1, 2), out)
        scores = torch._softmax_backward_data(torch.bmm(out, v.transpose(1, 2)), shares, -1, shares.dtype)
        dq, dk = torch.bmm(scores, k).mul_(ctx.scale), torch.bmm(scores.transpose(1, 2), q).mul_(ctx.scale)
        return dq.view(of_query), dk.view(of_key), dv.view(of_key), None, None


class _Rotary(torch.autograd.Function):
    """Rotary position embedding (Su et al. 2021) of x (tokens, heads, head width); its gradient turns back."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        ctx.save_for_backward(cos, sin)
        return _turn(x, cos, sin)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        cos, sin = ctx.saved_tensors
        return _turn(gradients[0], cos, -sin), None, None


def _turn(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    half = x.shape[-1] // 2
    turned = x * cos
    turned[..., :half].addcmul_(x[..., half:], sin[..., :half], value=-1)
    turned[..., half:].addcmul_(x[..., :half], sin[..., half:])
    return turned


class _SwiGLU(torch.autograd.Function):
    """silu(gate) × up (Shazeer 2020) of gate and up side by side, (tokens, 2 × width)."""

    @staticmethod
    def forward(ctx: Any, both: Tensor) -> Tensor:
        ctx.save_for_backward(both)
        gate, up = both.chunk(2, -1)
        return functional.silu(gate).mul_(up)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (both,) = ctx.saved_tensors
        (dy,) = gradients
        gate, up = both.chunk(2, -1)
        found = torch.empty_like(both)
        dgate, dup = found.chunk(2, -1)
        torch.mul(dy, functional.silu(gate), out=dup)
        dgate.copy_(torch.ops.aten.silu_backward(dy * up, gate))
        return found


def _norm(norm: Any, hidden: Tensor) -> Tensor:
    return _rms_norm(hidden, norm.weight, norm.variance_epsilon)


class _RMSNorm(torch.autograd.Function):
    """Root-mean-square layer normalisation (Zhang & Sennrich 2019) over the last dimension, in fp32 inside."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
        inverse = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32)
        inverse = inverse.square_().div_(x.shape[-1]).add_(epsilon).rsqrt_()
        normed = (x * inverse).to(x.dtype)
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
            dx = dy.float() * weight
            inner = (dx * normed).mean(-1, keepdim=True)
            dx = dx.addcmul_(normed, inner, value=-1).mul_(inverse).to(dy.dtype)
        return dx, dw, None


class _HeadLoss(torch.autograd.Function):
    """The summed cross entropy of hidden states (n, width) by the frozen weights of the vocabulary, in fp32.

    The gradient is made along with the loss, so that no logits are kept.
    """

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
        gradient = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        total = score_positions(hidden, weight, targets, gradient).sum()
        ctx.save_for_backward(gradient)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = ctx.saved_tensors
        return gradient * gradients[0], None, None


# `apply` has no types of its own.
_projection: Callable[..., Tensor] = _Projection.apply
_attention: Callable[..., Tensor] = _Attention.apply
_rotary: Callable[..., Tensor] = _Rotary.apply
_swiglu: Callable[..., Tensor] = _SwiGLU.apply
_rms_norm: Callable[..., Tensor] = _RMSNorm.apply
_head_loss: Callable[..., Tensor] = _HeadLoss.apply
