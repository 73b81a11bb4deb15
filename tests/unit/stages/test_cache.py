"""Damage in DVC's cache is found, and an input that is not what dvc.lock says is refused."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest

from relearn.errors import InputError
from stages import cache
from stages.paths import Paths

FOLDER = "a6e96fbd3fad3351e5c3b7713fad444d.dir"  # by dvc 3.67
DVC = "stages:\n  one: {cmd: x, outs: [data/m, data/n]}\n  two: {cmd: x, deps: [data/m, code.py], outs: [data/o]}\n"
LOCK = f"""schema: '2.0'
stages:
  one:
    cmd: x
    outs:
    - {{path: data/m, hash: md5, md5: {FOLDER}, size: 11, nfiles: 3}}
    - {{path: data/n, hash: md5, md5: 764efa883dda1e11db47671c4a3bbd9e, size: 3}}
  two:
    cmd: x
    outs:
    - {{path: data/o, hash: md5, md5: 764efa883dda1e11db47671c4a3bbd9e, size: 3}}
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, text in {"m/z.txt": "hello\n", "m/b/é.txt": "hi\n", "m/A.txt": "x\n", "n": "hi\n"}.items():
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / name).write_text(text)
    (tmp_path / "dvc.yaml").write_text(DVC)
    (tmp_path / "dvc.lock").write_text(LOCK)
    return tmp_path


def test_a_folders_digest_is_dvcs(root: Path) -> None:
    assert cache.compute_digest(root / "data/m") == FOLDER


def test_inputs_as_recorded_pass(root: Path) -> None:
    cache.check_inputs("two", Paths.of(root))
    (root / "data/n").write_text("no input of two\n")
    (root / "data/o").write_text("its own\n")
    cache.check_inputs("two", Paths.of(root))
    shutil.rmtree(root / "data/m")  # dvc says what is missing
    cache.check_inputs("two", Paths.of(root))


@pytest.mark.parametrize("file", ["m/z.txt", "m/b/é.txt", "m/new.txt"])
def test_another_input_is_refused(root: Path, file: str) -> None:
    (root / "data" / file).write_text("HELLO\n")
    with pytest.raises(InputError, match=r"^data/m: not what one wrote.*python -m stages\.cache"):
        cache.check_inputs("two", Paths.of(root))


def test_without_a_lock_nothing_is_recorded(root: Path) -> None:
    (root / "dvc.lock").unlink()
    cache.check_inputs("two", Paths.of(root))


def test_damage_is_found_and_nothing_else(tmp_path: Path) -> None:
    sound, spoiled, listing = b"sound", b"spoiled", b"[]"
    files = {}
    for content, ending in ((sound, ""), (spoiled, ""), (listing, ".dir")):
        name = hashlib.md5(content).hexdigest()
        files[content] = tmp_path / "files" / "md5" / name[:2] / f"{name[2:]}{ending}"
        files[content].parent.mkdir(parents=True, exist_ok=True)
        files[content].write_bytes(content)
    (tmp_path / "files" / "md5" / "00").mkdir(exist_ok=True)
    (tmp_path / "files" / "md5" / "00" / "half.tmp").write_bytes(b"dvc's own")
    assert list(cache.remove_damaged(tmp_path)) == []
    files[spoiled].write_bytes(b"Spoiled")
    files[listing].write_bytes(b"[ ]")
    found = list(cache.remove_damaged(tmp_path))
    assert found == sorted(files[content].parent.name + files[content].name for content in (spoiled, listing))
    assert [content for content, file in files.items() if file.exists()] == [sound]
    assert (tmp_path / "files" / "md5" / "00" / "half.tmp").exists()
