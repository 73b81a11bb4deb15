from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from relearn.endpoint.asking import ask
from relearn.endpoint.journal import Journal
from relearn.endpoint.request import Address, ServerAnswer
from relearn.endpoint.tally import Tally
from relearn.errors import InputError
from relearn.mini.completions import Teacher
from relearn.mini.faults import FaultPlan
from relearn.mini.server import Server
from relearn.params.generate import Generate
from relearn.records import Reply, Source
from relearn.teacher import asking, cost
from relearn.teacher.prompts import PromptTemplate

PROMPTS = Path(__file__).resolve().parents[3] / "prompts"
SOURCES = [
    Source(id=f"r{n}", task="film", group=f"r{n}", label=None, split="train", fields={"text": f"Film {n} was fine."})
    for n in range(12)
]
SCHEMA = {"type": "object", "properties": {"agree": {"type": "string"}, "disagree": {"type": "string"}}}
BASE: dict[str, Any] = {
    "teacher": {"kind": "server", "base_url": "http://127.0.0.1/v1", "api_key_env": "KEY"},
    "model": "m",
    "temperature": 0.0,
    "max_tokens": 64,
    "max_tokens_limit": 64,
    "response_format": "none",
    "concurrency": 4,
    "requests_per_minute": None,
    "tokens_per_minute": None,
    "timeout_s": 5.0,
    "attempts": 3,
    "price_input": 1.0,
    "price_output": 2.0,
    "budget_usd": None,
    "mode": "live",
    "batch": {"price": 0.5, "requests": 1000, "megabytes": 10, "poll_s": 0.05},
    "reasoning_effort": None,
    "extra_body": None,
}


def words(review: str, seed: int) -> tuple[str, str]:
    return f"Yes: {review}", f"No: {review}"


def questions(sources: list[Source] = SOURCES, **more: Any) -> asking.Questions:
    film = asking.Question(PromptTemplate(PROMPTS / "agree_disagree.j2", ["text"]), SCHEMA)
    return asking.Questions(sources, Generate.model_validate(BASE | more), {"film": film})


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "journal.sqlite") as journal:
        yield journal


def run(asked: asking.Questions, journal: Journal, *script: str) -> tuple[Tally, list[Reply], dict[str, Any]]:
    with Server(Teacher(0, {}, words), faults=FaultPlan(script=script)) as server:
        address = Address.of(server.base_url, "key", "test")
        tally = Tally()
        ask(asked, address, asking.make_settings(asked.options), journal, tally, "test", "requests")
        summary: dict[str, Any] = {}
        return tally, list(asking.read_replies(asked, address, journal, summary)), summary


def test_replies_come_in_the_order_of_the_sources(journal: Journal) -> None:
    tally, replies, summary = run(questions(), journal)
    assert tally.answered == 12
    assert [reply.id for reply in replies] == [source.id for source in SOURCES]
    for source, reply in zip(SOURCES, replies, strict=True):
        text = source.fields["text"]
        assert json.loads(reply.content or "") == {"agree": f"Yes: {text}", "disagree": f"No: {text}"}
        assert reply.task == "film"
        assert reply.usage is not None
        assert len(reply.request) == 64
    assert summary["replies"] == 12
    assert summary["finish_reasons"] == {"stop": 12}
    prompt = sum(reply.usage.prompt_tokens for reply in replies if reply.usage)
    completion = sum(reply.usage.completion_tokens for reply in replies if reply.usage)
    assert (summary["prompt_tokens"], summary["completion_tokens"]) == (prompt, completion)
    assert summary["cost_usd"] == pytest.approx((prompt + 2 * completion) / 1e6, abs=1e-6)


def test_replies_are_the_same_from_the_journal(journal: Journal) -> None:
    _, first, one = run(questions(), journal)
    tally, second, two = run(questions(), journal)
    assert tally.sent == 0
    assert (first, one) == (second, two)


def test_cut_answers_count_in_tokens_and_cost(journal: Journal) -> None:
    tally, replies, summary = run(questions(SOURCES[:1], max_tokens=8), journal)
    assert tally.sent == 3  # 8, 16, 32
    assert summary["asked_longer"] == 2
    assert summary["finish_reasons"] == {"stop": 1}
    usage = replies[0].usage
    assert usage is not None
    assert summary["prompt_tokens"] == 3 * usage.prompt_tokens
    assert summary["completion_tokens"] == 8 + 16 + usage.completion_tokens


def test_poor_answers_are_rows_that_say_what_they_are(journal: Journal) -> None:
    script = ("null_content", "refusal", "content_filter")
    _, replies, summary = run(questions(concurrency=1), journal, *script)
    assert [reply.content for reply in replies[:3]] == [None, None, None]
    assert replies[1].refusal
    assert replies[2].finish_reason == "content_filter"
    assert (summary["refusals"], summary["empty"]) == (1, 3)
    assert summary["finish_reasons"] == {"content_filter": 1, "stop": 11}


def test_a_schema_is_asked_for(journal: Journal) -> None:
    request = next(iter(questions(response_format="json_schema")))
    assert request.response_format is not None
    assert request.response_format["json_schema"] == {"name": "replies", "strict": False, "schema": SCHEMA}
    whole = {**SCHEMA, "required": ["disagree", "agree"]}
    asked = asking.Question(PromptTemplate(PROMPTS / "agree_disagree.j2", ["text"]), whole).make_format("json_schema")
    assert asked is not None
    assert (asked["json_schema"]["strict"], asked["json_schema"]["schema"]["additionalProperties"]) == (True, False)
    tally, _, summary = run(questions(response_format="json_schema", concurrency=1), journal, "format_refused")
    assert tally.without_format == summary["without_format"] == 12


def test_two_tasks_are_asked_in_one_run_each_in_its_own_way(tmp_path: Path, journal: Journal) -> None:
    (tmp_path / "own.j2").write_text("{% block user %}Name {{ thing }}.{% endblock %}")
    other = {"type": "object", "properties": {"name": {"type": "string"}}}
    asked = questions(response_format="json_schema")
    asked.by_task = {**asked.by_task, "names": asking.Question(PromptTemplate(tmp_path / "own.j2", ["thing"]), other)}
    thing = Source(id="t0", task="names", group="t0", label=None, split="train", fields={"thing": "a ship"})
    asked.sources = [SOURCES[0], thing]
    one, two = asked
    assert two.messages == (("user", "Name a ship."),)
    assert [request.response_format["json_schema"]["schema"] for request in (one, two)] == [SCHEMA, other]  # type: ignore[index]
    _, replies, _ = run(asked, journal)
    assert [(reply.task, reply.id) for reply in replies] == [("film", "r0"), ("names", "t0")]


def test_a_missing_answer_is_an_error_not_an_empty_row(journal: Journal) -> None:
    asked = questions()
    with pytest.raises(InputError, match="film r0: no answer"):
        list(asking.read_replies(asked, Address.of("http://x/v1", "key"), journal, {}))


def test_complaining() -> None:
    asking.refuse_unanswered(Tally(total=5, answered=5), "runs.json")
    tally = Tally(total=5, failed=[("r1", "timeout", "no answer"), ("r2", "http_500", "x"), ("r3", "timeout", "y")])
    with pytest.raises(InputError) as caught:
        asking.refuse_unanswered(tally, "runs.json")
    text = str(caught.value)
    assert text.startswith("3 of 5 requests got no answer (1 http_500, 2 timeout), listed in runs.json; ")
    assert "run again" in text
    assert "\n" not in text


def test_an_estimate_before_and_after(journal: Journal) -> None:
    asked, address = questions(), Address.of("http://x/v1", "key", "test")
    first = cost.estimate(asked, asked.options, address, journal)
    assert (first.requests, first.journalled) == (12, 0)
    assert first.completion_most == 12 * 64
    assert 0 < first.cost < first.cost_most
    run(questions(SOURCES[:6]), journal)
    second = cost.estimate(asked, asked.options, address, journal)
    assert (second.requests, second.journalled) == (12, 6)
    assert "the 6 answers that this model has given" in second.basis
    _, _, summary = run(asked, journal)
    whole = cost.estimate(asked, asked.options, address, journal)
    assert (whole.journalled, whole.cost, whole.cost_most) == (12, 0, 0)
    assert whole.spent == pytest.approx(summary["cost_usd"], abs=1e-6)
    assert second.spent < summary["cost_usd"] <= second.spent + second.cost_most
    assert summary["cost_usd"] <= first.cost_most


def test_an_estimate_is_marked_and_speaks_of_the_budget(journal: Journal) -> None:
    found = cost.estimate(questions(), questions().options, Address.of("http://x/v1", "key"), journal)
    text = "\n".join(found.lines(1e-9))
    assert "estimate (nothing was sent)" in text
    assert "passes it" in text
    assert "stays within it" in "\n".join(found.lines(100.0))


def test_a_message_without_a_text_goes_raw_into_quarantine(journal: Journal) -> None:
    asked = questions(SOURCES[:2])
    raw = '{"content": null, "reasoning_content": "It was paid for."}'
    for request, answer in zip(
        asked,
        (ServerAnswer(None, "stop", None, "m", 1, 1, raw=raw), ServerAnswer("{}", "stop", None, "m", 1, 1, raw=raw)),
        strict=True,
    ):
        journal.keep(request.key("test"), "test", "m", answer)
    first, second = asking.read_replies(asked, Address.of("http://127.0.0.1/v1", "", "test"), journal, {})
    assert (first.raw, second.raw) == (raw, None)
    assert "raw" in first.model_dump()
    assert "raw" not in second.model_dump()


def test_fields_of_the_profiles_own_reach_the_request_and_its_key() -> None:
    plain = next(iter(questions()))
    asked = next(iter(questions(reasoning_effort="low", extra_body={"top_p": 0.9, "provider": {"order": ["a"]}})))
    assert asked.body() == plain.body() | {
        "top_p": 0.9, "provider": {"order": ["a"]}, "reasoning_effort": "low",
    }  # fmt: skip
    assert asked.key("x") != plain.key("x")


@pytest.mark.parametrize("name", ["messages", "max_tokens", "stream", "n"])
def test_an_extra_field_does_not_replace_the_programs_own(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        questions(extra_body={name: 2})


def test_a_batch_is_estimated_and_counted_at_its_price(journal: Journal) -> None:
    address = Address.of("http://127.0.0.1/v1", "", "test")
    live, batch = (
        cost.estimate(asked, asked.options, address, journal)
        for asked in (questions(mode=mode) for mode in ("live", "batch"))
    )
    assert (batch.cost, batch.cost_most) == (live.cost / 2, live.cost_most / 2)
    asked = questions(SOURCES[:2], mode="batch")
    for request, batched in zip(asked, (True, False), strict=True):
        journal.keep(request.key("test"), "test", "m", ServerAnswer("{}", "stop", None, "m", 10, 20, batched=batched))
    summary: dict[str, Any] = {}
    assert len(list(asking.read_replies(asked, address, journal, summary))) == 2
    assert summary["cost_usd"] == 1.5 * (10 + 2 * 20) / 1e6
    assert asking.make_settings(asked.options).batch is not None
    assert asking.make_settings(questions().options).batch is None
