"""Rows of a data set on the hub, at one commit, from data files only (Parquet, JSON, CSV; never a repository's code).

`datasets` says which files make up the split (the repository's card decides); `relearn.hub` fetches them and checks
their hashes; `datasets` then streams them from there, so that nothing is copied and other splits are not fetched.
"""

from __future__ import annotations

import difflib
from collections.abc import Container, Iterator, Sequence
from pathlib import Path
from typing import Any

from relearn import hub
from relearn.data.table import TableRow, no_column
from relearn.errors import InputError, first_line
from relearn.hub_errors import explain_errors

READERS = ("parquet", "json", "csv")


class HubTable:
    """A split of a hub data set as a table; `number` is the row in the order stored, from 1."""

    strict = False

    def __init__(self, repo_id: str, revision: str, split: str, memory: Path) -> None:
        """Resolves the commit, finds the split's files and fetches them.

        `memory` is the folder where `relearn.hub.resolve` keeps what it resolved. Raises InputError when the data set
        or split is missing, gated, out of reach, not what was published, or needs code of its own to be read.
        """
        self.name = f"hub data set {repo_id}, split {split}"
        self.commit = hub.resolve(repo_id, revision, "dataset", memory)
        self.origin = {"dataset": repo_id, "revision": revision, "commit": self.commit, "split": split}
        # asked for first, so that errors about the repository are in our words
        listing = hub.list_files(repo_id, self.commit, "dataset")
        if f"{repo_id.rsplit('/', 1)[-1]}.py" in listing:
            raise InputError(
                f"{self._place(repo_id)}: is read by a program of its own, which is never run; choose a revision that "
                "holds data files (for many data sets refs/convert/parquet), or download the data and use source kind files"
            )
        self._builder = self._local_builder(repo_id, split)
        self._split = split

    def _local_builder(self, repo_id: str, split: str) -> Any:
        from datasets import load_dataset_builder
        from datasets.data_files import DataFilesDict, DataFilesList

        place = self._place(repo_id)
        try:
            # the hf:// form never takes a folder of the same name in the working directory for the data set
            with explain_errors(repo_id, self.commit, "dataset"):
                builder = load_dataset_builder(f"hf://datasets/{repo_id}", revision=self.commit)
        except (ValueError, OSError) as error:
            # the exceptions of datasets (no data files, an empty repository, several configurations and no default)
            # are subclasses of these
            raise InputError(
                f"{place}: cannot be read ({str(error).splitlines()[0]}); see {_page(repo_id)}, or download the file you "
                "want and use source kind files"
            ) from None
        reader = type(builder).__module__.rsplit(".", 1)[-1]
        if reader not in READERS:
            raise InputError(
                f"{place}: its files are read as {reader}; only {', '.join(READERS)} files are used: choose another data "
                "set, or convert it and use source kind files"
            )
        by_split = {str(name): list(urls) for name, urls in (builder.config.data_files or {}).items()}
        if split not in by_split:
            near = difflib.get_close_matches(split, by_split, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise InputError(f"{place}: no split {split!r}; it has {', '.join(by_split)}{hint}")
        prefix = f"hf://datasets/{repo_id}@{self.commit}/"
        foreign = [url for url in by_split[split] if not url.startswith(prefix)]
        if foreign:
            raise InputError(
                f"{place}: split {split} points outside the repository ({foreign[0]}); use another data set"
            )
        paths = [url.removeprefix(prefix) for url in by_split[split]]
        folder = hub.download(repo_id, self.commit, "dataset", [_literal(path) for path in paths])
        local = [str(folder / path) for path in paths]
        builder.config.data_files = DataFilesDict({split: DataFilesList(local, [(path,) for path in local])})
        return builder

    def _place(self, repo_id: str) -> str:
        return f"hub data set {repo_id} at {self.commit[:12]}"

    def where(self, number: int) -> str:
        """The data set and the row."""
        return f"{self.name}, row {number}"

    def rows(self, columns: Sequence[str], optional: Container[str] = ()) -> Iterator[tuple[int, TableRow]]:
        """Yields (row number, row), class labels by their names; InputError as soon as the files cannot be read."""
        import pyarrow as pa
        from datasets import ClassLabel

        number = 0
        try:
            stream = self._builder.as_streaming_dataset(split=self._split)
            classes = {
                name: feature for name, feature in (stream.features or {}).items() if isinstance(feature, ClassLabel)
            }
            for number, row in enumerate(stream, 1):
                if number == 1:
                    for column in columns:
                        if column not in row:
                            raise no_column(self.name, column, row)
                named = {
                    name: feature.int2str(row[name])
                    for name, feature in classes.items()
                    if isinstance(row.get(name), int) and 0 <= row[name] < feature.num_classes
                }
                yield number, {**row, **named}
        except (pa.ArrowException, ValueError, OSError, TypeError) as error:
            raise InputError(
                f"{self.name}: not readable after row {number} ({first_line(error)}); choose another revision, or download the data "
                "and use source kind files"
            ) from None


def _literal(path: str) -> str:
    """`path` as an fnmatch pattern that matches itself only."""
    return "".join(f"[{character}]" if character in "*?[" else character for character in path)


def _page(repo_id: str) -> str:
    return f"https://huggingface.co/datasets/{repo_id}"
