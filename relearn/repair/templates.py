"""A record's fields become a row: an instruction filled in, and the field that answers it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from relearn.errors import InputError
from relearn.placeholders import fill, list_names, show_value


class RowWriter:
    """Writes the row that one template makes of a record. `needs` are the record's fields without which there is none.

    Raises InputError, naming the key, when the template names a field that neither the source nor the record has.
    """

    def __init__(
        self, name: str, instruction: str, response: str, shown: Collection[str], asked: Collection[str], where: str
    ) -> None:
        """`shown` are the fields of the source, `asked` those of the record; `where` is the key that holds the template."""
        self.name, self.instruction, self.response = name, instruction, response
        if response not in asked:
            raise InputError(
                f"{where}: response of the row {name}: {response} is not a field of the record; "
                f"choose from {', '.join(asked)}"
            )
        named = list_names(instruction)
        for field in named:
            if field in shown and field in asked:
                raise InputError(
                    f"{where}: instruction of the row {name}: {{{field}}} is a field of both the source and the record; "
                    "rename the record's"
                )
            if field not in shown and field not in asked:
                raise InputError(
                    f"{where}: instruction of the row {name}: {{{field}}} is not a field; "
                    f"choose from {', '.join(dict.fromkeys([*shown, *asked]))} (write {{{{{field}}}}} for the word in braces)"
                )
        self.needs = tuple(dict.fromkeys([response, *(field for field in named if field in asked)]))

    def write(self, source: Mapping[str, str], record: Mapping[str, Any]) -> tuple[str, str]:
        """The instruction and the response; what is filled in is not looked at again."""

        def show(field: str) -> str:
            return show_value(record[field]) if field in self.needs else source[field]

        return fill(self.instruction, show), show_value(record[self.response])
