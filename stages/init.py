"""`relearn init DIR`: a project of one's own, made from the installed package, ready for `dvc repro`."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from contextlib import suppress
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import click

from relearn.commands import SETTINGS
from relearn.errors import InputError
from relearn.escaping import shown

SHIPPED = Path(__file__).resolve().parent / "project"  # in the wheel; a checkout has the files in their own places
NEEDED = ("dvc", "torch")  # of the extra `pipeline`, which a light install lacks

IGNORED = """\
.venv/
__pycache__/
.cache/
.env
export/
report/frontier.html
/.relearn
"""

README = """\
# What a fine-tune forgets
Made by `relearn init` of relearn-llm {version}; `pip install "relearn-llm[pipeline]=={version}" -r requirements.txt` installs
what it was tried with.

- `dvc repro` runs the chain of `dvc.yaml`; then see `report/table_3a.md` and `report/index.html`.
- `params.yaml` names the profile and what is swept; `profiles/` holds everything else. `mini` makes its data on the
  spot, `files` reads `data/sources/files/`: put your own files there. `python -m stages.parameters` checks them.
- `relearn plan` estimates what a profile could show, and what it costs in time, memory and money.
- `prompts/` is what a teacher is asked; `data/sources/<profile>/probes.yaml` are the profile's probes.
- `dvc exp run -S lr=2e-3` is the next experiment, after a first commit.
- `.relearn/` is a copy of the installed package, renewed by each `dvc repro`, so that an upgrade runs again what it
  changes. Edit nothing there.
"""

PACKAGE = """\
stages:
  package:
    desc: The installed relearn, copied to where dvc sees it, so that an upgrade runs again what it has changed
    cmd: exec python -m stages.package
    always_changed: true
    outs: [.relearn]

"""


def list_shipped() -> dict[str, Path]:
    """The files that a project gets almost unchanged: the name in the project, and where each comes from."""
    if SHIPPED.is_dir():
        return {str(file.relative_to(SHIPPED)): file for file in sorted(SHIPPED.rglob("*")) if file.is_file()}
    checkout = SHIPPED.parent.parent
    build = tomllib.loads((checkout / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]
    taken = build["targets"]["wheel"]["force-include"]
    return {target.removeprefix("stages/project/"): checkout / source for source, target in taken.items()}


def make_files() -> dict[str, bytes]:
    """Every file of a new project. The code that stages depend on is in `.relearn/` there (`stages.package`)."""
    files = {name: file.read_bytes() for name, file in list_shipped().items()}
    chain = re.sub(r"(?<![\w./])(relearn|stages)/", r".relearn/\1/", files["dvc.yaml"].decode())
    ignored = re.sub(r"^/(relearn|stages)/", r"/.relearn/\1/", files[".dvcignore"].decode(), flags=re.MULTILINE)
    return files | {
        "dvc.yaml": chain.replace("stages:\n", PACKAGE, 1).encode(),
        ".dvcignore": ignored.encode(),
        ".gitignore": IGNORED.encode(),
        "README.md": README.format(version=version("relearn-llm")).encode(),
    }


def make_project(folder: Path) -> list[str]:
    """Writes a project into a folder that may exist already; returns the commands to type next.

    Makes a git repository where the folder is in none, since DVC needs one. Raises InputError, with nothing written,
    when one of the files exists already or cannot be written.
    """
    if shutil.which("git") is None:
        raise InputError("git is not installed, and dvc keeps experiments in it; install git first")
    files = make_files()
    _refuse_taken(folder, list(files))
    made: list[Path] = []
    try:
        for name, content in files.items():
            place = folder / name
            made += _make_folders(place.parent)
            made.append(place)
            place.write_bytes(content)
        inside = subprocess.run(["git", "rev-parse", "--git-dir"], cwd=folder, capture_output=True, check=False)
        if inside.returncode:
            subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        for place in reversed(made):
            with suppress(OSError):
                place.rmdir() if place.is_dir() else place.unlink()
        reason = (error.strerror or str(error)).lower() if isinstance(error, OSError) else "git init failed"
        raise InputError(f"{folder}: {reason}; name a folder that you can write to") from None
    return [
        *([] if folder.resolve() == Path.cwd() else [f"cd {shlex.quote(str(folder))}"]),
        *([] if all(map(find_spec, NEEDED)) else ['pip install "relearn-llm[pipeline]" -r requirements.txt']),
        "dvc repro",
    ]


def _refuse_taken(folder: Path, names: list[str]) -> None:
    for name in [".", *names]:
        place = folder / name
        for parent in [place, *place.parents][: len(Path(name).parts) + 1]:
            blocked = parent.is_symlink() or parent.exists()
            if blocked and not (parent.is_dir() and (parent != place or name == ".")):
                raise InputError(f"{parent}: already exists; name a new folder, as in relearn init forgetting")


def _make_folders(folder: Path) -> list[Path]:
    """Makes the folder; those that were not there before, outermost first."""
    missing = [place for place in (folder, *folder.parents) if not place.exists()][::-1]
    folder.mkdir(parents=True, exist_ok=True)
    return missing


def _run(folder: Path) -> None:
    try:
        commands = make_project(folder)
    except InputError as error:
        print(f"init: {' '.join(shown(str(error)).split())}", file=sys.stderr)
        click.get_current_context().exit(1)
    print(f"{folder}: a project of relearn {version('relearn-llm')}, profile mini; next:")
    print("".join(f"  {command}\n" for command in commands), end="")


command = click.Command(
    "init",
    callback=_run,
    short_help="Create a project of your own, ready for `dvc repro`.",
    help="Create a project in DIR: the chain, profiles, prompts, probes and a sample of data. `dvc repro` runs it.",
    context_settings=SETTINGS,
    params=[click.Argument(["folder"], metavar="DIR", type=click.Path(path_type=Path))],
)
