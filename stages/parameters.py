"""Looks at the parameters without running anything.

`python -m stages.parameters` says whether params.yaml and the profile it names are sound, and
`python -m stages.parameters --write` makes docs/parameters.md anew (`make docs`).
"""

from __future__ import annotations

import sys

from ruamel.yaml import YAML

from relearn.errors import InputError
from relearn.files import atomic_write
from relearn.params import load
from relearn.params.document import page
from relearn.params.load import names
from stages import paths

PAGE = paths.ROOT / "docs" / "parameters.md"
SHIPPED = ("mini", "files", "llama2-7b")


def text() -> str:
    """docs/parameters.md as the tree, the shipped profiles and dvc.yaml make it."""
    yaml = YAML(typ="safe")
    profiles = {name: yaml.load(paths.ROOT / "profiles" / f"{name}.yaml") for name in SHIPPED}
    chain = yaml.load(paths.ROOT / "dvc.yaml")["stages"]
    return page(profiles, chain)


def _check() -> None:
    try:
        params = load(paths.ROOT)
    except InputError as error:
        print(f"parameters: {error}", file=sys.stderr)
        sys.exit(1)
    print(f"profile {params.profile}, lr {params.lr:g}, seed {params.seed}: all parameters are sound")
    others = [name for name in names(paths.ROOT) if name != params.profile]
    print(f"other profiles: {', '.join(others) or 'none'}")


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        with atomic_write(PAGE) as file:
            file.write(text())
    elif sys.argv[1:]:
        print("usage: python -m stages.parameters [--write]", file=sys.stderr)
        sys.exit(2)
    else:
        _check()
