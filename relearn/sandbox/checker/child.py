"""The program's side: defines the program and answers calls to it."""

from __future__ import annotations

import _ast
import operator
import sys
from types import ModuleType

from relearn.sandbox.checker.protocol import MUTABLE, decode, describe, encode, receive, send

TYPE_CHECKING = False  # importing typing would cost every program its time
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from relearn.sandbox.checker.protocol import Json

MODULE = "solution"


class Child:
    """The program's side. Whatever the program does to this process, only plain data leaves it."""

    def __init__(self, requests: int, answers: int) -> None:
        self.requests, self.answers = requests, answers
        self.objects: dict[int, Any] = {}

    def run(self, code: str) -> None:
        module = ModuleType(MODULE)
        sys.modules[MODULE] = module
        try:
            tree: Any = compile(code, "solution.py", "exec", _ast.PyCF_ONLY_AST)
        except BaseException as error:  # noqa: BLE001
            send(self.answers, {"failed": describe(error), "names": [], "before": []})
            return
        failed, before = "", None
        for statement in tree.body:  # one by one: an example of use that fails leaves what is defined
            try:
                exec(compile(_ast.Module([statement], []), "solution.py", "exec"), module.__dict__)
            except BaseException as error:  # noqa: BLE001 - SystemExit too is an answer
                failed = failed or describe(error)
                if not isinstance(statement, _ast.Import | _ast.ImportFrom) and before is None:
                    before = _public(module)
        names = _public(module)
        send(self.answers, {"failed": failed, "names": names, "before": names if before is None else before})
        while True:
            request = receive(self.requests)
            try:
                answer = self.answer(request, module)
            except BaseException as error:  # noqa: BLE001
                answer = {"raised": type(error).__name__, "bases": _bases(error), "text": describe(error)}
            try:
                send(self.answers, answer)
            except OverflowError as error:
                send(self.answers, {"raised": "OverflowError", "bases": [], "text": str(error)})

    def answer(self, request: Json, module: ModuleType) -> Json:
        if request["do"] == "name":
            return {"value": self.wrap(module.__dict__[request["name"]])}
        target = self.objects[request["object"]]
        arguments = [self.unwrap(item) for item in request.get("args", [])]
        keywords = {key: self.unwrap(item) for key, item in request.get("kwargs", {}).items()}
        value = OPERATIONS[request["do"]](target, *arguments, **keywords)
        changed = [self.wrap(item) if isinstance(item, MUTABLE) else None for item in arguments]
        return {"value": self.wrap(value), "args": changed}

    def wrap(self, value: Any) -> Json:
        return encode(value, self.reference)

    def reference(self, value: Any) -> Json:
        if isinstance(value, ModuleType):
            return ["m", value.__name__]
        self.objects[id(value)] = value
        return ["o", id(value), type(value).__name__]

    def unwrap(self, value: Json) -> Any:
        return decode(value, self.local)

    def local(self, value: list[Json]) -> Any:
        tag, number, *_ = value
        if tag == "o":
            return self.objects[number]

        def callback(*arguments: Any, **keywords: Any) -> Any:
            args = [self.wrap(item) for item in arguments]
            send(
                self.answers,
                {"callback": number, "args": args, "kwargs": {k: self.wrap(v) for k, v in keywords.items()}},
            )
            answer = receive(self.requests)
            if "raised" in answer:
                raise RuntimeError(answer["raised"])
            return self.unwrap(answer["value"])

        return callback


OPERATIONS: dict[str, Callable[..., Any]] = {
    **{function.__name__: function for function in (getattr, setattr, len, iter, next, bool, str, repr)},
    **{name: getattr(operator, name) for name in ("getitem", "setitem", "delitem", "eq", "lt", "le", "gt", "ge")},
    **{name: getattr(operator, name) for name in ("call", "add", "sub", "mul", "truediv")},
}


def _public(module: ModuleType) -> list[str]:
    return [name for name in module.__dict__ if not name.startswith("__")]


def _bases(error: BaseException) -> list[str]:
    return [base.__name__ for base in type(error).__mro__]
