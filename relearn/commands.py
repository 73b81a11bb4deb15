"""What the subcommands of `relearn` share."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

FILE: dict[str, Any] = {"metavar": "FILE", "type": click.Path(path_type=Path)}
SETTINGS: dict[str, Any] = {"help_option_names": ["-h", "--help"]}
SHARED = "Large inputs are shared out over a process for each core, or as many as RELEARN_WORKERS says."


def run_command(command: click.Command, arguments: Sequence[str] | None, name: str) -> int:
    """Runs a subcommand under another name and returns its exit status; SystemExit (2) for wrong options."""
    try:
        return int(command.main(arguments, prog_name=name, standalone_mode=False) or 0)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:  # Ctrl-C
        print(f"{name}: stopped", file=sys.stderr)
        sys.exit(130)
