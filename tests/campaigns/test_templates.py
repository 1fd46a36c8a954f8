"""Pieces of a campaign are one by a template of their own; published ones and teams on one card are not joined."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.campaigns.worlds import World
from weaklink.campaigns.cluster import NONE
from weaklink.campaigns.config import CampaignsConfig
from weaklink.campaigns.graph import Graph, Ints, build_graph
from weaklink.campaigns.templates import hangers_on, reunited
from weaklink.campaigns.verdict import support
from weaklink.records.identifiers import IdentifierKind as Kind

CONFIG = CampaignsConfig().cluster.templates
BANDS = 3
SIZE = 6


def pieces(world: World, n: int, *, bands: int = BANDS, outside: int = 0, share: float = 1.0) -> tuple[Graph, Ints]:
    """n pieces of SIZE accounts (labels 0 to n - 1) and `outside` others (NONE), `share` of each piece and all others on one template."""
    inside = world.add("inside", "lab-a", n * SIZE)
    others = world.add("others", "lab-a", outside) if outside else None
    for value in world.values(bands):
        on = np.tile(np.arange(SIZE) < share * SIZE, n)
        world.link(inside, Kind.PROMPT, np.where(on, value, -1))
        if others is not None:
            world.link(others, Kind.PROMPT, np.full(outside, value))
    accounts = world.truth().sort("account")
    graph = build_graph(accounts, world.shared().sort("identifier", "slot", "account"), 8)
    number = accounts["account_name"].str.extract(r"(\d+)$").cast(int).to_numpy()
    return graph, np.where(accounts["group"] == "inside", number // SIZE, NONE).astype(np.int64)


def test_pieces_are_one_by_a_template_of_their_own() -> None:
    """They share nothing else, and every account is in one piece afterwards."""
    graph, labels = pieces(World(), 4)
    found = reunited(graph, labels, np.full(4, 2.0), CONFIG)
    assert set(found.tolist()) == {0}


def test_a_published_template_joins_nobody() -> None:
    """It has as many holders elsewhere."""
    graph, labels = pieces(World(), 4, outside=4 * SIZE + 1)
    found = reunited(graph, labels, np.full(4, 2.0), CONFIG)
    assert np.array_equal(found, labels)


def test_teams_on_one_card_are_not_joined_by_their_template() -> None:
    """Their sharing E is near 0: nothing of it is in many groups."""
    graph, labels = pieces(World(), 4)
    assert np.array_equal(reunited(graph, labels, np.full(4, 0.5), CONFIG), labels)


def test_two_pieces_with_one_template_may_be_two_operators() -> None:
    """Three are a chain's."""
    graph, labels = pieces(World(), 2)
    assert np.array_equal(reunited(graph, labels, np.full(2, 2.0), CONFIG), labels)


def test_a_team_does_not_come_in_with_pieces_that_do_share() -> None:
    """The template is theirs, and the team stays apart from it."""
    graph, labels = pieces(World(), 4)
    found = reunited(graph, labels, np.array([2.0, 2.0, 2.0, 0.5]), CONFIG)
    assert len(set(found[labels < 3].tolist())) == 1
    assert set(found[labels == 3].tolist()).isdisjoint(found[labels < 3].tolist())


@pytest.mark.parametrize(("bands", "share"), [(1, 1.0), (BANDS, 1 / SIZE)])
def test_one_band_or_few_accounts_are_no_tie(bands: int, share: float) -> None:
    """One band in common is chance; one account of a piece says nothing of the others."""
    graph, labels = pieces(World(), 8, bands=bands, share=share)
    assert np.array_equal(reunited(graph, labels, np.full(8, 2.0), CONFIG), labels)


@given(n=st.integers(1, 6), outside=st.integers(0, 40), sharing=st.lists(st.floats(0, 4), min_size=6, max_size=6))
@settings(max_examples=30, deadline=None)
def test_pieces_are_only_ever_joined_whole(n: int, outside: int, sharing: list[float]) -> None:
    """Nobody leaves a piece, nobody comes in from outside, whatever the numbers are."""
    graph, labels = pieces(World(), n, outside=outside)
    found = reunited(graph, labels, np.array(sharing[:n]), CONFIG)
    assert np.array_equal(found == NONE, labels == NONE)
    assert all(len(set(found[labels == piece].tolist())) == 1 for piece in range(n))


@pytest.mark.parametrize(
    ("hot", "outside", "joins"),
    [(True, 4, True), (False, 4, False), (True, 100, False)],
    ids=["hot", "cold", "published"],
)
def test_hot_accounts_join_a_community_by_its_own_template(hot: bool, outside: int, joins: bool) -> None:
    """Where nobody else has it; what is not believed of an account no template makes true."""
    graph, labels = pieces(World(), 2, outside=outside)
    outsiders = np.flatnonzero(labels == NONE)
    members = np.where(labels == NONE, NONE, 7)
    believed = np.zeros(len(labels), bool)
    believed[outsiders[:4]] = hot
    account, label = hangers_on(graph, members, believed, CONFIG)
    assert account.tolist() == (outsiders[:4].tolist() if joins else [])
    assert label.tolist() == [7] * len(account)


@pytest.mark.parametrize(
    ("outside", "ties"), [(4 * 2 * SIZE - 1, BANDS), (4 * 2 * SIZE + 1, 0)], ids=["own", "published"]
)
def test_a_published_template_ties_no_member_to_its_community(outside: int, ties: int) -> None:
    """At a share of a fifth it counts, below it does not; an address or a card beside it must do without it."""
    graph, labels = pieces(World(), 2, outside=outside)
    members = np.where(labels == NONE, NONE, 0)
    nobody, all_parties = np.zeros(len(labels), bool), np.ones(len(graph.parties), bool)
    found = support(graph, members, nobody, all_parties, template_members_min=0.2)
    assert set(found.identifiers[members == 0].tolist()) == {ties}
