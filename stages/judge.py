"""A judge says of pairs of answers to open prompts which is better, in both orders; off unless the profile names one.

Run by `dvc repro`, or `python -m stages.judge`. `python -m stages.judge --estimate` sends nothing and prints what a run
would send and cost.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from relearn.endpoint.journal import Journal
from relearn.endpoint.request import Address
from relearn.endpoint.tally import Tally
from relearn.errors import InputError
from relearn.files import read_jsonl, write_json, write_jsonl
from relearn.judge import asking
from relearn.params import Params
from relearn.params.judge import EmbeddedJudge, Judging
from relearn.records import Prediction
from relearn.teacher import asking as teacher
from relearn.teacher import cost
from stages.paths import Paths
from stages.roles import name_models
from stages.run import main_or_estimate


def work(params: Params, paths: Paths) -> dict[str, Any]:
    """Writes data/verdicts.jsonl and metrics/judge.json, both empty where nobody judges; returns the run's facts."""
    if params.judge is None:
        write_jsonl(paths.verdicts, [])
        write_json(paths.metrics / "judge.json", {})
        return {}
    settings, log, tally = teacher.make_settings(params.judge, asking.NAMES), paths.runs / "judge.json", Tally()
    listed = str(log.relative_to(paths.cache.parent))
    with _journal(paths) as journal, _serve(params, params.judge) as address:
        try:
            requests = _make_requests(params, params.judge, paths)
            judgements, summary = asking.judge(requests, address, journal, settings, tally, listed)
        except InputError:
            # A run that stops has also sent and paid: its facts go where those of a complete run go.
            write_json(log, {"stage": "judge", "stopped": True, **tally.facts(settings)})
            raise
    write_jsonl(paths.verdicts, judgements)
    write_json(paths.metrics / "judge.json", summary)
    return tally.facts(settings)


def _journal(paths: Paths) -> Journal:
    return Journal(paths.cache / "judge" / "journal.sqlite")


def _make_requests(params: Params, options: Judging, paths: Paths) -> asking.JudgeRequests:
    criterion = asking.read_criterion(paths.prompts / f"{options.prompt}.j2", "judge.prompt")
    roles = name_models(params, paths)
    models = [roles.base, *roles.trained]
    predictions = {model: list(read_jsonl(paths.predicted(model), Prediction)) for model in models}
    pairs = asking.choose_pairs(predictions, roles.pairs, options.tasks, options.prompts, params.seed)
    return asking.JudgeRequests(pairs, options, criterion)


@contextmanager
def _serve(params: Params, options: Judging) -> Iterator[Address]:
    """The judge's address; the embedded one runs until the block is left."""
    if not isinstance(options.judge, EmbeddedJudge):
        yield _address(params, options)
        return
    from relearn.mini.server import Server

    with Server(_rules(params, options.judge)) as server:
        yield _address(params, options, server.base_url)


def _rules(params: Params, judge: EmbeddedJudge) -> Any:
    from relearn.mini.judge import JudgeByRules

    return JudgeByRules(params.seed, **judge.model_dump(exclude={"kind"}))


def _address(params: Params, options: Judging, base_url: str = "http://127.0.0.1/v1", sending: bool = True) -> Address:
    """Where the judge is, the key to it (needed for sending), and what determines its answers."""
    if isinstance(options.judge, EmbeddedJudge):
        return Address.of(base_url, "embedded", _rules(params, options.judge).identity)
    return teacher.find_address(options.judge, asking.NAMES.key, sending)


def estimate(params: Params, paths: Paths) -> cost.Estimate | None:
    """What a run would send and cost, by the answers that predict has written; None where nobody judges."""
    if params.judge is None:
        return None
    with _journal(paths) as journal:
        requests = _make_requests(params, params.judge, paths)
        return cost.estimate(requests, params.judge, _address(params, params.judge, sending=False), journal)


def _say(params: Params, paths: Paths) -> list[str]:
    found = estimate(params, paths)
    if found is None or params.judge is None:
        return ["judge: null in the profile, so nothing is sent, and it costs nothing"]
    return found.lines(params.judge.budget_usd)


if __name__ == "__main__":
    main_or_estimate("judge", work, _say)
