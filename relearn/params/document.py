"""Every parameter with its description, unit and bounds, from the tree, and what it re-runs, from the chain."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from relearn.params.group import TASK, TaskGroup
from relearn.params.tree import Params
from relearn.params.wording import discriminator, fields

BELOW = "null, or the keys below"
Chain = Mapping[str, Mapping[str, Any]]  # stage name → its block of dvc.yaml


@dataclass(frozen=True)
class Key:
    """A leaf of the tree. `path` has the keys as the YAML file has them; `when` is the `kind` it belongs to, `owner`
    the class of its group ("" for a `kind`, which belongs to several)."""

    path: tuple[str, ...]
    description: str
    unit: str
    bounds: str
    when: str = ""
    owner: str = ""

    @property
    def name(self) -> str:
        """The path with dots."""
        return ".".join(self.path)


def keys() -> list[Key]:
    """Every leaf of the tree, in its order; a `kind` once, before the keys of each kind."""
    return list(dict.fromkeys(_keys(Params, (), "")))  # two kinds of a group may hold the same group


def stages_of(path: Sequence[str], chain: Chain) -> list[str]:
    """The stages that a change of this key runs again, because they track it or a group it is in."""
    name = ".".join(path)
    found = []
    for stage, block in chain.items():
        if any(_covers(tracked, name) for tracked in list_tracked(block)):
            found.append(stage)
    return found


def _covers(tracked: str, name: str) -> bool:
    """Whether a tracked key is the key or a group it is in; `${method}` stands for any name."""
    return not tracked or _pattern(tracked).match(name) is not None


@cache
def _pattern(tracked: str) -> re.Pattern[str]:
    name = re.sub(r"\\\$\\\{\w+\\\}", "[^.]+", re.escape(tracked))
    return re.compile(rf"{name}(\.|$)")


def following(stage: str, chain: Chain) -> list[str]:
    """The stages after `stage`: those that read what it writes, and so on, in the chain's order."""
    reached = {stage}
    for name, block in chain.items():  # a stage comes after those it depends on
        written = {out for done in reached for out in _outs(chain[done])}
        if any(_within(str(dep), out) for dep in block.get("deps", ()) for out in written):
            reached.add(name)
    return [name for name in chain if name in reached and name != stage]


def _keys(model: type[BaseModel], path: tuple[str, ...], when: str) -> Iterator[Key]:
    for name, field in fields(model).items():
        if name != discriminator(model):  # said once for the union it belongs to
            yield from _field_keys(model.__name__, field, (*path, name), when)
    if issubclass(model, TaskGroup):
        kind = model.of_a_task()
        field = FieldInfo.from_annotation(kind)
        if type(None) in get_args(kind):
            field.description = summarise(find_models(kind)[0])
        yield from _field_keys("", field, (*path, TASK), when)


def _field_keys(owner: str, field: FieldInfo, at: tuple[str, ...], when: str) -> Iterator[Key]:
    groups = find_models(field.annotation)
    if not groups:
        yield Key(at, _prose(field), _unit(field), _bounds(field), when, owner)
        return
    if get_origin(field.annotation) is dict:
        at = (*at, TASK)
    if len(groups) > 1:
        name = discriminator(groups[0])
        kinds = {str(get_args(group.model_fields[name].annotation)[0]): group for group in groups}
        text = " ".join(f"`{kind}`: {summarise(group)}" for kind, group in kinds.items())
        yield Key((*at, name), text, "", "one of " + ", ".join(f"`{kind}`" for kind in kinds), when)
        for kind, group in kinds.items():
            yield from _keys(group, at, f"{at[-1]}.{name}: {kind}")
        return
    if type(None) in get_args(field.annotation):
        yield Key(at, _prose(field), "", BELOW, when, owner)
    if not groups[0].model_fields and not issubclass(groups[0], TaskGroup):
        yield Key(at, summarise(groups[0]), "", "a group without keys", when)
    yield from _keys(groups[0], at, when)


def find_models(annotation: Any) -> list[type[BaseModel]]:
    """The groups that an annotation names; several are the kinds of a union."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in get_args(annotation) for model in find_models(inner)]


def summarise(group: type[BaseModel]) -> str:
    """A group's docstring on one line."""
    return " ".join((group.__doc__ or "").split())


def _prose(field: FieldInfo) -> str:
    return field.description or ""


def _unit(field: FieldInfo) -> str:
    extra = field.json_schema_extra
    return str(extra.get("unit", "")) if isinstance(extra, dict) else ""


def _bounds(field: FieldInfo) -> str:
    options = _options(field.annotation)
    if options:
        text = ", ".join(f"`{option}`" for option in options)
        return f"a list of {text}" if get_origin(field.annotation) is list else f"one of {text}"
    limits = {}
    for rule in field.metadata:
        for sign, attribute in (("≥", "ge"), (">", "gt"), ("≤", "le"), ("<", "lt")):
            limit = getattr(rule, attribute, None)
            if limit is not None:
                limits[sign] = f"{sign} {limit:g}" if limit < 1e6 else f"{sign} {limit}"
        if getattr(rule, "pattern", None):
            limits["pattern"] = f"matches `{rule.pattern}`"
        if getattr(rule, "min_length", None):
            limits["length"] = "not empty"
    inner = field.annotation
    words = [_type(inner), *limits.values()]
    if type(None) in get_args(inner):
        words.append("or null")
    return ", ".join(words)


def _type(annotation: Any) -> str:
    names = {float: "number", int: "whole number", bool: "true or false", str: "text"}
    if get_origin(annotation) is dict:
        return f"names, each with a {'text' if get_args(annotation)[1] is str else 'value'}"
    if get_origin(annotation) is list:
        return f"list of {names[get_args(annotation)[0]]}s"
    kind = next(part for part in (get_args(annotation) or (annotation,)) if part is not type(None))
    return "mapping" if get_origin(kind) is dict else names[kind] if kind in names else _type(kind)


def _options(annotation: Any) -> tuple[Any, ...]:
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    return tuple(option for inner in get_args(annotation) for option in _options(inner))


def list_tracked(block: Mapping[str, Any]) -> list[str]:
    """The keys that a stage tracks: those of params.yaml as they are, then those of the profile's file ("" for all of it)."""
    found = []
    for entry in block.get("params", ()):
        if isinstance(entry, str):
            found.append(entry)
        else:
            found += [str(name) for names in entry.values() for name in names or [""]]
    return found


def _outs(block: Mapping[str, Any]) -> list[str]:
    return [
        str(next(iter(out)) if isinstance(out, Mapping) else out)
        for section in ("outs", "metrics", "plots")
        for out in block.get(section, ())
    ]


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}/") or folder.startswith(f"{path}/")
