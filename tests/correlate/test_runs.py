"""Sorted runs of links do what plain dicts would, whatever the order of rows and wherever chunks are cut."""

from collections import Counter
from itertools import pairwise
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from tests.correlate import naive
from weaklink.correlate.config import CorrelateConfig
from weaklink.correlate.runs import LinkRuns
from weaklink.errors import CheckpointError
from weaklink.frames import LINKS, SHARED
from weaklink.records.identifiers import IdentifierKind

HOUR_US = 3600 * 1_000_000
# Small lifetimes and budgets, so that gaps, expiry and merges under way all happen within a few rows.
CONFIG = CorrelateConfig(
    lifetime_seconds={IdentifierKind.IP: 4 * 3600, IdentifierKind.PROMPT: 3 * 3600},
    lifetime_seconds_default=6 * 3600,
    refresh_seconds=2 * 3600,
    merge_rows_per_add=2,
)
KEY = ["identifier", "slot", "kind", "epoch", "account", "first_seen_us"]


@st.composite
def uses(draw: st.DrawFn) -> naive.Use:
    kind = draw(st.sampled_from([IdentifierKind.IP, IdentifierKind.CARD, IdentifierKind.PROMPT]))
    first = draw(st.integers(0, 30 * HOUR_US))
    identifier = draw(st.sampled_from([0, 1, 2, 2**63, 2**64 - 1]))
    return {
        "identifier": identifier,
        "tail": naive.tail_of(identifier, draw(st.integers(0, 2))),
        "kind": int(kind),
        "epoch": draw(st.sampled_from([1, 255])),
        "slot": draw(st.sampled_from([1, 65535])) if kind is IdentifierKind.IP else 0,
        "account": draw(st.sampled_from([0, 1, 2, 3, 2**64 - 1])),
        "first_seen_us": first,
        "last_seen_us": first + draw(st.one_of(st.just(0), st.integers(0, 8 * HOUR_US))),
        "appended_at_us": draw(st.integers(0, 100)),
        "mentions": draw(st.sampled_from([1, 2, 2**32 - 2])),
        "requests": draw(st.sampled_from([0, 5, 2**31, 2**32, 2**62])),
    }


def streams(max_size: int = 40) -> st.SearchStrategy[list[naive.Use]]:
    return st.lists(uses(), min_size=1, max_size=max_size)


def cut(stream: list[naive.Use], at: list[int]) -> list[list[naive.Use]]:
    bounds = sorted({0, len(stream), *(one % (len(stream) + 1) for one in at)})
    return [stream[begin:end] for begin, end in pairwise(bounds)]


def links_of(state: LinkRuns) -> pl.DataFrame:
    return state.links().sort(KEY)


def member(row: dict[str, Any]) -> naive.Member:
    return naive.node_of(row), row["account"]


def fold(chunks: list[list[naive.Use]], config: CorrelateConfig = CONFIG) -> tuple[LinkRuns, list[pl.DataFrame]]:
    state = LinkRuns(config)
    return state, [state.add(naive.frame(chunk)) for chunk in chunks]


@settings(max_examples=150, deadline=None)
@given(streams(), st.lists(st.integers(0, 100), max_size=12))
def test_state_and_members_are_those_of_plain_dicts(stream: list[naive.Use], at: list[int]) -> None:
    state, emitted = fold(cut(stream, at))
    expected = [link for one in naive.episodes(stream, CONFIG) for link in one.links.values()]
    assert_frame_equal(links_of(state), naive.frame(expected).sort(KEY))
    assert len(state) == len(expected)
    members = {member(row) for frame in emitted for row in frame.iter_rows(named=True)}
    assert members == naive.shared_members(stream, CONFIG)


@settings(max_examples=60, deadline=None)
@given(streams(), st.lists(st.integers(0, 100), max_size=6), st.lists(st.integers(0, 100), max_size=6), st.randoms())
def test_order_and_cuts_do_not_matter(stream: list[naive.Use], at: list[int], other: list[int], random: Any) -> None:
    shuffled = list(stream)
    random.shuffle(shuffled)
    one, emitted_one = fold(cut(stream, at))
    two, emitted_two = fold(cut(shuffled, other))
    assert_frame_equal(links_of(one), links_of(two))
    first, second = (
        {member(row) for frame in emitted for row in frame.iter_rows(named=True)}
        for emitted in (emitted_one, emitted_two)
    )
    assert first == second


@settings(max_examples=60, deadline=None)
@given(streams(), st.lists(st.integers(0, 100), max_size=12))
def test_each_emission_is_the_episode_as_it_stood(stream: list[naive.Use], at: list[int]) -> None:
    state, seen = LinkRuns(CONFIG), list[naive.Use]()
    for chunk in cut(stream, at):
        before = naive.shared_members(seen, CONFIG)
        seen += chunk
        emitted = state.add(naive.frame(chunk))
        assert emitted.schema == SHARED
        now = [one for one in naive.episodes(seen, CONFIG) if len(one.links) >= 2]
        truth = [link | {"holders": len(one.links)} for one in now for link in one.links.values()]
        rows = emitted.to_dicts()
        assert all(row in truth for row in rows)
        assert max(Counter(map(str, rows)).values(), default=1) == 1
        assert {member(row) for row in rows} >= naive.shared_members(seen, CONFIG) - before


@settings(max_examples=60, deadline=None)
@given(streams(), st.lists(st.integers(0, 100), max_size=6), st.integers(0, 40))
def test_snapshot_then_restore_is_the_identity(stream: list[naive.Use], at: list[int], hour: int) -> None:
    chunks = cut(stream, at)
    half = len(chunks) // 2
    state, _ = fold(chunks[:half])
    state.expire(hour * HOUR_US)
    restored = LinkRuns.from_frames(CONFIG, state.to_frames())
    for name, frame in state.to_frames().items():
        assert_frame_equal(restored.to_frames()[name], frame)
    for chunk in chunks[half:]:
        assert_frame_equal(
            restored.add(naive.frame(chunk)).sort(KEY), state.add(naive.frame(chunk)).sort(KEY), check_row_order=True
        )
    assert_frame_equal(links_of(restored), links_of(state))


@settings(max_examples=60, deadline=None)
@given(streams(), st.lists(st.integers(0, 100), max_size=6), st.integers(0, 40))
def test_expiry_drops_exactly_what_is_outlived_and_late_uses_of_it_are_ignored(
    stream: list[naive.Use], at: list[int], hour: int
) -> None:
    def alive(link: naive.Use) -> bool:
        return naive.end_cell(link, CONFIG) >= hour - naive.lifetime_cells(link["kind"], CONFIG)

    state, _ = fold(cut(stream, at))
    before = links_of(state)
    dropped = state.expire(hour * HOUR_US)
    kept = naive.frame([row for row in before.iter_rows(named=True) if alive(row)])
    assert_frame_equal(links_of(state), kept)
    assert dropped == before.height - kept.height
    assert state.expire(hour * HOUR_US - 1) == 0
    dead = [use for use in stream if not alive(use)]
    assert state.add(naive.frame(dead)).is_empty()
    assert_frame_equal(links_of(state), kept)


def use(account: int, hour: float, **other: Any) -> naive.Use:
    time_us = int(hour * HOUR_US)
    return {
        "identifier": 7,
        "tail": 7 << 8,
        "kind": int(IdentifierKind.CARD),
        "epoch": 1,
        "slot": 0,
        "account": account,
        "first_seen_us": time_us,
        "last_seen_us": time_us,
        "appended_at_us": time_us,
        "mentions": 1,
        "requests": 1,
    } | other


def accounts(emitted: pl.DataFrame) -> list[int]:
    return sorted(emitted["account"].to_list())


def test_all_members_come_when_a_node_is_first_shared_then_each_new_one() -> None:
    """The delta protocol of `weaklink.shared`."""
    state = LinkRuns(CONFIG)
    assert accounts(state.add(naive.frame([use(1, 0)]))) == []
    assert accounts(state.add(naive.frame([use(2, 0)]))) == [1, 2]
    assert accounts(state.add(naive.frame([use(3, 0), use(1, 0)]))) == [3]
    assert accounts(state.add(naive.frame([use(2, 1.9)]))) == []
    assert accounts(state.add(naive.frame([use(2, 2.0)]))) == [2]


def test_an_owner_who_comes_back_after_the_gap_does_not_tie_old_and_new_holders() -> None:
    """1 used the card, 2 had it long after, then 1 again long after that: three episodes, nobody shares."""
    for order in ([0, 20, 40], [40, 20, 0], [20, 40, 0]):
        state = LinkRuns(CONFIG)
        for hour in order:
            assert state.add(naive.frame([use(2 if hour == 20 else 1, hour)])).is_empty()
        assert len(state) == 3


def test_a_late_use_that_bridges_two_episodes_joins_them() -> None:
    """The members that thereby become shared are emitted, and the account with two links has one."""
    state = LinkRuns(CONFIG)
    state.add(naive.frame([use(1, 0), use(1, 14, requests=5)]))
    assert len(state) == 2
    emitted = state.add(naive.frame([use(2, 7)]))
    assert accounts(emitted) == [1, 2]
    assert emitted.filter(pl.col("account") == 1)["requests"].to_list() == [6]
    assert len(state) == 2


def test_a_hub_emits_a_sample_and_counts_everyone() -> None:
    """However the accounts come, the smallest keys are in what was emitted."""
    config = CorrelateConfig(hub_accounts_max=10, merge_rows_per_add=3)
    for step in (1, 7, 50):
        order = [account * 37 % 101 for account in range(101)]
        state, emitted = fold([[use(one, 0) for one in order[at : at + step]] for at in range(0, 101, step)], config)
        together = pl.concat(emitted)
        assert set(range(10)) <= set(together["account"].to_list())
        assert together.height < 60
        assert state.add(naive.frame([use(5, 12)]))["holders"].to_list() == [101]
        assert state.add(naive.frame([use(50, 12)])).is_empty()


def test_frames_of_something_else_are_refused() -> None:
    """A snapshot that is damaged must not become a state."""
    state = LinkRuns(CONFIG)
    state.add(naive.frame([use(1, 0), use(2, 0)]))
    frames = state.to_frames()
    words = frames["links"]["words"]
    with pytest.raises(CheckpointError, match="no sound runs, clock, reach"):
        LinkRuns.from_frames(CONFIG, {"links": frames["links"]})
    with pytest.raises(CheckpointError, match="no sound links"):
        LinkRuns.from_frames(CONFIG, frames | {"links": pl.DataFrame(schema=LINKS)})
    with pytest.raises(CheckpointError, match="13 words"):
        LinkRuns.from_frames(CONFIG, frames | {"links": pl.DataFrame({"words": words[:13]})})
    with pytest.raises(CheckpointError, match="has 7 words, not 7 for each of 2"):
        LinkRuns.from_frames(CONFIG, frames | {"links": pl.DataFrame({"words": words[:7]})})
    unordered = pl.concat([words[7:], words[:7]])
    with pytest.raises(CheckpointError, match="order"):
        LinkRuns.from_frames(CONFIG, frames | {"links": pl.DataFrame({"words": unordered})})


def test_many_links_merge_into_few_runs_that_keep_them_all() -> None:
    """Merges that are spread over many additions lose and double nothing."""
    config = CorrelateConfig(merge_rows_per_add=500)
    state = LinkRuns(config)
    for chunk in range(120):
        rows = [use(row % 7, 0, identifier=(chunk * 311 + row * 7919) % 20_011) for row in range(100)]
        state.add(naive.frame(rows))
    links = state.links()
    assert links.select(KEY).is_duplicated().sum() == 0
    assert links["mentions"].sum() == 12_000
    assert state.to_frames()["runs"].height <= 24


@settings(max_examples=60, deadline=None)
@given(streams(), streams(), st.lists(st.integers(0, 100), max_size=4), st.sampled_from([1, 2, 255]))
def test_an_epoch_that_is_over_leaves_the_others_as_if_it_had_never_been(
    before: list[naive.Use], after: list[naive.Use], at: list[int], oldest: int
) -> None:
    """State and later members are those of the uses of other epochs alone."""

    def of_others(some: list[naive.Use]) -> list[naive.Use]:
        return [one for one in some if one["epoch"] >= oldest]

    state, _ = fold(cut(before, at))
    alone, _ = fold([of_others(chunk) for chunk in cut(before, at)])
    stored = len(state)
    assert state.forget_epochs_before(oldest) == stored - len(alone)
    assert_frame_equal(links_of(state), links_of(alone))
    later = naive.frame(of_others(after))
    assert_frame_equal(state.add(later).sort(KEY), alone.add(later).sort(KEY))
    assert_frame_equal(links_of(state), links_of(alone))
