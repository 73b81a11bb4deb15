"""What a GGUF file must be before anything else reads it; each other file is refused in one line."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relearn.errors import InputError
from relearn.gguf.header import read_header
from tests.unit.gguf.made import LAYERS, TOKENS, list_shapes, metadata, write


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("gguf") / "model.gguf")


def refuse(path: Path) -> str:
    """The one line with which the file is refused."""
    with pytest.raises(InputError) as caught:
        read_header(path)
    told = str(caught.value)
    assert told.startswith(f"{path}: ")
    assert "\n" not in told
    return told


def test_a_sound_file_says_what_it_holds(sound: Path) -> None:
    header = read_header(sound)
    assert header.architecture == "llama"
    assert header.metadata["llama.block_count"] == LAYERS
    assert header.metadata["tokenizer.ggml.tokens"] == TOKENS
    assert {one.name: one.dimensions[::-1] for one in header.tensors} == list_shapes()


@pytest.mark.parametrize(
    "beginning", [b"", b"GGUF", b"<!DOCTYPE html><html><head></head></html>", b"\x80\x02}q\x00" + bytes(40)]
)
def test_another_kind_of_file(tmp_path: Path, beginning: bytes) -> None:
    (tmp_path / "model.gguf").write_bytes(beginning)
    assert "not a GGUF file" in refuse(tmp_path / "model.gguf")


def test_no_file_and_a_folder(tmp_path: Path) -> None:
    assert "no such file" in refuse(tmp_path / "model.gguf")
    assert "is a folder" in refuse(tmp_path)


@pytest.mark.parametrize(("version", "told"), [(1, "version 1"), (4, "version 4"), (3 << 24, "big-endian")])
def test_another_version(sound: Path, tmp_path: Path, version: int, told: str) -> None:
    data = bytearray(sound.read_bytes())
    data[4:8] = struct.pack("<I", version)
    (tmp_path / "model.gguf").write_bytes(data)
    assert told in refuse(tmp_path / "model.gguf")


@pytest.mark.parametrize("share", [0.0005, 0.01, 0.05, 0.1, 0.5, 0.99])
def test_a_file_cut_off(sound: Path, tmp_path: Path, share: float) -> None:
    data = sound.read_bytes()
    (tmp_path / "model.gguf").write_bytes(data[: max(24, int(len(data) * share))])
    told = refuse(tmp_path / "model.gguf")
    assert "cut off" in told or "ends at byte" in told


@pytest.mark.parametrize("at", [8, 16])  # the counts of tensors and of values
def test_a_count_beyond_the_file(sound: Path, tmp_path: Path, at: int) -> None:
    data = bytearray(sound.read_bytes())
    data[at : at + 8] = struct.pack("<Q", 1 << 60)
    (tmp_path / "model.gguf").write_bytes(data)
    assert "cut off or garbled" in refuse(tmp_path / "model.gguf")


def test_a_list_beyond_the_file(sound: Path, tmp_path: Path) -> None:
    data = bytearray(sound.read_bytes())
    for name in (b"tokenizer.ggml.tokens", b"tokenizer.ggml.token_type"):
        changed = bytearray(data)
        at = data.index(name + struct.pack("<I", 9)) + len(name) + 8
        changed[at : at + 8] = struct.pack("<Q", 1 << 59)
        (tmp_path / "model.gguf").write_bytes(changed)
        assert "cut off or garbled" in refuse(tmp_path / "model.gguf")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"general.type": "adapter"}, "holds 'adapter', not a model"),
        ({"split.count": 4}, "one of 4 parts; join them"),
        ({"llama.block_count": 1 << 20}, f"{1 << 20} blocks of {len(list_shapes())} tensors"),
        ({"llama.rope.dimension_count": 1 << 31}, "llama.rope.dimension_count is 2147483648, more than any"),
        ({"llama.embedding_length": "64"}, "llama.embedding_length is missing or not a number"),
        ({"llama.attention.head_count": None}, "llama.attention.head_count is missing"),
        ({"tokenizer.ggml.tokens": None}, "no tokenizer (tokenizer.ggml.tokens)"),
        ({"tokenizer.ggml.model": None}, "no tokenizer"),
        ({"tokenizer.ggml.eos_token_id": 5000}, "tokenizer.ggml.eos_token_id is 5000"),
        ({"general.alignment": 24}, "general.alignment is 24"),
    ],
)
def test_metadata_of_no_model(tmp_path: Path, changes: dict[str, object], told: str) -> None:
    facts = {name: value for name, value in (metadata() | changes).items() if value is not None}
    assert told in refuse(write(tmp_path / "model.gguf", facts))


def test_more_weights_than_memory(sound: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sysconf", lambda name: 1 if name == "SC_PHYS_PAGES" else 4096)
    assert "GB in fp32, and this machine has" in refuse(sound)


def test_a_tensor_of_unknown_type_or_shape(sound: Path, tmp_path: Path) -> None:
    data = bytearray(sound.read_bytes())
    name = b"token_embd.weight"
    at = data.index(name) + len(name)
    for offset, code, value, told in (
        (0, "<I", 9, "has 9 dimensions"),
        (4, "<Q", 63, "cannot be Q4_1"),
        (4, "<Q", 0, "cannot be Q4_1"),
        (12, "<Q", 1 << 40, "ends at byte"),
        (20, "<I", 999, "of unknown type 999"),
        (24, "<Q", 1 << 50, "ends at byte"),
    ):
        changed = bytearray(data)
        changed[at + offset : at + offset + struct.calcsize(code)] = struct.pack(code, value)
        (tmp_path / "model.gguf").write_bytes(changed)
        assert told in refuse(tmp_path / "model.gguf")


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(changes=st.lists(st.tuples(st.integers(0, 9_000), st.integers(0, 255)), min_size=1, max_size=6))
def test_garbled_bytes_are_refused_or_read(sound: Path, tmp_path: Path, changes: list[tuple[int, int]]) -> None:
    data = bytearray(sound.read_bytes())
    for at, value in changes:
        data[at] = value
    (tmp_path / "model.gguf").write_bytes(data)
    try:
        header = read_header(tmp_path / "model.gguf")
    except InputError:
        return
    assert header.elements <= 32 * len(data)  # no format packs more weights into a byte
