"""Components of rare hard identifiers: chains stand out, stars and percolating populations do not, and no liar can build one."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.campaigns.worlds import World
from weaklink.campaigns import chains
from weaklink.campaigns.config import CampaignsConfig
from weaklink.campaigns.graph import Floats, Graph, build_graph
from weaklink.campaigns.population import SizeTail
from weaklink.records.identifiers import IdentifierKind as Kind

CONFIG = CampaignsConfig().chains
RARE = SizeTail(np.array([1.0, 2.0, 3.0]), np.array([1.0, 0.1, 0.02, 0.0]))
"""A population in which only couples and trios share."""


def graph_of(world: World) -> tuple[Graph, pl.DataFrame]:
    accounts = world.truth().sort("account")
    return build_graph(accounts, world.shared().sort("identifier", "slot", "account"), 8), accounts


def weights(world: World, tail: SizeTail | None = None) -> dict[str, Floats]:
    """Evidence by name of the group; measured on the world itself without a tail."""
    graph, accounts = graph_of(world)
    sharing = chains.rare_sharing(graph, np.ones(len(graph.parties), bool), chains.people(graph, 8), CONFIG)
    tail = tail or chains.size_tail(chains.joined_persons(sharing))
    found = chains.chain_evidence(sharing, tail, CONFIG)
    groups = accounts["group"].to_numpy()
    return {str(group): found[groups == group] for group in np.unique(groups)}


def linked_in_a_row(world: World, name: str, n: int, parties: list[str]) -> None:
    """n accounts: a device in common with the one before, a card with the one after."""
    row = world.add(name, [parties[i % len(parties)] for i in range(n)], n)
    world.link(row, Kind.DEVICE, np.repeat(world.values(n), 2)[:n])
    world.link(row, Kind.CARD, np.repeat(world.values(n), 2)[1 : n + 1])


def households(world: World, n: int, size: int = 2) -> None:
    people = world.add("people", "lab-a", n)
    world.link(people, Kind.CARD, np.repeat(world.values(n), size)[:n])


def test_a_chain_at_one_party_stands_out_of_a_population_of_couples() -> None:
    """No two of its accounts share more than one identifier, and no identifier has more than two holders."""
    world = World()
    households(world, 1000)
    linked_in_a_row(world, "chain", 20, ["lab-a"])
    found = weights(world)
    assert found["chain"] == pytest.approx(CONFIG.chain_max)
    assert not found["people"].any()


def test_one_card_of_many_makes_no_chain() -> None:
    """An agency, a room of computers: large, but on identifiers of many holders."""
    world = World()
    households(world, 1000)
    agency = world.add("agency", "lab-a", 30)
    world.link(agency, Kind.CARD, np.repeat(world.values(1), 30))
    assert not weights(world)["agency"].any()


def test_where_honest_people_percolate_a_component_says_nothing() -> None:
    """The statistic is measured on the population, and loses its force by itself."""
    world = World()
    for i in range(40):
        linked_in_a_row(world, f"people{i}", 20, ["lab-a"])
    assert all(not values.any() for values in weights(world).values())


def test_one_person_with_accounts_everywhere_is_one_person() -> None:
    """Accounts on one e-mail address count once, at whichever parties they are."""
    world = World()
    parties = [f"lab-{i}" for i in range(6)]
    mine = world.add("me", parties, 6)
    world.link(mine, Kind.EMAIL, np.repeat(world.values(1), 6))
    world.link(mine, Kind.DEVICE, np.repeat(world.values(3), 2))
    world.link(mine, Kind.CARD, np.roll(np.repeat(world.values(3), 2), 1))
    assert not weights(world, RARE)["me"].any()


def test_a_chain_over_parties_counts_as_far_as_it_holds_without_any_of_them() -> None:
    """In a plain row of two parties, each is all that joins the other's accounts: it adds no more than its bound."""
    world = World()
    linked_in_a_row(world, "chain", 24, ["lab-a", "lab-b"])
    assert weights(world, RARE)["chain"] == pytest.approx(CONFIG.foreign_party_max)


@given(
    holdings=st.lists(st.tuples(st.integers(0, 29), st.integers(0, 24)), min_size=20, max_size=120, unique=True),
    liars=st.sets(st.integers(1, 3), min_size=1, max_size=2),
)
@settings(max_examples=60, deadline=None)
def test_what_members_that_lie_add_is_bounded(holdings: list[tuple[int, int]], liars: set[int]) -> None:
    """For every graph: an account's evidence is at most that without one foreign party's links and 1 more; without two's, and 2 more."""
    parties = np.arange(30) % 4

    def evidence(*, honest_only: bool) -> Floats:
        world = World()
        accounts = world.add("a", [f"lab-{p}" for p in parties], 30)
        values = world.values(25)
        for account, value in holdings:
            if not (honest_only and int(parties[account]) in liars):
                world.link(accounts[account], Kind.DEVICE, values[[value]])
        world.link(accounts[:2], Kind.TLS, np.repeat(world.values(1), 2))
        graph, frame = graph_of(world)
        everybody, unbounded = np.ones(len(graph.parties), bool), CONFIG.model_copy(update={"holders_max": 1000})
        sharing = chains.rare_sharing(graph, everybody, chains.people(graph, 8), unbounded)
        order = np.argsort([int(name.split("-")[1]) for name in frame["account_name"]])
        return chains.chain_evidence(sharing, RARE, CONFIG)[order]

    honest = ~np.isin(parties, list(liars))
    bound = evidence(honest_only=True) + CONFIG.foreign_party_max * len(liars)
    assert (evidence(honest_only=False)[honest] <= bound[honest] + 1e-6).all()
