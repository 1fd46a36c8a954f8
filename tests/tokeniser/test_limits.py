"""Limits of the tokeniser: nobody gets more than the rate, the burst and the day allow, whatever the pattern of asking."""

from hypothesis import given
from hypothesis import strategies as st

from weaklink.tokeniser.config import TokeniserConfig
from weaklink.tokeniser.limits import Limits

CONFIG = TokeniserConfig(values_per_second_max=10, values_burst_max=50, values_per_day_max=2_000)
CALLS = st.lists(st.tuples(st.sampled_from([0.0, 0.0, 0.5]) | st.floats(0, 400), st.integers(1, 50)), max_size=120)


@given(CALLS)
def test_what_is_given_stays_within_burst_rate_and_day(calls: list[tuple[float, int]]) -> None:
    """From the first call on: burst plus rate times time; and no UTC day gives more than its count."""
    limits, now, given_since, by_day = Limits(CONFIG), 1_000_000.0, 0, {}  # type: ignore[var-annotated]
    start = now
    for pause, values in calls:
        now += pause
        if limits.take("lab", values, now) == 0:
            given_since += values
            by_day[int(now // 86_400)] = by_day.get(int(now // 86_400), 0) + values
        assert given_since <= 50 + 10 * (now - start) + 1e-6
    assert all(count <= 2_000 for count in by_day.values())


@given(CALLS)
def test_after_the_wait_that_it_names_the_same_call_is_served(calls: list[tuple[float, int]]) -> None:
    """A refusal takes nothing, and its wait is enough."""
    limits, now = Limits(CONFIG), 1_000_000.0
    for pause, values in calls:
        now += pause
        if wait := limits.take("lab", values, now):
            now += wait + 0.001
            assert limits.take("lab", values, now) == 0


def test_one_partys_budget_is_not_anothers() -> None:
    limits = Limits(CONFIG)
    assert limits.take("lab", 50, 0.0) == 0
    assert limits.take("lab", 1, 0.0) > 0
    assert limits.take("cloud", 50, 0.0) == 0


def test_a_clock_that_goes_back_gives_nothing() -> None:
    limits = Limits(CONFIG)
    assert limits.take("lab", 50, 1_000.0) == 0
    assert limits.take("lab", 1, 500.0) > 0
    assert limits.take("lab", 1, 1_000.0) > 0


def test_at_the_default_pace_all_of_ipv4_takes_years() -> None:
    """What the setting's docstring says."""
    assert 2**32 / TokeniserConfig().values_per_day_max > 2 * 365
