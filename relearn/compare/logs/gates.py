"""Gates: what a release must meet, from the command line or a file, and what the logs say about it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from relearn.compare.logs.changes import pool, sum_losses, why_missing
from relearn.errors import InputError
from relearn.logs.pairs import Series
from relearn.statistics import gates
from relearn.statistics.gates import Answer

MARGIN = re.compile(r"(?P<amount>[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)(?P<unit>%|pt|)")
FLOOR = "floor"
KINDS = {"require_within": "--require-within", "fail_above": "--fail-above"}
LARGEST = 1 << 20  # bytes of a gate file
EACH = "*."


@dataclass(frozen=True)
class Gate:
    """`require_within`: proven to lose no more than `margin`. `fail_above`: not proven to lose more."""

    kind: str
    target: str  # METRIC, TASK.METRIC, GROUP.METRIC or *.METRIC
    margin: float
    relative: bool
    text: str


@dataclass(frozen=True)
class Ruling:
    """What became of a gate on one series; `answer` decides the exit status."""

    gate: str
    kind: str
    task: str
    metric: str
    margin: float
    relative: bool
    samples: int
    clusters: int
    floor: float = 0.0  # what guessing scores
    answer: Answer = "unjudged"
    why: str = ""  # it cannot be judged
    loss: float = math.nan
    low: float = math.nan
    high: float = math.nan
    samples_to_decide: int | None = None

    @property
    def reason(self) -> str:
        """The answer in a sentence, with the figures behind it."""
        if self.why:
            return f"cannot be judged: {self.why}"
        loss, low, high, limit = (
            amount(value, self.relative) for value in (self.loss, self.low, self.high, self.margin)
        )
        clusters = f" in {self.clusters:,} clusters" if self.clusters < self.samples else ""
        shown = f"{loss} lost, 95% interval {low} to {high}, {self.samples:,} samples{clusters}"
        if self.kind == "fail_above":
            return f"{'more than' if self.answer == 'worse' else 'not shown to be more than'} {limit}: {shown}"
        if self.answer != "undecided":
            return f"proven {'within' if self.answer == 'within' else 'worse than'} {limit}: {shown}"
        if self.samples_to_decide is None:
            return f"undecided about {limit}: {shown}; no number of samples would decide: the effect is too close to the margin"
        number = f"{self.samples_to_decide:,} samples"
        if clusters:
            number += f", in {math.ceil(self.samples_to_decide * self.clusters / self.samples):,} clusters,"
        return f"undecided about {limit}: {shown}; about {number} would decide at this effect: draw a new sample of that size, do not top this one up"


def read_gate(kind: str, text: str) -> Gate:
    """From `TARGET=X%` or `TARGET=Xpt`; `--fail-above` also takes a bare share (0.05). InputError for anything else."""
    target, _, amount = text.strip().rpartition("=")
    match = MARGIN.fullmatch(amount.strip())
    option = f"{KINDS[kind]} {text}"
    if not target or match is None or not math.isfinite(float(match["amount"])):
        examples = "acc=5% or acc=0.05" if kind == "fail_above" else "acc=2% or acc=1.5pt"
        raise InputError(f"{option}: expected METRIC=X, such as {examples}")
    value, unit = float(match["amount"]), match["unit"]
    if kind == "fail_above":
        if unit == "pt":
            raise InputError(f"{option}: is relative to base (0.05 or 5%); absolute margins are for --require-within")
        if value > 1 and not unit:
            raise InputError(f"{option}: {amount} is {value:.0%} of base; write {amount}% if that is what you mean")
        return Gate(kind, target.strip(), value / 100 if unit else value, True, option)
    if not unit:
        hundredths = f"{value * 100:g}" if value < 1 else amount
        raise InputError(
            f"{option}: {amount} of what? Write {hundredths}% (relative to base) or {hundredths}pt (hundredths of the score)"
        )
    if value <= 0:
        raise InputError(f"{option}: expected a margin above 0; nobody can prove that nothing at all was lost")
    return Gate(kind, target.strip(), value / 100, unit == "%", option)


def read_floor(text: str) -> tuple[str, float]:
    """(target, what guessing scores) of `METRIC=X` or `TASK.METRIC=X`, a share or with %. InputError for anything else."""
    target, _, amount = text.strip().rpartition("=")
    match = MARGIN.fullmatch(amount.strip())
    value = float(match["amount"]) / (100 if match["unit"] == "%" else 1) if match else math.nan
    if not target or match is None or match["unit"] == "pt" or not math.isfinite(value):
        raise InputError(f"--floor {text}: expected METRIC=X, such as acc=0.25 or acc=25%")
    return target.strip(), value


def read_file(path: Path) -> tuple[list[Gate], dict[str, float]]:
    """YAML: `require_within`, `fail_above` and `floor`, each a mapping from target to X. InputError for anything else."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError
    from ruamel.yaml.tokens import AliasToken, AnchorToken, TagToken

    try:
        if path.stat().st_size > LARGEST:
            raise InputError(f"{path}: larger than a mebibyte; this is not a gate file")
        raw = path.read_text(encoding="utf-8")
        if any(isinstance(one, AliasToken | AnchorToken | TagToken) for one in YAML(typ="safe", pure=True).scan(raw)):
            raise InputError(
                f"{path}: anchors, aliases and tags are not read; write each gate out (and quote '*.METRIC')"
            )
        found = YAML(typ="safe", pure=True).load(raw)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except (YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        line = "" if mark is None else f", line {mark.line + 1}"
        said = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise InputError(f"{path}{line}: not YAML ({said})") from None
    if not isinstance(found, dict) or not found or set(found) - {*KINDS, FLOOR}:
        raise InputError(f"{path}: expected the keys require_within, fail_above and floor, each with METRIC: X")
    read: list[Gate] = []
    floors: dict[str, float] = {}
    for kind, targets in found.items():
        if not isinstance(targets, dict) or not targets:
            raise InputError(f"{path}: {kind}: expected a mapping from METRIC to X, such as acc: 2%")
        for target, amount in targets.items():
            try:
                if kind == FLOOR:
                    floors |= [read_floor(f"{target}={amount}")]
                else:
                    read.append(read_gate(kind, f"{target}={amount}"))
            except InputError as error:
                raise InputError(f"{path}: {error}") from None
    return read, floors


def judge_all(
    found: Sequence[Gate],
    series: Sequence[Series],
    skipped: Mapping[tuple[str, str], str],
    other_prompts: bool,
    floors: Mapping[str, float],
) -> list[Ruling]:
    """Every gate's ruling; one for each task where a gate names all. `floors` are what guessing scores, by METRIC or TASK.METRIC.

    InputError for a target that the logs do not have, or a floor that no gate has.
    """
    rulings, used = [], set()
    series = [*series, *_make_empty(skipped)]
    for gate in found:
        for one in _targets(gate, series):
            name = next((name for name in (f"{one.task}.{one.metric}", one.metric) if name in floors), None)
            used.add(name)
            rulings.append(_judge(gate, one, other_prompts, 0.0 if name is None else floors[name]))
    for name in floors.keys() - used:
        raise InputError(f"--floor {name}: no gate judges it; name a gate's METRIC or TASK.METRIC")
    return rulings


def _make_empty(skipped: Mapping[tuple[str, str], str]) -> list[Series]:
    """The tasks that both logs have, but no scores to compare, without samples: left out, they would pass for tasks that
    lost nothing.
    """
    none = np.zeros(0)
    return [
        Series(*key, none, none, none, none.astype(np.int64), missing=why_missing({key: why}, key[1]))
        for key, why in skipped.items()
    ]


def _targets(gate: Gate, series: Sequence[Series]) -> list[Series]:
    """What a gate is about."""
    tasks = [one for one in series if not one.members]
    if gate.target.startswith(EACH):
        named = [one for one in tasks if one.metric == gate.target.removeprefix(EACH)]
    else:
        named = [one for one in series if f"{one.task}.{one.metric}" == gate.target]
        if not named:
            named = [one for one in tasks if one.metric == gate.target]
            if len(named) > 1:
                lost = [one for one in named if one.missing]
                pooled = replace(lost[0], task="all tasks") if lost else pool("all tasks", gate.target, named)
                if pooled is None:
                    raise InputError(
                        f"{gate.text}: the tasks differ in which way is better; name one as TASK.{gate.target}"
                    )
                named = [pooled]
    if not named:
        known = sorted({one.metric for one in tasks if not one.missing})
        raise InputError(
            f"{gate.text}: the logs have no number per sample for it; choose from {', '.join(known)}, and TASK.METRIC for one task"
        )
    return named


def _judge(gate: Gate, series: Series, other_prompts: bool, floor: float) -> Ruling:
    margin, relative, clusters = gate.margin, gate.relative, len(np.unique(series.clusters))
    found = Ruling(
        gate.text, gate.kind, series.task, series.metric, margin, relative, len(series.before), clusters, floor
    )
    if series.missing:
        return replace(found, why=series.missing)
    losses = sum_losses(series)
    if why := _obstacle(gate, series, losses, other_prompts):
        return replace(found, why=why)
    if series.exponential:  # the relative loss of a perplexity is that of its exponent
        margin, relative = math.log1p(margin), False
    answer = gates.judge(losses, margin, relative)
    if gate.kind == "fail_above" and answer != "worse":
        answer = "within"
    if answer == "within" and (why := _doubt(gate, series, losses, floor)):
        return replace(found, why=why)
    ends = gates.loss_ends(losses, relative)
    figures = [losses.loss / losses.base if relative else losses.loss, ends.low, ends.high]
    if series.exponential:
        figures = [math.expm1(figure) for figure in figures]
    needed = gates.samples_to_decide(losses, margin, relative, found.samples) if answer == "undecided" else None
    return replace(found, answer=answer, loss=figures[0], low=figures[1], high=figures[2], samples_to_decide=needed)


def _obstacle(gate: Gate, series: Series, losses: gates.Losses, other_prompts: bool) -> str:
    """Why a gate cannot be judged, if it cannot: that must not pass for a release that lost nothing."""
    if series.prompts_differ and not other_prompts:
        return f"the prompts of {series.prompts_differ} of {len(series.before)} pairs differ between the runs"
    if series.settings_differ and not other_prompts:
        return (
            f"{', '.join(series.settings_differ)} differ between the runs (--allow-other-prompts judges all the same)"
        )
    if losses.span <= 0:
        return "all scores are the same number, so their range is unknown"
    if series.exponential:
        return "" if gate.relative else "a margin in points means nothing for a perplexity; use X%"
    if gate.relative and (losses.floor < 0 or losses.base <= 0):
        return (
            "base scores 0 or less, so a relative loss is undefined; use Xpt with --require-within, or another metric"
        )
    if gate.kind == "require_within" and gate.relative and gate.margin >= 1 and series.better == "higher":
        return "no more than 100% of a score can be lost; use a smaller margin"
    return ""


def _doubt(gate: Gate, series: Series, losses: gates.Losses, floor: float) -> str:
    """Why a gate that holds could not have failed, if it could not. A margin in points says enough by itself."""
    if not gate.relative or series.exponential or series.better != "higher":
        return ""
    if not gates.proves_above(losses, floor):
        return (
            f"base scores {losses.base:.3g}, not significantly above {floor:g}, and cannot forget what it cannot do; use Xpt with "
            "--require-within, or another metric"
        )
    nothing = replace(losses, after=np.zeros_like(losses.after))
    if gate.kind == "fail_above" and not gates.proves_worse(nothing, gate.margin, True):
        return f"with {len(losses.sizes)} clusters even a total loss would not be significant; use more samples"
    return ""


def amount(value: float, relative: bool) -> str:
    """2.5% of base, or 2.5pt."""
    return "–" if math.isnan(value) else f"{100 * value:.3g}{'%' if relative else 'pt'}"


def as_json(ruling: Ruling) -> dict[str, Any]:
    """The ruling with its status; null for numbers that are none."""
    figures = {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in vars(ruling).items()
    }
    return {**figures, "reason": ruling.reason, "status": gates.STATUS[ruling.answer]}
