"""State is a function of what was folded, not of its order; and a dispute takes back what rested on it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from tests.campaigns.test_method import NOW_US, state_of
from tests.campaigns.worlds import DAY_US, START_US, World, benign_life, campaign, conform
from weaklink import frames
from weaklink.benign import ADD, REMOVE, BenignRecord, account_entry, record, token_entry
from weaklink.campaigns.config import CampaignsConfig
from weaklink.campaigns.state import CampaignsState
from weaklink.errors import CheckpointError, WeaklinkError


def world_of(seed: int) -> World:
    world = World(seed)
    benign_life(world, 600)
    campaign(world, "c", 40)
    return world


def verdict(party: str, account: str, said: str, measure: str = "SUSPEND", at_us: int = NOW_US) -> dict[str, Any]:
    return {
        "action_id": "0" * 32,
        "campaign_id": "c-1",
        "party": party,
        "measure": measure,
        "target_account": account,
        "target_token": None,
        "slice_model": None,
        "slice_end_user": None,
        "verdict": said,
        "recorded_at": at_us,
        "note": None,
    }


@pytest.mark.parametrize("hour", [0.1, 12, 23.9])
def test_the_pace_of_an_account_does_not_hang_on_the_time_of_day(hour: float) -> None:
    """A hundred requests an hour, for ten days: days that are not over are no whole days."""
    now_us = (START_US // DAY_US + 12) * DAY_US + int(hour * 3_600_000_000)
    hours = pl.DataFrame({"at": np.arange(now_us - 10 * DAY_US, now_us, 3_600_000_000)})
    activity = conform(
        hours.select(
            pl.lit(1, pl.UInt64).alias("account"), pl.lit("lab-a").alias("party"), pl.lit("a").alias("account_name"),
            pl.lit("ApiUsage").alias("record"), pl.lit(1).alias("windows"), pl.lit(1).alias("events"),
            (pl.col("at") // 3_600_000_000).alias("hour"), pl.lit(100).alias("requests"),
            *(pl.col("at").alias(name) for name in ("first_seen_us", "last_seen_us", "appended_at_us")),
        ),
        frames.ACTIVITY,
    )  # fmt: skip
    state = CampaignsState(CampaignsConfig())
    state.fold_activity(activity)
    assert state.accounts(now_us)["requests_per_day"].item() == pytest.approx(2400, rel=0.05)


@settings(max_examples=12, deadline=None)
@given(cuts=st.integers(1, 9), order=st.randoms(use_true_random=False))
def test_chunks_and_their_order_do_not_matter(cuts: int, order: Any) -> None:
    """The same rows in other chunks, in another order, interleaved otherwise: the same evaluation."""
    world = world_of(2)
    activity, shared = world.activity(), world.shared()
    reference = state_of(world).evaluate(NOW_US)
    pieces = [("a", activity[i::cuts]) for i in range(cuts)] + [("s", shared[i::cuts]) for i in range(cuts)]
    order.shuffle(pieces)
    state = CampaignsState(CampaignsConfig())
    for topic, rows in pieces:
        (state.fold_activity if topic == "a" else state.fold_shared)(rows)
        if order.random() < 0.3:
            state.evaluate(NOW_US)
    found = state.evaluate(NOW_US)
    assert_frame_equal(found.accounts, reference.accounts, check_exact=True)
    assert_frame_equal(found.communities, reference.communities, check_exact=True)


@settings(max_examples=8, deadline=None)
@given(order=st.randoms(use_true_random=False))
def test_the_state_itself_is_the_same_to_the_last_bit_whatever_the_order(order: Any) -> None:
    """Sums of logarithms, too: a worker that rebuilds from the log meets the partitions interleaved otherwise than the one before it."""
    activity = world_of(2).activity().with_columns(end_user=pl.lit(b"u"))
    pieces = [activity[i::7] for i in range(7)]
    reference, state = CampaignsState(CampaignsConfig()), CampaignsState(CampaignsConfig())
    reference.fold_activity(activity)
    for rows in order.sample(pieces, len(pieces)):
        state.fold_activity(rows)
    for name, frame in reference.to_frames().items():
        assert_frame_equal(state.to_frames()[name].sort(frame.columns), frame.sort(frame.columns), check_exact=True)


def test_a_snapshot_restores_the_same_state() -> None:
    """to_frames and from_frames are inverse, with input still unfolded."""
    state = state_of(world_of(3))
    state.fold_feedback([verdict("lab-a", "c-0", "DISPUTED")])
    other = CampaignsState(CampaignsConfig())
    other.from_frames(state.to_frames())
    for name, frame in state.to_frames().items():
        assert_frame_equal(other.to_frames()[name], frame)
    assert_frame_equal(other.evaluate(NOW_US).accounts, state.evaluate(NOW_US).accounts)


def test_a_snapshot_that_lacks_a_frame_or_has_other_columns_is_refused() -> None:
    """An incomplete or foreign snapshot raises and says what is wrong."""
    state = state_of(world_of(3))
    frames_by_name = state.to_frames()
    with pytest.raises(CheckpointError, match="lacks links"):
        CampaignsState(CampaignsConfig()).from_frames({k: v for k, v in frames_by_name.items() if k != "links"})
    with pytest.raises(WeaklinkError, match="another version"):
        CampaignsState(CampaignsConfig()).from_frames({**frames_by_name, "links": pl.DataFrame({"x": [1]})})


def test_links_wait_for_their_accounts_activity() -> None:
    """SHARED may be read before ACTIVITY: nothing is lost, nobody is invented."""
    world = world_of(4)
    state = CampaignsState(CampaignsConfig())
    state.fold_shared(world.shared())
    assert state.evaluate(NOW_US).accounts.height == 0
    state.fold_activity(world.activity())
    assert_frame_equal(state.evaluate(NOW_US).accounts, state_of(world).evaluate(NOW_US).accounts)


def test_a_dispute_by_its_own_party_takes_an_account_out_at_once() -> None:
    """The disputed account's score falls below every threshold and it is flagged no more."""
    state = state_of(world_of(5))
    before = state.evaluate(NOW_US).accounts
    target = before.filter(pl.col("flagged") & (pl.col("party") == "lab-a")).row(0, named=True)
    state.fold_feedback([verdict("lab-a", target["account_name"], "DISPUTED")])
    after = state.evaluate(NOW_US).accounts.row(by_predicate=pl.col("account") == target["account"], named=True)
    assert after["disputed"]
    assert not after["flagged"]
    assert after["score"] < 0.5 < target["score"]


def test_what_rested_on_disputed_accounts_falls_at_other_parties_too() -> None:
    """When the labs dispute their accounts, the payment party's accounts are flagged no more either."""
    state = state_of(world_of(6))
    before = state.evaluate(NOW_US).accounts
    assert before.filter(pl.col("flagged") & (pl.col("party") == "pay-a")).height > 0
    labs = before.filter(pl.col("flagged") & (pl.col("party") != "pay-a"))
    state.fold_feedback([verdict(p, n, "DISPUTED") for p, n in labs.select("party", "account_name").iter_rows()])
    after = state.evaluate(NOW_US).accounts
    assert after["flagged"].sum() == 0


def test_a_party_that_disputes_its_tokens_takes_its_own_links_out_and_nobody_elses() -> None:
    """The payment party disputes every token that its flagged accounts hold: none of them is flagged any more, the labs' are."""
    state = state_of(world_of(6))
    before = state.evaluate(NOW_US).accounts.filter("flagged")
    own = before.filter(pl.col("party") == "pay-a")
    held = state.links.rows().join(own.select("account"), on="account", how="semi")
    tokens = {
        frames.token_bytes(*row) for row in held.select("identifier", "tail", "kind", "epoch").unique().iter_rows()
    }
    said = verdict("pay-a", "", "DISPUTED", measure="BLOCK_IDENTIFIER") | {"target_account": None}
    state.fold_feedback([said | {"target_token": token} for token in sorted(tokens)])
    after = state.evaluate(NOW_US).accounts.filter("flagged")
    assert own.height > 0
    assert after.filter(pl.col("party") == "pay-a").height == 0
    assert after.height > 0


def test_another_partys_dispute_says_nothing_about_an_account() -> None:
    """A verdict counts for the account of that name at the party that spoke, and for no other."""
    state = state_of(world_of(7))
    before = state.evaluate(NOW_US).accounts
    name = before.filter(pl.col("flagged") & (pl.col("party") == "lab-a"))["account_name"][0]
    state.fold_feedback([verdict("lab-b", name, "DISPUTED")])
    assert_frame_equal(state.evaluate(NOW_US).accounts, before)


def test_a_suspended_account_has_no_volume_until_it_is_used_again() -> None:
    """DONE on SUSPEND is remembered; later usage shows that the account lives."""
    world = world_of(8)
    state = state_of(world)
    accounts = state.evaluate(NOW_US).accounts.filter(pl.col("requests_per_day") > 0)
    account, party, name = accounts.select("account", "party", "account_name").row(0)
    state.fold_feedback([verdict(party, name, "DONE")])
    row = pl.col("account") == account
    assert state.evaluate(NOW_US).accounts.row(by_predicate=row, named=True)["requests_per_day"] == 0
    again = world.activity().filter((pl.col("account") == account) & (pl.col("record") == "ApiUsage")).head(1)
    state.fold_activity(again.with_columns(pl.lit(NOW_US + 1).alias("last_seen_us")))
    assert state.evaluate(NOW_US).accounts.row(by_predicate=row, named=True)["requests_per_day"] > 0


def test_old_links_expire_but_not_those_of_members() -> None:
    """Retention bounds the graph; campaigns keep what a returning account would be known by."""
    state = state_of(world_of(9))
    members = state.evaluate(NOW_US).accounts.filter("flagged")["account"]
    days = 100 * 86_400_000_000
    state.expire(NOW_US + days, members)
    left = state.links.rows()["account"].unique()
    assert len(left) > 0
    assert set(left.to_list()) <= set(members.to_list())
    assert np.isin(members.to_numpy(), state.profiles.accounts.rows()["account"].to_numpy()).all()


def test_what_a_party_said_counts_for_its_time_and_no_longer() -> None:
    """A dispute and a refusal are forgotten after `feedback_days`, counted from when they were last said."""
    state = state_of(world_of(6))
    target = state.evaluate(NOW_US).accounts.filter("flagged").row(0, named=True)
    state.fold_feedback([verdict(target["party"], target["account_name"], "DISPUTED")])
    said_us = state.refusals.rows()["recorded_at_us"].item()
    lifetime_us = int(state.config.feedback_days * 86_400_000_000)
    everybody = state.profiles.accounts.rows()["account"]
    state.expire(said_us + lifetime_us, everybody)
    assert state.accounts(NOW_US).filter("disputed")["account"].to_list() == [target["account"]]
    state.expire(said_us + lifetime_us + 1, everybody)
    assert not state.accounts(NOW_US)["disputed"].any()
    assert state.refusals.rows().is_empty()


def test_accounts_held_against_their_own_population_are_judged_as_before() -> None:
    """A population that was measured before is taken at its word: conduct and structure are the same to the last digit."""
    state = state_of(world_of(10))
    full = state.evaluate(NOW_US)
    again = state.evaluate(NOW_US, full.population)
    assert_frame_equal(
        again.accounts.select("account", "b", "structure"), full.accounts.select("account", "b", "structure")
    )
    assert again.population.sharing is full.population.sharing


def test_listed_accounts_and_identifiers_count_for_nothing_until_they_expire_or_are_removed() -> None:
    """A campaign's members on the benign list are not flagged, what they are linked by links nobody; at its expiry all is as before."""
    world = world_of(5)
    state = state_of(world)
    before = state.evaluate(NOW_US)
    flagged = before.accounts.filter("flagged")
    assert flagged.height
    party, name = flagged.select("party", "account_name").row(0)
    until = NOW_US + 60_000_000
    state.fold_benign([listed(account_entry(party, name), until)])
    after = state.evaluate(NOW_US).accounts
    assert not after.filter((pl.col("account") == flagged["account"][0]) & pl.col("flagged")).height
    assert_frame_equal(state.evaluate(until).accounts, reference_at(world, until))
    held = state.links.rows().join(flagged.select("account"), on="account", how="semi")
    tokens = [
        frames.token_bytes(*row) for row in held.select("identifier", "tail", "kind", "epoch").unique().iter_rows()
    ]
    state.fold_benign([listed(token_entry(token), until) for token in tokens])
    assert state.unlisted(state.links.rows(), NOW_US).join(held, on="identifier", how="semi").is_empty()
    assert not state.evaluate(NOW_US).accounts["flagged"].any()
    state.fold_benign([listed(token_entry(token), until, REMOVE) for token in tokens])
    assert_frame_equal(state.unlisted(state.links.rows(), NOW_US), state.links.rows())


def listed(entry: str, until_us: int, op: str = ADD) -> BenignRecord:
    at = datetime.fromtimestamp(NOW_US / 1e6, UTC) + timedelta(seconds=op == REMOVE)
    expires = datetime.fromtimestamp(until_us / 1e6, UTC)
    return record(entry=entry, op=op, reason="known", by="ann", recorded_at=at, expires_at=expires)


def reference_at(world: World, now_us: int) -> pl.DataFrame:
    return state_of(world).evaluate(now_us).accounts


def test_a_snapshot_calls_for_a_full_evaluation_while_there_are_few_accounts() -> None:
    """So that a stage that takes it up and one that goes on say the same; with many accounts only the former begins with one."""
    few = CampaignsConfig()
    many = few.model_copy(
        update={"incremental": few.incremental.model_copy(update={"full_after_snapshot_accounts_max": 10})}
    )
    for config, expected in ((few, True), (many, False)):
        state, other = state_of(world_of(1)), CampaignsState(config)
        other.from_frames(state.to_frames())
        assert other.news().all
        other.to_frames()
        assert other.news().all == expected
