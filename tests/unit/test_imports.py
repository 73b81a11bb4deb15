"""The house's rule: imports run one way, and only `stages` and `relearn.params` touch what is theirs."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
GROUND = {"params", "records", "chat", "models", "progress", "hub", "neardup", "endpoint"}
WORKERS = {"corpora", "teacher", "repair", "tuning", "decoding", "scoring", "mini"}
ABOVE = {"compare", "report"}

FILES = sorted([*ROOT.glob("relearn/**/*.py"), *ROOT.glob("stages/**/*.py")])


def imported(path: Path) -> set[str]:
    """Dotted names of the project's own modules that a file imports, wherever in the file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if name.split(".")[0] in ("relearn", "stages", "tests", "bench")}


def part(name: str) -> str:
    """`relearn.tuning.rows` → `tuning`."""
    pieces = name.split(".")
    return pieces[1] if len(pieces) > 1 else ""


def allowed(owner: str) -> set[str]:
    if owner in GROUND:
        return GROUND
    if owner in WORKERS:
        return GROUND | {owner}
    return GROUND | WORKERS | ABOVE


def breaches(owner: str, names: set[str]) -> list[str]:
    """The imports of a library file that run the wrong way."""
    return sorted(
        name
        for name in names
        if not name.startswith("relearn") or (part(name) and part(name) not in allowed(owner))
    )


@pytest.mark.parametrize(
    "path",
    [path for path in FILES if path.parts[len(ROOT.parts)] == "relearn"],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_library_imports_run_one_way(path: Path) -> None:
    relative = path.relative_to(ROOT / "relearn")
    owner = relative.parts[0].removesuffix(".py")
    if owner == "__init__":
        assert not imported(path)
        return
    assert owner in GROUND | WORKERS | ABOVE, f"{owner} has no floor"
    assert breaches(owner, imported(path)) == []


def test_the_rule_sees_a_breach() -> None:
    assert breaches("tuning", {"relearn.scoring.text", "relearn.records.Review"}) == ["relearn.scoring.text"]
    assert breaches("records", {"relearn.repair.locate"}) == ["relearn.repair.locate"]
    assert breaches("report", {"stages.paths"}) == ["stages.paths"]
