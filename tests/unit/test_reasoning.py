"""Reasoning is taken off an answer; what only speaks of it stays."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relearn.reasoning import take_off_reasoning

ANSWERS = {
    "paired": ("<think>\nTwo and two.\n</think>\n\nFour.", "Four."),
    "an end alone": ("Two and two.\n</think>\nFour.", "Four."),
    "an end alone, on the line": ("So it is four.</think>Four.", "Four."),
    "empty": ("<think>\n\n</think>\n\nFour.", "Four."),
    "no end": ("<think>\nTwo and", ""),
    "another name": ("<thinking>Hm.</thinking> Four.", "Four."),
    "upper case": ("<THINK>Hm.</THINK>\nFour.", "Four."),
    "brackets": ("[THINK]Hm.[/THINK]Four.", "Four."),
    "lozenges": ("◁think▷Hm.◁/think▷Four.", "Four."),
    "twice": ("<think>a</think>Five?<think>b</think>Four.", "Four."),
    "after a greeting": ("Sure.\n<think>a</think>\nFour.", "Four."),
    "at the end": ("Four.\n<think>Was it right?</think>", "Four."),
    "channels": (
        "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>Four.<|return|>",
        "Four.",
    ),
    "channels without their tokens": ("analysisTwo and two.assistantfinalFour.", "Four."),
    "indented code": ("<think>a</think>\n\n    return 4\n", "    return 4"),
    "a fence inside": ("<think>\n```python\nx = 5\n```\n</think>\n```python\nx = 4\n```", "```python\nx = 4\n```"),
    "a cut fence inside": ("<think>\n```python\nx = 5\n</think>\nFour.", "Four."),
    "an answer's tags": ("<think>a</think>\n<answer>Four.</answer>", "Four."),
    "an answer's tag ends it": ("<think>\na\n<answer>Four.</answer>", "Four."),
    "its tag named inside": ("<think>\nI close with `</think>` later.\n</think>\nFour.", "Four."),
}
TEXTS = [
    "Four.",
    "a < b and b > c",
    "Models write <think> before they answer.",
    "Wrap it in `<think>` and `</think>`.",
    'clean = re.sub(r"<think>.*?</think>", "", text)',
    "```python\nSTART, END = '<think>', '</think>'\n```",
    "```xml\n<think>\nno\n</think>\n```",
    "I think, therefore I am.",
    "<answer>Four.</answer>",
    "<details><summary>More</summary>Four.</details>",
    "",
]


@pytest.mark.parametrize("name", ANSWERS)
def test_reasoning_is_taken_off(name: str) -> None:
    given_text, answer = ANSWERS[name]
    assert take_off_reasoning(given_text) == (answer, True)


@pytest.mark.parametrize("text", TEXTS)
def test_other_text_is_untouched(text: str) -> None:
    assert take_off_reasoning(text) == (text, False)


@given(st.text(st.sampled_from("ab <>/`\n\"'think"), max_size=60))
def test_what_is_left_holds_none_and_is_part_of_the_text(text: str) -> None:
    answer, found = take_off_reasoning(text)
    assert answer in text
    assert found or answer == text
    assert not answer.strip() or not answer.lstrip().startswith("<think>") or not found
