"""From files to records: what is kept, what is left out and counted, and what is never in two splits."""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relearn.data import load
from relearn.data.select import normalise
from relearn.data.texts import join_broken_lines, name_polarity
from relearn.errors import InputError
from relearn.params.prepare import Prepare
from relearn.records import Row, Source
from tests.unit.data import sources

Loaded = tuple[list[Source], list[Row], dict[str, Any]]


def run(path: Path, group: Prepare | None = None, seed: int = 1, probes: tuple[str, ...] = ()) -> Loaded:
    group = group or sources.prepare()
    roles = {task: sources.ROLES.get(task, "watched") for task in group.by_task}
    found = load(roles, group, path, seed, probes=probes, memory=path / "memory")
    texts = [text for task in found.texts for text in found.texts[task]]
    rows = [row for task in found.rows for row in found.rows[task]]
    check_counts(texts, rows, found.counts)
    return texts, rows, found.counts


def check_counts(reviews: list[Source], originals: list[Row], counts: dict[str, Any]) -> None:
    """Every row read is either kept or left out for a reason, and the table says how many of each."""
    for task, found in counts.items():
        rows = [row for row in [*reviews, *originals] if row.task == task]
        assert found["rows"] == len(rows) + sum(found["left_out"].values())
        assert min(found["left_out"].values()) >= 0
        for split, kept in found["splits"].items():
            number = sum(kept.values()) if isinstance(kept, dict) else kept
            assert number == sum(1 for row in rows if row.split == split)
    json.dumps(counts)


def failure(path: Path, group: Prepare | None = None) -> str:
    with pytest.raises(InputError) as caught:
        run(path, group)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_reviews_are_stratified_and_shuffled(tmp_path: Path) -> None:
    path = sources.folder(tmp_path)
    ordered = sorted(sources.reviews(40), key=lambda row: str(row["sentiment"]))  # as IMDb is: all negative ones first
    sources.write_csv(path / "reviews.csv", ordered)
    reviews, _, counts = run(path)
    assert counts["reviews"]["splits"] == {
        "train": {"negative": 3, "positive": 3},
        "val": {"negative": 1, "positive": 1},
        "test": {"negative": 2, "positive": 2},
    }
    assert [review.split for review in reviews] == ["train"] * 6 + ["val"] * 2 + ["test"] * 4
    other, _, _ = run(path, seed=2)
    assert {review.id for review in reviews} != {review.id for review in other}
    labels = {tuple(review.label for review in run(path, seed=seed)[0][:6]) for seed in range(6)}
    assert len(labels) > 1, "the labels of the training rows come in one order whatever the seed"


def test_strata_follow_the_source(tmp_path: Path) -> None:
    path = sources.folder(tmp_path)
    rows = [row | {"sentiment": "neg" if n % 4 else "pos"} for n, row in enumerate(sources.reviews(80))]
    sources.write_csv(path / "reviews.csv", rows)
    _, _, counts = run(path, sources.prepare(reviews={"train": 16, "val": 4, "test": 8}))
    assert counts["reviews"]["splits"]["train"] == {"negative": 12, "positive": 4}
    assert counts["reviews"]["splits"]["test"] == {"negative": 6, "positive": 2}


def test_the_same_rows_in_another_order_give_the_same_choice(tmp_path: Path) -> None:
    path = sources.folder(tmp_path, 60, 60)
    first = run(path)
    assert run(path) == first
    reviews, code = sources.reviews(60), sources.problems(60)
    random.Random(0).shuffle(reviews)
    random.Random(0).shuffle(code)
    sources.write_csv(path / "reviews.csv", reviews)
    sources.write_jsonl(path / "code.jsonl", code)
    assert run(path) == first


def test_more_test_rows_leave_what_is_trained_on_alone(tmp_path: Path) -> None:
    path = sources.folder(tmp_path, 60, 60)
    sources.write_jsonl(path / "general.jsonl", [*sources.problems(30), *sources.problems(40, "riddle")])
    group = {"near_duplicates": NEAR, "reviews": {"test": 7}, "code": {"test": 7}, "general": {"test": 7}}
    few = run(path, sources.prepare(**group))
    for task in ("reviews", "code", "general"):
        more = run(path, sources.prepare(**(group | {task: {"test": 20}})))
        for index in (0, 1):
            trained = [[row for row in loaded[index] if row.split != "test"] for loaded in (few, more)]  # type: ignore[attr-defined]
            assert trained[0] == trained[1]
        assert more[2][task]["splits"] != few[2][task]["splits"]


def test_a_watched_task_leaves_what_is_trained_on_alone(tmp_path: Path) -> None:
    path = sources.folder(tmp_path, 60, 14)
    without = run(path)
    sources.write_jsonl(path / "general.jsonl", [*sources.problems(14), *sources.problems(20, "riddle")])
    texts, rows, _ = run(path, sources.prepare(general={"train": 0, "val": 0, "test": 9}))
    assert texts == without[0]
    assert [row for row in rows if row.task == "code"] == without[1]


def test_texts_are_kept_but_for_html_breaks(tmp_path: Path) -> None:
    path = sources.folder(tmp_path)
    rows = sources.reviews(12)
    rows[0]["review"] = "  Two <b>words</b>.<br /><br />And <BR>more &amp; \t <br/> end  "
    sources.write_csv(path / "reviews.csv", rows)
    texts = [review.fields["text"] for review in run(path)[0]]
    assert "  Two <b>words</b>.\nAnd\nmore &amp;\nend  " in texts
    assert {row["review"] for row in rows[1:]} <= set(texts)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a<br />b", "a\nb"),
        ("a <br /><br/>\n<BR> b", "a\nb"),
        ("a\n\nb  c", "a\n\nb  c"),
        ("<br>a<br>", "\na\n"),
        ("a <branch> < b", "a <branch> < b"),
    ],
)
def test_html_breaks(text: str, expected: str) -> None:
    assert join_broken_lines(text) == expected


def test_html_breaks_take_linear_time() -> None:
    text = (" " * 50_000 + "<br ") * 20 + "<br>" * 50_000
    started = time.process_time()
    join_broken_lines(text)
    assert time.process_time() - started < 2


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (["0", "1"], ["negative", "positive"]),
        (["-1", "1"], ["negative", "positive"]),
        (["Pos", "NEG", "pos", "negative"], ["positive", "negative", "positive", "negative"]),
        (["0", "1", "2"], ["0", "1", "2"]),
        (["-1", "0", "1"], ["-1", "0", "1"]),
        (["pos", "neg", "neutral"], ["pos", "neg", "neutral"]),
        (["good", "bad"], ["good", "bad"]),
        (["1", "positive"], ["1", "positive"]),
        ([], []),
    ],
)
def test_labels_that_mean_positive_and_negative_are_called_so(found: list[str], expected: list[str]) -> None:
    assert name_polarity(found) == dict(zip(found, expected, strict=True))


def test_numeric_labels_and_parquet(tmp_path: Path) -> None:
    path = sources.folder(tmp_path)
    rows = [row | {"sentiment": n % 2} for n, row in enumerate(sources.reviews(20))]
    pq.write_table(pa.Table.from_pylist(rows), path / "reviews.parquet")
    reviews, _, _ = run(path, sources.prepare(reviews={"path": "reviews.parquet"}))
    assert {review.label for review in reviews} == {"negative", "positive"}
    assert all(("moved" in review.fields["text"]) == (review.label == "positive") for review in reviews)


def test_input_is_appended_to_the_instruction(tmp_path: Path) -> None:
    path = sources.folder(tmp_path)
    rows = sources.problems(12)
    for row, value in zip(rows, ["x = 1", "Not applicable", None, "  ", "not applicable."], strict=False):
        row["input"] = value
    sources.write_jsonl(path / "code.jsonl", rows)
    prompts = {row.response: row.instruction for row in run(path)[1]}
    assert prompts["answer = 0"] == "Solve problem 0 about amber\n\nx = 1"
    assert [prompts[f"answer = {n}"] for n in range(1, 5)] == [rows[n]["instruction"] for n in range(1, 5)]


def test_a_problem_never_stands_in_two_splits(tmp_path: Path) -> None:
    path = sources.folder(tmp_path)
    rows = [
        row | {"instruction": f"Solve  Task {n // 3}", "input": f"case {n}"}
        for n, row in enumerate(sources.problems(60))
    ]
    for row in rows[::2]:
        row["instruction"] = str(row["instruction"]).upper()
    sources.write_jsonl(path / "code.jsonl", rows)
    _, originals, counts = run(path, sources.prepare(code={"train": 20, "val": 4, "test": 10}))
    owners: dict[str, set[str]] = {}
    for row in originals:
        owners.setdefault(normalise(row.instruction.split("\n")[0]), set()).add(row.split)
    assert all(len(splits) == 1 for splits in owners.values())
    assert len({row.group for row in originals}) == len(owners) == sum(counts["code"]["groups"].values())


def test_a_group_column_names_the_problem_and_tests_come_along(tmp_path: Path) -> None:
    path = sources.folder(tmp_path)
    tests = [["assert a == 1", " "], "assert b == 2", '["assert c == 3", "assert d"]', None, ""]
    rows = [row | {"family": f"family {n % 8}", "tests": tests[n % 5]} for n, row in enumerate(sources.problems(40))]
    sources.write_jsonl(path / "code.jsonl", rows)
    _, originals, _ = run(path, sources.prepare(code={"columns": {"group": "family", "tests": "tests"}}))
    split_of = {row.group: row.split for row in originals}
    assert all(split_of[row.group] == row.split for row in originals)
    assert set(split_of) <= {f"family {n}" for n in range(8)}
    found = {int(row.response.split()[-1]) % 5: row.tests for row in originals}
    expected = {0: ["assert a == 1"], 1: ["assert b == 2"], 2: ["assert c == 3", "assert d"], 3: [], 4: []}
    assert found
    assert all(expected[key] == value for key, value in found.items())


def test_the_same_prompt_under_two_group_names_is_a_duplicate(tmp_path: Path) -> None:
    path = sources.folder(tmp_path)
    rows = [row | {"family": n} for n, row in enumerate(sources.problems(20))]
    rows += [row | {"family": int(str(row["family"])) + 100, "output": "other"} for row in rows]
    sources.write_jsonl(path / "code.jsonl", rows)
    _, originals, counts = run(path, sources.prepare(code={"columns": {"group": "family"}}))
    assert counts["code"]["left_out"]["duplicate"] == 20
    assert len({row.instruction for row in originals}) == len(originals)


def test_duplicates_are_dropped_and_counted(tmp_path: Path) -> None:
    path = sources.folder(tmp_path)
    rows = sources.reviews(16)
    again = [row | {"review": f" {str(row['review']).upper()}\n"} for row in rows]
    sources.write_csv(path / "reviews.csv", [*rows, *again])
    sources.write_jsonl(path / "code.jsonl", sources.problems(14) * 3)
    reviews, originals, counts = run(path)
    assert counts["reviews"]["left_out"] == {"duplicate": 16, "not_needed": 4}
    assert counts["code"]["left_out"] == {"duplicate": 28, "not_needed": 2}
    for texts in ([row.fields["text"] for row in reviews], [row.instruction for row in originals]):
        assert max(Counter(map(normalise, texts)).values()) == 1


def test_long_rows_are_left_out_whole(tmp_path: Path) -> None:
    path = sources.folder(tmp_path)
    reviews = sources.reviews(20)
    reviews[3]["review"] = "long " * 41
    code = sources.problems(20)
    code[1]["output"] = "y" * 201
    code[2]["input"] = "z" * 190
    sources.write_csv(path / "reviews.csv", reviews)
    sources.write_jsonl(path / "code.jsonl", code)
    _, _, counts = run(path)
    assert counts["reviews"]["left_out"]["too_long"] == 1
    assert counts["code"]["left_out"]["too_long"] == 2


NEAR = {"threshold": 0.6, "permutations": 128}


def test_near_duplicates_never_stand_in_two_splits(tmp_path: Path) -> None:
    path = sources.folder(tmp_path)
    body = "the old harbour master counts the boats every evening before he lights the lamp and pours his tea"
    rows = sources.reviews(40)
    rows += [{"review": f"{body} number {n}", "sentiment": ("neg", "pos")[n % 2]} for n in range(10)]
    sources.write_csv(path / "reviews.csv", rows)
    wanted = {"train": 20, "val": 4, "test": 12}
    dropped = 0
    for seed in range(4):
        reviews, _, counts = run(path, sources.prepare(near_duplicates=NEAR, reviews=wanted), seed)
        assert len({review.split for review in reviews if body in review.fields["text"]}) <= 1
        dropped += counts["reviews"]["left_out"].get("near_duplicate", 0)
    assert dropped > 0, "the method never had anything to do"
    splits = {
        review.split
        for seed in range(4)
        for review in run(path, sources.prepare(reviews=wanted), seed)[0]
        if body in review.fields["text"]
    }
    assert splits == {"train", "val", "test"}, "without the method they do"


def with_general(path: Path, rows: list[dict[str, object]]) -> Prepare:
    sources.write_jsonl(path / "general.jsonl", rows)
    return sources.prepare(general={"columns": {"input": None}})


def test_general_rows_that_are_code_rows_are_left_out(tmp_path: Path) -> None:
    path = sources.folder(tmp_path, code_rows=12)
    group = with_general(path, [*sources.problems(12), *sources.problems(20, "riddle")])
    _, originals, counts = run(path, group)
    assert counts["general"]["left_out"]["code"] == 12
    assert {row.task for row in originals} == {"code", "general"}
    assert all("riddle" in row.instruction for row in originals if row.task == "general")
    assert len({row.id for row in originals}) == len(originals)


def test_probes_stand_in_no_split(tmp_path: Path) -> None:
    path = sources.folder(tmp_path)
    group = with_general(path, sources.problems(20, "riddle"))
    found = {row.instruction for seed in range(5) for row in run(path, group, seed)[1]}
    assert {"Solve problem 3 about delta", "Solve riddle 5 about fjord"} <= found
    probes = ("SOLVE problem 3  about delta", "Solve riddle 5 about fjord")
    for seed in range(5):
        _, originals, counts = run(path, group, seed, probes)
        assert {counts[task]["left_out"]["probe"] for task in ("code", "general")} == {1}
        assert not {normalise(row.instruction) for row in originals} & {normalise(probe) for probe in probes}


def test_rows_near_a_probe_stand_in_no_split(tmp_path: Path) -> None:
    path = sources.folder(tmp_path)
    dropped = 0
    for seed in range(5):
        probes = ("Please solve problem 3 about delta",)
        _, originals, counts = run(path, sources.prepare(near_duplicates=NEAR), seed, probes)
        assert "Solve problem 3 about delta" not in {row.instruction for row in originals}
        dropped += counts["code"]["left_out"].get("near_probe", 0)
    assert dropped > 0


def test_too_few_rows_name_the_file_the_numbers_and_the_key(tmp_path: Path) -> None:
    path = sources.folder(tmp_path, review_rows=9)
    message = failure(path)
    assert message.startswith(f"{path / 'reviews.csv'}: has 9 usable rows of 9 (none left out), but reviews needs 12")
    assert "lower prepare.reviews.train to 3" in message
    run(path, sources.prepare(reviews={"train": 3, "val": 2, "test": 4}))
    sources.write_csv(path / "reviews.csv", sources.reviews(20))
    sources.write_jsonl(path / "code.jsonl", sources.problems(3) * 2)
    message = failure(path)
    assert "code.jsonl: has 3 usable rows of 6 (3 duplicate), but code needs 12" in message
    assert "lower prepare.code.train, val and test" in message


BAD_ROWS: dict[str, tuple[dict[str, object], str]] = {
    "empty": ({"output": " "}, "line 3: column 'output' is empty; fill it in or delete the row"),
    "null": ({"instruction": None}, "line 3: column 'instruction' is empty"),
    "number": ({"output": 5}, "line 3: column 'output' holds int, not text"),
    "input": ({"input": ["x"]}, "line 3: column 'input' holds list, not text"),
    "surrogate": ({"output": "\ud83d"}, "line 3: column 'output' holds half a surrogate pair"),
}


@pytest.mark.parametrize("name", BAD_ROWS)
def test_bad_rows_are_named_by_line(tmp_path: Path, name: str) -> None:
    path = sources.folder(tmp_path)
    change, expected = BAD_ROWS[name]
    rows = sources.problems(20)
    rows[2] |= change
    sources.write_jsonl(path / "code.jsonl", rows)
    assert f"{path / 'code.jsonl'}, {expected}" in failure(path)


def test_tests_that_are_not_assertions_are_named(tmp_path: Path) -> None:
    path = sources.folder(tmp_path)
    sources.write_jsonl(path / "code.jsonl", [row | {"tests": [1]} for row in sources.problems(20)])
    group = sources.prepare(code={"columns": {"tests": "tests"}})
    assert "line 1: column 'tests' does not hold Python assertions" in failure(path, group)


def test_labels_that_are_all_alike_or_all_different_are_refused(tmp_path: Path) -> None:
    path = sources.folder(tmp_path)
    rows = sources.reviews(150)
    sources.write_csv(path / "reviews.csv", [row | {"sentiment": "pos"} for row in rows])
    assert "column 'sentiment' holds only 'pos' in 150 rows" in failure(path)
    sources.write_csv(path / "reviews.csv", [row | {"sentiment": row["review"]} for row in rows])
    assert "more than 100 different labels" in failure(path)


def test_an_empty_review_is_named(tmp_path: Path) -> None:
    path = sources.folder(tmp_path)
    rows = sources.reviews(20)
    rows[4]["review"] = "  "
    sources.write_csv(path / "reviews.csv", rows)
    assert "line 6: column 'review' is empty" in failure(path)


def test_ids_are_safe_in_file_names_and_say_nothing_of_the_source(tmp_path: Path) -> None:
    path = sources.folder(tmp_path)
    sources.write_jsonl(path / "code.jsonl", [row | {"id": "../../etc"} for row in sources.problems(20)])
    reviews, originals, _ = run(path)
    ids = [row.id for row in [*reviews, *originals]]
    assert len(set(ids)) == len(ids)
    assert all(set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-") for name in ids)


TEXTS = st.lists(
    st.tuples(st.sampled_from(["red kite", "Red  Kite", "blue", "green hill", "a" * 250]), st.integers(0, 60)),
    min_size=30,
    max_size=120,
)


@settings(deadline=None, max_examples=25)
@given(TEXTS, st.integers(0, 3), st.sampled_from([None, NEAR]))
def test_rows_are_kept_or_counted_whatever_they_are(
    tmp_path_factory: pytest.TempPathFactory, texts: list[tuple[str, int]], seed: int, near: dict[str, Any] | None
) -> None:
    path = tmp_path_factory.mktemp("rows")
    sources.write_csv(
        path / "reviews.csv", [{"review": f"{text} {n}", "sentiment": ("pos", "neg")[n % 2]} for text, n in texts]
    )
    sources.write_jsonl(
        path / "code.jsonl", [{"instruction": text, "input": str(n % 7), "output": str(n)} for text, n in texts]
    )
    group = sources.prepare(
        near_duplicates=near, reviews={"train": 2, "val": 1, "test": 2}, code={"train": 2, "val": 1, "test": 2}
    )
    try:
        reviews, originals, _ = run(path, group, seed)
    except InputError as error:
        assert "usable rows" in str(error) or "holds only" in str(error)  # noqa: PT017
        return
    owners: dict[str, str] = {}
    assert all(owners.setdefault(normalise(row.fields["text"]), row.split) == row.split for row in reviews)
    assert all(owners.setdefault(row.group, row.split) == row.split for row in originals)
    assert [row.split for row in reviews] == ["train"] * 2 + ["val"] + ["test"] * 2


# --- conversations -----------------------------------------------------------------------------------------


def talks(count: int, who: tuple[str, str] = ("user", "assistant"), keys: tuple[str, str] = ("role", "content")) -> Any:
    """Conversations of two questions, each with an answer."""
    role, content = keys
    return [
        {
            "messages": [
                {role: who[turn % 2], content: f"{('Ask', 'Say')[turn % 2]} {n}.{turn // 2} {sources.WORDS[n % 12]}"}
                for turn in range(4)
            ]
        }
        for n in range(count)
    ]


MESSAGES = {"form": "messages", "messages": "messages", "tests": None, "group": None}


def talking(path: Path, rows: list[dict[str, object]]) -> Prepare:
    sources.write_jsonl(path / "code.jsonl", rows)
    group = sources.prepare().model_dump()
    group["code"]["source"]["columns"] = MESSAGES
    return Prepare.model_validate(group)


def test_openai_and_sharegpt_conversations_are_the_same_rows(tmp_path: Path) -> None:
    path = sources.folder(tmp_path)
    _, rows, counts = run(path, talking(path, talks(12)))
    again = run(path, talking(path, talks(12, ("human", "gpt"), ("from", "value"))))
    assert again[1:] == (rows, counts)
    row = next(row for row in rows if row.response == "Say 3.1 delta")
    assert [(turn.role, turn.content) for turn in row.prompt] == [
        ("user", "Ask 3.0 delta"),
        ("assistant", "Say 3.0 delta"),
        ("user", "Ask 3.1 delta"),
    ]


def test_conversations_that_open_alike_stay_together(tmp_path: Path) -> None:
    path = sources.folder(tmp_path)
    rows = talks(40)
    for n, row in enumerate(rows):
        row["messages"][0]["content"] = f"Hello {n // 4}"
    _, found, _ = run(path, talking(path, rows))
    owners: dict[str, set[str]] = {}
    for row in found:
        owners.setdefault(row.messages[0].content, set()).add(row.split)
    assert all(len(splits) == 1 for splits in owners.values())


BAD_TALKS: dict[str, tuple[Any, str]] = {
    "a tool call": ([{"role": "user", "content": "x"}, {"role": "assistant", "content": None, "tool_calls": [{}]}], "message 2 holds a tool call"),
    "a tool's answer": ([{"role": "user", "content": "x"}, {"role": "tool", "content": "y"}], "message 2 holds a tool call"),
    "an unknown role": ([{"role": "narrator", "content": "x"}], "message 1 is of the unknown role 'narrator'"),
    "no answer": ([{"role": "user", "content": "x"}], "the last message is the user's"),
    "two questions": ([{"role": "user", "content": "x"}] * 2, "message 2 is of role user where assistant's turn is"),
    "a late system message": ([{"role": "user", "content": "x"}, {"role": "system", "content": "y"}], "message 2 is of role system"),
    "an empty answer": ([{"role": "user", "content": "x"}, {"role": "assistant", "content": " "}], "message 2 holds no text"),
    "a picture": ([{"role": "user", "content": [{"type": "image_url"}]}], "message 1 holds no text"),
    "a text": ("hello", "not a list of messages"),
    "nothing": ([], "not a list of messages"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_TALKS)
def test_a_bad_conversation_is_named_by_line(tmp_path: Path, name: str) -> None:
    path = sources.folder(tmp_path)
    messages, said = BAD_TALKS[name]
    rows = talks(20)
    rows[2] = {"messages": messages}
    assert f"{path / 'code.jsonl'}, line 3: column 'messages': {said}" in failure(path, talking(path, rows))


def test_texts_without_labels_make_one_stratum(tmp_path: Path) -> None:
    path = sources.folder(tmp_path)
    texts, _, counts = run(path, sources.prepare(reviews={"columns": {"label": None}}))
    assert counts["reviews"]["splits"] == sources.SIZES
    assert {text.label for text in texts} == {None}
    assert {tuple(text.fields) for text in texts} == {("text",)}
