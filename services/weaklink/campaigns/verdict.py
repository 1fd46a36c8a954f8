"""The tests that decide: which accounts belong to a community, and which communities are campaigns."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from weaklink.campaigns import verdict_loops
from weaklink.campaigns.cluster import NONE, merge_fragments, split_by_firm_ties
from weaklink.campaigns.cluster_config import ClusterConfig
from weaklink.campaigns.component_loops import components
from weaklink.campaigns.graph import IS_HARD, KINDS, Bools, Floats, Graph, Ints, counts, distinct, sums, with_links
from weaklink.campaigns.templates import reunited
from weaklink.records.identifiers import IdentifierKind

SHARING_KINDS: Final = (
    IdentifierKind.DEVICE,
    IdentifierKind.PHONE,
    IdentifierKind.CARD,
    IdentifierKind.BANK_ACCOUNT,
)
_IS_SHARING: Final[Bools] = np.isin(np.arange(KINDS), SHARING_KINDS)


@dataclass(frozen=True, slots=True)
class Standing:
    """What the tests know of each account: conduct, usage, verification, own evidence."""

    b: Floats
    used: Bools
    organisation: Bools
    evidenced: Bools
    credible: Bools
    """By party of the graph: whether its evidence counts at others (`reporters`)."""
    people: Ints
    """`chains.people`: somebody's accounts at several parties are no crowd."""


@dataclass(frozen=True, slots=True)
class Support:
    """What ties each account to its community. `parties`: those whose evidenced members share an identifier with it."""

    kinds: Ints
    identifiers: Ints
    hard: Bools
    own_party: Bools
    parties: Ints


@dataclass(frozen=True, slots=True)
class _Inside:
    """Links of members to nodes that another person of their community holds too: `part` is (node, community)."""

    links: Ints
    part: Ints
    part_label: Ints
    part_kind: Ints


def _inside(graph: Graph, labels: Ints) -> _Inside:
    links, part, node, label = verdict_loops.parts(
        graph.account, graph.node, labels, graph.person, int(labels.max(initial=NONE)) + 1
    )
    return _Inside(links, part, label, graph.kind[node])


def support(
    graph: Graph, labels: Ints, evidenced: Bools, credible: Bools, *, template_members_min: float = 0.0
) -> Support:
    """What ties each account to the others of its community, its own evidence left out. `credible`: parties that count for others.

    A template of whose holders fewer than the share `template_members_min` are in the community ties nobody to it.
    """
    inside = _inside(graph, labels)
    held = counts(inside.part, len(inside.part_kind))[inside.part]
    node = graph.node[inside.links]
    published = (graph.kind[node] == IdentifierKind.PROMPT) & (
        held < template_members_min * (graph.known + graph.unseen)[node]
    )
    account, parties = graph.account[inside.links[~published]], len(graph.parties)
    return Support(
        *verdict_loops.support(
            account, inside.part[~published], inside.part_kind, graph.party, parties, IS_HARD, evidenced, credible
        )
    )


def member_test(graph: Graph, labels: Ints, standing: Standing, config: ClusterConfig) -> Ints:
    """Labels without the accounts that hang on too little: fewer than two kinds and three identifiers shared, or nobody's evidence."""
    for _ in range(config.member_rounds):
        tie = support(
            graph,
            labels,
            standing.evidenced,
            standing.credible,
            template_members_min=config.member_template_share,
        )
        enough = (tie.kinds >= config.member_kinds) | (tie.identifiers >= config.member_identifiers)
        vouched = tie.own_party | (tie.parties >= config.independent_parties) | (standing.b >= config.member_conduct)
        itself = tie.hard & (standing.b >= config.member_hard_conduct)
        kept = np.where((labels != NONE) & (enough & vouched | itself), labels, NONE)
        if np.array_equal(kept, labels):
            break
        labels = kept
    return labels


@dataclass(frozen=True, slots=True)
class Scores:
    """Per cluster: size in persons, sharing E, share of accounts that share hard identifiers, and the score that is held against `pass_min`.

    `by_kind` [cluster, kind]: bits that each kind has, of which it can bring so many to E.
    """

    persons: Ints
    sharing: Floats
    covered: Floats
    score: Floats
    by_kind: Floats


def joined_persons(graph: Graph, cluster: Ints, people: Ints, holders_max: float = np.inf) -> Ints:
    """(accounts,): people (`chains.people`) of its cluster, itself among them, that hard identifiers join each account to, directly or by others of it.

    Identifiers of more than `holders_max` persons, in the cluster or not, join nobody.
    """
    rare = graph.group_persons[graph.group] <= holders_max
    links = np.flatnonzero((cluster[graph.account] != NONE) & IS_HARD[graph.link_kind] & rare)
    account = graph.account[links]
    part, part_node, _ = distinct(graph.node[links], cluster[account])
    joined = components(graph.n_accounts + len(part_node), account, graph.n_accounts + part)
    of = np.flatnonzero(cluster != NONE)
    _, of_person, _ = distinct(joined[of], people[of])
    persons = counts(of_person, len(joined) + graph.n_accounts)
    found = np.zeros(graph.n_accounts, np.int64)
    found[of] = persons[joined[of]]
    return found


def _covered(graph: Graph, cluster: Ints, people: Ints, *, size: int, persons_min: int) -> Ints:
    """Accounts of each cluster that hard identifiers join to so many persons of it."""
    return counts(cluster[joined_persons(graph, cluster, people) >= persons_min], size)


def cluster_scores(
    graph: Graph, labels: Ints, cluster: Ints, *, size: int, standing: Standing, config: ClusterConfig
) -> Scores:
    """Scores of `size` clusters, where `cluster` (of each account) refines `labels`: a community, or its part at one party.

    E = sum over hard kinds of coverage x log2(effective number of shared identifiers), each kind up to `sharing_kind_max`: many small groups mean
    evasion, one card shared by all an organisation. Score = mean b + .6 E - 1.5 x share of verified organisations.
    """
    inside = _inside(graph, labels)
    account = graph.account[inside.links]
    members = np.maximum(counts(cluster[cluster != NONE], size), 1)
    covered_share = (
        _covered(graph, cluster, standing.people, size=size, persons_min=config.covered_persons_min) / members
    )
    kind = inside.part_kind[inside.part]
    rows = np.flatnonzero(_IS_SHARING[kind] & (cluster[account] != NONE))
    # A cell is a cluster and a kind.
    cell = cluster[account[rows]] * KINDS + kind[rows]
    _, covered_cell, _ = distinct(cell, account[rows])
    row, row_cell, _ = distinct(cell, inside.part[rows])
    held = counts(row, len(row_cell)).astype(np.float64)
    share = held / sums(row_cell, held, size * KINDS)[row_cell]
    entropy_bits = sums(row_cell, -share * np.log2(share), size * KINDS).reshape(-1, KINDS)
    covered = counts(covered_cell, size * KINDS).reshape(-1, KINDS) / members[:, None]
    by_kind = covered * entropy_bits
    sharing = np.minimum(by_kind, config.sharing_kind_max).sum(axis=1)
    of = np.flatnonzero(cluster != NONE)
    used = of[standing.used[of]]
    used_many = counts(cluster[used], size)
    mean_all = sums(cluster[of], standing.b[of], size) / members
    mean_used = sums(cluster[used], standing.b[used], size) / np.maximum(used_many, 1)
    mean_b = np.where(used_many >= config.conduct_accounts_min, mean_used, mean_all)
    organisations = counts(cluster[of[standing.organisation[of]]], size) / members
    _, person_cluster, _ = distinct(cluster[of], standing.people[of])
    score = mean_b + config.sharing_weight * sharing - config.organisation_weight * organisations
    return Scores(counts(person_cluster, size), np.round(sharing, 9), covered_share, np.round(score, 9), by_kind)


def party_test(graph: Graph, labels: Ints, at_least: float, standing: Standing, config: ClusterConfig) -> Ints:
    """Labels without those parts of a community, party by party, that score too low: this keeps framed customers out."""
    some = np.flatnonzero(labels != NONE)
    row, _, _ = distinct(labels[some], graph.party[some])
    cluster = np.full(len(labels), NONE, np.int64)
    cluster[some] = row
    scores = cluster_scores(
        graph, labels, cluster, size=int(row.max(initial=NONE)) + 1, standing=standing, config=config
    )
    kept = labels.copy()
    kept[some[scores.score[row] < at_least]] = NONE
    return kept


def _reunited(graph: Graph, labels: Ints, standing: Standing, config: ClusterConfig) -> Ints:
    """Labels with those joined that have templates of their own in common: the search for communities cuts a chain anywhere."""
    size = int(labels.max(initial=NONE)) + 1
    pieces = cluster_scores(graph, labels, labels, size=size, standing=standing, config=config)
    return reunited(graph, labels, pieces.sharing, config.templates)


def _shared(graph: Graph, labels: Ints) -> Ints:
    """Links of labelled accounts to what two of these hold at least: no test asks for others, and labels only become fewer."""
    inside = labels[graph.account] != NONE
    held = counts(graph.node[inside], len(graph.kind))
    return np.flatnonzero(inside & (held > 1)[graph.node])


def confirmed(graph: Graph, fragments: Ints, standing: Standing, config: ClusterConfig) -> tuple[Ints, Scores]:
    """Fragments to confirmed communities (other accounts NONE), with the scores by label.

    One of whose accounts none has usage is none: what it shares would be all there is against it, and that is for `rings` to judge, or for `pieces`.
    """
    graph = with_links(graph, _shared(graph, fragments))
    labels = party_test(graph, fragments, config.fragment_party_min, standing, config)
    labels = merge_fragments(graph, labels, standing.evidenced, config)
    labels = _reunited(graph, labels, standing, config)
    labels = member_test(graph, labels, standing, config)
    labels = _reunited(graph, split_by_firm_ties(graph, labels, standing.b, config), standing, config)
    labels = party_test(graph, labels, config.party_min, standing, config)
    labels = member_test(graph, labels, standing, config)
    labels = _reunited(graph, split_by_firm_ties(graph, labels, standing.b, config), standing, config)
    size = int(labels.max(initial=NONE)) + 1
    scores = cluster_scores(graph, labels, labels, size=size, standing=standing, config=config)
    used = counts(labels[standing.used & (labels != NONE)], size) > 0
    passed = (
        used
        & (scores.persons >= config.accounts_min)
        & (np.minimum(scores.by_kind, config.sharing_alone_max).sum(axis=1) >= config.sharing_min)
        & (scores.covered >= config.covered_min)
        & (scores.score >= config.pass_min)
    )
    return np.where((labels != NONE) & passed[labels] if size else np.zeros(len(labels), bool), labels, NONE), scores
