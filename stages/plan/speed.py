"""How fast this machine trains and answers with a model of a given shape, and with how much memory: tried, not guessed.

Models with random weights and one block, then two, do a few passes; each further block costs what the second did. What
has been tried is not tried again by the same process.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch

from relearn.decoding import greedy
from relearn.models import check_device
from relearn.params.compute import Compute
from relearn.params.finetune import Lora
from relearn.progress import say
from relearn.training.quick import speed_up
from relearn.training.rounds import new_adapter
from relearn.training.rows import EncodedRow, collate

TRIES = 3  # of each timing; the fastest counts, since other work on the machine only slows it
STEPS = 8  # tokens decoded
_tried: dict[tuple[str, ...], list[float]] = {}  # by the kind of work, the model's shape, the computer and the batch


@dataclass(frozen=True)
class TrainingCost:
    """Of one pass over a batch, forward and back with the optimizer's step."""

    seconds: float
    parameters: float
    trainable: float
    saved: float  # bytes kept for the way back


@dataclass(frozen=True)
class AnswerCost:
    """Of a batch of prompts: the pass over them, and each token that follows."""

    prompts: float
    token: float
    cached: float  # bytes of keys and values a token and prompt


def measure_training(config: Any, compute: Compute, lora: Lora | None, rows: int, tokens: int) -> TrainingCost:
    """A batch of `rows` rows of `tokens` tokens, the loss on the second half of each; all weights without `lora`."""
    batch = collate([EncodedRow(_draw(config, tokens), max(1, tokens // 2))] * rows, 0)

    def measure(model: Any) -> list[float]:
        tuned = model if lora is None else new_adapter(model, lora)
        tuned.train()
        learned = [weight for weight in tuned.parameters() if weight.requires_grad]
        optimizer = torch.optim.AdamW(learned, lr=1e-5)
        inputs = {name: value.to(compute.device) for name, value in batch.items()}
        weights = {weight.untyped_storage().data_ptr() for weight in tuned.parameters()}
        kept: dict[int, int] = {}

        def note(saved: torch.Tensor) -> torch.Tensor:
            storage = saved.untyped_storage()
            if storage.data_ptr() not in weights:
                kept[storage.data_ptr()] = storage.nbytes()
            return saved

        def step() -> None:
            with _precision(compute):
                loss = tuned(**inputs).loss
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()

        with speed_up(tuned):
            with torch.autograd.graph.saved_tensors_hooks(note, lambda saved: saved):
                step()
            seconds = _fastest(step, compute)
        every = sum(weight.numel() for weight in tuned.parameters())
        return [seconds, every, sum(weight.numel() for weight in learned), sum(kept.values())]

    key = ("training", "" if lora is None else lora.model_dump_json(), f"{rows} x {tokens}")
    return TrainingCost(*_extend(config, compute, lora is not None, measure, key))


def measure_answers(config: Any, compute: Compute, rows: int, tokens: int) -> AnswerCost:
    """A batch of `rows` prompts of `tokens` tokens."""
    prompts = [_draw(config, tokens)] * rows

    def measure(model: Any) -> list[float]:
        def answer(limit: int) -> Callable[[], object]:
            return lambda: greedy.continue_prompts(model, prompts, limit, (), 0)

        with torch.inference_mode():
            first, more = (_fastest(answer(limit), compute) for limit in (1, 1 + STEPS))
        heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
        width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        size = next(model.parameters()).element_size()
        return [first, max(0.0, more - first) / STEPS, 2 * heads * width * size * model.config.num_hidden_layers]

    return AnswerCost(*_extend(config, compute, True, measure, ("answers", f"{rows} x {tokens}")))


def _draw(config: Any, tokens: int) -> tuple[int, ...]:
    return tuple(1 + number % (config.vocab_size - 1) for number in range(7, 7 + tokens))


def _precision(compute: Compute) -> Any:
    mixed = compute.precision == "bf16" and compute.device == "cuda"  # as `relearn.training.rounds.make_schedule`
    return torch.autocast(compute.device, torch.bfloat16) if mixed else nullcontext()


def _fastest(work: Callable[[], object], compute: Compute) -> float:
    found = []
    for _ in range(TRIES):
        begun = time.perf_counter()
        work()
        if compute.device == "cuda":
            torch.cuda.synchronize()
        found.append(time.perf_counter() - begun)
    return min(found)


def _extend(
    config: Any, compute: Compute, frozen: bool, measure: Callable[[Any], list[float]], key: tuple[str, ...]
) -> list[float]:
    """What `measure` finds of a model of one block and of two, carried on to all of the config's blocks.

    Frozen weights are in the profile's precision; those that learn are in fp32.
    """
    from transformers import AutoModelForCausalLM

    check_device(compute.device)
    key += (config.to_json_string(), compute.model_dump_json())
    if key in _tried:
        return _tried[key]
    if not _tried:
        say("trying with random weights how fast this machine trains and answers; it takes some seconds")
    blocks = config.num_hidden_layers
    found = []
    for count in range(1, min(2, blocks) + 1):
        small = copy.deepcopy(config)
        small.num_hidden_layers = count
        if getattr(small, "layer_types", None):
            small.layer_types = small.layer_types[:count]
        half = frozen and compute.precision == "bf16"
        model = AutoModelForCausalLM.from_config(small, dtype=torch.bfloat16 if half else torch.float32)
        found.append(measure(model.to(compute.device).eval()))
    first, last = found[0], found[-1]
    _tried[key] = [one + max(0.0, two - one) * (blocks - 1) for one, two in zip(first, last, strict=True)]
    return _tried[key]


def count_parameters(config: Any) -> float:
    """The weights of a model of this configuration, none of them made."""
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    return float(sum(weight.numel() for weight in model.parameters()))
