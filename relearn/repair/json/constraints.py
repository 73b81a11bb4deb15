"""What a schema says of a field's value besides its type. A schema that is not fully understood is refused.

JSON Schema, draft 2020-12, validation vocabulary (https://json-schema.org/draft/2020-12/json-schema-validation).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from relearn.errors import InputError

ANNOTATIONS = frozenset(
    "$schema $id $comment title description default example examples deprecated readOnly writeOnly nullable".split()
)
"""Keywords for people, and Gemini's and OpenAPI's word for a null, which repair never keeps."""
STRUCTURE = frozenset("type properties required additionalProperties items $ref $defs definitions anyOf".split())
_LITERAL_END = re.compile(r"\\.|\[(?:\\.|[^\]\\])*+\]|\$|\(\?<(?=[A-Za-z])", re.DOTALL)


def _count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_multiple(value: float, step: float) -> bool:
    # In decimals: 0.3 is a multiple of 0.1.
    return Decimal(str(value)) % Decimal(str(step)) == 0


def _equals(value: Any, other: Any) -> bool:
    """JSON's equality: 1 is 1.0, and neither is true."""
    return isinstance(value, bool) == isinstance(other, bool) and bool(value == other)


# By keyword: the kinds of field it speaks of, what its own value must be, the test, and the reason for quarantine.
_Test = Callable[[Any, Any], bool]
_KEYWORDS: dict[str, tuple[str, Callable[[Any], bool], _Test, str]] = {
    "enum": ("any", lambda v: isinstance(v, list) and bool(v), lambda v, c: any(_equals(v, o) for o in c), "not_in_enum"),
    "const": ("any", lambda v: not isinstance(v, dict | list), _equals, "not_const"),
    "minimum": ("number", _number, lambda v, c: v >= c, "out_of_bounds"),
    "maximum": ("number", _number, lambda v, c: v <= c, "out_of_bounds"),
    "exclusiveMinimum": ("number", _number, lambda v, c: v > c, "out_of_bounds"),
    "exclusiveMaximum": ("number", _number, lambda v, c: v < c, "out_of_bounds"),
    "multipleOf": ("number", lambda v: _number(v) and v > 0, _is_multiple, "not_a_multiple"),
    "minLength": ("string", _count, lambda v, c: len(v) >= c, "wrong_length"),
    "maxLength": ("string", _count, lambda v, c: len(v) <= c, "wrong_length"),
    "pattern": ("string", lambda v: isinstance(v, str), lambda v, c: c.search(v) is not None, "pattern_mismatch"),
    "minItems": ("strings", _count, lambda v, c: len(v) >= c, "wrong_length"),
    "maxItems": ("strings", _count, lambda v, c: len(v) <= c, "wrong_length"),
    "uniqueItems": (
        "strings", lambda v: isinstance(v, bool), lambda v, c: not c or len(set(v)) == len(v), "repeated_items",
    ),
}  # fmt: skip
KEYWORDS = frozenset(_KEYWORDS)


class Constraint:
    """One keyword of one field: `is_met` says whether a value (or, with `of_items`, each item of a list) honours it."""

    def __init__(self, keyword: str, value: Any, kind: str, where: str, of_items: bool = False) -> None:
        """InputError, beginning with `where`, when the keyword does not apply to the kind, or its value is not one it
        takes.
        """
        kinds, is_sound, self._test, self.reason = _KEYWORDS[keyword]
        if kinds not in ("any", kind) and not (kinds == "number" and kind == "integer"):
            raise InputError(f"{where}: {keyword} does not apply to the type {kind}; leave it out")
        if not is_sound(value):
            raise InputError(f"{where}: {keyword} cannot be {value!r}")
        self.keyword, self.of_items = keyword, of_items
        self.value = _compile(value, where) if keyword == "pattern" else value

    def is_met(self, value: Any) -> bool:
        """Whether the field's value is as the keyword asks."""
        return all(self._test(one, self.value) for one in (value if self.of_items else [value]))


def read_constraints(spec: Mapping[str, Any], kind: str, where: str, of_items: bool = False) -> list[Constraint]:
    """The constraints of one field. InputError, beginning with `where`, for a keyword that is not understood."""
    refuse_unknown(spec, where, KEYWORDS)
    return [Constraint(name, value, kind, where, of_items) for name, value in spec.items() if name in KEYWORDS]


def refuse_unknown(spec: Mapping[str, Any], where: str, known: frozenset[str] = frozenset()) -> None:
    """InputError for a keyword that would not be honoured."""
    for keyword in spec:
        if keyword not in ANNOTATIONS | STRUCTURE | known:
            told = ", ".join(sorted(known or STRUCTURE))
            raise InputError(f"{where}: {keyword} is not supported, and replies would be read as if it were not there; "
                             f"leave it out (supported: {told})")  # fmt: skip


def _compile(pattern: str, where: str) -> re.Pattern[str]:
    """A pattern of ECMA-262 as Python's: `$` is the very end, and names of groups have a P."""
    table = {"$": r"\Z", "(?<": "(?P<"}
    try:
        return re.compile(_LITERAL_END.sub(lambda match: table.get(match.group(), match.group()), pattern))
    except re.error as error:
        raise InputError(f"{where}: pattern {pattern!r} cannot be read ({error})") from None
