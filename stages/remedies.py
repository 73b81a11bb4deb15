"""Trains the first round by each of several methods, as experiments of DVC, and compares them at equal new skill.

    python -m stages.remedies plain replay                    # plain is always included
    python -m stages.remedies plain replay --seeds 1 2        # with further training seeds
    python -m stages.remedies plain -S profile=smollm2 -S lr=1e-3
    python -m stages.remedies replay kl --part 1/2            # one machine's part (docs/scale.md); compares nothing

Says first what will run and about how long it takes (as `relearn plan` counts). An experiment that exists already with
the same parameters is not run again; one that was stopped goes on from its checkpoint. `-S` as `dvc exp run` takes it.
2c is a copy of 2b (`finetune_2c.epochs` 0), and only base and 2b itself answer; the learn-forget curve needs
likelihoods alone.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from ruamel.yaml import YAML

from relearn import models
from relearn.errors import InputError
from relearn.params import Params, load
from relearn.progress import say
from relearn.report.frontier import PLAIN, list_experiments
from stages import frontier
from stages.experiments import SHARE, run_dvc, take_part
from stages.paths import Paths
from stages.plan.amounts import Amounts, find_config
from stages.run import main

SCALES = [0.25, 0.5, 0.75, 1.25, 1.5]  # beside 0 and 1, which cost nothing
ROWS = 100  # of each task on the curve
RUN = ("finetune_2b", "predict")  # what an experiment runs that takes time, where base is there
# What an experiment must have been run with to be the one that is wanted; None is the method.
DECISIVE: list[list[str | None]] = [
    ["lr"], ["seed"], ["method"], ["seeds"], ["finetune"], ["finetune_2b", "epochs"], ["finetune_2b", "methods", None],
    ["finetune_2b", "sample"], ["drift"],
    ["finetune_2c"], ["predict"], ["compute"], ["tasks"], ["chat"],
]  # fmt: skip


def work(params: Params, paths: Paths) -> dict[str, Any]:
    """Runs what is missing of this machine's part; without a part, then writes and prints what `stages.frontier` does."""
    methods, seeds, given, part = read_arguments(sys.argv[1:])
    wanted = {method: choose_params(params, paths, method, seeds, given) for method in take_part(methods, part)}
    done = list_experiments(frontier.show_experiments(paths))
    missing = {method: own for method, own in wanted.items() if not is_done(done.get(name_experiment(own), {}), own)}
    _announce(wanted, missing, paths)
    for method, own in missing.items():
        name = name_experiment(own)
        if name in done:  # with other parameters
            run_dvc(paths, "exp", "remove", "--quiet", name)
        say(f"remedies: {name}")
        run_dvc(paths, "exp", "run", "--temp", "--name", name, *list_settings(own, method, given))
    if part is None:
        frontier.write(wanted[PLAIN], paths, show=True)
    else:
        say(f"remedies: {len(wanted)} of {len(methods)} methods are part {part}; {SHARE}")
    return {"run": len(missing)}


def read_arguments(given: Sequence[str]) -> tuple[list[str], list[int], dict[str, Any], str | None]:
    """(methods, plain first; further seeds; settings by name; part). InputError for anything else."""
    usage = "usage: python -m stages.remedies METHOD ... [--seeds N ...] [-S NAME=VALUE ...] [--part WHICH/OF]"
    parser = argparse.ArgumentParser(
        "python -m stages.remedies", exit_on_error=False, add_help=False, allow_abbrev=False
    )
    parser.add_argument("methods", nargs="*")
    parser.add_argument("--seeds", nargs="*", type=int, default=[])
    parser.add_argument("--part")
    parser.add_argument("-S", action="append", default=[], dest="settings")
    try:
        found, unknown = parser.parse_known_args(list(given))
    except argparse.ArgumentError as error:
        raise InputError(f"{error}; {usage}") from None
    if unknown or not all("=" in setting for setting in found.settings):
        raise InputError(f"{' '.join(given)}: {usage}")
    settings = {}
    for setting in found.settings:
        name, _, value = setting.partition("=")
        settings[name] = YAML(typ="safe").load(value)
    return list(dict.fromkeys([PLAIN, *found.methods])), found.seeds, settings, found.part


def choose_params(params: Params, paths: Paths, method: str, seeds: Sequence[int], given: Mapping[str, Any]) -> Params:
    """The parameters of a method's experiment: those of the project, what a remedy needs, then what was given."""
    swept = {name: value for name, value in given.items() if ":" not in name}
    chosen = load(paths.root, changes={"method": method, **swept})
    tree = chosen.model_dump(mode="json")
    changes = {
        "finetune_2c.epochs": 0,
        "predict.scales": SCALES,
        "predict.scale_rows": ROWS,
        "predict.decode_scales": [],
    }
    changes["seeds"] = list(seeds)
    file = f"profiles/{chosen.profile}.yaml"
    for name, value in given.items():
        if ":" in name:
            where, _, key = name.partition(":")
            if where != file:
                raise InputError(f"-S {name}: the profile is {chosen.profile}; expected settings of {file}")
            changes[key] = value
    for key, value in changes.items():
        *groups, leaf = key.split(".")
        place = tree
        for group in groups:
            place = place.get(group, {}) if isinstance(place, dict) else {}
        if not isinstance(place, dict) or leaf not in place:
            raise InputError(f"-S {file}:{key}: no such key")
        place[leaf] = value
    try:
        return Params.model_validate(tree)
    except ValueError as error:
        raise InputError(f"{method}: {' '.join(str(error).split())[:300]}") from None


def name_experiment(params: Params) -> str:
    return "-".join(["remedy", params.profile, params.method.replace("_", "-"), *map(str, params.seeds)])


def list_settings(params: Params, method: str, given: Mapping[str, Any]) -> list[str]:
    """`-S` arguments of the experiment."""
    file = f"profiles/{params.profile}.yaml:"
    own: dict[str, Any] = {"method": method, "profile": params.profile, "lr": params.lr, "seed": params.seed}
    own |= {f"{file}seeds": params.seeds, f"{file}finetune_2c.epochs": params.finetune_2c.epochs}
    own |= {
        f"{file}predict.{name}": getattr(params.predict, name) for name in ("scales", "scale_rows", "decode_scales")
    }
    own |= {name: value for name, value in given.items() if ":" in name}
    return [part for name, value in own.items() for part in ("-S", f"{name}={_write(value)}")]


def _write(value: Any) -> str:
    """As OmegaConf's overrides, which dvc reads, take a value."""
    if value is None:
        return "null"
    if isinstance(value, list):
        return "[" + ",".join(map(_write, value)) + "]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def is_done(found: Mapping[str, Any], params: Params) -> bool:
    """Whether an experiment's parameters, as dvc shows them, are these, as far as they decide; not for one without any.

    The report tracks every key, so that an experiment that ended has all; one of an earlier tree of parameters is another.
    """
    try:
        earlier = Params.model_validate(dict(found)).model_dump(mode="json")
    except ValueError:
        return False
    tree = params.model_dump(mode="json")

    def look(place: Any, path: Sequence[str | None]) -> Any:
        for step in path:
            place = place[params.method if step is None else step]
        return place

    return all(look(earlier, path) == look(tree, path) for path in DECISIVE)


def _announce(wanted: Mapping[str, Params], missing: Mapping[str, Params], paths: Paths) -> None:
    """What will run, and about how long it takes."""
    for method in wanted:
        if method not in missing:
            say(f"remedies: {method} exists already")
    total, unknown = 0.0, ""
    for method, own in missing.items():
        models.set_seed_and_threads(own.compute.threads, own.seed)
        try:
            models.check_device(own.compute.device)
            config = find_config(own, paths)
        except (InputError, LookupError) as error:
            unknown = f"; the time is unknown: {error}"
            break
        seconds = sum(cost.seconds or 0 for cost in Amounts(own, paths).measure(config) if cost.stage in RUN)
        say(f"remedies: {method}: about {seconds / 60:.0f} min")
        total += seconds
    if missing:
        about = (
            unknown
            or f", about {total / 60:.0f} min here once base is trained, plus what a method adds to plain training"
        )
        say(f"remedies: {len(missing)} of {len(wanted)} methods to run{about}")


if __name__ == "__main__":
    main("remedies", work)
