"""The instruction data set and the adapters in Hugging Face form, with their cards, in export/.

    python -m stages.export                 # writes export/dataset, a folder an adapter, and export/base, if trained here
    python -m stages.export --scale 0.5     # and export/2b@0.5: an adapter with that part of 2b's change (docs/evaluation.md)
    python -m stages.export --scale 0.5 --merged   # the same as whole weights

Nothing is uploaded; docs/experiments.md gives the commands that do it.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from relearn.compare.scale_command import write_part_of_adapter
from relearn.errors import InputError
from relearn.files import write_json, write_text
from relearn.model_files import ADAPTER, OWN, find_weights
from relearn.params import Params
from relearn.params.generate import EmbeddedTeacher
from relearn.params.predict import MOST_SCALE
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
    """Writes the folder afresh."""
    factor, merged = read_arguments(sys.argv[1:])
    words = describe_tasks(params, paths)
    rows = _dataset(params, paths, words)
    adapters = words.roles.trained
    for name in adapters:
        _adapter(params, paths, words, name)
    if factor is not None:
        _scaled(paths, words, factor, merged)
    say(f"export: {rows} rows and {number(len(adapters))} adapters in {TARGET}/; read the cards and set the licences")
    return {"rows": rows}


def read_arguments(given: list[str]) -> tuple[float | None, bool]:
    """The factor and whether whole weights are asked for. InputError for anything else."""
    parser = argparse.ArgumentParser("python -m stages.export", exit_on_error=False, add_help=False, allow_abbrev=False)
    parser.add_argument("--scale", type=float)
    parser.add_argument("--merged", action="store_true")
    try:
        found, unknown = parser.parse_known_args(given)
    except argparse.ArgumentError:
        found, unknown = None, given
    if found is None or unknown or (found.merged and found.scale is None) or not 0 < (found.scale or 1) <= MOST_SCALE:
        raise InputError(
            f"{' '.join(given)}: usage: python -m stages.export [--scale FACTOR [--merged]], FACTOR above 0 and at most "
            f"{MOST_SCALE:g}"
        )
    return found.scale, found.merged


def _scaled(paths: Paths, words: Words, factor: float, merged: bool) -> None:
    """Part of the tuned model's change, as `relearn scale` writes it, with its card."""
    tuned = words.roles.tuned
    name = f"{tuned}@{factor:g}"
    base = paths.models / "base"
    if (base / ADAPTER).is_dir():
        raise InputError(
            "--scale: base has an adapter of its own (base.model.adapt), so scaling the tuned one does not start from base"
        )
    folder = paths.root / TARGET / name
    if folder.exists():
        shutil.rmtree(folder)
    weights = find_weights(base, paths.root)
    write_part_of_adapter(paths.root / TARGET / tuned, factor, folder, tuned, weights, merged)
    kind = "Whole weights" if merged else "An adapter"
    said = f"{kind} with {factor:g} of the change that {tuned} makes, without further training (Wortsman et al. 2022)."
    table = (paths.report / "table_3a.md").read_text(encoding="utf-8")
    write_text(
        folder / "README.md",
        f"---\nlicense: other\n---\n# {name}\n\n{said} [{tuned}](../{tuned}/README.md) says how it was made.\n\n{table}",
    )


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
