"""How fast a LoRA round trains beside TRL's `SFTTrainer`: the same rows, model, updates and threads, in one run.

    python -m bench.tuning                   # after `make repro`, whose base and rows it trains; about 7 minutes
    python -m bench.tuning --rounds 1
    python -m bench.tuning --shuffled        # TRL with its own order of rows, too
    python -m bench.tuning --folder FOLDER   # another project, which has run (`bench.real`)

The sides, each in a process of its own, one after the other, never two at once, in turn:
- `ours`: `relearn.training.trainer`;
- `trl`: `SFTTrainer` given the very batches of ours in the same order, so that both make the same updates;
- `trl_shuffled`, where asked for: `SFTTrainer` with its own order, its default: rows of unlike lengths, more padding.

All get the same token ids and masks, the same adapter with the same first weights (fp32), frozen weights in the
profile's precision, the same batch size, number of updates, optimiser (fused AdamW), schedule, clipping and checkpoints. TRL is asked for no more than its defaults
otherwise, but for gradient checkpointing (its default), which is switched off: it would only slow it down. Each round
has a seed of its own, the same for all sides.

A side's clock runs from before the trainer is made until training has ended, compilation and the checkpoints
included; tokens are those that are not padding. Held-out losses are measured outside the clock, by one function for
all, on the saved adapter over a base that no trainer has touched. The run fails when those of `trl` lie more than 2%
from ours in any round. Those of `trl_shuffled` may, since another order ends in another place: their mean difference
over the rounds is reported. `peak_share` is the arithmetic that a token needs (the frozen weights forwards and
backwards, the adapter three times, attention; logits only where the loss looks) times tokens a second, over what a
matrix product in that precision reaches here (`relearn.precision`).

Writes bench/out/tuning.json: `ratio` (median over rounds of ours / TRL), `ours_tokens_per_s`, `trl_tokens_per_s`
(medians), `peak_share`, `cpu_ratio` (of processor time, which a busy machine moves less), and each run. TRL
(bench/requirements.txt) goes into .cache/bench/, beside the libraries that the project runs on, not among them.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from relearn.files import write_json
from relearn.precision import measure_product

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "bench" / "out" / "tuning.json"
SCRATCH = ROOT / ".cache" / "bench"
APART = 0.02  # largest relative difference of the held-out losses


def main() -> None:
    """Runs the sides in turn and writes the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="runs of each side (7)")
    parser.add_argument("--rows", type=int, default=350, help="training rows at most (350)")
    parser.add_argument("--epochs", type=float, default=2, help="passes over the rows (2)")
    parser.add_argument("--lr", type=float, default=2e-3, help="learning rate (2e-3)")
    parser.add_argument("--seed", type=int, default=1222, help="of the first round; the next ones count on (1222)")
    parser.add_argument("--shuffled", action="store_true", help="also TRL with its own order of rows")
    parser.add_argument("--folder", type=Path, default=ROOT, help="the project that has run (this one)")
    parser.add_argument("--out", type=Path, default=OUT, help="the result's file (bench/out/tuning.json)")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        print(json.dumps(_side(options)))
        return
    site = _trl()
    sides = [side for side in SIDES if side != "trl_shuffled" or options.shuffled]
    runs: dict[str, list[dict[str, Any]]] = {side: [] for side in sides}
    for number in range(options.rounds):
        for side in sides:
            runs[side].append(_child(side, options, options.seed + number, site))
            print(f"round {number + 1}, {side}: {runs[side][-1]['tokens_per_s']:,.0f} tokens/s", flush=True)
    result = compare(runs, measure_product(runs["ours"][0]["precision"], runs["ours"][0]["threads"], 3))
    write_json(options.out, result)
    print(json.dumps({key: value for key, value in result.items() if key != "runs"}, indent=2))
    if max(result["held_out_difference"].values()) > APART:
        sys.exit(f"tuning: held-out losses lie more than {APART:.0%} apart; the comparison does not hold")


def compare(runs: dict[str, list[dict[str, Any]]], peak: float) -> dict[str, Any]:
    """The figures of the comparison; `peak` in FLOP/s. Raises ValueError when the sides did not do the same work."""
    for key in ("rows", "updates", "tokens", "threads", "precision"):
        if len({run[key] for side in runs.values() for run in side}) != 1:
            raise ValueError(f"the sides differ in {key}")
    ours = runs["ours"][0]
    middle = {side: statistics.median(run["tokens_per_s"] for run in found) for side, found in runs.items()}
    ratios = _ratios(runs, "trl", "seconds")
    result: dict[str, Any] = {
        "ratio": round(statistics.median(ratios), 3),
        "ratios": ratios,
        "cpu_ratio": round(statistics.median(_ratios(runs, "trl", "cpu_seconds")), 3),
        "ours_tokens_per_s": round(middle["ours"]),
        "trl_tokens_per_s": round(middle["trl"]),
        "peak_share": round(middle["ours"] * ours["flop_per_token"] / peak, 3),
        "peak_gflops": round(peak / 1e9, 1),
        "held_out_difference": {
            task: round(max(map(abs, _differences(runs, "trl", task))), 4) for task in ours["held_out"]
        },
    }
    if "trl_shuffled" in runs:
        ratios = _ratios(runs, "trl_shuffled", "seconds")
        result["shuffled"] = {
            "ratio": round(statistics.median(ratios), 3),
            "ratios": ratios,
            "cpu_ratio": round(statistics.median(_ratios(runs, "trl_shuffled", "cpu_seconds")), 3),
            "trl_tokens_per_s": round(middle["trl_shuffled"]),
            "mean_held_out_difference": {
                task: round(statistics.fmean(_differences(runs, "trl_shuffled", task)), 4) for task in ours["held_out"]
            },
        }
    return {**result, **{key: ours[key] for key in ("rows", "updates", "tokens", "threads", "precision")}, "runs": runs}


def _ratios(runs: dict[str, list[dict[str, Any]]], side: str, clock: str) -> list[float]:
    """Their time over ours, round by round."""
    return [round(theirs[clock] / ours[clock], 3) for ours, theirs in zip(runs["ours"], runs[side], strict=True)]


def _differences(runs: dict[str, list[dict[str, Any]]], side: str, task: str) -> list[float]:
    """Their held-out loss over ours, less one, round by round."""
    return [
        theirs["held_out"][task] / ours["held_out"][task] - 1
        for ours, theirs in zip(runs["ours"], runs[side], strict=True)
    ]


def _child(side: str, options: argparse.Namespace, seed: int, site: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "bench.tuning", "--side", side, f"--seed={seed}"]
    command += [f"--{name}={getattr(options, name)}" for name in ("rows", "epochs", "lr", "folder")]
    path = os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])
    quiet = {
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "GOMP_SPINCOUNT": "10000",  # as `make` and the stages set it
    }
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **quiet, "PYTHONPATH": path}, stdout=subprocess.PIPE, text=True, check=False
    )  # fmt: skip
    if done.returncode:
        sys.exit(f"tuning: the side {side} failed")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _trl() -> Path:
    """The folder that holds TRL: installed once, without dependencies, since the project's pins satisfy them."""
    pin = re.search(r"^trl==\S+", (ROOT / "bench" / "requirements.txt").read_text(encoding="utf-8"), re.M)
    if pin is None:
        sys.exit("tuning: bench/requirements.txt names no trl==VERSION")
    site = SCRATCH / pin.group().replace("==", "-")
    if not (site / "trl").is_dir():
        print(f"installing {pin.group()} into {site.relative_to(ROOT)}", flush=True)
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(site)]
        subprocess.run([*command, pin.group()], check=True)
    return site


def _side(options: argparse.Namespace) -> dict[str, Any]:
    """One run: loads what all sides share, trains, and measures."""
    import torch

    from relearn import model_files, models
    from relearn.params import load
    from relearn.training import rounds
    from relearn.training.rows import encode
    from relearn.training.trainer import measure_loss
    from stages import corpus
    from stages.paths import Paths

    paths, params = Paths.of(options.folder), load(options.folder)
    models.set_seed_and_threads(params.compute.threads, options.seed)
    weights = model_files.find_weights(paths.models / "base", options.folder)
    chat = models.load_chat(weights, params.chat.template, params.chat.arguments, params.chat.date)
    rows = encode(corpus.read_new_to_learn(paths)[: options.rows], chat, params.finetune.max_tokens)
    held_out = {
        task: encode(found, chat, params.finetune.max_tokens)
        for task, found in corpus.read_watched(paths, True).items()
    }
    model = models.load_base(weights, "cpu", params.compute.precision)
    models.set_seed_and_threads(params.compute.threads, options.seed)
    tuned = rounds.new_adapter(model, params.finetune.lora)
    schedule = rounds.make_schedule(params.finetune, params.compute, options.lr, options.epochs, options.seed)
    scratch = SCRATCH / f"{options.side}-run"
    shutil.rmtree(scratch, ignore_errors=True)
    if options.side != "ours":
        # The byte-equal runs that our stages promise need this; nobody asks it of TRL, and it has a price.
        torch.use_deterministic_algorithms(False)
    begun, busy = time.perf_counter(), time.process_time()
    updates = SIDES[options.side](tuned, chat.tokenizer, rows, schedule, scratch)
    seconds, busy = time.perf_counter() - begun, time.process_time() - busy
    rounds.save_adapter(tuned, scratch / "end", {}, "")
    clean = models.FrozenBase(weights, "cpu", params.compute.precision).put(scratch / "end")
    tokens = round(sum(len(row.ids) for row in rows.rows) * options.epochs)
    return {
        "seed": options.seed,
        "rows": len(rows),
        "updates": updates,
        "tokens": tokens,
        "threads": params.compute.threads,
        "precision": params.compute.precision,
        "seconds": round(seconds, 2),
        "cpu_seconds": round(busy, 2),
        "tokens_per_s": round(tokens / seconds, 1),
        "flop_per_token": flop_per_token(tuned, [(len(row.ids), row.prompt) for row in rows.rows]),
        "held_out": {
            task: round(measure_loss(clean, found, chat.tokenizer.pad_token_id, 32), 5)
            for task, found in held_out.items()
        },
    }


def flop_per_token(model: Any, lengths: list[tuple[int, int]]) -> float:
    """What training needs for a token of rows of (length, prompt length), in FLOP.

    A frozen weight costs 2 forwards and 2 backwards (no gradient of its own), an adapter's weight 6, attention over
    half the square 4 forwards and 8 backwards a unit of width, and the logits only at the response's positions.
    """
    frozen = sum(count_numbers(p) for n, p in model.named_parameters() if "_proj" in n and not p.requires_grad)
    adapter = sum(p.numel() for p in model.parameters() if p.requires_grad)
    config = model.config
    tokens = sum(length for length, _ in lengths)
    looked = sum(length - prompt for length, prompt in lengths) / tokens
    square = sum(length * length for length, _ in lengths) / tokens / 2
    attention = 12 * square * config.hidden_size * config.num_hidden_layers
    return float(4 * frozen + 6 * adapter + attention + 4 * looked * config.hidden_size * config.vocab_size)


def count_numbers(weight: Any) -> int:
    """The numbers in a weight; bitsandbytes packs those of 4 bits in pairs."""
    state = getattr(weight, "quant_state", None)
    return int(weight.numel()) if state is None else math.prod(state.shape)


def _ours(model: Any, tokenizer: Any, rows: Any, schedule: Any, scratch: Path) -> int:
    from relearn.training.trainer import train

    return train(model, rows, {}, tokenizer.pad_token_id, schedule, scratch, "ours").steps


def _trl_same(model: Any, tokenizer: Any, rows: Any, schedule: Any, scratch: Path) -> int:
    from trl import SFTTrainer  # type: ignore[import-not-found, unused-ignore]

    from relearn.training.rows import GroupedSampler

    class Same(SFTTrainer):  # type: ignore[misc, unused-ignore]
        """SFTTrainer with our order of rows."""

        def _get_train_sampler(self, train_dataset: Any = None) -> GroupedSampler:
            return GroupedSampler([len(row.ids) for row in rows.rows], schedule.batch_size, schedule.seed)

    return _sft(Same, model, tokenizer, rows, schedule, scratch)


def _trl_shuffled(model: Any, tokenizer: Any, rows: Any, schedule: Any, scratch: Path) -> int:
    from trl import SFTTrainer

    return _sft(SFTTrainer, model, tokenizer, rows, schedule, scratch)


def _sft(trainer_class: Any, model: Any, tokenizer: Any, rows: Any, schedule: Any, scratch: Path) -> int:
    from datasets import Dataset
    from trl import SFTConfig

    data = Dataset.from_list(
        [
            {"input_ids": list(row.ids), "completion_mask": [0] * row.prompt + [1] * (len(row.ids) - row.prompt)}
            for row in rows.rows
        ]
    )  # fmt: skip
    arguments = SFTConfig(
        output_dir=str(scratch),
        num_train_epochs=schedule.epochs,
        learning_rate=schedule.lr,
        per_device_train_batch_size=schedule.batch_size,
        gradient_accumulation_steps=schedule.accumulation,
        lr_scheduler_type=schedule.shape,
        warmup_steps=schedule.warmup_steps,
        weight_decay=schedule.weight_decay,
        max_grad_norm=schedule.max_grad_norm,
        optim="adamw_torch_fused",
        seed=schedule.seed,
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        completion_only_loss=True,
        max_length=max(len(row.ids) for row in rows.rows),
        save_strategy="steps",
        save_steps=schedule.checkpoint_every,
        save_total_limit=2,
        report_to=[],
        disable_tqdm=True,
        dataloader_pin_memory=False,
    )
    trainer = trainer_class(model=model, args=arguments, train_dataset=data, processing_class=tokenizer)
    trainer.train()
    return int(trainer.state.global_step)


SIDES = {"ours": _ours, "trl": _trl_same, "trl_shuffled": _trl_shuffled}

if __name__ == "__main__":
    main()
