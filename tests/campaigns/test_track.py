"""Identities last, members do not flap, and what is withdrawn is what lost its ground."""

from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.campaigns.test_method import NOW_US
from tests.campaigns.test_state import verdict
from tests.campaigns.worlds import CAMPAIGN_TASKS, DAY_US, World, benign_life, campaign
from weaklink.campaigns import standing
from weaklink.campaigns.config import CampaignsConfig, TrackConfig
from weaklink.campaigns.engine import Engine
from weaklink.campaigns.identity import Campaign
from weaklink.campaigns.journal import Journal
from weaklink.campaigns.matching import Matched, match
from weaklink.campaigns.profiles import US_PER_HOUR
from weaklink.enforce.config import EnforceConfig
from weaklink.parties import PartyKind
from weaklink.records.identifiers import IdentifierKind as Kind
from weaklink.weaklinks.config import WeakLinksConfig

PARTIES = {"lab-a": PartyKind.LAB, "lab-b": PartyKind.LAB, "pay-a": PartyKind.PAYMENT}


def engine_of(world: World) -> Engine:
    engine = Engine(CampaignsConfig(), WeakLinksConfig())
    fold(engine, world)
    return engine


def fold(engine: Engine, world: World) -> None:
    engine.state.fold_activity(world.activity())
    engine.state.fold_shared(world.shared())


def world_with(*names: str, seed: int = 1) -> World:
    world = World(seed)
    benign_life(world, 1500)
    for name in names:
        campaign(world, name, 40)
    return world


def restarted(engine: Engine, world: World | None = None) -> Engine:
    """An engine that folded `world`, or what `engine` did, and took back what that one had written by now."""
    other = Engine(CampaignsConfig(), WeakLinksConfig())
    if world is None:
        other.state.from_frames(engine.state.to_frames())
    else:
        fold(other, world)
    Journal().recall(Journal().changes(engine), other)
    return other


def test_the_same_state_again_publishes_nothing() -> None:
    """A tick that finds the campaigns as they were is silent."""
    engine = engine_of(world_with("c"))
    assert len(engine.tick(NOW_US, PARTIES)) == 1
    assert engine.tick(NOW_US, PARTIES) == []
    assert engine.tick(NOW_US + 1_000_000, PARTIES) == []


@pytest.mark.parametrize(("told_days", "asked"), [(3, {"THROTTLE", "CHALLENGE"}), (40, {"SUSPEND"})])
def test_an_account_that_may_be_older_than_what_its_party_tells_is_not_suspended(
    told_days: int, asked: set[str]
) -> None:
    """A party joins with customers whose opening it never sent: they are not taken for new. Once it has told of its accounts for a while, whoever
    turns up is new."""
    world = world_with("c")
    activity, members = world.activity(), world.truth().filter("truth")["account"]
    opening = pl.col("record") == "AccountOpened"
    began_us = int(activity.filter(~opening)["first_seen_us"].min() or 0)  # type: ignore[arg-type]
    before = activity.filter(~opening & ~pl.col("account").is_in(members.implode())).unique("party", keep="first")
    before = before.with_columns(
        pl.lit(began_us - told_days * DAY_US).alias(n) for n in ("first_seen_us", "last_seen_us")
    )
    engine = Engine(CampaignsConfig(), WeakLinksConfig())
    engine.state.fold_activity(
        pl.concat([activity.filter(~(opening & pl.col("account").is_in(members.implode()))), before])
    )
    engine.state.fold_shared(world.shared())
    (update,) = engine.tick(NOW_US, PARTIES)
    of_accounts = [one["measure"] for one in update.changes if one["party"] == "lab-a" and one["target_account"]]
    assert len(of_accounts) > 5
    assert set(of_accounts) <= asked


def test_a_campaign_that_waits_for_its_plan_keeps_the_time_of_its_evidence() -> None:
    """One plan a tick: the second campaign's members get their own measures at once, and its plan later, on evidence as old as it was."""
    world = world_with("c", "d")
    engine = Engine(CampaignsConfig(plans_per_tick_max=1), WeakLinksConfig())
    fold(engine, world)
    tipped_us = world.activity()["appended_at_us"].max()
    assert isinstance(tipped_us, int)
    first, second = engine.tick(NOW_US, PARTIES)
    assert not {m["target_account"] for m in second.changes} & {m["target_account"] for m in first.changes}
    assert not any(measure["from_plan"] for measure in second.changes)
    later = world.activity().with_columns(pl.col("appended_at_us") + 60_000_000, events=pl.lit(0, pl.UInt32))
    engine.state.fold_activity(later)
    after = [update for wait_us in range(1, 4) for update in engine.tick(NOW_US + wait_us, PARTIES)]
    other = next(update for update in after if update.campaign.campaign_id != first.campaign.campaign_id)
    assert any(measure["from_plan"] for measure in other.campaign.measures)
    assert first.campaign.evidence_at_us <= tipped_us
    assert other.campaign.evidence_at_us <= tipped_us


def test_an_id_survives_growth_and_newcomers_get_measures_only_for_themselves() -> None:
    """Twenty more accounts on the same devices and cards: the same campaign, and only the new measures are issued."""
    world = World(2)
    benign_life(world, 1500)
    campaign(world, "c", 40)
    engine = engine_of(world)
    (first,) = engine.tick(NOW_US, PARTIES)
    links = pl.concat(world.links).filter(pl.col("account_name").str.starts_with("c-"))
    more = world.add(
        "more",
        "lab-a",
        20,
        truth=True,
        age_days=(0, 1),
        windows=(4, 8),
        tasks=CAMPAIGN_TASKS,
        sigma=0.3,
        output_ratio=3,
    )
    for kind in (Kind.DEVICE, Kind.CARD, Kind.IP):
        values = links.filter((pl.col("kind") == int(kind)) & (pl.col("party") == "lab-a"))["value"]
        world.link(more, kind, values.head(20).to_numpy())
    grown = restarted(engine, world)
    (second,) = grown.tick(NOW_US + DAY_US // 24, PARTIES)
    assert second.campaign.campaign_id == first.campaign.campaign_id
    assert second.members.height > first.members.height
    old = {standing.key(m) for m in first.campaign.measures}
    issued = {standing.key(m) for m in second.changes if m["op"] == "ISSUE"}
    assert issued
    assert {m["target_account"] for m in second.changes if m["measure"] == "SUSPEND"} - {None} <= {
        name for name in second.members["account_name"] if name.startswith(("more", "c-"))
    }
    assert not {k for k in issued if k in old and k[1] == "SUSPEND" and (k[2] or "").startswith("c-")} - old


def test_a_restart_from_the_compacted_topic_issues_no_other_ids_and_no_measure_twice() -> None:
    """Everything that identity needs is in the journal."""
    engine = engine_of(world_with("c", "d"))
    assert len(engine.tick(NOW_US, PARTIES)) == 2
    again = restarted(engine)
    assert again.tick(NOW_US + 1_000_000, PARTIES) == []
    assert set(again.tracker.campaigns) == set(engine.tracker.campaigns)


def test_a_dispute_withdraws_the_measures_that_rested_on_it_at_every_party() -> None:
    """The labs dispute: their measures and the payment party's are withdrawn, and the campaign dissolves."""
    engine = engine_of(world_with("c"))
    (update,) = engine.tick(NOW_US, PARTIES)
    assert any(m["party"] == "pay-a" for m in update.campaign.measures)
    labs = update.members.filter(pl.col("party") != "pay-a")
    engine.state.fold_feedback([verdict(p, n, "DISPUTED") for p, n in labs.select("party", "account_name").iter_rows()])
    withdrawn: set[Any] = set()
    for i in range(6):
        for later in engine.tick(NOW_US + i, PARTIES):
            withdrawn |= {standing.key(m) for m in later.changes if m["op"] == "WITHDRAW"}
    assert withdrawn >= {standing.key(m) for m in update.campaign.measures}
    assert engine.tracker.campaigns[update.campaign.campaign_id].state == "DISSOLVED"
    assert engine.tracker.campaigns[update.campaign.campaign_id].measures == []


def test_a_suspension_that_was_carried_out_stands() -> None:
    """A suspended account has no volume left to cut; that is no reason to let it back in."""
    engine = engine_of(world_with("c"))
    (update,) = engine.tick(NOW_US, PARTIES)
    done = [m for m in update.campaign.measures if m["measure"] == "SUSPEND"]
    assert done
    engine.state.fold_feedback([verdict(m["party"], m["target_account"], "DONE") for m in done])
    later = [c for u in engine.tick(NOW_US + 1, PARTIES) for c in u.changes if c["op"] == "WITHDRAW"]
    assert not [c for c in later if c["measure"] == "SUSPEND"]


def test_a_refused_measure_is_not_asked_for_again() -> None:
    """What a party or a person refused leaves the plan."""
    engine = engine_of(world_with("c"))
    (update,) = engine.tick(NOW_US, PARTIES)
    refused = update.campaign.measures[0]
    answer = verdict(refused["party"], "", "REFUSED", refused["measure"])
    answer |= {"target_account": refused["target_account"], "target_token": refused["target_token"]}
    engine.state.fold_feedback([answer])
    engine.tracker.campaigns[update.campaign.campaign_id].measures.clear()
    engine.tracker.campaigns[update.campaign.campaign_id].planned = None
    (again,) = engine.tick(NOW_US + 1, PARTIES)
    assert standing.key(refused) not in {standing.key(m) for m in again.campaign.measures}


OVERLAPS = st.lists(
    st.tuples(st.integers(0, 4), st.sampled_from("ABCD"), st.integers(1, 50), st.integers(0, 50)),
    max_size=12,
    unique_by=lambda o: (o[0], o[1]),
)
MERGE_US = int(TrackConfig().merge_hours * US_PER_HOUR)


def campaigns_of(**detected_at_us: int) -> dict[str, Campaign]:
    return {name: Campaign(name, "OPEN", at_us, at_us) for name, at_us in detected_at_us.items()}


@given(OVERLAPS, st.booleans())
def test_every_community_gets_one_identity_and_no_merged_campaign_goes_on(overlaps: list[Any], lasting: bool) -> None:
    """Whatever overlaps there are: each community has exactly one id or is new, and merged campaigns name none."""
    campaigns = campaigns_of(A=3, B=1, C=2, D=2)
    matched = match(range(5), overlaps, {}, campaigns, now_us=0, config=TrackConfig())
    assert not matched.merged
    if lasting:
        matched = match(range(5), overlaps, {}, campaigns, now_us=MERGE_US, config=TrackConfig())
        assert not matched.apart
    assert set(matched.ids) | set(matched.new) == set(range(5))
    assert not set(matched.ids) & set(matched.new)
    assert not set(matched.merged) & set(matched.ids.values())
    assert set(matched.merged.values()) <= set(matched.ids.values())


def test_campaigns_merge_into_the_one_with_most_accounts_when_it_lasts() -> None:
    """One community holds the members of two: after a day the smaller one is merged; a moment apart begins the day anew."""
    campaigns = campaigns_of(A=2, B=1)
    both, sizes = [(0, "A", 30, 0), (0, "B", 20, 0)], {"A": 30, "B": 20}

    def matched_at(now_us: int, overlaps: list[tuple[int, str, int, int]]) -> Matched:
        found = sorted({community for community, *_ in overlaps})
        return match(found, overlaps, sizes, campaigns, now_us=now_us, config=TrackConfig())

    assert matched_at(0, both) == Matched({0: "A"}, {}, {}, frozenset("B"))
    assert matched_at(MERGE_US - 1, [(0, "A", 30, 0), (1, "B", 20, 0)]) == Matched(
        {0: "A", 1: "B"}, {}, {}, frozenset()
    )
    assert matched_at(MERGE_US, both) == Matched({0: "A"}, {}, {}, frozenset("B"))
    assert matched_at(2 * MERGE_US, both) == Matched({0: "A"}, {"B": "A"}, {}, frozenset())


def test_a_split_counts_only_when_it_lasts() -> None:
    """A campaign that falls in two for a while stays one; when it stays apart, the smaller part gets its own id."""
    campaigns = campaigns_of(A=1)
    overlaps = [(0, "A", 30, 10), (1, "A", 20, 6)]
    long_us = int(TrackConfig().split_hours * US_PER_HOUR)

    def matched_at(now_us: int, overlaps: list[tuple[int, str, int, int]]) -> Matched:
        found = [community for community, *_ in overlaps]
        return match(found, overlaps, {"A": 50}, campaigns, now_us=now_us, config=TrackConfig())

    for now_us in (0, long_us // 2, long_us - 1):
        assert matched_at(now_us, overlaps).ids == {0: "A", 1: "A"}
    assert matched_at(long_us, overlaps[:1]).ids == {0: "A"}  # together again: the time counts anew
    assert matched_at(long_us + 1, overlaps).ids == {0: "A", 1: "A"}
    lasting = matched_at(2 * long_us + 1, overlaps)
    assert lasting.ids == {0: "A"}
    assert lasting.new == {1: "A"}
    for active in ((10, 5), (5, 6)):
        succession = matched_at(3 * long_us, [(0, "A", 30, active[0]), (1, "A", 20, active[1])])
        assert succession.ids == {0: "A", 1: "A"}


def measure(account: str | None, kind: str = "SUSPEND", token: bytes | None = None, **changes: Any) -> dict[str, Any]:
    return {
        "op": "ISSUE", "party": "lab-a", "measure": kind, "target_account": account, "target_token": token,
        "slice_model": None, "slice_end_user": None, "confidence": 0.95, "supporting_parties": 2, "own_finding": False,
        "hard_identifier": True, "established": False, "from_plan": True, "issued_at_us": 0,
    } | changes  # fmt: skip


def changes_of(
    before: list[Any], plan: list[Any], *, members: set[Any] | None = None, now_us: int = 1, refused: Any = ()
) -> list[tuple[str, str, str]]:
    _, changed = standing.changes(
        before,
        plan,
        members=members or set(),
        spared={("lab-a", "reseller")},
        identifiers=set(),
        refused=set(refused),
        now_us=now_us,
        reissue_us=100,
        thresholds=standing.DEFAULT_THRESHOLDS,
    )
    return [(c["op"], c["measure"], c["target_account"]) for c in changed]


def test_a_measure_that_stands_is_issued_again_before_its_action_expires() -> None:
    """Planned or only standing, it is said again after the time set, and then not until that time has passed once more."""
    both = {("lab-a", "x"), ("lab-a", "y")}
    stand = [measure("x"), measure("y")]
    assert changes_of(stand, [measure("x")], members=both, now_us=99) == []
    again = changes_of(stand, [measure("x")], members=both, now_us=100)
    assert again == [("ISSUE", "SUSPEND", "x"), ("ISSUE", "SUSPEND", "y")]
    later = [m | {"issued_at_us": 100} for m in stand]
    assert changes_of(later, [measure("x")], members=both, now_us=199) == []


def test_measures_are_issued_again_when_nothing_else_happens() -> None:
    """Everything that stands comes once more after the time set, without a search for communities, and then there is silence."""
    often = CampaignsConfig(track=TrackConfig(reissue_hours=30.0))
    engine = Engine(often, WeakLinksConfig())
    fold(engine, world_with("c"))
    (first,) = engine.tick(NOW_US, PARTIES)
    assert engine.tick(NOW_US + 29 * US_PER_HOUR, PARTIES) == []
    (again,) = engine.tick(NOW_US + 30 * US_PER_HOUR, PARTIES)
    assert not engine.searched
    assert [one["op"] for one in again.changes] == ["ISSUE"] * len(first.campaign.measures)
    assert engine.tick(NOW_US + 31 * US_PER_HOUR, PARTIES) == []


def test_what_is_due_is_issued_again_though_nothing_is_decided() -> None:
    """The measures that stand are the same ones, and the others keep the time at which they were issued."""
    stand = [measure("x"), measure("y", issued_at_us=50)]
    renewed, issued = standing.renewed(stand, 120, 100)
    assert [one["issued_at_us"] for one in renewed] == [120, 50]
    assert [(one["op"], one["target_account"], one["issued_at_us"]) for one in issued] == [("ISSUE", "x", 120)]
    assert standing.renewed(renewed, 149, 100) == (renewed, [])


def test_standing_measures_are_issued_again_often_enough_for_every_lifetime() -> None:
    """enforce renews an action when less than a share of its lifetime is left: a proposal must come within that part."""
    enforce = EnforceConfig()
    shortest_hours = min(enforce.expires_after_hours.values())
    assert TrackConfig().reissue_hours < enforce.renew_below_share * shortest_hours


def test_a_measure_that_its_party_refused_stands_no_longer() -> None:
    """Neither as planned nor as one that stood before."""
    refused = {("lab-a", "SUSPEND", b"x")}
    assert changes_of([measure("x")], [measure("x")], members={("lab-a", "x")}, refused=refused) == [
        ("WITHDRAW", "SUSPEND", "x")
    ]


@pytest.mark.parametrize(
    ("before", "plan", "members", "expected"),
    [
        ([], [measure("x")], set(), [("ISSUE", "SUSPEND", "x")]),
        ([measure("x")], [measure("x")], set(), []),
        ([measure("x")], [], {("lab-a", "x")}, []),
        ([measure("x")], [], set(), [("WITHDRAW", "SUSPEND", "x")]),
        ([measure("x", "CHALLENGE")], [measure("x")], {("lab-a", "x")}, [("WITHDRAW", "CHALLENGE", "x"), ("ISSUE", "SUSPEND", "x")]),
        ([measure("x", supporting_parties=1)], [measure("x")], set(), [("ISSUE", "SUSPEND", "x")]),
        ([measure("x")], [measure("x", supporting_parties=1, confidence=0.7)], {("lab-a", "x")}, []),
        ([measure("x")], [measure("x", "CHALLENGE")], {("lab-a", "x")}, []),
        ([measure("x")], [measure("x", "CHALLENGE")], set(), [("WITHDRAW", "SUSPEND", "x"), ("ISSUE", "CHALLENGE", "x")]),
        ([measure("reseller")], [], set(), [("WITHDRAW", "SUSPEND", "reseller")]),
        ([measure("reseller", "THROTTLE")], [], set(), []),
    ],
)  # fmt: skip
def test_changes_are_what_is_new_what_has_better_grounds_and_what_lost_its_ground(
    before: list[Any], plan: list[Any], members: set[Any], expected: list[Any]
) -> None:
    """ISSUE for new measures and new grounds, WITHDRAW when the account left or something else is asked of it, else silence."""
    assert changes_of(before, plan, members=members) == expected
