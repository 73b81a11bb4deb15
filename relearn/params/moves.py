"""Keys that have moved: where each is now, and a profile of an earlier version rewritten with its comments kept."""

from __future__ import annotations

import io
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import CommentMark
from ruamel.yaml.representer import RoundTripRepresenter
from ruamel.yaml.tokens import CommentToken

from relearn.errors import InputError

MOVES = {  # in the order in which an upgrade makes them
    "finetune.lr_min": "lr_range.min",
    "finetune.lr_max": "lr_range.max",
    "finetune.epochs_2b": "finetune_2b.epochs",
    "finetune.epochs_2c": "finetune_2c.epochs",
    "finetune.precision": "compute.precision",
    "finetune.quantize": "compute.quantize",
    "eval_3a.execute": "sandbox.execute",
    "eval_3a.timeout_s": "sandbox.timeout_s",
    "eval_3a.memory_mb": "sandbox.memory_mb",
}
ADDED = {  # what an upgrade gives a profile that lacks it: what was done before the key was there
    "generate.mode": "live",
    "generate.batch": {"price": 0.5, "requests": 50000, "megabytes": 100, "poll_s": 30},
    "generate.reasoning_effort": None,
    "generate.extra_body": None,
}


class _Nulls(RoundTripRepresenter):
    """Writes null where ruamel would leave the value out."""


_Nulls.add_representer(type(None), lambda self, _: self.represent_scalar("tag:yaml.org,2002:null", "null"))


def upgrade(text: str) -> tuple[str, list[str]]:
    """The profile with its moved keys in their new places, and the old names of those it held.

    Raises InputError for a key that is there under both names. A new group comes before the group it came from.
    """
    yaml = YAML()
    yaml.Representer = _Nulls
    yaml.preserve_quotes, yaml.width = True, 4096
    yaml.indent(mapping=2, sequence=4, offset=2)
    tree = yaml.load(text)
    moved = [old for old in MOVES if _holds(tree, old)]
    made: list[CommentedMap] = []
    counts: dict[str, int] = {}
    for old in moved:
        new = MOVES[old]
        if _holds(tree, new):
            raise InputError(f"{old}: also there as {new}, its new name; remove one of the two")
        (source, name), (target, renamed) = old.split("."), new.split(".")
        if target not in tree:
            tree.insert(list(tree).index(source), target, CommentedMap())
            made.append(tree[target])
        value, comment = _take(tree[source], name)
        tree[target].insert(counts.get(target, 0), renamed, value)
        counts[target] = counts.get(target, 0) + 1
        if comment:
            tree[target].ca.items[renamed] = [None, None, _token(comment), None]
    _add_missing(tree)
    for group in made:
        _extend(group, "\n")  # an empty line before the next group
    out = io.StringIO()
    yaml.dump(tree, out)
    return out.getvalue(), moved


def _add_missing(tree: Any) -> None:
    """Puts the keys of `ADDED` last into their groups, with what lies below a group below it still."""
    for name, value in ADDED.items():
        group, leaf = name.split(".")
        if isinstance(tree, dict) and isinstance(tree.get(group), CommentedMap) and leaf not in tree[group]:
            last = list(tree[group])[-1]
            held = tree[group].ca.items.get(last)
            comment, _, below = (held[2].value if held and held[2] else "").partition("\n")
            if below.strip("\n") or below:
                held[2] = _token(comment)
            if isinstance(value, dict):
                value = CommentedMap(value)
                value.fa.set_flow_style()
            tree[group][leaf] = value
            if below or held:
                tree[group].ca.items[leaf] = [None, None, _token("\n" + below) if below else None, None]


def _holds(tree: Any, path: str) -> bool:
    group, name = path.split(".")
    return isinstance(tree, dict) and isinstance(tree.get(group), dict) and name in tree[group]


def _take(group: CommentedMap, name: str) -> tuple[Any, str]:
    """Removes a key; returns its value and the comment on its line. Lines below it stay where they are."""
    found = group.ca.items.pop(name, None)
    text = found[2].value if found and found[2] else ""
    comment, _, below = text.partition("\n")
    before = list(group)[: list(group).index(name)]
    value = group.pop(name)
    if below and before:
        _extend(group, below, before[-1])
    elif below:
        comment += "\n" + below.rstrip("\n")
    return value, comment


def _extend(group: CommentedMap, text: str, name: str | None = None) -> None:
    """Puts lines below a key of a group (its last one), which may be a group itself."""
    name = list(group)[-1] if name is None else name
    if isinstance(group[name], CommentedMap) and group[name]:
        _extend(group[name], text)
        return
    held = group.ca.items.setdefault(name, [None, None, None, None])
    held[2] = _token((held[2].value.rstrip("\n") if held[2] else "") + "\n" + text)


def _token(comment: str) -> CommentToken:
    return CommentToken(comment if comment.endswith("\n") else comment + "\n", CommentMark(24), None)
