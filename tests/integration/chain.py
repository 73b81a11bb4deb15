"""Runs the stages of a scratch clone in one process, and notes which parameters each of them reads.

`python -m tests.integration.chain NOTE [STAGE ...]` from the clone's root; the names of the keys that each stage read
are added to the JSON file NOTE. A stage's own process spends most of its time on imports; here they are paid once.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from relearn.params import Params, load
from relearn.params.groups import Group


def names() -> list[str]:
    """The stages in the order of dvc.yaml."""
    return list(YAML(typ="safe").load(Path("dvc.yaml"))["stages"])


def run(stage: str, params: Params | None = None) -> dict[str, Any] | None:
    """Runs one stage's work with the parameters of the clone, or with others."""
    module = importlib.import_module(f"stages.{stage}")
    found: dict[str, Any] | None = module.work(params or load(Path.cwd()))
    return found


class _Dumped(dict[str, Any]):
    """A group as a plain dict, as `model_dump` gives it, that tells which of its keys are asked for."""

    def __init__(self, values: dict[str, Any], note: Callable[[str], None]) -> None:
        super().__init__(values)
        self._note = note

    def __getitem__(self, name: str) -> Any:
        self._note(name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        self._note(name)
        return super().get(name, default)

    def __iter__(self) -> Iterator[str]:  # as a copy does
        for name in super().__iter__():
            self._note(name)
            yield name

    def items(self) -> Any:
        return [(name, self[name]) for name in self]


@contextmanager
def noted(params: Params) -> Iterator[set[str]]:
    """The names of the keys that are read from `params` inside the block, with and without `@` and their group's class.

    Hashing or printing a group reads none of its keys. A `kind` counts as read with the group that it belongs to: code tells the kinds apart by their classes.
    """
    places: dict[int, str] = {}

    def place(group: Group, path: str) -> None:
        places[id(group)] = path
        for name in type(group).model_fields:
            value = getattr(group, name)
            if isinstance(value, Group):
                place(value, f"{path}.{name}" if path else name)  # no group's own name has another spelling

    place(params, "")
    reads: set[str] = set()

    def note(self: Group, name: str) -> None:
        path = places.get(id(self))
        if path is not None and name in type(self).model_fields:
            spelled = type(self).model_fields[name].alias or name
            full = f"{path}.{spelled}" if path else spelled
            reads.update((full, f"{full}@{type(self).__name__}"))
            value = object.__getattribute__(self, name)
            if isinstance(value, Group) and "kind" in type(value).model_fields:
                reads.add(f"{full}.kind")

    def look(self: Group, name: str) -> Any:
        note(self, name)
        return object.__getattribute__(self, name)

    def dump(self: Group, **options: Any) -> dict[str, Any]:
        return _Dumped(plain(self, **options), lambda name: note(self, name))

    plain = Group.model_dump
    Group.__getattribute__ = look  # type: ignore[method-assign,assignment]
    Group.model_dump = dump  # type: ignore[method-assign,assignment]
    try:
        yield reads
    finally:
        del Group.__getattribute__
        del Group.model_dump


def main(note: Path, stages: Sequence[str]) -> None:
    """Runs the stages named, or all, and adds what they read to `note`."""
    found: dict[str, list[str]] = json.loads(note.read_text()) if note.exists() else {}
    for stage in stages or names():
        params = load(Path.cwd())
        with noted(params) as reads:
            try:
                run(stage, params)
            finally:  # what a stage that ends with an error has read, it has read
                found[stage] = sorted(reads | set(found.get(stage, ())))
                note.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
