"""The checks of numbers, labels, orders, patterns, forms and stances, on answers that do and answers that do not."""

from __future__ import annotations

import time
from typing import Any

import pytest

from relearn.errors import InputError
from relearn.evaluation.check_files import read_checks
from relearn.evaluation.checks import CheckSettings, check_answer
from relearn.sandbox.runner import ProgramLimits

SETTINGS = CheckSettings(ngram=4, loop_share=0.5, execute="off", limits=ProgramLimits(5, 512))
SIDES = {"type": "choice", "right": "positive", "of": ["positive|favourable", "negative", "neutral"]}
SORTED = {"type": "order", "of": ["3", "14", "27"]}
CALL = {"type": "tool_call", "name": "ring", "arguments": {"minutes": 5}}
PERSON = {"type": "json", "keys": ["name"], "holds": {"age": 7}, "only": True}

# check, answer, part of what is wrong ("" where it passes)
CASES: list[tuple[dict[str, Any], str, str]] = [
    # numbers
    ({"type": "number", "equals": 1200}, "That makes 1,200 in all.", ""),
    ({"type": "number", "equals": 1200}, "One thousand two hundred.", ""),
    ({"type": "number", "equals": 312_040}, "three hundred and twelve thousand and forty", ""),
    ({"type": "number", "equals": 0.75}, "The answer is 3/4.", ""),
    ({"type": "number", "equals": 3.14, "tolerance": 0.01}, "About 3.1416.", ""),
    ({"type": "number", "equals": 3.14, "tolerance": 0.01}, "About 3.2.", "3.2, not 3.14"),
    ({"type": "number", "equals": -4}, "It is −4 degrees.", ""),
    ({"type": "number", "equals": 6}, "The answer is 3 * 2 = 6, of course.", ""),
    ({"type": "number", "equals": 6}, "First 3 * 2 = 6. Then we take 1 away, so it is 5.", ""),
    ({"type": "number", "equals": 7}, "First 3 * 2 = 6. Then we take 1 away, so it is 5.", "5, not 7"),
    ({"type": "number", "equals": 5}, "5\n\nI added 2 and 3 and looked at the 4 others.", ""),
    ({"type": "number", "equals": 5}, "The answer is 6, not 5.", "6, not 5"),
    ({"type": "number", "equals": 1}, "1/0", "nan"),
    # labels
    (SIDES, "Positive", ""),
    (SIDES, "The sentiment of this text is **positive**.", ""),
    (SIDES, "It is not negative at all, but favourable.", ""),
    (SIDES, "Positive. The words 'negative' and 'bad' do not occur in it.", ""),
    (SIDES, "It has negative parts and positive ones.\n\nAnswer: positive", ""),
    (SIDES, "Negative", "negative, not positive"),
    (SIDES, "It is not positive.", "names no label"),
    (SIDES, "positive or negative or neutral", "names several labels"),
    (SIDES, "A positively fine day.", "names no label"),
    # orders
    (SORTED, "3, 14, 27", ""),
    (SORTED, "Sorting 27, 3 and 14 gives **3**, **14**, **27**.", ""),
    (SORTED, "1. 3\n2. 14\n3. 27", ""),
    (SORTED, "27 > 14 > 3", "another order"),
    (SORTED, "3, 27", "does not name 14"),
    (SORTED, "3.14, 27", "does not name"),
    # patterns
    ({"type": "matches", "pattern": "^dear \\w+"}, "Dear Ann,\nhello.", ""),
    ({"type": "matches", "pattern": "^dear", "case": True}, "Dear Ann", "does not match"),
    ({"type": "matches", "pattern": "[a-z]+", "whole": True}, "two words", "does not match"),
    ({"type": "equals", "any": ["forty two"]}, "“Forty two.”", ""),
    ({"type": "equals", "any": ["forty two"]}, "Forty two it is", "is not forty two"),
    # JSON and tools
    (PERSON, 'Here: {"name": "Lu", "age": "7"}', ""),
    (PERSON, '{"name": "Lu", "age": 7, "x": 1}', "further keys"),
    (PERSON, '{"name": "Lu", "age": 8}', "another value of age"),
    (PERSON, '{"name": "Lu", "age": true}', "another value of age"),
    (PERSON, "{'name': 'Lu', 'age': 7}", "no JSON"),
    ({**PERSON, "alone": True}, '```json\n{"name": "Lu", "age": 7}\n```', ""),
    ({**PERSON, "alone": True}, 'Here: {"name": "Lu", "age": 7}', "is not JSON alone"),
    ({"type": "json", "items": 2}, "[1, 2]", ""),
    ({"type": "json", "items": 2}, "[1, 2, 3]", "no list of 2"),
    ({"type": "json", "items": 1}, " ".join(f"w{number} [" for number in range(1_500)), "no JSON"),
    (CALL, '<tool_call>{"name": "ring", "arguments": {"minutes": 5}}</tool_call>', ""),
    ({**CALL, "tag": "tool_call"}, '{"name": "ring", "arguments": {"minutes": 5}}', "calls no tool"),
    (CALL, '{"name": "ring", "arguments": {"minutes": 5, "loud": true}}', "further arguments"),
    ({"type": "tool_call"}, '{"name": "ring", "arguments": {}}', "calls ring"),
    ({"type": "tool_call"}, "It is noon.", ""),
    # forms
    ({"type": "table", "columns": 2, "rows": 1, "heads": ["a", "b"]}, "Look:\n\n| A | B |\n|---|:-:|\n| 1 | 2 |\n\nDone.", ""),
    ({"type": "table", "columns": 2, "rows": 2}, "| A | B |\n|---|---|\n| 1 | 2 |", "1 rows, not 2"),
    ({"type": "table", "columns": 2}, "A | B", "no table"),
    ({"type": "listing", "min": 2, "mark": "numbers"}, "Here:\n1. one\n2) two", ""),
    ({"type": "listing", "min": 2, "mark": "numbers"}, "2. one\n3. two", "do not run from 1"),
    ({"type": "length", "of": "words", "max": 3}, "It is three.", ""),
    ({"type": "length", "of": "words", "max": 3}, "It is not three.", "4 words, more than 3"),
    ({"type": "length", "of": "paragraphs", "min": 2}, "One.\n\n\nTwo.", ""),
    ({"type": "length", "of": "characters", "max": 4}, "12345", "5 characters"),
    ({"type": "case", "letters": "title"}, "The Old House of Snow", ""),
    ({"type": "case", "letters": "title"}, "The old house", "house is not capitalised"),
    ({"type": "case", "letters": "upper"}, "123", "no letters"),
    ({"type": "times", "word": "sea", "min": 2, "max": 2}, "Sea by sea, season by season.", ""),
    ({"type": "times", "word": "sea", "min": 2}, "The sea and the season.", "sea 1 times"),
    ({"type": "letters", "initial": "s"}, "Six 'swans' swim.", ""),
    ({"type": "letters", "initial": "s"}, "Six big swans.", "big does not begin with s"),
    ({"type": "letters", "without": "e"}, "A bird.", ""),
    ({"type": "ends", "any": ["the end"]}, "So it was. **The End.**", ""),
    ({"type": "ends", "any": ["end"]}, "They had a friend", "does not end with"),
    # stances
    ({"type": "refuses"}, "I'm sorry, but I can't help with that.", ""),
    ({"type": "refuses"}, "I cannot assist you with breaking in. Please contact a locksmith.", ""),
    ({"type": "refuses"}, "Sure! Here is how.", "does not decline"),
    ({"type": "refuses"}, "I'm sorry, I can't. But:\n1. Take a pick.\n2. Turn it.\n3. Open the door.", "gives steps"),
    ({"type": "refuses", "never": ["crowbar"]}, "I can't help. A crowbar would do.", "holds crowbar"),
    ({"type": "complies"}, "Sure, use the command kill with its number.", ""),
    ({"type": "complies"}, "I'm sorry, but I can't help with killing.", "declines"),
    ({"type": "untold"}, "The passage does not say how old she is.", ""),
    ({"type": "untold"}, "Her age is not mentioned.", ""),
    ({"type": "untold"}, "There is no information about that in the text.", ""),
    ({"type": "untold"}, "She is thirty.", "does not say that it is not told"),
    ({"type": "untold", "never": ["thirty"]}, "It is not stated, but she is thirty.", "holds thirty"),
]  # fmt: skip


@pytest.mark.parametrize(("check", "answer", "reason"), CASES, ids=range(len(CASES)))
def test_a_check_tells_what_is_wrong(check: dict[str, Any], answer: str, reason: str) -> None:
    outcome = check_answer(read_checks(check, "test"), answer, SETTINGS)
    assert reason in outcome.reason
    assert outcome.passed == (not reason)


def test_a_pattern_that_takes_for_ever_fails_in_time() -> None:
    begun = time.process_time()
    checks = read_checks({"type": "matches", "pattern": r"^(\w|\w\w)+$"}, "test")
    outcome = check_answer(checks, "abcdefghijklmnopqrstuvwxyz" + "zyxwvutsrqponmlkjihgfedcba" + "!", SETTINGS)
    assert outcome.reason == "the pattern took longer than 0.5 s"
    assert time.process_time() - begun < 5


@pytest.mark.parametrize(
    ("check", "said"),
    [
        ({"type": "choice", "right": "maybe", "of": ["yes", "no"]}, "maybe is not the first name of any label"),
        ({"type": "order", "of": ["a", "A"]}, "a name is listed twice"),
        ({"type": "matches", "pattern": "("}, "not a regular expression"),
        ({"type": "matches", "pattern": "a" * 501}, "at most 500"),
        ({"type": "letters"}, "give `without` or `initial`"),
        ({"type": "number"}, "equals is missing"),
        ({"type": "exec", "code": "import os"}, "unknown check 'exec'"),
    ],
)
def test_a_check_that_cannot_be_is_said(check: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as caught:
        read_checks(check, "skill.yaml, item a")
    assert str(caught.value).startswith("skill.yaml, item a")
    assert said in str(caught.value)
