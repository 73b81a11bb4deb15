"""Runs stages of a scratch clone in one process, each with those parameters alone that dvc.yaml says it tracks.

`python -m tests.integration.chain [STAGE ...]` from the clone's root; without names, the whole chain. A stage's own
process spends most of its time on imports; here they are paid once. A stage that reads a key it does not track ends
with an AttributeError.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from ruamel.yaml import YAML

from relearn.params import Params, load
from relearn.params.document import Chain, stages_of
from relearn.params.group import Group, TaskGroup
from stages.paths import Paths

# Keys that a stage reads without tracking them, since they change nothing in what it writes.
UNTRACKED = {"predict": ("launch",)}


def keep_tracked(group: Group, stage: str, chain: Chain, path: tuple[str, ...] = ()) -> Group:
    """The group without the keys that the stage does not track."""
    kept = {}
    for name, field in type(group).model_fields.items():
        at, value = (*path, field.alias or name), getattr(group, name)
        if stage in stages_of(at, chain) or ".".join(at) in UNTRACKED.get(stage, ()):
            kept[name] = value
        elif isinstance(value, Group) and (part := keep_tracked(value, stage, chain, at)).model_fields_set:
            kept[name] = part
    for name, value in group.by_task.items() if isinstance(group, TaskGroup) else ():
        if stage in stages_of((*path, name), chain):
            kept[name] = value
    return type(group).model_construct(**kept)


def main(root: Path, names: list[str]) -> None:
    """Runs the stages named, or all."""
    chain, whole = YAML(typ="safe").load(root / "dvc.yaml")["stages"], load(root)
    for stage in names or chain:
        params = keep_tracked(whole, stage, chain)
        assert isinstance(params, Params)
        importlib.import_module(f"stages.{stage}").work(params, Paths.of(root))


if __name__ == "__main__":
    main(Path.cwd(), sys.argv[1:])
