"""Answers the held-out prompts of every task and the probes with base, 2b and 2c.

Run by `dvc repro`, or `python -m stages.predict`. Decodes here, in one process that loads the frozen weights once
and switches adapters, or asks a server that serves the three models by name (`predict.backend`).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from relearn import model_files, models
from relearn.decoding import endpoint
from relearn.decoding.items import Decoded, Prompt
from relearn.endpoint.journal import Journal
from relearn.endpoint.request import Address
from relearn.errors import InputError
from relearn.evaluation import probes
from relearn.files import file_hash, write_jsonl
from relearn.params import Params
from relearn.params.predict import EndpointBackend
from relearn.progress import say
from relearn.records import MODELS, Prediction, SeedPrediction, make_turns
from stages import corpus
from stages.paths import Paths
from stages.run import main

HeldOut = tuple[str, str, str, Prompt]  # id, task, group, what to answer
Facts = dict[str, Any]


def work(params: Params, paths: Paths) -> Facts:
    """Writes data/predictions/{base,2b,2c}.jsonl, and seeds.jsonl with the answers of the rounds of further seeds."""
    prompts = list_prompts(params, paths)
    items = [item for *_, item in prompts]
    backend = params.predict.backend
    facts: Facts = {"prompts": len(prompts)}
    if isinstance(backend, EndpointBackend):
        answered = _ask_server(params, paths, backend, items, facts)
    else:
        answered = _decode_here(params, paths, items)
    further: list[SeedPrediction] = []
    for name, seed, answers in answered:
        if seed is None:
            write_jsonl(paths.predicted(name), _rows(prompts, answers))
        else:
            further += [SeedPrediction(**row.model_dump(), model=name, seed=seed) for row in _rows(prompts, answers)]
    write_jsonl(paths.predicted("seeds"), further)
    return facts


def _rows(prompts: list[HeldOut], answers: list[Decoded]) -> Iterator[Prediction]:
    for (identity, task, group, item), answer in zip(prompts, answers, strict=True):
        yield answer.to_prediction(identity, task, group, item.instruction, item.reference)


def _decode_here(params: Params, paths: Paths, items: list[Prompt]) -> Iterator[tuple[str, int | None, list[Decoded]]]:
    """One load of the frozen weights; base is the weights alone, or with the adapter that the profile tuned.

    After the three models come 2b and 2c of each further seed, which is named with them.
    """
    from relearn.chat import Chat
    from relearn.decoding.local import decode

    models.set_seed_and_threads(params.compute.threads, params.seed)
    base = paths.models / "base"
    weights = model_files.find_weights(base, paths.root)
    chat = Chat(models.load_tokenizer(weights), params.chat.template)
    frozen = models.load_base(weights, params.compute.device, params.compute.precision, params.compute.quantize)
    folders = {name: paths.adapter(name) for name in ("2b", "2c")}
    adapted = base / model_files.ADAPTER
    if adapted.is_dir():
        folders["base"] = adapted
    model = models.load_adapters(frozen, folders)
    options = params.predict

    def answers(adapter: str, label: str) -> list[Decoded]:
        with models.use_adapter(model, adapter):
            return decode(model, chat, items, options.batch_size, label, options.strategy, params.seed)

    for name in MODELS:
        yield name, None, answers(name, f"predict {name}")
    for seed in params.seeds:
        for name in MODELS[1:]:
            adapter = f"{name}-{seed}"
            models.add_adapter(model, adapter, paths.adapter(name, seed))
            yield name, seed, answers(adapter, f"predict {name}, seed {seed}")
            model.set_adapter("2b", inference_mode=True)  # PEFT warns where the active one is deleted
            model.delete_adapter(adapter)


def _ask_server(
    params: Params, paths: Paths, backend: EndpointBackend, items: list[Prompt], facts: Facts
) -> Iterator[tuple[str, int | None, list[Decoded]]]:
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
    names: dict[str, str] = {"base": backend.models.base, "2b": backend.models.m2b, "2c": backend.models.m2c}
    say("predict: a server gives no likelihood of the references, so the tables will have no bits per byte")
    with Journal(paths.cache / "predict" / "journal.sqlite") as journal:
        for name in MODELS:
            folders = [paths.models / "base", *([paths.adapter(name)] if name != "base" else [])]
            # A name says nothing of the weights behind it: an answer of other weights must not be found again.
            url = Address.of(backend.base_url, key).base_url
            address = Address.of(url, key, f"{url} {_digest(folders)}")
            label = f"predict {name}"
            strategy = params.predict.strategy
            answers, tally = endpoint.decode(address, names[name], items, journal, how, label, strategy, params.seed)
            facts[name] = tally.facts(how)
            yield name, None, answers


def _digest(folders: list[Path]) -> str:
    """SHA-256 over the names and contents of the files in some model folders."""
    digest = hashlib.sha256()
    for folder in folders:
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            digest.update(f"{file.relative_to(folder.parent)} {file_hash(file)}\n".encode())
    return digest.hexdigest()


def list_prompts(params: Params, paths: Paths) -> list[HeldOut]:
    """The held-out rows of every task, in the order of the tables, then the probes."""
    limits = params.predict.max_new_tokens
    rows = corpus.read_held_out(paths)
    prompts: list[HeldOut] = [
        (row.id, task, row.group, Prompt(row.prompt, limits.by_task[task], row.response))
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
