"""Reading probes, and what is said about a wrong one."""

from __future__ import annotations

from pathlib import Path

import pytest

from relearn.errors import InputError
from relearn.evaluation import probes

GOOD = """\
- id: poem
  kind: poem
  instruction: Write a poem.
  check: {type: verse, lines: 4}
- id: code
  kind: function
  instruction: Write add_seven.
  check:
    - {type: function, name: add_seven, tests: ["assert add_seven(1) == 8"]}
    - {type: contains, all: [return]}
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "probes.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_good_probes(tmp_path: Path) -> None:
    first, second = probes.read(write(tmp_path, GOOD))
    assert (first.id, len(first.check)) == ("poem", 1)
    assert [check.type for check in second.check] == ["function", "contains"]


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        ("  check: {type: verse, lines: 4}\n", "", "probe poem: no check; add one of case, choice"),
        ("type: verse", "type: rhyme", "probe poem: unknown check 'rhyme'; the known types are case, choice"),
        ("lines: 4", "lines: 4, rhymes: true", "probe poem: check verse: unknown key rhymes"),
        ("lines: 4", "lines: four", "probe poem: check verse: lines: "),
        (", lines: 4", "", "probe poem: check verse: lines is missing"),
        ("all: [return]", "all: []", "probe code: check contains: give `all` or `any`"),
        ("id: code", "id: poem", "probe poem: this id is used twice"),
        ("- id: poem\n  kind", "- kind", "probe number 1: id is missing"),
        ("  kind: poem\n", "  kind: poem\n  answer: 3\n", "probe poem: unknown key answer"),
        ("check: {type: verse, lines: 4}", "check: verse", "probe poem: unknown check 'verse'"),
        ("- id: poem", "- id: [poem", "not YAML"),
        ("name: add_seven", "name: add seven", "probe code: check function: name: "),
    ],
)
def test_wrong_probes_are_named(tmp_path: Path, old: str, new: str, wanted: str) -> None:
    path = write(tmp_path, GOOD.replace(old, new, 1))
    with pytest.raises(InputError) as caught:
        probes.read(path)
    assert str(path) in str(caught.value)
    assert wanted in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_empty_and_too_many(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        probes.read(tmp_path / "none.yaml")
    with pytest.raises(InputError, match="expected a list of probes"):
        probes.read(write(tmp_path, ""))
    row = "- {id: p%d, kind: k, instruction: i, check: {type: sentences}}\n"
    assert len(probes.read(write(tmp_path, "".join(row % i for i in range(1000))))) == 1000
    with pytest.raises(InputError, match="1001 probes, more than 1000"):
        probes.read(write(tmp_path, "".join(row % i for i in range(1001))))


def test_shipped_probes_read() -> None:
    root = Path(__file__).resolve().parents[3]
    files = sorted((root / "data" / "sources").glob("*/probes.yaml"))
    assert files
    for path in files:
        assert len(probes.read(path)) == 10
