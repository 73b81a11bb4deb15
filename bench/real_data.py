"""Where the benchmarks of repair, and tests, find texts that people wrote: real data, which is not part of this
repository.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

DEFAULT = Path(os.environ.get("RELEARN_SHARED", Path(__file__).resolve().parents[2] / "shared" / "data"))


def argument(parser: argparse.ArgumentParser) -> None:
    """Adds --data, a folder: RELEARN_SHARED where it is set, else ../shared/data beside the checkout."""
    parser.add_argument("--data", type=Path, default=DEFAULT, help="the folder of real data")


def lines(file: Path) -> list[str]:
    """The lines of a UTF-8 file; ends the run with one line of advice when it is not there."""
    if not file.is_file():
        sys.exit(
            f"{file.parts[-2]}/{file.name}: not there; give the folder of real data as --data or in RELEARN_SHARED"
        )
    return file.read_text(encoding="utf-8").split("\n")[:-1]
