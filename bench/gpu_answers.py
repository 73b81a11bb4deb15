"""How fast one card answers and weighs references, on a randomly initialised Llama-2-7B with an adapter, beside plain loops.

    python -m bench.gpu_answers                      # Llama-2-7B's shape, bf16, on the first CUDA device
    python -m bench.gpu_answers --quantize 4bit      # as the profile has it (requirements-gpu.txt)
    python -m bench.gpu_answers --shape tiny --device cpu --prompts 4 --batches 2 --limit 8   # the code path, without a card

The adapter is beside the frozen weights, as `stages.predict` has it. Prompts are of unlike length, `--prompt` tokens at
most; no answer ends before `--limit`, so that both sides do the same work. For each of `--batches` prompts at a time:

- Decoding, greedy: `relearn.decoding.greedy` and `transformers.generate`, each once to warm up and then timed. Tokens a
  second are those of the answers; `equal` is the share of answers that are the same tokens on both sides (in bf16 two
  nearly equal logits may change places); `step_ms` is the time over `--limit`, and `floor_ms` what it takes to read the
  weights once at the measured rate of a copy, below which no step comes.
- Likelihoods of as many references: `relearn.decoding.local`, and a plain loop over rows, one at a time. Tokens a second
  count prompts and references; `model_flop_utilisation` is what they need (`bench.real.Arithmetic`) over the measured
  peak of a bf16 product.

Prints, and writes to bench/out/gpu_answers.json, each figure with the peak of memory.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench.gpu_lora import add_model, build, clock, measure_peak, name_card, read_finetune
from relearn.files import write_json

OUT = Path(__file__).resolve().parent.parent / "bench" / "out" / "gpu_answers.json"
PAD = 0


def main() -> None:
    """Builds the model, runs both parts, and prints what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_model(parser)
    parser.add_argument("--prompts", type=int, default=64, help="prompts, and references (64)")
    parser.add_argument("--batches", type=int, nargs="+", default=(8, 32, 64), help="prompts at a time (8 32 64)")
    parser.add_argument("--prompt", type=int, default=256, help="tokens of the longest prompt (256)")
    parser.add_argument("--limit", type=int, default=128, help="tokens of an answer and of a reference (128)")
    result = measure(parser.parse_args())
    write_json(OUT, result)
    print(json.dumps(result, indent=2))


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """The figures of both parts, by the number of prompts at a time."""
    from bench.real import Arithmetic

    model = build(options, read_finetune(options).lora).eval()
    model.generation_config.eos_token_id = None  # no answer ends before the limit
    draw, words = random.Random(0), model.config.vocab_size

    def write(length: int) -> list[int]:
        return [draw.randrange(3, words) for _ in range(length)]

    prompts = sorted(
        (write(draw.randint(max(1, options.prompt // 4), options.prompt)) for _ in range(options.prompts)), key=len
    )
    rows = [(prompt, write(options.limit)) for prompt in prompts]
    needs, peak = Arithmetic(model), measure_peak(options.device)
    flop = sum(needs.read(0, len(prompt)) + needs.write(len(prompt), len(answer)) for prompt, answer in rows)
    floor = sum(weight.numel() * weight.element_size() for weight in model.parameters()) / _copy_rate(options.device)
    found: dict[str, Any] = {
        "card": name_card(options.device),
        "shape": options.shape,
        "quantize": options.quantize,
        "prompts": len(prompts),
        "floor_ms": round(floor * 1000, 2),
        "peak_tflops": round(peak / 1e12, 3),
    }
    for size in options.batches:
        batches = [slice(start, start + size) for start in range(0, len(prompts), size)]
        sides = {
            side: _time(answer, [(model, prompts[batch], options.limit) for batch in batches], options.device)
            for side, answer in (("relearn", _answer), ("generate", _answer_by_generate))
        }
        decoding: dict[str, Any] = {
            side: {
                "tokens_per_s": round(options.limit * len(prompts) / seconds),
                "step_ms": round(seconds * 1000 / options.limit / len(batches), 2),
                "peak_memory_gib": memory,
            }
            for side, (_, seconds, memory) in sides.items()
        }
        pairs = list(zip(*(answers for answers, _, _ in sides.values()), strict=True))
        decoding["equal"] = round(sum(one == other for one, other in pairs) / len(pairs), 3)
        weighed = {
            "relearn": _time(_weigh, [(model, rows[batch]) for batch in batches], options.device),
            "one at a time": _time(_weigh_alone, [(model, rows)], options.device),
        }
        likelihoods = {
            side: {
                "tokens_per_s": round(sum(len(prompt) + len(answer) for prompt, answer in rows) / seconds),
                "model_flop_utilisation": round(flop / seconds / peak, 4),
                "nats": round(sum(nats), 1),
                "peak_memory_gib": memory,
            }
            for side, (nats, seconds, memory) in weighed.items()
        }
        found[f"{size} at a time"] = {"decoding": decoding, "likelihoods": likelihoods}
    return found


def _time(
    work: Callable[..., list[Any]], calls: Sequence[tuple[Any, ...]], device: str
) -> tuple[list[Any], float, Any]:
    """What all calls give, in one list, the seconds of the second time, and the peak of memory in GiB."""
    import torch

    torch.use_deterministic_algorithms(work in (_answer, _weigh), warn_only=True)  # nobody asks it of the peers
    with torch.inference_mode():
        work(*calls[0])
        if device == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        begun = clock(device)
        found = [one for call in calls for one in work(*call)]
        seconds = clock(device) - begun
    return found, seconds, round(torch.cuda.max_memory_allocated() / 2**30, 2) if device == "cuda" else None


def _answer(model: Any, prompts: Sequence[list[int]], limit: int) -> list[list[int]]:
    from relearn.decoding.greedy import continue_prompts

    return continue_prompts(model, prompts, limit, (), PAD)


def _answer_by_generate(model: Any, prompts: Sequence[list[int]], limit: int) -> list[list[int]]:
    import torch

    width = max(map(len, prompts))
    ids = torch.tensor([[PAD] * (width - len(prompt)) + prompt for prompt in prompts], device=model.device)
    mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts], device=model.device)
    out = model.generate(input_ids=ids, attention_mask=mask, max_new_tokens=limit, do_sample=False, pad_token_id=PAD)
    return [row[width:].tolist() for row in out]


def _weigh(model: Any, rows: Sequence[tuple[list[int], list[int]]]) -> list[float]:
    from relearn.decoding.local import score_batch

    return score_batch(model, rows, PAD)


def _weigh_alone(model: Any, rows: Sequence[tuple[list[int], list[int]]]) -> list[float]:
    import torch

    found = []
    for prompt, answer in rows:
        ids = torch.tensor([[*prompt, *answer]], device=model.device)
        logits = model(input_ids=ids).logits[0, len(prompt) - 1 : -1].float()
        found.append(float(torch.nn.functional.cross_entropy(logits, ids[0, len(prompt) :], reduction="sum")))
    return found


def _copy_rate(device: str) -> float:
    """Bytes a second that a large copy reads and writes."""
    import torch

    one = torch.zeros((1 << 31) if device == "cuda" else (1 << 24), dtype=torch.uint8, device=device)
    two, best = torch.empty_like(one), float("inf")
    for _ in range(8):
        begun = clock(device)
        two.copy_(one)
        best = min(best, clock(device) - begun)
    return 2 * one.numel() / best


if __name__ == "__main__":
    main()
