"""The machine that figures are of."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
from pathlib import Path

LIBRARIES = ("torch", "transformers", "peft", "openai", "json-repair", "codebleu", "bert-score", "rouge-score", "dvc")
INSTRUCTIONS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")  # a speed in bf16 means little without the last two


def describe_machine() -> str:
    """Processor with its widest instructions, memory, system and versions; no name of a host."""
    processor, memory = platform.machine(), 0.0
    try:
        told = Path("/proc/cpuinfo").read_text(encoding="utf-8")
        found = re.search(r"^model name\s*: (.*)$", told, re.MULTILINE)
        processor = found[1] if found else processor
        has = [name for name in INSTRUCTIONS if name in told.split()]
        processor += f" with {', '.join(has)}" if has else ""
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    except (OSError, ValueError):
        pass
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in LIBRARIES)
    return (
        f"{processor}, {len(os.sched_getaffinity(0))} cores, {memory:.0f} GiB; {platform.system()}, "
        f"Python {platform.python_version()}; {versions}"
    )
