"""The house's rules: imports run down the floors, no circles, one meaning a class name."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# From the ground up. A part imports itself and the floors below it.
FLOORS = (
    {"commands", "errors", "records", "files", "progress", "escaping", "hub", "hub_errors"}
    | {"finish_reasons", "likelihood", "packages", "placeholders", "precision", "reasoning", "scripts"}
    | {"launched", "workers"},
    {"params", "chat", "statistics", "sandbox", "model_files", "weights"},
    {"models", "gguf", "endpoint", "data", "metrics", "logs"},
    {"mini", "teacher", "repair", "training", "decoding", "scaling"},
    {"evaluation", "judge"},
    {"report"},
    {"compare", "scoring"},
    {"cli"},
)
FLOOR = {part: number for number, floor in enumerate(FLOORS) for part in floor}
FILES = sorted([*ROOT.glob("relearn/**/*.py"), *ROOT.glob("stages/**/*.py")])
LIBRARY = [path for path in FILES if path.relative_to(ROOT).parts[0] == "relearn"]


def module(path: Path) -> str:
    """relearn/training/rows.py → relearn.training.rows"""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module(path) for path in FILES}


def imported(path: Path) -> set[str]:
    """Dotted names of the project's own modules that a file imports, wherever in the file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                found.add(full if full in MODULES else str(node.module))
    return {name for name in found if name.split(".")[0] in ("relearn", "stages", "tests", "bench")}


def part(name: str) -> str:
    """`relearn.training.rows` → `training`."""
    pieces = name.split(".")
    return pieces[1] if len(pieces) > 1 else ""


def breaches(owner: str, names: set[str]) -> list[str]:
    """The imports of a library file that do not run down."""
    return sorted(
        name
        for name in names
        if not name.startswith("relearn")
        or (part(name) not in ("", owner) and FLOOR[part(name)] >= FLOOR[owner] and FLOOR[owner] > 0)
    )


@pytest.mark.parametrize("path", LIBRARY, ids=lambda path: str(path.relative_to(ROOT)))
def test_library_imports_run_down(path: Path) -> None:
    owner = path.relative_to(ROOT / "relearn").parts[0].removesuffix(".py")
    if owner == "__init__":
        assert not imported(path)
        return
    assert owner in FLOOR, f"{owner} has no floor"
    assert breaches(owner, imported(path)) == []


def test_the_rule_sees_a_breach() -> None:
    assert breaches("training", {"relearn.repair.json", "relearn.records"}) == ["relearn.repair.json"]
    assert breaches("statistics", {"relearn.repair.json"}) == ["relearn.repair.json"]
    assert breaches("report", {"stages.paths"}) == ["stages.paths"]


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """The strongly connected parts of more than one module (Tarjan 1972)."""
    found: list[list[str]] = []
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in sorted(graph.get(node, ())):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            circle = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(circle) > 1:
                found.append(sorted(circle))

    for node in sorted(graph):
        if node not in index:
            visit(node)
    return found


def test_no_import_circles() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}}) == [["a", "b", "c"]]
    assert circles({module(path): imported(path) - {module(path)} for path in FILES}) == []


def test_a_class_name_has_one_meaning() -> None:
    homes: dict[str, list[str]] = defaultdict(list)
    for path in FILES:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef):
                homes[node.name].append(module(path))
    assert {name: found for name, found in homes.items() if len(found) > 1} == {}
