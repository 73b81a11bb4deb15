"""Small logs as the tools write them, of two tasks or one, for tests that break them."""

from __future__ import annotations

import hashlib
import json
import struct
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import zstandard

TIME = "2026-01-02T03-04-05.678901"


def sha(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()


def lm_eval_row(number: int, scores: Mapping[str, Any], filter: str = "none", **changed: Any) -> dict[str, Any]:
    doc = {"question": f"Question {number}?", "topic": f"t{number % 3}"}
    prompt = f"Q: Question {number}?"
    row = {
        "doc_id": number,
        "doc": doc,
        "arguments": {"gen_args_0": {"arg_0": prompt}},
        "filter": filter,
        "metrics": list(scores),
        "doc_hash": sha(doc),
        "prompt_hash": sha(prompt),
        "target_hash": sha("x"),
        **scores,
    }
    return row | changed


def write_lines(path: Path, rows: Sequence[Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def write_lm_eval(folder: Path, tasks: Mapping[str, Sequence[Any]], results: Mapping[str, Any] | None = None) -> Path:
    """samples_TASK_TIME.jsonl for each task, and a results file that agrees unless `results` says otherwise."""
    for task, rows in tasks.items():
        write_lines(folder / f"samples_{task}_{TIME}.jsonl", rows)
    agreed: dict[str, Any] = {
        "model_name": folder.name,
        "higher_is_better": {
            task: {
                name: name not in ("loss", "byte_perplexity", "bits_per_byte")
                for row in rows[:1]
                for name in row["metrics"]
            }
            for task, rows in tasks.items()
        },
        "n-samples": {task: {"effective": len({row["doc_id"] for row in rows})} for task, rows in tasks.items()},
        "n-shot": dict.fromkeys(tasks, 2),
    }
    (folder / f"results_{TIME}.json").write_text(json.dumps({**agreed, **(results or {})}), encoding="utf-8")
    return folder


def binary(folder: Path, scores: Sequence[int], task: str = "arith", metric: str = "acc", **row: Any) -> Path:
    """An lm-eval log of one task of right and wrong."""
    return write_lm_eval(
        folder, {task: [lm_eval_row(i, {metric: float(score)}, **row) for i, score in enumerate(scores)]}
    )


def inspect_sample(name: str, epoch: int, scores: Mapping[str, Any], **changed: Any) -> dict[str, Any]:
    asked = f"Say {name}."
    return {
        "id": name,
        "epoch": epoch,
        "input": asked,
        "target": name,
        "messages": [
            {"id": f"{name}{epoch}", "role": "user", "content": asked},
            {"id": "x", "role": "assistant", "content": "yes"},
        ],
        "scores": {scorer: {"value": value} for scorer, value in scores.items()},
        "metadata": {"topic": "t"},
    } | changed


def inspect_log(samples: Sequence[Mapping[str, Any]], **header: Any) -> dict[str, Any]:
    return {
        "version": 2,
        "status": "success",
        "eval": {"eval_id": "E1", "task": "harbour", "model": "hf/base", "config": {"epochs": 1}},
        "plan": {"steps": [{"solver": "generate"}], "config": {"max_tokens": 12}},
        "results": {"total_samples": len(samples)},
        "samples": list(samples),
    } | header


def write_inspect(path: Path, samples: Sequence[Mapping[str, Any]], **header: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(inspect_log(samples, **header)), encoding="utf-8")
    return path


def write_archive(path: Path, members: Sequence[tuple[str, bytes]], method: int = 93, claim: int | None = None) -> Path:
    """A zip with members by any method (93: Zstandard, which Python 3.11 cannot write); `claim` lies about their size."""
    path.parent.mkdir(parents=True, exist_ok=True)
    out, central = bytearray(), bytearray()
    for name, raw in members:
        packed = zstandard.compress(raw) if method == 93 else zlib.compress(raw)[2:-4] if method == 8 else raw
        encoded, size = name.encode(), len(raw) if claim is None else claim
        fields = (20, 0, method, 0, 33, zlib.crc32(raw), len(packed), size, len(encoded), 0)
        central += struct.pack("<4sHHHHHHIIIHHHHHII", b"PK\1\2", 20, *fields, 0, 0, 0, 0, len(out)) + encoded
        out += struct.pack("<4sHHHHHIIIHH", b"PK\3\4", *fields) + encoded + packed
    end = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, len(members), len(members), len(central), len(out), 0)
    path.write_bytes(bytes(out + central + end))
    assert method == 93 or claim is not None or zipfile.ZipFile(path).testzip() is None
    return path


def write_eval(path: Path, samples: Sequence[Mapping[str, Any]], whole: bool = True, **header: Any) -> Path:
    """A `.eval`; without its header when the run still goes on."""
    log = inspect_log(samples, **header)
    log.pop("samples")
    members = [("_journal/start.json", json.dumps({"eval": log["eval"], "plan": log["plan"]}).encode())]
    members += [
        (f"samples/{sample['id']}_epoch_{sample['epoch']}.json", json.dumps(sample).encode()) for sample in samples
    ]
    if whole:
        members.append(("header.json", json.dumps(log).encode()))
    return write_archive(path, members)


def plain_rows(scores: Sequence[Any], task: str = "arith", metric: str = "acc", **more: Any) -> list[dict[str, Any]]:
    return [
        {"task": task, "id": f"q{i}", "metric": metric, "score": score, "document": f"Question {i}", **more}
        for i, score in enumerate(scores)
    ]
