"""Streams without conduct: rings are found by rare sharing at about the same time, and only where a stream has nothing else."""

import numpy as np
import polars as pl
import pytest

from tests.campaigns.test_method import NOW_US, evaluated, state_of
from tests.campaigns.worlds import DAY_US, START_US, World, benign_life, campaign
from weaklink.campaigns.cluster import NONE
from weaklink.campaigns.cluster_config import RingsConfig
from weaklink.campaigns.config import CampaignsConfig
from weaklink.campaigns.graph import Graph, build_graph
from weaklink.campaigns.population import RingPopulation
from weaklink.campaigns.rings import Rings, parties_without_conduct, rings
from weaklink.records.identifiers import IdentifierKind as Kind

CLUSTER = CampaignsConfig().cluster
CONFIG = RingsConfig()


def payers(seed: int) -> World:
    """2,000 payers of which a few share a card, and three rings of twelve that share a card and a bank account."""
    world = World(seed)
    people = world.add("p", "pay-z", 2000, windows=(0, 0))
    world.link(
        people,
        Kind.CARD,
        np.where(world.rng.random(2000) < 0.05, world.rng.integers(0, 500, 2000), world.values(2000) + 1000),
    )
    world.link(people, Kind.BANK_ACCOUNT, np.repeat(world.values(1) + 10_000, 2000))
    for ring in range(3):
        members = world.add(f"ring{ring}", "pay-z", 12, truth=True, windows=(0, 0))
        world.link(members, Kind.CARD, np.repeat(world.values(1) + 20_000, 12))
        world.link(members, Kind.BANK_ACCOUNT, np.repeat(world.values(1) + 30_000, 12))
    return world


def test_rings_are_found_without_any_usage() -> None:
    """Three rings of twelve, each one community; a bank account that all share joins nobody."""
    evaluation, accounts = evaluated(payers(1))
    found = accounts.filter("flagged")
    assert found["truth"].all()
    assert found.height == 36
    assert evaluation.communities["ring"].all()
    assert found.group_by("community").len()["len"].to_list() == [12, 12, 12]


def test_a_payment_party_beside_labs_with_usage_is_judged_by_their_evidence_alone() -> None:
    """Where labs report conduct, sharing at a payment party alone flags nobody."""
    world = World(2)
    benign_life(world, 3000)
    campaign(world, "c", 40)
    evaluation = state_of(world).evaluate(NOW_US)
    assert not evaluation.communities["ring"].any()


def test_what_few_accounts_without_usage_share_is_no_campaign() -> None:
    """A stream that has only begun: too few accounts to tell rings from chance by, and sharing alone is nobody's evidence."""
    world = World(4)
    people = world.add("p", "pay-z", 150, windows=(0, 0))
    world.link(people, Kind.CARD, world.values(150))
    customers = world.add("q", "pay-z", 50, windows=(0, 0))
    for kind in (Kind.CARD, Kind.BANK_ACCOUNT, Kind.DEVICE, Kind.PHONE):  # of a counter and its branches, say
        world.link(customers, kind, world.rng.integers(0, 12, 50) + world.values(1) + 10_000)
    _, accounts = evaluated(world)
    assert not accounts["flagged"].any()


def test_identifiers_with_too_many_pairs_are_left_out_rather_than_memory() -> None:
    """pairs_max is a bound: with none allowed there are no rings, and nothing fails."""
    world = payers(3)
    state = state_of(world)
    graph = build_graph(state.accounts(NOW_US), state.links.rows(), 8)
    unused = np.zeros(graph.n_accounts, bool)
    assert parties_without_conduct(graph, unused, RingsConfig()).all()
    found = rings(graph, unused, NOW_US, cluster=CLUSTER, config=RingsConfig(pairs_max=0))
    assert found.judged.all()
    assert (found.labels == NONE).all()
    assert not found.score.any()


def stream(seed: int, rings_of: tuple[int, ...] = (), *, accounts: int = 4000) -> pl.DataFrame:
    """Links of strangers over 90 days, who use popular counters, half of them two at a time, and of rings opened within a day.

    Columns account, identifier, at_us, ring (-1: none). Each ring is paid out of a chain of its own wallets of three accounts each.
    """
    rng = np.random.default_rng(seed)
    popular = rng.zipf(1.5, 4 * accounts) % 3000
    account = np.concatenate((np.arange(accounts), rng.integers(0, accounts, 3 * accounts)))
    identifier, ring = popular, np.full(len(account), -1)
    at = (rng.uniform(0, 90, accounts) * DAY_US).astype(np.int64)
    for number, size in enumerate(rings_of):
        members = accounts + sum(rings_of[:number]) + np.arange(size)
        at = np.concatenate((at, ((rng.uniform(5, 85) + rng.uniform(0, 0.5, size)) * DAY_US).astype(np.int64)))
        account = np.concatenate((account, np.repeat(members, 3), members))
        wallets = 10_000 * (number + 1) + (np.arange(size)[:, None] + np.arange(3)) % size
        identifier = np.concatenate((identifier, wallets.reshape(-1), rng.zipf(1.5, size) % 3000))
        ring = np.concatenate((ring, np.full(4 * size, number)))
    frame = pl.DataFrame({"account": account, "identifier": identifier, "ring": ring}).unique(["account", "identifier"])
    return frame.with_columns(pl.Series("at_us", START_US + at[frame["account"].to_numpy()])).sort(
        "identifier", "account"
    )


def graph_of(links: pl.DataFrame) -> Graph:
    """One party's graph of `stream`'s rows."""
    shared = links.select(
        pl.col("identifier").cast(pl.UInt64),
        pl.lit(0, pl.UInt16).alias("slot"),
        pl.col("account").cast(pl.UInt64),
        pl.lit(int(Kind.CARD), pl.UInt8).alias("kind"),
        pl.col("at_us").alias("first_seen_us"),
        pl.col("at_us").alias("last_seen_us"),
        pl.len().over("identifier").cast(pl.UInt32).alias("holders"),
    ).filter(pl.col("holders") > 1)
    accounts = pl.DataFrame({"account": links["account"].cast(pl.UInt64).unique().sort()}).with_columns(
        pl.lit("pay-z").alias("party")
    )
    return build_graph(accounts, shared, 8)


def found_in(graph: Graph, config: RingsConfig = CONFIG, known: RingPopulation | None = None) -> Rings:
    """Rings at the end of the stream."""
    unused = np.zeros(graph.n_accounts, bool)
    return rings(graph, unused, START_US + 90 * DAY_US, cluster=CLUSTER, config=config, known=known)


@pytest.mark.parametrize("seed", range(5))
def test_where_there_is_nothing_but_chance_nobody_is_in_a_ring(seed: int) -> None:
    """Strangers who meet at popular counters are no rings, however many they are."""
    assert (found_in(graph_of(stream(seed))).labels == NONE).all()


@pytest.mark.parametrize("seed", range(3))
def test_rings_among_strangers_are_found_and_kept_apart(seed: int) -> None:
    """Rings opened within hours and held together by wallets of three accounts each are found whole; strangers stay out."""
    links = stream(seed, (20, 30, 40, 50))
    graph = graph_of(links)
    found = found_in(graph)
    truth = np.full(graph.n_accounts, -1)
    truth[np.searchsorted(graph.accounts, links["account"].to_numpy())] = links["ring"].to_numpy()
    members = found.labels != NONE
    assert (truth[members] >= 0).mean() >= 0.97
    assert members[truth >= 0].mean() >= 0.95
    for label in np.unique(found.labels[members]):
        assert len(np.unique(truth[(found.labels == label) & (truth >= 0)])) == 1


def test_a_ring_larger_than_accounts_max_is_cut_into_pieces_and_loses_nobody() -> None:
    """A ring of 400 becomes several of at most 150, none of them below the least size."""
    found = found_in(graph_of(stream(7, (400,))))
    sizes = np.bincount(found.labels[found.labels != NONE])
    assert 380 <= sizes.sum() <= 420
    assert sizes.max() <= CONFIG.accounts_max
    assert sizes.min() >= CONFIG.accounts_min


def test_one_card_that_all_share_is_an_organisation() -> None:
    """Thirty accounts opened in one hour on one card and nothing else in common are no ring; on two cards each, they are."""
    world = stream(3, (20, 30, 40, 50))
    office = pl.DataFrame({"account": np.arange(6000, 6030), "identifier": 900_000, "ring": 9}).with_columns(
        (pl.lit(START_US + 40 * DAY_US) + pl.col("account") % 60 * 60_000_000).alias("at_us")
    )
    second = office.with_columns(pl.lit(900_001, pl.Int32).alias("identifier"))
    for frame, expected in ((office, False), (pl.concat([office, second]), True)):
        links = pl.concat([world, frame.cast(world.schema).select(world.columns)]).sort("identifier", "account")
        graph = graph_of(links)
        assert (found_in(graph).labels[graph.accounts >= 6000] != NONE).all() == expected
        assert (found_in(graph).labels[graph.accounts >= 6000] != NONE).any() == expected


def test_a_measured_population_gives_the_same_rings_again() -> None:
    """Held against the population that was measured on them, accounts get the same rings and scores."""
    graph = graph_of(stream(4, (20, 30)))
    first = found_in(graph)
    again = found_in(graph, known=first.population)
    assert (first.labels == again.labels).all()
    assert (first.score == again.score).all()


def test_links_that_nobody_has_used_for_long_tie_nobody() -> None:
    """After `window_days` without use a ring's links count no more."""
    graph = graph_of(stream(4, (20, 30)))
    late = START_US + int((90 + CONFIG.window_days + 1) * DAY_US)
    found = rings(graph, np.zeros(graph.n_accounts, bool), late, cluster=CLUSTER, config=CONFIG)
    assert (found.labels == NONE).all()
