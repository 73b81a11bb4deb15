"""No dead keys: the code outside `relearn.params` reads every key of the tree."""

from __future__ import annotations

import ast
from pathlib import Path

from pydantic import BaseModel

from relearn.params.document import keys

ROOT = Path(__file__).resolve().parents[3]
# Groups that are handed on whole, as a dict by name, and are read there.
WHOLE = {"Breakage", "ServerFaults"}
BOUNDS = {"lr_range.min", "lr_range.max"}  # a rule of the tree holds lr between them


def read_names() -> set[str]:
    """Every attribute that the library and the stages read, and the settings that metrics name as their `options`."""
    files = [*ROOT.glob("relearn/**/*.py"), *ROOT.glob("stages/*.py")]
    found: set[str] = set()
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))) if "params" not in file.parts else ():
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                found.add(node.attr)
            elif isinstance(node, ast.keyword) and node.arg == "options" and isinstance(node.value, ast.Tuple):
                found |= set(ast.literal_eval(node.value))
    return found


def groups(model: type[BaseModel] = BaseModel) -> dict[str, type[BaseModel]]:
    return {model.__name__: model} | {
        name: found for below in model.__subclasses__() for name, found in groups(below).items()
    }


def test_every_key_is_read() -> None:
    read, classes = read_names(), groups()
    dead = [
        key.name
        for key in keys()
        if key.owner not in WHOLE and key.owner and key.name not in BOUNDS
        for name, field in classes[key.owner].model_fields.items()
        if key.path[-1] in (name, field.alias) and name not in read
    ]
    assert dead == []
