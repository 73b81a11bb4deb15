"""Looks at the parameters without running anything.

python -m stages.parameters                 # are params.yaml and its profile valid? which precision is faster?
python -m stages.parameters --here profile=smollm2 lr=1e-3  # these as arguments of `dvc exp run`, with the faster precision
python -m stages.parameters --upgrade FILE  # rewrites an earlier profile's keys; its comments stay
python -m stages.parameters --write         # rewrites docs/parameters.md (`make docs`)
"""

from __future__ import annotations

import sys
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from relearn.errors import InputError
from relearn.files import write_text
from relearn.params import Params, load
from relearn.params.base import ScratchBase
from relearn.params.load import names
from relearn.params.page import page
from stages.paths import ROOT
from stages.upgrade import name_method, upgrade

PAGE = ROOT / "docs" / "parameters.md"
SHIPPED = ("mini", "files", "smollm2", "llama2-7b")


def text() -> str:
    """docs/parameters.md as the tree, the shipped profiles and dvc.yaml make it."""
    yaml = YAML(typ="safe")
    profiles = {name: yaml.load(ROOT / "profiles" / f"{name}.yaml") for name in SHIPPED}
    chain = yaml.load(ROOT / "dvc.yaml")["stages"]
    return page(profiles, chain)


def _check() -> None:
    params = load(ROOT)
    print(f"profile {params.profile}, lr {params.lr:g}, seed {params.seed}: all parameters are valid")
    others = [name for name in names(ROOT) if name != params.profile]
    print(f"other profiles: {', '.join(others) or 'none'}")
    if (told := _compare_precisions(params)) is not None:
        print(told[0])


def _compare_precisions(params: Params) -> tuple[str, str | None] | None:
    """A line on the precisions of a profile with a real model on a CPU, and the `-S` argument for the faster one.

    The argument is None where the profile has that one, and all is None for another profile: a model as small as those
    trained from scratch gains nothing.
    """
    if params.compute.device != "cpu" or isinstance(params.base.model, ScratchBase):
        return None
    from relearn.precision import compare_precisions

    chosen = params.compute.precision
    rates = compare_precisions(params.compute.threads)
    faster = max(rates, key=lambda name: rates[name])
    told = ", ".join(f"{name} {rate / 1e9:.0f} GFLOP/s" for name, rate in rates.items())
    line = f"matrix products here: {told}; the profile computes in {chosen}"
    if faster == chosen:
        return f"{line}, the faster one", None
    argument = f"profiles/{params.profile}.yaml:compute.precision={faster}"
    return f"{line}; {faster} is faster: add -S {argument}", argument


def _suit(settings: list[str]) -> None:
    """Prints the settings as `-S` arguments, with the precision that is faster here; on stderr, why."""
    swept = {}
    for setting in settings:
        name, _, value = setting.partition("=")
        try:
            swept[name] = YAML(typ="safe").load(value)
        except YAMLError:
            raise InputError(f"{setting}: the value is not YAML; write NAME=VALUE, as for dvc exp run -S") from None
    told = _compare_precisions(load(ROOT, changes=swept))
    if told is not None:
        print(told[0], file=sys.stderr)
        settings = [*settings, told[1]] if told[1] else settings
    print(*(f"-S {setting}" for setting in settings))


def _upgrade(file: Path) -> None:
    try:
        old_text = file.read_text(encoding="utf-8")
        new, changes = upgrade(old_text)
    except FileNotFoundError:
        raise InputError(f"{file}: no such file; name a profile, as in profiles/mini.yaml") from None
    except (YAMLError, UnicodeDecodeError):
        raise InputError(f"{file}: not YAML in UTF-8; fix the file first") from None
    except InputError as error:
        raise InputError(f"{file}: {error}") from None
    if changes:
        write_text(file, new)
    for change in changes:
        print(f"{file}: {change}")
    print(f"{file}: {len(changes)} keys changed")
    if any(change.startswith("finetune_2b.replay ") for change in changes):
        print(f"params.yaml: set method: {name_method(old_text)} to train as this profile did")


def main(arguments: list[str]) -> None:
    """Does what the arguments ask for; status 1 for a mistake, which one line explains, 2 for wrong arguments."""
    try:
        match arguments:
            case []:
                _check()
            case ["--write"]:
                write_text(PAGE, text())
            case ["--here", *settings] if settings and all("=" in setting for setting in settings):
                _suit(settings)
            case ["--upgrade", file]:
                _upgrade(Path(file))
            case _:
                print(
                    "usage: python -m stages.parameters [--write | --upgrade FILE | --here NAME=VALUE ...]",
                    file=sys.stderr,
                )
                sys.exit(2)
    except InputError as error:
        print(f"parameters: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
