"""The one exception that a user's mistake raises, and other errors in a line."""

from __future__ import annotations


class InputError(Exception):
    """What is wrong with something the user gave: one line that names the file, key or row, and what to do.

    Stages print it without a traceback and exit with status 1.
    """


def first_line(error: Exception) -> str:
    """The first line of another error that is not blank; its class where it says nothing."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
