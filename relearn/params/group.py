"""What every group of parameters is: immutable and strict, each key with a description, a unit and bounds.

No key has a default: a default in code would change results without DVC seeing it. `"5"` is not a number, and `1` is
not `true`. A `TaskGroup` holds a key for each task beside its fixed ones.
"""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

T = TypeVar("T")
TASK = "<task>"  # how paths in messages and documents name the key of any task


def key(description: str, unit: str = "", **bounds: Any) -> Any:
    """A parameter's description and unit (for docs/parameters.md) and its bounds."""
    return Field(description=description, json_schema_extra={"unit": unit}, **bounds)


class Group(BaseModel):
    """A node of the tree: immutable, refusing unknown, missing and mistyped keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, serialize_by_alias=True)


class TaskGroup(Group, Generic[T]):
    """A group whose keys beside the fixed ones are names of tasks, each with a value of type T."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, T]

    @property
    def by_task(self) -> dict[str, T]:
        """What the group says of each task, in the order of the file."""
        return self.__pydantic_extra__

    @classmethod
    def of_a_task(cls) -> Any:
        """The annotation of a task's value."""
        for base in cls.__mro__:
            if args := getattr(base, "__pydantic_generic_metadata__", {}).get("args"):
                return args[0]
        raise TypeError(f"{cls.__name__} does not say what a task's value is")
