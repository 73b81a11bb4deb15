"""Reading a suite of skills and drawing from it, and what is said about a wrong one."""

from __future__ import annotations

from pathlib import Path

import pytest

from relearn.errors import InputError
from relearn.evaluation.suite import make_rows, read_skill, read_suite

GOOD = """\
name: weather
about: talking about the weather
max_new_tokens: 40
items:
  - id: rain
    instruction: What falls from grey clouds?
    check: {type: mentions, words: [rain]}
    answer: Rain.
  - id: snow
    cluster: winter
    messages:
      - {role: system, content: Answer in capitals.}
      - {role: user, content: What is white and cold?}
    check: [{type: case, letters: upper}, {type: matches, pattern: "SNOW|ICE"}]
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "weather.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_skill_is_read_and_becomes_rows(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    rows, items = make_rows(read_suite(tmp_path), "skills", None, 1)
    first, second = rows
    assert (first.id, first.group, first.instruction, first.response) == (
        "skills-weather-rain", "weather/rain", "What falls from grey clouds?", "Rain.",
    )  # fmt: skip
    assert (second.group, [turn.role for turn in second.prompt], second.response) == (
        "weather/winter", ["system", "user"], "",
    )  # fmt: skip
    assert [item.id for item in items] == [row.id for row in rows]
    assert (items[0].max_new_tokens, items[0].skill, items[0].task) == (40, "weather", "skills")
    assert items[1].checks[1] == {"type": "matches", "pattern": "SNOW|ICE"}


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        ("name: weather", "name: rain", "name: expected the file's own name, weather"),
        ("about: talking about the weather\n", "", "about is missing"),
        ("max_new_tokens: 40", "tokens: 40", "unknown key tokens"),
        ("    check: {type: mentions, words: [rain]}\n", "", "item rain: no check"),
        ("type: mentions", "type: eval", "item rain: unknown check 'eval'"),
        ("letters: upper", "letters: huge", "item snow: check case: letters: "),
        ("SNOW|ICE", "SNOW(", "item snow: check matches: pattern: not a regular expression"),
        ("id: snow", "id: rain", "item rain: this id is used twice"),
        ("id: rain", "id: a rain", "id: "),
        ("instruction: What falls from grey clouds?", "instruction: 7", "item rain: instruction: expected a text"),
        ("    instruction: What falls from grey clouds?\n", "", "item rain: expected either instruction or messages"),
        ("role: user", "role: assistant", "the user is last"),
        ("content: Answer in capitals.", "content: ' '", "a message is empty"),
        ("answer: Rain.", "score: 1", "item rain: unknown key score"),
        ("items:", "items: []\nrows:", "expected name, about and a list of items"),
        ("- id: rain", "- id: [rain", "not YAML"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, old: str, new: str, wanted: str) -> None:
    path = write(tmp_path, GOOD.replace(old, new, 1))
    with pytest.raises(InputError) as caught:
        read_skill(path)
    assert str(path) in str(caught.value)
    assert wanted in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_without_skills_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no \.yaml file"):
        read_suite(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        read_suite(tmp_path / "none")


def test_a_limit_takes_every_cluster_before_a_second_of_one(tmp_path: Path) -> None:
    items = "".join(
        f"  - {{id: i{n}, cluster: c{n // 5}, instruction: Say {n}., check: {{type: contains, any: ['{n}']}}}}\n"
        for n in range(20)
    )
    skill = read_skill(write(tmp_path, f"name: weather\nabout: numbers\nitems:\n{items}"))
    for limit in (4, 8):
        drawn = skill.draw(limit, 3)
        counts = [sum(item.cluster == f"c{n}" for item in drawn) for n in range(4)]
        assert counts == [limit // 4] * 4
    assert skill.draw(8, 3) == skill.draw(8, 3) != skill.draw(8, 4)
    assert [item.id for item in skill.draw(8, 3)] == sorted(
        (item.id for item in skill.draw(8, 3)), key=lambda i: int(i[1:])
    )
    assert len(skill.draw(99, 3)) == len(skill.draw(None, 3)) == 20
