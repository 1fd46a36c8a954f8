"""Every compiled loop against the plainest form of what it computes, on graphs drawn at random."""

from collections import Counter, defaultdict
from itertools import combinations
from math import log

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from weaklink.campaigns import (
    belief_loops,
    cluster_loops,
    component_loops,
    key_loops,
    region_loops,
    sum_loops,
    verdict_loops,
)
from weaklink.campaigns.config import CampaignsConfig
from weaklink.campaigns.graph import IS_HARD, KINDS, Bools, Floats, Graph, Ints, build_graph, paths
from weaklink.campaigns.propagate import across_parties, first_hand
from weaklink.records.identifiers import IdentifierKind as Kind

SEEDS = st.integers(0, 2**32 - 1)
OFTEN = settings(max_examples=25, deadline=None)
PARTIES = 4


def graph_of(seed: int, accounts: int = 30, nodes: int = 14, links: int = 70) -> Graph:
    """Some of whose accounts are one person, and some of whose nodes have holders that are only counted."""
    rng = np.random.default_rng(seed)
    kind = rng.choice([Kind.EMAIL, Kind.DEVICE, Kind.CARD, Kind.PHONE, Kind.IP, Kind.PROMPT, Kind.ORGANISATION], nodes)
    link = np.unique(rng.integers(0, nodes, links) * accounts + rng.integers(0, accounts, links))
    node, account = link // accounts, link % accounts
    unseen = rng.choice([0, 0, 0, 5], nodes)
    held = np.bincount(node, minlength=nodes) + unseen
    return build_graph(
        pl.DataFrame({"account": np.arange(accounts, dtype=np.uint64), "party": rng.choice([*"abcd"], accounts)}),
        pl.DataFrame(
            {
                "identifier": node.astype(np.uint64),
                "slot": np.zeros(len(node), np.int64),
                "account": account.astype(np.uint64),
                "kind": kind[node].astype(np.int64),
                "holders": held[node],
                "first_seen_us": np.zeros(len(node), np.int64),
                "last_seen_us": np.zeros(len(node), np.int64),
            }
        ),
        8,
    )


def links_of(graph: Graph) -> list[tuple[int, int, int]]:
    """(account, node, kind) of each link."""
    return list(zip(graph.account.tolist(), graph.node.tolist(), graph.link_kind.tolist(), strict=True))


@OFTEN
@given(st.lists(st.integers(0, 9)))
def test_rows_are_grouped_as_a_stable_sort_has_them(index: list[int]) -> None:
    starts, order = belief_loops.grouped(np.array(index, np.int64), 10)
    assert np.array_equal(order, np.argsort(np.array(index, np.int64), kind="stable"))
    assert np.array_equal(np.diff(starts), np.bincount(np.array(index, np.int64), minlength=10))


@OFTEN
@given(SEEDS)
def test_degrees_count_the_persons_that_hard_identifiers_are_shared_with(seed: int) -> None:
    graph = graph_of(seed)
    along = paths(graph)
    own_key, own, key, party, persons = belief_loops.sharing(
        along.starts, along.order, graph.node, graph.kind, IS_HARD, graph.group, along.first, graph.group_party,
        graph.group_persons, len(graph.parties),
    )  # fmt: skip
    expected, foreign = np.zeros(graph.n_accounts * KINDS), defaultdict[tuple[int, int], float](float)
    for account, node, kind in links_of(graph):
        for g in np.flatnonzero(graph.group_node == node):
            if IS_HARD[kind] and graph.group_party[g] == graph.party[account]:
                expected[account * KINDS + kind] += graph.group_persons[g] - 1
            elif IS_HARD[kind]:
                foreign[account * KINDS + kind, int(graph.group_party[g])] += graph.group_persons[g]
    assert np.array_equal(own_key, np.flatnonzero(expected))
    assert np.array_equal(own, expected[own_key])
    assert list(zip(zip(key.tolist(), party.tolist(), strict=True), persons.tolist(), strict=True)) == sorted(
        foreign.items()
    )


def group_q(graph: Graph, q: Floats, group: int, without: int = -1) -> float:
    """Sum over the persons of a group, one of them left out, of the mean q of their accounts in it."""
    held = [a for a, g in zip(graph.account.tolist(), graph.group.tolist(), strict=True) if g == group]
    of = defaultdict(list)
    for account in held:
        of[int(graph.person[account])].append(q[account])
    return float(graph.outside_q[group]) + sum(float(np.mean(some)) for p, some in of.items() if p != without)


@OFTEN
@given(SEEDS)
def test_belief_is_what_the_formulas_say(seed: int) -> None:
    """One round at first hand, with pi given and measured, and then across parties."""
    graph, rng = graph_of(seed), np.random.default_rng(seed)
    config = CampaignsConfig().belief.model_copy(update={"rounds": 1})
    prior, cleared, along = rng.normal(-1, 3, graph.n_accounts), rng.random(graph.n_accounts) < 0.2, paths(graph)
    q = 1 / (1 + np.exp(-prior))
    held = [{a for a, _, kind in links_of(graph) if kind == k} for k in range(KINDS)]
    pi = np.array([max(config.pi_floor, np.mean(q[sorted(h)]) if h else 0.0) for h in held])
    told = defaultdict[tuple[int, int], float](float)
    for (account, node, kind), g in zip(links_of(graph), graph.group.tolist(), strict=True):
        persons, cap = graph.group_persons[g], config.kind_caps.get(kind, 0.0)
        unseen = graph.unseen[node] * persons / graph.known[node]
        if persons > 1 and cap > 0 and not cleared[account]:
            others = group_q(graph, q, g, without=int(graph.person[account]))
            told[account, kind] += log((others + pi[kind] * (1 + unseen)) / (persons + unseen) / pi[kind])
    expected = prior.copy()
    for (account, kind), nats in told.items():
        expected[account] += config.damping * float(np.clip(nats, config.kind_floor, config.kind_caps[kind]))
    for given_pi in (pi, None):
        logit, _ = first_hand(graph, along, prior, cleared, config=config, pi=given_pi)
        assert logit == pytest.approx(expected, abs=2e-9)
    trusted = rng.random(len(graph.parties))
    abroad = _abroad(graph, logit, pi, trusted)
    assert across_parties(graph, along, logit, pi, config, trusted=trusted) == pytest.approx(abroad, abs=2e-9)


def _abroad(graph: Graph, logit: Floats, pi: Floats, trusted: Floats) -> list[float]:
    config, q = CampaignsConfig().belief, 1 / (1 + np.exp(-logit))
    total, soft = defaultdict[tuple[int, int], float](float), defaultdict[tuple[int, int], float](float)
    for account, node, kind in links_of(graph):
        for g in np.flatnonzero((graph.group_node == node) & (graph.group_party != graph.party[account])):
            persons = graph.group_persons[g]
            unseen = graph.unseen[node] * persons / graph.known[node]
            nats = log((group_q(graph, q, int(g)) + pi[kind] * (1 + unseen)) / (persons + unseen + 1) / pi[kind])
            total[account, int(graph.group_party[g])] += nats
            soft[account, int(graph.group_party[g])] += 0.0 if IS_HARD[kind] else nats
    result = []
    for account in range(graph.n_accounts):
        softly = hardly = 0.0
        for (a, party), nats in total.items():
            if a == account:
                part = float(np.clip(soft[a, party], *config.foreign_clip))
                softly += part * trusted[party]
                hardly += (float(np.clip(nats, *config.foreign_clip)) - part) * trusted[party]
        result.append(float(logit[account]) + min(softly, config.foreign_soft_max) + hardly)
    return result


def labels_of(graph: Graph, seed: int, n: int = 3) -> Ints:
    return np.random.default_rng(seed + 1).integers(-1, n, graph.n_accounts)


@OFTEN
@given(SEEDS)
def test_support_is_what_others_of_the_community_share(seed: int) -> None:
    graph, rng = graph_of(seed), np.random.default_rng(seed)
    labels, evidenced = labels_of(graph, seed), rng.random(graph.n_accounts) < 0.5
    credible = rng.random(len(graph.parties)) < 0.7
    links, part, part_node, part_label = verdict_loops.parts(graph.account, graph.node, labels, graph.person, 3)
    assert np.array_equal(part_node[part], graph.node[links])
    assert np.array_equal(part_label[part], labels[graph.account[links]])
    found = verdict_loops.support(
        graph.account[links], part, graph.kind[part_node], graph.party, len(graph.parties), IS_HARD, evidenced, credible
    )
    of_node = defaultdict(set)
    for account, node, _ in links_of(graph):
        of_node[node].add(account)
    for account in range(graph.n_accounts):
        kinds, identifiers, parties = set(), 0, set()
        for a, node, kind in links_of(graph):
            mates = [o for o in of_node[node] if labels[o] == labels[a]]
            if a != account or labels[a] < 0 or len({int(graph.person[o]) for o in mates}) < 2:
                continue
            kinds.add(kind)
            identifiers += 1
            speak = {int(graph.party[o]) for o in mates if o != a and evidenced[o]}
            parties |= {p for p in speak if credible[p] or p == graph.party[a]}
        hard, own = any(IS_HARD[k] for k in kinds), int(graph.party[account]) in parties
        assert [column[account] for column in found] == [len(kinds), identifiers, hard, own, len(parties)]


@OFTEN
@given(SEEDS)
def test_ties_to_communities_are_counted_by_kind(seed: int) -> None:
    """Accounts that are linked into other fragments, and the community that each outsider is tied to most."""
    graph, rng = graph_of(seed), np.random.default_rng(seed)
    labels, evidenced = labels_of(graph, seed), rng.random(graph.n_accounts) < 0.5
    asked, parties, width = rng.random(len(graph.kind)) < 0.8, len(graph.parties), len(graph.account) + 1
    first, label, accounts, proven = cluster_loops.node_parts(
        graph.account, graph.node, labels, asked, graph.party, evidenced, 3, parties
    )
    held, sees = Counter[tuple[int, int]](), defaultdict[tuple[int, int], set[int]](set)
    for account, node, _ in links_of(graph):
        if labels[account] >= 0 and asked[node]:
            held[node, int(labels[account])] += 1
            sees[node, int(labels[account])] |= {int(graph.party[account])} if evidenced[account] else set()
    rows = [(v, int(label[i])) for v in range(len(graph.kind)) for i in range(first[v], first[v + 1])]
    assert dict(zip(rows, accounts.tolist(), strict=True)) == held
    assert [set(np.flatnonzero(row)) for row in proven.reshape(-1, parties)] == [sees[row] for row in rows]
    weights = np.where(np.arange(width) > 0, rng.integers(1, 9, (KINDS, 1)) / 4 * np.arange(width), 0.0)
    on_node = Counter[int]()
    for (node, _), many in held.items():
        on_node[node] += many
    linked: defaultdict[tuple[int, int], Counter[int]] = defaultdict(Counter)
    tied: defaultdict[tuple[int, int], Counter[int]] = defaultdict(Counter)
    vouched = defaultdict[tuple[int, int], set[int]](set)
    for account, node, kind in links_of(graph):
        for (v, to), many in held.items():
            if v != node:
                continue
            supported = int(graph.party[account]) in sees[v, to] or len(sees[v, to]) >= 2
            if labels[account] >= 0 and labels[account] != to and many / on_node[v] >= 0.4 and supported:
                linked[account, to][kind] += 1
            if labels[account] < 0:
                tied[account, to][kind] += 1
                vouched[account, to] |= sees[v, to]
    weigh = {row: sum(weights[k, n] for k, n in many.items()) for row, many in (linked | tied).items()}
    starts, order = belief_loops.grouped(graph.account, graph.n_accounts)
    one, other = cluster_loops.linked_into(
        starts, order, graph.node, graph.kind, labels, graph.party, first, label, accounts, proven,
        weights.reshape(-1), KINDS, 3, 2, 0.4, 1.0,
    )  # fmt: skip
    expected = Counter((int(labels[a]), to) for a, to in linked if weigh[a, to] >= 1.0)
    assert Counter(zip(one.tolist(), other.tolist(), strict=True)) == expected
    strong = np.repeat(IS_HARD, width) & (np.tile(np.arange(width), KINDS) > 0)
    most = cluster_loops.tied_most(
        starts, order, graph.node, graph.kind, np.flatnonzero(labels < 0), graph.party, first, label, proven,
        strong, weights.reshape(-1), IS_HARD, 3,
    )  # fmt: skip
    best = {a: min((-weigh[b, to], to) for b, to in tied if b == a)[1] for a, _ in tied}
    rows_most = list(zip(*(column.tolist() for column in most), strict=True))
    assert sorted(best) == [row[0] for row in rows_most]
    for account, to, weight, is_strong, hard_kinds, identifiers, own, speaking in rows_most:
        hard = sum(bool(IS_HARD[k]) for k in tied[account, to])
        assert to == best[account]
        assert weight == pytest.approx(weigh[account, to])
        assert (is_strong, hard_kinds, identifiers) == (hard > 0, hard, sum(tied[account, to].values()))
        assert own == (int(graph.party[account]) in vouched[account, to])
        assert speaking == len(vouched[account, to])


@OFTEN
@given(SEEDS, st.integers(1, 40), st.integers(0, 40))
def test_components_are_those_of_scipy(seed: int, size: int, edges: int) -> None:
    one, other = np.random.default_rng(seed).integers(0, size, (2, edges))
    expected = connected_components(coo_matrix((np.ones(edges), (one, other)), shape=(size, size)), directed=False)[1]
    found = component_loops.components(size, one, other)
    assert len(np.unique(found * size + expected)) == len(np.unique(found)) == len(np.unique(expected))
    assert list(dict.fromkeys(found.tolist())) == list(range(int(found.max()) + 1))


@OFTEN
@given(SEEDS)
def test_what_two_parties_join_is_bounded_by_what_is_left_without_them(seed: int) -> None:
    """Every party and pair of parties is left out of everything, whether the component has rows of it or not."""
    rng = np.random.default_rng(seed)
    persons, nodes, rows = 20, 12, 40
    person, node, party = rng.integers(0, persons, rows), rng.integers(0, nodes, rows), rng.integers(0, PARTIES, rows)
    person_of, party_of = rng.integers(0, persons, 25), rng.integers(0, PARTIES, 25)
    weight, left_out = np.sort(rng.random(persons + 1) * 3), rng.random(PARTIES) < 0.8

    def sizes(kept: Bools) -> Ints:
        label = component_loops.components(persons + nodes, person[kept], persons + node[kept])[:persons]
        return np.bincount(label)[label]

    everything = np.ones(rows, bool)
    result = weight[sizes(everything)][person_of]
    expected = result.copy()
    for many in (1, 2):
        for out in combinations(np.flatnonzero(left_out).tolist(), many):
            bound = weight[sizes(~np.isin(party, out))][person_of] + 0.4 * many
            expected = np.where(np.isin(party_of, out), expected, np.minimum(expected, bound))
    label = component_loops.components(persons + nodes, person, persons + node)
    component_loops.bound_by_parties(
        result, person, node, party, persons, nodes, *belief_loops.grouped(label[person], len(label)),
        *belief_loops.grouped(label[person_of], len(label)), person_of, party_of, left_out, weight, 0.4,
    )  # fmt: skip
    assert np.array_equal(result, expected)


def in_layers(rng: np.random.Generator, keys: Ints) -> tuple[Ints, Ints]:
    """Sorted keys, each in one of two layers."""
    recent = rng.random(len(keys)) < 0.3
    return keys[~recent], keys[recent]


@OFTEN
@given(SEEDS, st.integers(1, 300), st.integers(0, 60))
def test_distinct_values_and_the_ends_of_links_are_those_of_numpy(seed: int, size: int, many: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.integers(0, size, many)
    assert np.array_equal(key_loops.unique(values, size), np.unique(values))
    at = np.sort(rng.integers(0, many + 1, 7))
    assert np.array_equal(key_loops.inserted(values, at, at + 100), np.insert(values, at, at + 100))
    halves = key_loops.inserted(values.astype(np.int32), at, (at + 100).astype(np.int32))
    assert halves.dtype == np.int32
    assert np.array_equal(halves, np.insert(values, at, at + 100))
    other = rng.integers(0, 50, many)
    keys = np.unique(values << key_loops.ENDS_BITS | other)
    asked = rng.integers(0, size, 10)
    found, each = key_loops.ends(*in_layers(rng, keys), asked)
    expected = [np.unique(other[values == number]) for number in asked]
    assert each.tolist() == [len(some) for some in expected]
    for some, these in zip(expected, np.split(found, np.cumsum(each)[:-1]), strict=True):
        assert np.array_equal(np.sort(these), some)


@OFTEN
@given(SEEDS)
def test_reach_follows_links_for_so_many_rounds(seed: int) -> None:
    """Accounts in a round are those on the joining nodes of the round before; the last are not followed."""
    graph, rng = graph_of(seed, links=40), np.random.default_rng(seed)
    bits, start = key_loops.ENDS_BITS, np.unique(rng.integers(0, 30, 3))
    joins, rounds = IS_HARD.copy(), int(rng.integers(1, 4))
    holders = graph.known + graph.unseen.astype(np.int64)
    by_account = in_layers(rng, np.sort(graph.account << bits | graph.node))
    by_node = in_layers(rng, graph.node << bits | graph.account)
    found, followed, one, other = region_loops.reach(
        start, *by_account, *by_node, graph.kind, holders, graph.known, joins, 6, rounds, 30
    )
    usable = [(a, v) for a, v, kind in links_of(graph) if joins[kind] and holders[v] <= 6]
    known, front, links = set(start.tolist()), set(start.tolist()), set()
    for _ in range(rounds):
        links |= {(a, v) for a, v in usable if a in front}
        front = {a for a, v in usable if v in {v for _, v in links}} - known
        known |= front
    assert sorted(found.tolist()) == sorted(known)
    assert set(found[followed:].tolist()) == front
    assert len(one) == len(links)
    node_at = [{v for a, v in links if a == account} for account in found.tolist()]
    met = {(int(a), int(v)) for a, v in zip(one, other, strict=True)}
    assert [len(some) for some in node_at] == [sum(a == i for a, _ in met) for i in range(len(found))]


@OFTEN
@given(SEEDS)
def test_a_group_is_news_when_its_word_to_one_of_its_holders_moved(seed: int) -> None:
    """With the holder's own q left out, which lies between 0 and 1; of hard identifiers also when it grew by a quarter, as a logarithm."""
    rng, groups, unit = np.random.default_rng(seed), 40, float(1 << 40)
    node, kind = rng.integers(0, 20, groups), rng.choice([Kind.CARD, Kind.PROMPT], 20).astype(np.int64)
    known, pi = rng.integers(0, 4, 20), np.full(KINDS, 0.02)
    persons, told_persons = rng.integers(0, 6, groups), rng.integers(0, 6, groups)
    q, told_q = (np.rint(rng.choice([0.0, 0.01, 0.9, 1.7], groups) * unit).astype(np.int64) for _ in range(2))
    now = np.where(rng.random(groups) < 0.5, told_persons, persons)  # half of them did not grow

    def word(others: float, holders: float) -> float:
        return float(np.clip(log((max(others, 0) + 0.02) / holders / 0.02), -0.3, 2.5))

    expected, amounts = [], []
    for g in range(groups):
        size, before = max(now[g], 1), max(told_persons[g], 1)
        moved = [abs(word(q[g] / unit - less, size) - word(told_q[g] / unit - less, before)) for less in (0.0, 1.0)]
        grown = IS_HARD[kind[node[g]]] and abs(log(size / before)) > 0.25
        most = max(*moved, 1.0 if grown else 0.0)
        if known[node[g]] > 1 and most > 0.05 and (now[g] != told_persons[g] or q[g] != told_q[g]):
            expected.append(g)
            amounts.append(most)
    asked = np.arange(groups)
    told = (told_persons.copy(), told_q.copy())
    found, by = sum_loops.news(asked, node, now, q, *told, known, kind, IS_HARD, pi, 0.05, 0.25, -0.3, 2.5, unit)
    assert found.tolist() == expected
    assert np.allclose(by, amounts)
    assert np.array_equal(told[0][found], now[found])
    assert np.array_equal(told[1][found], q[found])
    again, _ = sum_loops.news(asked, node, now, q, *told, known, kind, IS_HARD, pi, 0.05, 0.25, -0.3, 2.5, unit)
    assert not len(again)


@OFTEN
@given(SEEDS)
def test_what_an_account_hears_adds_up_until_it_can_move_its_p(seed: int) -> None:
    """Certain accounts, cold or hot, hear more before they reckon anew; those that are settled hear nothing."""
    graph, rng = graph_of(seed, links=40), np.random.default_rng(seed)
    n, nodes = graph.n_accounts, rng.permutation(len(graph.kind))[:6].astype(np.int64)
    p, settled, moved = rng.choice([0.001, 0.3, 0.97], n), rng.random(n) < 0.2, rng.choice([0.06, 1.0], len(nodes))
    keys, unheard = graph.node << key_loops.ENDS_BITS | graph.account, rng.choice([0.0, 0.05], n)
    before = unheard.copy()
    found = sum_loops.hear(nodes, moved, *in_layers(rng, keys), p, settled, unheard, 0.02)
    heard = np.zeros(n)
    for node, amount in zip(nodes, moved, strict=True):
        heard[graph.account[graph.node == node]] += amount
    enough = ~settled & (heard > 0) & ((before + heard) * p * (1 - p) >= 0.02)
    assert found.tolist() == np.flatnonzero(enough).tolist()
    rest = ~enough & ~settled
    assert np.allclose(unheard[rest], (before + heard)[rest])
    assert np.array_equal(unheard[settled], before[settled])


@OFTEN
@given(SEEDS)
def test_what_others_have_and_what_is_added_to_sums_is_as_arrays_have_it(seed: int) -> None:
    rng, many = np.random.default_rng(seed), 30
    groups, nodes = (rng.permutation(many)[:12].astype(np.int64) for _ in range(2))
    persons, q, benign, p = (rng.integers(5, 99, many) for _ in range(4))
    mine = [rng.integers(0, 5, 12) for _ in range(4)]
    mine[1][mine[0] == 0] = mine[2][mine[0] == 0] = 0  # where there is nobody, there is nothing
    everybody = rng.integers(0, 9, 12)
    one_persons, one_q, one_benign, one_p = mine
    found = sum_loops.outside(
        groups, persons, q, benign, nodes, p, one_persons, one_q, one_benign, one_p, everybody, 4.0
    )
    expected = (
        persons[groups] - mine[0] + everybody,
        (q[groups] - mine[1]) / 4,
        benign[groups] - mine[2],
        (p[nodes] - mine[3]) / 4,
    )
    for one, other in zip(found, expected, strict=True):
        assert np.array_equal(one, other)
    for sign in (-1, 1):
        after = [column.copy() for column in (persons, q, benign, p)]
        sum_loops.add(
            groups, after[0], after[1], after[2], nodes, after[3], one_persons, one_q, one_benign, one_p, sign
        )
        for column, before, at, more in zip(
            after, (persons, q, benign, p), (groups, groups, groups, nodes), mine, strict=True
        ):
            changed = before.copy()
            changed[at] += sign * more
            assert np.array_equal(column, changed)
