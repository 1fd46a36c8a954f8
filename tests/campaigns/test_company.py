"""Where communities are looked for, and over which links: less than all of the graph, with the same outcome."""

from dataclasses import replace
from unittest import mock

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.campaigns.test_loops import graph_of, links_of
from weaklink.campaigns import chains, verdict
from weaklink.campaigns.cluster import communities, in_company
from weaklink.campaigns.config import CampaignsConfig
from weaklink.campaigns.graph import Bools, Graph, Ints, with_links
from weaklink.campaigns.keys import Columns

SEEDS = st.integers(0, 2**32 - 1)
OFTEN = settings(max_examples=25, deadline=None)
CLUSTER = CampaignsConfig().cluster
LAX = CLUSTER.model_copy(
    update={"member_kinds": 1, "member_identifiers": 1, "accounts_min": 3, "sharing_min": 0.5, "pass_min": 0.2}
)


def joined(graph: Graph, hot: Bools) -> list[set[int]]:
    """By account, all hot accounts that links between hot ones join it to, itself among them; an account that is not hot: none."""
    found = [{i} if hot[i] else set[int]() for i in range(graph.n_accounts)]
    by_node: dict[int, set[int]] = {}
    for account, node, _ in links_of(graph):
        if hot[account]:
            by_node.setdefault(node, set()).add(account)
    for members in by_node.values():
        together = set.union(*(found[i] for i in members))
        for i in together:
            found[i] = together
    return found


@OFTEN
@given(SEEDS, st.integers(2, 8))
def test_accounts_in_company_are_joined_to_so_many_people(seed: int, persons_min: int) -> None:
    graph = graph_of(seed, accounts=40, nodes=30, links=50)
    hot = np.random.default_rng(seed).random(40) < 0.8
    people = chains.people(graph, 8)
    asked = in_company(graph, hot, people, persons_min)
    for account, others in enumerate(joined(graph, hot)):
        assert asked[account] == (len({people[i] for i in others}) >= persons_min)


@OFTEN
@given(SEEDS)
def test_numbers_of_people_have_no_gaps_and_ascend_by_their_first_accounts(seed: int) -> None:
    people = chains.people(graph_of(seed), 8)
    assert set(people.tolist()) == set(range(int(people.max()) + 1))
    first = np.unique(people, return_index=True)[1]
    assert (np.diff(first) > 0).all()


@OFTEN
@given(SEEDS)
def test_communities_keep_to_whom_they_are_asked_for_and_to_components(seed: int) -> None:
    graph = graph_of(seed, accounts=60, nodes=40, links=90)
    links, hot = np.arange(len(graph.account)), np.ones(60, bool)
    asked = in_company(graph, hot, chains.people(graph, 8), 5)
    labels = communities(graph, links, asked, CLUSTER)
    assert not (labels[~asked] >= 0).any()
    together = joined(graph, hot)
    for label in range(int(labels.max(initial=-1)) + 1):
        members = np.flatnonzero(labels == label)
        assert set(members.tolist()) <= together[members[0]]


@OFTEN
@given(SEEDS, st.floats(-1, 3))
def test_links_that_no_two_members_have_in_common_confirm_nobody(seed: int, b: float) -> None:
    """The tests say the same over all links as over those between members."""
    graph = graph_of(seed, accounts=40, nodes=20, links=120)
    rng = np.random.default_rng(seed)
    fragments: Ints = rng.integers(-1, 3, 40)
    standing = verdict.Standing(
        rng.normal(b, 1, 40),
        rng.random(40) < 0.7,
        rng.random(40) < 0.1,
        rng.random(40) < 0.6,
        np.ones(len(graph.parties), bool),
        chains.people(graph, 8),
    )
    some, scores = verdict.confirmed(graph, fragments, standing, LAX)
    with mock.patch.object(verdict, "_shared", lambda graph, _: np.arange(len(graph.account))):
        expected, expected_scores = verdict.confirmed(graph, fragments, standing, LAX)
    assert np.array_equal(some, expected)
    assert np.array_equal(scores.score, expected_scores.score)
    assert np.array_equal(scores.by_kind, expected_scores.by_kind)


def test_a_graph_with_some_of_its_links_knows_their_kinds_anew() -> None:
    graph = graph_of(7)
    every = graph.link_kind
    some = with_links(graph, np.arange(0, len(graph.account), 2))
    assert np.array_equal(some.link_kind, every[::2])
    assert replace(graph).link_kind.tolist() == every.tolist()


@given(st.lists(st.integers(0, 300), max_size=6))
def test_rows_that_were_never_written_hold_the_default(lengths: list[int]) -> None:
    columns, most = Columns({"count": np.int64(-1), "p": 0.5, "hot": False}), 0
    for length in lengths:
        columns.grow(length)
        columns["count"][most:] = 7 if length % 2 else -1
        written = columns["count"].copy()
        most = max(most, length)
        columns.grow(most + 1)
        most += 1
        assert columns["count"][:-1].tolist() == written.tolist()
        assert (columns["count"][-1], columns["p"][-1], columns["hot"][-1]) == (-1, 0.5, False)
