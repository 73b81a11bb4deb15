"""Plain data over a pipe, as JSON: all that goes between the program and its tests."""

from __future__ import annotations

import collections
import json
import os
import struct
import sys

TYPE_CHECKING = False  # importing typing would cost every program its time
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    Json = Any

MAX_MESSAGE = 16 << 20
MAX_DEPTH = 60


def send(fd: int, value: Json) -> None:
    data = json.dumps(value).encode()
    if len(data) > MAX_MESSAGE:
        raise OverflowError("a value of more than 16 MiB")
    data = struct.pack(">Q", len(data)) + data
    while data:
        data = data[os.write(fd, data) :]


def receive(fd: int) -> Json:
    (size,) = struct.unpack(">Q", read_exactly(fd, 8))
    if size > MAX_MESSAGE:
        raise EOFError("a message that is too long")
    return json.loads(read_exactly(fd, size))


def read_exactly(fd: int, size: int) -> bytes:
    parts = []
    while size:
        part = os.read(fd, min(size, 1 << 20))
        if not part:
            raise EOFError("the program ended early")
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def encode(value: Any, other: Callable[[Any], Json], depth: int = 0) -> Json:
    """Plain data as JSON; `other` gives the form of anything else."""
    if depth > MAX_DEPTH:
        raise ValueError("nested too deeply")

    def deep(items: Any) -> list[Json]:
        return [encode(item, other, depth + 1) for item in items]

    kind = type(value)
    if value is None or kind in (bool, int, float, str):
        return value
    if isinstance(value, bool | int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, tuple) and isinstance(getattr(kind, "_fields", None), tuple):
        return ["n", kind.__name__, [str(name) for name in kind._fields], *deep(tuple.__iter__(value))]
    if isinstance(value, list):
        return ["l", *deep(list.__iter__(value))]
    if isinstance(value, tuple):
        return ["t", *deep(tuple.__iter__(value))]
    if isinstance(value, dict):
        return ["d", *(deep(pair) for pair in dict.items(value))]
    if isinstance(value, frozenset):
        return ["f", *deep(frozenset.__iter__(value))]
    if isinstance(value, set):
        return ["s", *deep(set.__iter__(value))]
    if isinstance(value, collections.deque):
        return ["q", *deep(collections.deque.__iter__(value))]
    if kind in (bytes, bytearray):
        return ["b" if kind is bytes else "B", value.hex()]
    if kind is complex:
        return ["c", value.real, value.imag]
    if kind is range:
        return ["r", value.start, value.stop, value.step]
    if _is(value, "fractions", "Fraction"):
        return ["F", value.numerator, value.denominator]
    if _is(value, "decimal", "Decimal"):
        return ["D", str(value)]
    if any(_is(value, "datetime", name) for name in ("date", "time", "datetime")):
        return ["T", kind.__name__, value.isoformat()]
    if _is(value, "datetime", "timedelta"):
        return ["T", "timedelta", value.days, value.seconds, value.microseconds]
    return other(value)


def _is(value: Any, module: str, name: str) -> bool:
    return module in sys.modules and type(value) is getattr(sys.modules[module], name, None)


def decode(value: Json, other: Callable[[list[Json]], Any]) -> Any:
    """The value that `encode` wrote."""
    if not isinstance(value, list):
        return value
    tag, *rest = value
    if tag in CONTAINERS:
        return CONTAINERS[tag](decode(item, other) for item in rest)
    if tag == "d":
        return {decode(key, other): decode(item, other) for key, item in rest}
    if tag == "n":
        made = collections.namedtuple(rest[0], rest[1])  # type: ignore[misc]
        return made(*(decode(item, other) for item in rest[2:]))
    if tag == "b":
        return bytes.fromhex(rest[0])
    if tag == "B":
        return bytearray.fromhex(rest[0])
    if tag == "c":
        return complex(*rest)
    if tag == "r":
        return range(*rest)
    if tag == "F":
        import fractions

        return fractions.Fraction(*rest)
    if tag == "D":
        import decimal

        return decimal.Decimal(rest[0])
    if tag == "T":
        import datetime

        if rest[0] == "timedelta":
            return datetime.timedelta(*rest[1:])
        return getattr(datetime, rest[0]).fromisoformat(rest[1])
    return other(value)


CONTAINERS: dict[str, Callable[[Iterator[Any]], Any]] = {
    "l": list,
    "t": tuple,
    "s": set,
    "f": frozenset,
    "q": collections.deque,
}
MUTABLE = (list, dict, set, bytearray, collections.deque)


def describe(error: BaseException) -> str:
    """An exception in one line."""
    return f"{type(error).__name__}: {str(error)[:200]}"
