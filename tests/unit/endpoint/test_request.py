from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relearn.endpoint.request import Address, Request, ServerAnswer, next_cap
from relearn.errors import InputError
from tests.unit.endpoint.asked import KEY, request


def test_the_key_changes_with_everything_that_determines_the_answer() -> None:
    base = request()
    others = [
        request(1),
        request(max_tokens=201),
        request(repeat=1),
        request(response_format={"type": "json_object"}),
        Request("other", base.messages, 0.5, 200),
        Request("m", base.messages, 0.6, 200),
        Request("m", (("user", "Reply."), base.messages[1]), 0.5, 200),
    ]
    keys = {each.key("here") for each in [base, *others]} | {base.key("there")}
    assert len(keys) == len(others) + 2


def test_the_label_is_no_part_of_the_key() -> None:
    one = Request("m", (("user", "x"),), 0.0, 5, label="a")
    two = Request("m", (("user", "x"),), 0.0, 5, label="b")
    assert one.key("s") == two.key("s")
    assert one.digest() == two.digest()


@given(st.text(st.characters(codec=None)), st.text(st.characters(codec=None)))
def test_any_text_has_a_key_of_its_own(one: str, two: str) -> None:
    keys = {Request("m", (("user", text),), 0.0, 5).key("s") for text in (one, two)}
    assert len(keys) == len({one, two})


def test_the_body_is_what_the_api_names() -> None:
    body = request(response_format={"type": "json_object"}).body()
    assert body == {
        "model": "m",
        "messages": [{"role": "system", "content": "Reply."}, {"role": "user", "content": "Film number 0 was fine."}],
        "temperature": 0.5,
        "max_tokens": 200,
        "response_format": {"type": "json_object"},
    }


def test_caps_double_up_to_the_limit() -> None:
    assert [next_cap(100, 350), next_cap(200, 350), next_cap(350, 350), next_cap(9, 8)] == [200, 350, None, None]


def test_only_length_is_cut() -> None:
    answers = [ServerAnswer("x", reason, None, "m", 1, 1) for reason in ("length", "stop", None)]
    assert [answer.cut for answer in answers] == [True, False, False]


def test_an_address_is_normalised_so_that_one_server_has_one_identity() -> None:
    one = Address.of("HTTPS://API.Example.com/v1/", KEY)
    assert one.base_url == one.identity == "https://api.example.com/v1"
    assert not one.loopback
    assert Address.of("http://[::1]:8000/v1", KEY).base_url == "http://[::1]:8000/v1"
    assert Address.of("http://127.0.0.1:1/v1", KEY).loopback


def test_the_key_is_not_in_the_repr() -> None:
    assert KEY not in repr(Address.of("http://127.0.0.1/v1", KEY))


@pytest.mark.parametrize(
    "url", ["", "api.example.com", "ftp://x/v1", "http://", "http://x:port/v1", "http://user:secret@x/v1"]
)
def test_a_wrong_address_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(InputError) as caught:
        Address.of(url, KEY)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("key", ["schlüssel", "a\nb"])
def test_a_key_that_no_header_can_hold_is_refused_without_repeating_it(key: str) -> None:
    with pytest.raises(InputError) as caught:
        Address.of("http://x/v1", key)
    assert key not in str(caught.value)
