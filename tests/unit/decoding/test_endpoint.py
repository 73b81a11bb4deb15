"""Decoding over an endpoint: what is asked, in what order it comes back, and what never is asked twice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from relearn.decoding import endpoint
from relearn.decoding.items import Decoded, Prompt, Strategy
from relearn.endpoint.journal import Journal
from relearn.endpoint.request import Address
from relearn.endpoint.tally import Tally
from relearn.errors import InputError
from relearn.params.predict import Beam, Greedy, Sampled, TopK
from relearn.records import make_turns
from tests.unit.decoding.serving import Body, Reply, Served

ITEMS = [Prompt(make_turns(f"Say {number}."), 8 if number % 2 else 5, f"{number}") for number in range(12)]
GREEDY = Greedy(kind="greedy")
HOW = replace(endpoint.make_settings(4, 10.0, 4), backoff_s=0.01)


def echo(prefix: str) -> object:
    def reply(body: Body) -> Reply:
        text = f" {prefix}: {body['messages'][0]['content']}\n"
        return text, "length" if body["max_tokens"] == 5 else "stop"

    return reply


@pytest.fixture
def served() -> Iterator[Served]:
    with Served({"base": echo("b"), "tuned": echo("t")}) as running:  # type: ignore[dict-item]
        yield running


def ask(
    served: Served,
    folder: Path,
    model: str = "base",
    items: list[Prompt] = ITEMS,
    strategy: Strategy = GREEDY,
    identity: str | None = None,
    seed: int = 3,
) -> tuple[list[Decoded], Tally]:
    address = Address.of(served.base_url, "sk-x", identity)
    with Journal(folder / "journal.sqlite") as journal:
        return endpoint.decode(address, model, items, journal, HOW, "test", strategy, seed)


def test_answers_come_in_the_order_asked_from_the_model_named(served: Served, tmp_path: Path) -> None:
    for model, letter in (("base", "b"), ("tuned", "t")):
        answers, _ = ask(served, tmp_path, model)
        assert [answer.text for answer in answers] == [f"{letter}: {item.instruction}" for item in ITEMS]
        assert [answer.finish_reason for answer in answers] == ["length", "stop"] * 6
        assert {answer.nll for answer in answers} == {None}
    assert len(served.bodies) == 24  # an answer that its limit cut off is not asked for again


def test_greedy_asks_for_nothing_a_plain_server_could_not_know(served: Served, tmp_path: Path) -> None:
    ask(served, tmp_path, items=ITEMS[:1])
    assert served.bodies == [
        {"model": "base", "messages": [{"role": "user", "content": "Say 0."}], "temperature": 0.0, "max_tokens": 5}
    ]
    assert served.keys == {"Bearer sk-x"}


def test_a_rerun_asks_for_nothing_and_another_identity_for_everything(served: Served, tmp_path: Path) -> None:
    first, _ = ask(served, tmp_path, identity="weights 1")
    again, tally = ask(served, tmp_path, identity="weights 1")
    assert again == first
    assert (tally.sent, tally.journalled, len(served.bodies)) == (0, 12, 12)
    ask(served, tmp_path, identity="weights 2")
    assert len(served.bodies) == 24


def test_sampling_sends_its_seed_and_draws_an_equal_prompt_anew(served: Served, tmp_path: Path) -> None:
    twice = [ITEMS[0], ITEMS[1], ITEMS[0]]
    ask(served, tmp_path, items=twice, strategy=TopK(kind="top_k", k=7, temperature=0.5))
    sent = sorted((body["messages"][0]["content"], body["seed"]) for body in served.bodies)
    assert sent == [("Say 0.", 3), ("Say 0.", 4), ("Say 1.", 3)]
    assert {(body["temperature"], body["top_k"], body["top_p"]) for body in served.bodies} == {(0.5, 7, 1.0)}
    served.bodies.clear()
    ask(served, tmp_path, items=twice[:1], strategy=Sampled(kind="temperature", temperature=0.5))
    assert "top_k" not in served.bodies[0]


def test_beams_are_refused_before_anything_is_sent(served: Served, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="an endpoint cannot do beam search"):
        ask(served, tmp_path, strategy=Beam(kind="beam", width=2))
    assert served.bodies == []


def test_a_busy_server_is_asked_again(tmp_path: Path) -> None:
    with Served({"base": echo("b")}, fail_first=3) as served:  # type: ignore[dict-item]
        answers, tally = ask(served, tmp_path)
    assert [answer.text for answer in answers] == [f"b: {item.instruction}" for item in ITEMS]
    assert tally.retried == 3


def test_a_name_that_is_not_served_is_one_line(served: Served, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="`2b` does not exist") as caught:
        ask(served, tmp_path, "2b")
    assert "\n" not in str(caught.value)


def test_an_answer_withheld_is_no_answer(tmp_path: Path) -> None:
    with (
        Served({"base": lambda body: (None, "content_filter")}) as served,
        pytest.raises(InputError, match="prompt 1: the server withheld the answer"),
    ):
        ask(served, tmp_path)


def test_prompts_that_fail_for_themselves_are_counted(tmp_path: Path) -> None:
    def picky(body: Body) -> Reply:
        if body["messages"][0]["content"] == "Say 4.":
            raise ValueError
        return "fine", "stop"

    with Served({"base": picky}) as served, pytest.raises(InputError, match="1 of 12 prompts got no answer"):
        ask(served, tmp_path)


def test_arguments_go_to_the_servers_template_and_reasoning_is_taken_off(tmp_path: Path) -> None:
    def think(_: Body) -> Reply:
        return "<think>Hm.</think>\n\nyes", "stop"

    with Served({"base": think}) as running, Journal(tmp_path / "journal.sqlite") as journal:
        address = Address.of(running.base_url, "sk-x")
        arguments = {"enable_thinking": False}
        [found], _ = endpoint.decode(address, "base", ITEMS[:1], journal, HOW, "test", GREEDY, 3, arguments)
        assert (found.text, found.raw) == ("yes", "<think>Hm.</think>\n\nyes")
        assert running.bodies[0]["chat_template_kwargs"] == arguments
        endpoint.decode(address, "base", ITEMS[:1], journal, HOW, "test", GREEDY, 3)
        assert "chat_template_kwargs" not in running.bodies[1]  # another question, not found in the journal
