"""The figures: the same bytes twice, no colour of their own, nothing that leaks into the page."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from relearn.report.figures import Spot, Stream, draw_flow, draw_learn_forget, draw_losses

SPOTS = [
    Spot("base", "base", 0.9, (0.85, 0.95), 0.1, (0.05, 0.15)),
    Spot("2b", "tuned", 0.2, (0.1, 0.3), 0.6, (0.5, 0.7)),
    Spot("2c", "replayed", 0.88, None, 0.12, None),
]
CURVE = [{"step": 0.0, "code": 0.1, "reviews": 3.0}, {"step": 50.0, "code": 1.0, "reviews": None}]


def drawn() -> dict[str, str]:
    return {
        "learn_forget": draw_learn_forget(SPOTS, "old", "new"),
        "losses": draw_losses(
            {"2b": CURVE, "2c": CURVE}, ["code", "reviews", "general"], {"2b": "tuned", "2c": "replayed"}
        ),
        "flow": draw_flow("10 texts in 5 replies", [Stream("kept", 8, "good"), Stream("refused", 2, "bad")]),
    }


def test_the_same_numbers_give_the_same_bytes() -> None:
    assert drawn() == drawn()


@pytest.mark.parametrize("name", ["learn_forget", "losses", "flow"])
def test_a_figure_is_well_formed_and_takes_its_colours_from_the_page(name: str) -> None:
    text = drawn()[name]
    ElementTree.fromstring(text)
    assert "<style" not in text
    assert "var(--ink)" in text
    assert not set(re.findall(r"#[0-9a-fA-F]{6}\b", text)) - {"#000000"}
    assert "Date" not in text


def test_the_points_carry_the_models_names_and_the_figure_its_counts() -> None:
    found = drawn()
    assert all(f">{name}<" in found["learn_forget"] for name in ("base", "2b", "2c"))
    assert "8  kept" in found["flow"]


def test_an_empty_run_is_drawn_too() -> None:
    ElementTree.fromstring(draw_losses({}, [], {}))
    ElementTree.fromstring(draw_flow("nothing", []))
