"""The checks of the probes on answers without Latin letters, or without spaces."""

from __future__ import annotations

import pytest

from relearn.evaluation.checks import Check, CheckSettings, check_answer
from relearn.evaluation.checks.text import Contains, Dialogue, Language, Sentences, Starts, Verse
from relearn.evaluation.language import identify_language
from relearn.evaluation.repetition import echo_share, loops, measure_repetition
from relearn.sandbox.runner import ProgramLimits

SETTINGS = CheckSettings(ngram=4, loop_share=0.5, execute="off", limits=ProgramLimits(5, 512))
TWO = Sentences(type="sentences", min=2, max=2)


def holds(phrase: str) -> Contains:
    return Contains(type="contains", all=[phrase])


CASES: list[tuple[Check, str, str]] = [
    (TWO, "今天很冷。我们在家喝茶。", ""),
    (TWO, "今天很冷，我们在家喝茶。", "1 sentences"),
    (TWO, "今日は寒い！家で茶を飲む。", ""),
    (TWO, "आज ठंड है। हम घर पर हैं।", ""),
    (TWO, "الجو بارد اليوم. هل نبقى في البيت؟", ""),
    (TWO, "วันนี้หนาวมาก เราดื่มชาที่บ้าน", ""),
    (TWO, "Сегодня холодно. Мы пьём чай дома.", ""),
    (holds("奶酪"), "我喜欢奶酪和面包。", ""),
    (holds("黄油"), "我喜欢奶酪和面包。", "does not hold"),
    (holds("Python"), "我用Python写程序。", ""),
    (holds("ชา"), "เราดื่มชาที่บ้าน", ""),
    (holds("сыр"), "Я люблю сыр.", ""),
    (holds("сыр"), "Я люблю сырники.", "does not hold"),
    (holds("हिन"), "हिन्दी में लिखो।", "does not hold"),
    (holds("café"), "Un cafe\u0301 noir.", ""),
    (Dialogue(type="dialogue", turns=2), "小明：你好！\n小红：你好，小明。", ""),
    (Dialogue(type="dialogue", turns=2), "Анна: Привет!\nБорис: Здравствуй.", ""),
    (Dialogue(type="dialogue", turns=2), "小明：你好！\n小明：再见。", "1 speakers"),
    (Dialogue(type="dialogue", turns=2), "первое: да\nвторое: нет", "0 turns"),
    (Starts(type="starts", any=["你好"]), "「你好！」他说。", ""),
    (Verse(type="verse", lines=4), "床前明月光\n疑是地上霜\n举头望明月\n低头思故乡", ""),
    (Language(type="language", language="zh"), "今天天气很好。", ""),
    (Language(type="language", language="zh"), "今日は天気がいい。", "language: ja"),
    (Language(type="language", language="ja"), "今日は天気がいい。", ""),
    (Language(type="language", language="ru"), "Сегодня холодно.", ""),
    (Language(type="language", language="ru"), "Сьогодні дуже гарний день, її бачу.", "language: uk"),
    (Language(type="language", language="fr"), "今天天气很好，他说 la vie。", "language: zh"),
    (Language(type="language", language="hi"), "आज ठंड है।", ""),
]


@pytest.mark.parametrize(("check", "answer", "wanted"), CASES)
def test_a_check_reads_any_script(check: Check, answer: str, wanted: str) -> None:
    outcome = check_answer([check], answer, SETTINGS)
    assert outcome.passed == (not wanted), outcome.reason
    assert wanted in outcome.reason


def test_a_loop_and_an_echo_are_seen_without_spaces() -> None:
    assert loops("今天天气很好我们走" * 3, 4, 0.5)
    assert not loops("今天天气很好，我们去公园散步，晚上回家做饭。", 4, 0.5)
    prompt = "请写一首关于北方大海的短诗。"
    assert echo_share(prompt, f"{prompt}好的。") > 0.7
    assert measure_repetition(prompt, "今天很冷。", 4, 0.5).words == 4


@pytest.mark.parametrize("text", ["Šta radiš danas ovde", "12 + 30", "Сёння цёплы ўзвіў"])
def test_a_language_that_is_not_known_is_none(text: str) -> None:
    assert identify_language(text) is None
