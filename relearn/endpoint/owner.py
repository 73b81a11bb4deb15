"""Who holds a claim in the journal, and whether that process still lives."""

from __future__ import annotations

import os
import uuid
from pathlib import Path


def name_self() -> str:
    """A name for this holder: boot, PID namespace, process, its start time, and a number of its own."""
    return f"{_world()}/{os.getpid()}/{_started(os.getpid()) or '?'}/{uuid.uuid4().hex[:12]}"


def is_dead(owner: str) -> bool:
    """Whether a holder is known to have ended.

    Known only on the same boot and in the same PID namespace, and by the start time, since process numbers come
    round again. Elsewhere (another machine, no /proc) the lease has to run out.
    """
    parts = owner.split("/")
    if len(parts) != 4 or parts[0] != _world() or parts[2] == "?":
        return False
    return _started(int(parts[1])) != parts[2]


def _world() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        space = os.readlink("/proc/self/ns/pid")
    except OSError:
        return f"elsewhere-{uuid.getnode():x}"
    return f"{boot}:{space.strip('pid:[]')}"


def _started(process: int) -> str | None:
    """The start time in clock ticks since boot; None when there is no such process, or only its zombie."""
    try:
        text = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return None
    fields = text[text.rindex(")") + 2 :].split()  # the name before it may hold blanks and brackets
    return None if fields[0] in "ZX" else fields[19]
