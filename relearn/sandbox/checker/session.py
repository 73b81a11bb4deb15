"""The tests' side: evaluates them, each use of a name of the program being a message to it.

What a test may do with an object that is not plain data (an instance of the program's class): call it, read and
set attributes, index, iterate, compare it and do arithmetic with other such objects. Comparing it with plain data is
False, and arithmetic with plain data an error: the program would decide what its own test says.
"""

from __future__ import annotations

import builtins
import collections
import sys
from types import CodeType

from relearn.sandbox.checker.protocol import MUTABLE, decode, describe, encode, receive, send

TYPE_CHECKING = False  # importing typing would cost every program its time
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from relearn.sandbox.checker.protocol import Json


class NotPassed(Exception):
    """Why the program is wrong, in a few words."""


def _with_another(what: str) -> Callable[[Remote, object], Any]:
    """An operator between two objects of the program; with plain data there is none."""

    def operate(self: Remote, other: object) -> Any:
        return self._do(what, other) if isinstance(other, Remote) else NotImplemented

    return operate


class Remote:
    """An object of the program that is not plain data."""

    __slots__ = ("_kind", "_number", "_session")

    def __init__(self, session: Session, number: int, kind: str) -> None:
        object.__setattr__(self, "_session", session)
        object.__setattr__(self, "_number", number)
        object.__setattr__(self, "_kind", kind)

    def _do(self, what: str, *args: Any, **kwargs: Any) -> Any:
        return self._session.ask(what, self._number, args, kwargs)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._do("call", *args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return self._do("getattr", name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._do("setattr", name, value)

    def __getitem__(self, key: Any) -> Any:
        return self._do("getitem", key)

    def __setitem__(self, key: Any, value: Any) -> None:
        self._do("setitem", key, value)

    def __delitem__(self, key: Any) -> None:
        self._do("delitem", key)

    def __len__(self) -> int:
        return int(self._do("len"))

    def __iter__(self) -> Any:
        return self._do("iter")

    def __next__(self) -> Any:
        return self._do("next")

    def __contains__(self, wanted: Any) -> bool:
        return any(item is wanted or item == wanted for item in self)

    def __bool__(self) -> bool:
        return bool(self._do("bool"))

    def __str__(self) -> str:
        return str(self._do("str"))

    def __repr__(self) -> str:
        return str(self._do("repr"))

    def __hash__(self) -> int:
        return hash(self._number)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Remote) and (other._number == self._number or self._do("eq", other) is True)

    __lt__, __le__, __gt__, __ge__ = map(_with_another, ("lt", "le", "gt", "ge"))
    __add__, __sub__, __mul__, __truediv__ = map(_with_another, ("add", "sub", "mul", "truediv"))


class Session:
    """The tests' side of the pipe."""

    def __init__(self, requests: int, answers: int) -> None:
        self.requests, self.answers = requests, answers
        self.callbacks: list[Any] = []

    def ask(self, what: str, number: int, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Any:
        request = {
            "do": what,
            "object": number,
            "args": [self.wrap(item) for item in args],
            "kwargs": {key: self.wrap(item) for key, item in (kwargs or {}).items()},
        }
        answer = self.exchange(request)
        for mine, theirs in zip(args, answer.get("args") or [], strict=False):
            if theirs is not None and isinstance(mine, MUTABLE):
                _replace(mine, self.unwrap(theirs))
        return self.unwrap(answer["value"])

    def exchange(self, request: Json) -> Any:
        send(self.requests, request)
        while True:
            answer = receive(self.answers)
            if "callback" not in answer:
                break
            try:
                function = self.callbacks[answer["callback"]]
                value = function(
                    *(self.unwrap(item) for item in answer["args"]),
                    **{key: self.unwrap(item) for key, item in answer["kwargs"].items()},
                )
                send(self.requests, {"value": self.wrap(value)})
            except Exception as error:  # noqa: BLE001 - a test's own function failed: the program sees it
                send(self.requests, {"raised": describe(error)})
        if "raised" in answer:
            raise _exception(answer)
        return answer

    def name(self, name: str) -> Any:
        return self.unwrap(self.exchange({"do": "name", "name": name})["value"])

    def wrap(self, value: Any) -> Json:
        return encode(value, self.reference)

    def reference(self, value: Any) -> Json:
        if isinstance(value, Remote):
            return ["o", value._number]
        if callable(value):
            self.callbacks.append(value)
            return ["k", len(self.callbacks) - 1]
        if hasattr(type(value), "__next__"):
            return encode(list(value), self.reference)
        raise TypeError(f"a test hands over a {type(value).__name__}, which cannot be sent to the program")

    def unwrap(self, value: Json) -> Any:
        return decode(value, self.remote)

    def remote(self, value: list[Json]) -> Any:
        tag, number, *rest = value
        if tag == "m":
            root = str(number).partition(".")[0]
            if root not in sys.stdlib_module_names:
                raise ImportError(f"{root} is not in the standard library")
            __import__(number)
            return sys.modules[number]
        return Remote(self, int(number), str(rest[0]) if rest else "object")


def _replace(mine: Any, theirs: Any) -> None:
    """What the program did to an argument in place, done to the test's own object."""
    if isinstance(mine, list | bytearray) and isinstance(theirs, list | bytearray):
        mine[:] = theirs
    elif isinstance(mine, dict | set | collections.deque) and isinstance(theirs, type(mine)):
        mine.clear()
        (mine.extend if isinstance(mine, collections.deque) else mine.update)(theirs)


def _exception(answer: Json) -> BaseException:
    """The nearest built-in kind of what the program raised, so that a test may expect it."""
    for name in [answer["raised"], *answer.get("bases", [])]:
        kind = getattr(builtins, str(name), None)
        if isinstance(kind, type) and issubclass(kind, Exception):
            try:
                return kind(answer["text"])
            except TypeError:  # UnicodeDecodeError and the like want more
                continue
    return RuntimeError(answer["text"])


class Names(dict):  # type: ignore[type-arg]
    """The tests' globals: their own names, then the program's, then built-ins.

    A built-in that the program redefines is the program's only where the tests use none of its other names, as for a
    task that asks for a function called `sum`; otherwise `set` or `len` in a test could be made to lie.
    """

    def __init__(self, session: Session, names: list[str], tests: list[str]) -> None:
        super().__init__(__name__="tests")
        self.session, self.names = session, set(names)
        self.used = used = {name for test in tests for name in _names(_compiled(test))} & self.names
        if used - set(dir(builtins)):
            self.names -= set(dir(builtins))

    def __missing__(self, name: str) -> Any:
        if name not in self.names:
            raise KeyError(name)
        return self.session.name(name)


def _compiled(test: str) -> CodeType:
    try:
        return compile(test, "test", "exec")
    except SyntaxError as error:
        raise NotPassed(f"a test is not Python: {error.msg}") from None


def _names(code: CodeType) -> set[str]:
    """Every global and attribute that a piece of code mentions."""
    found = set(code.co_names)
    for part in code.co_consts:
        if isinstance(part, CodeType):
            found |= _names(part)
    return found


def run_tests(session: Session, tests: list[str]) -> None:
    """Runs the tests in order; NotPassed, or whatever a test raises, when one does not pass."""
    ready = receive(session.answers)
    names = Names(session, [str(name) for name in ready["names"]], tests)
    failed = str(ready["failed"])
    # What fails once the tested names are there is an example of use; before that, it is the program.
    if failed and not (names.used and names.used <= {str(name) for name in ready["before"]}):
        raise NotPassed(failed)
    for number, test in enumerate(tests, 1):
        try:
            exec(_compiled(test), names)
        except (EOFError, BrokenPipeError):
            raise NotPassed(f"test {number}: the program ended early") from None
        except BaseException as error:  # noqa: BLE001
            why = f" ({failed})" if failed and isinstance(error, NameError) else ""
            raise NotPassed(f"test {number}: {describe(error)}{why}") from None
