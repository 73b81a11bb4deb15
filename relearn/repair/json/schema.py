"""What a record looks like: named fields and their types, and which field a key means: the exact name or another.

A renamed key is recognised by its words, not by likeness: what remains of the key after words such as
"response" or "text" are taken away must be the field's own words, or a known synonym (`words.json`).

The subset of JSON Schema (https://json-schema.org, draft 2020-12) that repair can read: an object whose
properties are strings, numbers, integers, booleans or lists of strings, or an array of such objects. `required` and
what `constraints` knows are honoured. Anything else is refused rather than half understood.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from relearn.errors import InputError
from relearn.repair.json.constraints import ANNOTATIONS, Constraint, read_constraints, refuse_unknown

# Words that say nothing about which field a key means, and the other names of known fields.
_KNOWN: dict[str, Any] = json.loads(Path(__file__).with_name("words.json").read_text(encoding="utf-8"))
FILLER = frozenset(_KNOWN["filler"].split())
SYNONYMS = {name: frozenset(words.split()) for name, words in _KNOWN["synonyms"].items()}
KNOWN_FIELDS = tuple(SYNONYMS)
WORDS = re.compile(r"[^\W\d_]+|\d+")
CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")


def _split_words(key: str) -> list[str]:
    return [word.casefold() for word in WORDS.findall(CAMEL.sub(" ", key))]


def _make_singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


class KeyMatcher:
    """Maps keys to fields; answers are cached, so a file with few distinct keys costs nothing."""

    def __init__(self, fields: Sequence[str]) -> None:
        self.fields = tuple(fields)
        self._folded = {name.casefold(): name for name in fields}
        self._own = {name: tuple(_make_singular(word) for word in _split_words(name)) for name in fields}
        self._needed = {word for words in self._own.values() for word in words}
        self._numbered = any(word.isdigit() for word in self._needed)
        self._cache: dict[str, tuple[str, str | None] | None] = {name: (name, None) for name in fields}

    def match(self, key: str) -> tuple[str, str | None] | None:
        """(field, flag) for a key that names a field, None for any other; the flag is None for the exact name."""
        try:
            return self._cache[key]
        except KeyError:
            found = self._find(key)
            if len(self._cache) < 4096:
                self._cache[key] = found
            return found

    def _find(self, key: str) -> tuple[str, str | None] | None:
        stripped = key.strip()
        folded = self._folded.get(stripped.casefold())
        if folded is not None:
            return folded, None if folded == key else "recased_key"
        words = [_make_singular(word) for word in _split_words(stripped)]
        if not self._numbered:
            words = [word for word in words if not word.isdigit()]
        words = [word for word in words if word in self._needed or word not in FILLER]
        hits = [name for name, own in self._own.items() if own and list(own) == words]
        if not hits and len(words) == 1:
            raw = [
                word for word in _split_words(stripped) if (word not in FILLER or word == "for") and not word.isdigit()
            ]
            hits = [
                name
                for name in self.fields
                if name in SYNONYMS and len(raw) == 1 and ({raw[0], words[0]} & SYNONYMS[name])
            ]
        return (hits[0], "renamed_key") if len(hits) == 1 else None


@dataclass(frozen=True)
class RecordSchema:
    """The fields a record has, each with its kind (string, number, integer, boolean, strings).

    A record without a `required` field is refused; `optional` says that others may be missing without a note.
    A value that breaks one of its field's `constraints` is refused.
    """

    fields: Mapping[str, str]
    required: frozenset[str] = frozenset()
    optional: bool = True
    constraints: Mapping[str, Sequence[Constraint]] = dataclasses.field(default_factory=dict, compare=False)
    keys: KeyMatcher = dataclasses.field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "keys", KeyMatcher(list(self.fields)))

    def is_choice(self, name: str) -> bool:
        """Whether the schema lists the values that the field, or each item of its list, chooses from."""
        return any(one.keyword in ("enum", "const") for one in self.constraints.get(name, ()))

    @classmethod
    def of_texts(cls, names: Sequence[str]) -> RecordSchema:
        """A record of text fields: one without some of them is kept, and what is missing is quarantined."""
        return cls(dict.fromkeys(names, "string"), optional=False)


def read_schema(schema: Any, source: str = "the schema") -> RecordSchema:
    """What a JSON Schema describes. InputError, naming the property, for what lies outside the subset."""
    if not isinstance(schema, dict):
        raise InputError(f"{source}: a JSON Schema is an object, not {type(schema).__name__}")
    definitions = {**_as_dict(schema.get("definitions")), **_as_dict(schema.get("$defs"))}
    schema = _follow_reference(schema, definitions, source)
    refuse_unknown(schema, source)
    if _read_kind(schema) == "array":
        schema = _follow_reference(_as_dict(schema.get("items")), definitions, source)
        refuse_unknown(schema, source)
    properties = schema.get("properties")
    if isinstance(properties, dict) and len(properties) == 1:
        # One object that wraps the list: the records are in the list.
        only = _follow_reference(_as_dict(next(iter(properties.values()))), definitions, source)
        items = (
            _follow_reference(_as_dict(only.get("items")), definitions, source) if _read_kind(only) == "array" else {}
        )
        if isinstance(items.get("properties"), dict):
            refuse_unknown(only, source)
            refuse_unknown(items, source)
            schema, properties = items, items["properties"]
    if not isinstance(properties, dict) or not properties:
        raise InputError(f"{source}: needs `properties`: an object with named fields, or an array of such objects")
    fields: dict[str, str] = {}
    constraints: dict[str, list[Constraint]] = {}
    for name, raw in properties.items():
        where = f"{source}: property {name!r}"
        spec = _merge_alternatives(_follow_reference(_as_dict(raw), definitions, source), definitions, source)
        fields[name] = _read_field_kind(name, spec, definitions, source)
        constraints[name] = read_constraints(spec, fields[name], where)
        if fields[name] == "strings":
            items = _follow_reference(_as_dict(spec.get("items")), definitions, source)
            constraints[name] += read_constraints(items, "string", where, of_items=True)
    required = schema.get("required", [])
    if not isinstance(required, list) or not set(map(str, required)) <= set(fields):
        raise InputError(f"{source}: `required` must list names that are in `properties`")
    return RecordSchema(fields, frozenset(map(str, required)), constraints=constraints)


def load_task_schema(path: Path) -> tuple[dict[str, Any], RecordSchema]:
    """A task's schema: as it is sent to a server, and as its replies are read, each field by itself.

    InputError, one line, when the file is missing or is not JSON, and when it says more than repair supports: a reply
    would be read as if that were not there.
    """
    try:
        schema = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        others = ", ".join(sorted(other.stem for other in path.parent.glob("*.json"))) or "none"
        raise InputError(f"{path}: no such schema (generate.<task>.schema); there are: {others}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON ({error})") from None
    record = read_schema(schema, str(path))
    if _as_dict(schema.get("properties")).keys() != record.fields.keys():
        raise InputError(
            f"{path}: a task's schema is one object with named fields; this one is a list of them, or wraps one"
        )
    return schema, dataclasses.replace(record, required=frozenset(), optional=False)


def _merge_alternatives(spec: dict[str, Any], definitions: dict[str, Any], source: str) -> dict[str, Any]:
    """`anyOf` of a type and null, as one; whatever else it says is left for `_read_field_kind` to refuse."""
    if not isinstance(spec.get("anyOf"), list):
        return spec
    others = [_follow_reference(_as_dict(one), definitions, source) for one in spec["anyOf"]]
    others = [one for one in others if one.get("type") != "null"]
    if len(others) != 1:
        return spec
    return {**{name: value for name, value in spec.items() if name != "anyOf"}, **others[0]}


def _as_dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _follow_reference(spec: dict[str, Any], definitions: dict[str, Any], source: str) -> dict[str, Any]:
    """What `$ref` names, with the keywords beside it, which hold too."""
    for _ in range(8):
        reference = spec.get("$ref")
        if reference is None:
            return spec
        name = str(reference).rpartition("/")[2]
        if name not in definitions:
            raise InputError(f"{source}: $ref {reference!r} names nothing in $defs")
        beside = {keyword: value for keyword, value in spec.items() if keyword not in ("$ref", *ANNOTATIONS)}
        found = _as_dict(definitions[name])
        twice = [keyword for keyword in beside if found.get(keyword, beside[keyword]) != beside[keyword]]
        if twice:
            raise InputError(f"{source}: {twice[0]} beside $ref {reference!r} differs from the one there; give it once")
        spec = {**found, **beside}
    raise InputError(f"{source}: a $ref refers to itself")


def _read_kind(spec: Mapping[str, Any]) -> str | None:
    kind = spec.get("type")
    if isinstance(kind, list):
        kinds = [one for one in kind if one != "null"]
        kind = kinds[0] if len(kinds) == 1 else None
    if kind is None and "anyOf" in spec and isinstance(spec["anyOf"], list):
        kinds = [_read_kind(_as_dict(one)) for one in spec["anyOf"]]
        kinds = [one for one in kinds if one not in (None, "null")]
        kind = kinds[0] if len(kinds) == 1 else None
    if kind is None:
        kind = _read_kind_of_values(spec.get("enum", [spec["const"]] if "const" in spec else None))
    return kind if isinstance(kind, str) else None


def _read_kind_of_values(values: Any) -> str | None:
    """The one kind that all values listed in a schema have."""
    names = {str: "string", bool: "boolean", int: "integer", float: "number"}
    kinds = {names.get(type(value)) for value in values if value is not None} if isinstance(values, list) else set()
    return "number" if kinds == {"integer", "number"} else kinds.pop() if len(kinds) == 1 else None


def _read_field_kind(name: str, spec: dict[str, Any], definitions: dict[str, Any], source: str) -> str:
    kind = _read_kind(spec)
    if kind in ("string", "number", "integer", "boolean"):
        return kind
    if kind == "array":
        items = _follow_reference(_as_dict(spec.get("items")), definitions, source)
        if _read_kind(items) == "string":
            return "strings"
    raise InputError(
        f"{source}: property {name!r} is {kind or 'of no single type'}; "
        "string, number, integer, boolean and array of strings are supported"
    )
