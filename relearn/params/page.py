"""docs/parameters.md: every parameter by stage, an entry a key: what it is, unit and bounds, its value in each profile,
what it re-runs.

Everything is taken from the tree, from the profiles, and from the `params`, `deps` and `outs` of the chain, so that the
page cannot say what the program does not do. `python -m stages.parameters --write` writes it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from relearn.params.document import BELOW, Chain, Key, find_models, following, keys, list_tracked, stages_of, summarise
from relearn.params.group import TASK
from relearn.params.load import SWEPT
from relearn.params.tree import TASK_GROUPS, Params
from relearn.params.wording import shown

Profiles = Mapping[str, Mapping[str, Any]]  # a profile's name → its keys, as read
SWEPT_FILE = "params.yaml"
_FIXED = {name for group in TASK_GROUPS.values() for name in group.model_fields}


def page(profiles: Profiles, chain: Chain) -> str:
    """The whole page."""
    found = keys()
    groups = {title: [key for key in found if _place(key) == title] for title in dict.fromkeys(map(_place, found))}
    own = [name for name in chain if name in groups]
    shared = [name for name in groups if name not in (*own, SWEPT_FILE)]
    showing = [stage for stage in chain if all(stage in stages_of(key.path, chain) for key in found)]
    parts = [
        "# Parameters",
        f"`{SWEPT_FILE}` holds what is swept, a profile (`profiles/<name>.yaml`) everything else. No key has a default in "
        "the code: each profile states all of its keys. `make check` says whether they are valid. An experiment sets a key "
        "of either file:",
        "```sh\ndvc exp run -S lr=2e-3 -S 'profiles/mini.yaml:finetune.lora.rank=4'\n```",
        "An entry says what the key is; its values, with the unit in brackets; what the shipped profiles "
        f"({_and([f'`{name}`' for name in profiles])}) set; and which stages run again when it changes. The stages after "
        "them run again only if what they read has changed by then: see [what runs again](#what-runs-again). "
        + "".join(f"`{stage}` shows every key and runs again with any of them. " for stage in showing)
        + "`<task>` is the name of a task.",
        _contents([SWEPT_FILE, *shared], own),
        "Made by `make docs` from `relearn/params/`, the profiles and `dvc.yaml`: edit those, not this page.",
    ]
    for title in (SWEPT_FILE, *shared, *own):
        entries = [_entry(key, {} if title == SWEPT_FILE else profiles, chain, showing) for key in groups[title]]
        parts += [f"## {title}", _about(title), "\n".join(entries)]
    parts += ["## What runs again", _reruns(chain)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _place(key: Key) -> str:
    return SWEPT_FILE if key.path[0] in SWEPT else key.path[0]


def _contents(shared: Sequence[str], own: Sequence[str]) -> str:
    def links(titles: Sequence[str]) -> str:
        return ", ".join(f"[{title}](#{re.sub(r'[^a-z0-9_]', '', title)})" for title in titles)

    return f"**For several stages:** {links(shared)}. **For one stage:** {links(own)}."


def _about(title: str) -> str:
    if title == SWEPT_FILE:
        return "What is swept. `lr` must lie within `lr_range` of the profile."
    groups = find_models(Params.model_fields[title].annotation)
    return summarise(groups[0]) if len(groups) == 1 else ""  # single keys and `kind`s speak for themselves


def _entry(key: Key, profiles: Profiles, chain: Chain, showing: Sequence[str]) -> str:
    """A list item of two lines: what the key is, then its values and what it re-runs, but for what `showing` re-runs."""
    stages = [f"`{stage}`" for stage in stages_of(key.path, chain) if stage not in showing]
    facts = [
        f"With `{key.when}`" if key.when else "",
        key.bounds + (f" ({key.unit})" if key.unit else ""),
        _say_values(profiles, key),
        f"Re-runs {_and(stages) or 'nothing'}",
    ]
    said = ". ".join(fact[0].upper() + fact[1:] for fact in facts if fact)
    what = re.sub(r"(`[^`]*`)|<", lambda match: match[1] or "&lt;", key.description)
    return f"- **`{key.name}`** {what}<br>\n  {said}."


def _say_values(profiles: Profiles, key: Key) -> str:
    """What each profile sets, those that agree together."""
    found: dict[str, list[str]] = {}
    for name, profile in profiles.items():
        found.setdefault(_say_value(profile, key), []).append(name)
    if not profiles or list(found) == [""]:
        return "Not set in any profile" if profiles else ""
    if len(found) == 1:
        return f"{next(iter(found))} in every profile"
    said = [f"{value} in {_and(names)}" for value, names in found.items() if value]
    return "; ".join(said)


def _say_value(profile: Mapping[str, Any], key: Key) -> str:
    """The key's value in a profile: of each task, and of each item of a list, where there are several; "" without one."""
    found: dict[str, list[str]] = {}
    for task, value in _values(profile, key.path, key.when, ""):
        found.setdefault(task, []).append("its keys" if value and key.bounds == BELOW else _cell(value))
    tasks: dict[str, list[str]] = {}
    for task, cells in found.items():
        tasks.setdefault(", ".join(cells), []).append(task)
    return ", ".join(value + (f" for {_and(names)}" if names != [""] else "") for value, names in tasks.items())


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


def _cell(value: object) -> str:
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        return f"[{', '.join(_cell(item) for item in value)}]"
    text = shown(value)
    plain = re.fullmatch(r'"([A-Za-z][A-Za-z0-9_./-]*)"', text)  # what YAML reads as a text without quotes
    return f"`{plain[1] if plain else text}`"


def _and(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


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
        tracked = ", ".join(f"`{name}`" if name else "the whole profile" for name in list_tracked(block))
        read = ", ".join(f"`{dep}`" for dep in block.get("deps", ()) if _is_data(str(dep)))
        after = ", ".join(f"`{name}`" for name in following(stage, chain))
        lines.append(f"| `{stage}` | {tracked}; {read or 'no file'}; its own code | {after or 'nothing follows'} |")
    return "\n".join(lines)


def _is_data(dep: str) -> bool:
    return not dep.endswith(".py") and not dep.startswith("relearn/")
