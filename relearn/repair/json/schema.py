"""What a record looks like: named fields and their types, given as names or as a JSON Schema.

The subset of JSON Schema (https://json-schema.org, draft 2020-12) that repair can read: an object whose
properties are strings, numbers, integers, booleans or lists of strings, or an array of such objects. `required`
is honoured. Anything else is refused rather than half understood.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from relearn.errors import InputError
from relearn.repair.json.keys import Keys

KINDS = {"string": "string", "number": "number", "integer": "integer", "boolean": "boolean"}


@dataclass(frozen=True)
class Shape:
    """The fields a record has, each with its kind (string, number, integer, boolean, strings)."""

    fields: Mapping[str, str]
    required: frozenset[str] = frozenset()
    keys: Keys = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "keys", Keys(list(self.fields)))

    @classmethod
    def of_names(cls, names: Sequence[str]) -> Shape:
        """A record of text fields, none of them required."""
        return cls(dict.fromkeys(names, "string"))


def read_schema(schema: Any, source: str = "the schema") -> Shape:
    """The shape a JSON Schema describes. InputError, naming the property, for what lies outside the subset."""
    if not isinstance(schema, dict):
        raise InputError(f"{source}: a JSON Schema is an object, found {type(schema).__name__}")
    definitions = {**_dict(schema.get("definitions")), **_dict(schema.get("$defs"))}
    schema = _resolve(schema, definitions, source)
    if _kind(schema) == "array":
        schema = _resolve(_dict(schema.get("items")), definitions, source)
    properties = schema.get("properties")
    if isinstance(properties, dict) and len(properties) == 1:
        # One object that wraps the list: the records are what stands in the list.
        only = _resolve(_dict(next(iter(properties.values()))), definitions, source)
        items = _resolve(_dict(only.get("items")), definitions, source) if _kind(only) == "array" else {}
        if isinstance(items.get("properties"), dict):
            schema, properties = items, items["properties"]
    if not isinstance(properties, dict) or not properties:
        raise InputError(
            f"{source}: needs `properties`: an object with named fields, or an array of such objects"
        )
    fields: dict[str, str] = {}
    for name, raw in properties.items():
        spec = _resolve(_dict(raw), definitions, source)
        fields[name] = _field_kind(name, spec, definitions, source)
    required = schema.get("required", [])
    if not isinstance(required, list) or not set(map(str, required)) <= set(fields):
        raise InputError(f"{source}: `required` must list names that stand in `properties`")
    return Shape(fields, frozenset(map(str, required)))


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _resolve(spec: dict[str, Any], definitions: dict[str, Any], source: str) -> dict[str, Any]:
    for _ in range(8):
        reference = spec.get("$ref")
        if reference is None:
            return spec
        name = str(reference).rpartition("/")[2]
        if name not in definitions:
            raise InputError(f"{source}: $ref {reference!r} names nothing in $defs")
        spec = _dict(definitions[name])
    raise InputError(f"{source}: $ref refers to itself")


def _kind(spec: Mapping[str, Any]) -> str | None:
    kind = spec.get("type")
    if isinstance(kind, list):
        kinds = [one for one in kind if one != "null"]
        kind = kinds[0] if len(kinds) == 1 else None
    if kind is None and "anyOf" in spec and isinstance(spec["anyOf"], list):
        kinds = [_kind(_dict(one)) for one in spec["anyOf"]]
        kinds = [one for one in kinds if one not in (None, "null")]
        kind = kinds[0] if len(kinds) == 1 else None
    if kind is None and isinstance(spec.get("enum"), list) and all(isinstance(v, str) for v in spec["enum"]):
        kind = "string"
    return kind if isinstance(kind, str) else None


def _field_kind(name: str, spec: dict[str, Any], definitions: dict[str, Any], source: str) -> str:
    kind = _kind(spec)
    if kind in KINDS:
        return KINDS[kind]
    if kind == "array":
        items = _resolve(_dict(spec.get("items")), definitions, source)
        if _kind(items) == "string":
            return "strings"
    raise InputError(
        f"{source}: property {name!r} is {kind or 'of no single type'}; "
        "string, number, integer, boolean and array of strings are supported"
    )
