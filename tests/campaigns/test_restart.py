"""A restart changes nothing: what the tracker remembers is on the compacted topic, whole and in small records."""

from typing import Any

import polars as pl
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from tests.campaigns.evaluations import Seen, evaluation_of
from tests.campaigns.test_method import NOW_US
from tests.campaigns.test_state import verdict
from tests.campaigns.test_track import PARTIES, engine_of, world_with
from weaklink.account_keys import account_hash
from weaklink.campaigns import standing
from weaklink.campaigns.config import CampaignsConfig
from weaklink.campaigns.engine import Engine
from weaklink.campaigns.identity import MEMBERS, Campaign
from weaklink.campaigns.journal import Journal, remembered
from weaklink.campaigns.profiles import US_PER_HOUR
from weaklink.stream.stage import Message
from weaklink.weaklinks.config import WeakLinksConfig

SEEN = st.builds(
    Seen,
    st.sampled_from([None, None, 0, 1, 2]),
    st.sampled_from([0.05, 0.29, 0.31, 0.6, 0.97]),
    st.sampled_from([False] * 9 + [True]),
)
MOMENTS = st.lists(
    st.tuples(st.sampled_from([1, 12, 25, 100, 200]), st.lists(SEEN, min_size=24, max_size=24), st.booleans()),
    min_size=2,
    max_size=9,
)


def assert_same(one: Engine, other: Engine) -> None:
    assert_frame_equal(one.tracker.members, other.tracker.members)
    assert_frame_equal(one.tracker.former, other.tracker.former)
    assert one.tracker.campaigns == other.tracker.campaigns
    assert one.clocks == other.clocks


@settings(max_examples=20, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(MOMENTS)
def test_a_tracker_that_is_restarted_at_any_moment_goes_on_as_if_it_had_not(moments: list[Any]) -> None:
    """Growth, splits, mergers, releases, disputes and newcomers in any order: what is remembered and written is the same."""
    steady, restarted = (Engine(CampaignsConfig(), WeakLinksConfig()) for _ in range(2))
    journal, other_journal = Journal(), Journal()
    log: list[Message] = []
    now_us = NOW_US
    for hours, seen, restart in moments:
        now_us += hours * US_PER_HOUR
        evaluation = evaluation_of(seen, now_us)
        if restart:
            restarted, other_journal = Engine(CampaignsConfig(), WeakLinksConfig()), Journal()
            other_journal.recall(log, restarted)
        changed = [engine.tracker.update(evaluation) for engine in (steady, restarted)]
        written = [journal.changes(steady), other_journal.changes(restarted)]
        assert changed[0] == changed[1]
        assert {m.key: m.value for m in written[0]} == {m.key: m.value for m in written[1]}
        assert_same(steady, restarted)
        log += written[0]


def test_an_engine_that_is_restarted_after_every_tick_says_what_one_says_that_was_not() -> None:
    """With plans, measures, disputes, refusals and waiting campaigns: the same changes, in the same order."""
    world = world_with("c", "d", "e")
    config = CampaignsConfig(plans_per_tick_max=1)
    steady, now_us = Engine(config, WeakLinksConfig()), NOW_US
    steady.state.fold_activity(world.activity())
    steady.state.fold_shared(world.shared())
    journal, log = Journal(), list[Message]()
    for step in range(10):
        now_us += (1, 30)[step % 2] * US_PER_HOUR
        again = Engine(config, WeakLinksConfig())
        again.state.from_frames(steady.state.to_frames())
        Journal().recall(log, again)
        said, said_again = steady.tick(now_us, PARTIES), again.tick(now_us, PARTIES)
        assert [(u.campaign, u.changes) for u in said] == [(u.campaign, u.changes) for u in said_again]
        assert_same(steady, again)
        log += journal.changes(steady)
        if step in (3, 5):
            campaign = next(c for c in steady.tracker.campaigns.values() if c.measures)
            on_accounts = [m for m in campaign.measures if m["target_account"]][:4]
            words = ("DISPUTED", "REFUSED", "DONE", "DECLINED")
            steady.state.fold_feedback(
                [
                    verdict(m["party"], m["target_account"], word, m["measure"], at_us=now_us)
                    for m, word in zip(on_accounts, words, strict=False)
                ]
            )
    assert len([c for c in steady.tracker.campaigns.values() if c.measures]) == 3
    assert steady.tracker.former.height


def test_what_is_read_back_is_what_was_written_whatever_else_the_log_still_holds() -> None:
    """Compaction may have left older records of a key, or not: only the newest counts."""
    engine = engine_of(world_with("c"))
    journal = Journal()
    engine.tick(NOW_US, PARTIES)
    first = journal.changes(engine)
    campaign = next(iter(engine.tracker.campaigns.values()))
    name = engine.tracker.members["account_name"][0]
    engine.state.fold_feedback([verdict(engine.tracker.members["party"][0], name, "DISPUTED")])
    engine.tick(NOW_US + US_PER_HOUR, PARTIES)
    second = journal.changes(engine)
    found = remembered([*first, *second])
    compacted = remembered({m.key: m for m in [*first, *second]}.values())
    for state in (found, compacted):
        assert_frame_equal(state.members, engine.tracker.members)
        assert state.campaigns[campaign.campaign_id].measures == campaign.measures
        assert name not in state.members["account_name"]
        assert name in state.former["account_name"]
    assert len(second) < len(first) / 4


def test_no_message_grows_with_the_campaign_and_a_tick_writes_only_what_changed() -> None:
    """24,000 members with a measure each: every record stays below 16 KiB; one newcomer costs a handful of records."""
    n = 24_000
    names = pl.DataFrame({"account_name": [f"user-{i:032d}" for i in range(n + 1)]})
    rows = names.with_columns(
        account_hash("lab-a", "account_name").alias("account"),
        pl.lit("c-1").alias("campaign_id"),
        pl.lit(NOW_US, pl.Int64).alias("since_us"),
        pl.lit(None, pl.Int64).alias("missed_since_us"),
        pl.lit(value=False).alias("fast"),
        pl.lit(value=True).alias("flagged"),
        pl.lit(None, pl.UInt8).alias("grounds"),
        pl.lit("lab-a").alias("party"),
        pl.lit(0.97).alias("score"),
    ).select(MEMBERS.names())
    engine = Engine(CampaignsConfig(), WeakLinksConfig())
    template: dict[str, Any] = {
        "op": standing.ISSUE, "party": "lab-a", "measure": "SUSPEND", "target_token": None, "slice_model": None,
        "slice_end_user": None, "confidence": 0.97, "reasons": [{"code": "SHARED_CARD", "weight": 1.0, "parties": 2}] * 8,
        "expected_cut": 3.0, "benign_accounts_touched": 0, "supporting_parties": 2, "own_finding": False,
        "hard_identifier": True, "established": False, "from_plan": True, "issued_at_us": NOW_US,
    }  # fmt: skip
    measures = [template | {"target_account": name} for name in rows["account_name"][:n]]
    engine.tracker.campaigns["c-1"] = Campaign("c-1", "OPEN", NOW_US, NOW_US, measures=measures)
    engine.tracker.members = rows[:n].sort("account")
    journal = Journal()
    first = journal.changes(engine)
    assert len(first) == 2 * n + 1
    assert max(len(one.value or b"") for one in first) < 16 << 10
    assert remembered(first).members.height == n
    engine.tracker.members = rows.sort("account")
    engine.tracker.campaigns["c-1"].measures = [*measures, template | {"target_account": rows["account_name"][n]}]
    assert len(journal.changes(engine)) <= 4
