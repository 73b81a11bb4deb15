"""The instruction data set and the adapters in Hugging Face form, with their cards, in export/.

    python -m stages.export            # writes export/dataset, export/2b, export/2c (and export/base, if trained here)

Nothing is uploaded; docs/experiments.md gives the commands that do it.
"""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

from relearn.files import atomic_write, read_jsonl, write_json
from relearn.params import Params
from relearn.params.groups import EmbeddedTeacher
from relearn.progress import say
from relearn.records import Instruction
from relearn.report import cards
from relearn.report.analysis import analyse
from stages import paths
from stages.report import document
from stages.run import main

TARGET = paths.ROOT / "export"


def work(params: Params) -> dict[str, Any]:
    """Writes the folder anew."""
    rows = _dataset(params)
    for name in ("2b", "2c"):
        _adapter(params, name)
    say(f"export: {rows} rows and two adapters in {TARGET.name}/; read the cards, and set the licences")
    return {"rows": rows}


def _dataset(params: Params) -> int:
    """Parquet files by split, and the card."""
    from datasets import Dataset

    rows = list(read_jsonl(paths.INSTRUCTIONS, Instruction))
    folder = _fresh("dataset")
    found = cards.split_rows(rows)
    (folder / "data").mkdir()
    for split, chosen in found.items():
        Dataset.from_list(chosen).to_parquet(str(folder / "data" / f"{split}.parquet"))
    teacher = params.generate.teacher
    facts = cards.DatasetFacts(
        splits={split: len(chosen) for split, chosen in found.items()},
        stances=dict(sorted(Counter(row.stance for row in rows).items())),
        teacher=params.generate.model,
        embedded=isinstance(teacher, EmbeddedTeacher),
        source=_source(params),
        prompt=(paths.PROMPTS / f"{params.generate.prompt}.j2").read_text(encoding="utf-8"),
        temperature=params.generate.temperature,
        repair=document(paths.METRICS / "repair.json"),
        generate=document(paths.METRICS / "generate.json"),
    )
    with atomic_write(folder / "README.md") as file:
        file.write(cards.dataset_card(facts))
    return len(rows)


def _source(params: Params) -> str:
    """Where the reviews come from, in words."""
    source = params.prepare.source.model_dump()
    if source["kind"] == "mini":
        return "this project's embedded world, invented films under a seed"
    reviews = source["reviews"]
    if source["kind"] == "hub":
        return f"the hub's data set {reviews['dataset']}"
    return f"your own file {reviews['path']}"


def _adapter(params: Params, name: str) -> None:
    """The adapter, its config naming the base as others will find it, and its card."""
    described = document(paths.MODELS / "base" / "base.json")
    hub = described["kind"] == "hub"
    base = described["repository"] if hub else "base"
    folder = _fresh(name)
    shutil.copytree(paths.adapter(name), folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("seeds"))
    config = document(folder / "adapter_config.json")
    write_json(
        folder / "adapter_config.json",
        config | {"base_model_name_or_path": base, "revision": described.get("commit")},
    )
    if not hub:
        own = paths.MODELS / "base" if described["kind"] == "scratch" else paths.ROOT / described["path"]
        shutil.copytree(own, _fresh("base"), dirs_exist_ok=True)
    facts = cards.ModelFacts(
        model=name,
        base=base,
        hub=hub,
        commit=described.get("commit"),
        provenance=document(folder / "provenance.json"),
        lora=params.finetune.lora.model_dump(),
        table=(paths.REPORT / "table_3a.md").read_text(encoding="utf-8"),
        analysis=analyse(
            document(paths.METRICS / "intervals.json"), document(paths.METRICS / "probe_3b.json")
        ),
    )
    with atomic_write(folder / "README.md") as file:
        file.write(cards.model_card(facts))


def _fresh(name: str) -> Path:
    folder = TARGET / name
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    return folder


if __name__ == "__main__":
    main("export", work)
