"""Answers the held-out prompts of every task and the probes with base, 2b, 2c and every 2b scaled that is to be decoded,
and finds how likely their references are along 2b's learn-forget curve.

Run by `dvc repro`, or `python -m stages.predict`. Decodes here, where a process loads the frozen weights once and switches
adapters, or asks a server that serves the models by name, one that is there or its own (`predict.backend`). Where the
profile asks for several processes (`launch`), each decodes its share of the batches; what is written is the same.
"""

from __future__ import annotations

import hashlib
import os
import random
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from relearn import model_files, models
from relearn.decoding import endpoint
from relearn.decoding.items import CurveRow, Decoded, Prompt, is_weighed
from relearn.decoding.keeping import name_batch
from relearn.decoding.share import Share
from relearn.endpoint.journal import Journal
from relearn.endpoint.request import Address
from relearn.errors import InputError
from relearn.evaluation import probes
from relearn.evaluation.suite import SkillItem
from relearn.files import file_hash, read_jsonl, write_jsonl
from relearn.launched import is_rank_zero
from relearn.params import Params
from relearn.params.predict import EndpointBackend, VllmBackend
from relearn.progress import say
from relearn.records import Prediction, Record, Row, make_turns
from relearn.scaling.adapter import put_scaled
from stages import corpus, launch, scratch
from stages.base_model import find_base, freeze_base, is_copy
from stages.paths import Paths, keep_only
from stages.run import main

HeldOut = tuple[str, str, str, Prompt]  # id, task, group, what to answer
Facts = dict[str, Any]
DECODING = (
    "relearn/decoding/*.py",
    "relearn/chat.py",
    "relearn/models.py",
    "relearn/reasoning.py",
    "relearn/scaling/*.py",
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
    """Writes data/predictions/<model>.jsonl, and curve.jsonl where `predict.scales` asks for it; and in seeds/<seed>/ those
    of the rounds of further seeds.

    Without a replayed task, or an epoch of it, 2c is 2b: it does not answer, and 2c.jsonl has no row.
    """
    prompts = list_prompts(params, paths)
    entries = list_models(params, paths)
    backend = params.predict.backend
    facts: Facts = {"prompts": len(prompts)}
    answered: Iterable[tuple[Entry, list[Decoded]]]
    if isinstance(backend, EndpointBackend):
        answered = _ask_server(params, paths, backend, entries, prompts, facts)
    elif isinstance(backend, VllmBackend):
        answered = _ask_vllm(params, paths, backend, entries, prompts, facts)
    else:
        for entry in entries:
            if entry.adapter is not None:  # so that a missing one shows before anything is decoded
                model_files.check_adapter(entry.adapter)
        if (launched := launch.run_in_workers(params, paths, "predict")) is not None:
            return facts | launched
        here = Decoder(params, paths)
        answered = ((entry, here.decode(entry, prompts)) for entry in entries)
    written: list[Path] = []

    def write(file: Path, rows: Iterable[Record]) -> None:
        found = list(rows)  # by all processes together
        if is_rank_zero():
            write_jsonl(file, found)
        written.append(file)

    known: dict[tuple[int | None, float], list[Decoded]] = {}  # by the seed and factor of 2b
    for entry, answers in answered:
        write(paths.predicted(entry.name, entry.seed), _rows(prompts, answers))
        if entry.adapter == paths.adapter("2b", entry.seed):
            known[entry.seed, entry.scale] = answers
        elif entry.name == "base":
            known |= {(seed, 0.0): answers for seed in (None, *params.seeds)}
    for seed in (None, *params.seeds) if params.predict.scales else ():
        own = {factor: answers for (of, factor), answers in known.items() if of == seed}
        write(paths.curve(seed), here.trace(prompts, seed, own))
    if all(entry.name != "2c" for entry in entries):
        write(paths.predicted("2c"), [])
    if is_rank_zero():
        keep_only(paths.predictions, written)
    return facts


def list_models(params: Params, paths: Paths) -> list[Entry]:
    """What is decoded, in order: base, 2b, 2c, then 2b and 2c of each further seed, then 2b by each scale to decode."""
    adapted = paths.models / "base" / model_files.ADAPTER
    tuned = ["2b"] if is_copy(paths.adapter("2c")) else ["2b", "2c"]
    return [
        Entry("base", adapted if adapted.is_dir() else None),
        *(Entry(name, paths.adapter(name, seed), seed) for seed in (None, *params.seeds) for name in tuned),
        *(Entry(f"2b@{scale:g}", paths.adapter("2b"), scale=scale) for scale in params.predict.decode_scales),
    ]


def _rows(prompts: list[HeldOut], answers: list[Decoded]) -> Iterator[Prediction]:
    for (identity, task, group, item), answer in zip(prompts, answers, strict=True):
        yield answer.to_prediction(identity, task, group, item.instruction, item.reference)


class Decoder:
    """One load of the frozen weights, one adapter on them at a time; base is to be asked before any adapter touches them.

    A batch holds prompts of one task, so that it, and what is kept of it, does not change with the other tasks. Of several
    processes, each decodes its share of the batches, and all get all answers.
    """

    def __init__(self, params: Params, paths: Paths) -> None:
        models.set_seed_and_threads(params.compute.threads, params.seed)
        self.params, self.paths, self.share = params, paths, Share.of_launched()
        weights, self.chat = find_base(params, paths)
        self.frozen = freeze_base(params, weights)
        # base.json has a hub model's commit, or a folder's hashes
        self.described = [paths.models / "base", *sorted(weights.glob("*.json"))]

    def decode(self, entry: Entry, prompts: list[HeldOut]) -> list[Decoded]:
        """The model's answers, and the likelihoods of the references."""
        from relearn.decoding.local import decode

        options, items, kept = self.params.predict, [item for *_, item in prompts], self._name_kept(entry)
        with self._put(entry) as model:
            return decode(
                model, self.chat, items, options.batch_size, f"predict {entry.label}", options.strategy, self.params.seed,
                kept, self.share,
            )  # fmt: skip

    def trace(self, prompts: list[HeldOut], seed: int | None, known: dict[float, list[Decoded]]) -> Iterator[CurveRow]:
        """The likelihoods of the references along the factors of 2b's change; those that are `known` are not computed.

        At most `predict.scale_rows` rows of a task, drawn under the seed.
        """
        from relearn.decoding.local import score

        options = self.params.predict
        chosen = choose_traced(prompts, options.scale_rows, self.params.seed)
        asked = [prompts[index] for index in chosen]
        items = [item for *_, item in asked]
        found: dict[float, list[float | None]] = {
            factor: [answers[index].nll for index in chosen] for factor, answers in known.items()
        }
        for factor in options.scales:
            if factor in found:
                continue
            entry = Entry(f"2b@{factor:g}", self.paths.adapter("2b", seed), seed, factor)
            with self._put(entry) as model:
                kept = self._name_kept(entry)
                found[factor] = score(
                    model, self.chat, items, options.batch_size, f"predict {entry.label}", kept, self.share
                )
            del model
        factors = sorted(found)
        for index, (identity, task, group, item) in enumerate(asked):
            nlls = [found[factor][index] for factor in factors]
            assert item.reference is not None
            size = len(item.reference.encode())
            yield CurveRow(
                id=identity, task=task, group=group, bytes=size, factors=factors, nll=[round(nll or 0.0, 4) for nll in nlls]
            )  # fmt: skip

    def _put(self, entry: Entry) -> AbstractContextManager[Any]:
        if entry.adapter is None or entry.scale == 1:
            return nullcontext(self.frozen.put(entry.adapter))
        return put_scaled(self.frozen, entry.adapter, entry.scale, str(entry.adapter.relative_to(self.paths.root)))

    def _name_kept(self, entry: Entry) -> Path:
        inputs = (
            self.described if entry.adapter is None else [*self.described, *sorted(entry.adapter.glob("adapter_*"))]
        )
        return scratch.name_folder(self.paths, "predict", [self.params.compute, entry.scale], inputs, DECODING)


def choose_traced(prompts: list[HeldOut], most: int | None, seed: int) -> list[int]:
    """The prompts with a reference whose likelihood is wanted, at most so many of a task."""
    chosen: list[int] = []
    for _, found in groupby(range(len(prompts)), lambda index: prompts[index][1]):
        own = [index for index in found if prompts[index][3].weighed_reference is not None]
        chosen += corpus.draw(own, most, random.Random(seed))
    return chosen


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
                "export it, or set the parameter to null where the server needs no key"
            )
    how = endpoint.make_settings(backend.concurrency, backend.timeout_s, backend.attempts)
    items = [item for *_, item in prompts]
    names = {"base": backend.models.base, "2b": backend.models.m2b, "2c": backend.models.m2c}
    say("predict: a server gives no likelihood of the references, so the tables will have no bits per byte")
    with Journal(paths.cache / "predict" / "journal.sqlite") as journal:
        for entry in entries:
            name = entry.name
            folders = [paths.models / "base", *([paths.adapter(name)] if name != "base" else [])]
            # A name does not identify the weights behind it: an answer of other weights must not be found again.
            url = Address.of(backend.base_url, key).base_url
            address = Address.of(url, key, f"{url} {_digest(folders)}")
            label = f"predict {name}"
            strategy = params.predict.strategy
            answers, tally = endpoint.decode(
                address, names[name], items, journal, how, label, strategy, params.seed, params.chat.arguments
            )
            facts[name] = tally.facts(how)
            yield entry, answers


def _ask_vllm(
    params: Params, paths: Paths, backend: VllmBackend, entries: list[Entry], prompts: list[HeldOut], facts: Facts
) -> list[tuple[Entry, list[Decoded]]]:
    """The same prompts, and the references, sent to a vLLM that runs as long as they are asked."""
    from relearn.decoding import vllm

    how = endpoint.make_settings(backend.concurrency, backend.timeout_s, backend.attempts)
    items, predict = [item for *_, item in prompts], params.predict
    weights, chat = find_base(params, paths)
    names = [vllm.WEIGHTS if entry.adapter is None else _name_served(entry) for entry in entries]
    adapters = {name: entry.adapter for name, entry in zip(names, entries, strict=True) if entry.adapter is not None}
    for adapter in adapters.values():
        model_files.check_adapter(adapter)
    folder, longest, answered = paths.cache / "predict", vllm.count_longest(chat, items), []
    say(f"predict: vLLM starts, its log is {folder / 'vllm.log'}")
    with (
        Journal(folder / "journal.sqlite") as journal,
        vllm.serve(weights, adapters, chat, backend, params.compute.precision, longest, folder) as address,
    ):
        if items:
            vllm.check_template(address, chat, items[0])
        for name, entry in zip(names, entries, strict=True):
            label, folders = f"predict {entry.label}", [paths.models / "base"]
            if entry.adapter is not None:
                folders.append(entry.adapter)
            kept = scratch.name_folder(
                paths, "predict", [params.compute, "vllm"], [*folders, *sorted(weights.glob("*.json"))], DECODING
            )
            # The port is another each time: what decides an answer is what is served there.
            served = replace(
                address, identity=name_batch([str(params.compute), chat.template, params.chat.date, _digest(folders)])
            )
            answers, tally = endpoint.decode(
                served, name, items, journal, how, label, predict.strategy, params.seed, params.chat.arguments,
                vllm.name_stops(chat),
            )  # fmt: skip
            facts[entry.label] = tally.facts(how)
            nlls = vllm.score(address, name, chat, items, how, f"{label}, likelihoods", kept)
            answered.append((entry, [replace(answer, nll=nll) for answer, nll in zip(answers, nlls, strict=True)]))
    return answered


def _name_served(entry: Entry) -> str:
    return entry.name if entry.seed is None else f"{entry.name}-seed-{entry.seed}"


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
        reference = None if checked else row.response
        return Prompt(
            row.prompt, min(limit, skills.get(row.id, limit)), reference, is_weighed(row.task, params.predict), row.task
        )

    rows = corpus.read_held_out(paths)
    prompts: list[HeldOut] = [
        (row.id, task, row.group, ask(row, limits.by_task[task]))
        for task in params.tasks
        for row in rows
        if row.task == task
    ]
    prompts += [
        (probe.id, "probe", probe.kind, Prompt(make_turns(probe.instruction), limits.probe, None, task="probe"))
        for probe in probes.read(paths.probes(params.profile))
    ]
    return prompts


if __name__ == "__main__":
    main("predict", work)
