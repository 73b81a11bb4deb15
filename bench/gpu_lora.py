"""How fast one card trains the llama2-7b profile's LoRA round, on a randomly initialised Llama of that shape.

    python -m bench.gpu_lora                         # Llama-2-7B's shape, bf16, on the first CUDA device
    python -m bench.gpu_lora --quantize 4bit         # QLoRA, as the profile has it (requirements-gpu.txt)
    python -m bench.gpu_lora --shape tiny --device cpu --updates 4   # the code path, without a card

Speed depends on the shape alone, so nothing is downloaded. The profile's rank, targets, optimiser, checkpointing and
rows of an update are used; each row is `--tokens` long. Prints, and writes to bench/out/gpu_lora.json: the card,
tokens a second, the share of the card's bf16 peak (model FLOP utilisation: 4 FLOP a frozen weight and token, 6 an
adapter's, attention, nothing for recomputed activations), and peak memory. The peak is measured, by a matrix product of
8192 x 8192, not read from a data sheet.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "bench" / "out" / "gpu_lora.json"
SHAPES: dict[str, dict[str, int]] = {
    # https://huggingface.co/meta-llama/Llama-2-7b-hf/blob/main/config.json
    "llama2-7b": {
        "vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
        "num_attention_heads": 32, "num_key_value_heads": 32, "max_position_embeddings": 4096,
    },
    "tiny": {
        "vocab_size": 512, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
        "num_attention_heads": 2, "num_key_value_heads": 2, "max_position_embeddings": 4096,
    },
}  # fmt: skip


def main() -> None:
    """Builds the model, trains a few updates, and prints what it measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, default="llama2-7b")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--quantize", choices=("none", "4bit"), default="none")
    parser.add_argument("--updates", type=int, default=10, help="measured updates, beside two that are not (10)")
    parser.add_argument("--tokens", type=int, default=512, help="tokens of a row, a third of them prompt (512)")
    options = parser.parse_args()
    result = measure(options.shape, options.device, options.quantize, options.updates, options.tokens)
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=2))


def measure(shape: str, device: str, quantize: str, updates: int, tokens: int) -> dict[str, Any]:
    """Trains `updates` updates of the profile's LoRA round and returns the figures."""
    import tempfile

    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

    from bench.tuning import flop_per_token
    from relearn.models import load_base, set_seed_and_threads
    from relearn.params.compute import Compute
    from relearn.params.finetune import Finetune
    from relearn.training import rounds
    from relearn.training.rows import EncodedRow, EncodedRows
    from relearn.training.trainer import train

    if device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("gpu_lora: no CUDA device here; --shape tiny --device cpu tries the code path alone")
    profile = YAML(typ="safe").load(ROOT / "profiles" / "llama2-7b.yaml")
    finetune = Finetune.model_validate(profile["finetune"])
    cuda = device == "cuda"
    if not cuda:
        finetune = finetune.model_copy(update={"optimizer": "adamw"})
    if quantize == "none" and cuda:
        finetune = finetune.model_copy(update={"optimizer": "adamw"})
    threads = max(1, torch.get_num_threads())
    set_seed_and_threads(threads, 0)  # with the deterministic kernels that a round has
    config = LlamaConfig(**SHAPES[shape])
    model: PreTrainedModel
    with tempfile.TemporaryDirectory() as folder:
        with torch.device(device):
            model = LlamaForCausalLM._from_config(config, dtype=torch.bfloat16 if cuda else torch.float32)
        if quantize == "4bit":
            model.save_pretrained(folder)
            (Path(folder) / "tokenizer.json").write_text("{}")
            del model
            model = load_base(Path(folder), "cuda", "bf16", "4bit")
        tuned = rounds.new_adapter(model, finetune.lora)
        draw = torch.Generator().manual_seed(0)
        ids = torch.randint(3, config.vocab_size, (finetune.batch_size * finetune.accumulation, tokens), generator=draw)
        rows = EncodedRows([EncodedRow(tuple(row.tolist()), tokens // 3) for row in ids])
        compute = Compute(
            device="cuda" if cuda else "cpu", threads=threads,
            precision="bf16" if cuda else "fp32", quantize="4bit" if quantize == "4bit" else "none",
        )  # fmt: skip

        def run(count: int, name: str) -> float:
            plan = rounds.make_schedule(finetune, compute, 1e-4, count, 0)
            if cuda:
                torch.cuda.synchronize()
            begun = time.perf_counter()
            train(tuned, rows, {}, 0, plan, Path(folder) / name, name)
            if cuda:
                torch.cuda.synchronize()
            return time.perf_counter() - begun

        run(2, "warm-up")
        if cuda:
            torch.cuda.reset_peak_memory_stats()
        # setting up, and the checkpoint at the end, take as long in either
        rate = updates * ids.numel() / (run(2 + updates, "measured") - run(2, "short"))
    flop = flop_per_token(tuned, [(tokens, tokens // 3)])
    peak = _peak(device)
    return {
        "card": torch.cuda.get_device_name() if cuda else "none (cpu)",
        "shape": shape,
        "quantize": quantize,
        "rows_an_update": len(rows),
        "tokens_a_row": tokens,
        "gradient_checkpointing": finetune.gradient_checkpointing,
        "tokens_per_s": round(rate),
        "model_flop_utilisation": round(rate * flop / peak, 4),
        "peak_tflops": round(peak / 1e12, 3),
        "peak_memory_gib": round(torch.cuda.max_memory_allocated() / 2**30, 2) if cuda else None,
    }


def _peak(device: str) -> float:
    import torch

    size, dtype = (8192, torch.bfloat16) if device == "cuda" else (1024, torch.float32)
    one = torch.randn(size, size, device=device).to(dtype)
    best = float("inf")
    for _ in range(8):
        begun = time.perf_counter()
        torch.mm(one, one)
        if device == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - begun)
    return 2 * size**3 / best


if __name__ == "__main__":
    main()
