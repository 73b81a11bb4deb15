"""New tasks as data: prompts, schemas, row templates and files, from prepare to repair, with a teacher on loopback."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from relearn.errors import InputError
from relearn.files import read_jsonl
from relearn.mini.server import Server
from relearn.params import Params, load
from relearn.records import NewRow, Quarantined, Reply
from stages import generate, prepare, repair
from stages.paths import Paths
from tests.conftest import ROOT
from tests.schema_teacher import SchemaTeacher

PROMPT = """
{%- block user -%}
A customer writes:

<mail-{{ tag }}>
{{ text }}
</mail-{{ tag }}>

Answer with a JSON object: mood, steps, answer.
{%- endblock %}
"""
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "mood": {"type": "string", "enum": ["calm", "cross"]},
        "steps": {"type": "array", "items": {"type": "string"}},
        "answer": {"type": "string"},
    },
    "required": ["mood", "steps", "answer"],
    "additionalProperties": False,
}
SUPPORT = {
    "rows": [
        {"name": "mood", "instruction": "Calm or cross?\n\n{text}", "response": "mood"},
        {"name": "steps", "instruction": "What is to be done?\n\n{text}", "response": "steps"},
        {"name": "answer", "instruction": "Do this:\n{steps}\nand answer:\n{text}", "response": "answer"},
    ],
    "checks": [{"kind": "length", "min": 4, "max": 400}, {"kind": "echo", "of": "text", "share": 0.5}],
}
COUNTS = {"train": 12, "val": 2, "test": 4, "max_chars": {"prompt": None, "response": None}}
CHAT = {"kind": "files", "path": "chats.jsonl", "columns": {"form": "messages", "messages": "messages", "tests": None, "group": None}}  # fmt: skip
MAILS = {"kind": "files", "path": "mails.jsonl", "columns": {"form": "texts", "text": "body", "label": None}}


class Project:
    """A folder with the tiny profile and two more new tasks: `support`, asked of a teacher, and `chats`, from a file."""

    def __init__(self, folder: Path, base_url: str) -> None:
        self.folder, self.paths = folder, Paths.of(folder)
        for name in ("prompts", "params.yaml"):
            (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, folder / name)
        (folder / "profiles").mkdir()
        sources = folder / "data" / "sources" / "tiny"
        shutil.copytree(ROOT / "data" / "sources" / "mini", sources)
        _write(sources / "mails.jsonl", [{"body": f"My kettle number {n} does not boil."} for n in range(40)])
        turns = [("user", "Say {n}."), ("assistant", "{n}."), ("user", "And after it?"), ("assistant", "{m}.")]
        _write(
            sources / "chats.jsonl",
            [
                {"messages": [{"role": role, "content": said.format(n=n, m=n + 1)} for role, said in turns]}
                for n in range(40)
            ],
        )
        (folder / "prompts" / "support.j2").write_text(PROMPT)
        (folder / "prompts" / "support.json").write_text(json.dumps(SCHEMA))
        self.profile: Any = YAML(typ="safe").load(ROOT / "tests" / "profiles" / "tiny.yaml")
        for name, source in (("support", MAILS), ("chats", CHAT)):
            self.profile["tasks"][name] = {"role": "new"}
            self.profile["prepare"][name] = {"source": source, **COUNTS}
            self.profile["predict"]["max_new_tokens"][name] = 12
            self.profile["eval_3a"]["metrics"][name] = ["rouge_l"]
        self.profile["generate"]["support"] = {"prompt": "support", "schema": "support"}
        self.profile["generate"]["chats"] = None
        self.profile["repair"]["support"] = SUPPORT
        self.profile["generate"]["teacher"] = {"kind": "server", "base_url": base_url, "api_key_env": "TEACHER_KEY"}
        self.profile["generate"]["response_format"] = "json_schema"

    def load(self) -> Params:
        """Its parameters."""
        params = self.folder / "params.yaml"
        params.write_text(params.read_text().replace("profile: mini", "profile: tiny"))
        with (self.folder / "profiles" / "tiny.yaml").open("w") as file:
            YAML().dump(self.profile, file)
        return load(self.folder)

    def run(self) -> None:
        """prepare, generate and repair."""
        params = self.load()
        for stage in (prepare, generate, repair):
            stage.work(params, self.paths)

    def rows(self, task: str, path: Path | None = None) -> list[NewRow]:
        """The rows of a task to train on, or in another file."""
        return [row for row in read_jsonl(path or self.paths.instructions, NewRow) if row.task == task]


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("TEACHER_KEY", "any")
    with Server(SchemaTeacher(SCHEMA)) as server:
        yield Project(tmp_path, server.base_url)


def test_several_new_tasks_in_one_run(project: Project) -> None:
    project.run()
    replies = list(read_jsonl(project.paths.replies, Reply))
    assert {task: sum(reply.task == task for reply in replies) for task in ("reviews", "support", "chats")} == {
        "reviews": 36, "support": 18, "chats": 0,
    }  # fmt: skip
    kept = project.rows("support")
    assert [row.template for row in kept[:3]] == ["mood", "steps", "answer"]
    record = json.loads(next(reply.content or "" for reply in replies if reply.id == kept[0].source))
    text = kept[0].instruction.removeprefix("Calm or cross?\n\n")
    assert [(row.instruction, row.response) for row in kept[:3]] == [
        (f"Calm or cross?\n\n{text}", record["mood"]),
        (f"What is to be done?\n\n{text}", "\n".join(record["steps"])),
        (f"Do this:\n{chr(10).join(record['steps'])}\nand answer:\n{text}", record["answer"]),
    ]
    assert len(kept) == 3 * 14
    assert {row.split for row in kept} == {"train", "val"}
    assert {row.split for row in project.rows("support", project.paths.held_out_instructions)} == {"test"}
    assert len(project.rows("reviews")) == 2 * 28
    assert not list(read_jsonl(project.paths.quarantine, Quarantined))


def test_rows_from_a_file_pass_through_unchanged(project: Project) -> None:
    project.run()
    given = [json.loads(line) for line in project.paths.train.read_text().splitlines()]
    given = [row for row in given if row["task"] == "chats"]
    kept = project.rows("chats")
    assert len(kept) == 14
    assert [row.model_dump(mode="json") for row in kept] == [
        {**row, "source": row["id"], "template": "", "flags": []} for row in given
    ]
    assert [message.role for message in kept[0].messages] == ["user", "assistant", "user", "assistant"]


def test_new_tasks_from_files_alone_need_no_teacher(project: Project) -> None:
    for group in ("tasks", "prepare", "generate", "repair"):
        for name in ("reviews", "support"):
            project.profile[group].pop(name, None)
    for name in ("reviews", "support"):
        del project.profile["predict"]["max_new_tokens"][name], project.profile["eval_3a"]["metrics"][name]
        project.profile["report"]["tasks"].pop(name, None)
    project.run()
    assert len(project.rows("chats")) == 14
    assert project.paths.replies.read_text().strip() == ""


def test_the_embedded_teacher_says_what_it_does_not_know(project: Project) -> None:
    tiny = YAML(typ="safe").load(ROOT / "tests" / "profiles" / "tiny.yaml")
    project.profile["generate"]["teacher"] = tiny["generate"]["teacher"]
    with pytest.raises(InputError, match=r"generate\.support\.schema: the embedded teacher writes agree and disagree"):
        project.run()


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("support.json", "{", "support.json: not JSON"),
        ("support.json", json.dumps(SCHEMA).replace('"string"}', '"string", "contentEncoding": "base64"}', 1), "contentEncoding is not"),
        ("support.j2", "{% block user %}{{ review }}{% endblock %}", "support.j2: 'review' is undefined; it knows `text`, `tag`"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_file_of_the_task_is_one_line(project: Project, file: str, content: str, said: str) -> None:
    params = project.load()
    prepare.work(params, project.paths)
    (project.folder / "prompts" / file).write_text(content)
    with pytest.raises(InputError) as caught:
        generate.work(params, project.paths)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
