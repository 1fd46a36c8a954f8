"""The estimate of what was taken, and the traits that rest on time: moves, losses and replacements, stages."""

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.campaigns.test_fast_and_traits import usage
from tests.campaigns.worlds import DAY_US, START_US, conform
from weaklink import frames
from weaklink.campaigns.profiles import US_PER_HOUR, Profiles
from weaklink.campaigns.taken import NOTHING_TAKEN, taken
from weaklink.campaigns.traits import Traits, traits

MEMBERS = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 10**9), st.integers(0, 10**12)), max_size=30)


def members_of(rows: list[Any]) -> pl.DataFrame:
    schema = {"score": pl.Float64, "requests": pl.Int64, "output_tokens": pl.Int64}
    return pl.DataFrame(rows, schema=schema, orient="row")


@given(MEMBERS)
def test_bounds_hold_the_estimate_and_never_exceed_what_was_made(rows: list[Any]) -> None:
    """0 <= low <= expected <= high <= everything, for requests and for tokens."""
    found = taken(members_of(rows))
    total = [sum(row[i] for row in rows) for i in (1, 2)]
    assert 0 <= found.requests_low <= found.requests <= found.requests_high <= total[0]
    assert 0 <= found.output_tokens_low <= found.output_tokens <= found.output_tokens_high <= total[1]


def test_certain_members_leave_no_interval_and_no_members_took_nothing() -> None:
    """p = 1: the sum, exactly."""
    found = taken(members_of([(1.0, 10, 100), (1.0, 20, 300)]))
    assert (found.requests_low, found.requests, found.requests_high) == (30, 30, 30)
    assert (found.output_tokens_low, found.output_tokens_high) == (400, 400)
    assert taken(members_of([])) == NOTHING_TAKEN


def test_the_interval_covers_what_independent_members_really_took() -> None:
    """Members that are the operator's with just their probability: at least 95 of 100 draws fall within."""
    rng = np.random.default_rng(7)
    p, volume = rng.uniform(0.5, 0.99, 200), rng.integers(1, 1000, 200)
    found = taken(members_of([(float(a), int(b), 0) for a, b in zip(p, volume, strict=True)]))
    draws = (rng.uniform(size=(400, 200)) < p) @ volume
    assert ((draws >= found.requests_low) & (draws <= found.requests_high)).mean() >= 0.95


def story(rows: list[dict[str, Any]], now_us: int, accounts: int) -> Traits:
    profiles = Profiles()
    profiles.fold(conform(pl.DataFrame(rows, infer_schema_length=None), frames.ACTIVITY))
    who = pl.DataFrame({"account": list(range(1, accounts + 1))}, schema={"account": pl.UInt64})
    return traits(who.with_columns(pl.lit(100.0).alias("requests_per_day")), profiles, now_us)


def test_a_move_tells_its_release_its_share_and_how_soon() -> None:
    """Eight accounts; six use the new model ten hours after its release, two three days later."""
    released_us = START_US + 20 * US_PER_HOUR
    rows = [usage(account, "model-1", START_US, 100) for account in range(1, 9)]
    for account in range(1, 9):
        late = 10 if account <= 6 else 72
        rows.append(usage(account, "model-2", released_us + late * US_PER_HOUR, 100))
    rows.append(usage(0, "model-2", START_US, 0) | {"record": "ModelReleased", "released_at_us": released_us})
    found = story(rows, released_us + 80 * US_PER_HOUR, 8)
    (pivot,) = found.pivots
    assert (pivot.model, pivot.released_at_us, pivot.share, pivot.hours_median) == ("model-2", released_us, 0.75, 10.0)
    assert "pivot:model-2" in found.traits


def test_accounts_that_cannot_have_the_new_model_do_not_hide_a_move() -> None:
    """Twenty-two of thirty accounts are at a lab that never serves it; and whoever asks every other day is seen to move the day after."""
    released_us = START_US + 30 * US_PER_HOUR
    rows = []
    for account in range(1, 31):
        at_home = account <= 8
        for window in range(4):
            at_us = START_US + (20 + 48 * window) * US_PER_HOUR
            model = "model-2" if at_home and at_us > released_us else "model-1"
            rows.append(usage(account, model, at_us, 100) | {"party": "lab-a" if at_home else "lab-b"})
    rows.append(usage(0, "model-2", START_US, 0) | {"record": "ModelReleased", "released_at_us": released_us})
    (pivot,) = story(rows, START_US + 200 * US_PER_HOUR, 30).pivots
    assert (pivot.model, pivot.share, pivot.hours_median) == ("model-2", 1.0, 38.0)


def test_losses_that_are_replaced_are_told_and_none_lost_is_not_none_replaced() -> None:
    """Four closed on day 5; six opened within three days after; one opened later does not count."""
    rows = [usage(account, "m", START_US, 10) for account in range(1, 11)]
    assert story(rows, START_US + DAY_US, 10).replaced_share is None
    for account in range(1, 5):
        rows.append(usage(account, "m", START_US + 5 * DAY_US, 0) | {"record": "AccountClosed", "reason": "FRAUD"})
    assert story(rows, START_US + 9 * DAY_US, 10).replaced_share == 0
    for account in range(11, 17):
        rows.append(usage(account, "m", START_US + 6 * DAY_US, 10))
    rows.append(usage(17, "m", START_US + 17 * DAY_US // 2, 10))
    found = story(rows, START_US + 9 * DAY_US, 17)
    assert found.replaced_share == pytest.approx(1.5)
    assert "replaces-losses" in found.traits


def test_a_pipeline_that_moves_on_is_told_by_its_later_accounts() -> None:
    """The first twelve synthesise data, the next twelve grade."""
    rows = [usage(account, "m", START_US + account, 10) | {"task": "SYNTHETIC_DATA"} for account in range(1, 13)]
    rows += [usage(account, "m", START_US + DAY_US + account, 10) for account in range(13, 25)]
    assert "stage-shift:data-synthesis>reward-grading" in story(rows, START_US + 2 * DAY_US, 24).traits
    assert not [t for t in story(rows[:12], START_US + 2 * DAY_US, 12).traits if t.startswith("stage-shift")]


def test_severity_grows_with_volume_parties_moves_and_growth_and_stays_within_ten() -> None:
    """Ten accounts of one party at 100 requests a day each, against nothing."""
    rows = [usage(account, "m", START_US, 10) for account in range(1, 11)]
    quiet = story(rows, START_US + 2 * DAY_US, 10).severity
    growing = story(rows, START_US + US_PER_HOUR // 2, 10).severity
    assert 0 < quiet < growing <= 10
