"""Keys, schema, checks, truncation and the ledger, each by itself."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relearn.errors import InputError
from relearn.metrics.sides import contradicts
from relearn.repair import checks
from relearn.repair.json import read_schema
from relearn.repair.json.cuts import measure_whole_sentences
from relearn.repair.json.schema import KeyMatcher, load_task_schema
from relearn.repair.ledger import Ledger, SeenTexts, digest


@pytest.mark.parametrize(
    ("key", "field"),
    [
        ("agree", "agree"), ("Agree", "agree"), ("DISAGREE ", "disagree"), ("agree_response", "agree"),
        ("disagreeReply", "disagree"), ("agreement", "agree"), ("Response (disagree)", "disagree"), ("pro", "agree"),
        ("against", "disagree"), ("agree1", "agree"), ("review", None), ("not_agree", None), ("agree_or_disagree", None),
        ("rating", None), ("", None), ("degree", None),
    ],
)  # fmt: skip
def test_keys(key: str, field: str | None) -> None:
    found = KeyMatcher(["agree", "disagree"]).match(key)
    assert (found[0] if found else None) == field
    if found and key != field:
        assert found[1] in ("recased_key", "renamed_key")


def test_keys_of_another_schema() -> None:
    keys = KeyMatcher(["answer", "explanation", "confidence"])
    assert keys.match("Answer") == ("answer", "recased_key")
    assert keys.match("explanations") == ("explanation", "renamed_key")
    assert keys.match("answer_text") == ("answer", "renamed_key")
    assert keys.match("text") is None
    assert KeyMatcher(["key3"]).match("key2") is None
    assert KeyMatcher(["key", "key1"]).match("Key 1") == ("key1", "renamed_key")


def test_schema_forms() -> None:
    properties = {
        "a": {"type": ["string", "null"]},
        "n": {"$ref": "#/$defs/N"},
        "t": {"type": "array", "items": {"type": "string"}},
    }
    schema = {"$defs": {"N": {"type": "integer"}}, "type": "object", "properties": properties, "required": ["a"]}
    shape = read_schema(schema)
    assert dict(shape.fields) == {"a": "string", "n": "integer", "t": "strings"}
    assert shape.required == {"a"}
    array = {
        "type": "array",
        "items": {"type": "object", "properties": {"b": {"type": "boolean"}, "c": {"enum": ["x"]}}},
    }
    assert dict(read_schema(array).fields) == {"b": "boolean", "c": "string"}
    assert [read_schema(array).is_choice(name) for name in "bc"] == [False, True]
    wrapped = {"type": "object", "properties": {"list": array}}
    assert dict(read_schema(wrapped).fields) == {"b": "boolean", "c": "string"}


@pytest.mark.parametrize(
    "schema",
    [[], {}, {"type": "object", "properties": {"a": {"type": "object"}}}, {"properties": {"a": {"type": "string"}}, "required": ["b"]},
     {"properties": {"a": {"$ref": "#/$defs/none"}}}, {"properties": {"a": {"type": "array", "items": {"type": "number"}}}}],
)  # fmt: skip
def test_a_schema_outside_the_subset_is_refused(schema: object) -> None:
    with pytest.raises(InputError, match="schema"):
        read_schema(schema)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "not JSON"),
        ('{"properties": {"a": {"type": "string", "format": "date"}}}', "'a': format is not supported, "),
        ('{"properties": {"a": {"type": "array", "items": {"type": "string", "format": "x"}}}}', "format is not"),
        ('{"type": "array", "items": {"properties": {"a": {"type": "string"}}}}', "one object with named fields"),
        ('{"properties": {"a": {"type": "object"}}}', "property 'a' is object; "),
    ],
)
def test_a_tasks_schema_that_is_not_understood_is_told_in_one_line(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "own.json").write_text(content)
    with pytest.raises(InputError) as caught:
        load_task_schema(tmp_path / "own.json")
    assert said in str(caught.value)
    assert str(caught.value).startswith(f"{tmp_path / 'own.json'}: ")
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="there are: own"):
        load_task_schema(tmp_path / "other.json")


@pytest.mark.parametrize(
    ("text", "side", "answer"),
    [
        ("I completely disagree with you.", "agree", True),
        ("I don't agree with this at all.", "agree", True),
        ("I couldn't agree more with you.", "agree", False),
        ("I couldn't disagree more.", "agree", True),
        ("I disagree with those who call it dull.", "agree", False),
        ("I totally agree with this review.", "disagree", True),
        ("I agree that it is long, but it is never dull.", "disagree", False),
        ("I can't agree with you.", "disagree", False),
        ("We must agree to differ. I agree to disagree.", "disagree", False),
        ("The acting was poor.", "disagree", False),
    ],
)
def test_contradictions(text: str, side: str, answer: bool) -> None:
    assert contradicts(text, side) is answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("I'm sorry, but I can't help with that.", True),
        ("I cannot assist with this request.", True),
        ("As an AI language model, I do not watch films.", True),
        ("I'm sorry you disliked it, but I loved it.", False),
        ("I can't provide one reason to dislike it.", True),
        ("I cannot agree with this.", False),
    ],
)
def test_refusals(text: str, answer: bool) -> None:
    assert checks.is_refusal(text) is answer


@given(st.text("aZ_0é’'\"-.,;\t\n\x1c\u2028 ", max_size=60))
def test_the_words_of_a_text_are_those_that_the_pattern_finds(text: str) -> None:
    assert list(checks.split_words(text)) == checks.WORD.findall(text.casefold())


@given(st.data(), st.lists(st.sampled_from("abc"), max_size=30), st.sampled_from((0.1, 0.3, 0.5, 0.8, 1.0)))
def test_an_echo_is_a_share_that_reaches_the_threshold(data: st.DataObject, words: list[str], share: float) -> None:
    # Of three words, so that much is shared by chance; parts of the source, so that much is shared by design.
    parts = st.lists(
        st.one_of(st.sampled_from("abcd"), st.builds(lambda at: " ".join(words[at : at + 7]), st.integers(0, 25)))
    )
    source, reply = " ".join(words), ", ".join(data.draw(parts))
    measured = checks.measure_echo(reply, source)
    assert checks.is_echo(reply, source, share) == (measured >= share)


def test_echo_and_likeness_are_shares() -> None:
    review = "one two three four five six seven eight nine ten"
    assert checks.measure_echo("one two three four five six", review) == 1.0
    assert checks.measure_echo("one two three four five and more words here", review) == pytest.approx(1 / 5)
    assert checks.measure_echo("four words are few", review) == 0.0
    for reply in ("one two three four five six", "one two three four five and more words here", "four words are few"):
        for threshold in (0.1, 0.2, 0.5, 1.0):
            assert checks.is_echo(reply, review, threshold) is (checks.measure_echo(reply, review) >= threshold)
    assert checks.are_alike("a b c d", "A, b c d!", 1.0)
    assert not checks.are_alike("a b c d", "d c b a", 0.9)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("It was long. And the", "It was long."),
        ("It was long.", ""),
        ("Mr. Smith was good. He", "Mr. Smith was good."),
        ('He said "no." And then', 'He said "no."'),
        ("Rated 3.5 of 5 by Dr. Who", ""),
        ("One! Two? Thr", "One! Two?"),
        ("", ""),
    ],
)
def test_the_last_whole_sentence(text: str, kept: str) -> None:
    assert text[: measure_whole_sentences(text)] == kept


def test_the_ledger_checks_its_sums() -> None:
    ledger = Ledger({"in": "kept refused"})
    ledger.counts["in"] += 3
    ledger.counts["kept"] += 2
    with pytest.raises(AssertionError, match="in is 3"):
        ledger.as_dict()
    ledger.counts["refused"] += 1
    ledger.refuse("near_duplicate of a-agree")
    assert ledger.as_dict()["reasons"] == {"near_duplicate": 1}


def test_seen_agrees_with_a_dict() -> None:
    rng = random.Random(1)
    seen, truth = SeenTexts(), {}
    for row in range(5000):
        text = str(rng.randrange(3000))
        assert seen.find(digest(text)) == truth.get(text)
        assert seen.add(digest(text), row) == truth.get(text)
        truth.setdefault(text, row)
    assert len(seen) == len(truth)
