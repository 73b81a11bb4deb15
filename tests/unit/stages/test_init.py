"""`relearn init`: what a new project holds, and that nothing of a folder is overwritten."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner
from pathspec import PathSpec
from ruamel.yaml import YAML

from relearn.params import load
from stages import init, package
from stages.paths import Paths
from tests.conftest import ROOT

# Whole folders of this repository that a project gets.
SHIPPED = ("profiles", "prompts", "data", ".dvc")


def everything(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_a_project_gets_every_profile_prompt_and_source() -> None:
    listed = subprocess.run(["git", "ls-files", "--", *SHIPPED], cwd=ROOT, capture_output=True, text=True, check=True)
    files = set(listed.stdout.split())
    measured = {name for name in files if Path(name).match("data/remedies/*.json")}  # here, so not in another project
    assert files - measured <= set(init.list_shipped())
    assert not measured & set(init.list_shipped())


def test_its_parameters_are_sound(tmp_path: Path) -> None:
    init.make_project(tmp_path / "own")
    assert load(tmp_path / "own").profile == load(ROOT).profile


def test_its_stages_are_those_of_the_repository_and_depend_on_copies_of_the_same_code(tmp_path: Path) -> None:
    init.make_project(tmp_path)
    package.work(load(tmp_path), Paths.of(tmp_path, code=ROOT))
    own, ours = (YAML(typ="safe").load(folder / "dvc.yaml")["stages"] for folder in (tmp_path, ROOT))
    assert own.pop("package")["outs"] == [package.COPIES]
    assert list(own) == list(ours)
    made = {out if isinstance(out, str) else next(iter(out)) for block in own.values() for key in ("outs", "metrics", "plots") for out in block.get(key, ())}  # fmt: skip
    for stage, block in own.items():
        assert [dep.removeprefix(".relearn/") for dep in block.pop("deps")] == ours[stage].pop("deps")
        assert block == ours[stage]
    for dep in (dep for block in YAML(typ="safe").load(tmp_path / "dvc.yaml")["stages"].values() for dep in block.get("deps", ())):  # fmt: skip
        there = tmp_path / dep.replace("${profile}", "mini").replace("${method}", "plain")
        assert there.exists() or dep in made, dep


def test_it_ignores_the_copies_of_code_that_changes_no_output(tmp_path: Path) -> None:
    init.make_project(tmp_path)
    own, ours = (
        PathSpec.from_lines("gitwildmatch", (at / ".dvcignore").read_text().splitlines()) for at in (tmp_path, ROOT)
    )
    code = [str(path.relative_to(ROOT)) for name in ("relearn", "stages") for path in (ROOT / name).rglob("*.py")]
    assert [own.match_file(f".relearn/{file}") for file in code] == [ours.match_file(file) for file in code]


@pytest.mark.parametrize("there", ["README.md", "profiles/mini.yaml", "data", ".dvc/config"])
def test_a_file_that_is_there_is_refused_and_nothing_is_written(tmp_path: Path, there: str) -> None:
    (tmp_path / there).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / there).write_text("mine")
    before = everything(tmp_path)
    done = CliRunner().invoke(init.command, [str(tmp_path)])
    assert done.exit_code == 1
    assert done.stderr.startswith(f"init: {tmp_path / there}: already exists")
    assert len(done.stderr.strip().splitlines()) == 1
    assert everything(tmp_path) == before


def test_what_was_written_goes_when_the_rest_cannot_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = Path.write_bytes

    def fail(self: Path, data: bytes) -> int:
        if self.name == "params.yaml":
            raise OSError(28, "No space left on device")
        return write(self, data)

    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "notes.txt").write_text("mine")
    monkeypatch.setattr(Path, "write_bytes", fail)
    done = CliRunner().invoke(init.command, [str(tmp_path / "own")])
    assert done.exit_code == 1
    assert "no space left on device" in done.stderr
    assert everything(tmp_path) == {"own", "own/notes.txt"}


def test_a_repository_is_made_only_where_there_is_none(tmp_path: Path) -> None:
    done = CliRunner().invoke(init.command, [str(tmp_path / "own")])
    assert done.exit_code == 0, done.stderr
    assert done.stdout.splitlines()[1:] == [f"  cd {tmp_path / 'own'}", "  dvc repro"]
    assert (tmp_path / "own" / ".git").is_dir()
    subprocess.run(["git", "init", "-q", tmp_path / "outer"], check=True)
    init.make_project(tmp_path / "outer" / "inner")
    assert not (tmp_path / "outer" / "inner" / ".git").exists()
