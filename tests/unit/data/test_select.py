"""The choice of rows: quotas, the pools that make streaming possible, groups that stay whole."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relearn.data.select import SPLITS, Candidate, MoreNeeded, Picker, Pool, digest, normalise, share_out
from relearn.records import Split


@given(st.dictionaries(st.text(), st.integers(1, 10_000), min_size=1), st.integers(0, 5000))
def test_quotas_add_up_and_stay_within_one_of_the_exact_share(sizes: dict[str, int], total: int) -> None:
    shares = share_out(total, sizes)
    assert sum(shares.values()) == total
    whole = sum(sizes.values())
    assert all(abs(shares[name] - total * size / whole) < 1 for name, size in sizes.items())


def test_quotas_of_nothing() -> None:
    assert share_out(5, {}) == {}
    assert share_out(5, {"a": 0}) == {"a": 0}


def test_digest_is_the_same_in_every_process() -> None:
    code = "from relearn.data.select import digest; print(digest('a', 'bc'))"
    seen = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert seen == {f"{digest('a', 'bc')}\n".encode()}
    assert digest("a", "bc") != digest("ab", "c")


def test_normalise() -> None:
    assert normalise("  The\tCat\n SAT ") == normalise("the cat sat")
    assert normalise("the cat") != normalise("thecat")


def candidates(ranks: list[tuple[int, int]]) -> list[Candidate[str]]:
    return [Candidate(rank, number, rank[0], str(number)) for number, rank in enumerate(ranks)]


RANKS = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 1000)), max_size=80)


@given(RANKS, st.integers(1, 90))
def test_a_pool_keeps_the_lowest_ranks(ranks: list[tuple[int, int]], limit: int) -> None:
    pool: Pool[str] = Pool(limit)
    rows = candidates(ranks)
    for row in rows:
        pool.add(row)
    expected = sorted(rows, key=lambda row: (row.rank, row.number))[:limit]
    assert pool.sorted() == expected
    assert pool.whole == (len(rows) <= limit)
    assert pool.size == len(rows)


@given(RANKS, RANKS, st.integers(1, 30))
def test_pools_put_together_are_one_pool(
    first: list[tuple[int, int]], second: list[tuple[int, int]], limit: int
) -> None:
    rows = candidates(first + second)
    apart, other, whole = (Pool[str](limit) for _ in range(3))
    for row in rows:
        (apart if row.number < len(first) else other).add(row)
        whole.add(row)
    apart.take(other)
    assert apart.sorted() == whole.sorted()
    assert apart.size == whole.size


def pick(
    pools: Mapping[str, Pool[str]],
    wanted: Mapping[Split, int],
    find_fault: Callable[[Candidate[str], Split], str | None] = lambda row, split: None,
) -> Picker[str]:
    picker = Picker(pools, find_fault, lambda row, split: None)
    for split in SPLITS:
        picker.fill(split, wanted[split])
    return picker


WANTED: dict[Split, int] = {"train": 5, "val": 2, "test": 4}


@given(RANKS, st.integers(0, 3), st.integers(8, 40))
def test_picking_from_a_cut_pool_is_picking_from_all(ranks: list[tuple[int, int]], refuse: int, limit: int) -> None:
    """Either the cut pool says that it is too small, or the choice is the one made from everything."""

    def chosen(size: int | None) -> tuple[dict[Split, list[str]], dict[str, int]]:
        pool: Pool[str] = Pool(size)
        for row in candidates(ranks):
            pool.add(row)
        picked = pick(
            {"all": pool},
            WANTED,
            lambda row, split: "unlucky" if row.number % 4 < refuse and split == "train" else None,
        )
        owners: dict[int, str] = {}
        for split, rows in picked.splits.items():
            assert len(rows) <= WANTED[split]
            assert all(owners.setdefault(row.group, split) == split for row in rows), "a group is in two splits"
        return {split: [row.row for row in rows] for split, rows in picked.splits.items()}, picked.passed

    try:
        cut = chosen(limit)
    except MoreNeeded:
        assert len(ranks) > limit
        return
    assert cut == chosen(None)


def test_a_stratum_that_runs_out_is_made_up_for() -> None:
    few, many = Pool[str](None), Pool[str](None)
    for number in range(30):
        pool = few if number % 3 == 0 else many
        pool.add(Candidate((digest(str(number)), 0), number, number, "few" if pool is few else "many"))
    picked = pick(
        {"few": few, "many": many},
        {"train": 12, "val": 3, "test": 6},
        lambda row, split: "unlucky" if row.row == "few" and split == "test" else None,
    )
    assert {split: len(rows) for split, rows in picked.splits.items()} == {"train": 12, "val": 3, "test": 6}
    assert [row.row for row in picked.splits["train"]].count("few") == 4
    assert all(row.row == "many" for row in picked.splits["test"])
    assert picked.passed == {"unlucky": 5}


def test_more_needed_is_raised_only_by_a_pool_that_let_rows_go() -> None:
    whole, cut = Pool[str](10), Pool[str](9)
    for row in candidates([(number, 0) for number in range(10)]):
        whole.add(row)
        cut.add(row)
    with pytest.raises(MoreNeeded):
        pick({"all": cut}, {"train": 10, "val": 0, "test": 0})
    picked = pick({"all": whole}, {"train": 11, "val": 0, "test": 0})
    assert picked.count() == 10
