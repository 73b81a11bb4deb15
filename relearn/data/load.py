"""The texts and rows of every task from its source: cleaned, split, kept apart, and counted.

A row's text is kept as it is except for two things: a run of HTML line breaks in a text becomes one newline, and an
instruction's `input` is appended to it after a blank line (unless it is empty, or "Not applicable", as data sets in
the manner of Alpaca write it). What is too long is left out, never cut.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from relearn.data.files import FileTable
from relearn.data.hub_table import HubTable
from relearn.data.reading import Chooser, count_rows, count_texts
from relearn.data.rows import choose_rows
from relearn.data.select import digest, normalise
from relearn.data.split_guard import SplitGuard
from relearn.data.table import Table
from relearn.data.template_table import TemplateTable
from relearn.data.texts import choose_texts
from relearn.packages import find_file
from relearn.params.prepare import (
    HubSource,
    MiniSource,
    PackageSource,
    Prepare,
    SkillsSource,
    TemplateColumns,
    TextColumns,
)
from relearn.records import Role, Row, Source


@dataclass
class Corpora:
    """The texts and the rows of every task that has them, train before val before test, and the tasks' counts."""

    texts: dict[str, list[Source]] = field(default_factory=dict)
    rows: dict[str, list[Row]] = field(default_factory=dict)
    counts: dict[str, dict[str, Any]] = field(default_factory=dict)


def load(
    roles: Mapping[str, Role],
    group: Prepare,
    folder: Path,
    seed: int,
    *,
    probes: Iterable[str] = (),
    memory: Path,
    made: Mapping[str, Sequence[Source | Row]] | None = None,
) -> Corpora:
    """The texts and rows of every task, split as `group` asks, and the counts for `metrics/prepare.json`.

    `roles` has the tasks in the order of the tables; `folder` holds the files that sources name; `made` has what
    mini made and the items of suites, which are taken as they are; `probes` are instructions that no row may equal or nearly equal; `memory` is the
    folder where hub commits are remembered. Rows are shuffled under `seed` within each split.

    A prompt that two tasks have belongs to the first, watched tasks last. What is trained on is chosen first, for all
    tasks; then the test rows, which keep clear of it. So neither a test size nor a watched task that asks for test rows
    alone changes what is trained on.

    Raises InputError when a file is missing or unreadable, a row of a user's file is bad (an empty text, not a
    string, not UTF-8), the labels are all alike, or there are fewer usable rows than asked for.
    """
    made, found = made or {}, Corpora()
    # all are opened first, so that a missing file is found before minutes are spent on another
    tables = {task: table for task in roles if (table := _open(group, task, folder, memory)) is not None}
    order = sorted(
        (task for task in roles if not group.by_task[task].is_texts), key=lambda task: roles[task] == "watched"
    )
    guards = {task: SplitGuard(group.near_duplicates) for task in roles}
    choosers: dict[str, Chooser[Row]] = {}
    for task in roles:
        if group.by_task[task].is_texts:
            found.texts[task] = _texts(task, tables.get(task), group, seed, guards[task], made.get(task, ()), found)
    probes = list(probes)
    prompts: dict[str, set[int]] = {}  # of every usable row, chosen or not: which are chosen depends on the sizes
    for number, task in enumerate(order):
        if task in tables:
            guards[task].forbid("probe", probes)
            for other in order[:number]:
                guards[task].forbid_equal(other, prompts[other])
                guards[task].forbid(other, (row.instruction for row in found.rows[other]))
            table, counts = tables[task], group.by_task[task]
            columns = table.columns if isinstance(table, TemplateTable) else _columns(group, task)
            choosers[task] = choose_rows(task, roles[task], table, columns, counts, seed, guards[task])
            found.rows[task] = choosers[task].fill("train", "val")
            prompts[task] = choosers[task].reading.prompts
        else:
            given = [row for row in made[task] if isinstance(row, Row)]
            found.rows[task] = [row for row in given if row.split != "test"]
            prompts[task] = {digest(normalise(row.instruction)) for row in given}
    trained = {task: [row.instruction for row in rows] for task, rows in found.rows.items()}
    for number, task in enumerate(order):
        if task not in choosers:
            found.rows[task] = [row for row in made[task] if isinstance(row, Row)]
            continue
        for other in order[number + 1 :]:
            choosers[task].guard.forbid(other, trained[other], test_only=True)
        for other in order[:number]:
            tests = (row.instruction for row in found.rows[other] if row.split == "test")
            choosers[task].guard.forbid(other, tests, test_only=True)
        found.rows[task] += choosers[task].fill("test")
    for task in roles:
        if task in found.rows:
            counted = count_rows(found.rows[task])
            found.counts[task] = (choosers[task].summarise() if task in choosers else {}) | counted
    found.counts = {task: found.counts[task] for task in roles}
    return found


def _texts(
    task: str,
    table: Table | None,
    group: Prepare,
    seed: int,
    guard: SplitGuard,
    made: Sequence[Source | Row],
    found: Corpora,
) -> list[Source]:
    if table is None:
        texts = [text for text in made if isinstance(text, Source)]
        found.counts[task] = count_texts(texts)
        return texts
    columns = _columns(group, task)
    assert isinstance(columns, TextColumns)
    chooser = choose_texts(task, table, columns, group.by_task[task], seed, guard)
    texts = chooser.fill("train", "val", "test")
    found.counts[task] = chooser.summarise() | count_texts(texts)
    return texts


def _columns(group: Prepare, task: str) -> Any:
    source = group.by_task[task].source
    assert not isinstance(source, MiniSource | SkillsSource)
    return source.columns


def _open(group: Prepare, task: str, folder: Path, memory: Path) -> Table | None:
    source = group.by_task[task].source
    if isinstance(source, MiniSource | SkillsSource):
        return None
    table: Table
    if isinstance(source, HubSource):
        table = HubTable(source.dataset, source.revision, source.split, memory)
    elif isinstance(source, PackageSource):
        table = FileTable(find_file(source.package, source.path, source.sha256))
        table.origin |= {"package": source.package}
    else:
        table = FileTable(folder / source.path)
    return TemplateTable(table, source.columns) if isinstance(source.columns, TemplateColumns) else table
