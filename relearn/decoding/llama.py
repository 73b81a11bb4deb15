"""A Llama's answers and likelihoods on a CPU with less work than the general model needs.

Weights are copied once, with the active adapter added, so that q, k and v are one product, and gate and up another.
What the prompts of a batch begin with in common is read once; no product runs over padding; keys and values are
written into buffers that grow with the answers, and a prompt is read once for its answer and for the likelihood of
its reference; the vocabulary's product is for positions whose logits somebody wants. Rows that have ended leave the
batch. Any other model goes the libraries' way (`greedy`, `generate`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from relearn.likelihood import score_positions

DROP = 8  # rows are dropped when one in so many has ended: dropping copies the others' buffers
TOKENS = 2048  # that are read together: what they are in a layer then stays in the caches
GROW = 32  # slots that are made at a time
SCORES = 3 << 20  # of attention at a time: then their products stay in the caches


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

    def project(self, layer: Sequence[Tensor], hidden: Tensor, turns: tuple[Tensor, Tensor]) -> list[Tensor]:
        """Query, key and value of hidden states (n, width), each (n, heads, width of a head)."""
        projected = (self.normalise(hidden, layer[0]) @ layer[2].t()).view(len(hidden), -1, self.width)
        both = projected[:, : self.heads + self.kept_heads]
        cos, sin = turns
        half = self.width // 2
        turned = torch.cat((-both[..., half:], both[..., :half]), -1) * sin + both * cos
        return [turned[:, : self.heads], turned[:, self.heads :], projected[:, self.heads + self.kept_heads :]]

    def finish(self, layer: Sequence[Tensor], hidden: Tensor, mixed: Tensor) -> Tensor:
        """What a block makes of hidden states (n, width), attention having mixed the values."""
        hidden = hidden + mixed @ layer[3].t()
        gate, up = (self.normalise(hidden, layer[1]) @ layer[4].t()).chunk(2, -1)
        return hidden + (functional.silu(gate) * up) @ layer[5].t()

    def logits(self, hidden: Tensor) -> Tensor:
        """(n, vocabulary) of hidden states (n, width)."""
        return self.normalise(hidden, self.norm) @ self.head.t()


class Batch:
    """Prompts that have been read; call all of it inside `inference_mode`.

    A layer's buffers are (rows, heads that are kept, slots, width), without gaps: with them a product over keys takes
    a third of the time. Slots: the tokens that all prompts begin with; the rest of each prompt, its padding first; then
    what is answered, for which more are made as they are needed.
    """

    def __init__(self, model: Llama, prompts: Sequence[Sequence[int]]) -> None:
        self.model = model
        shortest = min(len(prompt) for prompt in prompts)
        shared = next((at for at in range(shortest - 1) if len({prompt[at] for prompt in prompts}) > 1), shortest - 1)
        lengths = torch.tensor([len(prompt) - shared for prompt in prompts])
        rest = int(lengths.max())
        self.slots = shared + rest
        self.padding = rest - lengths  # of each row
        shape = (len(prompts), model.kept_heads, self.slots, model.width)
        self.buffers = [[model.embedding.new_zeros(shape) for _ in range(2)] for _ in model.layers]
        self.seen = torch.ones(len(prompts), self.slots, dtype=torch.bool)  # False: padding
        self.seen[:, shared:] = torch.arange(rest)[None] >= self.padding[:, None]
        if shared:
            self._read(torch.tensor([prompts[0][:shared]]), torch.ones(1, shared, dtype=torch.bool), 0)
            for buffer in (one for pair in self.buffers for one in pair):
                buffer[1:, :, :shared] = buffer[:1, :, :shared]
        ids = torch.zeros(len(prompts), rest, dtype=torch.long)
        for row, prompt in enumerate(prompts):
            ids[row, rest - len(prompt) + shared :] = torch.tensor(prompt[shared:])
        self.last = self._read(ids, self.seen[:, shared:], shared)[lengths.cumsum(0) - 1]

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
        costs = score_positions(self.model.normalise(states, self.model.norm), self.model.head, targets)
        sums.index_add_(0, owners, costs.double())
        return [float(one) for one in sums]

    def answer(self, limit: int, ends: Collection[int]) -> list[list[int]]:
        """The likeliest token each time, up to and with one of `ends`, at most `limit`; the batch is used up."""
        found: list[list[int]] = [[] for _ in range(len(self.last))]
        rows = torch.arange(len(found))  # which prompt each row of the batch answers
        closing = torch.tensor(sorted(ends), dtype=torch.long)
        ended = torch.zeros(len(rows), dtype=torch.bool)
        hidden = self.last
        for step in range(limit):
            # the first of equals, as argmax, which takes longer in bf16
            chosen = self.model.logits(hidden).max(-1).indices
            for row, token, over in zip(rows.tolist(), chosen.tolist(), ended.tolist(), strict=True):
                if not over:
                    found[row].append(token)
            ended |= torch.isin(chosen, closing)
            left = len(rows) - int(ended.sum())
            if left == 0 or step + 1 == limit:
                break
            used = self.slots + step
            many = (len(rows) - left) * DROP >= len(rows)
            if many or used == self.seen.shape[1]:
                kept = (~ended).nonzero()[:, 0]
                self._keep(kept, used)
                rows, chosen, ended = rows[kept], chosen[kept], ended[kept]
            hidden = self._read_one(chosen, used)
        return found

    def _keep(self, kept: Tensor, used: int) -> None:
        """Only these rows, of which so many slots hold something, with room for `GROW` more at least."""
        slots = max(self.seen.shape[1], used + GROW)
        seen = torch.zeros(len(kept), slots, dtype=torch.bool)
        seen[:, :used] = self.seen[kept, :used]
        self.seen, self.padding = seen, self.padding[kept]
        for pair in self.buffers:
            for number, old in enumerate(pair):
                pair[number] = old.new_zeros((len(kept), old.shape[1], slots, old.shape[3]))
                pair[number][:, :, :used] = old[kept, :, :used]

    def _read(self, ids: Tensor, real: Tensor, start: int) -> Tensor:
        """Hidden states of the tokens `ids` (rows, tokens), those that are `real`, row by row: (real ones, width).

        Each sees the slots before `start` that hold something, and of these those up to itself. Keys and values go
        into the slots from `start` on, where there are any.
        """
        counts = real.sum(1)
        number = real.flatten().long().cumsum(0).view(real.shape) - 1
        found = self.model.embedding.new_empty(int(counts.sum()), self.model.embedding.shape[1])
        for rows in _by_length(counts):
            columns = real[rows].any(0).nonzero()[:, 0]
            own = real[rows][:, columns]
            found[number[rows][:, columns][own]] = self._read_rows(
                rows, ids[rows][:, columns], own, start, int(columns[0])
            )
        return found

    def _read_rows(self, rows: Tensor, ids: Tensor, real: Tensor, start: int, skipped: int) -> Tensor:
        """The same for some rows, of whose columns the first that hold padding alone were left out."""
        model = self.model
        count, tokens = ids.shape
        stored = self.seen.shape[1] > start
        first = start + skipped
        before = first if stored else start
        seen = torch.cat((self.seen[rows, :before], real), 1)[:, None]
        seen = seen & torch.ones(tokens, before + tokens, dtype=torch.bool).tril(before)
        # padding sees itself: scores of nothing are no numbers
        seen |= torch.arange(before + tokens) == torch.arange(before, before + tokens)[:, None]
        mask = torch.zeros(seen.shape, dtype=model.embedding.dtype).masked_fill_(~seen, float("-inf"))
        mask = mask.repeat(1, model.heads // model.kept_heads, 1)[:, None]
        position = torch.arange(first, first + tokens) - (self.padding[rows, None] if start else 0)
        hidden = functional.embedding(ids[real], model.embedding)
        turns = self._turn(position.expand(count, -1)[real])
        at = real.flatten().nonzero()[:, 0]
        for layer, buffers in zip(model.layers, self.buffers, strict=True):
            query, *new = (_spread(each, at, count, tokens) for each in model.project(layer, hidden, turns))
            if stored:
                for buffer, each in zip(buffers, new, strict=True):
                    buffer[rows, :, first : first + tokens] = each
                keys, values = (buffer[rows, :, : first + tokens] for buffer in buffers)
            else:
                keys, values = (torch.cat((buffer[rows], each), 2) for buffer, each in zip(buffers, new, strict=True))
            mixed = self._attend(query.reshape(count, model.kept_heads, -1, model.width), keys, values, mask)
            mixed = mixed.view(count, model.heads, tokens, model.width).transpose(1, 2).reshape(count * tokens, -1)
            hidden = model.finish(layer, hidden, mixed[at])
        return hidden

    def _attend(self, query: Tensor, keys: Tensor, values: Tensor, mask: Tensor) -> Tensor:
        """Attention of queries (rows, heads that are kept, queries that share keys below each other, width)."""
        scale = self.model.scale
        many = SCORES // (query.shape[1] * mask.shape[2] * mask.shape[3])
        if query.dtype == torch.float32 or many == 0:  # two products are faster than the CPU's own kernel in bf16 alone
            return functional.scaled_dot_product_attention(query, keys, values, attn_mask=mask, scale=scale)
        found = []
        for q, k, v, bias in zip(*(each.split(many) for each in (query, keys, values, mask)), strict=True):
            bias = bias.expand(-1, q.shape[1], -1, -1).flatten(0, 1)
            q, k, v = (each.flatten(0, 1) for each in (q, k, v))
            found.append(torch.bmm(torch.baddbmm(bias, q, k.transpose(1, 2), alpha=scale).softmax(-1), v))
        return torch.cat(found).view(query.shape)

    def _read_one(self, ids: Tensor, slot: int) -> Tensor:
        """Hidden states of one token a row, (rows, width), whose keys and values go into that slot."""
        model = self.model
        self.seen[:, slot] = True
        hidden = functional.embedding(ids, model.embedding)
        turns = self._turn(slot - self.padding)
        bias = torch.zeros(self.seen.shape, dtype=hidden.dtype).masked_fill_(~self.seen, float("-inf"))
        bias = bias[:, None].expand(-1, model.kept_heads, -1).reshape(-1, 1, bias.shape[1])
        for layer, buffers in zip(model.layers, self.buffers, strict=True):
            query, *new = model.project(layer, hidden, turns)
            for buffer, each in zip(buffers, new, strict=True):
                buffer[:, :, slot] = each
            keys, values = (buffer.flatten(0, 1) for buffer in buffers)
            query = query.reshape(len(keys), -1, model.width)
            shares = torch.baddbmm(bias, query, keys.transpose(1, 2), alpha=model.scale).softmax(-1)
            hidden = model.finish(layer, hidden, torch.bmm(shares, values).view(len(hidden), -1))
        return hidden

    def _turn(self, position: Tensor) -> tuple[Tensor, Tensor]:
        """The rotary embedding's cosines and sines, each (tokens, 1, width)."""
        cos, sin = self.model.rotary(self.model.embedding, position[None])
        return cos[0][:, None], sin[0][:, None]


def _by_length(counts: Tensor) -> Iterator[Tensor]:
    """Rows in groups of like numbers of tokens, at most `TOKENS` with padding; none of those without any."""
    order = counts.argsort(descending=True, stable=True).tolist()
    order = order[: int(counts.count_nonzero())]
    while order:
        many = max(1, TOKENS // int(counts[order[0]]))
        yield torch.tensor(order[:many])
        order = order[many:]


def _spread(tokens: Tensor, at: Tensor, count: int, columns: int) -> Tensor:
    """(tokens, heads, width) as (rows, heads, columns, width), zero where there is none."""
    grid = tokens.new_zeros(count * columns, *tokens.shape[1:]).index_copy_(0, at, tokens)
    return grid.view(count, columns, *tokens.shape[1:]).transpose(1, 2)
