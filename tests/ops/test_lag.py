"""Lag as arithmetic: totals, trend, and when it is caught up."""

import json
import math

from hypothesis import given
from hypothesis import strategies as st

from weaklink.ops.lag import History, PartitionLag, ReaderLag, outlook, to_json

SECOND_US = 1_000_000


def reader(at_seconds: float, records: int, committed: int = 0, name: str = "ingest") -> ReaderLag:
    at_us = int(at_seconds * SECOND_US)
    oldest = at_us - 5 * SECOND_US if records else None
    part = PartitionLag("t", 0, committed, committed + records, records, exact=True, oldest_us=oldest)
    return ReaderLag(name, f"weaklink.{name}", at_us, (part,))


partitions = st.builds(
    PartitionLag,
    topic=st.just("t"),
    partition=st.integers(0, 9),
    committed=st.none() | st.integers(0, 1000),
    end=st.integers(0, 2000),
    records=st.integers(0, 10**12),
    exact=st.booleans(),
    oldest_us=st.none() | st.integers(0, 2**60),
)
samples = st.lists(
    st.builds(
        ReaderLag, st.just("r"), st.just("g"), st.integers(0, 2**60), st.lists(partitions, max_size=3).map(tuple)
    ),
    min_size=1,
    max_size=6,
).map(lambda found: sorted(found, key=lambda one: one.at_us))


@given(samples)
def test_no_input_gives_an_undefined_or_negative_number(found: list[ReaderLag]) -> None:
    """Idle topics, clocks that disagree and groups that never committed included."""
    ahead = outlook(found)
    numbers = [ahead.records_per_second, found[-1].seconds, found[-1].records, ahead.caught_up_seconds or 0]
    assert all(math.isfinite(number) and number >= 0 for number in numbers)
    assert (ahead.caught_up_seconds == 0) == (found[-1].records == 0)
    json.dumps(to_json([(found[-1], ahead)]), allow_nan=False)


def test_seconds_are_the_age_of_the_oldest_record_that_waits_anywhere() -> None:
    """Not the sum, not the mean, and 0 when nothing waits."""
    parts = tuple(
        PartitionLag("t", number, 0, 9, 9, exact=True, oldest_us=oldest) for number, oldest in enumerate((70, 20, None))
    )
    lag = ReaderLag("r", "g", 100 * SECOND_US, tuple(parts))
    assert lag.seconds == (100 * SECOND_US - 20) / 1e6
    assert reader(3, 0).seconds == 0


def test_a_falling_lag_says_when_it_is_caught_up() -> None:
    """1000 fewer in 10 s, 500 left: 5 s more."""
    ahead = outlook([reader(0, 1500, 0), reader(10, 500, 3000)])
    assert (ahead.trend, ahead.records_per_second, ahead.caught_up_seconds) == ("falling", 300, 5)


def test_a_rising_or_steady_lag_is_not_caught_up_at_this_pace() -> None:
    """Rather nothing than a number that means nothing."""
    assert outlook([reader(0, 100), reader(10, 500)]).trend == "rising"
    assert outlook([reader(0, 100), reader(10, 500)]).caught_up_seconds is None
    assert outlook([reader(0, 10_000), reader(10, 10_100)]).trend == "steady"
    assert outlook([reader(0, 10_000), reader(10, 10_100)]).caught_up_seconds is None
    assert outlook([reader(0, 1)]).trend == "steady"


def test_history_keeps_the_window_and_forgets_readers_that_are_gone() -> None:
    """So that a peak of an hour ago does not make today's lag look as if it fell."""
    history = History(window_seconds=10)
    history.add([reader(0, 10_000), reader(0, 5, name="enforce")])
    history.add([reader(9, 100)])
    ((_, ahead),) = history.add([reader(19, 100)])
    assert ahead.trend == "steady"
    ((_, fresh),) = history.add([reader(20, 900, name="enforce")])
    assert fresh.trend == "steady"
