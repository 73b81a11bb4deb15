"""relearn.compare: files of any kind are read or refused in one line; the guard says what the interval allows."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from relearn.compare import sources
from relearn.compare.command import main
from relearn.compare.sources import ALPACA, find
from relearn.compare.summary import Guard, describe_forgetting, describe_guards, read_floors, read_status
from relearn.data.instruction_rows import read_held_out
from relearn.errors import InputError
from relearn.evaluation.roles import ScoredTask
from relearn.evaluation.shares import examine
from relearn.files import read_jsonl, write_jsonl
from relearn.mini.judge import JudgeByRules
from relearn.mini.server import Server
from relearn.records import Judgement, Prediction
from tests.unit.decoding.serving import Body, Reply, Served


def jsonl(path: Path, *values: Any) -> Path:
    path.write_text("".join(json.dumps(value) + "\n" for value in values), encoding="utf-8")
    return path


# --- rows --------------------------------------------------------------------------------------------------

QUESTION = {"instruction": "Add two.", "input": "3", "output": "5"}


@pytest.mark.parametrize(
    "value",
    [
        {"instruction": "Say hi.", "response": "hi"},
        {"prompt": "Say hi.", "completion": "hi"},
        {"question": "Say hi.", "answer": "hi", "extra": [1, 2]},
        {"instruction": "Say hi.", "input": "", "output": "hi"},
        {"instruction": "Say hi.", "input": "Not applicable", "output": "hi"},
        {"messages": [{"role": "user", "content": "Say hi."}, {"role": "assistant", "content": "hi"}]},
        {"conversations": [{"from": "human", "value": "Say hi."}, {"from": "gpt", "value": "hi"}]},
    ],
)
def test_rows_of_the_usual_shapes_mean_the_same(tmp_path: Path, value: Any) -> None:
    (row,) = read_held_out(jsonl(tmp_path / "a.jsonl", value), "old")
    assert (row.instruction, row.reference, row.group, row.id) == ("Say hi.", "hi", "say hi.", "old/1")


def test_a_conversation_of_several_turns_is_asked_whole(tmp_path: Path) -> None:
    turns = [
        ("system", "Be brief."),
        ("user", "Say hi."),
        ("assistant", "hi"),
        ("user", "Again."),
        ("assistant", "hi hi"),
    ]
    file = jsonl(tmp_path / "a.jsonl", {"messages": [{"role": role, "content": text} for role, text in turns]})
    (row,) = read_held_out(file, "new")
    assert [(turn.role, turn.content) for turn in row.prompt] == turns[:-1]
    assert (row.reference, row.group) == ("hi hi", "say hi.")
    assert row.instruction == "system: Be brief.\n\nuser: Say hi.\n\nassistant: hi\n\nuser: Again."


def test_the_same_rows_as_csv_and_parquet(tmp_path: Path) -> None:
    frame = pd.DataFrame([{**QUESTION, "note": "x"}, {"instruction": "Say hi.", "input": None, "output": "hi"}])
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.to_parquet(tmp_path / "a.parquet")
    frame.to_json(tmp_path / "a.jsonl", orient="records", lines=True)
    found = [
        [(row.instruction, row.reference) for row in read_held_out(tmp_path / f"a.{kind}", "new")]
        for kind in ("csv", "parquet", "jsonl")
    ]
    assert found == [[("Add two.\n\n3", "5"), ("Say hi.", "hi")]] * 3


def test_rows_with_one_instruction_make_a_group_unless_one_is_named(tmp_path: Path) -> None:
    file = jsonl(tmp_path / "a.jsonl", QUESTION, {**QUESTION, "input": "4"}, {**QUESTION, "group": 7, "id": "x"})
    assert [(row.group, row.id) for row in read_held_out(file, "old")] == [
        ("add two.", "old/1"),
        ("add two.", "old/2"),
        ("7", "old/x"),
    ]


def test_tests_are_a_list_or_one_string(tmp_path: Path) -> None:
    shapes: list[Any] = [["assert f(1)", " "], "assert f(1)", '["assert f(1)"]']
    file = jsonl(tmp_path / "a.jsonl", *({**QUESTION, "tests": shape} for shape in shapes))
    assert [row.tests for row in read_held_out(file, "old")] == [("assert f(1)",)] * 3


def test_a_limit_draws_the_same_rows_under_a_seed(tmp_path: Path) -> None:
    file = jsonl(tmp_path / "a.jsonl", *({**QUESTION, "input": str(number)} for number in range(50)))
    first, again, other = (read_held_out(file, "old", 10, seed) for seed in (1, 1, 2))
    assert first == again != other
    assert len({row.id for row in first}) == 10
    assert read_held_out(file, "old", 99, 1) == read_held_out(file, "old")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([{"text": "a"}], "line 1: no instruction; name its column one of instruction, prompt"),
        ([QUESTION, {**QUESTION, "instruction": 3}], "line 2: instruction holds int, not text"),
        ([{"instruction": "a", "response": None}, {"instruction": "b"}], "no row has a response"),
        ([{**QUESTION, "id": 1}, {**QUESTION, "id": "1"}], "line 2: id '1' is also in line 1"),
        ([{**QUESTION, "tests": [1]}], "line 1: tests does not hold Python assertions"),
        ([{"messages": [{"role": "system", "content": "x"}]}], "line 1: messages: no user message"),
        ([{"messages": [{"role": "user", "content": "x"}] * 2}], "line 1: messages: message 2 is of role user where assistant's turn is"),
        ([{"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "tool_calls": [{}]}]}], "line 1: messages: message 2 holds a tool call"),
        ([{"conversations": [{"from": "robot", "value": "x"}]}], "line 1: conversations: message 1 is of the unknown role 'robot'"),
        ([[1]], "line 1: list, not an object"),
        ([], "holds no rows"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_one_line(tmp_path: Path, values: list[Any], said: str) -> None:
    with pytest.raises(InputError) as caught:
        read_held_out(jsonl(tmp_path / "a.jsonl", *values), "old")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_row_without_a_response_stays(tmp_path: Path) -> None:
    file = jsonl(tmp_path / "a.jsonl", QUESTION, {"instruction": "Say hi.", "response": " "})
    assert [row.reference for row in read_held_out(file, "old")] == ["5", None]


# --- models ------------------------------------------------------------------------------------------------


def test_what_is_no_model_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "adapter_config.json").write_text("{}")
    (tmp_path / "bin" / "adapter_model.bin").write_text("x")
    for given, said in [
        (str(tmp_path / "none"), "no such folder, and not a hub name"),
        (str(tmp_path / "fil"), r"no such folder \(did you mean file\?\)"),
        (str(tmp_path / "file"), "is a file"),
        (str(tmp_path / "bin"), "pickle"),
        (str(tmp_path), "no config.json"),
    ]:
        with pytest.raises(InputError, match=said) as caught:
            find(given, tmp_path / "memory")
        assert "\n" not in str(caught.value)


def test_an_adapter_of_another_base_is_noted_and_is_no_base(tmp_path: Path) -> None:
    adapter = tmp_path / "tuned"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "org/other"}))
    (adapter / "adapter_model.safetensors").write_text("")
    base = sources.ModelSource("org/model@main", tmp_path, None, "0" * 40)
    tuned = find(str(adapter), tmp_path / "memory")
    assert "was trained on org/other" in sources.check({"base": base, "tuned": tuned})[0]
    (adapter / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "x/model"}))
    assert sources.check({"base": base, "tuned": tuned}) == []
    with pytest.raises(InputError, match="--base needs the whole model"):
        sources.check({"base": tuned})


def test_the_template_of_last_resort_opens_a_response() -> None:
    from relearn.chat import Chat
    from relearn.records import make_turns
    from tests.unit.tiny import tokenizer

    words = tokenizer()
    words.chat_template = None  # type: ignore[assignment]
    prompt = Chat(words, ALPACA).render_prompt(make_turns("Say hi."))
    assert prompt.endswith("### Instruction:\nSay hi.\n\n### Response:\n")


# --- the guard and the words -------------------------------------------------------------------------------


OLD = [ScoredTask("old", "watched", ("rouge_l",))]


def lost(**changes: Any) -> dict[str, Any]:
    values = {
        "kind": "forgetting", "metric": "rouge_l", "before": "base", "after": "tuned", "value": 0.1, "low": 0.05, "high": 0.15,
        "ratio": 0.2, "ratio_low": 0.1, "ratio_high": 0.3, "p": 0.001, "p_holm": 0.001, "detectable": 0.05, "better": False,
    }  # fmt: skip
    details = {
        "clusters": 100,
        "flips": {},
        "counts": {model: {"items": 100, "cut": 0} for model in ("base", "tuned")},
        "scores": {metric: {"base": {"value": 0.5, "low": 0.4, "high": 0.6}} for metric in ("rouge_l", "bpb")},
    }
    return {"old": {"comparisons": [{**values, **changes}], **details}}


@pytest.mark.parametrize(
    ("text", "guard"),
    [
        ("rouge_l=0.05", Guard("old", "rouge_l", 0.05)),
        ("old.bpb=5%", Guard("old", "bpb", 0.05)),
        ("new.chrf=-1e-1", Guard("new", "chrf", -0.1)),
    ],
)
def test_a_guard_is_read(text: str, guard: Guard) -> None:
    assert Guard.read(text) == guard


@pytest.mark.parametrize("text", ["rouge_l", "rouge_l=", "rouge_l=a", "rouge=0.1", "mid.rouge_l=0.1", "rouge_l=1e999"])
def test_a_guard_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="--fail-above"):
        Guard.read(text)


def test_the_lower_end_decides() -> None:
    assert Guard("old", "rouge_l", 0.099).judge(lost(), 0.1)["answer"] == "fails"
    assert Guard("old", "rouge_l", 0.1).judge(lost(), 0.1)["answer"] == "passes"
    assert describe_guards([Guard("old", "rouge_l", 0.05).judge(lost(), 0.1)]) == [
        "old rouge_l: 20.0% forgotten [10.0%, 30.0%], significantly above 5.0%: fails"
    ]


def test_what_cannot_be_judged_does_not_pass() -> None:
    judged = [
        (Guard("old", "codebleu", 0.1), lost(), "was not measured here; there are rouge_l"),
        (Guard("new", "rouge_l", 0.1), lost(), "was not measured here; there are no metrics of that task"),
        (Guard("old", "rouge_l", 0.1), lost(better=None), "neither more nor less of it is better"),
        *(
            (Guard("old", "rouge_l", 0.1), lost(**unknown), "base scores 0")
            for unknown in ({"ratio": None}, {"ratio_low": None}, {"ratio_low": -math.inf})
        ),
    ]
    findings = [guard.judge(found, 0.1) for guard, found, _ in judged]
    assert {one["answer"] for one in findings} == {"unjudged"}
    for line, (*_, reason) in zip(describe_guards(findings), judged, strict=True):
        assert "cannot be judged: " in line
        assert reason in line
    assert read_status(findings) == 1


def kept(**changes: Any) -> dict[str, Any]:
    """Of a model that lost nothing that shows."""
    return lost(**{"ratio_low": -0.1, "ratio": 0.0, "better": True} | changes)


def test_a_guard_passes_only_where_it_could_have_failed() -> None:
    def judge(found: dict[str, Any], metric: str = "rouge_l", floor: float = 0.0) -> tuple[str, str]:
        finding = Guard("old", metric, 0.05, floor).judge(found, 0.1)
        return finding["answer"], finding["reason"]

    assert judge(kept())[0] == "passes"
    # base is no better than guessing
    assert judge(kept(), floor=0.39)[0] == "passes"
    assert judge(kept(), floor=0.4) == ("unjudged", judge(kept(), floor=0.4)[1])
    assert "base scores 0.500 [0.400, 0.600], not significantly above 0.4" in judge(kept(), floor=0.4)[1]
    unable = kept()
    unable["old"]["scores"]["rouge_l"]["base"]["low"] = 0.0
    assert judge(unable)[0] == "unjudged"
    # answers that the cap cut off
    for model in ("base", "tuned"):
        cut = kept()
        cut["old"]["counts"][model]["cut"] = 10
        assert judge(cut)[0] == "passes"
        cut["old"]["counts"][model]["cut"] = 11
        assert judge(cut)[0] == "unjudged"
        assert f"11 of 100 answers of {model} ended at the cap" in judge(cut)[1]
        assert (
            Guard("old", "rouge_l", 0.05).judge(lost() | {"old": {**cut["old"], **lost()["old"]}}, 0.1)["answer"]
            == "fails"
        )
    # too few rows
    few = kept()
    few["old"]["clusters"] = 6
    assert judge(few)[0] == "passes"
    few["old"]["flips"] = {"rouge_l": {}}  # a share
    assert judge(few)[0] == "unjudged"
    assert "even a total loss would not be significant" in judge(few)[1]
    # bits per byte need none of that
    few["old"]["comparisons"][0]["metric"] = "bpb"
    few["old"]["counts"]["tuned"]["cut"] = 100
    few["old"]["scores"]["bpb"]["base"]["low"] = -1.0
    assert judge(few, "bpb")[0] == "passes"


def test_a_guard_has_no_verdict_on_fewer_clusters_than_a_paired_test_needs() -> None:
    for found in (lost(), kept()):
        found["old"]["clusters"] = 5
        finding = Guard("old", "rouge_l", 0.05).judge(found, 0.1)
        assert finding["answer"] == "unjudged"
        assert finding["reason"] == "5 rows that do not belong together are too few for any verdict; use more"


def test_floors_belong_to_guards() -> None:
    guards = [Guard.read("exact_match=5%"), Guard.read("new.bpb=0.1")]
    assert [guard.floor for guard in read_floors(["exact_match=25%"], guards)] == [0.25, 0.0]
    for text, reason in (
        ("rouge_l=0.1", "no --fail-above"),
        ("exact_match=1", "below 1"),
        ("x=1", "unknown metric"),
        ("exact_match", "METRIC=X"),
    ):
        with pytest.raises(InputError, match=f"--floor .*{reason}"):
            read_floors([text], guards)
    with pytest.raises(InputError, match="no more than 100%"):
        Guard.read("rouge_l=150%")


def test_the_words_say_what_the_test_allows() -> None:
    cells = [cell.strip() for cell in describe_forgetting(lost(), OLD).splitlines()[4].split("|")[1:-1]]
    assert cells == ["ROUGE-L", "-0.100", "[-0.150, -0.050]", "-20.0% [-30.0%, -10.0%]", "0.001", "worse"]
    assert "one of 0.050 would have shown" in describe_forgetting(lost(p_holm=0.2), OLD)
    assert "| better" in describe_forgetting(lost(better=True), OLD)
    assert "undefined" in describe_forgetting(lost(ratio=None), OLD)


def test_code_is_scored_as_code_where_most_references_hold_it() -> None:
    code, prose = "def f(x):\n    return x + 1", "The film was long, and I liked it."
    assert examine([code, prose, None]).code
    assert not examine([code, prose, prose]).code
    assert not examine([None]).code


# --- the command, over a server ----------------------------------------------------------------------------


def knows(*known: str) -> Any:
    def reply(body: Body) -> Reply:
        question = body["messages"][0]["content"]
        return (f"answer to {question}" if question.split()[0] in known else "I do not know"), "stop"

    return reply


@pytest.fixture
def files(tmp_path: Path) -> Path:
    for name, first in (("old", "Say"), ("new", "Sing")):
        questions = [f"{first} {number} times." for number in range(30)]
        jsonl(
            tmp_path / f"{name}.jsonl", *({"instruction": text, "response": f"answer to {text}"} for text in questions)
        )
    return tmp_path


def command(files: Path, *more: str) -> int:
    return main(
        ["--base", "b", "--tuned", "t", "--old", str(files / "old.jsonl"), "--new", str(files / "new.jsonl"),
         "--out", str(files / "out"), "--resamples", "200", *more]
    )  # fmt: skip


def test_a_server_is_compared_and_guarded_and_rescored_without_asking_again(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Served({"b": knows("Say"), "t": knows("Sing")}) as served:
        assert command(files, "--endpoint", served.base_url, "--fail-above", "rouge_l=0.1") == 3
        assert len(served.bodies) == 120
        assert command(files, "--endpoint", served.base_url, "--fail-above", "new.bertscore=0.1") == 0
        assert len(served.bodies) == 120  # the journal answers
    shown = capsys.readouterr()
    assert "significantly above 10.0%: fails" in shown.err
    assert "bits per byte" in shown.err
    points = json.loads((files / "out" / "points.json").read_text())
    assert points["base"]["old"]["rouge_l"] == points["tuned"]["new"]["rouge_l"] == 1.0
    assert "bpb" not in points["base"]["old"]
    assert points["tuned"]["old"]["forgotten"] == pytest.approx(1 - points["tuned"]["old"]["rouge_l"], abs=1e-4)
    before = {path.name: path.read_bytes() for path in (files / "out").glob("*.json")}
    assert command(files, "--rescore", "--fail-above", "new.bertscore=0.1") == 0
    assert {path.name: path.read_bytes() for path in (files / "out").glob("*.json")} == before
    text = (files / "out" / "compare.md").read_text()
    assert "### Old skills: from base to tuned" in text
    assert "passes" in text


def test_a_judge_is_asked_in_both_orders_once_and_its_win_rates_join_the_results(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rules = JudgeByRules(3, position_bias=5.0)
    prices = ("--judge-price", "1", "2")
    with Served({"b": knows("Say"), "t": knows("Sing")}) as served, Server(rules) as judge:
        asked = ("--endpoint", served.base_url, "--judge", judge.base_url, "--judge-model", "referee", *prices)
        assert command(files, *asked, "--judge-estimate") == 0
        assert judge.arrived == 0
        text = capsys.readouterr().out
        assert "nothing was sent" in text
        requests = int(re.search(r"requests +(\d+)", text)[1])  # type: ignore[index]
        assert command(files, *asked, "--judge-budget", "0.01") == 1
        assert "raise --judge-budget to go on" in capsys.readouterr().err
        stopped = judge.arrived
        assert 0 < stopped < requests
        assert command(files, *asked) == 0
        assert judge.arrived == requests
        shown = capsys.readouterr().out
        assert "tuned over base" in shown
        assert command(files, "--rescore", *asked[2:]) == 0
        assert judge.arrived == requests  # the journal answers
    found = json.loads((files / "out" / "judge.json").read_text())
    judgements = list(read_jsonl(files / "out" / "verdicts.jsonl", Judgement))
    assert len(judgements) == 2 * found["pairs"] == 2 * found["wins"][0]["number"]
    assert sum(one.request is not None for one in judgements) == found["judgements"]
    assert "## judge: which of two answers is better" in (files / "out" / "compare.md").read_text()
    assert found["first_preference"]["value"] > 0


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--judge", "http://127.0.0.1:9/v1"], "--judge: needs --judge-model"),
        (["--judge", "127.0.0.1:9", "--judge-model", "m"], "--judge 127.0.0.1:9: expected an address up to /v1"),
        (["--judge-model", "m"], "--judge-model: needs --judge"),
        (["--judge-estimate"], "--judge-estimate: needs --judge"),
        (
            ["--judge", "http://127.0.0.1:9/v1", "--judge-model", "m", "--judge-prompt", "none.j2"],
            "none.j2: no such prompt",
        ),
        (
            ["--judge", "http://127.0.0.1:9/v1", "--judge-model", "m", "--judge-api-key-env", "NO_SUCH"],
            "NO_SUCH is not set (--judge-api-key-env)",
        ),
    ],
)
def test_a_judge_that_cannot_be_asked_is_refused_before_any_model_answers(
    files: Path, capsys: pytest.CaptureFixture[str], more: list[str], said: str
) -> None:
    with Served({"b": knows("Say"), "t": knows("Sing")}) as served:
        assert command(files, "--endpoint", served.base_url, *more) == 1
        assert served.bodies == []
    assert said in capsys.readouterr().err


def test_a_guard_does_not_pass_on_answers_that_are_cut_or_a_base_that_cannot(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def cut(body: Body) -> Reply:
        return knows("Say")(body)[0], "length"

    def guard(*more: str) -> int:
        return command(files, "--endpoint", served.base_url, "--out", str(files / more[-1]), *more[:-1])

    able, unable = knows("Say"), knows()
    with Served({"b": able, "t": cut}) as served:
        assert guard("--fail-above", "rouge_l=5%", "cut") == 1
        assert guard("--fail-above", "rouge_l=5%", "--cut-share", "1", "cut") == 0
    shown = capsys.readouterr()
    assert "30 of 30 answers of tuned ended at the cap" in shown.err
    assert "100.0% !" in (files / "cut" / "table.md").read_text() or "100.0%" in shown.out
    with Served({"b": unable, "t": unable}) as served:
        assert guard("--fail-above", "exact_match=5%", "unable") == 1
        assert guard("--fail-above", "exact_match=5%", "--fail-above", "new.chrf=5%", "unable") == 1
    assert "base scores 0" in capsys.readouterr().err
    finding, other = json.loads((files / "unable" / "guards.json").read_text())
    assert (finding["answer"], other["answer"]) == ("unjudged", "passes")
    assert "cannot be judged" in (files / "unable" / "compare.md").read_text()
    with Served({"b": able, "t": able}) as served:
        assert guard("--fail-above", "exact_match=5%", "--floor", "exact_match=25%", "able") == 0
        assert guard("--fail-above", "exact_match=5%", "--floor", "exact_match=0.999", "able") == 1
        assert guard("--fail-above", "exact_match=5%", "--floor", "rouge_l=0.1", "able") == 1
    assert "not significantly above 0.999" in capsys.readouterr().err


def test_guards_that_cannot_be_measured_are_refused_before_anything_is_asked(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Served({}) as served:
        for guard in ("bpb=0.1", "pass_at_1=0.1", "nonsense", "codebleu=5%"):
            assert command(files, "--endpoint", served.base_url, "--fail-above", guard) == 1
        assert served.bodies == []
    said = capsys.readouterr().err
    assert said.count("\n") == 4
    assert "fewer than half of the responses of --old hold code" in said.splitlines()[-1]


def test_answers_to_other_rows_are_not_rescored(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    row = Prediction(
        id="old/1", task="old", group="g", prompt="p", reference="r", prediction="x", finish_reason="stop",
        nll=None, bytes=1,
    )  # fmt: skip
    for role in ("base", "tuned"):
        write_jsonl(files / "out" / "predictions" / f"{role}.jsonl", [row])
    assert command(files, "--rescore") == 1
    assert "answers other rows than those given now" in capsys.readouterr().err


@pytest.mark.parametrize(("given", "said"), [("{", "not JSON"), ("[1]", "expected a JSON object")])
def test_template_arguments_that_are_none_are_one_line(
    files: Path, capsys: pytest.CaptureFixture[str], given: str, said: str
) -> None:
    with Served({}) as served:
        assert command(files, "--endpoint", served.base_url, "--template-arguments", given) == 1
        assert served.bodies == []
    error = capsys.readouterr().err
    assert error.startswith("compare: --template-arguments: ")
    assert said in error
    assert error.count("\n") == 1


def test_a_number_that_makes_no_sense_is_a_usage_error(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for option in ("--limit", "--batch-size", "--resamples"):
        with pytest.raises(SystemExit) as caught:
            command(files, option, "0")
        assert caught.value.code == 2
    assert "expected at least 1" in capsys.readouterr().err


HEAVY = ["torch", "transformers", "datasets", "evaluate", "pandas", "numpy", "peft", "dvc"]


def test_help_starts_without_what_runs_models() -> None:
    code = (
        "import sys\nfrom relearn.compare.command import main\n"
        f"print(main(['--help']), sorted(set({HEAVY}) & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 []"
    assert "--fail-above METRIC=X" in done.stdout


def test_without_torch_it_says_which_extra_is_missing(
    files: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relearn.compare.command.find_spec", lambda name: None)
    assert command(files) == 1
    said = capsys.readouterr().err
    assert said.startswith("compare: torch is not installed: compare needs the extra `models`")
    assert "'.[models]'" in said
    assert '"relearn-llm[models]"' in said
    assert said.count("\n") == 1


# --- a suite of skills -------------------------------------------------------------------------------------


def skilled(*skills: str) -> Any:
    """A model that has these skills and answers nothing else."""

    def reply(body: Body) -> Reply:
        question = body["messages"][-1]["content"]
        name, number = question.removesuffix(".").split()[-2:]
        return (f"{number} it is" if name in skills else "Who knows?"), "stop"

    return reply


def write_suite(folder: Path) -> Path:
    folder.mkdir()
    for name in ("add", "sing"):
        items = "".join(
            f"  - {{id: q{n}, instruction: Please {name} {n}., check: {{type: contains, all: ['{n}']}}}}\n"
            for n in range(100, 140)
        )
        text = f"name: {name}\nabout: to {name} well\nmax_new_tokens: 12\nitems:\n{items}"
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return folder


def compare_suite(tmp_path: Path, *more: str) -> int:
    out = str(tmp_path / "out")
    return main(
        ["--base", "b", "--tuned", "t", "--suite", str(tmp_path / "suite"), "--out", out, "--resamples", "200", *more]
    )


def test_a_suite_needs_no_rows_and_says_how_long_it_takes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_suite(tmp_path / "suite")
    with Served({"b": skilled("add", "sing"), "t": skilled("sing")}) as served:
        assert compare_suite(tmp_path, "--endpoint", served.base_url) == 0
        assert len(served.bodies) == 160
        assert {body["max_tokens"] for body in served.bodies} == {12}
    shown = capsys.readouterr()
    assert re.search(
        r"80 prompts for each of 2 models will take about \d+ (s|min), estimated from 16 of them", shown.err
    )
    assert "Mean over 2 skills: -50.0 points" in shown.out
    found = json.loads((tmp_path / "out" / "skills.json").read_text())
    assert found["skills"]["add"]["comparisons"][0]["value"] == 1.0
    assert found["skills"]["sing"]["flips"]["base to tuned"] == {"lost": 0, "gained": 0, "kept": 40}
    assert "Who knows?" in (tmp_path / "out" / "skills.md").read_text()
    assert compare_suite(tmp_path, "--rescore") == 0
    assert compare_suite(tmp_path, "--rescore", "--fail-above", "suite.checks=10%") == 3
    assert compare_suite(tmp_path, "--rescore", "--fail-above", "suite.checks=90%") == 0
    assert compare_suite(tmp_path, "--rescore", "--fail-above", "rouge_l=10%") == 1


def test_a_limit_is_of_each_skill(tmp_path: Path) -> None:
    write_suite(tmp_path / "suite")
    with Served({"b": skilled("add"), "t": skilled()}) as served:
        assert compare_suite(tmp_path, "--endpoint", served.base_url, "--limit", "10") == 0
        assert len(served.bodies) == 40
    found = json.loads((tmp_path / "out" / "skills.json").read_text())
    assert found["skills"]["add"]["items"] == 10
    assert found["skills"]["sing"]["status"] == "not measurable here"


def test_a_suite_that_is_none_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Served({}) as served:
        assert compare_suite(tmp_path, "--endpoint", served.base_url) == 1
        assert served.bodies == []
    assert "no such folder; expected a folder with one YAML file per skill" in capsys.readouterr().err
