"""Human ratings: CSV files of scores, joined into means with intervals and the raters' agreement.

A file has a header and the columns

    rater, item, key, helpfulness, correctness

`item` is the prompt's id, `key` the model (its name, or the blind letter that the rating page showed; blind letters
are resolved by the page's key, given as `names`). Scores are whole numbers from 1 to 5; an empty score is one that
the rater left out. A line with the columns `other` and `better` filled in is about a pair instead: `better` is `first`
where the answer `key` is the better of the two, `second` where `other` is, `tie` where neither.
"""

from __future__ import annotations

import csv
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from relearn.errors import InputError
from relearn.evaluation.attention import AttentionCheck
from relearn.statistics import resampling
from relearn.statistics.scores import Floats, mean

COLUMNS = ("rater", "item", "key", "helpfulness", "correctness")
OF_PAIRS = ("other", "better")  # further columns, which a file without pairs may lack
BETTER = {"first": -1, "second": 1, "tie": 0}
ASPECTS = ("helpfulness", "correctness")
LOWEST, HIGHEST = 1, 5


@dataclass(frozen=True)
class Rating:
    """One rater's scores of one answer; None where the rater gave none."""

    rater: str
    item: str
    model: str
    helpfulness: int | None
    correctness: int | None


@dataclass(frozen=True)
class Preference:
    """Which of two models' answers a rater prefers: 1 for that of `other`, -1 for that of `model`, 0 for neither."""

    rater: str
    item: str
    model: str
    other: str
    prefers: int


@dataclass
class Given:
    """What raters gave, and who failed an attention check."""

    ratings: list[Rating] = field(default_factory=list)
    preferences: list[Preference] = field(default_factory=list)
    inattentive: set[str] = field(default_factory=set)

    def of(self, inattentive: bool) -> Given:
        """That of the raters who failed a check, or of the others."""
        return Given(
            [one for one in self.ratings if (one.rater in self.inattentive) == inattentive],
            [one for one in self.preferences if (one.rater in self.inattentive) == inattentive],
            self.inattentive if inattentive else set(),
        )


def read(folder: Path | str, names: Mapping[str, str] | None = None, checks: Sequence[AttentionCheck] = ()) -> Given:
    """What every `*.csv` in a folder holds, by file name; nothing when the folder is missing or empty.

    `names` turns `<item>/<key>` or a plain key into the model's name; `checks` are the page's attention checks. Raises
    InputError naming file and line: a column that is missing, a score that is not 1 to 5, an empty rater, item or key,
    a word for the better answer that is none, the same answer or pair rated twice by one rater, a file that is not
    UTF-8.
    """
    found = Given()
    by_id = {check.id: check for check in checks}
    seen: dict[tuple[str, str, frozenset[str]], str] = {}
    for path in sorted(Path(folder).glob("*.csv")):
        for line, row in _rows(path):
            where = f"{path}, line {line}"
            made = _preference(where, row, names or {}) if row["other"] else _rating(where, row, names or {})
            models = frozenset((made.model, made.other) if isinstance(made, Preference) else (made.model,))
            key = (made.rater, made.item, models)
            if key in seen:
                raise InputError(
                    f"{where}: {made.rater} has already rated item {made.item}, {' and '.join(sorted(models))} "
                    f"({seen[key]}); keep one of the two"
                )
            seen[key] = where
            if made.item in by_id:
                if not _passes(by_id[made.item], made):
                    found.inattentive.add(made.rater)
            elif isinstance(made, Preference):
                found.preferences.append(made)
            else:
                found.ratings.append(made)
    return found


def _passes(check: AttentionCheck, made: Rating | Preference) -> bool:
    """Whether the check was done as it says; also true of the answers beside it, and of skipped checks."""
    if isinstance(made, Preference):
        return check.key not in (made.model, made.other) or made.prefers == (1 if made.other == check.key else -1)
    scores = (made.helpfulness, made.correctness)
    return made.model != check.key or all(
        given is None or given == wanted for given, wanted in zip(scores, check.scores or scores, strict=True)
    )


def _rows(path: Path) -> list[tuple[int, dict[str, str]]]:
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            header = [name.strip().lower() for name in reader.fieldnames or []]
            missing = [name for name in COLUMNS if name not in header]
            if missing:
                raise InputError(
                    f"{path}, line 1: no column {', '.join(missing)}; the header must name {', '.join(COLUMNS)}"
                )
            reader.fieldnames = header
            rows = []
            for row in reader:
                if None in row or None in row.values():
                    raise InputError(
                        f"{path}, line {reader.line_num}: expected {len(header)} columns, as in the header"
                    )
                rows.append((reader.line_num, {key: (row.get(key) or "").strip() for key in (*COLUMNS, *OF_PAIRS)}))
            return rows
    except UnicodeDecodeError:
        raise InputError(f"{path}: not UTF-8; save the file as UTF-8") from None
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num}: not CSV ({error})") from None


def _preference(where: str, row: Mapping[str, str], names: Mapping[str, str]) -> Preference:
    _refuse_empty(where, row)
    if row["better"] not in BETTER:
        raise InputError(f"{where}: better is {row['better']!r}; expected one of {', '.join(BETTER)}")
    model, other = (_name(row["item"], row[column], names) for column in ("key", "other"))
    return Preference(row["rater"], row["item"], model, other, BETTER[row["better"]])


def _refuse_empty(where: str, row: Mapping[str, str]) -> None:
    for name in ("rater", "item", "key"):
        if not row[name]:
            raise InputError(f"{where}: {name} is empty; fill it in or delete the line")


def _name(item: str, key: str, names: Mapping[str, str]) -> str:
    return names.get(f"{item}/{key}") or names.get(key) or key


def _rating(where: str, row: Mapping[str, str], names: Mapping[str, str]) -> Rating:
    _refuse_empty(where, row)
    scores: dict[str, int | None] = {}
    for aspect in ASPECTS:
        text = row[aspect]
        if text and text not in {str(score) for score in range(LOWEST, HIGHEST + 1)}:
            raise InputError(f"{where}: {aspect} is {text!r}; expected a whole number from {LOWEST} to {HIGHEST}")
        scores[aspect] = int(text) if text else None
    model = _name(row["item"], row["key"], names)
    return Rating(row["rater"], row["item"], model, scores["helpfulness"], scores["correctness"])


def summarise(ratings: Sequence[Rating], resamples: int, seed: int) -> dict[str, Any]:
    """Means by model and aspect with intervals over items, and Krippendorff's alpha with its interval.

    `{"raters", "ratings", "models": {model: {aspect: {value, low, high, number}}},
    "agreement": {aspect: {alpha, low, high, units}}}`; None where nothing can be said.
    """
    found: dict[str, Any] = {
        "raters": len({rating.rater for rating in ratings}),
        "ratings": len(ratings),
        "models": {},
        "agreement": {aspect: agreement(ratings, aspect, resamples, seed) for aspect in ASPECTS},
    }
    for model in sorted({rating.model for rating in ratings}):
        own = [rating for rating in ratings if rating.model == model]
        numbers, clusters = resampling.number_clusters([rating.item for rating in own])
        drawn = resampling.draw(clusters, resamples, seed)
        found["models"][model] = {}
        for aspect in ASPECTS:
            scores = mean(aspect, [getattr(rating, aspect) for rating in own], unit=False)
            sums = resampling.cluster_sums(scores.stats, numbers, clusters)
            ends = resampling.interval(scores, sums, resampling.resampled(sums, scores.combine, drawn))
            found["models"][model][aspect] = {
                "value": _rounded(scores.point),
                "low": _rounded(ends.low),
                "high": _rounded(ends.high),
                "number": scores.items,
            }
    return found


def agreement(ratings: Sequence[Rating], aspect: str, resamples: int, seed: int) -> dict[str, float | int | None]:
    """Krippendorff's alpha (2011) for ordinal scores, by the `krippendorff` package; units are the rated answers.

    The interval resamples units (percentiles). None where fewer than two answers have two raters, or all scores agree
    in one value, for which alpha is not defined.
    """
    units: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    for rating in ratings:
        score = getattr(rating, aspect)
        if score is not None:
            units[rating.item, rating.model][rating.rater] = score
    return measure_agreement([units[unit] for unit in sorted(units)], range(LOWEST, HIGHEST + 1), resamples, seed)


def measure_agreement(
    units: Sequence[Mapping[str, int]], domain: Sequence[int], resamples: int, seed: int
) -> dict[str, float | int | None]:
    """Krippendorff's alpha of ordinal values, with its interval, as `agreement`; each unit maps a rater to its value."""
    table = _table(units)
    alpha = _alpha(table, domain)
    low, high = math.nan, math.nan
    if not math.isnan(alpha):
        generator = np.random.default_rng(seed)
        draws = generator.integers(0, table.shape[1], size=(resamples, table.shape[1]))
        values = np.array([_alpha(table[:, draw], domain) for draw in draws])
        values = values[~np.isnan(values)]
        if len(values):
            low, high = (float(end) for end in np.quantile(values, [0.025, 0.975]))
    return {"alpha": _rounded(alpha), "low": _rounded(low), "high": _rounded(high), "units": table.shape[1]}


def _table(units: Sequence[Mapping[str, int]]) -> Floats:
    """(raters, units) of the units that at least two raters gave a value; nan where a rater did not."""
    shared = [scores for scores in units if len(scores) > 1]
    raters = sorted({rater for scores in shared for rater in scores})
    return np.array([[float(scores.get(rater, math.nan)) for scores in shared] for rater in raters]).reshape(
        len(raters), len(shared)
    )


def _alpha(table: Floats, domain: Sequence[int]) -> float:
    import krippendorff

    values = np.unique(table[~np.isnan(table)])
    if table.shape[1] < 2 or len(values) < 2:
        return math.nan
    return float(krippendorff.alpha(reliability_data=table, level_of_measurement="ordinal", value_domain=list(domain)))


def _rounded(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 4)
