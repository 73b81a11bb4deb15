"""The page's HTML: whole, the same twice, in the order asked for, and harmless whatever a model wrote."""

from __future__ import annotations

import re

from relearn.report.analysis import analyse
from relearn.report.page import Material, render
from tests.unit.report.material import material


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
        for name in ("table", "trade", "curves", "matrix", "probes", "repair", "cost", "facts")
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


def test_the_finding_and_the_scores_stand_in_it() -> None:
    text = page(material())
    assert "CodeBLEU 0.900 → 0.300" in text
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
    rows = [*source.rows, *({"model": model, **score} for model in ("base", "2b", "2c"))]
    text = page(material(intervals=source.intervals, rows=rows))
    assert "judge by the single tasks. 668 prompts in 199 clusters" in text
