"""Faults of the machine under the chain: each ends in one clear line or in a right result, never in a wrong one.

SIGKILL at random moments is bench/chain_kill.py's; mistakes of a user are in test_bad_input.py. What is mounted here is
mounted in a namespace of its own, which ends with the command.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.integration.conftest import Clone
from tests.verify import compare

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount")
KIB = 1024


def inside(clone: Clone, script: str) -> subprocess.CompletedProcess[str]:
    """Runs a shell script that may mount."""
    if clone.run(*NAMESPACE, "true", check=False).returncode != 0:
        pytest.skip("mounting is not allowed on this machine, not even in a namespace of one's own (unshare)")
    return clone.run(*NAMESPACE, "sh", "-c", script, check=False)


def size(folder: Path) -> int:
    """Bytes in a folder as a tmpfs counts them: whole pages of files."""
    return sum(-(-file.stat().st_size // 4096) * 4096 for file in folder.rglob("*") if file.is_file())


def one_line(ended: subprocess.CompletedProcess[str], stage: str, end: str) -> None:
    """The stage's last word is one line with this end, and no traceback comes before it."""
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr, ended.stderr
    last = ended.stderr.rstrip().splitlines()[-1]
    assert last.startswith(f"{stage}: "), ended.stderr
    assert last.endswith(end), ended.stderr


def right(clone: Clone, reproduced: Clone) -> None:
    """One more `dvc repro` ends well, in the bytes of the undisturbed run, and everything is up to date."""
    clone.run("dvc", "repro")
    assert [str(found) for found in compare(reproduced.folder, clone.folder)] == []
    assert clone.run("dvc", "status").stdout.strip() == "Data and pipelines are up to date."


@pytest.mark.parametrize(
    ("stage", "full", "room", "where"),
    [
        ("generate", ".cache/teacher", 12, ".cache/teacher/journal.sqlite"),  # no room to make the journal
        ("generate", ".cache/teacher", 96, ".cache/teacher/journal.sqlite"),  # room for some of the answers
        ("generate", "data", 4, "data/replies.jsonl"),
        ("finetune_2b", "models", 8, "models/2b"),
        ("finetune_2b", ".cache/finetune_2b", 24, ".cache/finetune_2b"),
    ],
)
def test_a_full_disk(run_clone: Clone, reproduced: Clone, stage: str, full: str, room: int, where: str) -> None:
    """A file system with some KiB to spare over a folder that the stage writes to; then one with room."""
    out = {"generate": "data/replies.jsonl", "finetune_2b": "models/2b"}[stage]
    gone = run_clone.folder / out
    shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
    shutil.rmtree(run_clone.folder / ".cache" / "teacher", ignore_errors=True)  # so that the teacher is asked again
    (run_clone.folder / full).mkdir(parents=True, exist_ok=True)
    kept = size(run_clone.folder / full) // KIB + room
    ended = inside(
        run_clone,
        f"cp -a {full} ../kept && mount -t tmpfs -o size={kept}k tmpfs {full} && cp -a ../kept/. {full}/ || exit 99; "
        f"python -m stages.{stage}; code=$?; ls -A {out} 2>/dev/null; find {full} -name '*.tmp'; exit $code",
    )
    one_line(ended, stage, "no space left on device; free some space and run again")
    assert where in ended.stderr.splitlines()[-1]
    assert ended.stdout == "", "nothing half written is left"
    right(run_clone, reproduced)


@pytest.mark.parametrize(
    ("stage", "folder", "out"),
    [("repair", "data", "data/instructions.jsonl"), ("finetune_2c", "models", "models/2c"), ("report", "report", "report/analysis.md")],
)  # fmt: skip
def test_an_output_folder_without_write_permission(
    run_clone: Clone, reproduced: Clone, stage: str, folder: str, out: str
) -> None:
    """Read-only for root too, since it is mounted so."""
    ended = inside(
        run_clone,
        f"mount --bind {folder} {folder} && mount -o remount,ro,bind {folder} || exit 99; python -m stages.{stage}",
    )
    one_line(ended, stage, "read-only file system; make it writable and run again")
    assert out in ended.stderr.splitlines()[-1]
    right(run_clone, reproduced)


def test_a_folder_of_someone_else(run_clone: Clone, reproduced: Clone) -> None:
    """Without root's powers (a plain user's), a folder that may not be written to."""
    report = run_clone.folder / "report"
    report.chmod(0o555)
    plain = ("setpriv", "--bounding-set=-all", "--inh-caps=-all") if os.geteuid() == 0 else ()
    if plain and run_clone.run(*plain, "true", check=False).returncode != 0:
        pytest.skip("setpriv cannot put root's powers down on this machine")
    ended = run_clone.run(*plain, "python", "-m", "stages.report", check=False)
    report.chmod(0o755)
    one_line(ended, "report", "permission denied; make it writable and run again")
    right(run_clone, reproduced)


# --- DVC's cache ---------------------------------------------------------------------------------------------


def entry(clone: Clone, stage: str, out: str) -> Path:
    """The file in the cache that holds an output."""
    lock = YAML(typ="safe").load(clone.folder / "dvc.lock")
    [md5] = [found["md5"] for found in lock["stages"][stage]["outs"] if found["path"] == out]
    return clone.folder / ".dvc" / "cache" / "files" / "md5" / md5[:2] / md5[2:]


def spoil(file: Path, protected: bool) -> None:
    """Another text of the same length; `protected` as a disk does it, which leaves the file's mode alone."""
    content = file.read_bytes()
    file.chmod(0o644)
    file.write_bytes(content[:-40].replace(b"e", b"a") + content[-40:])
    if protected:
        file.chmod(0o444)


def test_a_spoiled_entry_that_dvc_sees(run_clone: Clone, reproduced: Clone) -> None:
    spoil(entry(run_clone, "repair", "data/instructions.jsonl"), protected=False)
    (run_clone.folder / "data/instructions.jsonl").unlink()
    right(run_clone, reproduced)


def test_a_spoiled_entry_that_dvc_does_not_see_stops_the_next_stage(run_clone: Clone, reproduced: Clone) -> None:
    damaged = entry(run_clone, "repair", "data/instructions.jsonl")
    spoil(damaged, protected=True)
    (run_clone.folder / "data/instructions.jsonl").unlink()
    run_clone.edit("params.yaml", "lr: 0.01", "lr: 0.011")  # so that a stage reads it
    ended = run_clone.run("dvc", "repro", check=False)
    assert ended.returncode != 0
    said = "data/instructions.jsonl: not what repair wrote, according to dvc.lock"
    assert f"finetune_2b: {said}" in ended.stderr
    run_clone.edit("params.yaml", "lr: 0.011", "lr: 0.01")
    told = run_clone.python("stages.cache").stdout
    assert (
        told
        == f"cache: {damaged.parent.name}{damaged.name} was damaged and has been removed; dvc repro makes it again\n"
    )
    right(run_clone, reproduced)
    assert run_clone.python("stages.cache").stdout == ""


# --- inputs --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "file", ["data/sources.jsonl", "data/instructions.jsonl", "data/predictions/2b.jsonl", "models/base/model.safetensors"]
)  # fmt: skip
def test_a_truncated_input(run_clone: Clone, reproduced: Clone, file: str) -> None:
    """`dvc repro` finds an output that is not what it was, and makes it anew before anyone reads it."""
    content = (run_clone.folder / file).read_bytes()
    (run_clone.folder / file).write_bytes(content[: len(content) // 2])
    right(run_clone, reproduced)


# --- two at once ---------------------------------------------------------------------------------------------


def test_two_chains_at_once(scratch_clone: Clone, reproduced: Clone) -> None:
    """Each ends well, or in a line that says who is in the way; together they leave what one would have left."""
    both = [
        subprocess.Popen(
            ["dvc", "repro"], cwd=scratch_clone.folder, env=scratch_clone.environment,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for _ in range(2)
    ]  # fmt: skip
    for process in both:
        _, errors = process.communicate(timeout=900)
        assert "Traceback" not in errors
        if process.returncode != 0:
            assert "is busy" in errors or "Unable to acquire lock" in errors or "already running" in errors, errors
    right(scratch_clone, reproduced)
