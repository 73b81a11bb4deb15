"""Decoding of the test prompts of three tasks by three models: relearn's way against the original's, in one run.

    nice python -m bench.decoding [--models models] [--data data/predictions] [--sample 6] [--limit N]
        [--out bench/out/decoding.json]

Runs on what the chain left: models/{base,2b,2c} and the prompts in data/predictions/base.jsonl. The ways, each in a
process of its own, one after the other:

- `ours`: `relearn.decoding.local`: weights loaded once, adapters switched, batches sorted by length. All prompts.
- `ours_with_likelihood`: the same, with the likelihood of the references that the stage also wants.
- `batch`: a plain transformers batch: prompts in file order, padded, one load a model. All prompts.
- `one_at_a_time`: one prompt at a time, one load a model; on a sample of each task, extrapolated.
- `reload`: the original's loop: the model, tokenizer and adapter loaded for every prompt, one at a time; on a sample
  of each task, extrapolated.

A sample is drawn under a seed, evenly over the sorted prompt lengths of each task, and a task's time is its mean
seconds a prompt times its prompts; the standard error of the total is given beside it. Seconds do not count the
imports, which every way pays once; `cpu_seconds` are those of all threads, and `load` is the machine's load average
before each way, so that a run on a busy machine can be told. All ways decode greedily with the same limits, and their texts are compared with
those of `ours` on the prompts they share. Peak memory is the process's largest resident set (Linux).
"""

from __future__ import annotations

import argparse
import gc
import json
import multiprocessing
import os
import resource
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from relearn.decoding.items import Prompt
from relearn.files import read_jsonl, write_json
from relearn.records import Prediction, make_turns

MODELS = ("base", "2b", "2c")
WANTED = 15.0
WAYS = ("ours", "ours_with_likelihood", "batch", "one_at_a_time", "reload")


@dataclass(frozen=True)
class Setting:
    """What every way gets. `prompts` by task, each an item with its limit."""

    models: Path
    prompts: dict[str, list[Prompt]]
    batch_size: int
    threads: int
    sample: dict[str, list[int]]  # indices into a task's prompts


Texts = dict[str, dict[str, dict[int, str]]]  # model, task, index of the prompt


def main() -> None:
    options = _options()
    setting = _setting(options)
    found: dict[str, dict[str, Any]] = {}
    texts: dict[str, Texts] = {}
    context = multiprocessing.get_context("spawn")
    for way in WAYS:
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=_measured, args=(way, setting, theirs))
        process.start()
        theirs.close()
        try:
            found[way], texts[way] = ours.recv()
        except EOFError:
            raise SystemExit(f"{way}: the process ended without a result") from None
        finally:
            process.join()
        print(way, json.dumps(found[way]), flush=True)
    for way in WAYS[1:]:
        found[way]["same_texts"] = _agreement(texts["ours"], texts[way])
    total = found["ours"]["seconds"]
    result = {
        "prompts": {task: len(items) for task, items in setting.prompts.items()},
        "models": list(MODELS),
        "batch_size": setting.batch_size,
        "threads": setting.threads,
        "max_new_tokens": {task: items[0].limit for task, items in setting.prompts.items()},
        "ways": found,
        "times_faster": {way: round(found[way]["seconds"] / total, 1) for way in WAYS[1:]},
        "times_less_cpu": {way: round(found[way]["cpu_seconds"] / found["ours"]["cpu_seconds"], 1) for way in WAYS[1:]},
        "wanted_over_reload": WANTED,
        "reached": found["reload"]["seconds"] / total >= WANTED,
    }
    write_json(options.out, result)
    print(json.dumps(result["times_faster"]), "→", options.out)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--models", type=Path, default=Path("models"))
    parser.add_argument("--data", type=Path, default=Path("data/predictions"))
    parser.add_argument("--sample", type=int, default=6, help="prompts of each task for the slow ways")
    parser.add_argument("--limit", type=int, help="only so many prompts of each task")
    parser.add_argument("--max-new-tokens", type=int, default=120)
    parser.add_argument("--batch-size", type=int, default=256, help="prompts decoded together (256: all of a task)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("bench/out/decoding.json"))
    return parser.parse_args()


def _setting(options: argparse.Namespace) -> Setting:
    rows = list(read_jsonl(options.data / "base.jsonl", Prediction))
    prompts = {
        task: [
            Prompt(make_turns(row.prompt), options.max_new_tokens, row.reference) for row in rows if row.task == task
        ][: options.limit]
        for task in dict.fromkeys(row.task for row in rows if row.task != "probe")
    }
    prompts = {task: items for task, items in prompts.items() if items}
    return Setting(
        options.models,
        prompts,
        options.batch_size,
        options.threads,
        {task: _spread(items, options.sample) for task, items in prompts.items()},
    )


def _spread(items: list[Prompt], number: int) -> list[int]:
    """Indices evenly over the prompts' lengths: the middles of `number` equal parts."""
    order = sorted(range(len(items)), key=lambda index: (len(items[index].instruction), index))
    number = min(number, len(order))
    return [order[int((part + 0.5) * len(order) / number)] for part in range(number)]


class Clock:
    """Seconds on the wall and of all threads since it was made."""

    def __init__(self) -> None:
        self.wall, self.cpu = time.perf_counter(), time.process_time()

    def figures(self) -> dict[str, float]:
        return {
            "seconds": round(time.perf_counter() - self.wall, 2),
            "cpu_seconds": round(time.process_time() - self.cpu, 2),
        }


def _measured(way: str, setting: Setting, result: Any) -> None:
    """Runs one way in this process, and sends its figures and texts."""
    import torch  # noqa: F401
    import transformers  # noqa: F401

    from relearn import models

    models.set_seed_and_threads(setting.threads, 1)
    import peft  # noqa: F401

    before = _resident()
    load = os.getloadavg()[0]
    functions: dict[str, Callable[[Setting], tuple[dict[str, Any], Texts]]] = {
        "ours": _ours,
        "ours_with_likelihood": lambda one: _ours(one, likelihood=True),
        "batch": _batch,
        "one_at_a_time": lambda one: _single(one, reload=False),
        "reload": lambda one: _single(one, reload=True),
    }
    figures, texts = functions[way](setting)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    figures |= {"peak_memory_mib": round(peak), "of_which_imports_mib": round(before), "load": round(load, 1)}
    result.send((figures, texts))


def _resident() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _ours(setting: Setting, likelihood: bool = False) -> tuple[dict[str, Any], Texts]:
    from relearn import model_files, models
    from relearn.decoding.local import decode

    asked = [
        (task, index, item if likelihood else Prompt(item.messages, item.limit, None))
        for task, items in setting.prompts.items()
        for index, item in enumerate(items)
    ]
    texts: Texts = {}
    clock = Clock()
    weights = model_files.find_weights(setting.models / "base", setting.models.parent)
    chat = models.load_chat(weights, "")
    folders: dict[str, Path | None] = {name: setting.models / name for name in ("2b", "2c")}
    if (setting.models / "base" / model_files.ADAPTER).is_dir():
        folders["base"] = setting.models / "base" / model_files.ADAPTER
    frozen = models.FrozenBase(weights, "cpu")
    for name in MODELS:
        answers = decode(frozen.put(folders.get(name)), chat, [item for *_, item in asked], setting.batch_size, name)
        for (task, index, _), answer in zip(asked, answers, strict=True):
            texts.setdefault(name, {}).setdefault(task, {})[index] = answer.text
    return {**clock.figures(), "measured": "all prompts"}, texts


def _load(setting: Setting, name: str) -> tuple[Any, Any]:
    """A model and its tokenizer as a script would load them."""
    from peft import PeftModel

    from relearn import model_files, models

    weights = model_files.find_weights(setting.models / "base", setting.models.parent)
    tokenizer = models.load_tokenizer(weights)
    model: Any = models.load_base(weights, "cpu")
    adapter = setting.models / name if name != "base" else setting.models / "base" / model_files.ADAPTER
    if adapter.is_dir():
        model = PeftModel.from_pretrained(model, str(adapter)).eval()
    return model, tokenizer


def _generate(model: Any, tokenizer: Any, instructions: list[str], limit: int) -> list[str]:
    """`generate` as its documentation has it: left padding, greedy, the prompt cut off."""
    import torch

    tokenizer.padding_side = "left"
    prompts = [
        tokenizer.apply_chat_template([{"role": "user", "content": text}], tokenize=False, add_generation_prompt=True)
        for text in instructions
    ]
    inputs = tokenizer(prompts, return_tensors="pt", padding=True, add_special_tokens=False)
    inputs.pop("token_type_ids", None)
    with torch.no_grad():
        out = model.generate(
            **inputs,
            max_new_tokens=limit,
            do_sample=False,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    width = inputs["input_ids"].shape[1]
    return [text.strip() for text in tokenizer.batch_decode(out[:, width:], skip_special_tokens=True)]


def _batch(setting: Setting) -> tuple[dict[str, Any], Texts]:
    texts: Texts = {}
    clock = Clock()
    for name in MODELS:
        model, tokenizer = _load(setting, name)
        for task, items in setting.prompts.items():
            kept = texts.setdefault(name, {}).setdefault(task, {})
            for start in range(0, len(items), setting.batch_size):
                part = items[start : start + setting.batch_size]
                done = _generate(model, tokenizer, [item.instruction for item in part], part[0].limit)
                kept.update(enumerate(done, start))
        del model
        gc.collect()
    return {**clock.figures(), "measured": "all prompts"}, texts


def _single(setting: Setting, reload: bool) -> tuple[dict[str, Any], Texts]:
    """One prompt at a time on the sample; the seconds are those that all prompts would have taken."""
    texts: Texts = {}
    seconds = variance = loading = cpu = 0.0
    for name in MODELS:
        model, tokenizer = None, None
        if not reload:
            clock = Clock()
            model, tokenizer = _load(setting, name)
            took = clock.figures()
            seconds, cpu = seconds + took["seconds"], cpu + took["cpu_seconds"]
        for task, items in setting.prompts.items():
            times, spent = [], []
            for index in setting.sample[task]:
                clock = Clock()
                if reload:
                    model, tokenizer = _load(setting, name)
                    loading += time.perf_counter() - clock.wall
                text = _generate(model, tokenizer, [items[index].instruction], items[index].limit)[0]
                times.append(time.perf_counter() - clock.wall)
                spent.append(time.process_time() - clock.cpu)
                texts.setdefault(name, {}).setdefault(task, {})[index] = text
                if reload:
                    del model
                    gc.collect()
            seconds += statistics.fmean(times) * len(items)
            cpu += statistics.fmean(spent) * len(items)
            if len(times) > 1:
                variance += statistics.variance(times) / len(times) * len(items) ** 2
    sampled = sum(len(indices) for indices in setting.sample.values()) * len(MODELS)
    figures: dict[str, Any] = {
        "seconds": round(seconds, 2),
        "cpu_seconds": round(cpu, 2),
        "standard_error": round(variance**0.5, 2),
        "measured": f"extrapolated from {sampled} prompts",
    }
    if reload:
        figures["loading_seconds_a_prompt"] = round(loading / sampled, 3)
    return figures, texts


def _agreement(ours: Texts, other: Texts) -> str:
    pairs = list(_pairs(ours, other))
    return f"{sum(one == two for one, two in pairs)} of {len(pairs)}"


def _pairs(ours: Texts, other: Texts) -> Iterator[tuple[str, str]]:
    for model, tasks in other.items():
        for task, kept in tasks.items():
            for index, text in kept.items():
                yield ours[model][task][index], text


if __name__ == "__main__":
    main()
