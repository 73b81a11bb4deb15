"""The page's HTML: whole, the same twice, in the order asked for, and harmless whatever a model wrote."""

from __future__ import annotations

import re
from dataclasses import replace

from relearn.evaluation.roles import ScoredTask
from relearn.report.analysis import analyse
from relearn.report.page import Material, environment, render
from tests.unit.report import made
from tests.unit.report.material import material, rows


def page(source: Material) -> str:
    return render(source, analyse(source.intervals, source.probes, source.words))


def test_two_runs_give_the_same_bytes() -> None:
    assert page(material()) == page(material())


def test_it_is_one_file_that_asks_for_nothing() -> None:
    text = page(material())
    assert len(text.encode()) < 3_000_000
    assert not re.search(r'(?:src|href)="(?!#|rate\.html")', text)
    assert "http" not in re.sub(r'http-equiv|xmlns(?::xlink)?="http[^"]+"', "", text)
    assert "@import" not in text
    assert "url(http" not in text


def test_sections_come_in_the_order_a_reader_needs() -> None:
    places = [
        page(material()).index(f'id="{name}"')
        for name in ("todo", "trade", "table", "curves", "probes", "repair", "cost", "facts")
    ]
    assert places == sorted(places)


def test_every_id_is_there_once() -> None:
    ids = re.findall(r'\bid="([^"]+)"', page(material()))
    assert len(ids) == len(set(ids))
    assert len(ids) > 50


def test_model_output_stays_text() -> None:
    text = page(material(hostile=True))
    assert "<script>window.pwned" not in text
    assert "&lt;script&gt;window.pwned" in text
    assert text.count("<style>") == 1
    assert 'onerror="' not in text
    assert "\u202e" not in text
    assert "⟨U+202E⟩" in text
    assert "⟨U+D800⟩" in text
    text.encode()  # no lone surrogate is left


def test_loops_are_marked() -> None:
    text = page(material())
    assert 'The sea is cold. <mark class="repeat">The sea is cold. The sea is cold.</mark>' in text


def cells(text: str) -> dict[str, list[str]]:
    """The first screen's table: by skill what is said of each round, without marks."""
    body = text.split('<table class="outcome">')[1].split("</table>")[0]
    rows = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.S) for row in body.split("<tr>")[2:]]
    plain = [[" ".join(re.sub("<[^>]+>", " ", cell).split()) for cell in row] for row in rows]
    return {name: rest for name, *rest in plain}


def test_the_first_screen_says_what_was_lost_and_how_sure() -> None:
    text = page(material())
    assert "<h1>Fine-tuning cost 67% of writing code and 75% of general instructions</h1>" in text
    found = cells(text)
    assert found["writing code old, replayed"] == [
        "lost 67% (61% to 72%) CodeBLEU 0.900 → 0.300", "92% back (83% to 100%) CodeBLEU 0.300 → 0.850",
    ]  # fmt: skip
    assert found["replying to reviews new"] == [
        "learned ROUGE-L 0.100 → 0.600", "part lost again ROUGE-L 0.600 → 0.400",
    ]  # fmt: skip
    first = text[text.index('class="first"') : text.index('id="table"')]
    assert "The claim is about these checkpoints" in first
    assert 'id="todo"' in first
    assert 'id="trade"' in first


def test_the_first_screen_claims_nothing_where_nothing_is_shown() -> None:
    intervals = made.intervals(half=0.9)
    text = page(material(intervals=intervals, rows=rows(intervals)))
    assert "<h1>No loss of other skills can be shown</h1>" in text
    for said in cells(text).values():
        assert all(cell.startswith("no change shown under 1.260 could hide") for cell in said)


def test_more_than_was_lost_is_back_without_a_share_above_one() -> None:
    def told(half: float) -> str:
        intervals = made.intervals(half, code={"codebleu": (0.6, 0.3, 0.7)}, reviews=made.REVIEWS)
        return cells(page(material(intervals=intervals, rows=rows(intervals))))["writing code old, replayed"][1]

    assert told(0.02) == "all back , better than base CodeBLEU 0.300 → 0.700"
    assert told(0.15) == "back (83% to 183%) CodeBLEU 0.300 → 0.700"


def test_warnings_are_one_line_with_the_details_behind_it() -> None:
    source = material()
    source.intervals["warnings"] += ["code: 9 prompts", "code: 8 answers cut", "general: 7 prompts"]
    text = page(source)
    assert "<strong>Three warnings</strong> on code and general</summary>" in text
    assert "<li>code: 8 answers cut.</li>" in text
    source.intervals["warnings"][1:] = []
    assert "<strong>One warning</strong> on code</summary>" in page(source)


def test_cells_show_their_interval_below_and_say_their_mark() -> None:
    read = environment().filters["cell"]
    assert read("0.265 [0.246, 0.288] ▼") == (
        '0.265 <span class="worse"><span aria-hidden="true">▼</span><span class="hidden">significantly worse</span></span>'
        '<span class="small ends">0.246 to 0.288</span>'
    )
    assert read("1.000 [0.900, 1.100]; 83%") == (
        '<div>1.000<span class="small ends">0.900 to 1.100</span></div><div>83%</div>'
    )
    assert read("<b> [x]") == "&lt;b&gt; [x]"


def test_single_skills_are_on_the_page_with_those_that_are_not_measured() -> None:
    share = {"value": 0.5, "low": 0.3, "high": 0.7}
    lost = [{"after": "2b", "kind": "forgetting", "value": 0.4, "low": 0.2, "high": 0.6, "p_holm": 0.01}]
    known = {
        "about": "sums",
        "items": 40,
        "status": "measured",
        "reason": "",
        "models": dict.fromkeys(made.MODELS, share),
    }
    never = {"about": "verse", "items": 9, "status": "not measured", "reason": "no bubblewrap"}
    suite = {
        "models": list(made.MODELS), "mean": None, "answers": [],
        "skills": {"sums": known | {"comparisons": lost}, "verse": never},
    }  # fmt: skip
    text = page(
        material(
            suites={"suite": suite},
            words=replace(made.WORDS, tasks=[*made.TASKS, ScoredTask("suite", "watched", ("checks",))]),
        )
    )
    part = text[text.index('id="skills"') :].split("<h2")[0]
    assert '<th scope="row">sums</th><td>40</td><td>50%<span class="small ends">30% to 70%</span></td>' in part
    assert part.count("significantly worse") == 1
    assert "suite: 1 of 2 skills are not measured" in part
    assert part.count("<tr>") == 2
    assert "<li>verse: not measured: no bubblewrap</li>" in part


def test_a_judges_win_rates_are_shown_like_the_scores() -> None:
    figure = {"value": 0.6, "low": 0.5, "high": 0.7}
    lengths = dict.fromkeys(("shorter", "alike", "longer"), figure)
    won = {
        "before": "base",
        "after": "2b",
        "number": 10,
        "won": 6,
        "lost": 4,
        "by_length": lengths,
        "by_task": {},
        **figure,
    }
    judge = {
        "wins": [won], "unreadable": {}, "pairs": 10, "asked": 9, "judgements": 18, "consistency": figure,
        "first_preference": figure, "ties": figure, "longer_wins": figure, "warnings": [], "people": None,
    }  # fmt: skip
    text = page(material(intervals=made.intervals() | {"judge": judge}))
    assert (
        '<th scope="row">2b over base</th><td>0.600<span class="small ends">0.500 to 0.700</span></td><td>6, 4, 0</td>'
        in text
    )
    assert "10 pairs of answers" in text


def test_the_scores_stand_in_it() -> None:
    text = page(material())
    assert ">0.800" in text
    assert "significantly worse" in text


def test_without_ratings_it_says_how_to_rate_and_with_them_shows_alpha() -> None:
    assert "No person has rated" in page(material())
    source = material()
    source.intervals["human"] = {  # type: ignore[index]
        "ratings": 30,
        "raters": 2,
        "agreement": {"helpfulness": {"alpha": 0.61, "low": 0.4, "high": 0.8, "units": 15}},
    }
    score = {"task": "human", "metric": "helpfulness", "value": 4.1, "low": 3.5, "high": 4.6, "mark": ""}
    scores = [{"model": model, **score} for model in ("base", "2b", "2c")]
    text = page(material(intervals=source.intervals, rows=[*source.rows, *scores]))
    assert "30 ratings by 2 people" in text
    assert "helpfulness 0.61 (95% interval 0.40 to 0.80)" in text
    assert "No person has rated" not in text


def test_all_tasks_pooled_have_their_table() -> None:
    source = material()
    source.intervals["pooled"] = {"items": 668, "clusters": 199}
    score = {"task": "pooled", "metric": "rouge_l", "value": 0.4, "low": 0.3, "high": 0.5, "mark": ""}
    scored = [*source.rows, *({"model": model, **score} for model in ("base", "2b", "2c"))]
    text = page(material(intervals=source.intervals, rows=scored))
    assert "judge by the single tasks. 668 prompts in 199 clusters" in text
