"""Ratings: read, refused with the line, summarised; alpha against published values."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from relearn.errors import InputError
from relearn.evaluation import ratings
from relearn.evaluation.attention import list_checks
from relearn.evaluation.ratings import Given, Preference, Rating

HEADER = "rater,item,key,helpfulness,correctness\n"


def write(folder: Path, text: str, name: str = "a.csv") -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_read_and_blind_keys(tmp_path: Path) -> None:
    write(tmp_path, HEADER + "anna,r1,A,5,4\nanna,r1,B,,2\n")
    write(tmp_path, "item,KEY,rater,correctness,helpfulness,note\nr1,A,ben,3,4,fine\n", "b.csv")
    found = ratings.read(tmp_path, {"r1/A": "base", "B": "2b"})
    assert found.ratings == [
        Rating("anna", "r1", "base", 5, 4),
        Rating("anna", "r1", "2b", None, 2),
        Rating("ben", "r1", "base", 4, 3),
    ]
    assert ratings.read(tmp_path / "none") == Given()


def test_pairs_and_attention_checks(tmp_path: Path) -> None:
    scored, _, chosen, _ = list_checks(7)
    assert scored.scores is not None
    header = HEADER.strip() + ",other,better\n"
    helpful, correct = scored.scores
    write(
        tmp_path,
        header
        + "anna,r1,A,,,B,second\nanna,r2,B,,,A,tie\nanna,r1,A,5,4,,\n"
        + f"anna,{scored.id},{scored.key},{helpful},{correct},,\nanna,{scored.id},beside,1,1,,\n"
        + f"anna,{chosen.id},beside,,,{chosen.key},second\n"
        + f"ben,r1,A,1,1,,\nben,{scored.id},{scored.key},{helpful},{correct},,\nben,{chosen.id},beside,,,{chosen.key},first\n"
        + f"cleo,r1,B,,,A,first\ncleo,{scored.id},{scored.key},{correct},{helpful},,\n"
        + f"dan,r1,A,3,3,,\ndan,{scored.id},{scored.key},{helpful},,,\n",
    )
    found = ratings.read(tmp_path, {"A": "base", "B": "2b"}, list_checks(7))
    assert found.inattentive == {"ben", "cleo"}
    assert found.of(inattentive=False).preferences == [
        Preference("anna", "r1", "base", "2b", 1), Preference("anna", "r2", "2b", "base", 0),
    ]  # fmt: skip
    assert [one.rater for one in found.of(inattentive=False).ratings] == ["anna", "dan"]
    assert [one.rater for one in found.of(inattentive=True).ratings] == ["ben"]
    assert [one.rater for one in found.of(inattentive=True).preferences] == ["cleo"]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("rater,item,helpfulness\n", "line 1: no column key, correctness"),
        (HEADER + "anna,r1,A,6,4\n", "line 2: helpfulness is '6'; expected a whole number from 1 to 5"),
        (HEADER + "anna,r1,A,5,4\nanna,r2,A,4.5,4\n", "line 3: helpfulness is '4.5'"),
        (HEADER + "anna,,A,5,4\n", "line 2: item is empty"),
        (HEADER + "anna,r1,A,5\n", "line 2: expected 5 columns"),
        (HEADER + "anna,r1,A,5,4\nanna,r1,A,5,4\n", "line 3: anna has already rated item r1, A ("),
        ("", "line 1: no column rater"),
        (
            HEADER.strip() + ",other,better\nanna,r1,A,,,B,B\n",
            "line 2: better is 'B'; expected one of first, second, tie",
        ),
        (
            HEADER.strip() + ",other,better\nanna,r1,A,,,B,tie\nanna,r1,B,,,A,tie\n",
            "line 3: anna has already rated item r1, A and B (",
        ),
    ],
)
def test_wrong_files_are_named(tmp_path: Path, text: str, wanted: str) -> None:
    write(tmp_path, text)
    with pytest.raises(InputError) as caught:
        ratings.read(tmp_path)
    assert wanted in str(caught.value)
    assert "a.csv" in str(caught.value)


def test_not_utf8(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(HEADER.encode() + b"ren\xe9,r1,A,5,4\n")
    with pytest.raises(InputError, match="not UTF-8"):
        ratings.read(tmp_path)


def test_alpha_is_krippendorffs_published_value() -> None:
    # Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability", section C: 4 observers, 12 units, values 1 to 5;
    # ordinal alpha is 0.815.
    data = "1 2 3 3 2 1 4 1 2 0 0 0; 1 2 3 3 2 2 4 1 2 5 0 3; 0 3 3 3 2 3 4 2 2 5 1 0; 1 2 3 3 2 4 4 1 2 5 1 0"
    rows = [line.split() for line in data.split(";")]
    given = [
        Rating(f"rater{r}", f"unit{u:02d}", "m", int(value), None)
        for r, row in enumerate(rows)
        for u, value in enumerate(row)
        if value != "0"
    ]
    found = ratings.agreement(given, "helpfulness", 200, 1)
    assert found["alpha"] == pytest.approx(0.815, abs=0.0006)
    assert found["low"] < found["alpha"] < found["high"]


def test_summary(tmp_path: Path) -> None:
    generator = np.random.default_rng(3)
    given = [
        Rating(rater, f"i{item}", model, int(np.clip(level + generator.integers(-1, 2), 1, 5)), level)
        for item in range(40)
        for model, level in (("base", 4), ("2b", 2))
        for rater in ("anna", "ben")
    ]
    found = ratings.summarise(given, 300, 7)
    base, tuned = found["models"]["base"]["helpfulness"], found["models"]["2b"]["helpfulness"]
    assert base["low"] <= base["value"] <= base["high"]
    assert tuned["high"] < base["low"]
    assert found["agreement"]["correctness"]["alpha"] == 1
    assert found == ratings.summarise(given, 300, 7)


def test_no_agreement_to_speak_of() -> None:
    one = [Rating("anna", f"i{i}", "base", 3, 3) for i in range(5)]
    assert ratings.agreement(one, "helpfulness", 100, 1) == {"alpha": None, "low": None, "high": None, "units": 0}
