"""Every compiled loop of correlate against the plainest form of what it does."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from tests.correlate import naive
from tests.correlate.test_runs import HOUR_US, streams
from weaklink.correlate import merge_loops, row_loops, search_loops
from weaklink.correlate.levels import Merge, SortedRuns
from weaklink.correlate.memory import Block
from weaklink.correlate.packed import (
    MENTIONS_MAX,
    REQUESTS_MAX,
    REQUESTS_PER_ROW_MAX,
    TIME_US_MAX,
    Packed,
    Rows,
    empty_rows,
    links_frame,
    ordered,
)
from weaklink.correlate.run import Query, Run

OFTEN = settings(max_examples=80, deadline=None)
EVER = np.full(256, np.iinfo(np.int64).min)
Key = tuple[int, int, int]
# Identifiers and accounts that meet often, that fill one bucket of a directory, and that lie at the ends of their range.
WORDS = st.one_of(
    st.integers(0, 40),
    st.integers(2**63, 2**63 + 40),
    st.sampled_from([2**64 - 1, 2**64 - 2]),
    st.integers(0, 2**64 - 1),
)
KEYS = st.lists(st.tuples(WORDS, st.sampled_from([1, 256, 2**32 - 1]), WORDS), min_size=1, max_size=120)


def rows_of(keys: list[Key]) -> Rows:
    """Rows of these keys; their last word is their number, so that each is told from the others."""
    rows = empty_rows(len(keys))
    rows[:] = 0
    for at, (identifier, place, account) in enumerate(keys):
        rows[at, :3] = identifier, account, place << 32 | 1
        rows[at, 6] = at << 8
    return rows


def run_of(rows: Rows) -> Run:
    block = Block(len(rows))
    block.rows[:] = rows
    return Run.of(block)


def keys_of(rows: Rows) -> list[Key]:
    return [(int(row[0]), int(row[2]) >> 32, int(row[1])) for row in rows]


def sorted_rows(keys: list[Key]) -> Rows:
    return rows_of(sorted(set(keys)))


@OFTEN
@given(streams())
def test_packed_links_come_back_as_they_were(stream: list[naive.Use]) -> None:
    frame = naive.frame([naive.capped(use) for use in stream])
    packed = Packed([naive.frame(stream[:3]), naive.frame(stream[3:])], EVER)
    assert_frame_equal(links_frame(packed.rows), frame)
    for kind in range(256):
        own = [use for use in stream if use["kind"] == kind and use["slot"] == 0]
        assert packed.begin_max_us[kind] == max((use["first_seen_us"] for use in own), default=np.iinfo(np.int64).min)
        assert packed.end_min_us[kind] == min((use["last_seen_us"] for use in own), default=np.iinfo(np.int64).max)


def test_what_does_not_fit_is_cut_to_the_named_limits() -> None:
    """No bit of one field may reach another."""
    widest = {
        "identifier": 2**64 - 1, "tail": 2**64 - 1, "kind": 255, "epoch": 255, "slot": 2**16 - 1, "account": 2**64 - 1,
        "first_seen_us": -1, "last_seen_us": 2**62, "appended_at_us": TIME_US_MAX, "mentions": MENTIONS_MAX, "requests": 2**62,
    }  # fmt: skip
    found = links_frame(Packed([naive.frame([widest])], EVER).rows).row(0, named=True)
    assert found == widest | {"first_seen_us": 0, "last_seen_us": TIME_US_MAX, "requests": REQUESTS_PER_ROW_MAX}
    negative = naive.frame([widest | {"requests": -1}])
    assert links_frame(Packed([negative], EVER).rows)["requests"].to_list() == [0]
    thrice = ordered(Packed([naive.frame([widest] * 3)], EVER).rows)
    assert links_frame(thrice).select("mentions", "requests").row(0) == (MENTIONS_MAX, REQUESTS_MAX)


@OFTEN
@given(streams(), st.integers(0, 30 * HOUR_US), st.integers(0, 30 * HOUR_US))
def test_outlived_links_are_left_out_by_their_kind(stream: list[naive.Use], one: int, other: int) -> None:
    oldest = np.full(256, one)
    oldest[4] = other
    alive = [use["last_seen_us"] >= oldest[use["kind"]] for use in stream]
    kept = naive.frame([naive.capped(use) for use, lives in zip(stream, alive, strict=True) if lives])
    assert_frame_equal(links_frame(Packed([naive.frame(stream)], oldest).rows), kept)
    every = Packed([naive.frame(stream)], EVER).rows
    marks = np.empty(len(every), dtype=np.uint8)
    assert row_loops.mark_alive(every, oldest, marks) == sum(alive)
    assert marks.tolist() == alive


@OFTEN
@given(streams(80))
def test_links_of_one_key_become_one_in_order(stream: list[naive.Use]) -> None:
    merged: dict[Any, naive.Use] = {}
    for use in stream:
        key = (use["identifier"], use["slot"], use["kind"], use["epoch"], use["account"])
        merged[key] = naive.merged(merged[key], use) if key in merged else naive.capped(use)
    expected = naive.frame([merged[key] for key in sorted(merged)])
    assert_frame_equal(links_frame(ordered(Packed([naive.frame(stream)], EVER).rows)), expected)


@OFTEN
@given(KEYS, st.booleans())
def test_any_keys_are_put_in_order(keys: list[Key], is_sorted: bool) -> None:
    """Those of one identifier in hundreds as well as those of nobody else, and what is in order already."""
    rows = rows_of(sorted(keys) if is_sorted else keys)
    assert keys_of(ordered(rows)) == sorted(set(keys))
    assert merge_loops.is_ordered(ordered(rows))
    assert merge_loops.is_ordered(rows) == (keys_of(rows) == sorted(keys_of(rows)))


@OFTEN
@given(KEYS, KEYS, st.integers(0, 100))
def test_nodes_and_accounts_are_found_in_any_part_of_a_run(stored: list[Key], asked: list[Key], at: int) -> None:
    """What a merge has left of a run begins somewhere within it."""
    run = run_of(sorted_rows(stored))
    run.drop(at % len(run))
    rows, query = keys_of(run.piece.rows), Query.of(sorted_rows(asked))
    nodes = sorted({key[:2] for key in asked})
    assert [keys_of(query.rows)[begin][:2] for begin in query.begins[:-1]] == nodes
    found = run.piece.bounds(query)
    assert {nodes[node]: rows[low:high] for node, low, high in zip(found.nodes, found.lower, found.upper, strict=True)} == {
        node: own for node in nodes if (own := [row for row in rows if row[:2] == node])
    }  # fmt: skip
    held, rank = np.zeros(query.nodes, dtype=np.int64), np.zeros(len(query.rows), dtype=np.int64)
    known = np.zeros(len(query.rows), dtype=np.uint8)
    which, where = np.empty(len(query.rows), dtype=np.int64), np.empty(len(query.rows), dtype=np.int64)
    count = search_loops.match(
        run.piece.rows, query.rows, query.begins, found.nodes, found.lower, found.upper, held, rank, known, which, where
    )
    sought = keys_of(query.rows)
    assert held.tolist() == [sum(row[:2] == node for row in rows) for node in nodes]
    assert rank.tolist() == [sum(row[:2] == key[:2] and row[2] < key[2] for row in rows) for key in sought]
    assert known.tolist() == [key in rows for key in sought]
    assert (
        [sought[at] for at in which[:count]]
        == [rows[at] for at in where[:count]]
        == [key for key in sought if key in rows]
    )
    wanted = (np.arange(query.nodes) % 2).astype(np.uint8)
    out, node = empty_rows(len(rows)), np.empty(len(rows), dtype=np.int64)
    taken = search_loops.take_others(
        run.piece.rows, query.rows, query.begins, found.nodes, found.lower, found.upper, wanted, out, node, 0
    )
    others = [row for row in rows if row not in sought and row[:2] in nodes[1::2]]
    assert keys_of(out[:taken]) == others
    assert [nodes[one] for one in node[:taken]] == [row[:2] for row in others]


@OFTEN
@given(KEYS, KEYS, st.lists(st.integers(1, 30), min_size=1), st.data())
def test_a_merge_holds_every_row_once_at_any_step(
    one: list[Key], other: list[Key], steps: list[int], data: st.DataObject
) -> None:
    """And goes on after some were dropped in the middle of it."""
    left, right = sorted_rows(one), sorted_rows(sorted(set(other) - set(one)))
    merge = Merge(run_of(left), run_of(right))
    expected = sorted({*one, *other})
    for number, rows in enumerate(steps):
        moved = merge.step(rows)
        assert moved >= min(rows, moved + merge.rows_left)
        done, *rest = [keys_of(piece.rows) for piece in merge.pieces()]
        assert done == sorted(done)
        assert sorted(done + rest[0] + rest[1]) == expected
        assert not {key[0] for key in done} & {key[0] for key in rest[0] + rest[1]}
        if number == 0:
            kept = [
                np.array(data.draw(st.lists(st.booleans(), min_size=len(piece), max_size=len(piece))), dtype=np.uint8)
                for piece in merge.pieces()
            ]
            expected = sorted(
                key
                for piece, mask in zip(merge.pieces(), kept, strict=True)
                for key, keep in zip(keys_of(piece.rows), mask, strict=True)
                if keep
            )
            merge.keep(kept)
    merge.step(1000)
    run = merge.result()
    assert keys_of(run.piece.rows) == expected
    if expected:
        query = Query.of(rows_of(expected))
        assert len(run.piece.bounds(query).nodes) == query.nodes


@OFTEN
@given(
    st.lists(
        st.tuples(
            st.integers(0, 4),
            st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(0, 5)), min_size=1, max_size=4),
        ),
        min_size=1,
    )
)
def test_what_is_said_of_a_chunk(nodes: list[tuple[int, list[tuple[bool, bool, int]]]]) -> None:
    """Nodes of so many stored holders; of each row whether it is known, refreshed, and how many stored accounts are smaller."""
    least, most = 2, 4
    begins = np.cumsum([0, *(len(rows) for _, rows in nodes)])
    every = [row for _, rows in nodes for row in rows]
    known, refreshed = (np.array([row[at] for row in every], dtype=np.uint8) for at in (0, 1))
    rank, held = np.array([row[2] for row in every], dtype=np.int64), np.array([stored for stored, _ in nodes])
    holders, turning, emit = (
        np.zeros(len(nodes), dtype=np.int64),
        np.zeros(len(nodes), dtype=np.uint8),
        np.zeros(len(every), dtype=np.uint8),
    )
    stored = search_loops.decide(begins, held, rank, known, refreshed, least, most, holders, turning, emit)
    expected: list[bool] = []
    for node, (before, rows) in enumerate(nodes):
        now = before + sum(not row[0] for row in rows)
        assert holders[node] == now
        assert turning[node] == (before < least <= now)
        for at, (is_known, is_refreshed, smaller) in enumerate(rows):
            place = smaller + sum(not row[0] for row in rows[:at])
            expected.append(now >= least and place < most and (not is_known or is_refreshed or bool(turning[node])))
    assert emit.tolist() == expected
    assert stored == sum(before for (before, _), turns in zip(nodes, turning, strict=True) if turns)


def test_a_large_merge_gives_its_sources_back_while_it_goes_on() -> None:
    """Links are not held twice: what is held at any step is at most one sixteenth more than what is stored."""
    count, rng = 400_000, np.random.default_rng(1)
    numbers = np.sort(rng.choice(2**62, 2 * count, replace=False)).astype(np.uint64)
    sources = [empty_rows(count), empty_rows(count)]
    for number, rows in enumerate(sources):
        rows[:] = 0
        rows[:, 0] = numbers[number::2] << np.uint64(2)
    merge = Merge(*(run_of(rows) for rows in sources))
    while merge.rows_left:
        merge.step(20_000)
        assert merge.bytes_held <= 1.16 * merge_bytes(merge) + 3 * (2 << 20)
    assert merge.result().piece.rows[:, 0].tolist() == (numbers << np.uint64(2)).tolist()


def merge_bytes(merge: Merge) -> int:
    return 56 * len(merge)


@pytest.mark.parametrize("budget", [1, 1000])
def test_runs_stay_few_and_whole_while_rows_come_and_go(budget: int) -> None:
    """Kept and dropped rows of all pieces are those of a plain set."""
    runs, rng, expected = SortedRuns(budget), np.random.default_rng(3), set[Key]()
    for turn in range(60):
        keys = {(int(key), 7, int(key) % 3) for key in rng.integers(0, 2**40, 50)} - expected
        runs.insert(sorted_rows(sorted(keys)))
        expected |= keys
        assert len(runs.pieces()) <= 24
        if turn % 7 == 6:
            masks = [(piece.rows[:, 0] % np.uint64(5) != turn % 5).astype(np.uint8) for piece in runs.pieces()]
            runs.keep(masks)
            expected = {key for key in expected if key[0] % 5 != turn % 5}
        assert sorted(key for piece in runs.pieces() for key in keys_of(piece.rows)) == sorted(expected)
