"""Requests to answers as a person sees them: live or in batches, with progress and remarks."""

from __future__ import annotations

from collections.abc import Iterable

from relearn.endpoint.budget import Prices
from relearn.endpoint.journal import Journal
from relearn.endpoint.request import Address, Request
from relearn.endpoint.run import fetch
from relearn.endpoint.survey import survey
from relearn.endpoint.tally import AskSettings, Tally
from relearn.progress import Progress, say


def ask(
    requests: Iterable[Request],
    address: Address,
    settings: AskSettings,
    journal: Journal,
    tally: Tally,
    label: str,
    unit: str,
) -> None:
    """`fetch` with its progress shown as that of `label`, in `unit`; the requests are iterated twice."""
    before = survey(requests, journal, address.identity, settings.max_tokens_limit, settings.prices)
    with Progress(label, before.total, unit) as bar:

        def show() -> None:
            notes = [f"{tally.answered} new", f"{tally.rate():.1f}/s"]
            if settings.prices != Prices():
                notes.append(f"{before.cost + tally.cost:.2f} USD")
            if tally.waiting:
                notes = [tally.waiting]
            if tally.failing >= 0.05:
                notes.append(f"{tally.failing:.0%} of requests fail ({tally.last_failure[:60]})")
            if tally.failed:
                notes.append(f"{len(tally.failed)} failed")
            bar.update(tally.done - bar.done, ", ".join(notes))

        if settings.batch is None:
            fetch(requests, address, settings, journal, before, tally, show)
        else:
            from relearn.endpoint.batch import fetch_batches  # brings the client

            fetch_batches(requests, address, settings, journal, before, tally, show)
    for line in tally.remarks():
        say(f"{label}: {line}")
