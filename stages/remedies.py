"""Trains the first round by each of several methods, as experiments of DVC, and compares them at equal new skill.

    python -m stages.remedies plain replay                    # plain is always included
    python -m stages.remedies plain replay --seeds 1 2        # with further training seeds
    python -m stages.remedies kl dft stm --choose 2 --seeds 1 2   # only for the 2 best of them, and plain
    python -m stages.remedies plain -S profile=smollm2 -S lr=1e-3
    python -m stages.remedies replay kl --part 1/2            # one machine's part (docs/scale.md); compares nothing

Says first what will run and about how long it takes (as `relearn plan` counts). An experiment that exists already with
the same parameters is not run again; one that was stopped goes on from its checkpoint. `-S` as `dvc exp run` takes it.
2c is a copy of 2b (`finetune_2c.epochs` 0), and only base and 2b itself answer; the learn-forget curve needs
likelihoods alone.

With `--choose`, every method is run with the main seed first. The losses on validation rows that training watches then say
which methods are run with the further seeds too (`relearn.evaluation.choice`), as experiments of their own, `…-chosen`:
no test row takes part, and the claims about these methods rest on the further seeds alone. The others are compared by
the main seed.

Where the loss of a method is not the likelihood, a second experiment follows, `…-crossing`, for it and for plain: 2b also
answers with its change scaled to equal new skill, and what has been answered before is kept.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ruamel.yaml import YAML

from relearn import models
from relearn.errors import InputError
from relearn.evaluation.choice import choose_methods, has_forgotten
from relearn.evaluation.equal_skill import SHARE
from relearn.params import Params, load
from relearn.params.finetune import Methods
from relearn.progress import say, tell_duration
from relearn.report.frontier import CHOSEN, PLAIN, describe_method, list_experiments, list_revisions
from stages import equal_skill, frontier
from stages.experiments import TO_SHARE, run_dvc, take_part
from stages.paths import Paths
from stages.plan.amounts import Amounts, find_config
from stages.roles import list_tasks
from stages.run import main

SCALES = [0.25, 0.5, 0.75, 1.25, 1.5]  # beside 0 and 1, which cost nothing
ROWS = 100  # of each task on the curve
RUN = ("finetune_2b", "predict")  # what an experiment runs that takes time, where base is there
CROSSING = "crossing"  # how the name of an experiment ends in which 2b also answers at equal new skill
# What an experiment must have been run with to be the one that is wanted; None is the method.
DECISIVE: list[list[str | None]] = [
    ["lr"], ["seed"], ["method"], ["seeds"], ["finetune"], ["finetune_2b", "epochs"], ["finetune_2b", "methods", None],
    ["finetune_2b", "sample"], ["drift"],
    ["finetune_2c"], ["predict"], ["compute"], ["tasks"], ["chat"],
]  # fmt: skip


def work(params: Params, paths: Paths) -> dict[str, Any]:
    """Runs what is missing of this machine's part; without a part, then writes and prints what `stages.frontier` does."""
    asked = read_arguments(sys.argv[1:])
    methods = take_part(asked.methods, asked.part)
    seeded = {method: choose_params(params, paths, method, asked.seeds, asked.settings) for method in methods}
    wanted = seeded
    if asked.choose:
        wanted = {method: choose_params(params, paths, method, [], asked.settings) for method in methods}
    document = frontier.show_experiments(paths)
    done = list_experiments(document)
    missing = {method: own for method, own in wanted.items() if not is_done(done.get(name_experiment(own), {}), own)}
    # the choice and the answers at equal new skill need all methods, so they wait for the machine without a part
    choose, crossing = (asked.choose, list_crossing(wanted)) if asked.part is None else (None, {})
    waits = any(method in missing for method in crossing)  # where the factors are not known before there are curves
    answering = {} if waits else choose_answers(crossing, document, paths)
    further: Mapping[str, Params] = {}
    if choose:
        further = seeded if missing else choose_further(wanted, seeded, choose, document, paths)
    _announce(wanted, missing, further, choose or 0, list(crossing if waits else answering), paths)
    for own in missing.values():
        _run(name_experiment(own), own, asked.settings, done, paths)
    if asked.part is not None:
        say(f"remedies: {len(wanted)} of {len(asked.methods)} methods are part {asked.part}; {TO_SHARE}")
        return {"run": len(missing)}
    if missing:
        document = frontier.show_experiments(paths)
        further = choose_further(wanted, seeded, choose, document, paths) if choose else {}
        answering = choose_answers(crossing, document, paths) if waits else answering
    follow = {name_further(own): own for own in further.values()}
    follow |= {name_experiment(own, CROSSING): own for own in answering.values()}
    for name, own in follow.items():
        _run(name, own, asked.settings, list_experiments(document), paths)
    frontier.write(wanted[PLAIN], paths, show=True)
    return {"run": len(missing), "again": len(further), "answered": len(answering)}


def choose_further(
    wanted: Mapping[str, Params], seeded: Mapping[str, Params], number: int, document: Any, paths: Paths
) -> dict[str, Params]:
    """The experiments with further seeds that are still to be run, by method: out of `seeded`, plain's and those of the
    `number` methods that are chosen by what those of `wanted`, which must be there, did on validation rows. Says by what.
    """
    revisions, done, tasks = list_revisions(document), list_experiments(document), list_tasks(wanted[PLAIN])
    trades = {
        method: equal_skill.read_trade(paths, revisions[name_experiment(own)], tasks) for method, own in wanted.items()
    }
    for method, one in trades.items():
        price = f", {one.price:.3f} for each gained" if one.gained > 0 else ""
        say(
            f"remedies: on validation rows {method} gains {one.gained:.3f} and loses {one.lost:.3f} nats a token{price}"
        )
    if not has_forgotten(trades[PLAIN]):
        say(f"remedies: no method is chosen, since {PLAIN} gains or loses nothing there")
        return {}
    chosen = choose_methods(trades, PLAIN, number)
    few = f"; no other gains {SHARE:.0%} of what {PLAIN} gains" if len(chosen) < number else ""
    say(f"remedies: chosen for further seeds: {', '.join(chosen) or 'none'}{few}")
    found = {method: seeded[method] for method in (PLAIN, *chosen)} if chosen else {}
    return {method: own for method, own in found.items() if not is_done(done.get(name_further(own), {}), own)}


def list_crossing(wanted: Mapping[str, Params]) -> dict[str, Params]:
    """The methods that are also compared by their answers, plain first; none where the loss of all is the likelihood."""
    others = {method: own for method, own in wanted.items() if not Methods.learns_likelihood(method)}
    return {PLAIN: wanted[PLAIN], **others} if others else {}


def choose_answers(crossing: Mapping[str, Params], document: Any, paths: Paths) -> dict[str, Params]:
    """The experiments in which 2b is still to answer at equal new skill, by method; all must have their curves."""
    done, found = list_experiments(document), {}
    for method, factor in find_factors(list(crossing.values()), document, paths).items():
        predict = crossing[method].predict.model_copy(update={"decode_scales": [factor]})
        own = crossing[method].model_copy(update={"predict": predict})
        if not is_done(done.get(name_experiment(own, CROSSING), {}), own):
            found[method] = own
    return found


def find_factors(wanted: Sequence[Params], document: Any, paths: Paths) -> dict[str, float]:
    """By method, the factor under which 2b is to answer; for none where no method but plain gets to equal new skill.

    2b itself, of factor 1, has answered already. Says which method never gets there.
    """
    if not wanted:
        return {}
    _, equal = equal_skill.compare(wanted[0], paths, document)
    by_name = {one.method: equal_skill.find_factor(one, wanted[0].seed) for one in equal}
    found = {}
    for own in wanted:
        factor = by_name.get(describe_method(own.model_dump(mode="json")))
        if factor is None:
            say(f"remedies: {own.method} never has {SHARE:.0%} of what {PLAIN} gains, so it does not answer there")
        else:
            found[own.method] = factor
    return {method: factor for method, factor in found.items() if factor != 1} if len(found) > 1 else {}


def _run(name: str, own: Params, given: Mapping[str, Any], done: Collection[str], paths: Paths) -> None:
    if name in done:  # with other parameters
        run_dvc(paths, "exp", "remove", "--quiet", name)
    say(f"remedies: {name}")
    run_dvc(paths, "exp", "run", "--temp", "--name", name, *list_settings(own, own.method, given))


@dataclass(frozen=True)
class Arguments:
    """The methods, plain first; the further seeds; for how many methods only, if not for all; the settings by name; the part."""

    methods: list[str]
    seeds: list[int]
    choose: int | None
    settings: dict[str, Any]
    part: str | None


def read_arguments(given: Sequence[str]) -> Arguments:
    """InputError for what cannot be read."""
    usage = (
        "usage: python -m stages.remedies METHOD ... [--seeds N ... [--choose N]] [-S NAME=VALUE ...] [--part WHICH/OF]"
    )
    parser = argparse.ArgumentParser(
        "python -m stages.remedies", exit_on_error=False, add_help=False, allow_abbrev=False
    )
    parser.add_argument("methods", nargs="*")
    parser.add_argument("--seeds", nargs="*", type=int, default=[])
    parser.add_argument("--choose", type=int)
    parser.add_argument("--part")
    parser.add_argument("-S", action="append", default=[], dest="settings")
    try:
        found, unknown = parser.parse_known_args(list(given))
    except argparse.ArgumentError as error:
        raise InputError(f"{error}; {usage}") from None
    if unknown or not all("=" in setting for setting in found.settings):
        raise InputError(f"{' '.join(given)}: {usage}")
    if found.choose is not None and (found.choose < 1 or not found.seeds):
        raise InputError(
            f"--choose {found.choose}: takes a number of methods from 1, and needs --seeds for them; {usage}"
        )
    settings = {}
    for setting in found.settings:
        name, _, value = setting.partition("=")
        if name == "method":
            raise InputError(f"-S {setting}: name the methods to compare before -S, or in METHODS of make remedies")
        settings[name] = YAML(typ="safe").load(value)
    methods = list(dict.fromkeys([PLAIN, *found.methods]))
    return Arguments(methods, found.seeds, found.choose, settings, found.part)


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
            raise InputError(f"-S {file}:{key}: no such key; docs/parameters.md lists them")
        place[leaf] = value
    try:
        return Params.model_validate(tree)
    except ValueError as error:
        raise InputError(f"{method}: {' '.join(str(error).split())[:300]}") from None


def name_experiment(params: Params, *ending: str) -> str:
    return "-".join(["remedy", params.profile, params.method.replace("_", "-"), *map(str, params.seeds), *ending])


def name_further(params: Params) -> str:
    """The name of an experiment with further seeds after the choice; plain, which is not chosen, has no ending."""
    return name_experiment(params, *([] if params.method == PLAIN else [CHOSEN]))


def list_settings(params: Params, method: str, given: Mapping[str, Any]) -> list[str]:
    """`-S` arguments of the experiment."""
    file = f"profiles/{params.profile}.yaml:"
    own = {name: value for name, value in given.items() if ":" in name}
    own |= {"method": method, "profile": params.profile, "lr": params.lr, "seed": params.seed}
    own |= {f"{file}seeds": params.seeds, f"{file}finetune_2c.epochs": params.finetune_2c.epochs}
    own |= {
        f"{file}predict.{name}": getattr(params.predict, name) for name in ("scales", "scale_rows", "decode_scales")
    }
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


def _announce(
    wanted: Mapping[str, Params],
    missing: Mapping[str, Params],
    further: Mapping[str, Params],
    number: int,
    to_answer: Sequence[str],
    paths: Paths,
) -> None:
    """What will run, and about how long it takes.

    Of `further`, the experiments with further seeds after a choice, plain's and at most `number` others will run.
    `to_answer` are the methods that answer at equal new skill as well.
    """
    for method in wanted:
        if method not in missing:
            say(f"remedies: {method} exists already")
    if not missing and not further and not to_answer:
        return
    total, about = 0.0, ""
    try:
        timed = [method for method in wanted if method in missing or method in further]
        seconds = {method: _measure_run(wanted[method], paths) for method in timed}
        for method in missing:
            say(f"remedies: {method}: about {tell_duration(seconds[method])}")
            total += seconds[method]
        if further:
            again = {method: seconds[method] * (1 + len(own.seeds)) for method, own in further.items()}
            others = sorted((time for method, time in again.items() if method != PLAIN), reverse=True)
            most = again.get(PLAIN, 0.0) + sum(others[:number])
            names = ", ".join(further) if len(others) <= number else f"{PLAIN} and the best {number}"
            say(f"remedies: then {names} with further seeds: at most about {tell_duration(most)}")
            total += most
        if to_answer:
            each = _measure_answers(wanted[PLAIN], paths)
            say(
                f"remedies: then {', '.join(to_answer)} answer at equal new skill too: about {tell_duration(each)} each"
            )
            total += len(to_answer) * each
        about = f", about {tell_duration(total)} of training and answering here once base is trained"
    except (InputError, LookupError) as error:
        about = f"; the time is unknown: {error}"
    say(f"remedies: {len(missing)} of {len(wanted)} methods to run{about}")


def _measure_run(own: Params, paths: Paths) -> float:
    """Seconds for an experiment."""
    return sum(cost.seconds or 0 for cost in Amounts(own, paths).measure(_prepare(own, paths)) if cost.stage in RUN)


def _prepare(own: Params, paths: Paths) -> Any:
    """Readies this process for a trial of the machine, and gives the configuration of the base model."""
    models.set_seed_and_threads(own.compute.threads, own.seed)
    models.check_device(own.compute.device)
    return find_config(own, paths)


def _measure_answers(own: Params, paths: Paths) -> float:
    """Seconds for one model's answers."""
    alone = own.model_copy(update={"seeds": [], "predict": own.predict.model_copy(update={"scales": []})})
    cost = Amounts(alone, paths).measure_answers(_prepare(own, paths))
    return (cost.seconds or 0.0) / 2  # of base and 2b


if __name__ == "__main__":
    main("remedies", work)
