"""Streams without conduct: rings are found by rare sharing at about the same time, and only where a stream has nothing else."""

import numpy as np

from tests.campaigns.test_method import NOW_US, evaluated, state_of
from tests.campaigns.worlds import World, benign_life, campaign
from weaklink.campaigns.config import CampaignsConfig, RingsConfig
from weaklink.campaigns.graph import build_graph
from weaklink.campaigns.rings import parties_without_conduct, rings
from weaklink.records.identifiers import IdentifierKind as Kind


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


def test_identifiers_with_too_many_pairs_are_left_out_rather_than_memory() -> None:
    """pairs_max is a bound: with none allowed there are no rings, and nothing fails."""
    world = payers(3)
    state = state_of(world)
    graph = build_graph(state.accounts(NOW_US), state.links.rows(), 8)
    parties = parties_without_conduct(graph, np.zeros(graph.n_accounts, bool), RingsConfig())
    assert parties.all()
    labels = rings(graph, parties, CampaignsConfig().cluster, RingsConfig(pairs_max=0))
    assert (labels == -1).all()
