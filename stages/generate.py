"""Asks the teacher to reply to every review: one reply that agrees, one that disagrees, as one JSON object.

Run by `dvc repro`, or `python -m stages.generate`. `python -m stages.generate --estimate` sends nothing and prints
what a run would send and cost.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from relearn.endpoint.journal import Journal
from relearn.endpoint.request import Address
from relearn.endpoint.run import ask
from relearn.endpoint.tally import Tally
from relearn.errors import InputError
from relearn.files import read_jsonl, write_json, write_jsonl
from relearn.params import Params, load
from relearn.params.generate import EmbeddedTeacher
from relearn.progress import say
from relearn.records import Source
from relearn.teacher import asking, cost
from relearn.teacher.prompts import PromptTemplate
from stages.paths import HERE, Paths
from stages.run import main


def _journal(paths: Paths) -> Journal:
    return Journal(paths.cache / "teacher" / "journal.sqlite")


class _Texts:
    """What the teacher is shown for a task, test texts last, read anew at each iteration: the files may be larger than memory."""

    def __init__(self, paths: Paths, task: str) -> None:
        self.files, self.task = (paths.source_rows, paths.held_out_sources), task

    def __iter__(self) -> Iterator[Source]:
        for file in self.files:
            yield from (text for text in read_jsonl(file, Source) if text.task == self.task)


def work(params: Params, paths: Paths) -> dict[str, Any]:
    """Writes data/replies.jsonl and metrics/generate.json, and returns the run's facts."""
    questions, settings = _questions(params, paths), asking.make_settings(params.generate)
    log = paths.runs / "generate.json"
    tally = Tally()
    with _journal(paths) as journal, _teacher(params) as address:
        try:
            ask(questions, address, settings, journal, tally, "generate", "reviews")
            asking.refuse_unanswered(tally, str(log.relative_to(paths.cache.parent)))
        except InputError:
            # A run that stops has sent and paid as well: what it did goes where a good run's facts go.
            write_json(log, {"stage": "generate", "stopped": True, **tally.facts(settings)})
            raise
        summary: dict[str, Any] = {}
        write_jsonl(paths.replies, asking.read_replies(questions, address, journal, summary))
        write_json(paths.metrics / "generate.json", summary)
    if tally.without_format:
        say(
            f"generate: the server refused response_format {params.generate.response_format}; "
            f"{tally.without_format} requests were answered without it"
        )
    return tally.facts(settings)


def _questions(params: Params, paths: Paths) -> asking.Questions:
    (task, asked), *_ = params.generate.by_task.items()
    assert asked is not None
    prompt = PromptTemplate(paths.prompts / f"{asked.prompt}.j2")
    return asking.Questions(task, _Texts(paths, task), params.generate, prompt)


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
    key = os.environ.get(teacher.api_key_env, "").strip()
    if not key and sending:
        raise InputError(
            f"the environment variable {teacher.api_key_env} is not set (generate.teacher.api_key_env); "
            f"export {teacher.api_key_env}=… with the server's API key, any word where it wants none"
        )
    return Address.of(teacher.base_url, key)


def _estimate() -> None:
    """Prints what a run would send and cost."""
    try:
        params = load(HERE.root)
        with _journal(HERE) as journal:
            found = cost.estimate(_questions(params, HERE), _address(params, sending=False), journal)
        print("\n".join(found.lines(params.generate.budget_usd)))
    except InputError as error:
        print(f"generate: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    if sys.argv[1:] == ["--estimate"]:
        _estimate()
    elif sys.argv[1:]:
        print("usage: python -m stages.generate [--estimate]", file=sys.stderr)
        sys.exit(2)
    else:
        main("generate", work)
