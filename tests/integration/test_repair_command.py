"""The command `python -m relearn.repair`, run as its users run it."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from relearn.repair.command import main
from tests.conftest import ROOT

REPLIES = [
    ("r1", '{"agree": "Yes, it is so.", "disagree": "No, it is not."}', "stop"),
    ("r2", '```json\n{"agree": "He said "yes", twice.", "disagree": "Not at all."}\n```', None),
    ("r3", '{"agree": "I agree with it.", "disagree": "The film was', "length"),
    ("r4", "I'm sorry, but I can't help with that.", "stop"),
    ("r5", "", "content_filter"),
    ("r6", '{"agree": "Yes, it is so.", "disagree": "No, it is not."}', "stop"),
]


def run(*arguments: str | Path, given: str | bytes | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "relearn.repair", *map(str, arguments)],
        input=given.decode() if isinstance(given, bytes) else given,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]


@pytest.fixture
def replies(tmp_path: Path) -> Path:
    path = tmp_path / "replies.jsonl"
    rows = [{"id": name, "content": text, "finish_reason": reason} for name, text, reason in REPLIES]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_json_lines_of_replies(replies: Path, tmp_path: Path) -> None:
    out, bad, report = tmp_path / "rows.jsonl", tmp_path / "bad.jsonl", tmp_path / "report.json"
    result = run(replies, "--duplicates", "drop", "--out", out, "--quarantine", bad, "--report", report)
    assert result.returncode == 0, result.stderr
    assert len(result.stdout.splitlines()) == 1
    rows = lines(out)
    assert [row["source"]["id"] for row in rows] == ["r1", "r2", "r3"]
    assert rows[1]["fields"] == {"agree": 'He said "yes", twice.', "disagree": "Not at all."}
    assert set(rows[1]["flags"]) == {"fence", "inner_quotes"}
    assert rows[2]["fields"] == {"agree": "I agree with it."}
    contents = {name: text for name, text, _ in REPLIES}
    for row in rows:
        for name, place in row["source"]["offsets"].items():
            raw = contents[row["source"]["id"]]
            assert raw[place["start"] : place["end"]] == row["fields"][name]
            assert raw[place["start"] - 1] == raw[place["end"]] == '"'
    refused = lines(bad)
    assert {(row["source"]["id"], row["field"], row["reason"]) for row in refused} == {
        ("r3", "disagree", "cut_off"),
        ("r4", None, "refusal"),
        ("r5", None, "content_filter"),
        ("r6", None, "duplicate"),
    }
    assert next(row for row in refused if row["source"]["id"] == "r6")["row"] == 1
    summary = json.loads(report.read_text())
    counts = summary["counts"]
    assert counts["records"] == counts["records_kept"] + counts["records_quarantined"] == 4
    assert counts["fields"] == counts["fields_kept"] + counts["fields_quarantined"] == 8
    assert counts["texts"] == 6
    assert summary["reasons"] == {"content_filter": 1, "cut_off": 1, "duplicate": 1, "refusal": 1}


def test_standard_input_and_output() -> None:
    dump = "Reply 1:\n" + REPLIES[0][1] + "\n\nReply 2:\n{'agree': 'It's good.', 'disagree': 'It isn't.'}\n"
    result = run("-", given=dump)
    assert result.returncode == 0, result.stderr
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [row["fields"]["agree"] for row in rows] == ["Yes, it is so.", "It's good."]
    place = rows[1]["source"]["offsets"]["disagree"]
    assert dump[place["start"] : place["end"]] == "It isn't."
    assert len(result.stderr.splitlines()) == 1


def test_the_last_line_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where nothing holds the fields that were asked for, and where what is left out is kept nowhere."""
    file = tmp_path / "dump.txt"
    file.write_text('{"answer": "Yes, it is so."}')
    assert main([str(file)]) == 0
    said = capsys.readouterr().err
    assert "1 piece left out, which --quarantine FILE keeps (1 no_record)" in said
    assert "no text holds agree, disagree: name the fields of your records with --fields" in said
    assert main([str(file), "--fields", "answer"]) == 0
    assert capsys.readouterr().err == "repair: 1 text, 1 record: 1 kept (1 of 1 field), 0 rows in quarantine\n"
    file.write_text("agree,disagree\nYes, sure.,No.\n")
    assert main([str(file)]) == 0
    assert "a table's header names the fields, but its rows do not fit" in capsys.readouterr().err


def test_a_folder_is_read_file_by_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A cut reply does not run on into the next file, and equal replies in two files are two rows."""
    folder, out, bad = tmp_path / "replies", tmp_path / "rows.jsonl", tmp_path / "bad.jsonl"
    (folder / "later").mkdir(parents=True)
    (folder / ".hidden").write_bytes(b"\xff")
    (folder / "1.txt").write_text('{"agree": "I agree with it.", "disagree": "The film was')
    (folder / "2.txt").write_text(REPLIES[3][1])
    (folder / "3.txt").write_text(REPLIES[0][1])
    (folder / "later" / "1.jsonl").write_text(json.dumps({"id": "r1", "content": REPLIES[0][1]}) + "\n")
    arguments = [str(folder), "--out", str(out), "--quarantine", str(bad)]
    assert main(arguments) == 0
    assert capsys.readouterr().out == (
        "repair: 4 texts, 3 records: 3 kept (5 of 6 fields), 2 rows in quarantine (1 cut_off, 1 refusal)\n"
    )
    assert [row["source"]["file"] for row in lines(out)] == ["1.txt", "3.txt", "later/1.jsonl"]
    assert [(row["source"]["file"], row["content"]) for row in lines(bad)] == [
        ("1.txt", "The film was"),
        ("2.txt", REPLIES[3][1]),
    ]
    assert main([*arguments, "--duplicates", "drop"]) == 0
    assert [row["source"]["file"] for row in lines(out)] == ["1.txt", "3.txt"]
    (folder / "4.txt").write_bytes(b"\xff\xff")
    assert main(arguments) == 1
    assert "4.txt, line 1: not UTF-8" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main([str(folder), "--out", str(folder / "rows.jsonl")])
    (tmp_path / "empty").mkdir()
    assert main([str(tmp_path / "empty")]) == 1
    assert "holds no files" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("policy", "kept"), [("drop", None), ("trim", "It was long."), ("keep", "It was long. And the end")]
)
def test_a_cut_text(policy: str, kept: str | None, tmp_path: Path) -> None:
    out = tmp_path / "rows.jsonl"
    raw = '{"agree": "I agree.", "disagree": "It was long. And the end\n```\n'
    assert run("-", "--truncated", policy, "--out", out, given=raw).returncode == 0
    (row,) = lines(out)
    assert row["fields"].get("disagree") == kept
    if kept:
        assert "cut_off" in row["flags"]


def test_a_dump_where_every_response_was_appended_again(tmp_path: Path) -> None:
    records = [{"review": f"Film {n}.", "agree": f'Yes, "{n}".', "disagree": f"No, {n}."} for n in range(8)]
    raw = [json.dumps(record, indent=2) for record in records]
    raw[3] = f"```json\n{raw[3]}\n```"
    raw[5] = raw[5][:-25]
    forms = {
        "text": "\n".join("\n".join(raw[: n + 1]) for n in range(8)),
        "python": "\n".join(str(raw[: n + 1]) for n in range(8)),
        "json": "".join(json.dumps(raw[: n + 1]) for n in range(8)),
    }
    for name, text in forms.items():
        path, out, bad = tmp_path / f"{name}.txt", tmp_path / f"{name}.rows", tmp_path / f"{name}.bad"
        path.write_text(text, encoding="utf-8")
        assert run(path, "--out", out, "--quarantine", bad).returncode == 0
        found = [row["fields"] for row in lines(out)]
        expected = [{key: record[key] for key in ("agree", "disagree")} for record in records]
        expected[5] = {"agree": expected[5]["agree"]}
        assert found == expected, name
        assert Counter(row["reason"] for row in lines(bad))["duplicate"] == 28


def test_a_schema(tmp_path: Path) -> None:
    schema = tmp_path / "schema.json"
    schema.write_text(
        json.dumps(
            {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "answer": {"type": "string"},
                        "confidence": {"type": "number"},
                        "sure": {"type": "boolean"},
                        "tags": {"type": "array", "items": {"type": "string"}},
                    },
                    "required": ["answer"],
                },
            }
        )
    )
    raw = '[{"answer": "A "b" c", "confidence": 0.5, "sure": True, "tags": ["x", "y"]},\n{"confidence": 1},]'
    result = run("-", "--schema", schema, given=raw)
    assert result.returncode == 0, result.stderr
    (row,) = [json.loads(line) for line in result.stdout.splitlines()]
    assert row["fields"] == {"answer": 'A "b" c', "confidence": 0.5, "sure": True, "tags": ["x", "y"]}
    items = row["source"]["offsets"]["tags"]["items"]
    assert [raw[item["start"] : item["end"]] for item in items] == ["x", "y"]


def test_exit_statuses(tmp_path: Path, replies: Path, capsys: pytest.CaptureFixture[str]) -> None:
    latin = tmp_path / "latin.txt"
    latin.write_bytes(b'{"agree": "caf\xe9"}')
    schema = tmp_path / "schema.json"
    schema.write_text('{"type": "object", "properties": {"a": {"type": "object"}}}')
    cases: list[tuple[list[str | Path], int]] = [
        ([tmp_path / "nothing.jsonl"], 1),
        ([tmp_path], 1),
        ([latin], 1),
        ([replies, "--out", replies / "under" / "a" / "file"], 1),
        ([], 2),
        ([""], 2),
        ([replies, "--truncated", "never"], 2),
        ([replies, "--fields", "a,,b"], 2),
        ([replies, "--fields", ""], 2),
        ([replies, "--out", tmp_path], 2),
        ([replies, "--schema", schema], 2),
        ([replies, "--schema", tmp_path / "none.json"], 2),
        ([replies, "--schema", schema, "--fields", "a"], 2),
        ([replies, "--out", replies], 2),
        ([replies, "--out", tmp_path / "x", "--report", tmp_path / "x"], 2),
    ]
    for arguments, status in cases:
        # In this process: a dozen starts of Python would take longer than all else here.
        try:
            found: object = main([str(argument) for argument in arguments])
        except SystemExit as exit_:
            found = exit_.code
        said = capsys.readouterr()
        assert found == status, (arguments, said.err)
        assert said.err
        if status == 1:
            assert len(said.err.splitlines()) == 1
            assert said.out == ""
    assert run("-", given="").returncode == 0


def test_an_empty_name_is_not_the_current_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`relearn repair "$FILE"` with no FILE set."""
    with pytest.raises(SystemExit):
        main(["", "--out", str(tmp_path / "rows.jsonl")])
    assert "INPUT is empty; name a file, a folder, or - for standard input" in capsys.readouterr().err


def test_an_output_in_a_file_says_which_file(replies: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for inner in ("x", "x/y"):
        assert main([str(replies), "--out", f"{replies}/{inner}"]) == 1
        assert f"since {replies} is a file; name another folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("head", "says"),
    [
        (b"PAR1", "is a Parquet file; write its rows as JSON Lines"),
        (b"PK\x03\x04", "is a zip archive or a spreadsheet"),
        (b"BZh9", "is packed with bzip2; unpack it"),
    ],
)
def test_a_file_of_another_format_is_named(
    head: bytes, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "dump").write_bytes(head + b"\x15\x04\xff\xfe")
    assert main([str(tmp_path / "dump")]) == 1
    assert f"dump: {says}" in capsys.readouterr().err


def test_nothing_half_written_when_the_input_turns_out_unreadable(tmp_path: Path) -> None:
    path, out = tmp_path / "in.jsonl", tmp_path / "rows.jsonl"
    path.write_bytes(json.dumps({"id": "a", "content": REPLIES[0][1]}).encode() + b"\n\xff\xfe\n")
    result = run(path, "--out", out)
    assert result.returncode == 1
    assert "line 2" in result.stderr
    assert sorted(file.name for file in tmp_path.iterdir()) == ["in.jsonl"]


def test_half_a_character_is_quarantined(tmp_path: Path) -> None:
    out, bad = tmp_path / "rows.jsonl", tmp_path / "bad.jsonl"
    raw = '{"agree": "a \\ud83d b", "disagree": "fine \\ud83d\\ude00"}'
    assert run("-", "--out", out, "--quarantine", bad, given=raw).returncode == 0
    assert lines(out)[0]["fields"] == {"disagree": "fine 😀"}
    assert lines(bad)[0]["reason"] == "half_character"


def test_real_gemini_replies(shared_data: Path, tmp_path: Path) -> None:
    schema = tmp_path / "schema.json"
    kinds = {"answer": "string", "explanation": "string", "confidence": "number"}
    properties = {name: {"type": kind} for name, kind in kinds.items()}
    schema.write_text(json.dumps({"type": "array", "items": {"type": "object", "properties": properties}}))
    exact = total = 0
    cases = [json.loads(line) for line in (shared_data / "malformed_json" / "pairs.jsonl").open(encoding="utf-8")]
    cases = [case for case in cases if case["kind"] == "real_llm:gemini-1.5-flash"]
    path, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    path.write_text("".join(json.dumps({"id": str(n), "content": case["raw"]}) + "\n" for n, case in enumerate(cases)))
    assert run(path, "--schema", schema, "--out", out).returncode == 0
    found: dict[str, list[dict[str, Any]]] = {}
    for row in lines(out):
        found.setdefault(row["source"]["id"], []).append(row["fields"])
    for number, case in enumerate(cases):
        expected = case["expected_derived"]
        expected = expected if isinstance(expected, list) else next(iter(expected.values()))
        total += len(expected)
        exact += sum(record in found.get(str(number), []) for record in expected)
    assert total > 2000
    assert exact >= 0.97 * total


def test_fidelity_on_a_sample(shared_data: Path) -> None:
    from bench.breaking import break_records
    from bench.repair_fidelity import cases, clean_records, judge, mine

    rng = random.Random(3)
    clean = clean_records(shared_data, rng)
    counts: Counter[str] = Counter()
    for classes in cases(1200):
        broken = None
        while broken is None:
            broken = break_records(rng.sample(clean, 3), set(classes), rng)
        counts += judge(broken, mine(broken.text))
    assert counts["wrong"] == 0
    assert counts["recoverable"] >= 0.85 * (counts["recoverable"] + counts["beyond"])
    assert counts["exact"] >= 0.995 * counts["recoverable"]


def test_no_exception_on_other_tools_cases(shared_data: Path) -> None:
    from relearn.repair.dump import DumpText
    from relearn.repair.json import RecordSchema
    from relearn.repair.rows import DumpRepairer

    schema = RecordSchema({"key": "string", "name": "string", "age": "number", "test": "string", "a": "strings"})
    seen = 0
    for line in (shared_data / "malformed_json" / "pairs.jsonl").open(encoding="utf-8"):
        raw = json.loads(line)["raw"]
        for kept, row in DumpRepairer(schema).repair(DumpText(raw)):
            seen += 1
            if kept:
                for name, place in row["source"]["offsets"].items():
                    value = row["fields"][name]
                    if isinstance(value, str) and "\\" not in raw and '""' not in raw:
                        assert raw[place["start"] : place["end"]] == value
    assert seen > 1000


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_a_million_rows_in_constant_memory(tmp_path: Path) -> None:
    program = (
        "import json\n"
        "for n in range({}):\n"
        "    text = json.dumps({{'agree': f'I agree with number {{n}}.', 'disagree': f'Not with {{n}}.'}})\n"
        "    print(json.dumps({{'id': str(n), 'content': text if n % 3 else text[:-1]}}))\n"
    )
    peaks = []
    for rows in (100_000, 1_000_000):
        watch = (
            "import resource, sys; from relearn.repair.command import main; "
            f"status = main(['-', '--out', {str(tmp_path / 'out.jsonl')!r}]); "
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr); sys.exit(status)"
        )
        with subprocess.Popen([sys.executable, "-c", program.format(rows)], stdout=subprocess.PIPE) as source:
            result = subprocess.run(
                [sys.executable, "-c", watch], stdin=source.stdout, cwd=ROOT, capture_output=True, text=True, check=True
            )
        peaks.append(int(result.stderr.split()[-1]) / 1024)
        assert f"{rows} records: {rows} kept" in result.stdout
    # Twelve bytes a text, three texts a row, and room for the table to double: the texts themselves are not held.
    assert peaks[1] - peaks[0] < 120
