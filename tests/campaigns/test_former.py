"""Nobody is flagged and released in turn, and who comes back on what a campaign held is known."""

from collections.abc import Callable
from itertools import pairwise

import polars as pl
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.campaigns.evaluations import KEYS, Seen, evaluation_of
from tests.campaigns.test_method import NOW_US
from tests.campaigns.test_state import verdict
from tests.campaigns.test_track import PARTIES, engine_of
from tests.campaigns.worlds import DAY_US, World, benign_life, campaign
from weaklink.campaigns.config import CampaignsConfig
from weaklink.campaigns.engine import Engine
from weaklink.campaigns.profiles import US_PER_HOUR
from weaklink.campaigns.track import Tracker
from weaklink.records.identifiers import IdentifierKind as Kind

SURE, GONE = Seen(0, 0.97, disputed=False), Seen(None, 0.05, disputed=False)
WAVERING = KEYS[0][0]


def memberships(is_sure: Callable[[int], bool], hours: int, step_hours: int = 1) -> list[bool]:
    """Whether the first account is a member, evaluation by evaluation, when its own evidence is there or gone as told."""
    tracker, there = Tracker(CampaignsConfig()), []
    for hour in range(0, hours, step_hours):
        seen = [SURE if is_sure(hour) else GONE, *[SURE] * 15, *[GONE] * 8]
        tracker.update(evaluation_of(seen, NOW_US + hour * US_PER_HOUR, newcomers=False))
        there.append(WAVERING in tracker.members["account"])
    return there


def changes(there: list[bool]) -> int:
    return sum(one != other for one, other in pairwise(there))


def test_evidence_that_comes_and_goes_within_a_day_changes_nothing() -> None:
    """In at the first evaluation, and never released."""
    assert changes(memberships(lambda hour: hour % 2 == 0, 24 * 4)) == 0


@pytest.mark.parametrize("period_hours", [30, 100, 400])
def test_an_account_that_wavers_for_months_changes_sides_only_a_few_times(period_hours: int) -> None:
    """Its way back takes twice as long after each release."""
    there = memberships(lambda hour: hour // period_hours % 2 == 0, 24 * 120, step_hours=10)
    assert there[0]
    assert changes(there) <= 2 * 7


@settings(max_examples=5, deadline=None, phases=[Phase.generate])
@given(st.lists(st.integers(1, 300), min_size=20, max_size=20))
def test_no_pattern_of_evidence_makes_an_account_flap(lengths: list[int]) -> None:
    """However long its evidence stays and is gone, releases in 100 days are as few as the doubling allows."""
    ends = [sum(lengths[: i + 1]) for i in range(len(lengths))]
    there = memberships(lambda hour: sum(end <= hour for end in ends) % 2 == 0, 24 * 100, step_hours=20)
    released = sum(before and not after for before, after in pairwise(there))
    assert released <= 7


def test_replayed_and_backdated_events_release_nobody_and_withdraw_nothing() -> None:
    """A member sends its events of the day again, and as if they were old: what was asked for stands, and is not asked for again."""
    world = World(3)
    benign_life(world, 1500)
    campaign(world, "c", 40)
    engine = engine_of(world)
    (update,) = engine.tick(NOW_US, PARTIES)
    members = set(update.members["account"])
    activity = world.activity().filter(pl.col("party") == "lab-a")
    for hour in range(1, 5):
        shift = pl.col("first_seen_us", "last_seen_us") - (0 if hour % 2 else 3 * DAY_US)
        engine.state.fold_activity(activity.with_columns(shift))
        said = [c for u in engine.tick(NOW_US + hour * US_PER_HOUR, PARTIES) for c in u.changes]
        assert not [c for c in said if c["op"] == "WITHDRAW" and c["target_account"]]
    assert members <= set(engine.tracker.members["account"])


def test_an_account_whose_party_vouched_for_it_does_not_come_back_by_wavering_evidence() -> None:
    """Disputed, then confirmed again at once: it stays out for a day."""
    tracker = Tracker(CampaignsConfig())
    rest, new = [SURE] * 15, [GONE] * 8
    disputed = Seen(0, 0.97, disputed=True)
    there = []
    for hour, first in enumerate([SURE, disputed, *[SURE] * 30]):
        tracker.update(evaluation_of([first, *rest, *new], NOW_US + hour * US_PER_HOUR, newcomers=False))
        there.append(WAVERING in tracker.members["account"])
    assert there == [True, *[False] * 25, *[True] * 6]


def test_newcomers_on_what_a_dissolved_campaign_held_join_it_under_its_id() -> None:
    """Idle members' evidence fades and the campaign dissolves; months later accounts on its devices and cards are its members at once."""
    tracker = Tracker(CampaignsConfig())
    tracker.update(evaluation_of([*[SURE] * 16, *[GONE] * 8], NOW_US, newcomers=False))
    (name,) = tracker.campaigns
    last_seen_us = [NOW_US] * 24
    for day in (20, 22):
        at_us = NOW_US + day * DAY_US
        tracker.update(evaluation_of([GONE] * 24, at_us, newcomers=False, last_seen_us=last_seen_us))
    assert tracker.members.is_empty()
    assert tracker.campaigns[name].state == "DISSOLVED"
    assert set(tracker.kept()) == {key for key, _ in KEYS[:16]}
    later_us = NOW_US + 100 * DAY_US
    tracker.update(evaluation_of([GONE] * 24, later_us, newcomers=True, last_seen_us=[NOW_US] * 16 + [later_us] * 8))
    assert set(tracker.members["account"]) == {key for key, _ in KEYS[16:]}
    assert set(tracker.members["campaign_id"]) == {name}
    assert tracker.campaigns[name].state == "OPEN"


def test_members_who_go_on_while_their_evidence_fades_leave_no_tombstones() -> None:
    """What was wrong about them is not held against those who share with them."""
    tracker = Tracker(CampaignsConfig())
    tracker.update(evaluation_of([*[SURE] * 16, *[GONE] * 8], NOW_US, newcomers=False))
    for day in (20, 22):
        tracker.update(evaluation_of([GONE] * 24, NOW_US + day * DAY_US, newcomers=False))
    assert tracker.kept().is_empty()
    tracker.update(evaluation_of([GONE] * 24, NOW_US + 100 * DAY_US, newcomers=True))
    assert tracker.members.is_empty()


def test_an_account_that_comes_to_a_sleeping_campaigns_devices_wakes_it() -> None:
    """A hundred silent days later, with links and profiles expired as they do: the same id, and no other account with it."""
    world = World(4)
    benign_life(world, 1500)
    campaign(world, "c", 40)
    engine = engine_of(world)
    (first,) = engine.tick(NOW_US, PARTIES)
    later_us = NOW_US + 100 * DAY_US
    engine.tick(later_us, PARTIES)
    assert engine.tracker.campaigns[first.campaign.campaign_id].state == "DORMANT"
    links = pl.concat(world.links).filter(pl.col("account_name").str.starts_with("c-") & (pl.col("party") == "lab-a"))
    back = World(5)
    new = back.add("back", "lab-a", 2, age_days=(0, 0), windows=(2, 2), day=102)
    for kind in (Kind.DEVICE, Kind.CARD):
        values = links.filter(pl.col("kind") == int(kind))["value"].value_counts().sort("count", "value")["value"]
        back.link(new, kind, values.tail(1).to_numpy().repeat(2), day=102)
    _fold_more(engine, world, back)
    (update,) = engine.tick(later_us + 3 * DAY_US, PARTIES)
    assert update.campaign.campaign_id == first.campaign.campaign_id
    assert update.campaign.state == "OPEN"
    assert {"back-0", "back-1"} <= set(update.members["account_name"])


def _fold_more(engine: Engine, world: World, more: World) -> None:
    """Another world's accounts, with holders counted over both."""
    world.accounts, world.links = [*world.accounts, *more.accounts], [*world.links, *more.links]
    names = more.accounts[0]["account_name"].to_list()
    engine.state.fold_activity(more.activity())
    keys = more.activity().filter(pl.col("account_name").is_in(names))["account"].unique()
    engine.state.fold_shared(world.shared().filter(pl.col("account").is_in(keys.implode())))


def test_a_dispute_withdrawn_by_the_partys_own_closure_counts_no_more() -> None:
    """The party vouched for an account, and then closed it as DISTILLATION itself: the closure is its last word."""
    world = World(6)
    benign_life(world, 600)
    campaign(world, "c", 40)
    engine = engine_of(world)
    name = engine.state.evaluate(NOW_US).accounts.filter(pl.col("flagged") & (pl.col("party") == "lab-a"))[0]
    account = name["account_name"].item()
    engine.state.fold_feedback([verdict("lab-a", account, "DISPUTED")])
    row = pl.col("account_name") == account
    assert engine.state.evaluate(NOW_US).accounts.filter(row)["disputed"].item()
    closed = world.activity().filter(row).head(1)
    late = pl.lit(NOW_US + 1, pl.Int64)
    closed = closed.with_columns(
        pl.lit("AccountClosed").cast(closed.schema["record"]).alias("record"),
        pl.lit("DISTILLATION").cast(closed.schema["reason"]).alias("reason"),
        late.alias("first_seen_us"),
        late.alias("last_seen_us"),
    )
    engine.state.fold_activity(closed)
    assert not engine.state.evaluate(NOW_US + 2).accounts.filter(row)["disputed"].item()
