"""Hub loading without the hub: the real names, served on loopback, through `huggingface_hub` and `datasets`.

Both libraries read HF_ENDPOINT when they are imported, so the calls run in processes of their own: one for all tests
that only ask, and a new one, with a cache of its own, where a rerun or the environment is the point.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.conftest import ROOT
from tests.hub_server import Hub, git_hash

IMDB, CODES = "stanfordnlp/imdb", "flytech/python-codes-25k"

CARD = b"""---
dataset_info:
  config_name: plain_text
  features:
  - name: text
    dtype: string
  - name: label
    dtype:
      class_label:
        names:
          '0': neg
          '1': pos
configs:
- config_name: plain_text
  data_files:
  - split: train
    path: plain_text/train-*
  - split: test
    path: plain_text/test-*
  default: true
---
# A small substitute
"""

# Runs calls of relearn.hub and HubTable that come as lines of JSON, and prints what each returned or raised.
DRIVER = """
import json, sys
from pathlib import Path
from relearn import hub
from relearn.data.hub_table import HubTable
from relearn.errors import InputError

memory = Path(sys.argv[1])

def call(name, *arguments):
    if name == "resolve":
        return hub.resolve(*arguments, memory)
    if name == "files":
        return hub.list_files(*arguments)
    if name == "download":
        folder = hub.download(*arguments)
        return {str(p.relative_to(folder)): p.read_bytes().decode("latin-1") for p in sorted(folder.rglob("*")) if p.is_file()}
    repo, revision, split, columns = arguments
    table = HubTable(repo, revision, split, memory)
    return {"origin": table.origin, "rows": [[n, {c: row[c] for c in columns}] for n, row in table.rows(columns)]}

for line in sys.stdin:
    try:
        answer = {"value": call(*json.loads(line))}
    except InputError as error:
        answer = {"error": str(error)}
    print("ANSWER", json.dumps(answer), flush=True)
"""


def parquet(rows: list[dict[str, Any]]) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), buffer)
    return buffer.getvalue()


def reviews(count: int, mark: str = "film") -> list[dict[str, Any]]:
    """As IMDb has them: all negative ones first."""
    return [{"text": f"{mark} number {n}", "label": int(n >= count // 2)} for n in range(count)]


def codes(count: int) -> list[dict[str, Any]]:
    return [
        {"instruction": f"Print the number {n}", "input": "", "output": f"print({n})", "text": f"all {n}"}
        for n in range(count)
    ]


def imdb(count: int = 12, mark: str = "film") -> dict[str, bytes]:
    return {
        "README.md": CARD,
        "plain_text/train-00000-of-00001.parquet": parquet(reviews(count, mark)),
        "plain_text/test-00000-of-00001.parquet": parquet(reviews(4, "test film")),
    }


class Caller:
    """A process that makes calls: `home` is its hub cache and `memory` where commits are remembered."""

    def __init__(self, hub: Hub, folder: Path, **extra: str) -> None:
        self.memory = folder / "memory"
        (folder / "cwd").mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, **hub.environment(folder / "home"), "PYTHONPATH": str(ROOT), **extra}
        self.cwd = folder / "cwd"
        self._log = open(folder / "stderr.txt", "a+", encoding="utf-8")  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, "-c", DRIVER, str(self.memory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=environment,
            cwd=self.cwd,
            text=True,
        )

    def __call__(self, *step: object) -> Any:
        """What the call returned, or the message of its InputError."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(step) + "\n")
        self._process.stdin.flush()
        for line in self._process.stdout:
            if line.startswith("ANSWER "):
                answer = json.loads(line.removeprefix("ANSWER "))
                assert "\n" not in answer.get("error", "")
                return answer.get("value", answer.get("error"))
        self._log.seek(0)
        raise AssertionError(f"the process ended: {self._log.read()}")

    def __enter__(self) -> Caller:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()
        self._log.close()


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    with Hub() as server:
        yield server


@pytest.fixture(scope="module")
def call(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    with Caller(hub, tmp_path_factory.mktemp("caller")) as caller:
        yield caller


def test_data_sets_under_their_real_names(hub: Hub, call: Caller) -> None:
    commit = hub.add("dataset", IMDB, imdb())
    hub.add("dataset", CODES, {"python-codes-25k.json": json.dumps(codes(5), indent=1).encode()})
    shadow = call.cwd / IMDB  # a folder of that name must not be taken for the data set
    shadow.mkdir(parents=True)
    (shadow / "train.csv").write_text("text,label\nlocal,1\n")
    first = call("rows", IMDB, "main", "train", ["text", "label"])
    second = call("rows", CODES, "main", "train", ["instruction", "input", "output"])
    assert first["origin"] == {"dataset": IMDB, "revision": "main", "commit": commit, "split": "train"}
    assert first["rows"] == [
        [n + 1, {"text": f"film number {n}", "label": "pos" if n >= 6 else "neg"}] for n in range(12)
    ]
    expected = [{key: row[key] for key in ("instruction", "input", "output")} for row in codes(5)]
    assert [row for _, row in second["rows"]] == expected
    fetched = {path.split("/")[-1] for method, path in hub.log if method == "GET" and "/resolve/" in path}
    assert fetched == {"README.md", "train-00000-of-00001.parquet", "python-codes-25k.json"}, "more was fetched"


def test_a_moved_branch_does_not_change_a_rerun(hub: Hub, tmp_path: Path) -> None:
    name = "moved/imdb"
    hub.add("dataset", name, imdb())
    with Caller(hub, tmp_path) as call:
        first = call("rows", name, "main", "train", ["text"])
    moved = hub.move("dataset", name, imdb(mark="other film"))
    with Caller(hub, tmp_path) as call:
        assert call("rows", name, "main", "train", ["text"]) == first
        assert call("resolve", name, "main", "dataset") == first["origin"]["commit"] != moved
        pinned = call("rows", name, moved, "train", ["text"])
        assert pinned["origin"]["commit"] == moved
        assert pinned["rows"][0][1] == {"text": "other film number 0"}
        for file in call.memory.iterdir():
            file.unlink()
        assert call("resolve", name, "main", "dataset") == moved


def test_memory_is_of_one_server_and_one_revision(hub: Hub, tmp_path: Path) -> None:
    name = "remembered/imdb"
    main = hub.add("dataset", name, imdb())
    branch = hub.move("dataset", name, imdb(mark="branch film"), branch="refs/convert/parquet")
    with Caller(hub, tmp_path) as call:
        for _ in range(2):
            assert call("resolve", name, "main", "dataset") == main
            assert call("resolve", name, "refs/convert/parquet", "dataset") == branch != main
    assert len(hub.requested(f"{name}/revision/")) == 2
    with Hub() as mirror, Caller(mirror, tmp_path) as call:
        elsewhere = mirror.add("dataset", name, imdb(mark="mirrored film"))
        assert call("resolve", name, "main", "dataset") == elsewhere


def test_a_commit_needs_no_request(hub: Hub, call: Caller) -> None:
    before = len(hub.log)
    assert call("resolve", "any/name", "a" * 40, "dataset") == "a" * 40
    assert len(hub.log) == before


def test_what_is_not_there(hub: Hub, call: Caller) -> None:
    name = "there/imdb"
    hub.add("dataset", name, imdb())
    missing = call("rows", "nobody/nothing", "main", "train", ["text"])
    assert missing.startswith("hub data set nobody/nothing: the hub has no such repository, or it is private (401)")
    assert "hf auth login" in missing
    branch = call("rows", name, "v9", "train", ["text"])
    assert f"{name} has no revision v9; name a branch, tag or commit" in branch
    assert f"has no revision {'b' * 40}" in call("rows", name, "b" * 40, "train", ["text"])
    split = call("rows", name, "main", "trian", ["text"])
    assert "no split 'trian'; it has train, test; did you mean 'train'?" in split
    column = call("rows", name, "main", "train", ["text", "lable"])
    assert "no column 'lable'; the columns are text, label; did you mean 'label'?" in column


def test_gated(hub: Hub, call: Caller) -> None:
    name = "gated/imdb"
    hub.add("dataset", name, imdb())
    page = f"https://huggingface.co/datasets/{name}"
    hub.gate("dataset", name, 401)
    anonymous = call("rows", name, "main", "train", ["text"])
    assert f"is gated (401): accept its terms at {page}, then log in with `hf auth login` or set HF_TOKEN" in anonymous
    hub.gate("dataset", name, 403)
    refused = call("rows", name, "main", "train", ["text"])
    assert f"is gated (403): your account has not been given access; ask for it at {page}" in refused
    hub.gate("dataset", name, None)
    assert len(call("rows", name, "main", "train", ["text"])["rows"]) == 12


def test_offline(tmp_path: Path) -> None:
    name = "fetched/imdb"
    with Hub() as hub:
        commit = hub.add("dataset", name, imdb())
        with Caller(hub, tmp_path) as call:
            files = call("download", name, commit, "dataset", ["*.parquet"])
        assert len(files) == 2
        with Caller(hub, tmp_path, HF_HUB_OFFLINE="1") as call:
            assert call("download", name, commit, "dataset", ["*.parquet"]) == files, "fetched once, there offline"
            assert f"{name}: the hub cannot be reached" in call("rows", name, "main", "train", ["text"])
            lacking = call("download", CODES, "c" * 40, "dataset", ["*"])
            assert "HF_HUB_OFFLINE is set and the cache does not hold it; unset it once to fetch it" in lacking
        with Caller(hub, tmp_path) as call:
            hub.stop()
            gone = call("resolve", name, "main", "dataset")
            assert "the hub cannot be reached (ConnectError): check the network (and HF_ENDPOINT)" in gone


@pytest.mark.parametrize("path", ["plain_text/train-00000-of-00001.parquet", "notes.txt"])
def test_a_file_that_is_not_the_one_published(hub: Hub, call: Caller, path: str) -> None:
    name = f"spoiled/{path.rsplit('.', 1)[-1]}"
    commit = hub.add("dataset", name, {**imdb(), "notes.txt": b"published"})
    content = hub.repositories["dataset", name].commits[commit][path]
    hub.spoil("dataset", name, path, content[:-1] + bytes([content[-1] ^ 1]))
    spoiled = call("download", name, commit, "dataset", [path])
    assert f"{path} is not the file that was published" in spoiled
    assert "it was removed from the cache: run again" in spoiled
    hub.repositories["dataset", name].spoiled.clear()
    assert call("download", name, commit, "dataset", [path]) == {path: content.decode("latin-1")}


def test_code_pickles_and_other_kinds_are_not_read(hub: Hub, call: Caller) -> None:
    hub.add("dataset", "old/scripted", {"scripted.py": b"raise SystemExit('run')", "README.md": b"# old\n"})
    script = call("rows", "old/scripted", "main", "train", ["text"])
    assert "is read by a program of its own, which is never run; choose a revision that holds data files" in script
    assert not hub.requested("scripted.py"), "a program was asked for"
    hub.add("dataset", "some/pickles", {"train.pkl": b"\x80\x04N.", "README.md": b"# pickles\n"})
    assert "cannot be read" in call("rows", "some/pickles", "main", "train", ["text"])
    hub.add("dataset", "some/text", {"train.txt": b"one\ntwo\n"})
    text = call("rows", "some/text", "main", "train", ["text"])
    assert "its files are read as text; only parquet, json, csv files are used" in text
    hub.add("dataset", "some/broken", {"train.parquet": b"PAR1 is not all it takes"})
    broken = call("rows", "some/broken", "main", "train", ["text"])
    assert "some/broken, split train: not readable after row 0" in broken


def test_models_are_served_and_downloaded(hub: Hub, call: Caller) -> None:
    """What the tuning stages use: the listing, and files by pattern, hashes checked."""
    name = "meta-llama/Llama-2-7b-hf"
    files: Mapping[str, bytes] = {"config.json": b"{}", "model.safetensors": b"weights", "sub/tokenizer.json": b"[]"}
    commit = hub.add("model", name, files)
    assert call("resolve", name, "main", "model") == commit
    assert call("files", name, commit, "model") == sorted(files)
    fetched = call("download", name, commit, "model", ["*.json", "*.safetensors"])
    assert fetched == {path: content.decode() for path, content in files.items()}
    nothing = call("download", name, commit, "model", ["*.bin"])
    assert "no file matches *.bin; it holds config.json, model.safetensors, sub/tokenizer.json" in nothing


def test_git_hash_is_gits() -> None:
    # printf 'hello\n' | git hash-object --stdin
    assert git_hash(b"hello\n") == "ce013625030ba8dba906f756967f9e9ca394464a"
