"""The instruction data set and the adapters in Hugging Face form, with their cards, in export/.

    python -m stages.export            # writes export/dataset, a folder an adapter, and export/base, if trained here

Nothing is uploaded; docs/experiments.md gives the commands that do it.
"""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

from relearn.files import write_json, write_text
from relearn.model_files import OWN
from relearn.params import Params
from relearn.params.generate import EmbeddedTeacher
from relearn.params.prepare import HubSource, MiniSource, PackageSource, SkillsSource
from relearn.progress import say
from relearn.records import NewRow
from relearn.report import cards
from relearn.report.analysis import analyse
from relearn.report.words import Words, number
from stages import corpus
from stages.paths import Paths
from stages.report import describe_tasks, read_document
from stages.run import main

TARGET = "export"


def work(params: Params, paths: Paths) -> dict[str, Any]:
    """Writes the folder anew."""
    words = describe_tasks(params, paths)
    rows = _dataset(params, paths, words)
    adapters = words.roles.trained
    for name in adapters:
        _adapter(params, paths, words, name)
    say(f"export: {rows} rows and {number(len(adapters))} adapters in {TARGET}/; read the cards, and set the licences")
    return {"rows": rows}


def _dataset(params: Params, paths: Paths, words: Words) -> int:
    """Parquet files by split, and the card."""
    from datasets import Dataset

    rows = [_flatten(row) for row in corpus.read_all_new(paths)]
    tasks = [task.name for task in words.tasks if task.is_new]
    folder = _fresh(paths, "dataset")
    found = cards.split_rows(rows)
    (folder / "data").mkdir()
    for split, chosen in found.items():
        Dataset.from_list(chosen).to_parquet(str(folder / "data" / f"{split}.parquet"))
    teacher = params.generate.teacher
    facts = cards.DatasetFacts(
        splits={split: len(chosen) for split, chosen in found.items()},
        about=words.labels(tasks),
        kinds=dict(sorted(Counter(row["template"] or row["task"] for row in rows).items())),
        teacher=params.generate.model,
        embedded=isinstance(teacher, EmbeddedTeacher),
        sources={task: _source(params, task) for task in tasks},
        prompts={
            task: (paths.prompts / f"{asked.prompt}.j2").read_text(encoding="utf-8")
            for task, asked in params.generate.by_task.items()
            if asked is not None
        },
        temperature=params.generate.temperature,
        repair=read_document(paths.metrics / "repair.json"),
        generate=read_document(paths.metrics / "generate.json"),
    )
    write_text(folder / "README.md", cards.dataset_card(facts))
    return len(rows)


def _flatten(row: NewRow) -> dict[str, Any]:
    """A row as its table has it."""
    return {
        "id": row.id,
        "task": row.task,
        "source": row.source,
        "template": row.template,
        "instruction": row.instruction,
        "response": row.response,
        "messages": [message.model_dump() for message in row.messages],
        "flags": row.flags,
        "split": row.split,
    }


def _source(params: Params, task: str) -> str:
    """Where the texts or rows of a task come from, in words."""
    source = params.prepare.by_task[task].source
    if isinstance(source, MiniSource):
        return "this project's embedded world, invented films under a seed"
    if isinstance(source, HubSource):
        return f"the hub's data set {source.dataset}"
    if isinstance(source, PackageSource):
        return f"{source.path} of the Python package {source.package}"
    if isinstance(source, SkillsSource):
        return "the suite of skills of relearn" if source.path is None else f"your own suite of skills {source.path}"
    return f"your own file {source.path}"


def _adapter(params: Params, paths: Paths, words: Words, name: str) -> None:
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
        own = paths.models / "base" if described["kind"] in OWN else paths.root / described["path"]
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
            read_document(paths.metrics / "intervals.json"), read_document(paths.metrics / "probe_3b.json"), words
        ),
        words=words,
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
