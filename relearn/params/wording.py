"""Turns pydantic's errors on the parameter tree into one line that a person can act on."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from relearn.params.group import TaskGroup
from relearn.params.moves import ADDED, MOVES
from relearn.params.names import nearest
from relearn.params.tree import Params

_WANTED = {
    "float_type": "numbers",
    "int_type": "whole numbers",
    "int_from_float": "whole numbers",
    "bool_type": "true or false",
    "string_type": "text",
    "list_type": "a list",
    "dict_type": "a group of keys",
    "model_type": "a group of keys",
    "model_attributes_type": "a group of keys",
    "finite_number": "finite numbers",
}


@dataclass(frozen=True)
class Mistake:
    """One mistake: the key's path as the YAML file has it, what is wrong and what to do."""

    path: tuple[str, ...]
    message: str


def first_mistake(error: ValidationError) -> Mistake:
    """The mistake to name first. An unknown key comes before a missing one, since it is often the same key mistyped."""
    errors = sorted(error.errors(), key=lambda item: item["type"] not in ("extra_forbidden", "invalid_key"))
    mistake = _mistake(errors[0])
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return Mistake(mistake.path, mistake.message + more)


def shown(value: object) -> str:
    """A value as the YAML file would have it, cut to a readable length."""
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        text = str(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _mistake(error: ErrorDetails) -> Mistake:
    loc, kind, value = error["loc"], error["type"], error.get("input")
    path, context = _path(loc), error.get("ctx", {})
    if kind == "moved_key":
        hint = "move it there, or run `python -m stages.parameters --upgrade` on this file"
        return Mistake(tuple(context["path"].split(".")), f"is now {MOVES[context['path']]}; {hint}")
    if kind == "unknown_key":
        path = tuple(context["path"].split("."))
        return Mistake(
            path, f"unknown key{nearest(path[-1], context['known'])}; remove or rename it, or add it to tasks"
        )
    if kind in ("extra_forbidden", "invalid_key"):
        known = _children(loc[:-1])
        return Mistake(path, f"unknown key{nearest(path[-1], known)}; remove or rename it")
    if kind == "missing":
        hint = ", or run `python -m stages.parameters --upgrade` on this file" if ".".join(path) in ADDED else ""
        return Mistake(path, f"missing; add it (docs/parameters.md describes it){hint}")
    if kind == "value_error":
        rule = str(context.get("error", error["msg"])).replace("\n", " ")
        # A rule of the whole tree says which key it is about: `compute.quantize: 4bit needs …`.
        key, _, rest = rule.partition(": ")
        return Mistake(path, rule) if path or not rest else Mistake(tuple(key.split(".")), rest)
    if kind == "union_tag_not_found":
        return _no_kind(path, loc, value)
    if kind == "union_tag_invalid":
        kinds = list(_tags(_node(loc)))
        tag = context["tag"]
        return Mistake(
            (*path, _chooser(loc)), f"{shown(tag)} is unknown{nearest(tag, kinds)}; one of {', '.join(kinds)}"
        )
    if kind == "literal_error":
        options = [str(option) for option in _options(_node(loc))]
        return Mistake(path, f"{shown(value)} is unknown{nearest(value, options)}; one of {', '.join(options)}")
    if kind in _WANTED:
        hint = "write it without quotes" if isinstance(value, str) and _number(value) else "change it"
        return Mistake(path, f"{_WANTED[kind]} only, not {shown(value)}; {hint}")
    message = error["msg"].replace("\n", " ")
    return Mistake(path, f"{shown(value)} is out of bounds: {message[0].lower()}{message[1:]}")


def _no_kind(path: tuple[str, ...], loc: tuple[int | str, ...], value: object) -> Mistake:
    """A group whose `kind` is missing: mistyped, if a key that no kind knows comes close to it."""
    kinds, chooser = ", ".join(_tags(_node(loc))), _chooser(loc)
    known = {name for model in _models(_node(loc)) for name in fields(model)}
    for name in value if isinstance(value, dict) else ():
        if name not in known and nearest(name, [chooser]):
            return Mistake(
                (*path, str(name)), f"unknown key (did you mean {chooser}?); rename it, its value is one of {kinds}"
            )
    return Mistake((*path, chooser), f"missing; add it, one of {kinds}")


def _chooser(loc: tuple[int | str, ...]) -> str:
    return next(discriminator(model) for model in _models(_node(loc)))


def _number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _path(loc: tuple[int | str, ...]) -> tuple[str, ...]:
    """The keys as the YAML file has them: pydantic adds a union's tag (`mini`, `scratch` …) as a level."""
    return tuple(
        str(part)
        for index, part in enumerate(loc)
        if part not in _tags(_node(loc[:index])) and not (index == len(loc) - 1 and part == "[key]")
    )


def _node(loc: tuple[int | str, ...]) -> Any:
    """The annotation found by walking the tree along a pydantic error path."""
    node: Any = Params
    for part in loc:
        tags = _tags(node)
        if isinstance(part, str) and part in tags:
            node = tags[part]
            continue
        if get_origin(node) in (list, dict):
            node = get_args(node)[-1]
            continue
        for model in _models(node):
            if part in fields(model):
                node = fields(model)[str(part)].annotation
                break
            if issubclass(model, TaskGroup):
                node = model.of_a_task()
                break
        else:
            return None
    return node


def _models(annotation: Any) -> list[type[BaseModel]]:
    """The groups an annotation may hold, unions and None looked through."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in get_args(annotation) for model in _models(inner)]


def fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """The fields of a group by their keys in the file: `2b` is one, though no name in Python."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _tags(annotation: Any) -> dict[str, type[BaseModel]]:
    """Discriminator value → group, for a union of groups with a `kind` (or `form`)."""
    if get_origin(annotation) in (list, dict):
        return {}
    found = {}
    for model in _models(annotation):
        if name := discriminator(model):
            found[str(get_args(model.model_fields[name].annotation)[0])] = model
    return found if len(found) > 1 else {}


def discriminator(model: type[BaseModel]) -> str:
    """The key that says which group of a union it is: `kind`, or `form`; empty where it has none."""
    return next((name for name in ("kind", "form") if name in model.model_fields), "")


def _options(annotation: Any) -> tuple[Any, ...]:
    """The values of a Literal, None looked through."""
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    return tuple(option for inner in get_args(annotation) for option in _options(inner))


def _children(loc: tuple[int | str, ...]) -> list[str]:
    """The known keys at a place in the tree."""
    return sorted({name for model in _models(_node(loc)) for name in fields(model)})
