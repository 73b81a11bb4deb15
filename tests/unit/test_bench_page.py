"""docs/benchmarks.md is made from JSON: every row has its ratio, and what was not run says why."""

from __future__ import annotations

import json
import platform
from pathlib import Path

from bench import all as every
from bench import scale
from bench.machine import describe_machine

FOUND = {
    "generation": {
        "ways": {
            "relearn": [{"requests": 5000, "seconds": 25.0, "whole_share": 0.9}] * 3,
            "bare": [{"requests": 5000, "seconds": 25.0, "whole_share": 0.9}],
            "one-by-one": [{"requests": 100, "seconds": 31.0, "whole_share": 0.9}],
        },
        "reasons": {"distilabel": "cannot be installed: no such version"},
    },
    "repair_fidelity": {
        "texts": 20000,
        "repair": {"all": {"exact": 99, "recoverable": 100}},
        "json_repair": {"all": {"exact": 66, "recoverable": 100, "wrong": 7}},
    },
    "scoring": {"seconds": {"relearn": 10, "original": 55, "with_intervals": 20}, "ratio": 5.5, "answers": 2034},
}


def write(folder: Path) -> None:
    for name, value in FOUND.items():
        (folder / f"{name}.json").write_text(json.dumps(value))


def test_the_page_has_ratios_and_reasons(tmp_path: Path) -> None:
    write(tmp_path)
    text = every.page(tmp_path, {"tuning": "No module named trl"})
    assert "| generation, the one-by-one loop | 200 requests/s, 90% of the ideal | 3 requests/s | 62.0 |" in text
    assert (
        "distilabel 1.5.3 | 200 requests/s, 90% of the ideal | not run: cannot be installed: no such version | – |"
        in text
    )
    assert "| repair, json_repair (20,000 broken texts): fields exact | 99.00% | 66.00% | 1.50 |" in text
    assert "| scoring of 2,034 answers, the original's way | 10.0 s | 55.0 s | 5.5 |" in text
    assert "| tuning | not run: No module named trl | | – |" in text
    assert "| decoding | not run: nothing in bench/out/ | | – |" in text
    for row in every.ROWS:
        assert f"| {row.name} | `python -m " in text


def test_the_table_scale_names_the_machine_that_it_is_of(tmp_path: Path) -> None:
    runs = [{"rows": 1000, "seconds": 1.25, "peak_mb": 51}]
    (tmp_path / "scale.json").write_text(json.dumps({"machine": "an abacus", "parts": {"prepare": {"runs": runs}}}))
    text = every.page(tmp_path, {})
    assert "## Scale\n\nMachine: an abacus.\n\n| part | 1,000 rows |" in text
    assert "\n| prepare | 1.2 s, 51 MB | – | – |\n" in text


def test_no_host_is_named() -> None:
    assert platform.node() not in describe_machine().replace(platform.machine(), "")


def test_growth_is_fitted_from_the_second_size_on() -> None:
    runs = [
        {"rows": rows, "seconds": seconds, "peak_mb": 50 + rows // 1000}
        for rows, seconds in ((1000, 9.0), (10_000, 1.0), (100_000, 10.0), (1_000_000, 100.0))
    ]
    assert scale.growth(runs) == {"exponent": 1.0, "mb_a_1000_rows": 1.0}
    lines = list(scale.table({"repair": {"runs": runs, **scale.growth(runs)}}))
    assert lines[2].endswith("| 100.0 s, 1,050 MB | rows^1.00 | 1.00 MB |")


def test_several_processes_have_a_line_that_says_how_many_times_faster_they_are() -> None:
    alone = {"rows": 1_000_000, "seconds": 212.5, "peak_mb": 1116}
    together = {"rows": 1_000_000, "seconds": 106.25, "peak_mb": 1500, "times_faster": 2.0}
    found = {"repair": {"runs": [alone]}, "repair, 2 processes": {"runs": [together]}}
    assert list(scale.table(found))[2:] == [
        "| repair | 212.5 s, 1,116 MB | – | – |",
        "| repair, 2 processes | 106.2 s, 1,500 MB, 2.00 times faster | – | – |",
    ]
