"""Asks the teacher for a record of every source of a new task, each by its task's prompt, as one JSON object.

Run by `dvc repro`, or `python -m stages.generate`. `python -m stages.generate --estimate` sends nothing and prints
what a run would send and cost.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from relearn.endpoint.asking import ask
from relearn.endpoint.journal import Journal
from relearn.endpoint.request import Address
from relearn.endpoint.tally import Tally
from relearn.errors import InputError
from relearn.files import read_jsonl, write_json, write_jsonl
from relearn.params import Params
from relearn.params.generate import EmbeddedTeacher
from relearn.records import Source
from relearn.repair.json import load_task_schema
from relearn.teacher import asking, cost
from relearn.teacher.prompts import PromptTemplate
from stages.paths import Paths
from stages.run import main_or_estimate


def _journal(paths: Paths) -> Journal:
    return Journal(paths.cache / "teacher" / "journal.sqlite")


class _Sources:
    """What the teacher is shown, those to train on first, read anew at each iteration: it may be larger than memory."""

    def __init__(self, paths: Paths) -> None:
        self.files = (paths.source_rows, paths.held_out_sources)

    def __iter__(self) -> Iterator[Source]:
        for file in self.files:
            yield from read_jsonl(file, Source)


def work(params: Params, paths: Paths) -> dict[str, Any]:
    """Writes data/replies.jsonl and metrics/generate.json, and returns the run's facts."""
    questions, settings = _questions(params, paths), asking.make_settings(params.generate)
    log = paths.runs / "generate.json"
    tally = Tally()
    with _journal(paths) as journal, _teacher(params) as address:
        try:
            ask(questions, address, settings, journal, tally, "generate", "requests")
            asking.refuse_unanswered(tally, str(log.relative_to(paths.cache.parent)))
        except InputError:
            # A run that stops has also sent and paid: its facts go where those of a complete run go.
            write_json(log, {"stage": "generate", "stopped": True, **tally.facts(settings)})
            raise
        summary: dict[str, Any] = {}
        write_jsonl(paths.replies, asking.read_replies(questions, address, journal, summary))
        write_json(paths.metrics / "generate.json", summary)
    return tally.facts(settings)


def _questions(params: Params, paths: Paths) -> asking.Questions:
    sources = _Sources(paths)
    fields: dict[str, Mapping[str, str]] = {}
    for source in sources:
        fields.setdefault(source.task, source.fields)
    by_task = {}
    for task, asked in params.generate.by_task.items():
        if asked is not None:
            schema, record = load_task_schema(paths.prompts / f"{asked.record_schema}.json")
            if isinstance(params.generate.teacher, EmbeddedTeacher):
                _refuse_unknown_task(task, record.fields)
            prompt = PromptTemplate(paths.prompts / f"{asked.prompt}.j2", fields.get(task, ()))
            by_task[task] = asking.Question(prompt, schema)
    for task in fields:
        if task not in by_task:
            name = paths.source_rows.relative_to(paths.root)
            raise InputError(f"{name}: belongs to the task {task}, which generate does not ask for; run prepare again")
    return asking.Questions(sources, params.generate, by_task)


def _refuse_unknown_task(task: str, fields: Collection[str]) -> None:
    """InputError for a task that the embedded teacher cannot write."""
    from relearn.mini.completions import FIELDS

    if not set(FIELDS) <= set(fields):
        raise InputError(
            f"generate.{task}.schema: the embedded teacher writes {' and '.join(FIELDS)} only; "
            "set generate.teacher to kind server"
        )


@contextmanager
def _teacher(params: Params) -> Iterator[Address]:
    """The teacher's address; the embedded one runs until the block is left."""
    teacher = params.generate.teacher
    if not isinstance(teacher, EmbeddedTeacher):
        yield _address(params)
        return
    from relearn.mini.completions import Teacher
    from relearn.mini.faults import FaultPlan
    from relearn.mini.server import Server

    model = Teacher(params.seed, teacher.breakage.model_dump())
    faults = FaultPlan(teacher.faults.model_dump(), params.seed)
    with Server(model, faults=faults, latency_s=teacher.latency_s) as server:
        yield _address(params, server.base_url)


def _address(params: Params, base_url: str = "http://127.0.0.1/v1", sending: bool = True) -> Address:
    """Where the teacher is, the key to it (needed for sending), and what determines its answers."""
    teacher = params.generate.teacher
    if isinstance(teacher, EmbeddedTeacher):
        from relearn.mini.completions import identity

        return Address.of(base_url, "embedded", identity(params.seed, teacher.breakage.model_dump()))
    return asking.find_address(teacher, "generate.teacher.api_key_env", sending)


def estimate(params: Params, paths: Paths) -> cost.Estimate:
    """What a run would send and cost, by the texts that prepare has written; nothing is sent."""
    with _journal(paths) as journal:
        return cost.estimate(_questions(params, paths), params.generate, _address(params, sending=False), journal)


def _say(params: Params, paths: Paths) -> list[str]:
    return estimate(params, paths).lines(params.generate.budget_usd)


if __name__ == "__main__":
    main_or_estimate("generate", work, _say)
