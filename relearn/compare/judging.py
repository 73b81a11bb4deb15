"""`relearn compare --judge`: a model says which of two answers is better, and what it said joins the results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import relearn
from relearn.compare import summary
from relearn.endpoint.journal import Journal
from relearn.endpoint.tally import SettingNames, Tally
from relearn.errors import InputError
from relearn.evaluation.judged import join_orders, measure
from relearn.files import write_json, write_jsonl
from relearn.judge import asking
from relearn.params.asking import Asking, ChatServer
from relearn.progress import say
from relearn.records import Prediction
from relearn.teacher import asking as teacher
from relearn.teacher import cost
from relearn.teacher.prompts import PromptTemplate

NAMES: Final = SettingNames(
    model="--judge-model", server="--judge", key="--judge-api-key-env", budget="--judge-budget", mode="--judge"
)
TASKS: Final = {"old": (summary.OLD,), "new": (summary.NEW,), "both": (summary.OLD, summary.NEW)}


def find_criterion() -> Path:
    """The prompt file that comes with the project: of a checkout, or of the installed package."""
    root = Path(relearn.__file__).parents[1]
    places = [root / folder / "better.j2" for folder in ("prompts", "stages/project/prompts")]
    return next((place for place in places if place.is_file()), places[0])


class CompareJudge:
    """The judge that the options name, checked before any model is loaded. Raises InputError for what is wrong in them."""

    def __init__(self, options: SimpleNamespace) -> None:
        if options.judge_model is None:
            raise InputError("--judge: needs --judge-model, the name under which the server knows the judge")
        if not options.judge.startswith(("http://", "https://")):
            raise InputError(
                f"--judge {options.judge}: expected an address up to /v1, such as https://api.openai.com/v1"
            )
        self.criterion: PromptTemplate = asking.read_criterion(
            options.judge_prompt or find_criterion(), "--judge-prompt"
        )
        price = options.judge_price or (0.0, 0.0)
        self.options = Asking.model_validate(
            {
                "model": options.judge_model,
                "temperature": 0.0,
                "max_tokens": options.judge_max_tokens,
                "max_tokens_limit": 4 * options.judge_max_tokens,
                "response_format": "none",
                "concurrency": options.concurrency,
                "requests_per_minute": None,
                "tokens_per_minute": None,
                "timeout_s": options.timeout,
                "attempts": options.attempts,
                "price_input": price[0],
                "price_output": price[1],
                "budget_usd": options.judge_budget,
                "mode": "live",
                "batch": {"price": 1.0, "requests": 1, "megabytes": 1.0, "poll_s": 1.0},
                "reasoning_effort": None,
                "extra_body": None,
            }
        )
        env = options.judge_api_key_env
        server = ChatServer(kind="server", base_url=options.judge, api_key_env=env or "NONE")
        # a server that wants no key gets a word in its place
        self.address = teacher.find_address(server, NAMES.key, sending=env is not None and not options.judge_estimate)
        if env is None:
            self.address = type(self.address).of(options.judge, "none")
        self.tasks, self.limit, self.seed, self.out = (
            TASKS[options.judge_rows],
            options.judge_limit,
            options.seed,
            options.out,
        )

    def make_requests(
        self, predictions: Mapping[str, Sequence[Prediction]], models: Sequence[tuple[str, str]]
    ) -> asking.JudgeRequests:
        """What is asked about the answers."""
        pairs = asking.choose_pairs(predictions, models, self.tasks, self.limit, self.seed)
        return asking.JudgeRequests(pairs, self.options, self.criterion)

    def estimate(self, requests: asking.JudgeRequests) -> list[str]:
        """What asking would cost, for people; nothing is sent."""
        with Journal(self.out / "journal.sqlite") as journal:
            return cost.estimate(requests, self.options, self.address, journal).lines(self.options.budget_usd)

    def judge(self, requests: asking.JudgeRequests, models: Sequence[tuple[str, str]]) -> dict[str, Any]:
        """Asks, and writes verdicts.jsonl and judge.json to the output folder; what was measured."""
        log, tally = self.out / "judge_run.json", Tally()
        settings = teacher.make_settings(self.options, NAMES)
        with Journal(self.out / "journal.sqlite") as journal:
            found = cost.estimate(requests, self.options, self.address, journal)
            say(
                f"compare: judge: {found.requests - found.journalled} of {found.requests} requests to send, about "
                f"{found.cost:.2f} USD, at most {found.cost_most:.2f}"
            )
            try:
                judgements, counts = asking.judge(requests, self.address, journal, settings, tally, log.name)
            finally:
                write_json(log, tally.facts(settings))
        write_jsonl(self.out / "verdicts.jsonl", judgements)
        measured = measure(join_orders(judgements, models), models)
        write_json(self.out / "judge.json", {"model": self.options.model, "counts": counts, **measured})
        return measured
