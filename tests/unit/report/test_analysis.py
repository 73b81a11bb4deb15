"""The analysis says what the intervals allow, and every number in it is in a metrics file."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from relearn.report.analysis import Analysis, analyse
from tests.unit.report import made

NUMBER = re.compile(r"[+−]?\d[\d,]*(?:\.\d+)?%?")
# Figures that name a thing: the models, the table and the probe, pass@1, the confidence in "95% interval".
NAMES = re.compile(r"\b2[bc]\b|\b3[ab]\b|pass@1|95% interval|`[^`]*`")


def found_in(document: Any, pointer: str) -> Any:
    """The value at an RFC 6901 pointer, read here without the library."""
    for step in pointer.split("/")[1:]:
        step = step.replace("~1", "/").replace("~0", "~")
        document = document[int(step)] if isinstance(document, list) else document[step]
    return document


def spelled(form: str, value: float) -> str:
    """What a form shows of a value, written down a second time."""
    sign = "−" if value < 0 else ""
    size = abs(value)
    return {
        "count": f"{size:,.0f}",
        "score": f"{sign}{size:.3f}",
        "change": f"{size:.3f}",
        "signed": f"{sign or '+'}{size:.3f}",
        "share": f"{sign}{size * 100:.0f}%",
    }[form]


def without_quotes(markdown: str) -> str:
    """The text without what models and probes wrote: code blocks, quotes, titles of probes, quoted names."""
    text = re.sub(r"^(`{3,})\n.*?^\1$", "", markdown, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"^(> |#).*$|^\w+ \((?:as|not as) asked.*\):$", "", text, flags=re.MULTILINE)
    return NAMES.sub("", re.sub("“[^”]*”", "", text))


def check_numbers(analysis: Analysis, documents: dict[str, Any]) -> int:
    """Every number of the text, in order, is a citation whose place holds that value. Returns how many there are."""
    written = NUMBER.findall(without_quotes(analysis.markdown))
    assert written == [citation.text for citation in analysis.citations]
    for citation in analysis.citations:
        file, _, pointer = citation.place.partition("#")
        assert citation.text == spelled(citation.form, found_in(documents[file], pointer)), citation
    return len(written)


def documents(intervals: dict[str, Any], probes: dict[str, Any]) -> dict[str, Any]:
    return {"metrics/intervals.json": intervals, "metrics/probe_3b.json": probes}


@pytest.mark.parametrize("half", [0.001, 0.05, 0.3, 0.9])
def test_every_number_stands_in_a_metrics_file(half: float) -> None:
    intervals, probes = made.intervals(half), made.probes()
    assert check_numbers(analyse(intervals, probes, made.WORDS), documents(intervals, probes)) > 40


def test_the_check_sees_a_number_from_nowhere() -> None:
    intervals, probes = made.intervals(), made.probes()
    analysis = analyse(intervals, probes, made.WORDS)
    forged = replace(analysis, markdown=analysis.markdown.replace("0.300", "0.310", 1))
    with pytest.raises(AssertionError):
        check_numbers(forged, documents(intervals, probes))


def test_clear_changes_are_told_with_their_intervals() -> None:
    text = analyse(made.intervals(), made.probes(), made.WORDS).markdown
    assert "CodeBLEU fell from 0.900 to 0.300, by 0.600 (95% interval 0.550 to 0.650), significant" in text
    assert "ROUGE-L rose from 0.100 to 0.600, by 0.500 (95% interval 0.450 to 0.550), significant" in text
    assert "bits per byte (0.200 to 1.200)" in text  # a rise that is a loss
    assert "131 answers that were right in base are wrong in 2b, and 2 that were wrong are right" in text


def test_nothing_is_claimed_where_the_interval_holds_zero() -> None:
    analysis = analyse(made.intervals(half=0.9), made.probes(), made.WORDS)
    text = without_quotes(analysis.markdown)
    assert not re.search(r"\b(fell|rose|lost|brought [\d])", text.split("instructions that are in")[0])
    assert "no change can be shown" in text
    assert "price of replay" not in text
    assert "no loss of other skills can be shown" in analysis.finding
    assert not any("Do not ship" in point for point in analysis.advice)


def test_a_task_that_gained_is_not_told_as_a_loss() -> None:
    analysis = analyse(
        made.intervals(code={"codebleu": (0.3, 0.6, 0.7)}, reviews=made.REVIEWS), made.probes(), made.WORDS
    )
    assert "CodeBLEU rose from 0.300 to 0.600, by 0.300" in analysis.markdown
    assert "cost" not in analysis.finding


def test_recovery_says_whether_all_of_it_may_be_back() -> None:
    part = analyse(made.intervals(code={"codebleu": (0.9, 0.3, 0.6)}, reviews=made.REVIEWS), made.probes(), made.WORDS)
    assert "50% of the loss (42% to 58%): part of it is still missing" in part.markdown
    whole = analyse(
        made.intervals(code={"codebleu": (0.9, 0.3, 0.88)}, reviews=made.REVIEWS), made.probes(), made.WORDS
    )
    assert "the interval leaves room for all of it" in whole.markdown
    worse = analyse(made.intervals(code={"codebleu": (0.9, 0.3, 0.1)}, reviews=made.REVIEWS), made.probes(), made.WORDS)
    assert "the loss has grown" in worse.markdown
    assert "made writing code worse still" in worse.finding


def test_more_than_was_lost_is_told_as_better_than_base() -> None:
    def told(half: float, last: float) -> Analysis:
        found = made.intervals(half, code={"codebleu": (0.6, 0.3, last)}, reviews=made.REVIEWS)
        return analyse(found, made.probes(), made.WORDS)

    surely = told(0.02, 0.7)
    assert "2c is now better than base (CodeBLEU 0.600 → 0.700)" in surely.finding
    assert "more than was lost, so 2c is now better than base" in surely.markdown
    assert any("prefer 2c: in this run it is now better at it than base" in point for point in surely.advice)
    perhaps = told(0.15, 0.7)
    assert (
        "2c now scores above base (CodeBLEU 0.700 against 0.600; 95% interval of what came back 83% to 183%"
        in perhaps.finding
    )
    assert "the interval leaves room for less than all of it" in perhaps.markdown
    for analysis in (surely, perhaps, told(0.02, 0.5)):
        assert not re.search(r"won back 1\d\d%", analysis.finding)
    assert "now" not in told(0.02, 0.5).finding


def test_a_change_that_the_table_does_not_mark_is_not_claimed() -> None:
    found = made.intervals()
    for task in found["tasks"].values():
        for comparison in task["comparisons"]:
            comparison["p_holm"] = 0.06
    analysis = analyse(found, made.probes(), made.WORDS)
    assert analysis.finding == (
        "Fine-tuning (2b) changed nothing measurable in replying to reviews (ROUGE-L 0.100 → 0.600), and no loss of other skills can be shown."
    )
    assert "leaves out 0, but the paired test over all comparisons does not find it (p = 0.060" in analysis.markdown
    assert not re.search(r"\b(fell|rose|brought [\d])", without_quotes(analysis.markdown))
    assert not any(re.search("Do not ship|costs|repaired", point) for point in analysis.advice)


def test_a_new_skill_that_replay_did_not_surely_cost_is_not_told_as_lost() -> None:
    found = made.intervals()
    for comparison in found["tasks"]["reviews"]["comparisons"]:
        if comparison["kind"] == "recovery":
            comparison["p_holm"] = 0.2
    finding = analyse(found, made.probes(), made.WORDS).finding
    assert "won back" in finding
    assert "but lost" not in finding


def test_how_much_of_the_new_skill_is_lost_again_goes_by_what_was_learned() -> None:
    def told(last: float) -> Analysis:
        return analyse(
            made.intervals(code={"codebleu": (0.9, 0.3, 0.85)}, reviews={"rouge_l": (0.1, 0.6, last)}),
            made.probes(),
            made.WORDS,
        )

    for last, much in ((0.4, "part"), (0.3, "most")):
        analysis = told(last)
        assert f"but lost {much} of the new skill again (ROUGE-L 0.600 → {last:.3f})" in analysis.finding
        assert any(f"Replay costs {much} of the new skill" in point for point in analysis.advice)
    assert "but lost the new skill again (ROUGE-L 0.600 → 0.100)" in told(0.1).finding


CODE_ENDS = [(0.9, 0.3, 0.85), (0.9, 0.3, 0.95), (0.9, 0.3, 0.6), (0.9, 0.3, 0.3), (0.9, 0.88, 0.9)]


@pytest.mark.parametrize("code", CODE_ENDS)
@pytest.mark.parametrize("reviews", [(0.1, 0.6, 0.4), (0.1, 0.6, 0.1), (0.1, 0.6, 0.6)])
@pytest.mark.parametrize("general", [(0.8, 0.2, 0.3), (0.8, 0.78, 0.8), (0.8, 0.2, 0.8)])
def test_each_point_of_advice_is_an_item(
    code: tuple[float, float, float], reviews: tuple[float, float, float], general: tuple[float, float, float]
) -> None:
    found = made.intervals(code={"codebleu": code}, reviews={"rouge_l": reviews}, general={"rouge_l": general})
    for point in analyse(found, made.probes(), made.WORDS).advice:
        assert point.endswith(".")
        assert not re.search(r"[.:;] ?- ", point)


def test_code_in_replies_is_neither_gain_nor_loss() -> None:
    text = analyse(made.intervals(), made.probes(), made.WORDS).markdown
    assert "answers with code" not in text
    rate: made.Scores = {"codebleu": (0.9, 0.3, 0.8), "pass_at_1": (0.8, 0.2, 0.7)}
    found = made.intervals(code=rate)
    for comparison in found["tasks"]["code"]["comparisons"][2:]:
        comparison["metric"] = "code_rate"
    found["tasks"]["code"]["scores"]["code_rate"] = found["tasks"]["code"]["scores"]["pass_at_1"]
    assert (
        "Worse as well: the share of answers with code (0.800 to 0.200)"
        in analyse(found, made.probes(), made.WORDS).markdown
    )


def test_where_test_and_interval_differ_both_are_told() -> None:
    scores: made.Scores = {"rouge_l": (0.8, 0.2, 0.3), "exact_match": (0.5, 0.1, 0.14)}
    intervals = made.intervals(general=scores)
    doubted = intervals["tasks"]["general"]["comparisons"][3]
    assert doubted["low"] < 0 < doubted["high"]
    doubted["p_holm"] = 0.004
    analysis = analyse(intervals, made.probes(), made.WORDS)
    said = (
        "Exact match rose from 0.100 to 0.140 by the paired test (p = 0.004), but the interval of the change leaves "
        "room for none."
    )
    assert said in analysis.markdown
    assert "No change can be shown in exact match" not in analysis.markdown
    check_numbers(analysis, documents(intervals, made.probes()))


def test_the_spread_over_seeds_is_told_where_there_is_one() -> None:
    def spread(mean: float, number: int = 3) -> dict[str, Any]:
        return {"mean": mean, "sd": 0.02, "min": mean - 0.02, "max": mean + 0.02, "n": number}

    intervals = made.intervals(code=made.CODE, reviews=made.REVIEWS)
    intervals["seeds"] = {
        "seeds": [7, 1, 2],
        "number": 3,
        "tasks": {
            "code": {
                "2b": {"codebleu": spread(0.3), "forgotten": spread(0.6)},
                "2c": {"codebleu": spread(0.85), "recovered": spread(0.9, 2)},
            },
            "reviews": {
                "2b": {"rouge_l": spread(0.6)},
                "2c": {"rouge_l": spread(0.4), "backward_transfer": spread(-0.2)},
            },
        },
    }
    analysis = analyse(intervals, made.probes(), made.WORDS)
    assert "Both rounds were run with 3 training seeds" in analysis.markdown
    assert "- writing code, 2b: CodeBLEU 0.300 ± 0.020, 0.280 to 0.320; lost +0.600 ± 0.020" in analysis.markdown
    assert "share of the loss recovered +0.900 ± 0.020, +0.880 to +0.920 (2 seeds)." in analysis.markdown
    assert "change from 2b −0.200 ± 0.020" in analysis.markdown
    check_numbers(analysis, documents(intervals, made.probes()))
    assert "Over training seeds" not in analyse(made.intervals(), made.probes(), made.WORDS).markdown


def test_a_run_without_the_general_task_says_nothing_of_it() -> None:
    text = analyse(made.intervals(code=made.CODE, reviews=made.REVIEWS), made.probes(), made.WORDS).markdown
    assert "general" not in text


def test_best_and_worst_probe_stand_with_their_text() -> None:
    text = analyse(made.intervals(), made.probes(), made.WORDS).markdown
    assert "2b kept the one to the probe “poem” best and lost the one to “song” most." in text
    assert "I agree with you." in text
    assert "You are right." not in text
    none = made.probes(debate=(made.answer("?", False), made.answer("?", False), made.answer("?", False)))
    text = analyse(made.intervals(), none, made.WORDS).markdown
    assert "Base gave no good answer that could have been lost." in text
    lost = made.probes(poem=(made.answer("sea"), made.answer("?", False, 0.0), made.answer("sea")))
    text = analyse(made.intervals(), lost, made.WORDS).markdown
    assert "2b kept none of base's good answers; it lost the one to the probe “poem” most." in text
    kept = made.probes(poem=(made.answer("sea"), made.answer("sea"), made.answer("sea")))
    text = analyse(made.intervals(), kept, made.WORDS).markdown
    assert "2b lost none of base's good answers; it kept the one to the probe “poem” best." in text


def test_an_answer_with_fences_cannot_leave_its_block() -> None:
    output = "```\n# not a heading\n````\n<script>alert(1)</script>"
    given = made.probes(poem=(made.answer("sea"), made.answer(output, False, 0.0), made.answer("sea")))
    text = analyse(made.intervals(), given, made.WORDS).markdown
    assert f"`````\n{output}\n`````" in text
