"""Rows as lines, which repair over processes takes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from relearn.files import dump_line
from relearn.records import Reply, Source


def pair_with_lines(replies: Iterable[Reply]) -> Iterator[tuple[bytes, Reply]]:
    """Each reply with its line, as `read_jsonl_lines` reads them from a file."""
    return ((dump_line(reply).encode(), reply) for reply in replies)


def dump_sources(sources: Mapping[tuple[str, str], Source]) -> dict[tuple[str, str], bytes]:
    """The lines of sources, by task and id."""
    return {key: dump_line(source).encode() for key, source in sources.items()}
