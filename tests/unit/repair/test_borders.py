"""What repair may import, and who may look behind the reader's door."""

from __future__ import annotations

import subprocess
import sys

from tests.conftest import ROOT


def test_nothing_looks_behind_the_door_of_the_reader() -> None:
    files = [path for folder in ("relearn", "stages", "bench") for path in (ROOT / folder).rglob("*.py")]
    inside = ROOT / "relearn" / "repair" / "json"
    outside = [path for path in files if not path.is_relative_to(inside)]
    assert len(outside) < len(files)
    assert [path for path in outside if "relearn.repair.json." in path.read_text(encoding="utf-8")] == []


def test_the_command_starts_without_heavy_libraries() -> None:
    program = "import sys, relearn.repair.command; print(*sys.modules)"
    started = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    heavy = {"torch", "transformers", "datasets", "evaluate", "pandas", "numpy", "dvc"}
    assert not heavy & set(started.stdout.split())
