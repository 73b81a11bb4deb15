"""A hub on loopback for tests: the few endpoints `huggingface_hub` uses, over folders served under real names.

    with Hub() as hub:
        hub.add("dataset", "stanfordnlp/imdb", {"plain_text/train.parquet": data})
        subprocess.run([...], env={**os.environ, **hub.environment(home)})
        hub.move("dataset", "stanfordnlp/imdb", {...})        # a new commit on main
        assert hub.log                                        # every request: (method, path)

`huggingface_hub` and `datasets` read HF_ENDPOINT when they are imported, so whatever talks to the server runs in a
process of its own, with a fresh HF_HOME. Commits and hashes are computed from the contents, so they are the same in
every run; files of `lfs` endings are published by SHA-256, others by git's blob hash, as the hub does.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from urllib.parse import unquote, urlsplit

LFS = (".safetensors", ".parquet", ".bin", ".pt", ".model")


@dataclass
class Repository:
    """Commits (files by path) and branches. `gate` is the status that everything is refused with, or None."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    gate: int | None = None
    spoiled: dict[str, bytes] = field(default_factory=dict)

    def commit(self, revision: str) -> str | None:
        """The commit of a branch or commit name, or None."""
        return self.branches.get(revision) or (revision if revision in self.commits else None)


class Hub:
    """The server; a context manager that listens on a free port of loopback."""

    def __init__(self) -> None:
        self.repositories: dict[tuple[str, str], Repository] = {}
        self.log: list[tuple[str, str]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Hub:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Stops listening: the hub is out of reach from now on. May be called twice."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        """What HF_ENDPOINT is set to."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def environment(self, home: Path) -> dict[str, str]:
        """Variables for a process that is to use this hub, with `home` for its cache, and no token."""
        return {
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(home),
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_XET": "1",
            "HF_TOKEN": "",
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
        }

    def add(self, kind: str, name: str, files: Mapping[str, bytes] | Path, branch: str = "main") -> str:
        """Publishes files (by path, or a folder) under a name of kind `model` or `dataset`; returns the commit."""
        self.repositories.setdefault((kind, name), Repository())
        return self.move(kind, name, files, branch)

    def move(self, kind: str, name: str, files: Mapping[str, bytes] | Path, branch: str = "main") -> str:
        """Puts a new commit with these files on a branch; the earlier ones stay reachable by their names."""
        contents = _read(files) if isinstance(files, Path) else dict(files)
        repository = self.repositories[kind, name]
        state = hashlib.sha1(f"{kind} {name} {len(repository.commits)}".encode())
        for path in sorted(contents):
            state.update(path.encode() + b"\0" + contents[path])
        repository.commits[state.hexdigest()] = contents
        repository.branches[branch] = state.hexdigest()
        return state.hexdigest()

    def gate(self, kind: str, name: str, status: int | None) -> None:
        """Refuses everything of a repository as gated, with 401 (not logged in) or 403 (no access); None reopens."""
        self.repositories[kind, name].gate = status

    def spoil(self, kind: str, name: str, path: str, content: bytes) -> None:
        """Serves other bytes of the same length for a file than those whose hash is published."""
        repository = self.repositories[kind, name]
        assert all(len(files[path]) == len(content) for files in repository.commits.values() if path in files)
        repository.spoiled[path] = content

    def requested(self, part: str) -> list[tuple[str, str]]:
        """The requests so far whose path holds `part`."""
        return [entry for entry in self.log if part in entry[1]]


def _read(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def git_hash(content: bytes) -> str:
    """The hash git gives a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _entry(path: str, content: bytes) -> dict[str, object]:
    if path.endswith(LFS):
        digest = hashlib.sha256(content).hexdigest()
        pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {len(content)}\n".encode()
        large = {"oid": digest, "size": len(content), "pointerSize": len(pointer)}
        return {"type": "file", "path": path, "size": len(content), "oid": git_hash(pointer), "lfs": large}
    return {"type": "file", "path": path, "size": len(content), "oid": git_hash(content)}


def _handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            """Quiet: `hub.log` holds the requests."""

        def do_HEAD(self) -> None:
            self._answer(b"")

        def do_GET(self) -> None:
            self._answer(b"")

        def do_POST(self) -> None:
            self._answer(self.rfile.read(int(self.headers.get("Content-Length") or 0)))

        def _answer(self, body: bytes) -> None:
            path = unquote(urlsplit(self.path).path)
            hub.log.append((self.command, path))
            parts = path.strip("/").split("/")
            api = parts[0] == "api"
            if api:
                parts = parts[1:]
            kind = "model"
            if parts and parts[0] in ("datasets", "models"):
                kind = "dataset" if parts[0] == "datasets" else "model"
                parts = parts[1:]
            name, rest = "/".join(parts[:2]), parts[2:]
            repository = hub.repositories.get((kind, name))
            if repository is None:
                # the hub answers 401, not 404, to whoever is not logged in: it does not tell private from missing
                self._refuse(401, "RepoNotFound", "Invalid username or password.")
                return
            if repository.gate is not None:
                self._refuse(repository.gate, "GatedRepo", f"Access to {kind} {name} is restricted.")
                return
            if not api and len(rest) >= 3 and rest[0] == "resolve":
                self._file(repository, rest)
                return
            if api and not rest:
                rest = ["revision", "main"]
            if api and len(rest) >= 2 and rest[0] in ("revision", "tree", "paths-info"):
                self._about(repository, kind, name, rest, body)
                return
            self._refuse(404, "EntryNotFound", f"no such endpoint {path}")
            return

        def _file(self, repository: Repository, rest: list[str]) -> None:
            commit, rest = _revision(repository, rest[1:])
            if commit is None:
                self._refuse(404, "RevisionNotFound", "Invalid rev id")
                return
            path = "/".join(rest)
            if path not in repository.commits[commit]:
                self._refuse(404, "EntryNotFound", "Entry not found", commit)
                return
            content = repository.commits[commit][path]
            entry = _entry(path, content)
            large = entry.get("lfs")
            etag = large["oid"] if isinstance(large, dict) else entry["oid"]
            content = repository.spoiled.get(path, content)
            start = 0
            wanted = self.headers.get("Range")
            if wanted is not None and wanted.startswith("bytes="):
                start = int(wanted.removeprefix("bytes=").split("-")[0])
            headers = {"ETag": f'"{etag}"', "X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
            if start:
                headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            self._send(206 if start else 200, content[start:], "application/octet-stream", headers)

        def _about(self, repository: Repository, kind: str, name: str, rest: list[str], body: bytes) -> None:
            commit, inside = _revision(repository, rest[1:])
            if commit is None:
                self._refuse(404, "RevisionNotFound", "Invalid rev id")
                return
            files = repository.commits[commit]
            if rest[0] == "revision":
                siblings = [{"rfilename": path} for path in sorted(files)]
                about = {"id": name, "sha": commit, "private": False, "gated": False, "disabled": False}
                about |= {"tags": [], "downloads": 0, "likes": 0, "siblings": siblings}
                if kind == "model":
                    about["modelId"] = name
                self._json(about, commit)
                return
            folder = "".join(f"{part}/" for part in inside)
            if rest[0] == "tree":
                recursive = "recursive=true" in urlsplit(self.path).query.lower()
                found = [_entry(path, files[path]) for path in sorted(files) if path.startswith(folder)]
                if not recursive:
                    found = _one_level(found, folder)
                if folder and not found:
                    self._refuse(404, "EntryNotFound", f"{folder} does not exist", commit)
                    return
                self._json(found, commit)
                return
            paths = json.loads(body)["paths"] if self.headers["Content-Type"] == "application/json" else _form(body)
            found = [_entry(path, files[path]) for path in paths if path in files]
            folders = [path for path in paths if any(file.startswith(f"{path}/") for file in files)]
            found += [{"type": "directory", "path": path, "oid": git_hash(path.encode())} for path in folders]
            self._json(found, commit)
            return

        def _json(self, value: object, commit: str) -> None:
            self._send(200, json.dumps(value).encode(), "application/json", {"X-Repo-Commit": commit})

        def _refuse(self, status: int, code: str, message: str, commit: str | None = None) -> None:
            headers = {"X-Error-Code": code, "X-Error-Message": message}
            if commit is not None:
                headers["X-Repo-Commit"] = commit
            self._send(status, json.dumps({"error": message}).encode(), "application/json", headers)

        def _send(self, status: int, content: bytes, kind: str, headers: Mapping[str, str]) -> None:
            self.send_response(status)
            for key, value in headers.items():
                self.send_header(key, value)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

    return Handler


def _revision(repository: Repository, parts: list[str]) -> tuple[str | None, list[str]]:
    """The commit that the first part names, or the first three do (refs/convert/parquet), and the parts after it."""
    for length in (1, 3):
        commit = repository.commit("/".join(parts[:length]))
        if commit is not None:
            return commit, parts[length:]
    return None, parts


def _one_level(entries: list[dict[str, object]], folder: str) -> list[dict[str, object]]:
    found: dict[str, dict[str, object]] = {}
    for entry in entries:
        head, slash, _ = str(entry["path"])[len(folder) :].partition("/")
        path = folder + head
        found[path] = {"type": "directory", "path": path, "oid": git_hash(path.encode())} if slash else entry
    return list(found.values())


def _form(body: bytes) -> list[str]:
    from urllib.parse import parse_qs

    return parse_qs(body.decode()).get("paths", [])
