"""`relearn score` on answers as people have them: any script, long, cut, with reasoning; a metric that cannot see says so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from relearn.evaluation import command

Row = dict[str, Any]


def rows(*pairs: tuple[str, str], **more: Any) -> list[Row]:
    """(reference, prediction) each."""
    return [{"prompt": "q", "reference": wanted, "prediction": said, **more} for wanted, said in pairs]


def run(path: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Row, str]:
    """Status, figures, and what was said on stderr."""
    status = command.main([str(path), *arguments])
    shown = capsys.readouterr()
    assert "NaN" not in shown.out
    assert "Infinity" not in shown.out
    return status, json.loads(shown.out) if status == 0 else {}, " ".join(shown.err.split())


def score(tmp_path: Path, capsys: pytest.CaptureFixture[str], given: list[Row], *arguments: str) -> tuple[Row, str]:
    path = tmp_path / "p.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in given), encoding="utf-8")
    status, found, said = run(path, capsys, *arguments)
    assert status == 0, said
    return found, said


# near: one word changed; far: nothing shared but marks
SCRIPTS = {
    "Chinese": ("我们明天去山上看日出。", "我们明天去海边看日出。", "冰箱里没有牛奶了。"),
    "Japanese": ("明日は友達と映画を見に行きます。", "明日は家族と映画を見に行きます。", "ネコが机の上で眠っていた"),
    "Korean": (
        "내일 친구와 함께 영화를 보러 갑니다.",
        "내일 가족과 함께 영화를 보러 갑니다.",
        "고양이 책상 위에서 잔다",
    ),
    "Russian": ("Завтра мы пойдём смотреть новый фильм.", "Завтра мы пойдём смотреть старый фильм.", "Кошка спит"),
    "Arabic": (
        "سنذهب غدا لمشاهدة فيلم جديد مع الأصدقاء.",
        "سنذهب غدا لمشاهدة فيلم قديم مع الأصدقاء.",
        "القطة نائمة هنا",
    ),
    "Hindi": ("हम कल दोस्तों के साथ नई फिल्म देखेंगे।", "हम कल परिवार के साथ नई फिल्म देखेंगे।", "बिल्ली मेज पर सोती है"),
    "Thai": ("พรุ่งนี้เราจะไปดูหนังกับเพื่อน", "พรุ่งนี้เราจะไปดูหนังกับแม่", "ขอน้ำ"),
    "Greek": ("Αύριο θα δούμε μια νέα ταινία μαζί.", "Αύριο θα δούμε μια παλιά ταινία μαζί.", "Η γάτα κοιμάται"),
    "Hebrew": ("מחר נלך לראות סרט חדש עם חברים.", "מחר נלך לראות סרט ישן עם חברים.", "החתול ישן"),
    "Vietnamese": ("Ngày mai chúng tôi đi xem phim mới.", "Ngày mai chúng tôi đi xem phim cũ.", "Mèo ngủ"),
}


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_near_answer_is_seen_in_any_script(script: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wanted, near, far = SCRIPTS[script]
    close, said = score(tmp_path, capsys, rows((wanted, near), (wanted, near)))
    apart, _ = score(tmp_path, capsys, rows((wanted, far)))
    assert 0.6 < close["rouge_l"] < 1
    assert 0.3 < close["bleu"] < 1
    assert 0.35 < close["chrf"] < 1
    for metric in ("rouge_l", "bleu", "chrf"):
        assert apart[metric] < close[metric] / 2, metric
    # the encoder either knows the characters, or says that it does not
    assert close["bertscore"] < 1 or "BERTScore cannot see" in said
    assert (close["bertscore_unknown"] > 0) == ("BERTScore cannot see" in said)


def test_rows_of_two_scripts_are_each_seen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    english = ("The cat sat on the mat today.", "The cat sat on the mat today.")
    both, _ = score(tmp_path, capsys, rows(english, (SCRIPTS["Chinese"][0],) * 2))
    assert both["bleu"] == both["rouge_l"] == 1
    wrong, _ = score(tmp_path, capsys, rows(english, SCRIPTS["Chinese"][:2]))
    assert 0.5 < wrong["bleu"] < 1


def test_symbols_alone_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found, _ = score(tmp_path, capsys, rows(("😀😀👍", "😀😀👎")))
    assert found["rouge_l"] == pytest.approx(2 / 3, abs=1e-3)


def test_texts_too_short_for_bleu_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found, said = score(tmp_path, capsys, rows(("ten past two", "ten past two")))
    assert found["bleu"] == 0
    assert "BLEU cannot see these answers" in said
    _, said = score(tmp_path, capsys, rows(("it is ten past two", "it is ten past two")))
    assert "BLEU" not in said


def test_cut_texts_are_counted_on_both_sides(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    long = " ".join(f"item{number}" for number in range(400))
    found, said = score(tmp_path, capsys, rows((f"{long} a", f"{long} b"), ("short", f"{long} c"), ("one", "one")))
    assert found["bertscore_cut"] == 3
    assert "tokens of 3 of 6 texts" in said


THOUGHT = "<think>\nThe user asks for the capital. Lyon? No, Paris.\n</think>\n\n"


@pytest.mark.parametrize("before", [THOUGHT, THOUGHT.removeprefix("<think>\n"), THOUGHT.replace("think", "reasoning")])
def test_reasoning_is_not_scored(before: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found, _ = score(tmp_path, capsys, rows(("Paris is it.", f"{before}Paris is it."), ("Paris is it.", "Lyon")))
    assert found["exact_match"] == 0.5
    assert found["reasoning"] == 1
    only, _ = score(tmp_path, capsys, rows(("Paris is it.", "<think>\nThe capital is Paris is it.")))
    assert only["rouge_l"] == 0
    taught, _ = score(tmp_path, capsys, rows((f"{before}Paris is it.", f"{before}Paris is it.")))
    assert taught["exact_match"] == 1


def test_answers_that_ended_at_the_cap_are_counted_where_they_are_known(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = rows(*[("a b c d", "a b c d")] * 4)
    found, _ = score(tmp_path, capsys, given)
    assert "cut" not in found
    for row, ending in zip(given, ("stop", "length", "MAX_TOKENS", None), strict=True):
        row["finish_reason"] = ending
    found, said = score(tmp_path, capsys, given)
    assert found["cut"] == 2
    assert "2 of 4 answers ended at their cap" in said
    _, said = score(tmp_path, capsys, given, "--cut-share", "0.5")
    assert "cap" not in said


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"nll": float("nan"), "bytes": 4}, "nll: is NaN"),
        ({"nll": float("inf"), "bytes": 4}, "nll: is Infinity"),
        ({"nll": -3.0, "bytes": 4}, "nll: is -3.0"),
        ({"nll": True, "bytes": 4}, "nll: is true"),
        ({"nll": "2", "bytes": 4}, 'nll: is "2"'),
        ({"nll": 2.0, "bytes": 4.5}, "bytes: is 4.5"),
        ({"nll": 2.0, "bytes": -4}, "bytes: is -4"),
        ({"finish_reason": 1}, "finish_reason: is int"),
    ],
)
def test_a_likelihood_that_is_no_number_is_refused(
    more: Row, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text(json.dumps(rows(("a", "a"))[0]) + "\n" + json.dumps(rows(("a", "a"), **more)[0]) + "\n")
    status, _, said = run(path, capsys)
    assert status == 1
    assert f"p.jsonl, line 2: {reason}" in said


# --- the cases beside the real data ------------------------------------------------------------------------

CODE = {"wrong": 0.0}  # every other answer is right


def test_the_shared_code_answers(shared_cases: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = sorted((shared_cases / "scoring").glob("code_*.jsonl"))
    assert len(files) == 17
    for file in files:
        _, found, _ = run(file, capsys, "--execute", "best_effort", "--metrics", "pass_at_1")
        name = file.stem.removeprefix("code_")
        assert found["pass_at_1"] == (15 / 16 if name == "all" else CODE.get(name, 1.0)), name


def test_the_shared_texts(shared_cases: Path, capsys: pytest.CaptureFixture[str]) -> None:
    near = [
        "scoring/zh_near",
        "scoring/ru_near",
        *(f"files/scoring/{name}" for name in ("zh_near", "ru_part", "zh_part")),
    ]
    for name in near:
        _, found, said = run(shared_cases / f"{name}.jsonl", capsys)
        assert 0.3 < found["rouge_l"] < 1, name
        assert 0.2 < found["bleu"] < 1, name
        assert found["bertscore"] < 1 or "BERTScore cannot see" in said, name
    for name in ("zh_same", "ar_ru", "zh", "emoji"):
        assert run(shared_cases / "files" / "scoring" / f"{name}.jsonl", capsys)[1]["rouge_l"] == 1, name
    _, far, _ = run(shared_cases / "scoring" / "zh_far.jsonl", capsys)
    assert far["rouge_l"] < 0.3
    assert far["bleu"] < 0.1
    _, short, said = run(shared_cases / "files" / "scoring" / "ru_851.jsonl", capsys)
    assert short["rouge_l"] == pytest.approx(2 / 3, abs=1e-3)
    assert "BLEU cannot see" in said
    for folder in ("scoring", "files/scoring"):
        _, long, said = run(shared_cases / folder / "long.jsonl", capsys)
        assert long["bertscore_cut"] == 2
        assert "tokens of 2 of" in said


def test_the_shared_files_are_read_or_refused(shared_cases: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refused = {
        "nll_nan": "nll: is NaN", "nll_inf": "nll: is Infinity", "nll_str": "nll: is", "pred_list": "line 2: prediction: is list",
        "pred_null": "line 2: prediction: is null", "pred_missing": "line 2: prediction: missing", "ref_list": "reference: is list",
        "ref_num": "reference: is int", "ref_missing": "reference: missing", "prompt_messages": "prompt: is list",
        "names_lm_eval": "prompt: missing", "array": "not a JSON object",
    }  # fmt: skip
    files = sorted((shared_cases / "files" / "scoring").glob("*.jsonl"))
    assert len(files) == 27
    for file in files:
        status, _, said = run(file, capsys)
        assert status == (file.stem in refused), file.name
        assert refused.get(file.stem, "") in said, file.name
