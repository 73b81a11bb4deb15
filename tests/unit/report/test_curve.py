"""The learn-forget curve in table, page and plot says what was measured, and names the part that keeps a limit."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from relearn.report import curve
from relearn.report.analysis import analyse
from relearn.report.page import render, render_curve
from tests.unit.report import made
from tests.unit.report.material import material

STOPPED = {"factor": 1, "task": "code", "clusters": 40, "ratio": 0.12, "low": 0.08, "high": 0.2}
HELD = {"most_lost": 0.05, "factor": 0.5, "stopped": STOPPED}


def test_the_table_has_a_row_a_factor_new_skills_first() -> None:
    text = curve.markdown(made.curve(), made.WORDS)
    lines = text.splitlines()
    assert [part.strip() for part in lines[0].split("|")[1:-1]] == [
        "λ",
        "replying to reviews: bits per byte ↓, learned",
        "writing code: bits per byte ↓, lost",
        "general instructions: bits per byte ↓, lost",
    ]
    assert re.search(r"\| 0 \(base\) +\| 2\.000 \[1\.900, 2\.100\] +\|", lines[2])
    assert re.search(r"\| 0\.5 .*1\.000 \[0\.900, 1\.100\]; 83%.*2\.020.*; \+0\.020 \[\+0\.010, \+0\.030\]", lines[3])
    assert "| 1 (2b)" in lines[4]


def test_a_limit_is_said_with_the_command_that_writes_the_model() -> None:
    said = curve.say_limit(made.curve(HELD), made.WORDS)
    assert said is not None
    assert said.startswith("λ = 0.5 is the largest proven to lose at most 5.0% of base's bits per byte")
    assert "At λ = 1 that is not proven for writing code, which loses +12.0% [+8.0%, +20.0%]." in said
    assert said.endswith("`python -m stages.export --scale 0.5` writes that model.")
    assert "too few" not in said
    nothing = curve.say_limit(made.curve(HELD | {"factor": 0.0, "stopped": STOPPED | {"clusters": 3}}), made.WORDS)
    assert nothing is not None
    assert nothing.startswith("No λ tried is proven")
    assert "Its 3 clusters of prompts are too few to prove anything" in nothing
    assert "export" not in nothing
    every = curve.say_limit(made.curve({"most_lost": 0.5, "factor": 1.5, "stopped": None}), made.WORDS, "x {factor}")
    assert every is not None
    assert every.endswith("every old skill. `x 1.5` writes that model.")
    assert curve.say_limit(made.curve(), made.WORDS) is None


def test_page_and_advice_have_the_curve_where_there_is_one() -> None:
    without = render(material(), analyse(made.intervals(), made.probes(), made.WORDS))
    assert "What a part of the change keeps" not in without
    intervals = made.intervals() | {"curve": made.curve(HELD)}
    analysis = analyse(intervals, made.probes(), made.WORDS)
    assert analysis.advice[0] == curve.say_limit(made.curve(HELD), made.WORDS)
    page = render(material(intervals=intervals), analysis)
    figure = page[page.index("<svg", page.index('id="parts"')) :]
    figure = figure[: figure.index("</svg>") + 6]
    ElementTree.fromstring(figure)
    assert ">λ 0.5<" in figure
    assert ">general instructions<" in figure
    assert "<code>python -m stages.export --scale 0.5</code>" in page
    plain = analyse(made.intervals() | {"curve": made.curve()}, made.probes(), made.WORDS)
    assert "eval_3a.most_lost" in plain.advice[-1]
    assert "<svg" in render_curve(made.curve(HELD), made.WORDS, "relearn scale mine {factor} OUT")
