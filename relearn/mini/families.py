"""Families of templated tasks: slots, their combinations, and the rows they make.

A family is one kind of task (add a number, a short poem). Its slots are filled from pools of words; a combination
is one way to fill them all. The mini world holds out combinations, never a slot's single values: a model that has
learned the family can solve a held-out row from words it has seen.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from string import Template
from typing import Literal

Filling = Mapping[str, str]
SlotPool = tuple[Filling, ...]


def read_pools(text: str) -> dict[str, SlotPool]:
    """The fillings of slots, by the pool's name: `NUMBER word digit: two 2; three 3` has two, each with two fields.

    A line a pool; indented lines continue it, and those that begin with # are comments. Fillings are separated by `;`,
    their fields by spaces (by `|` where a field itself holds spaces). Each field also comes capitalised, under its
    capitalised name, and in capitals, under its name in capitals.
    """
    pools = {}
    for line in re.split(r"\n(?=\S)", text.strip()):
        if not line.startswith("#"):
            head, values = line.split(": ", 1)
            pool, *names = head.split()
            pools[pool] = tuple(_filling(names, row) for row in values.split(";"))
    return pools


def _filling(names: list[str], row: str) -> Filling:
    parts = row.split("|") if "|" in row else row.split() if len(names) > 1 else [row]
    return _cased(dict(zip(names, (part.strip() for part in parts), strict=True)))


def _cased(filling: dict[str, str]) -> dict[str, str]:
    cased = {name.capitalize(): value[:1].upper() + value[1:] for name, value in filling.items()}
    return filling | cased | {name.upper(): value.upper() for name, value in filling.items() if len(name) > 1}


@dataclass(frozen=True)
class WrittenTask:
    """One combination, written out. `values` are the slots' values, in the family's order."""

    family: str
    values: tuple[str, ...]
    instruction: str
    response: str
    tests: tuple[str, ...]


@dataclass(frozen=True)
class Family:
    """A kind of task. Texts are `string.Template`s over the fields of the slots.

    asks: one or two phrasings of the instruction; which one a row gets depends on its combination alone.
    slots: one pool each; a combination that gives two slots the same value is left out.
    derive: further fields, computed from the filled ones (agreement in French, a counted row of numbers).
    keep: leaves out combinations that make no sense.
    """

    name: str
    task: Literal["code", "general"]
    asks: tuple[str, ...]
    answer: str
    slots: tuple[SlotPool, ...]
    tests: tuple[str, ...] = ()
    derive: Callable[[Filling], Filling] | None = None
    keep: Callable[[Filling], bool] | None = None

    def combinations(self) -> list[tuple[Filling, ...]]:
        """All combinations that make sense, in the order of the pools."""
        chosen = []
        for combination in itertools.product(*self.slots):
            if len(set(key(combination))) < len(combination):
                continue
            if self.keep is None or self.keep(merge(combination)):
                chosen.append(combination)
        return chosen

    def write(self, combination: Sequence[Filling]) -> WrittenTask:
        """The row of one combination. Raises KeyError when a template names a field that no slot has."""
        fields = dict(merge(combination))
        if self.derive is not None:
            fields |= self.derive(fields)
        values = key(combination)
        digest = hashlib.sha256("|".join((self.name, *values)).encode()).digest()
        return WrittenTask(
            family=self.name,
            values=values,
            instruction=Template(self.asks[digest[0] % len(self.asks)]).substitute(fields),
            response=Template(self.answer).substitute(fields),
            tests=tuple(Template(test).substitute(fields) for test in self.tests),
        )


def key(combination: Sequence[Filling]) -> tuple[str, ...]:
    """What names a combination: the first field of each slot's filling."""
    return tuple(next(iter(filling.values())) for filling in combination)


def merge(combination: Sequence[Filling]) -> Filling:
    """All fields of a combination in one mapping."""
    return {name: value for filling in combination for name, value in filling.items()}


def read_families(
    task: Literal["code", "general"],
    pools: Mapping[str, SlotPool],
    text: str,
    derive: Mapping[str, Callable[[Filling], Filling]] | None = None,
    keep: Mapping[str, Callable[[Filling], bool]] | None = None,
) -> tuple[Family, ...]:
    """The families of a text, a paragraph each; `derive` and `keep` by the family's name.

    The first line holds the name and the slots' pools; of a pool that comes twice, the second slot's fields have a `b`
    at the end of their names. Then come the phrasings of the instruction, the answer's lines after `> `, and the tests.
    For a function, `def signature: what it does` gives both phrasings, and its body the rest of the answer.
    """
    return tuple(
        _family(task, pools, paragraph.split("\n"), derive or {}, keep or {})
        for paragraph in text.strip().split("\n\n")
    )


def _family(
    task: Literal["code", "general"],
    pools: Mapping[str, SlotPool],
    lines: list[str],
    derive: Mapping[str, Callable[[Filling], Filling]],
    keep: Mapping[str, Callable[[Filling], bool]],
) -> Family:
    (name, *slots), lines = lines[0].split(), lines[1:]
    tests = [line for line in lines if line.startswith("assert ")]
    asks = [line for line in lines if line[0] not in " >" and line not in tests]
    answer = [line.removeprefix(">").removeprefix(" ") for line in lines if line[0] == ">"]
    if asks[0].startswith("def "):
        signature, does = asks[0].removeprefix("def ").split(": ", 1)
        asks = [
            f"Write a Python function {signature} that {does}.",
            f"Define {signature} in Python, a function that {does}.",
        ]
        answer = [f"def {signature}:", *(line for line in lines if line[0] == " ")]
    return Family(
        name=name,
        task=task,
        asks=tuple(asks),
        answer="\n".join(answer),
        slots=tuple(_mark(pools[slot], "b" if slot in slots[:at] else "") for at, slot in enumerate(slots)),
        tests=tuple(tests),
        derive=derive.get(name),
        keep=keep.get(name),
    )


def _mark(pool: SlotPool, mark: str) -> SlotPool:
    """The pool with `mark` at the end of each field's name."""
    return tuple({f"{name}{mark}": value for name, value in filling.items()} for filling in pool)
