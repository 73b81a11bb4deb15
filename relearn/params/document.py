"""Describes every parameter as Markdown: what it is, its unit and bounds, its value in each profile, what it re-runs.

Everything is taken from the tree, from the profiles, and from the `params`, `deps` and `outs` of the
chain, so that the page cannot say what the program does not do. `python -m stages.parameters` writes it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from relearn.params.group import TASK, TaskGroup
from relearn.params.load import SWEPT
from relearn.params.tree import TASK_GROUPS, Params
from relearn.params.wording import discriminator, fields, shown

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
        if any(_covers(tracked, name) for tracked in _tracked(block)):
            found.append(stage)
    return found


def _covers(tracked: str, name: str) -> bool:
    """Whether a tracked key is the key or a group it is in; `${method}` stands for any name."""
    pattern = re.sub(r"\\\$\\\{\w+\\\}", "[^.]+", re.escape(tracked))
    return not tracked or re.match(rf"{pattern}(\.|$)", name) is not None


def following(stage: str, chain: Chain) -> list[str]:
    """The stages after `stage`: those that read what it writes, and so on, in the chain's order."""
    reached = {stage}
    for name, block in chain.items():  # a stage comes after those it depends on
        written = {out for done in reached for out in _outs(chain[done])}
        if any(_within(str(dep), out) for dep in block.get("deps", ()) for out in written):
            reached.add(name)
    return [name for name in chain if name in reached and name != stage]


def page(profiles: Mapping[str, Mapping[str, Any]], chain: Chain) -> str:
    """The whole page. `profiles` maps a profile's name to its keys, as read."""
    parts = [
        "# Parameters",
        "Made from the parameter tree by `make docs`; edit `relearn/params/` or a profile, not this page. "
        "`params.yaml` holds what is swept (`profile`, `lr`, `seed`, `method`), the profile everything else. No key has a "
        "default in the code: each profile states all of them.",
        "**Re-runs** names the stages that run again when the key changes. The stages after them run again only if "
        "what they read has changed by then: see [the last section](#what-runs-again). A comment runs nothing."
        + "".join(f" `{stage}` shows every key and runs again with any of them." for stage in _showing(chain)),
    ]
    for title, group in _grouped(keys()):
        parts += [f"## {title}", _about(title), _table(group, profiles, chain)]
    parts += ["## What runs again", _reruns(chain)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _keys(model: type[BaseModel], path: tuple[str, ...], when: str) -> Iterator[Key]:
    for name, field in fields(model).items():
        if name != discriminator(model):  # said once for the union it belongs to
            yield from _field_keys(model.__name__, field, (*path, name), when)
    if issubclass(model, TaskGroup):
        kind = model.of_a_task()
        field = FieldInfo.from_annotation(kind)
        if type(None) in get_args(kind):
            field.description = _summary(_models(kind)[0])
        yield from _field_keys("", field, (*path, TASK), when)


def _field_keys(owner: str, field: FieldInfo, at: tuple[str, ...], when: str) -> Iterator[Key]:
    groups = _models(field.annotation)
    if not groups:
        yield Key(at, _prose(field), _unit(field), _bounds(field), when, owner)
        return
    if get_origin(field.annotation) is dict:
        at = (*at, TASK)
    if len(groups) > 1:
        name = discriminator(groups[0])
        kinds = {str(get_args(group.model_fields[name].annotation)[0]): group for group in groups}
        text = " ".join(f"`{kind}`: {_summary(group)}" for kind, group in kinds.items())
        yield Key((*at, name), text, "", ", ".join(kinds), when)
        for kind, group in kinds.items():
            yield from _keys(group, at, f"{at[-1]}.{name}: {kind}")
        return
    if type(None) in get_args(field.annotation):
        yield Key(at, _prose(field), "", BELOW, when, owner)
    if not groups[0].model_fields and not issubclass(groups[0], TaskGroup):
        yield Key(at, _summary(groups[0]), "", "a group without keys", when)
    yield from _keys(groups[0], at, when)


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in get_args(annotation) for model in _models(inner)]


def _summary(group: type[BaseModel]) -> str:
    return " ".join((group.__doc__ or "").split())


def _prose(field: FieldInfo) -> str:
    return field.description or ""


def _unit(field: FieldInfo) -> str:
    extra = field.json_schema_extra
    return str(extra.get("unit", "")) if isinstance(extra, dict) else ""


def _bounds(field: FieldInfo) -> str:
    options = _options(field.annotation)
    if options:
        text = ", ".join(map(str, options))
        return f"a list of {text}" if get_origin(field.annotation) is list else text
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


def _grouped(found: Sequence[Key]) -> list[tuple[str, list[Key]]]:
    """The keys by top-level group, those of params.yaml first."""
    titles = ["params.yaml", *dict.fromkeys(key.path[0] for key in found if key.path[0] not in SWEPT)]
    return [
        (title, [key for key in found if (key.path[0] in SWEPT if title == "params.yaml" else key.path[0] == title)])
        for title in titles
    ]


def _about(title: str) -> str:
    if title == "params.yaml":
        return "What is swept, with the value of the last run. `lr` must lie within `lr_range` of the profile."
    groups = _models(Params.model_fields[title].annotation)
    return _summary(groups[0]) if groups else ""  # a key outside the groups speaks for itself


def _showing(chain: Chain) -> list[str]:
    """The stages that track every key there is."""
    every = keys()
    return [stage for stage in chain if all(stage in stages_of(key.path, chain) for key in every)]


def _table(group: Sequence[Key], profiles: Mapping[str, Mapping[str, Any]], chain: Chain) -> str:
    if group[0].path[0] in SWEPT:
        profiles = {}  # an experiment leaves its values in params.yaml: they are not defaults
    lines = [
        f"| {' | '.join(['key', 'what it is', 'unit', 'bounds', *profiles, 're-runs'])} |",
        "| --- " * (5 + len(profiles)) + "|",
    ]
    showing = _showing(chain)
    for key in group:
        what = key.description + (f" With `{key.when}`." if key.when else "")
        values = [_cells(profile, key) for profile in profiles.values()]
        stages = ", ".join(f"`{stage}`" for stage in stages_of(key.path, chain) if stage not in showing)
        cells = [f"`{key.name}`", what, key.unit, key.bounds, *values, stages or "nothing"]
        lines.append("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |")
    return "\n".join(lines)


def _cells(profile: Mapping[str, Any], key: Key) -> str:
    """The key's value in a profile: of each task, and of each item of a list, where there are several."""
    found: dict[str, list[str]] = {}
    for task, value in _values(profile, key.path, key.when, ""):
        found.setdefault(task, []).append("see below" if value and key.bounds == BELOW else _cell(value))
    return ", ".join(f"{task} {', '.join(cells)}".strip() for task, cells in found.items()) or "–"


def _values(value: Any, path: tuple[str, ...], when: str, task: str, at: str = "") -> Iterator[tuple[str, object]]:
    """(task, value) wherever `path` leads. Two kinds may share a key's name: only a group of the kind `when` counts."""
    if isinstance(value, list) and (path or any(isinstance(item, Mapping) for item in value)):
        for item in value:
            yield from _values(item, path, when, task, at)
        return
    union, _, kind = when.partition(": ")
    group, _, chooser = union.partition(".")
    if at == group and when and isinstance(value, Mapping) and value.get(chooser) != kind:
        return
    if not path:
        yield task, value
        return
    if isinstance(value, Mapping):
        part, *rest = path
        for name in [name for name in value if name not in _FIXED] if part == TASK else [part] if part in value else []:
            yield from _values(value[name], tuple(rest), when, name if part == TASK else task, str(part))


_FIXED = {name for group in TASK_GROUPS.values() for name in group.model_fields}


def _cell(value: object) -> str:
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        return ", ".join(f"`{item}`" for item in value)
    return f"`{shown(value)}`"


def _reruns(chain: Chain) -> str:
    lines = [
        "DVC compares what a stage tracks with what it was when the stage last ran; nothing else matters, neither the "
        "time nor a comment. A combination of parameters, inputs and code that has run before is restored from the "
        "run cache and runs nothing.",
        "",
        "| stage | runs again when one of these changes | then, if its outputs have changed |",
        "| --- | --- | --- |",
    ]
    for stage, block in chain.items():
        tracked = ", ".join(f"`{name}`" if name else "the whole profile" for name in _tracked(block))
        read = ", ".join(f"`{dep}`" for dep in block.get("deps", ()) if _is_data(str(dep)))
        after = ", ".join(f"`{name}`" for name in following(stage, chain))
        lines.append(f"| `{stage}` | {tracked}; {read or 'no file'}; its own code | {after or 'nothing follows'} |")
    return "\n".join(lines)


def _is_data(dep: str) -> bool:
    return not dep.endswith(".py") and not dep.startswith("relearn/")


def _tracked(block: Mapping[str, Any]) -> list[str]:
    """The keys a stage tracks: those of params.yaml as they are, then those of the profile's file ("" for all of it)."""
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
