"""What every group of parameters is: immutable and strict, each key with a description, a unit and bounds.

No key has a default: a default in code would change results without DVC seeing it. `"5"` is not a number, and `1` is
not `true`.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


def key(description: str, unit: str = "", **bounds: Any) -> Any:
    """A parameter's description and unit (for docs/parameters.md) and its bounds."""
    return Field(description=description, json_schema_extra={"unit": unit}, **bounds)


class Group(BaseModel):
    """A node of the tree: immutable, refusing unknown, missing and mistyped keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)
