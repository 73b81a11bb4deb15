"""Scoring of the three models' answers: relearn's way beside the original's, in one run.

    python -m bench.scoring [--data data/predictions] [--rounds 3] [--limit N]

Runs on what the chain left in data/predictions/. Both sides give CodeBLEU (code only), BLEU, ROUGE-L and BERTScore of
the same answers with the same encoder (the packaged MiniLM), without running code:
  relearn    `score_task`, which also gives chrF, exact match, stance, and bits per byte
  original   its script's way: `codebleu.calc_codebleu` for each row, and rouge-score, sacrebleu and bert-score asked
             for one row at a time
Each side runs in a process of its own, in turn; imports and the loading of the encoder are outside the clock.
Intervals and tests, which the original does not have, are timed apart (`with_intervals`: `evaluate_models` whole).
Writes bench/out/scoring.json.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from relearn.files import read_jsonl, write_json
from relearn.params import load
from relearn.records import Prediction
from stages.paths import HERE
from stages.roles import list_tasks, name_models

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "bench" / "out" / "scoring.json"
SIDES = ("relearn", "original", "with_intervals")
Answers = dict[str, list[Prediction]]


def _relearn(answers: Answers, intervals: bool) -> float:
    from relearn.evaluation.models import evaluate_models
    from relearn.evaluation.tasks import score_task
    from relearn.metrics.bertscore import load_encoder
    from relearn.params.evaluate import SandboxRules, Scoring

    tasks, roles = list_tasks(load(ROOT)), name_models(load(ROOT), HERE)
    group = load(ROOT).eval_3a.model_copy(update={"encoder": "minilm"})
    params = Scoring.join(group, SandboxRules(execute="off", timeout_s=2.0, memory_mb=512))
    load_encoder(params.encoder, params.encoder_layers)
    started = time.perf_counter()
    if intervals:
        evaluate_models(answers, {}, params, 7, tasks, roles)
    else:
        for task in tasks:
            for rows in answers.values():
                chosen = [row for row in rows if row.task == task.name]
                if chosen:
                    score_task(task, chosen, {}, params)
    return time.perf_counter() - started


def _original(answers: Answers) -> float:
    import bert_score
    import sacrebleu
    from codebleu import calc_codebleu
    from rouge_score.rouge_scorer import RougeScorer

    from relearn.metrics.bertscore import minilm_folder

    scorer = bert_score.BERTScorer(model_type=minilm_folder(), num_layers=6)
    scorer._tokenizer.model_max_length = 512  # transformers 5 gives none, and long texts overflow
    started = time.perf_counter()
    for rows in answers.values():
        for row in rows:
            if not row.reference or row.task == "probe":
                continue
            if row.task == "code":
                calc_codebleu([row.reference], [row.prediction], lang="python")
            sacrebleu.sentence_bleu(row.prediction, [row.reference])
            RougeScorer(["rougeL"], use_stemmer=True).score(row.reference, row.prediction)
            if row.prediction.strip():  # bert-score 0.3.13 raises for an empty text
                scorer.score([row.prediction], [row.reference])
    return time.perf_counter() - started


def _side(options: argparse.Namespace) -> float:
    import logging

    logging.disable(logging.WARNING)
    answers = {
        model: list(read_jsonl(options.data / f"{model}.jsonl", Prediction))[: options.limit]
        for model in name_models(load(ROOT), HERE).names
    }
    if options.side == "original":
        return _original(answers)
    return _relearn(answers, options.side == "with_intervals")


def main() -> None:
    """Runs the sides in turn and writes the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT / "data" / "predictions")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--limit", type=int, help="only so many answers of each model")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        print(json.dumps(_side(options)))
        return
    runs: dict[str, list[float]] = {side: [] for side in SIDES}
    for _ in range(options.rounds):
        for side in SIDES:
            command = [sys.executable, "-m", "bench.scoring", "--side", side, f"--data={options.data.resolve()}"]
            command += [f"--limit={options.limit}"] if options.limit else []
            done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
            if done.returncode:
                sys.exit(f"scoring: the side {side} failed")
            runs[side].append(round(float(done.stdout.splitlines()[-1]), 2))
            print(f"{side}: {runs[side][-1]} s", flush=True)
    middle: dict[str, Any] = {side: statistics.median(found) for side, found in runs.items()}
    rows = sum(1 for _ in read_jsonl(options.data / "base.jsonl", Prediction))
    result = {
        "ratio": round(middle["original"] / middle["relearn"], 2),
        "seconds": middle,
        "answers": len(name_models(load(ROOT), HERE).names) * min(rows, options.limit or rows),
        "runs": runs,
    }
    write_json(OUT, result)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
