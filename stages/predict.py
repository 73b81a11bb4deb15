"""Answers the held-out prompts of every task and the probes with base, 2b, 2c and every 2b scaled.

Run by `dvc repro`, or `python -m stages.predict`. Decodes here, in one process that loads the frozen weights once
and switches adapters, or asks a server that serves the three models by name (`predict.backend`).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from relearn import model_files, models
from relearn.decoding import endpoint
from relearn.decoding.items import Decoded, Prompt
from relearn.endpoint.journal import Journal
from relearn.endpoint.request import Address
from relearn.errors import InputError
from relearn.evaluation import probes
from relearn.evaluation.suite import SkillItem
from relearn.files import file_hash, read_jsonl, write_jsonl
from relearn.params import Params
from relearn.params.predict import EndpointBackend
from relearn.progress import say
from relearn.records import Prediction, Row, make_turns
from stages import corpus, scratch
from stages.paths import Paths, keep_only
from stages.run import main

HeldOut = tuple[str, str, str, Prompt]  # id, task, group, what to answer
Facts = dict[str, Any]
DECODING = (
    "relearn/decoding/*.py",
    "relearn/chat.py",
    "relearn/models.py",
    "relearn/reasoning.py",
)  # the code that decides an answer


@dataclass(frozen=True)
class Entry:
    """A model to decode: its name, its adapter (None for none), its training seed where it is a further one, and what
    the adapter is scaled by."""

    name: str
    adapter: Path | None
    seed: int | None = None
    scale: float = 1.0

    @property
    def label(self) -> str:
        return self.name if self.seed is None else f"{self.name}, seed {self.seed}"


def work(params: Params, paths: Paths) -> Facts:
    """Writes data/predictions/<model>.jsonl, and seeds/<seed>/<model>.jsonl for the rounds of further seeds.

    Without a replayed task 2c is 2b: it is left out, and 2c.jsonl is not there.
    """
    prompts = list_prompts(params, paths)
    entries = list_models(params, paths)
    backend = params.predict.backend
    facts: Facts = {"prompts": len(prompts)}
    if isinstance(backend, EndpointBackend):
        answered = _ask_server(params, paths, backend, entries, prompts, facts)
    else:
        answered = _decode_here(params, paths, entries, prompts)
    for entry, answers in answered:
        write_jsonl(paths.predicted(entry.name, entry.seed), _rows(prompts, answers))
    keep_only(paths.predictions, [paths.predicted(entry.name, entry.seed) for entry in entries])
    return facts


def list_models(params: Params, paths: Paths) -> list[Entry]:
    """What is decoded, in order: base, 2b, 2c, then 2b and 2c of each further seed, then 2b by each scale."""
    adapted = paths.models / "base" / model_files.ADAPTER
    tuned = ["2b"] if _is_copy(paths.adapter("2c")) else ["2b", "2c"]
    return [
        Entry("base", adapted if adapted.is_dir() else None),
        *(Entry(name, paths.adapter(name, seed), seed) for seed in (None, *params.seeds) for name in tuned),
        *(Entry(f"2b@{scale:g}", paths.adapter("2b"), scale=scale) for scale in params.predict.scales),
    ]


def _is_copy(adapter: Path) -> bool:
    """Whether the second round had nothing to replay (`stages.finetune_2c`)."""
    file = adapter / "provenance.json"
    return file.is_file() and "copied" in json.loads(file.read_text(encoding="utf-8"))


def _rows(prompts: list[HeldOut], answers: list[Decoded]) -> Iterator[Prediction]:
    for (identity, task, group, item), answer in zip(prompts, answers, strict=True):
        yield answer.to_prediction(identity, task, group, item.instruction, item.reference)


def _decode_here(
    params: Params, paths: Paths, entries: list[Entry], prompts: list[HeldOut]
) -> Iterator[tuple[Entry, list[Decoded]]]:
    """One load of the frozen weights, one adapter on them at a time; base comes before any adapter touches them.

    A batch holds prompts of one task, so that it, and what is kept of it, does not change with the other tasks.
    """
    from peft.helpers import rescale_adapter_scale

    from relearn.decoding.local import decode

    for entry in entries:
        if entry.adapter is not None:  # so that a missing one shows before anything is decoded
            model_files.check_adapter(entry.adapter)
    models.set_seed_and_threads(params.compute.threads, params.seed)
    base = paths.models / "base"
    weights = model_files.find_weights(base, paths.root)
    chat = models.load_chat(weights, params.chat.template, params.chat.arguments, params.chat.date)
    frozen = models.FrozenBase(weights, params.compute.device, params.compute.precision, params.compute.quantize)
    described = [base, *sorted(weights.glob("*.json"))]  # base.json has a hub model's commit, or a folder's hashes
    options = params.predict
    for entry in entries:
        inputs = described if entry.adapter is None else [*described, *sorted(entry.adapter.glob("adapter_*"))]
        kept = scratch.name_folder(paths, "predict", [params.compute, entry.scale], inputs, DECODING)
        model = frozen.put(entry.adapter)
        answers: list[Decoded] = []
        with nullcontext() if entry.scale == 1 else rescale_adapter_scale(model, entry.scale):
            for task, held_out in groupby(prompts, lambda prompt: prompt[1]):
                items = [item for *_, item in held_out]
                label = f"predict {entry.label}, {task}"
                answers += decode(model, chat, items, options.batch_size, label, options.strategy, params.seed, kept)
        del model
        yield entry, answers


def _ask_server(
    params: Params, paths: Paths, backend: EndpointBackend, entries: list[Entry], prompts: list[HeldOut], facts: Facts
) -> Iterator[tuple[Entry, list[Decoded]]]:
    """The same prompts sent to a server. References get no likelihood, so that bits per byte are missing."""
    key = "none"
    if backend.api_key_env is not None:
        key = os.environ.get(backend.api_key_env, "").strip()
        if not key:
            raise InputError(
                f"the environment variable {backend.api_key_env} is not set (predict.backend.api_key_env); "
                "export it, or set the parameter to null where the server wants no key"
            )
    how = endpoint.make_settings(backend.concurrency, backend.timeout_s, backend.attempts)
    items = [item for *_, item in prompts]
    names = {"base": backend.models.base, "2b": backend.models.m2b, "2c": backend.models.m2c}
    say("predict: a server gives no likelihood of the references, so the tables will have no bits per byte")
    with Journal(paths.cache / "predict" / "journal.sqlite") as journal:
        for entry in entries:
            name = entry.name
            folders = [paths.models / "base", *([paths.adapter(name)] if name != "base" else [])]
            # A name says nothing of the weights behind it: an answer of other weights must not be found again.
            url = Address.of(backend.base_url, key).base_url
            address = Address.of(url, key, f"{url} {_digest(folders)}")
            label = f"predict {name}"
            strategy = params.predict.strategy
            answers, tally = endpoint.decode(
                address, names[name], items, journal, how, label, strategy, params.seed, params.chat.arguments
            )
            facts[name] = tally.facts(how)
            yield entry, answers


def _digest(folders: list[Path]) -> str:
    """SHA-256 over the names and contents of the files in some model folders."""
    digest = hashlib.sha256()
    for folder in folders:
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            digest.update(f"{file.relative_to(folder.parent)} {file_hash(file)}\n".encode())
    return digest.hexdigest()


def list_prompts(params: Params, paths: Paths) -> list[HeldOut]:
    """The held-out rows of every task, in the order of the tables, then the probes.

    The items of suites are answered to be checked: their longest answer is the skill's where that is shorter, and
    nothing is asked of their own answers.
    """
    limits = params.predict.max_new_tokens
    skills = {item.id: item.max_new_tokens for item in read_jsonl(paths.skill_items, SkillItem)}

    def ask(row: Row, limit: int) -> Prompt:
        checked = row.id in skills
        return Prompt(row.prompt, min(limit, skills.get(row.id, limit)), None if checked else row.response)

    rows = corpus.read_held_out(paths)
    prompts: list[HeldOut] = [
        (row.id, task, row.group, ask(row, limits.by_task[task]))
        for task in params.tasks
        for row in rows
        if row.task == task
    ]
    prompts += [
        (probe.id, "probe", probe.kind, Prompt(make_turns(probe.instruction), limits.probe, None))
        for probe in probes.read(paths.probes(params.profile))
    ]
    return prompts


if __name__ == "__main__":
    main("predict", work)
