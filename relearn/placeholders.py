"""Templates with {name} in them, as profiles write them: {{name}} is written as {name}, and any other brace is itself."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

PLACE = re.compile(r"\{\{(\w+)\}\}|\{([^\W\d]\w*)\}")


def list_names(template: str) -> list[str]:
    """The names that the template asks for, in its order, as often as it does."""
    return list(_split(template)[1::2])


def fill(template: str, show: Callable[[str], str]) -> str:
    """The template with what `show` gives for each name; what is filled in is not looked at again."""
    return "".join([show(part) if at % 2 else part for at, part in enumerate(_split(template))])


@lru_cache(maxsize=256)
def _split(template: str) -> tuple[str, ...]:
    """Text and names in turn, text first and last."""
    parts = [""]
    at = 0
    for match in PLACE.finditer(template):
        parts[-1] += template[at : match.start()]
        at = match.end()
        if match.group(1):
            parts[-1] += match.group()[1:-1]
        else:
            parts += [match.group(2), ""]
    parts[-1] += template[at:]
    return tuple(parts)


def show_value(value: Any) -> str:
    """A value as text: strings as they are, lists of them one a line, nothing for null, and all else as JSON."""
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return "\n".join(value)
    return json.dumps(value)
