"""The frontier of new skill against forgetting over all experiments, from what `dvc exp show --json` prints.

A model is on the frontier when no other has both more of the new skill and less forgetting of the old one (Pareto).
"""

from __future__ import annotations

import csv
import io
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from markupsafe import Markup
from tabulate import tabulate

from relearn.errors import InputError
from relearn.evaluation.curve import Curve
from relearn.evaluation.drift import correlate
from relearn.evaluation.equal_skill import AtEqualSkill
from relearn.evaluation.roles import axis_tasks
from relearn.metrics.metric import is_lower_better
from relearn.report import figures, remedies
from relearn.report.page import environment
from relearn.report.words import Words, join

PLAIN = "plain"  # the method that the others are compared with
CHOSEN = "chosen"  # how the name of an experiment ends whose further seeds its method got for what the main seed did
WORKSPACE = "workspace"
FOLDER = "metrics/eval_3a/"  # of the models' metrics files, as dvc names them


@dataclass(frozen=True)
class Trial:
    """One model of one experiment beside its base.

    `method` is the first round's, with its parameters. `new` is the mean of the headlines of the new tasks, higher
    being better; `forgetting` the mean over the old tasks of the axis of the share of base's headline that the model
    lacks. `taught` holds each new task's headline, `kept` each old one's as a share of base's; a task that the
    experiment did not have is missing. `drift` is the mean distance from base over the new tasks, where it was measured.
    """

    experiment: str
    model: str
    profile: str
    lr: float
    rank: int
    method: str
    seed: int
    new: float
    forgetting: float
    taught: Mapping[str, float]
    kept: Mapping[str, float]
    drift: float | None = None

    @property
    def setting(self) -> tuple[float, int, str, int]:
        return self.lr, self.rank, self.method, self.seed


@dataclass
class Runs:
    """The experiments of one setting: the parameters of the first, the learn-forget curves by training seed, by main seed and
    factor a revision in which the tuned model has answered with its change so scaled, and the main seeds that it was
    chosen by for further ones."""

    params: Mapping[str, Any]
    curves: dict[int, Curve] = field(default_factory=dict)
    answered: dict[tuple[int, float], str] = field(default_factory=dict)
    chosen_by: set[int] = field(default_factory=set)


def read(document: Any, words: Words, profile: str | None = None) -> list[Trial]:
    """The trials of every experiment that ran to its end, without repeats, by setting and model.

    `profile` keeps those of one profile: base models of different profiles do not compare. An experiment that lacks a
    task of an axis is left out, since means over other tasks do not compare either. Raises InputError when none is
    left.
    """
    found: dict[tuple[Any, ...], Trial] = {}
    for name, _, data, past in _experiments(document):
        for trial in _trials(name, data, words):
            if profile is not None and trial.profile != profile:
                continue
            if past and any((trial.model, trial.setting) == (model, setting) for model, setting, *_ in found):
                continue  # an earlier state of the code, not another setting
            same = (trial.model, trial.setting, trial.new, trial.forgetting)
            found.setdefault(same, trial)
    if not found:
        which = f" of profile {profile}" if profile else ""
        old = join([task.name for task in axis_tasks(words.tasks)[0]])
        raise InputError(
            f"no finished experiment{which} whose base scores on {old}: none has run (run `dvc repro`, or `make sweep` "
            f"for several rates), or base scores nothing on {old}, so there is nothing to forget"
        )
    order = [*words.roles.names, *sorted({trial.model for trial in found.values()} - set(words.roles.names))]
    return sorted(found.values(), key=lambda trial: (trial.setting, order.index(trial.model)))


def read_runs(
    document: Any, profile: str, lr: float, open_curve: Callable[[str, int | None], Curve | None]
) -> dict[str, Runs]:
    """The profile's experiments that have a learn-forget curve, by setting; plain training at `lr` first.

    `open_curve` gives that of a revision and a further seed (None for the main one), or None where there is none. A
    setting is named by its method, and by rate and rank where these are not those of the first. Empty where no plain run at
    `lr` has a curve.
    """
    found: dict[tuple[str, float, int], Runs] = {}
    for name, revision, data, _ in _experiments(document):
        params = _read_params(data)
        predict = params.get("predict") or {}
        if params.get("profile") != profile or not predict.get("scales") or "lr" not in params:
            continue
        setting = (describe_method(params), float(params["lr"]), _read_rank(params))
        own, main = found.get(setting, Runs(params)), int(params.get("seed", 0))
        for seed in (None, *(params.get("seeds") or ())):
            number = main if seed is None else int(seed)
            if number not in own.curves and (curve := open_curve(revision, seed)) is not None:
                own.curves[number] = _keep_factors(curve, predict["scales"])
        if own.curves:
            found[setting] = own
            if name.endswith(f"-{CHOSEN}") and params.get("seeds"):
                own.chosen_by.add(main)
            for factor in (1.0, *(predict.get("decode_scales") or ())):
                own.answered.setdefault((main, float(factor)), revision)
    first = next((one for one in found if one[0] == PLAIN and one[1] == lr), None)
    if first is None:
        return {}
    ordered = {first: found.pop(first), **found}
    return {_name_setting(one, first): runs for one, runs in ordered.items()}


def _keep_factors(curve: Curve, scales: Sequence[float]) -> Curve:
    """A curve at the factors that it was asked at, 0 and 1: a factor that was decoded is on it too, and would bend it, so
    that where it was read off would be another place once that place is decoded."""
    kept = np.isin(curve.factors, [0.0, 1.0, *scales])
    return Curve(curve.factors[kept], {name: replace(one, bits=one.bits[:, kept]) for name, one in curve.tasks.items()})


def list_experiments(document: Any) -> dict[str, dict[str, Any]]:
    """The parameters of every experiment that has scores, by its name."""
    return {name: _read_params(data) for name, _, data in _scored(document)}


def list_revisions(document: Any) -> dict[str, str]:
    """The revision of every experiment that has scores, by its name."""
    return {name: revision for name, revision, _ in _scored(document)}


def _scored(document: Any) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for name, revision, data, past in _experiments(document):
        if not past and name != WORKSPACE and any(file.startswith(FOLDER) for file in data.get("metrics", {})):
            yield name, revision, data


def _name_setting(one: tuple[str, float, int], first: tuple[str, float, int]) -> str:
    method, lr, rank = one
    return method + (f", lr {lr:g}" if lr != first[1] else "") + (f", rank {rank}" if rank != first[2] else "")


def _experiments(document: Any) -> Iterator[tuple[str, str, Mapping[str, Any], bool]]:
    """(name, revision, data, whether it is a commit) of the experiments, then of the workspace and the commits.

    Those without data (failed, or still queued) are passed over, and those that run, of which DVC shows what they started
    from; one that was killed runs for ever, as DVC tells it.
    """
    for state in document:
        for group in state.get("experiments") or []:
            if (group.get("executor") or {}).get("state") == "running":
                continue
            for one in group.get("revs", []):
                if one.get("data"):
                    yield one.get("name") or group.get("name") or one["rev"][:7], one["rev"], one["data"], False
    for state in document:
        if state.get("data"):
            here = state["rev"] == WORKSPACE
            yield WORKSPACE if here else state["rev"][:7], state["rev"], state["data"], not here


def _trials(name: str, data: Mapping[str, Any], words: Words) -> Iterator[Trial]:
    params = _read_params(data)
    scores = {
        file.removeprefix(FOLDER).removesuffix(".json"): (found or {}).get("data")
        for file, found in data.get("metrics", {}).items()
        if file.startswith(FOLDER)
    }
    base = scores.pop(words.roles.base, None)
    if not base or "lr" not in params:
        return
    old, new = axis_tasks(words.tasks)
    for model, own in scores.items():
        if not own:
            continue
        both = {
            task.name: (task.is_new, _headline(own[task.name]), _headline(base[task.name]))
            for task in words.tasks
            if own.get(task.name) and base.get(task.name)
        }
        taught = {task: value for task, (is_new, value, _) in both.items() if is_new}
        kept = {
            task: 1 - (before - value) / abs(before)
            for task, (is_new, value, before) in both.items()
            if not is_new and before
        }
        drifts = [own[task.name]["drift"] for task in new if "drift" in own.get(task.name, {})]
        if any(task.name not in kept for task in old) or any(task.name not in taught for task in new):
            continue
        yield Trial(
            experiment=name,
            model=model,
            profile=str(params.get("profile")),
            lr=float(params["lr"]),
            rank=_read_rank(params),
            method=describe_method(params),
            seed=int(params.get("seed", 0)),
            new=round(statistics.fmean(taught[task.name] for task in new), 4),
            forgetting=round(1 - statistics.fmean(kept[task.name] for task in old), 4),
            taught=taught,
            kept={task: round(share, 4) for task, share in kept.items()},
            drift=statistics.fmean(drifts) if drifts else None,
        )


def _read_params(data: Mapping[str, Any]) -> dict[str, Any]:
    params: dict[str, Any] = {}
    for file in data.get("params", {}).values():
        params |= file.get("data") or {}
    return params


def _read_rank(params: Mapping[str, Any]) -> int:
    return int(params.get("finetune", {}).get("lora", {}).get("rank", 0))


def _headline(scores: Mapping[str, float]) -> float:
    """The first metric of a task, higher being better: metrics/eval_3a holds them in the table's order."""
    name, value = next(iter(scores.items()))
    return -float(value) if is_lower_better(name) else float(value)


def describe_method(params: Mapping[str, Any]) -> str:
    """The first round's method and its parameters, `replay share 0.05`; what is off or empty is left out."""
    first = params.get("finetune_2b", {})
    method = params.get("method")
    if method is None:  # an experiment from before there were methods
        share = first.get("replay", 0)
        return f"replay share {share:g}" if share else "plain"
    chosen = (first.get("methods") or {}).get(method) or {}
    told = (
        f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in chosen.items()
        if value
    )
    return " ".join([method, *told])


def find_frontier(trials: Sequence[Trial]) -> list[Trial]:
    """The trials that no other beats, from least forgetting to most."""
    best: list[Trial] = []
    for trial in sorted(trials, key=lambda one: (one.forgetting, -one.new)):
        if not best or trial.new > best[-1].new:
            best.append(trial)
    return best


def table_heads(words: Words) -> list[str]:
    """The table's heads: the setting, the model, a column a task, and the means where they are over several."""
    old, new = axis_tasks(words.tasks)
    return [
        *"experiment lr rank method seed model".split(),
        *(task.name for task in words.tasks if task.is_new),
        *(["new skill"] if len(new) > 1 else []),
        *(f"{task.name} kept" for task in words.tasks if not task.is_new),
        *(["old kept"] if len(old) > 1 else []),
        "",
    ]


def table_rows(trials: Sequence[Trial], words: Words) -> list[list[str]]:
    """The table's cells, a row a trial; the last marks the frontier."""
    best = find_frontier(trials)
    old, new = axis_tasks(words.tasks)
    rows = []
    for trial in trials:
        setting = [trial.experiment, f"{trial.lr:g}", str(trial.rank), trial.method, str(trial.seed), trial.model]
        taught = [_cell(trial.taught.get(task.name), ".3f") for task in words.tasks if task.is_new]
        kept = [_cell(trial.kept.get(task.name), ".0%") for task in words.tasks if not task.is_new]
        if len(new) > 1:
            taught.append(f"{trial.new:.3f}")
        if len(old) > 1:
            kept.append(f"{1 - trial.forgetting:.0%}")
        rows.append([*setting, *taught, *kept, "frontier" if trial in best else ""])
    return rows


def _cell(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)


def markdown(trials: Sequence[Trial], words: Words) -> str:
    """The table for docs/experiments.md."""
    return tabulate(table_rows(trials, words), table_heads(words), tablefmt="github", disable_numparse=True)


def describe_drift(trials: Sequence[Trial], words: Words) -> str:
    """How the distance from base and forgetting go together over runs of the first round; nothing for too few of them."""
    runs = [trial for trial in trials if trial.model == words.roles.tuned and trial.drift is not None]
    found = correlate([trial.drift or 0.0 for trial in runs], [trial.forgetting for trial in runs])
    if found is None:
        return ""
    return (
        f"Distance from base, measured without old data, and forgetting over {found['runs']} runs of {words.roles.tuned}: rank "
        f"correlation {found['value']:.2f} [{found['low']:.2f}, {found['high']:.2f}]."
    )


def as_csv(trials: Sequence[Trial], words: Words) -> str:
    """The points as `dvc plots` draws them: one row a trial, a column a task after what is drawn."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    names = [task.name for task in words.tasks if task.is_new], [task.name for task in words.tasks if not task.is_new]
    taught, kept = names
    columns = [*(f"new_{task}" for task in taught), *(f"kept_{task}" for task in kept)]
    writer.writerow(["forgetting", "new_skill", "setting", "model", *columns])
    for trial in trials:
        setting = f"lr {trial.lr:g} r {trial.rank} {trial.method}"
        of_tasks = [*map(trial.taught.get, taught), *map(trial.kept.get, kept)]
        writer.writerow([trial.forgetting, trial.new, setting, trial.model, *of_tasks])
    return out.getvalue()


def render(
    trials: Sequence[Trial],
    words: Words,
    profile: str,
    equal: Sequence[AtEqualSkill] = (),
    curves: Mapping[str, Mapping[int, Curve]] | None = None,
) -> str:
    """report/frontier.html; with the methods at equal new skill, where there are any, and the curves that they were read off."""
    marks = [
        figures.Mark(
            trial.model,
            words.roles.part(trial.model),
            trial.forgetting,
            trial.new,
            f"{trial.lr:g}" + (f", {trial.method}" if trial.method != "plain" else ""),
        )
        for trial in trials
    ]
    old, new = (words.labels([task.name for task in tasks]) for tasks in axis_tasks(words.tasks))
    figure = figures.draw_frontier(
        marks,
        [(trial.forgetting, trial.new) for trial in find_frontier(trials)],
        f"forgetting: share of the old skill lost ({old}) →",
        f"new skill: {new} →",
    )
    page = environment().get_template("frontier.html.j2")
    return page.render(
        figure=Markup(figure),
        heads=table_heads(words),
        rows=table_rows(trials, words),
        drift=describe_drift(trials, words),
        number=len({trial.setting for trial in trials}),
        profile=profile,
        equal={
            "plots": remedies.draw(equal, curves, words),
            "heads": remedies.table_heads(equal, words),
            "rows": remedies.table_rows(equal),
            "said": remedies.say(equal),
            "answers": remedies.list_answers(equal, words),
        }
        if equal and curves
        else None,
        label=words.label,
        scripts=[],
    )
