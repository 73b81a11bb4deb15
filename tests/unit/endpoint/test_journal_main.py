from __future__ import annotations

import json
from pathlib import Path

import pytest

from relearn.endpoint.errors import Failed
from relearn.endpoint.journal import Journal
from relearn.endpoint.journal.__main__ import main
from relearn.endpoint.journal.batches import Batches
from relearn.endpoint.request import ServerAnswer


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "journal.sqlite"
    with Journal(path) as journal:
        for number in range(3):
            journal.keep(f"k{number}", "https://a/v1", "big", ServerAnswer(f"é{number}", "stop", None, "big-1", 10, 5))
        journal.keep("k3", "https://b/v1", "small", ServerAnswer(None, "content_filter", None, "small", None, None))
        journal.fail("k4", "https://b/v1", "small", "r7", Failed("timeout", "no answer within 5 s"), 4)
    return path


def keys(path: Path) -> list[str]:
    with Journal(path) as journal:
        return [row["key"] for row in journal.rows()]


def test_list_counts_by_server_and_model(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["list", str(path)])
    shown = capsys.readouterr().out
    assert "https://a/v1  big: 3 answers, 0 failures" in shown
    assert "30 prompt and 15 completion tokens" in shown
    assert "https://b/v1  small: 1 answers, 1 failures" in shown
    assert "r7: timeout after 4 attempts: no answer within 5 s" in shown


def test_export_and_import_carry_it_to_another_machine(path: Path, tmp_path: Path) -> None:
    main(["export", str(path), str(tmp_path / "all.jsonl")])
    other = tmp_path / "elsewhere" / "journal.sqlite"
    main(["import", str(other), str(tmp_path / "all.jsonl")])
    main(["import", str(other), str(tmp_path / "all.jsonl")])
    with Journal(path) as one, Journal(other) as two:
        assert list(one.rows()) == list(two.rows())
        assert len(list(two.rows())) == 4


def test_import_keeps_what_is_known_and_ends_failures(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["export", str(path), str(tmp_path / "all.jsonl")])
    rows = [json.loads(line) for line in (tmp_path / "all.jsonl").read_text().splitlines()]
    rows[0]["content"] = "changed"
    rows.append({**rows[0], "key": "k4"})
    (tmp_path / "all.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    main(["import", str(path), str(tmp_path / "all.jsonl")])
    assert "1 answers added, 4 already there" in capsys.readouterr().out
    with Journal(path) as journal:
        answer = journal.get("k0")
        assert answer is not None
        assert answer.content == "é0"
        assert list(journal.failures()) == []


@pytest.mark.parametrize("line", ['{"key": "k9"}', "not json", '{"key": 9}', '{"key": "k9", "surprise": 1}', "[]"])
def test_a_bad_import_changes_nothing(
    path: Path, tmp_path: Path, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["export", str(path), str(tmp_path / "all.jsonl")])
    good = (tmp_path / "all.jsonl").read_text().splitlines()[0].replace("k0", "k8")
    (tmp_path / "bad.jsonl").write_text(good + "\n" + line + "\n")
    with pytest.raises(SystemExit) as left:
        main(["import", str(path), str(tmp_path / "bad.jsonl")])
    assert left.value.code == 1
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert "line 2" in message
    assert keys(path) == ["k0", "k1", "k2", "k3"]


@pytest.mark.parametrize(
    ("conditions", "left"),
    [
        (["--model", "big"], ["k3"]),
        (["--identity", "https://b"], ["k0", "k1", "k2"]),
        (["--model", "big", "--identity", "https://b"], ["k0", "k1", "k2", "k3"]),
        (["--before", "2001-01-01"], ["k0", "k1", "k2", "k3"]),
        (["--before", "2999-01-01"], []),
        (["--all"], []),
        (["--failures"], ["k0", "k1", "k2", "k3"]),
    ],
)
def test_prune_takes_what_matches_everything_given(path: Path, conditions: list[str], left: list[str]) -> None:
    main(["prune", str(path), *conditions])
    assert keys(path) == left
    with Journal(path) as journal:
        assert len(list(journal.failures())) == (0 if "--failures" in conditions else 1)


def test_prune_wants_to_be_told_what(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["prune", str(path)])
    assert "say what" in capsys.readouterr().err
    assert len(keys(path)) == 4


def test_a_journal_that_is_not_there_is_not_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["list", str(tmp_path / "none.sqlite")])
    assert "no such journal" in capsys.readouterr().err
    assert not (tmp_path / "none.sqlite").exists()


@pytest.mark.parametrize(
    ("condition", "answers", "failures"),
    [
        (["--ending", "refused"], 3, 1),
        (["--ending", "done"], 1, 1),
        (["--ending", "cut"], 4, 1),
        (["--ending", "done", "--model", "small"], 4, 1),
        (["--kind", "timeout"], 4, 0),
        (["--kind", "http_500"], 4, 1),
    ],
)
def test_prune_selects_by_ending_and_by_kind(path: Path, condition: list[str], answers: int, failures: int) -> None:
    main(["prune", str(path), *condition])
    with Journal(path) as journal:
        assert (len(list(journal.rows())), len(list(journal.failures()))) == (answers, failures)


@pytest.mark.parametrize("conditions", [["--ending", "done", "--failures"], ["--kind", "x", "--batches"]])
def test_prune_takes_from_one_table(path: Path, conditions: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="1"):
        main(["prune", str(path), *conditions])
    assert "use one of them" in capsys.readouterr().err
    assert len(keys(path)) == 4


def test_list_shows_how_answers_ended_and_what_is_under_way(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Journal(path) as journal:
        Batches(journal, "https://a/v1").open("big", None, {"k9": "r9"})
    main(["list", str(path)])
    shown = capsys.readouterr().out
    assert "ended: 3 done (stop)" in shown
    assert "ended: 1 refused (content_filter)" in shown
    assert "batch under way: https://a/v1  big: 1 requests, not created yet" in shown
    main(["prune", str(path), "--batches"])
    with Journal(path) as journal:
        assert not Batches(journal, "https://a/v1").waiting()
    assert len(keys(path)) == 4


def test_an_export_of_version_1_is_read(path: Path, tmp_path: Path) -> None:
    main(["export", str(path), str(tmp_path / "all.jsonl")])
    rows = [json.loads(line) for line in (tmp_path / "all.jsonl").read_text().splitlines()]
    old = [{name: row[name] for name in row if name not in ("raw", "dialect", "batched")} for row in rows]
    (tmp_path / "old.jsonl").write_text("".join(json.dumps(row) + "\n" for row in old))
    main(["import", str(tmp_path / "new.sqlite"), str(tmp_path / "old.jsonl")])
    with Journal(path) as one, Journal(tmp_path / "new.sqlite") as two:
        assert list(one.rows()) == list(two.rows())
