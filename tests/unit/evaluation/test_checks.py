"""The checks of the probes, on answers that do and answers that do not."""

from __future__ import annotations

import pytest

from relearn.evaluation import checks
from relearn.evaluation.checks import (
    Check,
    CheckSettings,
    Contains,
    Dialogue,
    Function,
    Language,
    Sentences,
    Starts,
    Verse,
)
from relearn.sandbox.runner import ProgramLimits

SETTINGS = CheckSettings(ngram=4, loop_share=0.5, execute="best_effort", limits=ProgramLimits(5, 512))
ADD = Function(type="function", name="add_seven", tests=["assert add_seven(1) == 8"])
POEM = "Grey is the sea,\nwhite is the snow,\nlong is the night,\nand slow winds blow."

CASES: list[tuple[Check, str, str]] = [
    (Verse(type="verse", lines=4), POEM, ""),
    (Verse(type="verse", lines=4), POEM.replace("\n", " "), "1 lines of verse"),
    (Verse(type="verse", lines=4), "The sea.\n" * 4, "loops|again and again"),
    (Verse(type="verse", lines=2, longest=10), "much too long a line\nfor this check", "0 lines"),
    (ADD, "Here:\n```python\ndef add_seven(n):\n    return n + 7\n```", ""),
    (ADD, "def add_seven(n):\n    return n + 6", "AssertionError"),
    (ADD, "def add_eight(n):\n    return n + 7", "does not define add_seven"),
    (ADD, "def add_seven(n)\n    return n + 7", "does not parse"),
    (ADD, "I agree, seven is a fine number.", "no code"),
    (Language(type="language", language="fr"), "Le chat est noir.", ""),
    (Language(type="language", language="fr"), "Je t'aime, et la mer est belle.", ""),
    (Language(type="language", language="fr"), "The cat is black.", "language: en"),
    (Language(type="language", language="fr"), "12345", "unclear"),
    (Language(type="language", language="de"), "Der Hund ist nicht groß.", ""),
    (Language(type="language", language="es"), "El gato es negro y duerme.", ""),
    (Language(type="language", language="it"), "Il gatto è nero e dorme.", ""),
    (Dialogue(type="dialogue", turns=2), "Anna: Hello.\nBen: Good morning, Anna.", ""),
    (Dialogue(type="dialogue", turns=2), "**Anna:** Hello.\n**Ben:** Good morning.", ""),
    (Dialogue(type="dialogue", turns=2), "Anna said hello and Ben said good morning.", "0 turns"),
    (Dialogue(type="dialogue", turns=2), "Anna: Hello.\nAnna: Is anyone here?", "1 speakers"),
    (Contains(type="contains", all=["sea", "winter"]), "The Sea in WINTER.", ""),
    (Contains(type="contains", all=["sea"]), "Next season.", "does not hold sea"),
    (Contains(type="contains", any=["chat", "noir"]), "Un chien.", "holds none of chat, noir"),
    (Sentences(type="sentences", min=2), "It rains. The cat sleeps!", ""),
    (Sentences(type="sentences", min=2), "It rains", "0 sentences|1 sentences"),
    (Sentences(type="sentences", min=1, max=2), "One. Two. Three is here.", "more than 2"),
    (Starts(type="starts", any=["Dear diary"]), "“Dear Diary, today it snowed.", ""),
    (Starts(type="starts", any=["Dear diary"]), "Today it snowed.", "does not start with"),
]


@pytest.mark.parametrize(("part", "answer", "reason"), CASES)
def test_checks(part: Check, answer: str, reason: str) -> None:
    outcome = checks.check_answer([part], answer, SETTINGS)
    assert outcome.passed == (not reason), outcome
    assert any(wanted in outcome.reason for wanted in reason.split("|"))


def test_empty_and_looping_answers_never_pass() -> None:
    wanted = [Sentences(type="sentences", min=1)]
    assert checks.check_answer(wanted, " \n", SETTINGS).reason == "empty"
    assert checks.check_answer(wanted, "I love this film. " * 20, SETTINGS).reason == "loops"


def test_all_of_a_list_must_hold() -> None:
    wanted = [Verse(type="verse", lines=4), Contains(type="contains", all=["desert"])]
    assert checks.check_answer(wanted, POEM, SETTINGS).reason == "does not hold desert"


def test_nothing_is_run_when_execution_is_off() -> None:
    off = CheckSettings(4, 0.5, "off", ProgramLimits(5, 512))
    assert checks.check_answer([ADD], "def add_seven(n):\n    return 0", off).passed
