"""Reads `params.yaml` and the profile it names, and words what is wrong with them in one line.

`ruamel.yaml` is YAML 1.2: it reads `5e-05` and `1e-4` as numbers, where PyYAML gives strings.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from relearn.params.groups import Params
from relearn.records import InputError

SWEPT = ("profile", "lr", "seed")


def load(root: Path) -> Params:
    """The validated parameters of the repository at `root`.

    Raises InputError, one line, naming the file and the key, for anything missing, unknown, mistyped or out of
    bounds; unknown keys come with the nearest known one.
    """
    params_file = root / "params.yaml"
    swept = _mapping(params_file)
    for name in swept:
        if name not in SWEPT:
            raise InputError(
                f"{params_file.name}: {name}: unknown key{_nearest(name, SWEPT)}; this file holds {', '.join(SWEPT)}"
            )
    for name in SWEPT:
        if name not in swept:
            raise InputError(f"{params_file.name}: {name}: missing; add it")
    profile = swept["profile"]
    profiles = sorted(path.stem for path in (root / "profiles").glob("*.yaml"))
    if not isinstance(profile, str) or profile not in profiles:
        raise InputError(
            f"{params_file.name}: profile: no profile {profile!r}{_nearest(str(profile), profiles)}; there are {', '.join(profiles) or 'none'}"
        )
    profile_file = root / "profiles" / f"{profile}.yaml"
    rest = _mapping(profile_file)
    for name in SWEPT:
        if name in rest:
            raise InputError(
                f"profiles/{profile_file.name}: {name}: stands in params.yaml; a profile may not hold it"
            )
    try:
        return Params.model_validate({**swept, **rest})
    except ValidationError as error:
        raise InputError(_worded(error, profile)) from None


def _mapping(path: Path) -> dict[str, Any]:
    """The file's top-level mapping."""
    name = path.name if path.parent.name != "profiles" else f"profiles/{path.name}"
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{name}: no such file; run from the repository, or restore it with git") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{name}: not UTF-8 (byte {error.start + 1}); save the file as UTF-8") from None
    try:
        value = YAML(typ="safe").load(text)
    except MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise InputError(f"{name}{line}: not YAML: {error.problem}; mend it by hand") from None
    except YAMLError as error:
        raise InputError(f"{name}: not YAML: {str(error).splitlines()[0]}") from None
    if not isinstance(value, dict):
        raise InputError(f"{name}: holds no keys; expected lines of the form key: value")
    return value


def _nearest(word: str, known: tuple[str, ...] | list[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f" (did you mean {close[0]}?)" if close else ""


def _worded(error: ValidationError, profile: str) -> str:
    """The first error as one line: file, key, what is wrong, what to do."""
    # An unknown key next to a missing one is a typing mistake: name the one that was typed.
    errors = sorted(error.errors(), key=lambda item: item["type"] != "extra_forbidden")
    first = errors[0]
    loc = _path(first["loc"])
    message = _reason(first, loc)
    if not loc:
        # A rule between keys names its own key first.
        return f"{'params.yaml' if message.startswith('lr:') else f'profiles/{profile}.yaml'}: {message}"
    file = "params.yaml" if loc[0] in SWEPT else f"profiles/{profile}.yaml"
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return f"{file}: {'.'.join(loc)}: {message}{more}"


def _path(loc: tuple[int | str, ...]) -> list[str]:
    """The keys as the YAML file has them: pydantic adds a union's tag (`mini`, `scratch` …) as a level."""
    return [str(part) for index, part in enumerate(loc) if part not in _tags(_node(loc[:index]))]


def _reason(error: ErrorDetails, loc: list[str]) -> str:
    kind, value = error["type"], error.get("input")
    context = error.get("ctx", {})
    if kind == "extra_forbidden":
        return f"unknown key{_nearest(loc[-1], _children(error['loc'][:-1]))}; remove or rename it"
    if kind == "missing":
        return "missing; add it (docs/parameters.md says what it is)"
    if kind == "value_error":
        return str(context.get("error", error["msg"])).replace("\n", " ")
    if kind == "union_tag_not_found":
        return f"kind is missing; one of {', '.join(_tags(_node(error['loc'])))}"
    if kind == "union_tag_invalid":
        return f"kind {context['tag']!r} is unknown{_nearest(str(context['tag']), _split(context['expected_tags']))}; one of {context['expected_tags']}"
    if kind in (
        "float_type",
        "int_type",
        "bool_type",
        "string_type",
        "list_type",
        "model_type",
        "model_attributes_type",
        "int_from_float",
    ):
        wanted = {
            "float_type": "a number",
            "int_type": "a whole number",
            "int_from_float": "a whole number",
            "bool_type": "true or false",
            "string_type": "a text",
            "list_type": "a list",
        }.get(kind, "a group of keys")
        return f"{_shown(value)} is not {wanted}"
    return f"{_shown(value)}: {error['msg'][0].lower()}{error['msg'][1:]}"


def _split(tags: object) -> list[str]:
    return [tag.strip(" '") for tag in str(tags).split(",")]


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _node(loc: tuple[int | str, ...]) -> Any:
    """The annotation found by walking the tree along a pydantic error path."""
    node: Any = Params
    for part in loc:
        options = _models(node)
        if isinstance(part, str) and part in _tags(node):
            node = _tags(node)[part]
            continue
        for model in options:
            if part in model.model_fields:
                node = model.model_fields[str(part)].annotation
                break
        else:
            return None
    return node


def _models(annotation: Any) -> list[type[BaseModel]]:
    """The groups an annotation may hold, unions and None looked through."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in getattr(annotation, "__args__", ()) for model in _models(inner)]


def _tags(annotation: Any) -> dict[str, type[BaseModel]]:
    """Discriminator value → group, for a union of groups with a `kind`."""
    found = {}
    for model in _models(annotation):
        field = model.model_fields.get("kind")
        if field is not None:
            found[field.annotation.__args__[0]] = model  # type: ignore[union-attr]
    return found if len(found) > 1 else {}


def _children(loc: tuple[int | str, ...]) -> list[str]:
    """The known keys at a place in the tree."""
    return sorted({name for model in _models(_node(loc)) for name in model.model_fields})
