"""Pieces of chains that are confirmed without anybody's conduct: too many persons hang together by identifiers of very few holders each.

Honest people share with the same few others whatever they share: their components over such identifiers end after a few persons, and the
number of components falls by the same factor with each further person. Pieces of a chain share a card with some and a device with others.
One piece proves little; far more of them than honest life has by that factor are evidence together, and so is each of them.
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

_TIED_MIN: Final = 3
"""Accounts that still hang together when the rows of two parties are taken away: a couple shares without any operator."""


@dataclass(frozen=True, slots=True)
class _Rare:
    """Links to hard identifiers of few holders (`account`, `node`), and the component of each account (NONE: it shares none)."""

    account: Ints
    node: Ints
    label: Ints
    persons: Ints


def _rare(graph: Graph, taken: Bools, people: Ints, holders_max: int) -> _Rare:
    holders = graph.known + graph.unseen
    rows = np.flatnonzero(IS_HARD[graph.link_kind] & (holders <= holders_max)[graph.node] & taken[graph.account])
    rows = rows[(counts(graph.node[rows], len(graph.kind)) > 1)[graph.node[rows]]]
    account, node = graph.account[rows], graph.node[rows]
    joined = components(graph.n_accounts + len(graph.kind), account, graph.n_accounts + node)
    some = np.flatnonzero(counts(account, graph.n_accounts))
    sharing = np.zeros(len(joined), bool)
    sharing[joined[some]] = True
    label = np.full(graph.n_accounts, NONE, np.int64)
    label[some] = (np.cumsum(sharing) - 1)[joined[some]]
    _, of, _ = distinct(label[some], people[some])
    return _Rare(account, node, label, counts(of, int(label.max(initial=NONE)) + 1))


def honest_pieces(graph: Graph, taken: Bools, people: Ints, config: PiecesConfig) -> float:
    """How many components of `persons_min` persons or more honest life has, by how their number falls beyond a household's size.

    Measured on a whole graph. Operators' pieces of these sizes only raise it. Infinity where the number does not fall.
    """
    many = counts(_rare(graph, taken, people, config.holders_max).persons, config.family_persons + 2)
    # One more of each: where there are next to none, nothing is known.
    largest, beyond = many[config.family_persons] + 1, many[config.family_persons + 1] + 1
    falls = float(beyond) / float(largest)
    steps = config.persons_min - config.family_persons - 1
    return float(beyond) * falls**steps / (1 - falls) if falls < 1 else np.inf


def with_pieces(
    graph: Graph,
    labels: Ints,
    scores: Scores,
    taken: Bools,
    *,
    honest: float,
    standing: Standing,
    cluster: ClusterConfig,
    config: PiecesConfig,
) -> tuple[Ints, Scores]:
    """`labels` and `scores` with the accounts of such pieces: in the community that most of a piece's members are in, or in one of its own.

    `taken`: accounts that may belong to one. `honest`: as `honest_pieces` found on the whole graph. A piece counts with `persons_min` people,
    sharing E of `sharing_min` (each kind up to `sharing_kind_max`) and a score of `score_min`, and when `tied_share` of its accounts hang
    together by threes whichever two parties' accounts are left out: two that collude can tie others' customers to each other only by
    their own accounts.
    """
    found = _rare(graph, taken & standing.credible[graph.party], standing.people, config.holders_max)
    large = found.persons >= config.persons_min
    if not large.any():
        return labels, scores
    piece = _kept(found.label, large)
    own = cluster_scores(graph, piece, piece, size=int(piece.max()) + 1, standing=standing, config=cluster)
    mixed = np.round(np.minimum(own.by_kind, config.sharing_kind_max).sum(axis=1), 9)
    passed = (mixed >= config.sharing_min) & (own.score >= config.score_min)
    candidates = np.where(piece == NONE, False, passed[piece])
    passed &= _tied(graph, found, np.where(candidates, piece, NONE), len(passed)) >= config.tied_share
    many = np.count_nonzero(passed)
    if many < config.pieces_min or honest > config.false_share_max * many:
        return labels, scores
    return _added(labels, scores, _kept(piece, passed), own, passed)


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
