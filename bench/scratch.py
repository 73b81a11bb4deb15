"""A copy of the project in a folder of its own, with texts made up on the spot, to run `generate` in."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from relearn.endpoint.journal import Journal
from relearn.files import read_jsonl, write_jsonl
from relearn.params import Params, load
from relearn.params.generate import Generate
from relearn.records import Reply, Source
from relearn.repair.json import load_task_schema
from relearn.teacher.asking import Question, Questions
from relearn.teacher.prompts import PromptTemplate

ROOT = Path(__file__).resolve().parent.parent
THINGS = ("story", "music", "ending", "camera work", "lead actor", "dialogue", "pace", "costumes")
KEY = "sk-planted-5f0c2b9e71d84a36"
KEY_ENV = "SCRATCH_TEACHER_KEY"


class Scratch:
    """The project's code, profiles and prompts under `folder`, and `count` texts."""

    def __init__(self, folder: Path, count: int, generate: Mapping[str, Any]) -> None:
        self.folder = folder
        for name in ("relearn", "stages", "profiles", "prompts"):
            shutil.copytree(ROOT / name, folder / name)
        shutil.copy(ROOT / "params.yaml", folder)
        self.configure(generate)
        write_jsonl(
            folder / "data" / "sources.jsonl",
            (
                make_source(
                    f"r{number:04d}", f"Film {number}: I loved the {THINGS[number % len(THINGS)]}, it was wonderful."
                )
                for number in range(count)
            ),
        )
        write_jsonl(folder / "data" / "held_out_sources.jsonl", [])

    def configure(self, generate: Mapping[str, Any]) -> None:
        """Changes keys of the mini profile's group `generate`."""
        yaml = YAML()
        path = self.folder / "profiles" / "mini.yaml"
        profile = yaml.load(path)
        profile["generate"].update(generate)
        yaml.dump(profile, path)

    @property
    def params(self) -> Params:
        """Its parameters."""
        return load(self.folder)

    @property
    def journal(self) -> Path:
        """Its journal."""
        return self.folder / ".cache" / "teacher" / "journal.sqlite"

    def start(self, *arguments: str, **environment: str | None) -> subprocess.Popen[str]:
        """Starts the stage. Of the environment, what is None is taken out."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("DVC_", "PYTHON"))}
        wanted = {**kept, KEY_ENV: KEY, **environment}
        return subprocess.Popen(
            [sys.executable, "-m", "stages.generate", *arguments],
            cwd=self.folder,
            env={name: value for name, value in wanted.items() if value is not None},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, **environment: str | None) -> subprocess.CompletedProcess[str]:
        """Runs the stage to its end."""
        child = self.start(*arguments, **environment)
        out, err = child.communicate()
        return subprocess.CompletedProcess(child.args, child.returncode, out, err)

    def replies(self) -> list[Reply]:
        """What it wrote."""
        return list(read_jsonl(self.folder / "data" / "replies.jsonl", Reply))

    def facts(self) -> dict[str, Any]:
        """The run log of the last run."""
        found: dict[str, Any] = json.loads((self.folder / ".cache" / "runs" / "generate.json").read_text())
        return found

    def messages_by_key(self, identity: str) -> dict[str, str]:
        """The hash of its messages, as the embedded server logs it, for each key of the journal."""
        from relearn.mini.server import digest

        asked = ask_pairs(read_jsonl(self.folder / "data" / "sources.jsonl", Source), self.params.generate)
        return {request.key(identity): digest(request.body()["messages"]) for request in asked}

    def answered(self) -> set[str]:
        """The keys that the journal holds answers for."""
        with Journal(self.journal) as journal:
            return {row["key"] for row in journal.rows()}


def make_source(name: str, text: str) -> Source:
    """A text of the shipped task."""
    return Source(id=name, task="reviews", group=name, label=None, split="train", fields={"text": text})


def ask_pairs(sources: Iterable[Source], options: Generate) -> Questions:
    """The shipped task's requests for the sources."""
    prompts = ROOT / "prompts"
    schema, _ = load_task_schema(prompts / "agree_disagree.json")
    question = Question(PromptTemplate(prompts / "agree_disagree.j2", ["text"]), schema)
    return Questions(sources, options, {"reviews": question})


def server_teacher(base_url: str) -> dict[str, Any]:
    """The group `generate.teacher` for a server at this address, its key in the environment."""
    return {"kind": "server", "base_url": base_url, "api_key_env": KEY_ENV}
