"""The instruction data set and the adapters in Hugging Face form, with their cards, in export/.

    python -m stages.export            # writes export/dataset, export/2b, export/2c (and export/base, if trained here)

Nothing is uploaded; docs/experiments.md gives the commands that do it.
"""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

from relearn.files import write_json, write_text
from relearn.params import Params
from relearn.params.generate import EmbeddedTeacher
from relearn.params.prepare import HubSource, MiniSource
from relearn.progress import say
from relearn.report import cards
from relearn.report.analysis import analyse
from stages import corpus
from stages.paths import Paths
from stages.report import read_document
from stages.run import main

TARGET = "export"


def work(params: Params, paths: Paths) -> dict[str, Any]:
    """Writes the folder anew."""
    rows = _dataset(params, paths)
    for name in ("2b", "2c"):
        _adapter(params, paths, name)
    say(f"export: {rows} rows and two adapters in {TARGET}/; read the cards, and set the licences")
    return {"rows": rows}


def _dataset(params: Params, paths: Paths) -> int:
    """Parquet files by split, and the card."""
    from datasets import Dataset

    rows = corpus.read_all_new(paths)
    folder = _fresh(paths, "dataset")
    found = cards.split_rows(rows)
    (folder / "data").mkdir()
    for split, chosen in found.items():
        Dataset.from_list(chosen).to_parquet(str(folder / "data" / f"{split}.parquet"))
    teacher = params.generate.teacher
    facts = cards.DatasetFacts(
        splits={split: len(chosen) for split, chosen in found.items()},
        stances=dict(sorted(Counter(row.template for row in rows).items())),
        teacher=params.generate.model,
        embedded=isinstance(teacher, EmbeddedTeacher),
        source=_source(params),
        prompt="\n\n".join(
            (paths.prompts / f"{asked.prompt}.j2").read_text(encoding="utf-8")
            for asked in params.generate.by_task.values()
            if asked is not None
        ),
        temperature=params.generate.temperature,
        repair=read_document(paths.metrics / "repair.json"),
        generate=read_document(paths.metrics / "generate.json"),
    )
    write_text(folder / "README.md", cards.dataset_card(facts))
    return len(rows)


def _source(params: Params) -> str:
    """Where what the teacher is shown comes from, in words."""
    found = []
    for name in params.repair.by_task:
        source = params.prepare.by_task[name].source
        if isinstance(source, MiniSource):
            found.append("this project's embedded world, invented films under a seed")
        elif isinstance(source, HubSource):
            found.append(f"the hub's data set {source.dataset}")
        else:
            found.append(f"your own file {source.path}")
    return ", ".join(found)


def _adapter(params: Params, paths: Paths, name: str) -> None:
    """The adapter, its config naming the base as others will find it, and its card."""
    described = read_document(paths.models / "base" / "base.json")
    hub = described["kind"] == "hub"
    base = described["repository"] if hub else "base"
    folder = _fresh(paths, name)
    shutil.copytree(paths.adapter(name), folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("seeds"))
    config = read_document(folder / "adapter_config.json")
    write_json(
        folder / "adapter_config.json", config | {"base_model_name_or_path": base, "revision": described.get("commit")}
    )
    if not hub:
        own = paths.models / "base" if described["kind"] == "scratch" else paths.root / described["path"]
        shutil.copytree(own, _fresh(paths, "base"), dirs_exist_ok=True)
    facts = cards.ModelFacts(
        model=name,
        base=base,
        hub=hub,
        commit=described.get("commit"),
        provenance=read_document(folder / "provenance.json"),
        lora=params.finetune.lora.model_dump(),
        table=(paths.report / "table_3a.md").read_text(encoding="utf-8"),
        analysis=analyse(
            read_document(paths.metrics / "intervals.json"), read_document(paths.metrics / "probe_3b.json")
        ),
    )
    write_text(folder / "README.md", cards.model_card(facts))


def _fresh(paths: Paths, name: str) -> Path:
    folder = paths.root / TARGET / name
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    return folder


if __name__ == "__main__":
    main("export", work)
