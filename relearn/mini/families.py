"""Families of templated tasks: slots, their combinations, and the rows they make.

A family is one kind of task (add a number, a short poem). Its slots are filled from pools of words; a combination
is one way to fill them all. The mini world holds out combinations, never a slot's single values: a model that has
learned the family can solve a held-out row from words it has seen.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from string import Template
from typing import Literal

Filling = Mapping[str, str]
Pool = tuple[Filling, ...]


def pool(fields: str, values: str) -> Pool:
    """The fillings of a slot: `pool("word digit", "two 2; three 3")` has two, each with two fields.

    Fillings are separated by `;`, their fields by spaces (by `|` where a field itself holds spaces). Each field
    also comes capitalised, under its capitalised name, and in capitals, under its name in capitals.
    """
    names = fields.split()
    fillings = []
    for row in values.split(";"):
        parts = row.split("|") if "|" in row else row.split() if len(names) > 1 else [row]
        fillings.append(_cased(dict(zip(names, (part.strip() for part in parts), strict=True))))
    return tuple(fillings)


def numbered(values: Pool, mark: str) -> Pool:
    """The same pool for a second slot of one family: each field's name gets `mark` at its end."""
    return tuple({f"{name}{mark}": value for name, value in filling.items()} for filling in values)


def _cased(filling: dict[str, str]) -> dict[str, str]:
    cased = {name.capitalize(): value[:1].upper() + value[1:] for name, value in filling.items()}
    return filling | cased | {name.upper(): value.upper() for name, value in filling.items() if len(name) > 1}


@dataclass(frozen=True)
class Item:
    """One combination, written out. `values` are the slots' values, in the family's order."""

    family: str
    values: tuple[str, ...]
    instruction: str
    response: str
    tests: tuple[str, ...]


@dataclass(frozen=True)
class Family:
    """A kind of task. Texts are `string.Template`s over the fields of the slots.

    asks: one or two phrasings of the instruction; which one a row gets hangs on its combination alone.
    slots: one pool each; a combination that gives two slots the same value is left out.
    derive: further fields, computed from the filled ones (agreement in French, a counted row of numbers).
    keep: leaves out combinations that make no sense.
    """

    name: str
    task: Literal["code", "general"]
    asks: tuple[str, ...]
    answer: str
    slots: tuple[Pool, ...]
    tests: tuple[str, ...] = ()
    derive: Callable[[Filling], Filling] | None = None
    keep: Callable[[Filling], bool] | None = None

    def combinations(self) -> list[tuple[Filling, ...]]:
        """All combinations that make sense, in the order of the pools."""
        chosen = []
        for combination in itertools.product(*self.slots):
            if len(set(key(combination))) < len(combination):
                continue
            if self.keep is None or self.keep(merged(combination)):
                chosen.append(combination)
        return chosen

    def write(self, combination: Sequence[Filling]) -> Item:
        """The row of one combination. Raises KeyError when a template names a field that no slot has."""
        fields = dict(merged(combination))
        if self.derive is not None:
            fields |= self.derive(fields)
        values = key(combination)
        digest = hashlib.sha256("|".join((self.name, *values)).encode()).digest()
        return Item(
            family=self.name,
            values=values,
            instruction=Template(self.asks[digest[0] % len(self.asks)]).substitute(fields),
            response=Template(self.answer).substitute(fields),
            tests=tuple(Template(test).substitute(fields) for test in self.tests),
        )


def key(combination: Sequence[Filling]) -> tuple[str, ...]:
    """What names a combination: the first field of each slot's filling."""
    return tuple(next(iter(filling.values())) for filling in combination)


def merged(combination: Sequence[Filling]) -> Filling:
    """All fields of a combination in one mapping."""
    return {name: value for filling in combination for name, value in filling.items()}


def function(
    name: str, signature: str, does: str, body: str, slots: Sequence[Pool], tests: Sequence[str]
) -> Family:
    """A family of Python functions: `def signature:` and the body, whose lines are indented here."""
    lines = "\n".join(f"    {line}" for line in body.strip("\n").split("\n"))
    return Family(
        name=name,
        task="code",
        asks=(
            f"Write a Python function {signature} that {does}.",
            f"Define {signature} in Python, a function that {does}.",
        ),
        answer=f"def {signature}:\n{lines}",
        slots=tuple(slots),
        tests=tuple(tests),
    )
