"""The known name that comes closest to a mistyped one."""

from __future__ import annotations

import difflib
from collections.abc import Sequence


def nearest(word: object, known: Sequence[str]) -> str:
    """` (did you mean …?)` for the known name that comes closest, or nothing."""
    close = difflib.get_close_matches(str(word), known, n=1, cutoff=0.5)
    return f" (did you mean {close[0]}?)" if close else ""
