"""Pieces of chains that are confirmed without anybody's conduct: too many persons hang together by identifiers of very few holders each.

Honest people share with the same few others whatever they share: their components over such identifiers end after a few persons, and the
number of components falls by the same factor with each further person. Pieces of a chain share a card with some and a device with others.
One piece proves little; far more of them than honest life has by that factor are evidence together, and so is each of them.

They are looked for twice, over hard identifiers alone and over addresses that two accounts have at a time as well (`Ties`): addresses join most of
what events leave apart of a chain, but may join honest people too, where carriers or offices are seen at few of their accounts. Each
look is held against what honest life has by the same ties, so that one of them may find nothing while the other does.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from weaklink.campaigns.cluster import NONE
from weaklink.campaigns.cluster_config import ClusterConfig
from weaklink.campaigns.component_loops import components
from weaklink.campaigns.evidence_config import PiecesConfig
from weaklink.campaigns.graph import IS_HARD, Bools, Floats, Graph, Ints, counts, distinct
from weaklink.campaigns.verdict import Scores, Standing, cluster_scores
from weaklink.records.identifiers import IdentifierKind

_TIED_MIN: Final = 3
"""Accounts that still hang together when the rows of two parties are taken away: a couple shares without any operator."""


@dataclass(frozen=True, slots=True)
class Ties:
    """What joins accounts to pieces: identifiers of few holders, by kind (0: none joins), and the people from which a component is a piece."""

    holders_max: Ints
    persons_min: int


def ties(config: PiecesConfig) -> tuple[Ties, ...]:
    """The looks that are taken, the one that sees most first."""
    hard = np.where(IS_HARD, config.holders_max, 0)
    both = hard.copy()
    both[IdentifierKind.IP] = config.address_holders_max
    return Ties(both, config.address_persons_min), Ties(hard, config.persons_min)


@dataclass(frozen=True, slots=True)
class _Rare:
    """Links to identifiers of few holders (`account`, `node`), and the component of each account (NONE: it shares none)."""

    account: Ints
    node: Ints
    label: Ints
    persons: Ints


def _links(graph: Graph, taken: Bools, by: Ties) -> Ints:
    """The links of these accounts that join any two of them."""
    few = graph.known + graph.unseen <= by.holders_max[graph.kind]
    rows = np.flatnonzero(few[graph.node] & taken[graph.account])
    return rows[(counts(graph.node[rows], len(graph.kind)) > 1)[graph.node[rows]]]


def _joined(graph: Graph, links: Ints, people: Ints) -> _Rare:
    account, node = graph.account[links], graph.node[links]
    joined = components(graph.n_accounts + len(graph.kind), account, graph.n_accounts + node)
    some = np.flatnonzero(counts(account, graph.n_accounts))
    sharing = np.zeros(len(joined), bool)
    sharing[joined[some]] = True
    label = np.full(graph.n_accounts, NONE, np.int64)
    label[some] = (np.cumsum(sharing) - 1)[joined[some]]
    _, of, _ = distinct(label[some], people[some])
    return _Rare(account, node, label, counts(of, int(label.max(initial=NONE)) + 1))


def _without_neighbours(graph: Graph, links: Ints, people: Ints, believed: Bools, persons_max: int) -> Ints:
    """These links without the address by which alone a household hangs on others: a few persons, joined by hard identifiers if they are
    several, none of whom is believed to be of a campaign.

    In whose home an operator's proxy runs has that address in common with it, and no second one, unless it leads to another such home.
    """
    account, node, size = graph.account[links], graph.node[links], graph.n_accounts + len(graph.kind)
    hard = IS_HARD[graph.link_kind[links]]
    if hard.all():
        return links
    household = components(size, account[hard], graph.n_accounts + node[hard])[: graph.n_accounts]
    small = counts(distinct(household, people)[1], size) <= persons_max
    small[household[believed]] = False
    soft = np.flatnonzero(~hard)
    while True:
        met = distinct(node[soft], household[account[soft]])[1]
        soft = soft[(counts(met, len(graph.kind)) > 1)[node[soft]]]
        # A lease is a node in each of its slots, and one address.
        address = np.unique(graph.identifier[node[soft]], return_inverse=True)[1].reshape(-1)
        addresses = counts(distinct(household[account[soft]], address)[1], size)
        hangs = (small & (addresses == 1))[household[account[soft]]]
        if not hangs.any():
            return links[np.sort(np.concatenate((np.flatnonzero(hard), soft)))]
        soft = soft[~hangs]


def honest_pieces(graph: Graph, taken: Bools, people: Ints, config: PiecesConfig) -> tuple[float, ...]:
    """For each of the `ties`: how many components of `persons_min` persons or more honest life has, by how their number falls beyond a household's size.

    Measured on a whole graph. Operators' pieces of these sizes only raise it. Infinity where the number does not fall.
    """
    looks = ((_joined(graph, _links(graph, taken, by), people), by) for by in ties(config))
    return tuple(_expected(found.persons, by.persons_min, config.family_persons) for found, by in looks)


def _expected(persons: Ints, persons_min: int, family_persons: int) -> float:
    many = counts(persons, family_persons + 2)
    # One more of each: where there are next to none, nothing is known.
    largest, beyond = many[family_persons] + 1, many[family_persons + 1] + 1
    falls = float(beyond) / float(largest)
    steps = persons_min - family_persons - 1
    return float(beyond) * falls**steps / (1 - falls) if falls < 1 else np.inf


def with_pieces(
    graph: Graph,
    labels: Ints,
    scores: Scores,
    taken: Bools,
    believed: Bools,
    *,
    honest: tuple[float, ...],
    standing: Standing,
    cluster: ClusterConfig,
    config: PiecesConfig,
) -> tuple[Ints, Scores]:
    """`labels` and `scores` with the accounts of such pieces: in the community that most of a piece's members are in, or in one of its own.

    `taken`: accounts that may belong to one; `believed`: those of whom it is believed anyway. `honest`: as `honest_pieces` found on the whole
    graph. A piece counts with enough people (`Ties`), sharing E of `sharing_min` (each kind up to `sharing_kind_max`) and a score of
    `score_min`, and when `tied_share` of its accounts hang together by threes whichever two parties' accounts are left out: two that
    collude can tie others' customers to each other only by their own accounts.
    """
    people = standing.people
    for by, expected in zip(ties(config), honest, strict=True):
        links = _links(graph, taken & standing.credible[graph.party], by)
        links = _without_neighbours(graph, links, people, believed | (labels != NONE), config.family_persons)
        found = _joined(graph, links, people)
        if (found.persons >= by.persons_min).any():
            piece, own, passed = _passing(graph, found, by, standing=standing, cluster=cluster, config=config)
            many = np.count_nonzero(passed)
            if many >= config.pieces_min and expected <= config.false_share_max * many:
                passed &= counts(piece[(piece != NONE) & (labels == NONE)], len(passed)) > 0  # what is known already
                labels, scores = _added(labels, scores, _kept(piece, passed), own, passed)
    return labels, scores


def _passing(
    graph: Graph, found: _Rare, by: Ties, *, standing: Standing, cluster: ClusterConfig, config: PiecesConfig
) -> tuple[Ints, Scores, Bools]:
    """(piece of each account, their scores, which of them pass the tests that each must pass by itself)."""
    piece = _kept(found.label, found.persons >= by.persons_min)
    own = cluster_scores(graph, piece, piece, size=int(piece.max()) + 1, standing=standing, config=cluster)
    mixed = np.round(np.minimum(own.by_kind, config.sharing_kind_max).sum(axis=1), 9)
    passed = (mixed >= config.sharing_min) & (own.score >= config.score_min)
    candidates = np.where(piece == NONE, False, passed[piece])
    passed &= _tied(graph, found, np.where(candidates, piece, NONE), len(passed)) >= config.tied_share
    return piece, own, passed


def _kept(labels: Ints, kept: Bools) -> Ints:
    """Labels of those that are kept, from 0 without gaps."""
    number = np.append(np.where(kept, np.cumsum(kept) - 1, NONE), NONE)
    result: Ints = number[labels]
    return result


def _tied(graph: Graph, found: _Rare, piece: Ints, size: int) -> Floats:
    """By piece: the least share of its accounts, of those of other parties, that hang together by threes without some two parties' accounts."""
    some = np.flatnonzero(piece != NONE)
    number = np.full(graph.n_accounts, NONE, np.int64)
    number[some] = np.arange(len(some))
    rows = number[found.account] != NONE
    account, party, label = number[found.account[rows]], graph.party[some], piece[some]
    node = np.unique(found.node[rows], return_inverse=True)[1].reshape(-1)
    nodes = int(node.max(initial=NONE)) + 1
    least, present = np.ones(size), np.unique(party)
    for i, one in enumerate(present):
        for other in present[i:]:
            left = (party != one) & (party != other)
            links = left[account]
            joined = components(len(some) + nodes, account[links], len(some) + node[links])[: len(some)]
            tied = left & (counts(joined[left], len(some) + nodes) >= _TIED_MIN)[joined]
            share = counts(label[tied], size) / np.maximum(counts(label[left], size), 1)
            least = np.minimum(least, share)
    return least


def _added(labels: Ints, scores: Scores, piece: Ints, own: Scores, passed: Bools) -> tuple[Ints, Scores]:
    """Labels with these pieces, those that are known already keeping theirs; and the scores by label."""
    first = len(scores.score)
    label = first + np.arange(np.count_nonzero(passed))
    both = (piece != NONE) & (labels != NONE)
    pair, of, community = distinct(piece[both], labels[both])
    most = np.lexsort((-community, counts(pair, len(of))))
    label[of[most]] = community[most]
    added = np.where((labels == NONE) & (piece != NONE), label[piece] if len(label) else NONE, labels)
    together = replace(
        scores,
        persons=np.append(scores.persons, own.persons[passed]),
        sharing=np.append(scores.sharing, own.sharing[passed]),
        covered=np.append(scores.covered, own.covered[passed]),
        score=np.append(scores.score, own.score[passed]),
        by_kind=np.concatenate((scores.by_kind, own.by_kind[passed])),
    )
    return added, together
