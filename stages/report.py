"""The page people look at, the written analysis, and the page for blind ratings.

Run by `dvc repro`, or `python -m stages.report`. Reads what the other stages wrote; decodes and scores nothing.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from relearn.errors import InputError
from relearn.files import atomic_write, read_jsonl
from relearn.params import Params
from relearn.params.groups import EmbeddedTeacher, ScratchBase
from relearn.records import MODELS, Instruction, Prediction, Quarantined, Reply
from relearn.report import rating
from relearn.report.analysis import analyse
from relearn.report.page import Material, render
from stages import paths
from stages.run import main

EXAMPLES = 4  # of mended replies, and of quarantined ones, each another fault


def work(params: Params) -> dict[str, Any]:
    """Writes report/index.html, report/analysis.md and report/rate.html."""
    material = _material(params)
    analysis = analyse(material.intervals, material.probes)
    with atomic_write(paths.REPORT / "analysis.md") as file:
        file.write(analysis.markdown)
    with atomic_write(paths.REPORT / "index.html") as file:
        file.write(render(material, analysis))
    predictions: dict[str, list[Prediction]] = {
        model: list(read_jsonl(paths.predictions(model), Prediction)) for model in MODELS
    }
    with atomic_write(paths.REPORT / "rate.html") as file:
        file.write(rating.render(rating.choose(predictions, params.seed)))
    return {}


def _material(params: Params) -> Material:
    mended, as_sent = _mended()
    return Material(
        intervals=_json("intervals.json"),
        rows=_table(),
        probes=_json("probe_3b.json"),
        ngram=params.probe_3b.ngram,
        losses={model: _losses(model) for model in MODELS[1:]},
        repair=_json("repair.json"),
        generate=_json("generate.json"),
        mended=mended,
        refused=_refused(),
        as_sent=as_sent,
        setting=list(_setting(params)),
        facts={
            "Parameters": list(_flat(params.model_dump(mode="json"))),
            "Pinned versions": _pins(),
            "Metrics, and what computed them": [
                (name, json.dumps(signature, ensure_ascii=False))
                for name, signature in sorted(_json("signatures.json").items())
            ],
            "Models": list(_models()),
            "Data (SHA-256)": [
                (str(file.relative_to(paths.ROOT)), _sha256(file))
                for file in [
                    *(paths.REVIEWS, paths.ORIGINAL, paths.REPLIES, paths.INSTRUCTIONS, paths.QUARANTINE),
                    *(paths.predictions(model) for model in MODELS),
                ]
            ],
        },
    )


def _setting(params: Params) -> Iterator[str]:
    """What a reader who was only mailed the page must know before believing it."""
    model = params.base.model
    rate = f"tuned by LoRA (rank {params.finetune.lora.rank}, learning rate {params.lr:g})"
    if isinstance(model, ScratchBase):
        yield (
            f"A small demonstration: base is a Llama of {model.layers} layers, {model.hidden} wide, trained from "
            f"scratch, and {rate}. Expect effects of another size on a large model."
        )
    else:
        yield f"base is {model.path}, {rate}."
    if isinstance(params.generate.teacher, EmbeddedTeacher):
        yield "The teacher is a program that comes with the project, and breaks its JSON on purpose, at set rates."


def _json(name: str) -> Any:
    return document(paths.METRICS / name)


def document(file: Path) -> Any:
    """A JSON file that another stage wrote. Raises InputError when there is none."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        raise InputError(f"{file.relative_to(paths.ROOT)}: missing or not JSON; run dvc repro") from None


def _table() -> list[dict[str, Any]]:
    """The rows of the 3a table; empty cells as None."""
    with open(paths.REPORT / "table_3a.csv", encoding="utf-8", newline="") as file:
        return [
            {
                name: (float(text) if text else None) if name in ("value", "low", "high") else text
                for name, text in row.items()
            }
            for row in csv.DictReader(file)
        ]


def _losses(model: str) -> list[dict[str, float | None]]:
    """The rows of a round's loss curve; none where the round was not trained here (a model from the hub)."""
    file = paths.METRICS / "losses" / f"{model}.csv"
    if not file.is_file():
        return []
    with open(file, encoding="utf-8", newline="") as text:
        return [
            {name: float(value) if value else None for name, value in row.items()}
            for row in csv.DictReader(text)
        ]


def _mended() -> tuple[list[tuple[str, Reply, Instruction]], int]:
    """A mended row of each of the first few flags, with the reply it came from; and how many rows had no flag."""
    chosen: dict[str, Instruction] = {}
    as_sent = 0
    for row in read_jsonl(paths.INSTRUCTIONS, Instruction):
        as_sent += not row.flags
        if len(row.flags) == 1 and len(chosen) < EXAMPLES:
            chosen.setdefault(row.flags[0], row)
    wanted = {row.review_id for row in chosen.values()}
    replies = {reply.id: reply for reply in read_jsonl(paths.REPLIES, Reply) if reply.id in wanted}
    return [(flag, replies[row.review_id], row) for flag, row in sorted(chosen.items())], as_sent


def _refused() -> list[Quarantined]:
    """A quarantined text of each of the first few reasons."""
    chosen: dict[str, Quarantined] = {}
    for row in read_jsonl(paths.QUARANTINE, Quarantined):
        reason = row.reason.partition(" of ")[0]
        if len(chosen) < EXAMPLES:
            chosen.setdefault(reason, row)
    return list(chosen.values())


def _flat(tree: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """(dotted name, value) of every leaf."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from _flat(value, f"{name}.{key}" if name else str(key))
    else:
        yield name, json.dumps(tree, ensure_ascii=False)


def _pins() -> list[tuple[str, str]]:
    """The versions that requirements.txt pins."""
    lines = (paths.ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    pairs = [line.partition("#")[0].strip().partition("==") for line in lines]
    return [(name, version) for name, mark, version in pairs if mark]


def _models() -> Iterator[tuple[str, str]]:
    """What base.json and the adapters' provenance say, and the hash of every file of weights."""
    for model in MODELS:
        folder = paths.adapter(model)
        for name in ("base.json", "provenance.json"):
            if (folder / name).is_file():
                yield from _flat(json.loads((folder / name).read_text(encoding="utf-8")), model)
        for file in sorted(folder.rglob("*.safetensors")):
            yield f"{file.relative_to(paths.MODELS)} (SHA-256)", _sha256(file)


def _sha256(file: Path) -> str:
    with open(file, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


if __name__ == "__main__":
    main("report", work)
