"""A key is read from the environment or from `.env`, reaches the server, and nothing else: no file, no line."""

from __future__ import annotations

import json
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from bench.lean_server import ANSWER
from bench.scratch import KEY_ENV, Scratch, server_teacher
from tests.conftest import ROOT

FILED = "sk-filed-$HOME-4c1d9e0b7a52"  # a dollar sign starts no variable
OTHER = "sk-other-91b3f7a6e2"


CODES = {401: "invalid_api_key", 500: "server_error"}


class Listener(ThreadingHTTPServer):
    """Notes the keys that it is shown; its first answers have a status of their own and repeat the key, as some do."""

    def __init__(self, *statuses: int) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.statuses = list(statuses)
        self.shown: list[str] = []


class Handler(BaseHTTPRequestHandler):
    server: Listener

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        key = self.headers["Authorization"]
        self.server.shown.append(key)
        status = self.server.statuses.pop(0) if self.server.statuses else 200
        refusal = {"error": {"message": f"Incorrect API key: {key}", "code": CODES.get(status)}}
        content = ANSWER if status == 200 else json.dumps(refusal).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("X-Request", key)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


@contextmanager
def listening(*statuses: int) -> Iterator[Listener]:
    with Listener(*statuses) as listener:
        threading.Thread(target=listener.serve_forever, args=(0.05,), daemon=True).start()
        yield listener
        listener.shutdown()


def scratch(folder: Path, count: int, listener: Listener, **generate: Any) -> Scratch:
    teacher = server_teacher(f"http://127.0.0.1:{listener.server_address[1]}/v1")
    return Scratch(folder / "project", count, {"teacher": teacher, **generate})


def written(folder: Path, key: str) -> list[str]:
    """The files that hold the key, but for `.env` itself."""
    assert sum(path.is_file() for path in folder.rglob("*")) > 50
    return [
        str(path.relative_to(folder))
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".env" and key.encode() in path.read_bytes()
    ]


@pytest.mark.parametrize("status", [200, 401, 500])
def test_a_key_of_the_file_reaches_the_server_and_nothing_else(tmp_path: Path, status: int) -> None:
    with listening(*[status] * 2) as listener:
        project = scratch(tmp_path, 6, listener, attempts=3, concurrency=1)
        (project.folder / ".env").write_text(f"# keys\nexport {KEY_ENV}='{FILED}'\n\nUNUSED={OTHER}\n")
        done = project.run(**{KEY_ENV: None}, OPENAI_LOG="debug", HOME=str(tmp_path))
    assert set(listener.shown) == {f"Bearer {FILED}"}, done.stderr
    assert done.returncode == (1 if status == 401 else 0), done.stderr
    for key in (FILED, OTHER):
        assert written(tmp_path, key) == []
        assert key not in done.stdout + done.stderr


def test_the_environment_goes_before_the_file(tmp_path: Path) -> None:
    with listening() as listener:
        project = scratch(tmp_path, 2, listener)
        (project.folder / ".env").write_text(f"{KEY_ENV}={FILED}\n")
        assert project.run(**{KEY_ENV: OTHER}).returncode == 0
    assert set(listener.shown) == {f"Bearer {OTHER}"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (f"A=b\n{FILED}\n".encode(), ".env, line 2: expected NAME=value; fix that line"),
        (f"{KEY_ENV}=\n".encode(), ".env, line 1: expected NAME=value; fix that line"),
        (b"A=\xff" + FILED.encode(), ".env: not UTF-8; save the file as UTF-8"),
    ],
)
def test_a_mistake_in_the_file_is_named_without_its_content(tmp_path: Path, content: bytes, said: str) -> None:
    project = Scratch(tmp_path / "project", 2, {})
    (project.folder / ".env").write_bytes(content)
    done = project.run()
    assert (done.returncode, done.stderr) == (1, f"generate: {said}\n")


def test_git_ignores_the_file() -> None:
    ignored = subprocess.run(["git", "check-ignore", "--quiet", ".env"], cwd=ROOT, check=False)
    if ignored.returncode == 128:
        pytest.skip("not a git checkout")
    assert ignored.returncode == 0


# Of the services this project speaks to, and of those that a developer has keys of.
SECRET = re.compile(
    rb"sk-(?:proj-)?[A-Za-z0-9_]{32,}|hf_[A-Za-z0-9]{30,}|gh[pousr]_[A-Za-z0-9]{30,}|AKIA[0-9A-Z]{16}"
    rb"|-----BEGIN [A-Z ]*PRIVATE KEY-----|://[^/\s:@{}]+:[^/\s:@{}]{8,}@"
)


def test_nothing_that_is_committed_looks_like_a_key() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    files = [ROOT / name.decode() for name in listed.stdout.split(b"\0") if name]
    assert len(files) > 200
    found = [
        f"{file.relative_to(ROOT)}: {match[0][:12]!r}…"
        for file in files
        if file.is_file()
        for match in SECRET.finditer(file.read_bytes())
    ]
    assert found == []
    assert SECRET.search(b"key = 'sk-" + b"a1B2" * 9 + b"'"), "the pattern sees what it is there to see"
