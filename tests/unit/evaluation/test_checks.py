"""The checks of the probes, on answers that do and answers that do not."""

from __future__ import annotations

import pytest

from relearn.evaluation import checks
from relearn.evaluation.checks import Check, CheckSettings
from relearn.evaluation.checks.programs import Function
from relearn.evaluation.checks.text import (
    Contains,
    Conversation,
    Dialogue,
    Excludes,
    Language,
    Mentions,
    Passage,
    Person,
    Sentences,
    Starts,
    Verse,
    Without,
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
    (Mentions(type="mentions", words=["sea", ["boat", "ship*"]]), "Ships cross the SEA.", ""),
    (
        Mentions(type="mentions", words=["sea", ["boat", "ship*"]]),
        "Boats cross the sea.",
        "mentions 1 of 2, not boat/ship*",
    ),
    (Mentions(type="mentions", words=["sea", "boat", "sail*"], least=2), "They sailed the sea.", ""),
    (Mentions(type="mentions", words=["the sea"]), "The\nsea.", ""),
    (Excludes(type="excludes", words=["this film", "movie*"]), "A film about the sea.", ""),
    (Excludes(type="excludes", words=["this film", "movie*"]), "I like movies.", "holds movie*"),
    (Without(type="without", forms=["list"]), "It needs:\n- salt\nand that is all, said he.\nGood.", ""),
    (Without(type="without", forms=["list"]), "It needs:\n- salt\n* flour\n3. water", "is a list"),
    (Without(type="without", forms=["dialogue"]), "Verse 1:\nThe sea is grey\nMy heart: a stone\nI row alone", ""),
    (Without(type="without", forms=["dialogue"]), "Anna: Hello.\nBen: Hello.\nAnna: Bye.", "is a dialogue"),
    (Without(type="without", forms=["dialogue"]), "1850: the first.\nEngland: the second.\nToday: the third.", ""),
    (Without(type="without", forms=["code"]), "def f(x):\n    return x + 1", "holds code"),
    (Person(type="person", persons=["first"]), "My soup is cold and I'm late.", ""),
    (Person(type="person", persons=["first"]), "He is late, and so am I.", "1 words of the first person"),
    (Person(type="person", persons=["first", "second"], least=2), "You know me.", ""),
    (Conversation(type="conversation", turns=2), "Anna: Hello.\nBen (tired): Good morning.", ""),
    (Conversation(type="conversation", turns=2), "**Anna:**\nHello.\n\n**Ben:**\nGood morning.", ""),
    (Conversation(type="conversation", turns=2), "ANNA\nHello.\n\nBEN (O.S.)\nGood morning.", ""),
    (Conversation(type="conversation", turns=2), "“Hello,” said Anna. “Good morning,” said Ben.", ""),
    (Conversation(type="conversation", turns=2), '"Hello," said Anna. "Good morning, and how', ""),
    (Conversation(type="conversation", turns=2), "Anna said hello to Ben.", "0 turns of speech"),
    (Conversation(type="conversation", turns=2), "Anna: Hello.\nANNA: Hello?", "1 speakers"),
    (Conversation(type="conversation", turns=2), "Step 1: Knead it.\nStep 2: Bake it.", "0 turns of speech"),
    (Conversation(type="conversation", turns=2), 'The words "dull" and "long" say it.', "0 turns of speech"),
    (
        Conversation(type="conversation", turns=2),
        "INT. HOUSE - DAY\nA cat.\nFADE OUT\nThe end of it.",
        "0 turns of speech",
    ),
    (Passage(type="passage", language="fr"), "In French that is: Le chat est dans le jardin.", ""),
    (Passage(type="passage", language="fr"), "The word chat is what you want here.", "no passage"),
    (Passage(type="passage", language="fr", words=3), "«Il est là.»", ""),
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


def test_more_words_than_there_are_cannot_be_asked_for() -> None:
    with pytest.raises(ValueError, match="`least` is 3, more than the 1 words"):
        Mentions(type="mentions", words=["sea"], least=3)


def test_nothing_is_run_when_execution_is_off() -> None:
    off = CheckSettings(4, 0.5, "off", ProgramLimits(5, 512))
    assert checks.check_answer([ADD], "def add_seven(n):\n    return 0", off).passed
