"""Reads `params.yaml` and the profile it names, and words what is wrong with them in one line.

`ruamel.yaml` is YAML 1.2: it reads `5e-05` and `1e-4` as numbers, where PyYAML gives strings.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, SequenceNode

from relearn.errors import InputError
from relearn.params.names import nearest
from relearn.params.tree import Params
from relearn.params.wording import Mistake, first_mistake, shown

SWEPT = ("profile", "lr", "seed", "method")


def load(root: Path, other: str | None = None, changes: Mapping[str, Any] | None = None) -> Params:
    """The validated parameters of the repository at `root`, of the profile `other` where that is given; `changes`
    replace keys of params.yaml.

    `lr` is swept for the profile that params.yaml names; for `other` it is clipped to that profile's range. Raises
    InputError, one line, naming the file, the line and the key, for anything missing, unknown, mistyped or out of
    bounds; unknown keys and names come with the nearest known one.
    """
    swept = _File(root, "params.yaml")
    swept.given = changes or {}
    swept.values |= swept.given
    for name in swept.values:
        if name in swept.given and name not in SWEPT:
            raise swept.wrong(
                (name,), f"params.yaml has no such key; name a profile's file first, as in profiles/mini.yaml:{name}"
            )
        if name not in SWEPT:
            raise swept.wrong(
                (name,), f"unknown key{nearest(name, SWEPT)}; this file holds {', '.join(SWEPT)}: remove it"
            )
    for name in SWEPT:
        if name not in swept.values:
            raise swept.wrong((), f"{name} is missing; add it, as in `git show HEAD:params.yaml`")
    profile = swept.values["profile"] if other is None else other
    profiles = names(root)
    if not isinstance(profile, str) or profile not in profiles:
        raise swept.wrong(
            ("profile",),
            f"no profile {shown(profile)}{nearest(profile, profiles)}; there are {', '.join(profiles) or 'none'}",
        )
    rest = _File(root, f"profiles/{profile}.yaml")
    for name in SWEPT:
        if name in rest.values:
            raise rest.wrong((name,), "belongs to params.yaml, and a profile may not hold it; remove it here")
    values = {**swept.values, "profile": profile}
    if other is not None:
        values["lr"] = _bring_into(rest.values.get("lr_range"), values["lr"])
    try:
        return Params.model_validate({**values, **rest.values})
    except ValidationError as error:
        mistake = first_mistake(error)
        # a rule between keys, which holds for the whole tree, names its key first
        file = swept if _top(mistake) in SWEPT else rest
        raise file.wrong(mistake.path, mistake.message) from None


def _bring_into(lr_range: Any, lr: Any) -> Any:
    """`lr` within the range; as it is where one of them is not a number, which validation words better."""
    ends = [lr_range.get(name) for name in ("min", "max")] if isinstance(lr_range, dict) else []
    if len(ends) == 2 and all(isinstance(value, int | float) for value in (*ends, lr)):
        return min(max(lr, ends[0]), ends[1])
    return lr


def names(root: Path) -> list[str]:
    """The profiles of the repository at `root`, in order."""
    return sorted(path.stem for path in (root / "profiles").glob("*.yaml"))


def _top(mistake: Mistake) -> str:
    return mistake.path[0] if mistake.path else ""


class _File:
    """A parameter file: its top-level keys, and where each key is."""

    def __init__(self, root: Path, name: str) -> None:
        """Raises InputError when the file is missing, cannot be read, or is not a mapping of names to values."""
        self.name = name
        self.given: Mapping[str, Any] = {}  # keys that were given in place of the file's
        try:
            self._text = (root / name).read_text(encoding="utf-8")
        except FileNotFoundError:
            raise InputError(f"{name}: no such file; restore it with `git checkout -- {name}`") from None
        except IsADirectoryError:
            raise InputError(f"{name}: is a folder; expected a file: move the folder away") from None
        except PermissionError:
            raise InputError(f"{name}: not readable; run `chmod u+r {name}`") from None
        except UnicodeDecodeError as error:
            raise InputError(f"{name}: not UTF-8 (byte {error.start + 1}); save the file as UTF-8") from None
        try:
            value = YAML(typ="safe").load(self._text)
        except MarkedYAMLError as error:
            place = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
            problem = (error.problem or "cannot be read").splitlines()[0]
            raise InputError(f"{name}{place}: not YAML: {problem}; fix that line") from None
        except (YAMLError, ValueError, RecursionError) as error:
            # a ValueError comes from a scalar such as the date 2023-02-31
            problem = (str(error) or "nested too deeply").splitlines()[0]
            raise InputError(f"{name}: not YAML: {problem}; fix the file") from None
        if not isinstance(value, dict):
            raise InputError(f"{name}: holds no keys; expected lines of the form `key: value`")
        self.values: dict[str, Any] = value

    def wrong(self, path: tuple[str, ...], message: str) -> InputError:
        """The error for the key at `path`: file and line, or the value given instead; key, what is wrong, what to do."""
        if path and path[0] in self.given:
            return InputError(f"{'.'.join(map(str, path))}={self.given[path[0]]}: {message}")
        line = self._line(path)
        place = f", line {line}" if line else ""
        where = f"{'.'.join(map(str, path))}: " if path else ""
        return InputError(f"{self.name}{place}: {where}{message}")

    def _line(self, path: tuple[str, ...]) -> int:
        """The line, from 1, of the key or, where it is missing, of the group it belongs to; 0 for the file."""
        node: Node | None = YAML().compose(self._text)
        line = 0
        for part in path:
            found = _child(node, part)
            if found is None:
                break
            key, node = found
            line = key.start_mark.line + 1
        return line


def _child(node: Node | None, part: str) -> tuple[Node, Node] | None:
    """The (key, value) nodes of one key of a mapping, or of one item of a list."""
    if isinstance(node, MappingNode):
        for key, value in node.value:
            if str(key.value) == str(part):
                return key, value
    elif isinstance(node, SequenceNode) and part.isdecimal() and int(part) < len(node.value):
        item = node.value[int(part)]
        return item, item
    return None
