"""Judgements come to win rates and to figures on the judge, and both are what the rules say."""

from __future__ import annotations

import pytest

from bench import judge_coverage
from relearn.evaluation import judged
from relearn.evaluation.judged import join_orders, measure
from relearn.evaluation.models import Evaluation
from relearn.records import Judgement
from relearn.report import judgements
from relearn.report.page import render
from tests.unit.report.material import material

PAIRS = [("a", "b")]
WON, LOST = ("second", "first"), ("first", "second")  # for b: what the two orders said, a shown first, then b


def said(
    *verdicts: tuple[str | None, str | None], lengths: tuple[int, int] = (10, 10), asked: bool = True
) -> list[Judgement]:
    """Judgements of as many prompts, each in both orders."""
    return [
        Judgement(
            id=f"p{number}", task="talk", group=f"g{number // 2}", first=first, second=second, first_chars=one,
            second_chars=other, better=better, reason=None if better else "no_verdict", content="…",  # type: ignore[arg-type]
            request="asked" if asked else None,
        )
        for number, verdict in enumerate(verdicts)
        for (first, second), (one, other), better in zip((("a", "b"), ("b", "a")), (lengths, lengths[::-1]), verdict, strict=True)
    ]  # fmt: skip


def measured(*verdicts: tuple[str | None, str | None], lengths: tuple[int, int] = (10, 10), asked: bool = True) -> dict:  # type: ignore[type-arg]
    return measure(join_orders(said(*verdicts, lengths=lengths, asked=asked), PAIRS), PAIRS)


@pytest.mark.parametrize(
    ("verdict", "value", "consistent"),
    [
        (WON, 1.0, 1.0),
        (LOST, 0.0, 1.0),
        (("tie", "tie"), 0.5, 1.0),
        (("first", "first"), 0.5, 0.0),
        (("second", "second"), 0.5, 0.0),
        (("second", "tie"), 0.5, 0.0),
        (("tie", "second"), 0.5, 0.0),
        ((None, "first"), 0.5, None),
        ((None, None), 0.5, None),
    ],
)
def test_a_win_needs_both_orders_and_everything_else_is_one_half(
    verdict: tuple[str | None, str | None], value: float, consistent: float | None
) -> None:
    found = measured(*[verdict] * 8)
    won = found["wins"][0]
    assert won["value"] == value
    assert found["consistency"]["value"] == consistent
    # no judgement is so sure that there is nothing left to doubt
    assert won["low"] <= value <= won["high"]
    assert won["high"] - won["low"] > 0.1


def test_the_figures_on_the_judge() -> None:
    found = measured(
        WON,
        LOST,
        ("first", "first"),
        ("first", "first"),
        ("second", "second"),
        ("first", "tie"),
        ("tie", "tie"),
        (None, "first"),
    )
    # 6 pairs decided twice or once: 2 + 2 + 1 + 1 more often first, 2 more often second, of 2+2+2+2+2+1+1 decisions
    assert found["first_preference"]["value"] == pytest.approx(((2 + 2 + 1 + 1) - 2) / (2 * 12), abs=1e-4)
    assert found["first_preference"]["number"] == 12
    assert found["consistency"] | {"low": 0, "high": 0} == {"value": round(3 / 7, 4), "low": 0, "high": 0, "number": 7}
    assert found["ties"]["value"] == round(3 / 15, 4)
    assert found["unreadable"] == {"no_verdict": 1}
    assert (found["wins"][0]["won"], found["wins"][0]["lost"], found["wins"][0]["unreadable"]) == (1, 1, 1)
    assert found["warnings"] == ["1 of 16 judgements cannot be read (6%) and count as one half"]


def test_equal_answers_count_one_half_and_say_nothing_of_the_judge() -> None:
    found = measured(*[("tie", "tie")] * 4, asked=False)
    assert (found["wins"][0]["value"], found["wins"][0]["equal"], found["judgements"]) == (0.5, 4, 0)
    assert found["consistency"] == found["ties"] == {"value": None, "low": None, "high": None, "number": 0}


def test_win_rates_by_length() -> None:
    long = [j.model_copy(update={"id": f"long-{j.id}"}) for j in said(WON, WON, LOST, lengths=(100, 200))]
    short = [j.model_copy(update={"id": f"short-{j.id}"}) for j in said(LOST, lengths=(200, 100))]
    found = measure(join_orders([*long, *short, *said(WON)], PAIRS), PAIRS)
    by_length = {name: (figure["value"], figure["number"]) for name, figure in found["wins"][0]["by_length"].items()}
    assert by_length == {"shorter": (0.0, 1), "alike": (1.0, 1), "longer": (0.6667, 3)}
    assert (found["longer_wins"]["value"], found["longer_wins"]["number"]) == (0.75, 4)


def test_verdicts_join_the_results_and_nothing_does_without_any() -> None:
    found = Evaluation({"a": {}, "b": {}}, {}, {}, [], [])
    judged.join(found, [], PAIRS, None)
    assert found == Evaluation({"a": {}, "b": {}}, {}, {}, [], [])
    judged.join(found, join_orders(said(WON, WON, LOST), PAIRS), PAIRS, None)
    assert found.points == {"a": {}, "b": {"judge": {"over_a": 0.6667}}}
    text = judgements.markdown(found.intervals["judge"])
    assert "| b over a | 0.667 [" in text
    assert "| 2, 1, 0 " in text
    assert judgements.markdown(None) == ""


def test_the_page_has_a_section_where_there_are_verdicts_and_else_none() -> None:
    from relearn.report.analysis import analyse

    plain = material()
    analysis = analyse(plain.intervals, plain.probes, plain.words)
    assert 'id="judge"' not in render(plain, analysis)
    people = {
        "pairs": 3,
        "raters": 2,
        "alpha": 0.5,
        "low": 0.1,
        "high": 0.9,
        "people": {"alpha": None, "low": None, "high": None},
    }
    given = material(intervals={**plain.intervals, "judge": {**measured(WON, LOST, ("first", None)), "people": people}})
    page = render(given, analysis)
    assert 'id="judge"' in page
    assert "b over a" in page
    assert "α 0.50 [0.10, 0.90]" in page


@pytest.mark.slow
@pytest.mark.parametrize("shape", ["200 clusters of 1", "60 clusters of 1 to 5"])
@pytest.mark.parametrize("name", list(judge_coverage.JUDGES))
def test_intervals_cover_what_the_rule_gives_in_expectation(name: str, shape: str) -> None:
    found = judge_coverage.cover(
        judge_coverage.JUDGES[name], judge_coverage.SHAPES[shape], 1000, random=name == "random"
    )
    assert 0.93 <= found["win_rate covered"] <= 0.975, found
    assert 0.93 <= found["first_preference covered"] <= 0.975, found
