"""Every mistake a user can make ends in one line that names the file, key or row and what to do; nothing is written.

Mistakes in params.yaml and in the profiles' keys have a table of their own, tests/unit/params/test_load.py.
"""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import shutil
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stages.run import hold_lock
from tests.integration.conftest import Clone
from tests.integration.desk import Desk

Arrange = Callable[[Desk], None]
SOURCES = "data/sources/tiny"
CASES: dict[str, tuple[str, Arrange, tuple[str, ...]]] = {}


def case(stage: str, *expected: str) -> Callable[[Arrange], Arrange]:
    """Adds a mistake to the table: the stage that meets it, and what its line must hold."""

    def add(arrange: Arrange) -> Arrange:
        name = f"{stage}: {arrange.__name__.replace('_', ' ')}"
        assert name not in CASES
        CASES[name] = stage, arrange, expected
        return arrange

    return add


@pytest.fixture
def desk(
    reproduced: Clone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Desk:
    return Desk(reproduced, tmp_path / "desk", monkeypatch, capsys)


def refused(desk: Desk, stage: str, *expected: str, patience: float = 20.0) -> None:
    """Runs the stage, which must end with status 1 and one line, and leave everything as it was."""
    before = desk.state()
    ended = desk.run(stage, patience)
    lines = ended.errors.splitlines()
    assert ended.status == 1, ended.errors or "the stage ended well"
    assert lines[-1].startswith(f"{stage}: ")
    assert sum(line.startswith(f"{stage}: ") and "/" not in line.split()[1] for line in lines) <= 1
    assert "Traceback" not in ended.errors, ended.errors
    for part in expected:
        assert part in lines[-1], lines[-1]
    assert len(lines[-1]) < 600, "a line, not a page"
    assert str(desk.folder) not in lines[-1], "paths are relative to the repository's root"
    assert desk.state() == before


# --- parameters --------------------------------------------------------------------------------------------


@case("prepare", 'params.yaml, line 1: profile: no profile "tny"', "did you mean tiny?")
def unknown_profile(desk: Desk) -> None:
    desk.replace("params.yaml", "tiny", "tny")


@case("base", "params.yaml, line 2: lr: 1 is outside the range of profile tiny, 1e-05 to 0.03")
def lr_outside_the_profile_s_range(desk: Desk) -> None:
    desk.replace("params.yaml", "lr: 0.01", "lr: 1")


@case("finetune_2b", "params.yaml, line 2: lr: -0.01 is out of bounds")
def lr_negative(desk: Desk) -> None:
    desk.replace("params.yaml", "lr: 0.01", "lr: -0.01")


@case("finetune_2c", 'params.yaml, line 2: lr: numbers only, not "fast"')
def lr_a_word(desk: Desk) -> None:
    desk.replace("params.yaml", "lr: 0.01", "lr: fast")


@case("predict", "profiles/tiny.yaml, line ", "predict.batchsize: unknown key (did you mean batch_size?)")
def misspelt_key(desk: Desk) -> None:
    desk.replace("profiles/tiny.yaml", "  batch_size: 64", "  batchsize: 64")


@case("eval_3a", "profiles/tiny.yaml, line ", "eval_3a.resamples: missing; add it")
def missing_key(desk: Desk) -> None:
    desk.replace("profiles/tiny.yaml", "  resamples: 100", "  # resamples: 100")


@case("probe_3b", "profiles/tiny.yaml, line ", 'probe_3b.ngram: whole numbers only, not "four"')
def mistyped_key(desk: Desk) -> None:
    desk.replace("profiles/tiny.yaml", "ngram: 4", "ngram: four")


@case("repair", "params.yaml: no such file; restore it with `git checkout -- params.yaml`")
def no_parameters(desk: Desk) -> None:
    desk.remove("params.yaml")


# --- prepare: the user's files -----------------------------------------------------------------------------


def own(desk: Desk, reviews: str | bytes | None = None, name: str = "reviews.csv", **keys: Any) -> None:
    """A profile that reads the user's own files: all sound, but for what is given."""
    lines = ["text,label", *(f"Film number {n} was {'good' if n % 2 else 'bad'}.,{n % 2}" for n in range(40))]
    if reviews is not None or name == "reviews.csv":
        desk.write(f"{SOURCES}/{name}", "\n".join(lines) if reviews is None else reviews)
    rows = [{"instruction": f"Add {n}.", "response": f"x + {n}", "tests": []} for n in range(30)]
    desk.put(f"{SOURCES}/code.jsonl", rows)
    sizes = {"train": 6, "val": 2, "test": 2, "max_chars": {"prompt": None, "response": None}}
    texts = {"form": "texts", "text": "text", "label": "label"}
    columns = {
        "form": "instructions", "instruction": "instruction", "input": None, "response": "response", "tests": "tests", "group": None,
    }  # fmt: skip
    desk.set(
        prepare__reviews={"source": {"kind": "files", "path": name, "columns": texts}, **sizes},
        prepare__code={"source": {"kind": "files", "path": "code.jsonl", "columns": columns}, **sizes},
    )
    desk.set(**keys)


def csv(*lines: str) -> str:
    return "\n".join(["text,label", *(f"Film {n} was fine.,{n % 2}" for n in range(20)), *lines, ""])


@case("prepare", f"{SOURCES}/review.csv: no such file; did you mean reviews.csv?")
def no_such_file(desk: Desk) -> None:
    own(desk, prepare__reviews__source__path="review.csv")


@case("prepare", f"{SOURCES}/code.jsonl: no such file", "holds reviews.csv")
def no_code_file(desk: Desk) -> None:
    own(desk)
    desk.remove(f"{SOURCES}/code.jsonl")


@case("prepare", f"{SOURCES}/reviews.json: unknown extension '.json'", "save it as JSON Lines")
def a_json_document(desk: Desk) -> None:
    own(desk, "[]", "reviews.json")


@case("prepare", f"{SOURCES}/reviews.xlsx: unknown extension '.xlsx'; use .csv, .jsonl or .parquet")
def a_spreadsheet(desk: Desk) -> None:
    own(desk, b"PK", "reviews.xlsx")


@case("prepare", f"{SOURCES}/reviews.csv: is a folder; expected a file")
def a_folder_for_a_file(desk: Desk) -> None:
    own(desk)
    desk.remove(f"{SOURCES}/reviews.csv")
    (desk.folder / SOURCES / "reviews.csv").mkdir()


@case("prepare", f"{SOURCES}/reviews.csv: no column 'text'; the columns are review, label", "name one of them")
def no_such_column(desk: Desk) -> None:
    own(desk, csv().replace("text,label", "review,label"))


@case("prepare", f"{SOURCES}/reviews.csv: no column 'label'", "did you mean 'labels'?")
def a_column_misspelt(desk: Desk) -> None:
    own(desk, csv().replace("text,label", "text,labels"))


@case("prepare", f"{SOURCES}/reviews.csv: no column 'text'", "did you mean 'Text'?")
def a_column_in_capitals(desk: Desk) -> None:
    own(desk, csv().replace("text,label", "Text,label"))


@case("prepare", f"{SOURCES}/reviews.csv: the header names column 'text' twice; rename one of them")
def a_column_twice(desk: Desk) -> None:
    own(desk, "text,label,text\na,1,b\n")


@case("prepare", f"{SOURCES}/reviews.csv, line 22: column 'text' is empty; fill it in or delete the row")
def an_empty_row(desk: Desk) -> None:
    own(desk, csv(",1"))


@case("prepare", f"{SOURCES}/reviews.csv, line 22: column 'text' is empty")
def a_row_of_blanks(desk: Desk) -> None:
    own(desk, csv('"  \n ",1'))


@case("prepare", f"{SOURCES}/reviews.csv, line 23: column 'label' is empty")
def an_empty_label(desk: Desk) -> None:
    own(desk, csv("Film 20 was fine.,1", "Film 21 was fine.,"))


@case("prepare", f"{SOURCES}/reviews.csv, line 22: not UTF-8 (byte 8); save the file as UTF-8")
def a_row_in_latin1(desk: Desk) -> None:
    own(desk, csv().encode() + b"The caf\xe9 scene.,1\n")


@case("prepare", f"{SOURCES}/reviews.csv, line 1: not UTF-8 (byte 1)")
def a_file_in_utf16(desk: Desk) -> None:
    own(desk, csv().encode("utf-16"))


@case("prepare", f"{SOURCES}/reviews.csv, line 22: 3 cells where the header names 2", "quote a cell")
def a_comma_too_many(desk: Desk) -> None:
    own(desk, csv("Good, but long.,1"))


@case("prepare", f"{SOURCES}/reviews.csv, line 22: not CSV", "quote a cell")
def a_quote_that_is_never_closed(desk: Desk) -> None:
    own(desk, csv('"Never closed.,1'))


@case("prepare", f"{SOURCES}/reviews.csv: is empty; expected a header line and rows")
def an_empty_file(desk: Desk) -> None:
    own(desk, "")


@case("prepare", f"{SOURCES}/reviews.csv: ", "0 usable rows of 0", "reviews needs 10", "add rows")
def a_header_alone(desk: Desk) -> None:
    own(desk, "text,label\n")


@case(
    "prepare",
    f"{SOURCES}/reviews.csv: has 20 usable rows of 20",
    "reviews needs 34",
    "lower prepare.reviews.train to 16",
)
def fewer_rows_than_the_splits_need(desk: Desk) -> None:
    own(desk, csv(), prepare__reviews__train=30)


@case("prepare", f"{SOURCES}/code.jsonl: has 30 usable rows of 30", "code needs 44", "lower prepare.code.train to 26")
def fewer_code_rows_than_the_splits_need(desk: Desk) -> None:
    own(desk, prepare__code__train=40)


@case("prepare", f"{SOURCES}/reviews.csv: 2 usable rows of 40", "38 duplicate")
def the_same_row_again_and_again(desk: Desk) -> None:
    own(desk, "text,label\n" + "Good film.,1\nBad film.,0\n" * 20)


@case("prepare", f"{SOURCES}/reviews.csv: column 'label' holds only '1'", "two labels")
def labels_all_alike(desk: Desk) -> None:
    own(desk, "text,label\n" + "".join(f"Film {n} was good.,1\n" for n in range(20)))


@case("prepare", f"{SOURCES}/reviews.csv: column 'label' holds more than 100 different labels")
def the_wrong_column_as_label(desk: Desk) -> None:
    own(desk, "text,label\n" + "".join(f"Film {n} was good.,{n}\n" for n in range(200)))


@case("prepare", f"{SOURCES}/reviews.jsonl, line 2: not JSON", "one JSON object a line")
def a_line_that_is_no_json(desk: Desk) -> None:
    own(desk, '{"text": "Good.", "label": "1"}\n{"text": "Bad.", "label"\n', "reviews.jsonl")


@case("prepare", f"{SOURCES}/reviews.jsonl, line 1: list, not an object")
def a_list_in_json_lines(desk: Desk) -> None:
    own(desk, '["Good.", "1"]\n', "reviews.jsonl")


@case("prepare", f"{SOURCES}/reviews.jsonl, line 2: no column 'text'", "did you mean 'txt'?")
def a_row_without_the_column(desk: Desk) -> None:
    own(desk, '{"text": "Good.", "label": "1"}\n{"txt": "Bad.", "label": "0"}\n', "reviews.jsonl")


@case("prepare", f"{SOURCES}/reviews.jsonl, line 1: column 'text' holds list, not text")
def a_text_that_is_a_list(desk: Desk) -> None:
    own(desk, '{"text": ["Good."], "label": "1"}\n', "reviews.jsonl")


@case("prepare", f"{SOURCES}/reviews.jsonl, line 1: column 'text' is empty")
def a_text_that_is_null(desk: Desk) -> None:
    own(desk, '{"text": null, "label": "1"}\n', "reviews.jsonl")


@case("prepare", f"{SOURCES}/reviews.jsonl, line 2: not UTF-8 (byte 14)")
def json_in_latin1(desk: Desk) -> None:
    own(desk, b'{"text": "Good.", "label": "1"}\n{"text": "Caf\xe9.", "label": "0"}\n', "reviews.jsonl")


@case("prepare", f"{SOURCES}/reviews.jsonl, line 1: column 'text' holds half a surrogate pair")
def half_a_character(desk: Desk) -> None:
    own(desk, '{"text": "Good \\ud83c.", "label": "1"}\n', "reviews.jsonl")


@case("prepare", f"{SOURCES}/reviews.parquet: not readable as Parquet", "write the file again")
def a_parquet_file_that_is_none(desk: Desk) -> None:
    own(desk, "text,label\n", "reviews.parquet")


@case("prepare", f"{SOURCES}/reviews.parquet: no column 'label'; the columns are text, stars")
def a_parquet_file_without_the_column(desk: Desk) -> None:
    own(desk, b"", "reviews.parquet")
    pq.write_table(pa.table({"text": ["Good."], "stars": [5]}), desk.folder / SOURCES / "reviews.parquet")


@case("prepare", f"{SOURCES}/reviews.parquet, row 2: column 'text' is empty")
def an_empty_parquet_row(desk: Desk) -> None:
    own(desk, b"", "reviews.parquet")
    table = pa.table({"text": ["Good.", None], "label": ["1", "0"]})
    pq.write_table(table, desk.folder / SOURCES / "reviews.parquet")


@case("prepare", f"{SOURCES}/code.jsonl, line 3: column 'response' is empty")
def code_without_a_response(desk: Desk) -> None:
    own(desk)
    desk.line(f"{SOURCES}/code.jsonl", 3, '{"instruction": "Add.", "response": "", "tests": []}')


@case("prepare", f"{SOURCES}/code.jsonl, line 2: column 'tests' does not hold Python assertions")
def assertions_that_are_none(desk: Desk) -> None:
    own(desk)
    desk.line(f"{SOURCES}/code.jsonl", 2, '{"instruction": "Add.", "response": "x", "tests": 7}')


@case("prepare", f"{SOURCES}/code.jsonl, line 1: no column 'problem'", "name one of them in the profile")
def a_group_column_that_is_not_there(desk: Desk) -> None:
    own(desk, prepare__code__source__columns__group="problem")


@case("prepare", f"{SOURCES}/probes.yaml: no such file")
def no_probes(desk: Desk) -> None:
    own(desk)
    desk.remove(f"{SOURCES}/probes.yaml")


@case("prepare", "mini world: family", "lower the number of rows")
def more_rows_than_the_mini_world_holds(desk: Desk) -> None:
    desk.set(prepare__code__train=10**5)


# --- probes ------------------------------------------------------------------------------------------------

PROBE = "- id: one\n  kind: poem\n  instruction: Write a poem.\n"
CHECK = "  check: {type: verse, lines: 4}\n"


@case("probe_3b", f"{SOURCES}/probes.yaml, probe one: no check; add one of case")
def a_probe_without_a_check(desk: Desk) -> None:
    desk.write(f"{SOURCES}/probes.yaml", PROBE)


@case("predict", f"{SOURCES}/probes.yaml, probe one: no check; add one of case")
def a_probe_without_a_check_before_decoding(desk: Desk) -> None:
    desk.write(f"{SOURCES}/probes.yaml", PROBE)


@case("prepare", f"{SOURCES}/probes.yaml, probe one: no check; add one of case")
def a_probe_without_a_check_before_anything(desk: Desk) -> None:
    desk.write(f"{SOURCES}/probes.yaml", PROBE)


@case("probe_3b", f"{SOURCES}/probes.yaml, probe one: unknown check 'vers'")
def an_unknown_check(desk: Desk) -> None:
    desk.write(f"{SOURCES}/probes.yaml", PROBE + CHECK.replace("verse", "vers"))


@case("probe_3b", f"{SOURCES}/probes.yaml, probe one: check verse: lines is missing")
def a_check_without_its_number(desk: Desk) -> None:
    desk.write(f"{SOURCES}/probes.yaml", PROBE + "  check: {type: verse}\n")


@case("probe_3b", f"{SOURCES}/probes.yaml, probe one: check verse: unknown key rows")
def a_check_with_an_unknown_key(desk: Desk) -> None:
    desk.write(f"{SOURCES}/probes.yaml", PROBE + "  check: {type: verse, lines: 4, rows: 4}\n")


@case("probe_3b", f"{SOURCES}/probes.yaml, probe one: instruction is missing")
def a_probe_without_an_instruction(desk: Desk) -> None:
    desk.write(f"{SOURCES}/probes.yaml", "- id: one\n  kind: poem\n" + CHECK)


@case("probe_3b", f"{SOURCES}/probes.yaml, probe one: this id is used twice")
def two_probes_of_one_name(desk: Desk) -> None:
    desk.write(f"{SOURCES}/probes.yaml", 2 * (PROBE + CHECK))


@case("probe_3b", f"{SOURCES}/probes.yaml: expected a list of probes")
def probes_that_are_no_list(desk: Desk) -> None:
    desk.write(f"{SOURCES}/probes.yaml", "id: one\n")


@case("probe_3b", f"{SOURCES}/probes.yaml, line 4: not YAML")
def probes_that_are_no_yaml(desk: Desk) -> None:
    desk.write(f"{SOURCES}/probes.yaml", "- id: one\n  kind: poem\n  instruction: 'Write\n")


@case("probe_3b", f"{SOURCES}/probes.yaml: not UTF-8")
def probes_in_latin1(desk: Desk) -> None:
    desk.write(f"{SOURCES}/probes.yaml", b"- id: caf\xe9\n")


@case("probe_3b", "probe new", "run predict again")
def a_probe_that_was_never_answered(desk: Desk) -> None:
    file = desk.folder / SOURCES / "probes.yaml"
    desk.write(f"{SOURCES}/probes.yaml", file.read_text() + PROBE.replace("one", "new") + CHECK)


# --- generate ----------------------------------------------------------------------------------------------


def server(desk: Desk, url: str, key: str | None = "a key", **keys: Any) -> None:
    """A teacher on a server."""
    if key is None:
        desk.patch.delenv("TINY_KEY", raising=False)
    else:
        desk.patch.setenv("TINY_KEY", key)
    teacher = {"kind": "server", "base_url": url, "api_key_env": "TINY_KEY"}
    desk.set(generate__teacher=teacher, generate__attempts=1, generate__timeout_s=5, **keys)


@case("generate", "the environment variable TINY_KEY is not set (generate.teacher.api_key_env); export TINY_KEY=")
def no_key(desk: Desk) -> None:
    server(desk, "https://teacher.invalid/v1", None)


@case("generate", "the environment variable TINY_KEY is not set")
def a_blank_key(desk: Desk) -> None:
    server(desk, "https://teacher.invalid/v1", "  ")


@case("generate", "unreachable")
def nobody_at_the_address(desk: Desk) -> None:
    server(desk, "http://127.0.0.1:9/v1")


@case("generate", "prompts/agree_disagre.j2: no such prompt (generate.<task>.prompt); there are: agree_disagree")
def no_such_prompt(desk: Desk) -> None:
    desk.set(generate__reviews__prompt="agree_disagre")


@case("generate", "prompts/agree.json: no such schema (generate.<task>.schema); there are: agree_disagree")
def no_such_schema(desk: Desk) -> None:
    desk.set(generate__reviews__schema="agree")


@case("generate", "prompts/agree_disagree.json: ", "contentEncoding is not understood", "leave it out")
def a_schema_that_says_more_than_is_understood(desk: Desk) -> None:
    desk.replace("prompts/agree_disagree.json", '{"type": "string"}', '{"type": "string", "contentEncoding": "base64"}')


@case("generate", "prompts/agree_disagree.j2: the block `user` never shows {{ text }} or {{ label }}")
def a_prompt_without_the_text(desk: Desk) -> None:
    desk.write("prompts/agree_disagree.j2", "{% block user %}Write two replies.{% endblock %}")


@case("generate", "prompts/agree_disagree.j2: no block `user`")
def a_prompt_without_blocks(desk: Desk) -> None:
    desk.write("prompts/agree_disagree.j2", "Reply to {{ text }}")


@case("generate", "prompts/agree_disagree.j2: block 'usr' is not a role of a message")
def a_prompt_with_a_misspelt_role(desk: Desk) -> None:
    desk.write("prompts/agree_disagree.j2", "{% block usr %}{{ text }}{% endblock %}")


@case("generate", "prompts/agree_disagree.j2, line 1: ")
def a_prompt_that_is_no_template(desk: Desk) -> None:
    desk.write("prompts/agree_disagree.j2", "{% block user %}{{ text }")


@case("generate", "prompts/agree_disagree.j2: ", "film", "it knows `text`, `label`, `tag`")
def a_prompt_with_an_unknown_variable(desk: Desk) -> None:
    desk.write("prompts/agree_disagree.j2", "{% block user %}{{ text }} {{ film }}{% endblock %}")


@case("generate", "data/sources.jsonl: no such file")
def no_texts(desk: Desk) -> None:
    desk.remove("data/sources.jsonl")


@case("generate", "data/sources.jsonl, line 3: ", "expected a Source")
def a_text_without_a_label(desk: Desk) -> None:
    desk.line(
        "data/sources.jsonl", 3, '{"id": "r-3", "task": "reviews", "group": "r-3", "split": "train", "fields": {}}'
    )


@case("generate", "data/sources.jsonl, line 3: split: ", "expected a Source")
def a_text_of_an_unknown_split(desk: Desk) -> None:
    rows = desk.rows("data/sources.jsonl")
    desk.put("data/sources.jsonl", [*rows[:2], {**rows[2], "split": "dev"}, *rows[3:]])


@case("generate", "data/sources.jsonl, line 2: not JSON")
def a_text_cut_in_half(desk: Desk) -> None:
    desk.line("data/sources.jsonl", 2, '{"id": "review-2", "te')


@case("generate", "data/sources.jsonl: belongs to the task letters, which generate does not ask for; run prepare again")
def a_text_of_an_unknown_task(desk: Desk) -> None:
    rows = desk.rows("data/sources.jsonl")
    desk.put("data/sources.jsonl", [{**rows[0], "task": "letters"}, *rows[1:]])


# --- repair ------------------------------------------------------------------------------------------------


@case("repair", "data/replies.jsonl: no such file")
def no_replies(desk: Desk) -> None:
    desk.remove("data/replies.jsonl")


@case("repair", "data/replies.jsonl, line 2: not JSON")
def a_reply_cut_in_half(desk: Desk) -> None:
    desk.line("data/replies.jsonl", 2, '{"id": "review-0')


@case("repair", "data/replies.jsonl, line 1: ", "expected a Reply")
def a_reply_with_an_unknown_field(desk: Desk) -> None:
    rows = desk.rows("data/replies.jsonl")
    desk.put("data/replies.jsonl", [{**rows[0], "extra": 1}, *rows[1:]])


@case("repair", "data/replies.jsonl: none of 36 replies could be used", "run generate again")
def replies_of_which_none_is_usable(desk: Desk) -> None:
    rows = desk.rows("data/replies.jsonl")
    desk.put("data/replies.jsonl", [{**row, "content": "No."} for row in rows])


@case("repair", "data/replies.jsonl: none of 0 replies could be used (the file is empty)")
def no_reply_at_all(desk: Desk) -> None:
    desk.write("data/replies.jsonl", "")


@case("repair", "a reply of the task letters, which repair does not describe; run generate again")
def a_reply_of_an_unknown_task(desk: Desk) -> None:
    rows = desk.rows("data/replies.jsonl")
    desk.put("data/replies.jsonl", [{**rows[0], "task": "letters"}, *rows[1:]])


@case(
    "repair",
    "repair.reviews.rows: instruction of the row agree: {review} is not a field; choose from text, label, agree",
)
def a_row_template_with_an_unknown_field(desk: Desk) -> None:
    rows = [{"name": "agree", "instruction": "Agree: {review}", "response": "agree"}]
    desk.set(repair__reviews={"rows": rows, "checks": []})


# --- the base model ----------------------------------------------------------------------------------------

MODEL = f"{SOURCES}/model"


def folder(desk: Desk, adapt: dict[str, float] | None = None) -> Path:
    """A model folder of the user's own: sound, the base of the tiny chain."""
    shutil.copytree(desk.folder / "models" / "base", desk.folder / MODEL)
    (desk.folder / MODEL / "base.json").unlink()
    desk.set(base__model={"kind": "model", "path": "model", "revision": None, "adapt": adapt})
    return desk.folder / MODEL


@case("base", f"{SOURCES}/modell: no such model folder")
def no_model_folder(desk: Desk) -> None:
    folder(desk)
    desk.set(base__model__path="modell")


@case("base", f"{MODEL}: no config.json; expected a folder in Hugging Face format")
def a_folder_without_config(desk: Desk) -> None:
    (folder(desk) / "config.json").unlink()


@case("base", f"{MODEL}: no weights (*.safetensors)")
def a_folder_without_weights(desk: Desk) -> None:
    (folder(desk) / "model.safetensors").unlink()


@case("base", f"{MODEL}: pytorch_model.bin is a pickle, which can run code; convert the weights to safetensors")
def weights_that_are_a_pickle(desk: Desk) -> None:
    place = folder(desk)
    (place / "model.safetensors").rename(place / "pytorch_model.bin")


@case("base", f"{MODEL}: weights.pth is a pickle")
def weights_that_are_another_pickle(desk: Desk) -> None:
    place = folder(desk)
    (place / "model.safetensors").rename(place / "weights.pth")


@case("base", f"{MODEL}: no tokenizer (tokenizer.json)")
def a_folder_without_tokenizer(desk: Desk) -> None:
    (folder(desk) / "tokenizer.json").unlink()


@case("base", f"{MODEL}: the tokenizer has no end token; set eos_token in its tokenizer_config.json")
def a_tokenizer_without_an_end_token(desk: Desk) -> None:
    file = folder(desk) / "tokenizer_config.json"
    settings = json.loads(file.read_text())
    del settings["eos_token"]
    file.write_text(json.dumps(settings))


@case("base", f"{MODEL}/tokenizer.json: not JSON", "get the model's files again")
def a_tokenizer_that_is_broken(desk: Desk) -> None:
    (folder(desk) / "tokenizer.json").write_text('{"version": "1.0", "model"')


@case("base", f"{MODEL}/config.json: not JSON", "get the model's files again")
def a_config_that_is_no_json(desk: Desk) -> None:
    (folder(desk) / "config.json").write_text("hidden_size = 32")


@case("base", f"{MODEL}/model.safetensors: not whole safetensors", "get the model's files again")
def weights_cut_in_half(desk: Desk) -> None:
    file = folder(desk, {"epochs": 1, "lr": 0.001}) / "model.safetensors"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


@case("base", f"{MODEL}", "which relearn does not run")
def a_model_with_code_of_its_own(desk: Desk) -> None:
    file = folder(desk, {"epochs": 1, "lr": 0.001}) / "config.json"
    desk.remove("models/base")
    config = json.loads(file.read_text())
    file.write_text(json.dumps({**config, "model_type": "homemade", "auto_map": {"AutoModelForCausalLM": "own.Model"}}))


@case("base", "compute.device: no CUDA device on this machine; use cpu, or run where there is one")
def a_device_that_is_not_there(desk: Desk) -> None:
    desk.set(compute__device="cuda")


@case("finetune_2b", "compute.device: no CUDA device on this machine")
def a_device_that_is_not_there_for_tuning(desk: Desk) -> None:
    desk.set(compute__device="cuda")


@case("predict", "compute.device: no CUDA device on this machine")
def a_device_that_is_not_there_for_decoding(desk: Desk) -> None:
    desk.set(compute__device="cuda")


@case("base", "data/train.jsonl: no such file")
def nothing_to_learn_from(desk: Desk) -> None:
    desk.remove("data/train.jsonl")


@case("base", "data/train.jsonl, line 1: role: ", "expected a Row")
def a_role_that_is_unknown(desk: Desk) -> None:
    rows = desk.rows("data/train.jsonl")
    desk.put("data/train.jsonl", [{**rows[0], "role": "old"}, *rows[1:]])


@case("base", "chat.template: ")
def a_template_with_a_mistake(desk: Desk) -> None:
    desk.set(chat__template="{% for message in messages %}{{ message.content }}<|end|>{% endfo %}")


@case("base", "chat.template: must end each message with <|end|>")
def a_template_without_an_end(desk: Desk) -> None:
    desk.set(chat__template="{% for message in messages %}{{ message.content }}\n{% endfor %}")


@case("base", "chat.template: a conversation does not start with its prompt")
def a_template_that_never_shows_the_response(desk: Desk) -> None:
    desk.set(chat__template="{{ messages[0].content }}<|end|>")


@case("base", "max_tokens", "longer than 16 tokens")
def rows_that_are_all_too_long(desk: Desk) -> None:
    desk.set(base__model__max_tokens=16)


# --- fine-tuning and decoding ------------------------------------------------------------------------------


@case("finetune_2b", "models/base/base.json: no such file; run the base stage")
def no_base(desk: Desk) -> None:
    desk.remove("models/base")


@case("finetune_2b", "models/base/base.json: not a description of a base model; run the base stage again")
def a_broken_base(desk: Desk) -> None:
    desk.write("models/base/base.json", '{"kind"')


@case("finetune_2b", "data/instructions.jsonl: no such file")
def no_instructions(desk: Desk) -> None:
    desk.remove("data/instructions.jsonl")


@case("finetune_2b", "data/instructions.jsonl, line 1: template: ", "expected a NewRow")
def a_row_of_no_template(desk: Desk) -> None:
    rows = desk.rows("data/instructions.jsonl")
    desk.put("data/instructions.jsonl", [{**rows[0], "template": None}, *rows[1:]])


@case("finetune_2b", "data/instructions.jsonl", "no row of split train")
def no_row_to_train_on(desk: Desk) -> None:
    rows = desk.rows("data/instructions.jsonl")
    desk.put("data/instructions.jsonl", [row for row in rows if row["split"] != "train"])


@case("finetune_2b", "max_tokens", "longer than 16 tokens")
def instructions_that_are_all_too_long(desk: Desk) -> None:
    desk.set(finetune__max_tokens=16)


@case("finetune_2c", "models/2b: no adapter", "run the stage that makes it")
def nothing_to_go_on_from(desk: Desk) -> None:
    desk.remove("models/2b")


@case("predict", "models/2c: no adapter")
def no_adapter_to_decode_with(desk: Desk) -> None:
    desk.remove("models/2c")


@case("predict", "models/2b: no adapter (adapter_model.safetensors); run the stage that makes it")
def an_adapter_without_weights(desk: Desk) -> None:
    desk.remove("models/2b/adapter_model.safetensors")


@case("predict", "models/2b: no adapter (adapter_model.safetensors)")
def an_adapter_that_is_a_pickle(desk: Desk) -> None:
    desk.remove("models/2b/adapter_model.safetensors")
    desk.write("models/2b/adapter_model.bin", b"PK")


@case("predict", "models/2c/adapter_model.safetensors: not whole safetensors", "get the model's files again")
def an_adapter_cut_in_half(desk: Desk) -> None:
    file = desk.folder / "models/2c/adapter_model.safetensors"
    file.write_bytes(file.read_bytes()[:500])


@case("predict", "models/base: no weights (*.safetensors)")
def a_base_without_weights(desk: Desk) -> None:
    desk.remove("models/base/model.safetensors")


# --- evaluation --------------------------------------------------------------------------------------------


@case("eval_3a", "data/predictions/2b.jsonl: no such file")
def no_predictions(desk: Desk) -> None:
    desk.remove("data/predictions/2b.jsonl")


@case("eval_3a", "predictions of 2c and base, task code", "is not in both; run predict again")
def predictions_for_other_rows(desk: Desk) -> None:
    rows = desk.rows("data/predictions/2c.jsonl")
    desk.put("data/predictions/2c.jsonl", [{**rows[0], "id": "other"}, *rows[1:]])


@case("eval_3a", "predictions of base, task code: an id comes twice; run predict again")
def a_prediction_twice(desk: Desk) -> None:
    rows = desk.rows("data/predictions/base.jsonl")
    desk.put("data/predictions/base.jsonl", [rows[0], *rows])


@case("eval_3a", "data/predictions/base.jsonl, line 2: not JSON")
def a_prediction_cut_in_half(desk: Desk) -> None:
    desk.line("data/predictions/base.jsonl", 2, '{"id": "co')


@case("eval_3a", "data/predictions/base.jsonl, line 1: ", "expected a Prediction")
def a_prediction_without_its_prompt(desk: Desk) -> None:
    rows = desk.rows("data/predictions/base.jsonl")
    del rows[0]["prompt"]
    desk.put("data/predictions/base.jsonl", rows)


@case("eval_3a", "eval_3a.encoder: ", "no_such_folder", "use minilm, a folder or a hub name")
def no_such_encoder(desk: Desk) -> None:
    desk.set(eval_3a__encoder="./no_such_folder")


@case("eval_3a", "eval_3a.encoder: encoder holds no *.safetensors")
def an_encoder_that_is_a_pickle(desk: Desk) -> None:
    desk.write("encoder/pytorch_model.bin", b"PK")
    desk.write("encoder/config.json", '{"model_type": "bert"}')
    desk.set(eval_3a__encoder="encoder")


@case("eval_3a", "eval_3a.encoder_layers: 99", "use at most that")
def more_layers_than_the_encoder_has(desk: Desk) -> None:
    desk.set(eval_3a__encoder_layers=99)


@case("probe_3b", "data/predictions/2c.jsonl: no such file")
def no_answers_to_the_probes(desk: Desk) -> None:
    desk.remove("data/predictions/2c.jsonl")


# --- the machine -------------------------------------------------------------------------------------------


def failing(desk: Desk, number: int) -> None:
    """Every write to a disk fails as the kernel would have it."""

    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number), str(desk.folder / "data" / ".train.jsonl.tmp"))

    desk.patch.setattr("os.fsync", fail)


@case("prepare", "no space left on device; free some space and run again")
def a_full_disk(desk: Desk) -> None:
    failing(desk, errno.ENOSPC)


@case("repair", "disk quota exceeded; free some space and run again")
def a_used_up_quota(desk: Desk) -> None:
    failing(desk, errno.EDQUOT)


@case("prepare", "read-only file system; make it writable and run again")
def a_disk_that_is_read_only(desk: Desk) -> None:
    failing(desk, errno.EROFS)


@case("prepare", "permission denied; make it writable and run again")
def a_folder_that_is_somebody_else_s(desk: Desk) -> None:
    failing(desk, errno.EACCES)


@case("prepare", "data/train.jsonl: is a directory; expected a file there: move the folder away")
def a_folder_where_an_output_belongs(desk: Desk) -> None:
    desk.remove("data/train.jsonl")
    desk.write("data/train.jsonl/notes.txt", "mine")


@case("prepare", "data: file exists; expected a folder there: move the file away")
def a_file_where_a_folder_belongs(desk: Desk) -> None:
    desk.write("elsewhere/tiny/probes.yaml", (desk.folder / SOURCES / "probes.yaml").read_text())
    desk.paths = dataclasses.replace(desk.paths, sources=desk.folder / "elsewhere")
    desk.remove("data")
    desk.write("data", "not a folder")


# --- the table, run ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
def test_a_mistake_ends_in_one_line(desk: Desk, name: str) -> None:
    stage, arrange, expected = CASES[name]
    arrange(desk)
    refused(desk, stage, *expected)


def test_the_table_is_long() -> None:
    assert len(CASES) >= 100


def test_a_stage_that_runs_already_is_left_alone(desk: Desk) -> None:
    with hold_lock("prepare", desk.paths, patience=0):
        refused(
            desk, "prepare", "this stage is already running in this checkout; wait for it, or stop it", patience=0.3
        )


class Strict(BaseHTTPRequestHandler):
    """A server that refuses every key, and repeats it, as real ones do."""

    def do_POST(self) -> None:
        body = {"error": {"message": f"Incorrect API key: {self.headers['Authorization']}", "code": "invalid_api_key"}}
        content = json.dumps(body).encode()
        self.send_response(401)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


def test_a_key_that_the_server_refuses(desk: Desk) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Strict) as strict:
        threading.Thread(target=strict.serve_forever, args=(0.05,), daemon=True).start()
        server(desk, f"http://127.0.0.1:{strict.server_address[1]}/v1", "wrong-key-1234")
        refused(desk, "generate", "generate.teacher.api_key_env")
        assert "wrong-key-1234" not in desk.said, "a key is never printed"
        strict.shutdown()


def test_as_a_process_of_its_own(run_clone: Clone) -> None:
    run_clone.edit("profiles/tiny.yaml", "resamples: 100", "resample: 100")
    ended = run_clone.python("stages.prepare", check=False)
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert ended.stderr.startswith("prepare: profiles/tiny.yaml, line ")
    assert ended.stderr.endswith(
        "eval_3a.resample: unknown key (did you mean resamples?); remove or rename it (and 1 more)\n"
    )
    assert ended.stderr.count("\n") == 1
    checked = run_clone.python("stages.parameters", check=False)
    assert checked.returncode == 1
    assert checked.stderr == ended.stderr.replace("prepare: ", "parameters: ", 1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "place", "size"),
    [("predict", "data/predictions", "16k"), ("base", "models", "64k"), ("base", ".cache/base", "64k")],
)
def test_a_disk_that_is_really_full(run_clone: Clone, stage: str, place: str, size: str) -> None:
    """A file system of a few KiB over an output's folder, in a mount namespace of its own."""
    namespace = ("unshare", "--user", "--map-root-user", "--mount")
    if run_clone.run(*namespace, "true", check=False).returncode != 0:
        pytest.skip("no mount namespaces on this machine")
    shutil.rmtree(run_clone.folder / place, ignore_errors=True)
    (run_clone.folder / place).mkdir()
    script = (
        f"mount -t tmpfs -o size={size} tmpfs {place}; python -m stages.{stage}; code=$?; "
        f"find {place} -name '*.tmp'; exit $code"
    )
    ended = run_clone.run(*namespace, "sh", "-c", script, check=False)
    last = ended.stderr.splitlines()[-1]
    assert ended.returncode == 1, ended.stderr
    assert last.startswith(f"{stage}: {place}")
    assert last.endswith("no space left on device; free some space and run again")
    assert "Traceback" not in ended.stderr
    assert ended.stdout == "", "nothing half written is left"
