"""The real model (profile smollm2) beside its peers: training, decoding and likelihoods, each as a share of the limit too.

    python -m bench.real                     # about 20 minutes; after `make real`, whose steps it finds in the cache
    python -m bench.real --rounds 1 --only decoding
    python -m bench.real --vllm ENV/bin/python   # vLLM's CPU build, from an environment of its own (bench/requirements.txt)

Base and rows are made by the pipeline in a clone of the last commit, .cache/bench/real. Sides take turns, each in a
process of its own; loading is outside the clock, warming up too where a side compiles.

- Training: `bench.tuning` on that clone: ours and TRL's `SFTTrainer`, the same precision, rows, updates and weights.
- Decoding: held-out prompts of all tasks in batches of 64, greedy, 120 tokens at most: ours, `transformers.generate`
  (without likelihoods, left padding), and vLLM. Tokens a second count the tokens of the answers with their end. In fp32
  the answers are compared token by token.
- Likelihoods: of the references of the same prompts, prompts read anew, nothing generated.

Decoding and likelihoods run in fp32, and in bf16 too where this CPU multiplies faster in it.

What arithmetic needs, in FLOP, with N the weights of the blocks: 2N a token read, 2HV (H wide, V words) a position whose
logits somebody wants, and 4H a layer for each pair of positions that attention looks at. Training adds 2N and 2HV for
the gradients of inputs (frozen weights have none), twice the attention, and 6 for each weight of the adapter. Tokens
are real ones: no padding. The limit is what `relearn.precision` measures for a product in the same precision in the
same run. In decoding a prompt's token counts once in every prompt, though ours reads a common beginning once a batch.

Writes bench/out/real.json.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from bench.tuning import count_numbers
from relearn.files import write_json
from relearn.precision import compare_precisions

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "bench" / "out" / "real.json"
FOLDER = ROOT / ".cache" / "bench" / "real"
PARTS = ("training", "decoding", "likelihoods")
BATCH, LIMIT = 64, 120  # prompts, tokens
LR = "1e-3"  # as `make real`


def main() -> None:
    """Measures the parts asked for; those that were measured before stay in the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2, help="runs of each side (2)")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--rows", type=int, default=80, help="training rows at most (80)")
    parser.add_argument("--prompts", type=int, default=12, help="held-out prompts of each task (12)")
    parser.add_argument("--vllm", metavar="PYTHON", help="the interpreter of an environment that has vLLM")
    parser.add_argument("--side", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        print(json.dumps(_side(*options.side, options.prompts)))
        return
    precisions = prepare()
    found = json.loads(OUT.read_text(encoding="utf-8")) if OUT.is_file() else {}
    if "training" in options.only:
        found["training"] = _training(options)
    if "decoding" in options.only:
        found["decoding"] = _decoding(options, precisions)
    if "likelihoods" in options.only:
        found["likelihoods"] = _likelihoods(options, precisions)
    write_json(OUT, found)


def prepare() -> list[str]:
    """Makes the clone, with the real model as base and its rows, in the precision that `make real` chooses on this CPU.

    Returns the precisions to decode in: the chosen one, and fp32, in which answers are compared.
    """
    if not (FOLDER / ".git").is_dir():
        FOLDER.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(FOLDER)], check=True)
    (FOLDER / "params.yaml").write_text(f"profile: smollm2\nlr: {LR}\nseed: 1222\nmethod: plain\n", encoding="utf-8")
    profile, yaml = FOLDER / "profiles" / "smollm2.yaml", YAML()
    tree = yaml.load(profile)
    rates = compare_precisions(tree["compute"]["threads"])
    tree["compute"]["precision"] = faster = max(rates, key=lambda name: rates[name])
    yaml.dump(tree, profile)
    cache = ROOT / ".dvc" / "cache"
    subprocess.run(["dvc", "cache", "dir", "--quiet", "--local", str(cache)], cwd=FOLDER, check=True)
    subprocess.run(["dvc", "repro", "--quiet", "base", "repair"], cwd=FOLDER, check=True)
    return ["bf16", "fp32"] if faster == "bf16" else ["fp32"]


def _training(options: argparse.Namespace) -> dict[str, Any]:
    out = OUT.with_name("real-training.json")
    command = [sys.executable, "-m", "bench.tuning", "--folder", str(FOLDER), "--out", str(out)]
    command += ["--rounds", str(options.rounds), "--rows", str(options.rows), "--epochs", "1", "--lr", LR]
    subprocess.run(command, cwd=ROOT, check=True)
    found: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    return found


def _decoding(options: argparse.Namespace, precisions: Sequence[str]) -> dict[str, Any]:
    sides = [(way, precision) for precision in precisions for way in ("ours", "generate")]
    if options.vllm:
        sides += [("vllm", precision) for precision in precisions]
    runs: dict[str, list[dict[str, Any]]] = {" ".join(side): [] for side in sides}
    for _ in range(options.rounds):
        for way, precision in sides:
            run = (
                _vllm(options.vllm, precision, options.prompts)
                if way == "vllm"
                else _child(way, precision, options.prompts)
            )
            runs[f"{way} {precision}"].append(run)
            print(f"decoding, {way} {precision}: {run['tokens_per_s']:.0f} tokens/s", flush=True)
    rates = {side: statistics.median(run["tokens_per_s"] for run in found) for side, found in runs.items()}
    best = {way: max((rates[f"{way} {each}"], each) for each in precisions) for way, _ in sides}
    ours = runs["ours fp32"][0]["answers"]
    same = {
        way: sum(one == two for one, two in zip(ours, runs[f"{way} fp32"][0]["answers"], strict=True))
        for way, _ in sides
        if way != "ours"
    }
    shares = {
        side: round(statistics.median(run["peak_share"] for run in found), 3)
        for side, found in runs.items()
        if side.startswith("ours")
    }
    return {
        "prompts": len(ours),
        "tokens_per_s": {side: round(rate, 1) for side, rate in rates.items()},
        "fastest": {way: precision for way, (_, precision) in best.items()},
        "ratio": {way: round(best["ours"][0] / rate, 2) for way, (rate, _) in best.items() if way != "ours"},
        "ratio_fp32": {way: round(rates["ours fp32"] / rates[f"{way} fp32"], 2) for way in same},
        "same_in_fp32": same,
        "peak_share": shares,
        "peak_gflops": {side: runs[side][0]["peak_gflops"] for side in shares},
        "prompt_share": {side: runs[side][0]["prompt_share"] for side in shares},
    }


def _likelihoods(options: argparse.Namespace, precisions: Sequence[str]) -> dict[str, Any]:
    runs: dict[str, list[dict[str, Any]]] = {precision: [] for precision in precisions}
    for _ in range(options.rounds):
        for precision in precisions:
            runs[precision].append(_child("likelihoods", precision, options.prompts))
            print(f"likelihoods, {precision}: {runs[precision][-1]['tokens_per_s']:.0f} tokens/s", flush=True)
    return {
        precision: {
            key: round(statistics.median(run[key] for run in found), 3)
            for key in ("tokens_per_s", "peak_share", "peak_gflops", "nats_per_byte")
        }
        for precision, found in runs.items()
    }


def _child(way: str, precision: str, prompts: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "bench.real", "--side", way, precision, "--prompts", str(prompts)]
    environment = {**os.environ, "GOMP_SPINCOUNT": "10000", "TOKENIZERS_PARALLELISM": "false"}
    done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _asked(each: int) -> tuple[Any, Any, list[Any], list[list[int]]]:
    """The weights' folder, the chat, and the first `each` held-out prompts of each task, in order of length."""
    from relearn import model_files, models
    from relearn.decoding.items import Prompt
    from relearn.params import load
    from stages import corpus
    from stages.paths import Paths

    paths, params = Paths.of(FOLDER), load(FOLDER)
    weights = model_files.find_weights(paths.models / "base", FOLDER)
    chat = models.load_chat(weights, params.chat.template, params.chat.arguments, params.chat.date)
    items, seen = [], Counter[str]()
    for row in corpus.read_held_out(paths):
        seen[row.task] += 1
        if seen[row.task] <= each:
            *messages, answer = row.messages
            items.append(Prompt(messages, LIMIT, answer.content))
    items.sort(key=lambda item: len(chat.encode_prompt(item.messages)))
    return weights, chat, items, [chat.encode_prompt(item.messages) for item in items]


def _side(way: str, precision: str, each: int) -> dict[str, Any]:
    """One run of one side in this process."""
    import torch

    from relearn import models
    from relearn.params import load
    from relearn.precision import measure_product

    threads = load(FOLDER).compute.threads
    models.set_seed_and_threads(threads, 1222)
    weights, chat, items, prompts = _asked(each)
    model: Any = models.load_base(weights, "cpu", precision)  # type: ignore[arg-type]
    peak = measure_product(precision, threads, 3)  # type: ignore[arg-type]
    with torch.inference_mode():
        model(input_ids=torch.tensor([prompts[0]]))  # the first pass chooses kernels
    shape = Arithmetic(model)
    if way == "likelihoods":
        return {**_time_likelihoods(model, chat, items, prompts, shape, peak), "peak_gflops": peak / 1e9}
    if way != "ours":
        torch.use_deterministic_algorithms(False)  # nobody asks it of the peer
    begun = time.perf_counter()
    answers = (_answer_ours if way == "ours" else _answer_generate)(model, chat, prompts)
    seconds = time.perf_counter() - begun
    read = sum(shape.read(0, len(prompt)) for prompt in prompts)
    written = sum(shape.write(len(prompt), len(answer)) for prompt, answer in zip(prompts, answers, strict=True))
    return {
        "answers": answers,
        "tokens_per_s": sum(map(len, answers)) / seconds,
        "peak_share": (read + written) / seconds / peak,
        "peak_gflops": round(peak / 1e9, 1),
        "prompt_share": round(read / (read + written), 3),
    }


def _answer_ours(model: Any, chat: Any, prompts: Sequence[list[int]]) -> list[list[int]]:
    import torch

    from relearn.decoding.llama import Batch, copy_llama

    llama = copy_llama(model)
    if llama is None:
        raise SystemExit("bench.real: the base is not computed by relearn.decoding.llama")
    found: list[list[int]] = []
    with torch.inference_mode():
        for start in range(0, len(prompts), BATCH):
            found += Batch(llama, prompts[start : start + BATCH]).answer(LIMIT, chat.stops)
    return found


def _answer_generate(model: Any, chat: Any, prompts: Sequence[list[int]]) -> list[list[int]]:
    import torch

    pad, found = chat.tokenizer.pad_token_id, []
    for start in range(0, len(prompts), BATCH):
        part = prompts[start : start + BATCH]
        width = max(map(len, part))
        ids = torch.tensor([[pad] * (width - len(prompt)) + prompt for prompt in part])
        mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in part])
        with torch.inference_mode():
            out = model.generate(
                input_ids=ids, attention_mask=mask, max_new_tokens=LIMIT, do_sample=False,
                eos_token_id=sorted(chat.stops), pad_token_id=pad,
            )  # fmt: skip
        found += [_cut(row.tolist(), chat.stops) for row in out[:, width:]]
    return found


def _cut(answer: list[int], stops: Any) -> list[int]:
    """The answer up to and with its end."""
    end = next((at for at, token in enumerate(answer) if token in stops), len(answer) - 1)
    return answer[: end + 1]


def _vllm(python: str, precision: str, each: int) -> dict[str, Any]:
    weights, chat, _, prompts = _asked(each)
    asked = {
        "model": str(weights),
        "dtype": {"bf16": "bfloat16", "fp32": "float32"}[precision],
        "prompts": prompts,
        "max_tokens": LIMIT,
        "stop_token_ids": sorted(chat.stops),
    }
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    # As wide as the others' batches.
    seconds, answers = 0.0, []
    for start in range(0, len(prompts), BATCH):
        part = json.dumps({**asked, "prompts": prompts[start : start + BATCH]})
        done = subprocess.run(
            [python, str(ROOT / "bench" / "vllm_answers.py")],
            input=part, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True,
        )  # fmt: skip
        lines = reversed(done.stdout.splitlines())
        run = json.loads(next(line for line in lines if line.startswith("{")))  # vLLM may print more as it ends
        seconds, answers = seconds + run["seconds"], answers + run["answers"]
    return {"tokens_per_s": sum(map(len, answers)) / seconds, "answers": answers}


def _time_likelihoods(
    model: Any, chat: Any, items: Sequence[Any], prompts: Sequence[list[int]], shape: Arithmetic, peak: float
) -> dict[str, Any]:
    import torch

    from relearn.decoding.llama import Batch, copy_llama

    references = [chat.encode_response(item.reference) for item in items]
    llama, nats = copy_llama(model), 0.0
    if llama is None:
        raise SystemExit("bench.real: the base is not computed by relearn.decoding.llama")
    begun = time.perf_counter()
    with torch.inference_mode():
        for start in range(0, len(prompts), BATCH):
            part = slice(start, start + BATCH)
            batch = Batch(llama, prompts[part])
            nats += sum(batch.score(references[part]))
    seconds = time.perf_counter() - begun
    pairs = list(zip(prompts, references, strict=True))
    flop = sum(shape.read(0, len(one)) + shape.write(len(one), len(two)) for one, two in pairs)
    return {
        "tokens_per_s": sum(len(one) + len(two) for one, two in pairs) / seconds,
        "peak_share": flop / seconds / peak,
        "nats_per_byte": nats / sum(len(item.reference.encode()) for item in items),
    }


class Arithmetic:
    """What a model of this shape needs, in FLOP."""

    def __init__(self, model: Any) -> None:
        self.blocks = sum(count_numbers(weight) for name, weight in model.named_parameters() if "_proj" in name)
        config = model.config
        self.layers, self.width, self.words = config.num_hidden_layers, config.hidden_size, config.vocab_size

    def read(self, before: int, tokens: int) -> float:
        """For reading tokens that follow `before` others."""
        pairs = tokens * before + tokens * (tokens + 1) / 2
        return 2 * self.blocks * tokens + 4 * self.width * self.layers * pairs

    def write(self, before: int, tokens: int) -> float:
        """For predicting so many tokens after a prompt that has been read: the last one is never read."""
        return self.read(before, tokens - 1) + 2 * self.width * self.words * tokens


if __name__ == "__main__":
    main()
