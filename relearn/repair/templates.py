"""A record's fields become a row: an instruction filled in, and the field that answers it."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from typing import Any

from relearn.errors import InputError

# {name} is filled in, {{name}} is written as {name}, and any other brace is itself.
PLACE = re.compile(r"\{\{(\w+)\}\}|\{([^\W\d]\w*)\}")


def show_value(value: Any) -> str:
    """A field's value as text: strings as they are, lists one item a line, numbers and booleans as JSON."""
    if isinstance(value, str):
        return value
    return "\n".join(value) if isinstance(value, list) else json.dumps(value)


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
                f"{where}: response of the row {name}: {response} is no field of the record; "
                f"there are {', '.join(asked)}"
            )
        named = [match.group(2) for match in PLACE.finditer(instruction) if match.group(2)]
        for field in named:
            if field in shown and field in asked:
                raise InputError(
                    f"{where}: instruction of the row {name}: {{{field}}} is a field of the source and of the record; "
                    "give the record's another name"
                )
            if field not in shown and field not in asked:
                raise InputError(
                    f"{where}: instruction of the row {name}: {{{field}}} is no field; "
                    f"there are {', '.join(dict.fromkeys([*shown, *asked]))} (write {{{{{field}}}}} for the word in braces)"
                )
        self.needs = tuple(dict.fromkeys([response, *(field for field in named if field in asked)]))

    def write(self, source: Mapping[str, str], record: Mapping[str, Any]) -> tuple[str, str]:
        """The instruction and the response; what is filled in is not looked at again."""

        def fill(match: re.Match[str]) -> str:
            if match.group(1):
                return match.group()[1:-1]
            field = match.group(2)
            return show_value(record[field]) if field in self.needs else source[field]

        return PLACE.sub(fill, self.instruction), show_value(record[self.response])
