"""How fast one card trains the llama2-7b profile's LoRA round, on a randomly initialised Llama of that shape.

    python -m bench.gpu_lora                         # Llama-2-7B's shape, bf16, on the first CUDA device
    python -m bench.gpu_lora --quantize 4bit         # QLoRA, as the profile has it (requirements-gpu.txt)
    python -m bench.gpu_lora --batch-size 8 --keep-activations   # the same rows of an update in one pass
    python -m bench.gpu_lora --shape tiny --device cpu --updates 4   # the code path, without a card

Speed depends on the shape alone, so nothing is downloaded. The profile's rank, targets, optimiser, checkpointing and
rows of an update are used; each row is `--tokens` long. The sides train the same adapter one after the other in this
process: `relearn`, and `transformers.Trainer` with a collator that stacks the rows. Prints, and writes to
bench/out/gpu_lora.json: the card, and of each side tokens a second, the share of the card's bf16 peak (model FLOP
utilisation: 4 FLOP a frozen weight and token, 6 an adapter's, attention, nothing for recomputed activations), and peak
memory; `ratio` is ours over the peer's tokens a second. The peak is measured, by a matrix product of 8192 x 8192, not
read from a data sheet.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from relearn.files import write_json
from relearn.params.finetune import Finetune, Lora

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
    add_model(parser)
    parser.add_argument("--updates", type=int, default=10, help="measured updates, beside two that are not (10)")
    parser.add_argument("--tokens", type=int, default=512, help="tokens of a row, a third of them prompt (512)")
    parser.add_argument("--batch-size", type=int, help="rows of a pass (the profile's); those of an update stay")
    parser.add_argument("--keep-activations", action="store_true", help="without gradient checkpointing")
    result = measure(parser.parse_args())
    write_json(OUT, result)
    print(json.dumps(result, indent=2))


def add_model(parser: argparse.ArgumentParser) -> None:
    """The options that `build` takes."""
    parser.add_argument("--shape", choices=SHAPES, default="llama2-7b")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--quantize", choices=("none", "4bit"), default="none")


def read_finetune(options: argparse.Namespace) -> Finetune:
    """The llama2-7b profile's, with the optimiser that there is."""
    profile = YAML(typ="safe").load(ROOT / "profiles" / "llama2-7b.yaml")
    finetune = Finetune.model_validate(profile["finetune"])
    if options.quantize == "none" or options.device == "cpu":  # without bitsandbytes
        finetune = finetune.model_copy(update={"optimizer": "adamw"})
    return finetune


def build(options: argparse.Namespace, lora: Lora) -> Any:
    """A frozen model of random weights on the device, as `relearn.models.load_base` gives it, and a new adapter on it."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

    from relearn.models import load_base, set_seed_and_threads
    from relearn.training import rounds

    if options.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("no CUDA device here; --shape tiny --device cpu tries the code path alone")
    set_seed_and_threads(torch.get_num_threads(), 0)  # with the deterministic kernels that a round has
    model: PreTrainedModel
    with torch.device(options.device):
        dtype = torch.bfloat16 if options.device == "cuda" else torch.float32
        model = LlamaForCausalLM._from_config(LlamaConfig(**SHAPES[options.shape]), dtype=dtype)
    if options.quantize == "4bit":
        with tempfile.TemporaryDirectory() as folder:
            model.save_pretrained(folder)
            (Path(folder) / "tokenizer.json").write_text("{}")
            del model
            model = load_base(Path(folder), "cuda", "bf16", "4bit")
    return rounds.new_adapter(model, lora)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Trains `updates` updates of the profile's LoRA round on each side and returns the figures."""
    import torch

    from bench.tuning import flop_per_token
    from relearn.params.compute import Compute
    from relearn.training import rounds
    from relearn.training.rows import EncodedRow, EncodedRows
    from relearn.training.trainer import train

    finetune, cuda = read_finetune(options), options.device == "cuda"
    rows_an_update = finetune.batch_size * finetune.accumulation
    batch = options.batch_size or finetune.batch_size
    if rows_an_update % batch:
        raise SystemExit(f"--batch-size: an update has {rows_an_update} rows; give a divisor of that")
    checkpointing = finetune.gradient_checkpointing and not options.keep_activations
    finetune = finetune.model_copy(
        update={"batch_size": batch, "accumulation": rows_an_update // batch, "gradient_checkpointing": checkpointing}
    )
    tuned = build(options, finetune.lora)
    draw = torch.Generator().manual_seed(0)
    ids = torch.randint(3, tuned.config.vocab_size, (rows_an_update, options.tokens), generator=draw)
    rows = EncodedRows([EncodedRow(tuple(row.tolist()), options.tokens // 3) for row in ids])
    compute = Compute(
        device=options.device, threads=torch.get_num_threads(),
        precision="bf16" if cuda else "fp32", quantize=options.quantize,
    )  # fmt: skip

    def ours(updates: int, folder: Path) -> None:
        train(tuned, rows, {}, 0, rounds.make_schedule(finetune, compute, 1e-4, updates, 0), folder, folder.name)

    def peer(updates: int, folder: Path) -> None:
        _train_with_transformers(tuned, ids, finetune, options, updates, folder)

    flop, peak = flop_per_token(tuned, [(options.tokens, options.tokens // 3)]), measure_peak(options.device)
    sides: dict[str, dict[str, Any]] = {}
    for name, side in (("relearn", ours), ("transformers.Trainer", peer)):
        torch.use_deterministic_algorithms(side is ours, warn_only=True)  # nobody asks it of the peer
        rate, memory = _time(side, name, options, ids.numel())
        sides[name] = {
            "tokens_per_s": round(rate),
            "model_flop_utilisation": round(rate * flop / peak, 4),
            "peak_memory_gib": memory,
        }
    return {
        "card": name_card(options.device),
        "shape": options.shape,
        "quantize": options.quantize,
        "rows_an_update": rows_an_update,
        "rows_a_pass": batch,
        "tokens_a_row": options.tokens,
        "gradient_checkpointing": checkpointing,
        "sides": sides,
        "ratio": round(sides["relearn"]["tokens_per_s"] / sides["transformers.Trainer"]["tokens_per_s"], 2),
        "peak_tflops": round(peak / 1e12, 3),
    }


def _time(
    side: Callable[[int, Path], None], name: str, options: argparse.Namespace, tokens: int
) -> tuple[float, float | None]:
    """Tokens a second of a side whose update has so many, and the peak of its memory in GiB."""
    import torch

    cuda = options.device == "cuda"

    def run(updates: int, what: str) -> float:
        with tempfile.TemporaryDirectory() as folder:
            begun = clock(options.device)
            side(updates, Path(folder) / f"{name}, {what}")
            return clock(options.device) - begun

    run(2, "warm-up")
    if cuda:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    # setting up, and the checkpoint at the end, take as long in either
    rate = options.updates * tokens / (run(2 + options.updates, "measured") - run(2, "short"))
    return rate, round(torch.cuda.max_memory_allocated() / 2**30, 2) if cuda else None


def _train_with_transformers(
    model: Any, ids: Any, finetune: Finetune, options: argparse.Namespace, updates: int, folder: Path
) -> None:
    """So many updates by transformers' own trainer: an epoch each, as ours."""
    import torch
    from transformers import Trainer, TrainingArguments

    labels = ids.clone()
    labels[:, : options.tokens // 3] = -100
    arguments = TrainingArguments(
        output_dir=str(folder), num_train_epochs=updates, learning_rate=1e-4, seed=0,
        per_device_train_batch_size=finetune.batch_size, gradient_accumulation_steps=finetune.accumulation,
        optim="adamw_bnb_8bit" if finetune.optimizer == "adamw_8bit" else "adamw_torch_fused",
        activation_checkpointing=finetune.gradient_checkpointing, bf16=options.device == "cuda",
        use_cpu=options.device == "cpu", save_strategy="no", logging_strategy="no", report_to=[], disable_tqdm=True,
        remove_unused_columns=False,
    )  # fmt: skip
    arguments._n_gpu = min(arguments.n_gpu, 1)
    rows = [{"input_ids": row, "labels": told} for row, told in zip(ids, labels, strict=True)]

    def stack(some: Sequence[Any]) -> dict[str, Any]:
        return {key: torch.stack([row[key] for row in some]) for key in ("input_ids", "labels")}

    Trainer(model=model, args=arguments, train_dataset=rows, data_collator=stack).train()


def clock(device: str) -> float:
    """The time in seconds, once the device has done all that it was given."""
    import torch

    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def name_card(device: str) -> str:
    """The card's name."""
    import torch

    return torch.cuda.get_device_name() if device == "cuda" else "none (cpu)"


def measure_peak(device: str) -> float:
    """FLOP a second of a large product of random matrices: in bf16 on a card, in fp32 on a CPU."""
    import torch

    size, dtype = (8192, torch.bfloat16) if device == "cuda" else (1024, torch.float32)
    one = torch.randn(size, size, device=device).to(dtype)
    best = float("inf")
    for _ in range(8):
        begun = clock(device)
        torch.mm(one, one)
        best = min(best, clock(device) - begun)
    return 2 * size**3 / best


if __name__ == "__main__":
    main()
