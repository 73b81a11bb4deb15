"""The one exception that a user's mistake raises."""

from __future__ import annotations


class InputError(Exception):
    """What is wrong with something the user gave: one line that names the file, key or row, and what to do.

    Stages print it without a traceback and exit with status 1.
    """
