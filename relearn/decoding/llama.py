"""A Llama's answers and likelihoods on a CPU with less work than the general model needs.

Weights are copied once, with the active adapter added, so that q, k and v are one product, and gate and up another.
What the prompts of a batch begin with in common is read once; no product runs over padding; keys and values are
written into a buffer that has room for the answers, and a prompt is read once for its answer and for the likelihood of
its reference; the vocabulary's product is for positions whose logits somebody wants. Rows that have ended leave the
batch. Any other model goes the libraries' way (`greedy`, `generate`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

DROP = 8  # rows are dropped when one in so many has ended: dropping copies the others' buffers
POSITIONS = 64  # whose logits are in memory at a time when references are scored


def copy_llama(model: Any) -> Llama | None:
    """The model as `Llama`, with its active LoRA adapter as it is scaled now.

    None where it is another kind of model or of adapter, where a part is not what a plain Llama has there, or not on
    a CPU.
    """
    from peft import PeftModel, PeftType
    from transformers import LlamaForCausalLM

    adapters = model.peft_config.values() if isinstance(model, PeftModel) else ()
    if any(adapter.peft_type != PeftType.LORA for adapter in adapters):
        return None
    causal: Any = model.get_base_model() if adapters else model
    if type(causal) is not LlamaForCausalLM or not _is_plain(causal):
        return None
    config: Any = causal.config
    plain = config.hidden_act == "silu" and not config.attention_bias and not config.mlp_bias
    plain &= config.rope_parameters["rope_type"] == "default"
    kinds = {(weight.dtype, weight.device.type) for weight in causal.model.embed_tokens.parameters()}
    if not plain or kinds not in ({(torch.float32, "cpu")}, {(torch.bfloat16, "cpu")}):
        return None
    layers = [_copy_layer(layer) for layer in causal.model.layers]
    return None if None in layers else Llama(causal, layers)


def _is_plain(causal: Any) -> bool:
    """Whether all but the linear layers of the blocks is transformers' own, nothing put around it or in its place."""
    from transformers.models.llama import modeling_llama as own

    kinds = [(causal.model, own.LlamaModel), (causal.model.embed_tokens, torch.nn.Embedding)]
    kinds += [(causal.lm_head, torch.nn.Linear), (causal.model.norm, own.LlamaRMSNorm)]
    kinds += [(causal.model.rotary_emb, own.LlamaRotaryEmbedding)]
    for layer in causal.model.layers:
        kinds += [(layer, own.LlamaDecoderLayer), (layer.self_attn, own.LlamaAttention), (layer.mlp, own.LlamaMLP)]
        kinds += [(norm, own.LlamaRMSNorm) for norm in (layer.input_layernorm, layer.post_attention_layernorm)]
    return causal.lm_head.bias is None and all(type(module) is kind for module, kind in kinds)


def _copy_layer(layer: Any) -> tuple[Tensor, ...] | None:
    attention, mlp = layer.self_attn, layer.mlp
    groups = [
        [attention.q_proj, attention.k_proj, attention.v_proj],
        [attention.o_proj],
        [mlp.gate_proj, mlp.up_proj],
        [mlp.down_proj],
    ]
    merged = [[_merge(module) for module in modules] for modules in groups]
    if any(weight is None for weights in merged for weight in weights):
        return None
    products = [torch.cat([weight for weight in weights if weight is not None]) for weights in merged]
    return (layer.input_layernorm.weight, layer.post_attention_layernorm.weight, *products)


def _merge(module: Any) -> Tensor | None:
    """The weight of a linear layer, with the active LoRA adapter added; None where that is not all there is to it."""
    if type(module) is torch.nn.Linear:
        return module.weight if module.bias is None else None
    from peft.tuners.lora.layer import Linear

    if type(module) is not Linear or module.base_layer.bias is not None or module.merged or module.lora_variant:
        return None
    weight: Tensor = module.base_layer.weight
    if not module.disable_adapters:
        for name in (name for name in module.active_adapters if name in module.lora_A):
            if module.lora_B[name].bias is not None:
                return None
            weight = (weight + module.get_delta_weight(name)).to(weight.dtype)
    return weight


class Llama:
    """A Llama's weights, ready to read prompts."""

    def __init__(self, causal: Any, layers: list[Any]) -> None:
        config = causal.config
        self.layers: list[tuple[Tensor, ...]] = layers
        self.embedding: Tensor = causal.model.embed_tokens.weight
        self.head: Tensor = causal.lm_head.weight
        self.norm: Tensor = causal.model.norm.weight
        self.epsilon: float = config.rms_norm_eps
        self.heads, self.kept_heads = config.num_attention_heads, config.num_key_value_heads
        self.width = causal.model.layers[0].self_attn.head_dim
        self.scale = causal.model.layers[0].self_attn.scaling
        self.rotary = causal.model.rotary_emb

    def normalise(self, hidden: Tensor, weight: Tensor) -> Tensor:
        """RMSNorm, in fp32 inside."""
        single = hidden.float()
        single = single * (single.square().mean(-1, keepdim=True) + self.epsilon).rsqrt()
        return single.to(hidden.dtype) * weight

    def logits(self, hidden: Tensor) -> Tensor:
        """(n, vocabulary) of hidden states (n, width)."""
        return self.normalise(hidden, self.norm) @ self.head.t()


class Batch:
    """Prompts that have been read; call all of it inside `inference_mode`.

    A layer's buffers are (rows, heads that are kept, slots, width). Slots: the tokens that all prompts begin with; the
    rest of each prompt, its padding first; `room` for what comes after.
    """

    def __init__(self, model: Llama, prompts: Sequence[Sequence[int]], room: int) -> None:
        self.model = model
        shortest = min(len(prompt) for prompt in prompts)
        shared = next((at for at in range(shortest - 1) if len({prompt[at] for prompt in prompts}) > 1), shortest - 1)
        lengths = torch.tensor([len(prompt) - shared for prompt in prompts])
        rest = int(lengths.max())
        self.slots = shared + rest
        self.padding = rest - lengths  # of each row
        shape = (len(prompts), model.kept_heads, self.slots + room, model.width)
        self.buffers = [[model.embedding.new_empty(shape) for _ in range(2)] for _ in model.layers]
        self.seen = torch.ones(len(prompts), self.slots + room, dtype=torch.bool)  # False: padding
        self.seen[:, shared : self.slots] = torch.arange(rest)[None] >= self.padding[:, None]
        if shared:
            self._read(torch.tensor([prompts[0][:shared]]), torch.ones(1, shared, dtype=torch.bool), 0)
            for buffer in (one for pair in self.buffers for one in pair):
                buffer[1:, :, :shared] = buffer[:1, :, :shared]
        ids = torch.zeros(len(prompts), rest, dtype=torch.long)
        for row, prompt in enumerate(prompts):
            ids[row, rest - len(prompt) + shared :] = torch.tensor(prompt[shared:])
        self.last = self._read(ids, self.seen[:, shared : self.slots], shared)[lengths.cumsum(0) - 1]

    def score(self, references: Sequence[Sequence[int]]) -> list[float]:
        """The summed negative log-likelihood, in nats, of each reference after its prompt; 0 for an empty one."""
        longest = max(len(reference) for reference in references) - 1  # the last token is predicted, never read
        hidden = [self.last]
        if longest > 0:
            ids = torch.zeros(len(references), longest, dtype=torch.long)
            real = torch.zeros(len(references), longest, dtype=torch.bool)
            for row, reference in enumerate(references):
                read = reference[:-1]
                ids[row, : len(read)], real[row, : len(read)] = torch.tensor(read, dtype=torch.long), True
            hidden.append(self._read(ids, real, self.slots))
        rows = range(len(references))
        wanted = [(row, references[row][0] if references[row] else -1) for row in rows]
        wanted += [(row, token) for row in rows for token in references[row][1:]]
        owners, targets = torch.tensor(wanted).t()
        states = torch.cat(hidden)[targets >= 0]
        owners, targets = owners[targets >= 0], targets[targets >= 0]
        sums = torch.zeros(len(references), dtype=torch.float64)
        for part in (slice(at, at + POSITIONS) for at in range(0, len(targets), POSITIONS)):
            logits = self.model.logits(states[part]).float()
            costs = logits.logsumexp(-1) - logits.gather(1, targets[part][:, None])[:, 0]
            sums.index_add_(0, owners[part], costs.double())
        return [float(one) for one in sums]

    def answer(self, limit: int, ends: Collection[int]) -> list[list[int]]:
        """The likeliest token each time, up to and with one of `ends`, at most `limit`; the batch is used up."""
        found: list[list[int]] = [[] for _ in range(len(self.last))]
        rows = list(range(len(found)))  # which prompt each row of the batch answers
        closing = torch.tensor(sorted(ends), dtype=torch.long)
        ended = torch.zeros(len(rows), dtype=torch.bool)
        hidden = self.last
        for step in range(limit):
            chosen = (
                self.model.logits(hidden).max(-1).indices
            )  # the first of equals, as argmax, which takes longer in bf16
            for row, token, over in zip(rows, chosen.tolist(), ended.tolist(), strict=True):
                if not over:
                    found[row].append(token)
            ended |= torch.isin(chosen, closing)
            left = len(rows) - int(ended.sum())
            if left == 0 or step + 1 == limit:
                break
            if (len(rows) - left) * DROP >= len(rows):
                kept = (~ended).nonzero()[:, 0]
                self._keep(kept, self.slots + step)
                rows, chosen, ended = [rows[at] for at in kept.tolist()], chosen[kept], ended[kept]
            real = torch.ones(len(rows), 1, dtype=torch.bool)
            hidden = self._read(chosen[:, None], real, self.slots + step)
        return found

    def _keep(self, kept: Tensor, used: int) -> None:
        """Only these rows, of which so many slots hold something."""
        self.seen, self.padding = self.seen[kept], self.padding[kept]
        for pair in self.buffers:
            for number, old in enumerate(pair):
                pair[number] = old.new_empty((len(kept), *old.shape[1:]))
                pair[number][:, :, :used] = old[kept, :, :used]

    def _read(self, ids: Tensor, real: Tensor, start: int) -> Tensor:
        """Hidden states of the tokens `ids` (rows, tokens), those that are `real`, row by row: (real ones, width).

        Their keys and values go into the slots from `start` on. Each sees the slots before them that hold something,
        and of their own those up to itself.
        """
        model = self.model
        count, tokens = ids.shape
        end = start + tokens
        seen = self.seen[:count, None, :end] & torch.ones(tokens, end, dtype=torch.bool).tril(start)
        seen |= (
            torch.arange(end) == torch.arange(start, end)[:, None]
        )  # padding sees itself: scores of nothing are no numbers
        mask = torch.zeros(seen.shape, dtype=model.embedding.dtype).masked_fill_(~seen, float("-inf"))
        mask = mask.repeat(1, model.heads // model.kept_heads, 1)[:, None]
        at = None if bool(real.all()) else real.flatten().nonzero()[:, 0]
        position = torch.arange(start, end) - (
            self.padding[:count, None] if start else torch.zeros(1, 1, dtype=torch.long)
        )
        position = position.expand(count, -1).flatten()
        flat = ids.flatten()
        if at is not None:
            flat, position = flat[at], position[at]
        hidden = functional.embedding(flat, model.embedding)
        turns = tuple(part[0][:, None] for part in model.rotary(hidden, position[None]))
        for layer, buffers in zip(model.layers, self.buffers, strict=True):
            hidden = self._block(layer, buffers, hidden, turns, mask, at, (count, tokens), slice(start, end))
        return hidden

    def _block(
        self,
        layer: tuple[Tensor, ...],
        buffers: list[Tensor],
        hidden: Tensor,
        turns: tuple[Tensor, ...],
        mask: Tensor,
        at: Tensor | None,
        shape: tuple[int, int],
        slots: slice,
    ) -> Tensor:
        model = self.model
        before, after, inputs, output, opened, closed = layer
        heads, kept, width = model.heads, model.kept_heads, model.width
        projected = (model.normalise(hidden, before) @ inputs.t()).view(len(hidden), -1, width)
        both = projected[:, : heads + kept]
        cos, sin = turns
        half = width // 2
        turned = torch.cat((-both[..., half:], both[..., :half]), -1) * sin + both * cos
        parts = (turned[:, :heads], turned[:, heads:], projected[:, heads + kept :])
        query, key, value = (self._spread(part, at, shape) for part in parts)
        for buffer, new in zip(buffers, (key, value), strict=True):
            buffer[: shape[0], :, slots] = new
        keys, values = (buffer[: shape[0], :, : slots.stop] for buffer in buffers)
        # the queries that share keys below each other
        mixed = functional.scaled_dot_product_attention(
            query.reshape(shape[0], kept, -1, width), keys, values, attn_mask=mask, scale=model.scale
        )
        mixed = mixed.view(shape[0], heads, shape[1], width).transpose(1, 2).reshape(shape[0] * shape[1], -1)
        hidden = hidden + (mixed if at is None else mixed[at]) @ output.t()
        gate, up = (model.normalise(hidden, after) @ opened.t()).chunk(2, -1)
        return hidden + (functional.silu(gate) * up) @ closed.t()

    def _spread(self, tokens: Tensor, at: Tensor | None, shape: tuple[int, int]) -> Tensor:
        """(tokens, heads, width) as (rows, heads, tokens of a row, width), zero where there is none."""
        if at is not None:
            grid = tokens.new_zeros(shape[0] * shape[1], *tokens.shape[1:])
            tokens = grid.index_copy_(0, at, tokens)
        return tokens.view(*shape, *tokens.shape[1:]).transpose(1, 2)
