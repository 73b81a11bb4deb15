"""The frontier of new skill against forgetting over all experiments, from what `dvc exp show --json` prints.

A model is on the frontier when no other has both more of the new skill and less forgetting of the old one (Pareto).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup
from tabulate import tabulate

from relearn.errors import InputError
from relearn.records import MODELS
from relearn.report import figures, words
from relearn.report.page import environment

NEW, OLD = "reviews", "code"
FILES = {model: f"metrics/eval_3a/{model}.json" for model in MODELS}


@dataclass(frozen=True)
class Trial:
    """One tuned model of one experiment.

    `new` is its headline score on reviews; `forgetting` the share of base's headline score on code that it lacks;
    `kept` each old task's score as a share of base's.
    """

    experiment: str
    model: str
    profile: str
    lr: float
    rank: int
    replay: float
    seed: int
    new: float
    forgetting: float
    kept: Mapping[str, float]

    @property
    def setting(self) -> tuple[float, int, float, int]:
        return self.lr, self.rank, self.replay, self.seed


def read(document: Any, profile: str | None = None) -> list[Trial]:
    """The trials of every experiment that ran to its end, without repeats, by setting and model.

    `profile` keeps those of one profile: base models of different profiles do not compare. Raises InputError when
    there is none.
    """
    found: dict[tuple[Any, ...], Trial] = {}
    for name, data, past in _experiments(document):
        for trial in _trials(name, data):
            if profile is not None and trial.profile != profile:
                continue
            if past and any((trial.model, trial.setting) == (model, setting) for model, setting, *_ in found):
                continue  # an earlier state of the code, not another setting
            same = (trial.model, trial.setting, trial.new, trial.forgetting)
            found.setdefault(same, trial)
    if not found:
        which = f" of profile {profile}" if profile else ""
        raise InputError(
            f"no finished experiment{which} whose base scores on {OLD}: none has run (run `dvc repro`, or `make sweep` "
            f"for several rates), or base scores nothing on {OLD}, so that there is nothing to forget"
        )
    return sorted(found.values(), key=lambda trial: (trial.setting, MODELS.index(trial.model)))


def _experiments(document: Any) -> Iterator[tuple[str, Mapping[str, Any], bool]]:
    """(name, data, whether it is a commit) of the experiments, then of the workspace and the commits.

    Those without data (failed, or still queued) are passed over.
    """
    for state in document:
        for group in state.get("experiments") or []:
            for one in group.get("revs", []):
                if one.get("data"):
                    yield one.get("name") or group.get("name") or one["rev"][:7], one["data"], False
    for state in document:
        if state.get("data"):
            here = state["rev"] == "workspace"
            yield "workspace" if here else state["rev"][:7], state["data"], not here


def _trials(name: str, data: Mapping[str, Any]) -> Iterator[Trial]:
    params: dict[str, Any] = {}
    for file in data.get("params", {}).values():
        params |= file.get("data") or {}
    scores = {model: (data.get("metrics", {}).get(file) or {}).get("data") for model, file in FILES.items()}
    base = scores["base"]
    if not base or "lr" not in params:
        return
    for model in MODELS[1:]:
        own = scores[model]
        if not own or NEW not in own or OLD not in own:
            continue
        kept = {
            task: _headline(own[task]) / _headline(base[task])
            for task in base
            if task in own and task not in (NEW, "human") and _headline(base[task])
        }
        if OLD not in kept:
            continue
        yield Trial(
            experiment=name,
            model=model,
            profile=str(params.get("profile")),
            lr=float(params["lr"]),
            rank=int(params.get("finetune", {}).get("lora", {}).get("rank", 0)),
            replay=float(params.get("finetune_2b", {}).get("replay", 0)),
            seed=int(params.get("seed", 0)),
            new=_headline(own[NEW]),
            forgetting=round(1 - kept[OLD], 4),
            kept={task: round(share, 4) for task, share in kept.items()},
        )


def _headline(scores: Mapping[str, float]) -> float:
    """The first metric of a task: metrics/eval_3a holds them in the table's order."""
    return float(next(iter(scores.values())))


def find_frontier(trials: Sequence[Trial]) -> list[Trial]:
    """The trials that no other beats, from least forgetting to most."""
    best: list[Trial] = []
    for trial in sorted(trials, key=lambda one: (one.forgetting, -one.new)):
        if not best or trial.new > best[-1].new:
            best.append(trial)
    return best


HEADS = ("experiment", "lr", "rank", "replay", "seed", "model", "new skill", "code kept", "general kept", "")


def table_rows(trials: Sequence[Trial]) -> list[list[str]]:
    """The table's cells, a row a trial; the last marks the frontier."""
    best = find_frontier(trials)
    return [
        [
            trial.experiment,
            f"{trial.lr:g}",
            str(trial.rank),
            f"{trial.replay:g}",
            str(trial.seed),
            trial.model,
            f"{trial.new:.3f}",
            f"{trial.kept[OLD]:.0%}",
            f"{trial.kept['general']:.0%}" if "general" in trial.kept else "–",
            "frontier" if trial in best else "",
        ]
        for trial in trials
    ]


def markdown(trials: Sequence[Trial]) -> str:
    """The table for docs/experiments.md."""
    return tabulate(table_rows(trials), HEADS, tablefmt="github", disable_numparse=True)


def as_csv(trials: Sequence[Trial]) -> str:
    """The points as `dvc plots` draws them: one row a trial."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["forgetting", "new_skill", "setting", "model"])
    for trial in trials:
        setting = f"lr {trial.lr:g} r {trial.rank} replay {trial.replay:g}"
        writer.writerow([trial.forgetting, trial.new, setting, trial.model])
    return out.getvalue()


def render(trials: Sequence[Trial]) -> str:
    """report/frontier.html."""
    marks = [
        figures.Mark(
            trial.model,
            trial.forgetting,
            trial.new,
            f"{trial.lr:g}" + (f", replay {trial.replay:g}" if trial.replay else ""),
        )
        for trial in trials
    ]
    figure = figures.draw_frontier(
        marks,
        [(trial.forgetting, trial.new) for trial in find_frontier(trials)],
        f"forgetting: share of the old skill lost ({words.TASKS[OLD]}) →",
        f"new skill: {words.TASKS[NEW]} →",
    )
    page = environment().get_template("frontier.html.j2")
    return page.render(
        figure=Markup(figure),
        heads=HEADS,
        rows=table_rows(trials),
        number=len({trial.setting for trial in trials}),
        profile=trials[0].profile,
        scripts=[],
    )
