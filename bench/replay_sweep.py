"""How much original data in the first round prevents forgetting, and whether it is the data or the extra updates.

    python -m bench.replay_sweep                 # after `make repro` (or `dvc checkout`); 34 runs, about 20 minutes
    python -m bench.replay_sweep --shares 0 0.1 --seeds 1222
    python -m bench.replay_sweep --write         # docs/replay.md and its plot, from what is done so far

The base and the rows are those of the chain's last run, the same for all. For each seed of the round (its replayed
rows, first adapter weights and order), and each share of original code in the final mix of round 2b, with replay and
with the pad control (as many extra rows of the new task instead), trains 2b on the profile's parameters and scores it,
by the functions that the stages call. Only the first `--prompts` of each task are decoded, in an order drawn once, so
that every run answers the same ones; base is scored on them too, for comparison.

Two runs at a time with one thread each use two cores better than one run with two; --workers and --threads change
that. A finished run is kept in .cache/bench/ under a hash of the code, the parameters and the inputs; the same command
goes on where it was stopped. Writes bench/out/replay_sweep.json; the page and its plot with --write, or at the end.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import random
import shutil
import sys
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from bench import replay_page

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "bench" / "out" / "replay_sweep.json"
SHARES = (0.0, 0.01, 0.02, 0.05, 0.1, 0.3)
SEEDS = (1222, 1223, 1224)
INPUTS = (
    "data/instructions.jsonl",
    "data/train.jsonl",
    "data/held_out.jsonl",
    "data/predictions/base.jsonl",
    "models/base",
)
CODE = ("relearn", "stages/corpus.py", "profiles", "params.yaml")
Run = dict[str, Any]


def main() -> None:
    """Runs what is missing and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shares", type=float, nargs="+", default=SHARES, help="in the order they are run")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--prompts", type=int, default=100, help="prompts of each task (100)")
    parser.add_argument("--workers", type=int, default=2, help="runs at a time (2)")
    parser.add_argument("--threads", type=int, default=1, help="torch's threads of a run, part of its result (1)")
    parser.add_argument("--write", action="store_true", help="write the page from what is done, run nothing")
    options = parser.parse_args()
    if not options.write:
        _sweep(options)
    replay_page.write(json.loads(OUT.read_text(encoding="utf-8")), ROOT / "docs")


def _sweep(options: argparse.Namespace) -> None:
    missing = [name for name in INPUTS if not (ROOT / name).exists()]
    if missing:
        sys.exit(f"replay_sweep: {missing[0]} is not there; run `make repro` or `dvc checkout` first")
    place = ROOT / ".cache" / "bench" / f"replay-{_hash(options)}"
    place.mkdir(parents=True, exist_ok=True)
    wanted: list[Run] = [{"share": None, "control": False, "seed": None}]  # base
    wanted += [  # all seeds of a share before the next share: a sweep that was stopped early says something
        {"share": share, "control": control, "seed": seed}
        for share in options.shares
        for control in ((False, True) if share else (False,))
        for seed in options.seeds
    ]
    files = [place / _file(point) for point in wanted]
    todo = [(point, file) for point, file in zip(wanted, files, strict=True) if not file.is_file()]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(options.workers, context) as pool:
        started = [pool.submit(_run, point, file, options) for point, file in todo]
        for number, future in enumerate(as_completed(started), len(wanted) - len(todo) + 1):
            print(f"{number} of {len(wanted)}: {future.result()}", flush=True)
            _collect(files, options)
    _collect(files, options)


def _collect(files: Iterable[Path], options: argparse.Namespace) -> None:
    runs = [json.loads(file.read_text(encoding="utf-8")) for file in files if file.is_file()]
    OUT.parent.mkdir(parents=True, exist_ok=True)
    found = {"prompts": options.prompts, "threads": options.threads, "runs": runs}
    OUT.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


def _file(point: Run) -> str:
    if point["share"] is None:
        return "base.json"
    return f"{point['share']:g}-{'control' if point['control'] else 'replay'}-{point['seed']}.json"


def _hash(options: argparse.Namespace) -> str:
    digest = hashlib.sha256(f"{options.prompts} {options.threads}".encode())
    for name in (*CODE, *INPUTS):
        path = ROOT / name
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and file.suffix != ".pyc":
                digest.update(str(file.relative_to(ROOT)).encode() + file.read_bytes())
    return digest.hexdigest()[:12]


def _run(point: Run, file: Path, options: argparse.Namespace) -> Run:
    """Trains, decodes and scores one point, and writes it to `file`; returns its headline figures."""
    from relearn.evaluation.tasks import score_task
    from relearn.files import read_jsonl
    from relearn.params import load
    from relearn.params.evaluate import Scoring
    from relearn.records import Prediction, Row
    from stages.paths import HERE as paths
    from stages.roles import list_tasks

    params = load(ROOT)
    compute = params.compute.model_copy(update={"threads": options.threads})
    rows = _prompts(list(read_jsonl(paths.predicted("base"), Prediction)), options.prompts)
    result = dict(point)
    if point["share"] is not None:
        params = params.model_copy(update={"compute": compute, "seed": point["seed"]})
        scratch = file.with_suffix(".training")  # a run that was stopped goes on from its last checkpoint
        rows, result["updates"], result["rows"] = _train_and_answer(params, point, rows, scratch)
        shutil.rmtree(scratch)
    tests = {row.id: row.tests for row in read_jsonl(paths.held_out, Row) if row.tests}
    scoring = Scoring.join(params.eval_3a, params.sandbox)
    result["scores"] = {
        task.name: {
            name: round(value, 5)
            for name, value in score_task(task, [row for row in rows if row.task == task.name], tests, scoring)
            .points()
            .items()
        }
        for task in list_tasks(params)
    }
    half = file.with_suffix(".half")
    half.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    os.replace(half, file)
    shown = {task: {name: result["scores"][task][name] for name in ("bpb", "rouge_l")} for task in result["scores"]}
    return {**{name: value for name, value in result.items() if name != "scores"}, **shown}


def _prompts(rows: list[Any], count: int) -> list[Any]:
    """`count` rows of each task, drawn once for all runs."""
    found: list[Any] = []
    for task in dict.fromkeys(row.task for row in rows if row.task != "probe"):
        of_task = [row for row in rows if row.task == task]
        found += random.Random(f"replay sweep {task}").sample(of_task, min(count, len(of_task)))
    return found


def _train_and_answer(params: Any, point: Run, rows: list[Any], scratch: Path) -> tuple[list[Any], int, int]:
    """2b trained as `stages.finetune_2b` does, and its answers to `rows`; also its updates and training rows."""
    from relearn import models
    from relearn.decoding.items import Prompt
    from relearn.decoding.local import decode
    from relearn.records import make_turns
    from relearn.training import rounds
    from relearn.training.methods.replay import Replay
    from relearn.training.rows import encode
    from relearn.training.trainer import train
    from stages import corpus
    from stages.base_model import find_base
    from stages.paths import HERE as paths

    new, old = corpus.read_new_to_learn(paths), corpus.read_replayed_to_learn(paths)
    method = Replay(SimpleNamespace(share=point["share"], control=point["control"]), params.seed)
    models.set_seed_and_threads(params.compute.threads, params.seed)
    weights, chat = find_base(params, paths)
    encoded = encode(method.choose_rows(new, old), chat, params.finetune.max_tokens)
    model = models.load_base(weights, params.compute.device)
    models.set_seed_and_threads(params.compute.threads, params.seed)
    tuned = rounds.new_adapter(model, params.finetune.lora)
    schedule = rounds.make_schedule(params.finetune, params.compute, params.lr, params.finetune_2b.epochs, params.seed)
    # held-out losses are for watching and change nothing, so none are looked at
    outcome = train(tuned, encoded, {}, chat.tokenizer.pad_token_id, schedule, scratch, _file(point))
    tuned.eval()
    limits = params.predict.max_new_tokens.by_task
    items = [Prompt(make_turns(row.prompt), limits[row.task], row.reference, task=row.task) for row in rows]
    answers = decode(tuned, chat, items, params.predict.batch_size, _file(point), params.predict.strategy, params.seed)
    answered = [
        row.model_copy(update={"prediction": answer.text, "finish_reason": answer.finish_reason, "nll": answer.nll})
        for row, answer in zip(rows, answers, strict=True)
    ]
    return answered, outcome.steps, len(encoded)


if __name__ == "__main__":
    main()
