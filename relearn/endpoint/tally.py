"""How a server is asked, and what happened: the numbers around a run."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from relearn.endpoint.budget import Prices
from relearn.endpoint.request import ServerAnswer
from relearn.finish_reasons import read_ending


@dataclass(frozen=True)
class BatchSettings:
    """How large a batch may be, in requests and bytes of its file, and how often the server is asked about it."""

    requests: int
    size: int
    poll_s: float


@dataclass(frozen=True)
class SettingNames:
    """What the settings are called where the user finds them: keys of the profile, or options of a command."""

    model: str = "generate.model"
    server: str = "generate.teacher.base_url"
    key: str = "generate.teacher.api_key_env"
    budget: str = "generate.budget_usd"
    mode: str = "generate.mode"

    def fill(self, todo: str | None) -> str | None:
        """An advice of `errors.TODO` with the settings' names."""
        return todo and todo.format(model=self.model, server=self.server, key=self.key)


@dataclass(frozen=True)
class AskSettings:
    """How a server is asked. Limits are per minute, None for what the server's headers say; prices in USD.

    `keep_temperature`: a server that refuses the temperature is not asked without it. `batch` asks by batches.
    """

    concurrency: int
    timeout_s: float
    attempts: int
    max_tokens_limit: int
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    prices: Prices = field(default_factory=Prices)
    budget_usd: float | None = None
    backoff_s: float = 0.5
    keep_temperature: bool = False
    batch: BatchSettings | None = None
    names: SettingNames = SettingNames()


@dataclass
class Tally:
    """What happened in a run. None of it belongs in an output."""

    total: int = 0
    journalled: int = 0
    answered: int = 0
    sent: int = 0
    retried: int = 0
    asked_longer: int = 0
    waited_for_others: int = 0
    asked_again_after_a_kill: int = 0
    without_format: int = 0
    failures: Counter[str] = field(default_factory=Counter)  # attempts without an answer, by kind
    refused: list[tuple[str, str]] = field(default_factory=list)  # label, detail: withheld for the content
    unknown_endings: Counter[str] = field(default_factory=Counter)  # unknown finish reasons
    dialect: list[str] = field(default_factory=list)  # what is sent differently, since the server refused it
    last_failure: str = ""  # what the server said of it
    waiting: str = ""  # the batches under way, for people
    batches: int = 0  # submitted
    failed: list[tuple[str, str, str]] = field(default_factory=list)  # label, kind, detail: no answer at all
    cost_before: float = 0.0  # USD, of what the journal held
    cost: float = 0.0  # USD, this run
    cost_unconfirmed: float = 0.0  # USD at most, for exchanges that broke off after they were sent
    seconds: float = 0.0
    in_flight_seconds: float = 0.0  # of the exchanges that were answered
    exchanges: int = 0  # that were answered
    started: float = field(default_factory=time.monotonic)

    def rate(self) -> float:
        """Answers a second, so far."""
        return self.answered / max(time.monotonic() - self.started, 1e-9)

    @property
    def done(self) -> int:
        """Requests settled, one way or the other."""
        return self.journalled + self.answered + len(self.failed)

    def note_ending(self, label: str, answer: ServerAnswer) -> None:
        """Counts how an answer ended, where it did not end normally."""
        ending = read_ending(answer.finish_reason)
        if ending == "refused":
            self.refused.append((label, f"finish reason {answer.finish_reason}"))
        elif ending == "unknown":
            self.unknown_endings[str(answer.finish_reason)] += 1

    @property
    def failing(self) -> float:
        """The share of the requests sent that failed: no answer came, and nothing was learned."""
        answers = ("content_filter", "cap_refused", "format_refused", "temperature_refused", "role_refused")
        lost = sum(count for kind, count in self.failures.items() if kind not in answers)
        return lost / self.sent if self.sent else 0.0

    def remarks(self) -> list[str]:
        """What the user should know of a run that succeeded, a line each."""
        lines = []
        if self.dialect:
            lines.append(f"the server refused {', '.join(self.dialect)}")
        if self.refused:
            label, detail = self.refused[0]
            count = len(self.refused)
            lines.append(
                f"{count} of {self.total} withheld for their content, and kept as refusals (the first: {label}: {detail})"
            )
        if self.unknown_endings:
            words = ", ".join(f"{count} {word}" for word, count in sorted(self.unknown_endings.items()))
            lines.append(f"unknown finish reasons, taken as complete: {words}")
        if self.failing >= 0.1:
            lines.append(f"{self.failing:.0%} of the requests failed, the last with {self.last_failure}")
        return lines

    def count_failed(self) -> str:
        """How many requests got no answer, by kind: `1 http_500, 2 timeout`."""
        kinds = Counter(kind for _, kind, _ in self.failed)
        return ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))

    def facts(self, settings: AskSettings) -> dict[str, Any]:
        """The tally for a run log, with the share of the ideal rate.

        The ideal keeps all slots busy at the mean latency seen, or meets the limit on requests, whichever is
        slower. The latency is the client's: its own delay counts as the server's here (the benchmark, which
        knows the server's, shows the difference).
        """
        rate = self.exchanges / self.seconds if self.seconds else 0.0
        ideal = None
        if self.exchanges and self.in_flight_seconds:
            ideal = settings.concurrency * self.exchanges / self.in_flight_seconds
            if settings.requests_per_minute:
                ideal = min(ideal, settings.requests_per_minute / 60)
        return {
            "requests": self.total,
            "journalled": self.journalled,
            "answered": self.answered,
            "failed": len(self.failed),
            "sent": self.sent,
            "retried": self.retried,
            "failures": dict(sorted(self.failures.items())),
            "asked_longer": self.asked_longer,
            "asked_again_after_a_kill": self.asked_again_after_a_kill,
            "waited_for_others": self.waited_for_others,
            "without_format": self.without_format,
            "batches": self.batches,
            "failing_share": round(self.failing, 4),
            "dialect": self.dialect,
            "refused": [{"id": label, "detail": detail} for label, detail in self.refused],
            "unknown_finish_reasons": dict(sorted(self.unknown_endings.items())),
            "cost_before_usd": round(self.cost_before, 6),
            "cost_usd": round(self.cost, 6),
            "cost_unconfirmed_usd": round(self.cost_unconfirmed, 6),
            "asking_seconds": round(self.seconds, 3),
            "requests_per_second": round(rate, 3),
            "share_of_ideal_rate": round(rate / ideal, 4) if ideal else None,
            "failed_requests": [{"id": label, "kind": kind, "detail": detail} for label, kind, detail in self.failed],
        }
