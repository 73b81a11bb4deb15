"""A schema's constraints: a value that breaks one is quarantined, a keyword that is not understood is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from relearn.errors import InputError
from relearn.repair.json import read_records, read_schema


def read(spec: dict[str, Any], value: str) -> tuple[Any, str]:
    """The value of the field `x` under a specification, and why it was lost."""
    schema = read_schema({"type": "object", "properties": {"x": spec, "y": {"type": "string"}}})
    (record,) = read_records(f'Here: {{"x": {value}, "y": "end",}}', schema).records
    return record.fields["x"].value, record.fields["x"].lost


@pytest.mark.parametrize(
    ("spec", "good", "bad", "reason"),
    [
        ({"type": "string", "enum": ["red", "blue"]}, '"red"', '"Red"', "not_in_enum"),
        ({"enum": ["red", "blue"]}, '"blue"', '"green"', "not_in_enum"),
        ({"enum": [1, 2]}, "2", "3", "not_in_enum"),
        ({"enum": [0.5, 1]}, "0.5", "0.6", "not_in_enum"),
        ({"const": "v1"}, '"v1"', '"v2"', "not_const"),
        ({"const": True}, "true", "false", "not_const"),
        ({"type": "integer", "minimum": 1}, "1", "0", "out_of_bounds"),
        ({"type": "integer", "maximum": 10}, "10", "11", "out_of_bounds"),
        ({"type": "number", "exclusiveMinimum": 0}, "0.1", "0", "out_of_bounds"),
        ({"type": "number", "exclusiveMaximum": 1}, "0.9", "1.0", "out_of_bounds"),
        ({"type": "number", "multipleOf": 0.1}, "0.3", "0.35", "not_a_multiple"),
        ({"type": "string", "minLength": 3}, '"été"', '"ab"', "wrong_length"),
        ({"type": "string", "maxLength": 2}, '"😀😀"', '"abc"', "wrong_length"),
        ({"type": "string", "pattern": "^[A-Z]{2}$"}, '"AB"', '"AB\\n"', "pattern_mismatch"),
        ({"type": "string", "pattern": "(?<year>[0-9]{4})"}, '"in 1999"', '"in 99"', "pattern_mismatch"),
        ({"type": "array", "items": {"type": "string"}, "maxItems": 1}, '["a"]', '["a", "b"]', "wrong_length"),
        ({"type": "array", "items": {"type": "string"}, "minItems": 2}, '["a", "b"]', '["a"]', "wrong_length"),
        (
            {"type": "array", "items": {"type": "string"}, "uniqueItems": True},
            '["a", "b"]',
            '["a", "a"]',
            "repeated_items",
        ),
        ({"type": "array", "items": {"enum": ["a", "b"]}}, '["a", "b"]', '["a", "c"]', "not_in_enum"),
        ({"anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}]}, "4", "-4", "out_of_bounds"),
    ],
)
def test_a_value_that_breaks_a_constraint_is_lost_with_its_reason(
    spec: dict[str, Any], good: str, bad: str, reason: str
) -> None:
    assert read(spec, good) == (json.loads(good), "")
    assert read(spec, bad)[1] == reason


@pytest.mark.parametrize(
    "spec",
    [
        {"type": "string", "format": "date"},
        {"type": "string", "contentEncoding": "base64"},
        {"type": "string", "not": {"const": "x"}},
        {"type": "string", "pattern": "(["},
        {"type": "string", "maxLength": -1},
        {"type": "string", "minimum": 3},
        {"type": "integer", "minimum": "3"},
        {"type": "string", "enum": []},
        {"type": "array", "items": {"type": "string", "format": "uri"}},
        {"anyOf": [{"type": "string", "format": "uri"}, {"type": "null"}]},
    ],
)
def test_a_schema_that_would_not_be_honoured_is_refused_by_name(spec: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"s\.json: property 'x'"):
        read_schema({"type": "object", "properties": {"x": spec}}, "s.json")


@pytest.mark.parametrize("keyword", [{"oneOf": []}, {"minProperties": 2}, {"if": {}}, {"patternProperties": {}}])
def test_a_keyword_of_the_whole_record_is_refused_too(keyword: dict[str, Any]) -> None:
    schema = {"type": "object", "properties": {"x": {"type": "string"}}, **keyword}
    for whole in (schema, {"type": "array", "items": schema}):
        with pytest.raises(InputError, match=next(iter(keyword))):
            read_schema(whole)
    with pytest.raises(InputError, match="minItems"):
        read_schema({"type": "array", "minItems": 2, "items": {"properties": {"x": {"type": "string"}}}})


def test_words_for_people_are_no_constraints() -> None:
    spec = {"type": "string", "title": "X", "description": "of it", "default": "", "examples": ["a"]}
    assert read(spec, '"a"') == ("a", "")


def test_a_keyword_beside_a_reference_holds_too() -> None:
    word = {"type": "string", "maxLength": 3}
    properties = {"x": {"$ref": "#/$defs/Word", "minLength": 2, "description": "short"}}
    schema = read_schema({"$defs": {"Word": word}, "properties": properties})
    lost = [read_records(json.dumps({"x": value}), schema).records[0].fields["x"].lost for value in ("a", "ab", "abcd")]
    assert lost == ["wrong_length", "", "wrong_length"]
    with pytest.raises(InputError, match="maxLength beside"):
        read_schema({"$defs": {"Word": word}, "properties": {"x": {"$ref": "#/$defs/Word", "maxLength": 2}}})
