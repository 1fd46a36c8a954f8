"""Newcomers on known infrastructure, and what a campaign's message tells of it."""

from dataclasses import replace

import numpy as np
import polars as pl
from polars.testing import assert_frame_equal

from tests.campaigns.test_method import NOW_US, state_of
from tests.campaigns.worlds import START_US, World, benign_life, campaign, conform
from weaklink import frames
from weaklink.campaigns.config import CampaignsConfig
from weaklink.campaigns.folding import FoldedTable
from weaklink.campaigns.outcome import Evaluation
from weaklink.campaigns.profiles import US_PER_HOUR, Profiles
from weaklink.campaigns.track import Tracker
from weaklink.campaigns.traits import traits
from weaklink.records.identifiers import IdentifierKind as Kind


def with_newcomer(kinds: list[Kind], *, age_days: float = 0.0) -> tuple[World, str]:
    """A campaign, and one account of blameless conduct that shares these kinds with it."""
    world = World(11)
    benign_life(world, 1500)
    campaign(world, "c", 40)
    new = world.add(
        "new",
        "lab-a",
        1,
        age_days=(age_days, age_days),
        windows=(8, 8),
        tasks=(1, 0, 0, 0, 0, 0, 0),
        plan="ENTERPRISE",
        verified="ORGANISATION",
    )
    links = pl.concat(world.links).filter(pl.col("account_name").str.starts_with("c-") & (pl.col("party") == "lab-a"))
    for kind in kinds:
        value = links.filter(pl.col("kind") == int(kind))["value"].value_counts().sort("count", "value")["value"][-1]
        world.link(new, kind, np.array([value]))
    return world, "new-0"


def unconfirmed(world: World, name: str) -> Evaluation:
    """The evaluation, but for this account: as if the tests of clusters could not see it yet."""
    evaluation = state_of(world).evaluate(NOW_US)
    other = pl.col("account_name") != name
    accounts = evaluation.accounts.with_columns(pl.col("flagged") & other, pl.when(other).then("community"))
    return replace(evaluation, accounts=accounts)


def joined(world: World, name: str) -> bool:
    tracker = Tracker(CampaignsConfig())
    tracker.update(unconfirmed(world, name))
    assert tracker.members.height >= 50
    return name in tracker.members.filter("fast")["account_name"].to_list()


def test_a_new_account_on_a_campaigns_device_and_card_joins_at_once() -> None:
    """Two hard kinds, most of whose holders are flagged, give it away before its conduct does."""
    world, name = with_newcomer([Kind.DEVICE, Kind.CARD])
    assert joined(world, name)


def test_an_address_alone_takes_nobody_in() -> None:
    """One soft kind is not enough."""
    world, name = with_newcomer([Kind.IP])
    assert not joined(world, name)


def test_an_old_account_is_left_to_the_full_evaluation() -> None:
    """The fast path is for new accounts only."""
    world, name = with_newcomer([Kind.DEVICE, Kind.CARD], age_days=40)
    assert not joined(world, name)


def test_a_newcomer_that_no_evaluation_confirms_leaves_and_does_not_come_back() -> None:
    """Dropped after an hour of evaluations, and not taken in again by the same path: no flapping."""
    world, name = with_newcomer([Kind.DEVICE, Kind.CARD])
    tracker, evaluation = Tracker(CampaignsConfig()), unconfirmed(world, name)
    there = []
    for hours in range(6):
        tracker.update(replace(evaluation, now_us=evaluation.now_us + hours * US_PER_HOUR))
        there.append(name in tracker.members["account_name"].to_list())
    assert there == [True, True, False, False, False, False]


def usage(account: int, model: str, at_us: int, requests: int) -> dict[str, object]:
    return {
        "account": account,
        "party": "lab-a",
        "account_name": str(account),
        "record": "ApiUsage",
        "model": model,
        "task": "RUBRIC_GRADING",
        "first_seen_us": at_us,
        "last_seen_us": at_us,
        "appended_at_us": at_us,
        "hour": at_us // 3_600_000_000,
        "events": 1,
        "windows": 1,
        "requests": requests,
    }


def test_traits_name_the_pipeline_stage_the_models_and_the_move_to_a_release() -> None:
    """Ten accounts grade on model-1 and move to model-2 within a day of its release."""
    hour = 3_600_000_000
    rows: list[dict[str, object]] = []
    for account in range(1, 11):
        rows.append(usage(account, "model-1", START_US, 100))
        rows.append(usage(account, "model-2", START_US + 30 * hour, 300))
    release = usage(0, "model-2", START_US, 0) | {"record": "ModelReleased", "released_at_us": START_US + 20 * hour}
    rows.append(release)
    profiles = Profiles()
    profiles.fold(conform(pl.DataFrame(rows, infer_schema_length=None), frames.ACTIVITY))
    members = pl.DataFrame({"account": list(range(1, 11))}, schema={"account": pl.UInt64})
    found = traits(members, profiles, START_US + 31 * hour)
    assert found.models == ["model-2", "model-1"]
    assert "reward-grading" in found.traits
    assert "pivot:model-2" in found.traits
    assert "cross-party" not in found.traits


def test_a_campaigns_record_has_room_for_its_pivots() -> None:
    """A lab names as many releases as it likes: those stand to which most accounts moved."""
    hour = 3_600_000_000
    rows: list[dict[str, object]] = []
    for account in range(1, 11):
        rows.append(usage(account, "old", START_US, 100))
        rows += [usage(account, f"new-{n:02}", START_US + 30 * hour, 1) for n in range(30 if account < 9 else 31)]
        rows += [usage(account, "most", START_US + 30 * hour, 1)]
    rows += [
        usage(0, name, START_US, 0) | {"record": "ModelReleased", "released_at_us": START_US + 20 * hour}
        for name in ("most", *(f"new-{n:02}" for n in range(30)))
    ]
    profiles = Profiles()
    profiles.fold(conform(pl.DataFrame(rows, infer_schema_length=None), frames.ACTIVITY))
    members = pl.DataFrame({"account": list(range(1, 11))}, schema={"account": pl.UInt64})
    found = [one.model for one in traits(members, profiles, START_US + 31 * hour).pivots]
    assert found == ["most", *(f"new-{n:02}" for n in range(19))]


def test_a_folded_table_gives_the_same_rows_however_often_it_is_looked_at() -> None:
    """Looking folds what is pending; that changes nothing."""
    rows = pl.DataFrame({"key": [2, 1, 2, 3], "n": [1, 2, 3, 4], "at": [9, 8, 7, 6]})
    often, once = (FoldedTable(rows.schema, ["key"], {"n": "sum", "at": "min"}) for _ in range(2))
    for row in rows.iter_slices(1):
        often.add(row)
        often.rows()
    once.add(rows)
    assert_frame_equal(often.rows(), once.rows())
    assert once.rows().rows() == [(1, 2, 8), (2, 4, 7), (3, 4, 6)]
