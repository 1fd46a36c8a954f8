"""What is evaluated piece by piece against what a full evaluation says: the reference."""

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from tests.campaigns.test_method import NOW_US
from tests.campaigns.test_state import verdict
from tests.campaigns.worlds import World, benign_life, campaign
from weaklink.campaigns import planning
from weaklink.campaigns.config import CampaignsConfig, IncrementalConfig
from weaklink.campaigns.evaluator import Evaluator
from weaklink.campaigns.graph import build_graph
from weaklink.campaigns.incremental import Incremental
from weaklink.campaigns.state import CampaignsState
from weaklink.records.identifiers import IdentifierKind as Kind

NEVER = CampaignsConfig(incremental=IncrementalConfig(full_growth_share=1e9, full_hours=1e9))


def world_of(seed: int) -> World:
    world = World(seed)
    benign_life(world, 900)
    campaign(world, "c", 60)
    campaign(world, "d", 30)
    return world


def pieces(world: World, n: int, first: float) -> list[tuple[pl.DataFrame, pl.DataFrame]]:
    """(activity, shared) of accounts that come one after the other: a share of them first, the others in n parts."""
    activity, shared = world.activity(), world.shared()
    keys = activity["account"].unique().sort()
    bound = int(first * len(keys))
    parts = [keys[:bound], *(keys[bound + i :: n] for i in range(n))] if n else [keys]
    return [tuple(f.filter(pl.col("account").is_in(p.implode())) for f in (activity, shared)) for p in parts]  # type: ignore[misc]


def in_pieces(world: World, n: int = 8, first: float = 0.5) -> tuple[CampaignsState, Incremental]:
    """The state and what is believed of it when the accounts came in pieces, everything evaluated only after the first."""
    state, incremental = CampaignsState(NEVER), Incremental(NEVER)
    for i, (activity, shared) in enumerate(pieces(world, n, first)):
        state.fold_activity(activity)
        state.fold_shared(shared)
        news = state.news()
        if i == 0:
            evaluation, case, orphans = state.evaluate_all(NOW_US)
            assert evaluation.ring is not None
            incremental.adopt(case, evaluation.ring, orphans)
        else:
            incremental.update(state.accounts(NOW_US, pl.concat(news.accounts)), pl.concat(news.links))
    return state, incremental


def test_the_graph_that_grew_is_the_graph_that_is_built_at_once() -> None:
    """Accounts, persons, nodes, groups and their sizes are the same, however the links came; only numbers of nodes may differ."""
    state, incremental = in_pieces(world_of(1))
    live = incremental.live
    region = live.region(np.arange(len(live.links.accounts)))
    whole = build_graph(state.accounts(NOW_US), state.links.rows(), NEVER.structure.person_accounts_max)
    grown = region.graph
    assert np.array_equal(grown.accounts, whole.accounts)
    order = np.lexsort((grown.slot, grown.identifier))
    for name in ("identifier", "slot", "kind", "known", "unseen"):
        assert np.array_equal(getattr(grown, name)[order], getattr(whole, name)), name
    same = [len(np.unique(g.person * len(whole.person) + o.person)) for g, o in ((grown, whole), (grown, grown))]
    assert same[0] == same[1] == len(np.unique(whole.person))
    sizes = []
    for g in (grown, whole):
        party = np.array(g.parties)[g.group_party]
        columns = (g.identifier[g.group_node], g.slot[g.group_node], party, g.group_persons)
        sizes.append(sorted(zip(*(column.tolist() for column in columns), strict=True)))
    assert sizes[0] == sizes[1]
    assert np.abs(grown.outside_q).max() == np.abs(grown.outside_p).max() == 0


class Forging(World):
    """Some holders of each template say that its bytes are a device's."""

    def shared(self) -> pl.DataFrame:
        found = super().shared().sort("identifier", "slot", "account")
        forged = found.filter(pl.col("kind") == int(Kind.PROMPT)).group_by("identifier", maintain_order=True).head(3)
        kind, holders = (pl.lit(value, found.schema[name]).alias(name) for name, value in (("kind", int(Kind.DEVICE)), ("holders", 3)))  # fmt: skip
        return pl.concat([found, forged.select(found.columns).with_columns(kind, holders)])


def test_bytes_that_come_under_another_kind_are_another_node_in_whatever_order() -> None:
    """Else who copies a template's token as a device's would make a device of everybody's template, or not, by who comes last."""
    world = Forging(1)
    benign_life(world, 300)
    campaign(world, "c", 40)
    state, incremental = in_pieces(world)
    whole = build_graph(state.accounts(NOW_US), state.links.rows(), NEVER.structure.person_accounts_max)
    grown = incremental.live.region(np.arange(len(incremental.live.links.accounts))).graph
    order = np.lexsort((grown.kind, grown.slot, grown.identifier))
    for name in ("identifier", "slot", "kind", "known", "unseen"):
        assert np.array_equal(getattr(grown, name)[order], getattr(whole, name)), name
    twice = whole.identifier[1:][(whole.identifier[1:] == whole.identifier[:-1]) & (whole.slot[1:] == whole.slot[:-1])]
    assert len(twice) > 10
    other = CampaignsState(NEVER)
    other.fold_activity(world.activity())
    other.fold_shared(world.shared().reverse())
    assert_frame_equal(other.links.rows(), state.links.rows())


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_beliefs_that_grew_are_those_of_a_full_evaluation_against_the_same_population(seed: int) -> None:
    """Hot accounts agree, and scores to .05 for 99 of 100 accounts: what is left is news too small to pass on."""
    state, incremental = in_pieces(world_of(seed))
    reference = state.evaluate(NOW_US, incremental.population).accounts
    live = incremental.live
    p = live.account["p"][live.links.accounts.find(reference["account"].to_numpy())]
    score = reference["score"].to_numpy()
    assert np.mean((p > 0.5) == (score > 0.5)) >= 0.995
    assert np.mean(np.abs(p - score) <= 0.05) >= 0.99
    assert int((score > 0.5).sum()) > 60


@pytest.mark.parametrize("seed", [1, 2])
def test_communities_of_the_suspects_are_those_of_everybody(seed: int) -> None:
    """Right after a full evaluation, looking only at the suspects flags exactly whom looking at everybody flagged."""
    world, state = world_of(seed), CampaignsState(NEVER)
    state.fold_activity(world.activity())
    state.fold_shared(world.shared())
    evaluator = Evaluator(NEVER, state)
    full = evaluator.evaluate(NOW_US, whole=False)
    part = evaluator.evaluate(NOW_US, whole=True)
    assert full is not None
    assert part is not None
    assert part.accounts.height < full.accounts.height
    flagged = [
        one.accounts.filter("flagged").select("account", "community", "score").sort("account") for one in (full, part)
    ]
    assert flagged[0].height > 60
    assert flagged[0].select("account").equals(flagged[1].select("account"))
    pairs = flagged[0].join(flagged[1], on="account").select("community", "community_right").unique()
    assert pairs.height == flagged[0]["community"].n_unique()


@pytest.mark.parametrize(("holders", "asked"), [(2, True), (3, False)])
def test_who_has_an_address_with_one_suspect_alone_is_looked_at(holders: int, asked: bool) -> None:
    """Such addresses join pieces of chains; where two others are, nobody is of interest for it."""
    world = World(1)
    benign_life(world, 900)
    campaign(world, "c", 60)
    member = next(one for one in world.accounts if one["group"][0] == "c")[:1]
    beside = world.add("beside", "lab-a", holders - 1)
    address = world.values(1)[0]
    world.link(beside, Kind.IP, np.full(beside.height, address))
    world.link(member, Kind.IP, [address])
    state, incremental = CampaignsState(NEVER), Incremental(NEVER)
    state.fold_activity(world.activity())
    state.fold_shared(world.shared())
    evaluation, case, orphans = state.evaluate_all(NOW_US)
    assert evaluation.ring is not None
    incremental.adopt(case, evaluation.ring, orphans)
    known = world.truth().filter(pl.col("group") == "beside")["account"].to_numpy()
    suspects = incremental.live.account["key"][incremental.suspects()]
    assert np.isin(known, suspects).tolist() == [asked] * len(known)


@pytest.mark.parametrize("young_days", [10.0, 0.0])
def test_newcomers_on_known_infrastructure_come_in_without_a_search_for_communities(young_days: float) -> None:
    """Accounts on a member's cards and devices join at the next evaluation, which looks at nobody else: the young, and at any age the hot."""
    world = World(4)
    benign_life(world, 900)
    campaign(world, "c", 60)
    activity, shared = world.activity(), world.shared()
    late = world.truth().filter("truth")["account"].sort()[::10]
    state = CampaignsState(
        NEVER.model_copy(
            update={
                "incremental": NEVER.incremental.model_copy(
                    update={"communities_change_share": 1e9, "communities_hours": 1e9}
                ),
                "fast": NEVER.fast.model_copy(update={"new_account_days": young_days}),
            }
        )
    )
    evaluator = Evaluator(state.config, state)
    early = ~pl.col("account").is_in(late.implode())
    state.fold_activity(activity.filter(early))
    state.fold_shared(shared.filter(early))
    first = evaluator.evaluate(NOW_US, whole=False)
    assert first is not None
    evaluator.know(
        first.accounts.filter("flagged").select("account", pl.col("community").cast(pl.String).alias("campaign_id"))
    )
    state.fold_activity(activity.filter(~early))
    state.fold_shared(shared.filter(~early))
    second = evaluator.evaluate(NOW_US, whole=False)
    assert second is not None
    assert second.ring is None
    assert second.accounts["flagged"].all()
    assert second.accounts.height >= 3
    assert set(second.accounts["account"].to_list()) <= set(late.to_list())
    assert {second.campaigns[i] for i in second.accounts["community"].to_list()} <= {
        str(i) for i in first.accounts["community"].drop_nulls().unique().to_list()
    }


def test_a_small_campaign_beside_large_ones_is_looked_for_at_once_when_the_stage_has_the_time() -> None:
    """Beside many accounts of other campaigns it is too small a change to be looked for in any case, and would wait for hours."""
    world = World(6)
    benign_life(world, 900)
    campaign(world, "c", 120)
    campaign(world, "d", 24)
    share = NEVER.incremental.model_copy(update={"communities_change_share": 0.5})
    state = CampaignsState(NEVER.model_copy(update={"incremental": share}))
    evaluator = Evaluator(state.config, state)
    activity, shared = world.activity(), world.shared()
    late = pl.col("account").is_in(
        activity.filter(pl.col("account_name").str.starts_with("d-"))["account"].unique().implode()
    )
    state.fold_activity(activity.filter(~late))
    state.fold_shared(shared.filter(~late))
    first = evaluator.evaluate(NOW_US, whole=False)
    assert first is not None
    members = first.accounts.filter("flagged").select(
        "account", pl.col("community").cast(pl.String).alias("campaign_id")
    )
    evaluator.know(members)
    state.fold_activity(activity.filter(late))
    state.fold_shared(shared.filter(late))
    assert evaluator.evaluate(NOW_US, whole=False) is None
    second = evaluator.evaluate(NOW_US, whole=False, eager=True)
    assert second is not None
    assert second.accounts.filter("flagged", late).height >= 12
    assert evaluator.evaluate(NOW_US, whole=False, eager=True) is None, "nothing has moved since"


@pytest.mark.parametrize("opened", ["everybody", "one lab"])
def test_usage_that_begins_after_everything_was_evaluated_is_held_against_what_is_usual_now(opened: str) -> None:
    """Who sends the openings of all its accounts first is no payment processor for the days until everything is evaluated again."""
    world, config = world_of(7), CampaignsConfig()
    state, activity = CampaignsState(config), world.activity()
    usage = pl.col("record") == "ApiUsage"
    first = ~usage if opened == "everybody" else ~(usage & (pl.col("party") == "lab-a"))
    evaluator = Evaluator(config, state)
    state.fold_activity(activity.filter(first))
    state.fold_shared(world.shared())
    before = evaluator.evaluate(NOW_US, whole=False)
    state.fold_activity(activity.filter(~first))
    after = evaluator.evaluate(NOW_US, whole=False)
    assert before is not None
    assert after is not None
    assert "lab-a" in before.population.silent
    assert "lab-a" not in after.population.silent
    known = after.accounts.filter("flagged", pl.col("account_name").str.contains("^[cd]-[0-9]"))
    assert known.height > 60
    assert evaluator.evaluate(NOW_US, whole=False) is None, "nothing has changed since"


def test_some_accounts_with_usage_of_a_party_without_any_change_nothing_yet() -> None:
    """A full evaluation for each party that tries out its connection would be one too many."""
    world, config = world_of(7), CampaignsConfig()
    state, activity = CampaignsState(config), world.activity()
    of_lab = (pl.col("record") == "ApiUsage") & (pl.col("party") == "lab-a")
    few = activity.filter(of_lab)["account"].unique().sort().head(config.incremental.full_speaking_accounts - 1)
    evaluator = Evaluator(config, state)
    state.fold_activity(activity.filter(~of_lab))
    state.fold_shared(world.shared())
    before = evaluator.evaluate(NOW_US, whole=False)
    state.fold_activity(activity.filter(of_lab & pl.col("account").is_in(few.implode())))
    after = evaluator.evaluate(NOW_US, whole=True)
    assert before is not None
    assert after is not None
    assert after.population is before.population or "lab-a" in after.population.silent


@pytest.mark.parametrize("links_first", [True, False])
def test_links_that_came_before_everything_was_evaluated_wait_for_their_accounts(links_first: bool) -> None:
    """campaigns may be behind with activity alone: an evaluation of everything in between forgets no link."""
    world = World(4)
    benign_life(world, 900)
    campaign(world, "c", 60)
    activity, shared = world.activity(), world.shared()
    late = pl.col("account").is_in(world.truth().filter("truth")["account"].sort()[::5].implode())
    state = CampaignsState(NEVER)
    evaluator = Evaluator(NEVER, state)
    state.fold_activity(activity.filter(~late))
    state.fold_shared(shared if links_first else shared.filter(~late))
    first = evaluator.evaluate(NOW_US, whole=False)
    assert first is not None
    state.fold_activity(activity.filter(late))
    if not links_first:
        state.fold_shared(shared.filter(late))
    second = evaluator.evaluate(NOW_US, whole=True)
    assert second is not None
    assert second.population is first.population, "in parts"
    reference = state.evaluate(NOW_US).accounts.filter("flagged", late)["account"].to_list()
    assert len(reference) == 18
    assert second.accounts.filter("flagged", late)["account"].to_list() == reference


def test_who_spoke_against_accounts_that_their_party_vouches_for_loses_its_voice_within_the_hour() -> None:
    """Not with the next evaluation of everything, which may be five days away; nor is everything evaluated with every dispute."""
    world, state = world_of(4), CampaignsState(CampaignsConfig())
    evaluator = Evaluator(state.config, state)
    state.fold_activity(world.activity())
    state.fold_shared(world.shared())
    first = evaluator.evaluate(NOW_US, whole=False)
    assert first is not None
    flagged = first.accounts.filter("flagged")
    party = flagged["party"].mode().sort()[0]
    names = flagged.filter(party=party)["account_name"].to_list()
    state.fold_feedback([verdict(party, name, "DISPUTED") for name in names])
    soon, later = (evaluator.evaluate(NOW_US + minutes * 60_000_000, whole=True) for minutes in (1, 60))
    assert soon is not None
    assert later is not None
    assert soon.population is first.population
    assert later.population.trust == state.evaluate(NOW_US).population.trust
    assert min(later.population.trust.values()) < 1
    after = evaluator.evaluate(NOW_US + 180 * 60_000_000, whole=True)
    assert after is not None
    assert after.population is later.population


def test_a_plan_sees_all_bystanders_though_only_suspects_were_evaluated() -> None:
    """The links that a plan works on, and their holders, are those of the whole state."""
    world, state = world_of(5), CampaignsState(NEVER)
    used = pl.concat(world.links).filter(
        pl.col("account_name").str.starts_with("c-") & (pl.col("kind") == int(Kind.IP))
    )
    address, slot = used.group_by("value", "slot").len().sort("len", "value").select("value", "slot").row(-1)
    neighbours = world.add("neighbours", "lab-a", 30, age_days=(200, 400))
    world.link(neighbours, Kind.IP, np.repeat(address, 30), slot=slot)
    state.fold_activity(world.activity())
    state.fold_shared(world.shared())
    evaluator = Evaluator(NEVER, state)
    full = evaluator.evaluate(NOW_US, whole=False)
    part = evaluator.evaluate(NOW_US, whole=True)
    assert full is not None
    assert part is not None
    members = full.accounts.filter("flagged")
    reference = planning.shared_links(members, state.links.rows(), full.accounts)
    found = planning.shared_links(members, *evaluator.surroundings(members["account"], part))
    assert_frame_equal(found, reference, abs_tol=1e-5)
    outside = found.join(part.accounts, on="account", how="anti")
    assert outside.height > 0
