"""Verdicts on a partition's reader: what must hold for every window, and the cases that an operator knows."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from weaklink.ops.verdict import Standing, Verdict, judge, worst

SECOND_US = 1_000_000


def window(*points: tuple[float, int | None, int]) -> list[Standing]:
    return [Standing(int(at * SECOND_US), committed, records) for at, committed, records in points]


@st.composite
def windows(draw: st.DrawFn) -> list[Standing]:
    """Any reader over any time: offsets may be set back, and lag may be anything."""
    times = sorted(draw(st.sets(st.integers(0, 120), min_size=1, max_size=20)))
    committed = st.none() | st.integers(0, 1000)
    return [Standing(at * SECOND_US, draw(committed), draw(st.integers(0, 10_000))) for at in times]


@given(windows(), st.data())
def test_whoever_caught_up_within_the_window_is_ok(found: list[Standing], data: st.DataObject) -> None:
    """Whatever comes before and after, as long as its offsets were not set back since."""
    kept = sorted(found, key=lambda one: one.committed or 0)
    steady = [replace(one, at_us=at.at_us) for one, at in zip(kept, found, strict=True)]
    number = data.draw(st.integers(0, len(steady) - 1))
    steady[number] = replace(steady[number], records=0)
    assert judge(steady) is Verdict.OK


@given(windows(), st.integers(0, 10**9), st.integers(0, 10**15))
def test_only_differences_of_offsets_and_times_count(found: list[Standing], offset: int, at_us: int) -> None:
    """A topic that is old, and a clock that is elsewhere, change nothing; nor does a first commit at offset 0."""
    known = [replace(one, committed=one.committed or 0) for one in found]
    moved = [replace(one, at_us=one.at_us + at_us, committed=(one.committed or 0) + offset) for one in known]
    assert judge(moved) is judge(known)


@given(windows(), st.integers(1, 10_000), st.none() | st.integers(0, 1000))
def test_whoever_commits_nothing_while_something_waits_is_stopped(
    found: list[Standing], more: int, committed: int | None
) -> None:
    """Whether the lag grows, stays or shrinks (retention): once it was watched for ten seconds, and not before."""
    stuck = [replace(one, committed=committed, records=one.records + more) for one in found]
    watched = stuck[-1].at_us - stuck[0].at_us >= 10 * SECOND_US
    assert judge(stuck) is (Verdict.STOPPED if watched else Verdict.UNKNOWN)


@given(st.integers(1, 1000), st.integers(2, 500), st.integers(12, 60))
def test_whoever_commits_less_than_comes_in_is_slow(pace: int, excess: int, seconds: int) -> None:
    """Though its commits come in steps, so that the lag falls at each of them."""
    points = []
    for at in range(seconds + 1):
        processed = pace * (at - at % 3)  # commits every third second
        points.append((at, processed, 1000 + (pace + excess) * at - processed))
    # Steps hide an excess that is smaller than they are.
    if excess * (seconds // 2 - 3) > 0.02 * (1000 + 3 * (pace + excess)) + 3 * pace:
        assert judge(window(*points)) is Verdict.SLOW


@given(st.integers(1, 1000), st.integers(12, 60))
def test_whoever_catches_up_is_ok(pace: int, seconds: int) -> None:
    """However far behind it still is."""
    assert judge(window(*((at, at * pace, 10**6 - at * pace) for at in range(seconds)))) is Verdict.OK


def test_a_reader_whose_offsets_were_set_back_begins_anew() -> None:
    """Reading all again is no fault: nothing from before the reset counts."""
    points = window((0, 900, 100), (20, 1000, 5), (40, 0, 1005), (45, 0, 1005))
    assert judge(points) is Verdict.UNKNOWN
    assert judge([*points, *window((55, 0, 1005))]) is Verdict.STOPPED
    assert judge([*points, *window((55, 500, 505))]) is Verdict.OK


def test_a_lag_that_neither_grows_nor_shrinks_is_ok_while_it_commits() -> None:
    """Every record is processed, always a little late."""
    assert judge(window(*((at, at * 100, 300) for at in range(30)))) is Verdict.OK


def test_the_worst_of_several_partitions_counts() -> None:
    """And nothing to read is ok."""
    assert worst([Verdict.OK, Verdict.STOPPED, Verdict.SLOW]) is Verdict.STOPPED
    assert worst([Verdict.OK, Verdict.UNKNOWN]) is Verdict.UNKNOWN
    assert worst([]) is Verdict.OK
