"""Streams without conduct: parties that report no usage, where all there is to go by is who shares what, and when."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from weaklink.campaigns.cluster import NONE, leiden, relabel
from weaklink.campaigns.cluster_config import ClusterConfig, RingsConfig
from weaklink.campaigns.graph import IS_HARD, Bools, Floats, Graph, Ints, counts, distinct, sums
from weaklink.campaigns.population import RingPopulation
from weaklink.campaigns.profiles import US_PER_DAY
from weaklink.campaigns.ring_ties import Pairs, coherent, pairs, posterior


@dataclass(frozen=True, slots=True)
class Rings:
    """Per account: its ring (NONE: none), the surest tie that it has in it (0 outside), and whether it is judged by rings at all."""

    labels: Ints
    score: Floats
    judged: Bools
    population: RingPopulation


def parties_without_conduct(graph: Graph, used: Bools, config: RingsConfig) -> Bools:
    """Which parties have no usage at all and hardly share an identifier with one that does (those get their evidence from it).

    A party of few accounts is not judged: whether it is connected shows only in time.
    """
    n = len(graph.parties)
    usage = np.zeros(n, bool)
    usage[graph.party[used]] = True
    node_used = np.zeros(len(graph.kind), bool)
    node_used[graph.group_node[usage[graph.group_party]]] = True
    connected = counts(graph.group_party[node_used[graph.group_node]], n)
    isolated = connected <= config.connected_share_max * counts(graph.group_party, n)
    return ~usage & isolated & (counts(graph.party, n) >= config.party_accounts_min)


def rings(
    graph: Graph,
    used: Bools,
    now_us: int,
    *,
    cluster: ClusterConfig,
    config: RingsConfig,
    known: RingPopulation | None = None,
) -> Rings:
    """Rings, held against the `known` population or one measured on these accounts. `used`: accounts with usage.

    Accounts tied to each other directly or through others are one ring, if they are enough and more than one identifier holds
    them together: one card that all share is an organisation's. Rings above `accounts_max` are cut where they hang together least.
    Only links of the last `window_days` count: older ones are kept of campaigns' members alone, and would make every counter that
    they ever used look like theirs.
    """
    n = graph.n_accounts
    names = known.parties if known else _names(graph, parties_without_conduct(graph, used, config))
    judged = at_parties(graph, names)
    recent = graph.link_last_us >= now_us - int(config.window_days * US_PER_DAY)
    links = np.flatnonzero(judged[graph.account] & IS_HARD[graph.link_kind] & recent)
    degree = counts(graph.node[links], len(graph.kind)) + graph.unseen.astype(np.int64)
    times = known.times_us if known else np.sort(graph.link_first_us[links])
    links = links[degree[graph.node[links]] <= _affordable(degree, config)]
    found = pairs(graph, links, degree, times)
    p, mixtures = posterior(found, config, known.mixtures if known else None)
    together = coherent(found, config)
    sure = np.where(together >= config.coherent_min, np.maximum(p, together), p)
    ties = (p >= config.tie_min) | (together >= config.coherent_min)
    labels, score = _joined(found, ties, sure, n, cluster=cluster, config=config)
    return Rings(labels, score, judged, RingPopulation(names, times, mixtures))


def judged(graph: Graph, known: RingPopulation) -> Bools:
    """Accounts at the parties without conduct."""
    return at_parties(graph, known.parties)


def at_parties(graph: Graph, names: Collection[str]) -> Bools:
    """Accounts at the parties of these names."""
    at: Bools = (
        np.array([name in names for name in graph.parties], bool)[graph.party]
        if names
        else np.zeros(graph.n_accounts, bool)
    )
    return at


def _names(graph: Graph, parties: Bools) -> frozenset[str]:
    return frozenset(graph.parties[i] for i in np.flatnonzero(parties))


def _joined(
    found: Pairs, ties: Bools, sure: Floats, n: int, *, cluster: ClusterConfig, config: RingsConfig
) -> tuple[Ints, Floats]:
    """(ring of each of n accounts, score of each)."""
    labels, score = np.full(n, NONE, np.int64), np.zeros(n)
    if not ties.any():
        return labels, score
    low, high, weight = found.low[ties], found.high[ties], sure[ties]
    component = connected_components(coo_matrix((weight, (low, high)), shape=(n, n)), directed=False)[1].astype(
        np.int64
    )
    large = counts(component, n)[component] >= config.accounts_min
    several = _sharing_bits(found, ties, component) >= config.sharing_bits_min
    labels = np.where(large & several[component], component, NONE)
    np.maximum.at(score, low, weight)
    np.maximum.at(score, high, weight)
    labels = _cut(labels, low, high, weight, cluster=cluster, config=config)
    return relabel(labels), np.where(labels != NONE, score, 0.0)


def _sharing_bits(found: Pairs, ties: Bools, component: Ints) -> Floats:
    """By component, log2 of the effective number of identifiers behind its ties, each weighed by the accounts that it ties."""
    rows = np.flatnonzero(ties[found.row_pair])
    pair = found.row_pair[rows]
    node = np.concatenate((found.row_node[rows], found.row_node[rows]))
    account = np.concatenate((found.low[pair], found.high[pair]))
    _, held_node, held_account = distinct(node, account)
    row, of, _ = distinct(component[held_account], held_node)
    held = counts(row, len(of)).astype(np.float64)
    n = int(component.max(initial=0)) + 1
    share = held / sums(of, held, n)[of]
    return np.round(sums(of, -share * np.log2(share), n), 9)


def _cut(labels: Ints, low: Ints, high: Ints, weight: Floats, *, cluster: ClusterConfig, config: RingsConfig) -> Ints:
    """Labels with every ring of more than `accounts_max` cut by Leiden, and its pieces again, until none is larger.

    Each is cut by itself, so that what a ring becomes does not depend on the others; a piece that Leiden leaves whole is cut finer.
    """
    labels = labels.copy()
    size = counts(labels[labels != NONE], int(labels.max(initial=NONE)) + 1)
    waiting = [(int(label), 1.0) for label in np.flatnonzero(size > config.accounts_max)]
    while waiting:
        label, resolution = waiting.pop()
        inside = (labels[low] == label) & (labels[high] == label)
        vertices, index = np.unique(np.concatenate((low[inside], high[inside])), return_inverse=True)
        one, other = np.split(index.reshape(-1).astype(np.int64), 2)
        piece = leiden(
            one,
            other,
            weight[inside],
            len(vertices),
            resolution=resolution,
            iterations=config.iterations,
            config=cluster,
        )
        piece = distinct(_absorb(piece, one, other, weight[inside], config.accounts_min))[0]
        if piece.max() == 0:
            if resolution < config.resolution_max:
                waiting.append((label, 2 * resolution))
            continue
        start = int(labels.max()) + 1
        labels[vertices] = start + piece
        size = counts(piece, int(piece.max()) + 1)
        waiting += [(start + int(i), resolution) for i in np.flatnonzero(size > config.accounts_max)]
    return labels


def _absorb(piece: Ints, one: Ints, other: Ints, weight: Floats, accounts_min: int) -> Ints:
    """Pieces with those of fewer than `accounts_min` accounts joined to the neighbour that they hang on most, the smallest first."""
    a, b, w = np.concatenate((one, other)), np.concatenate((other, one)), np.concatenate((weight, weight))
    while True:
        size = counts(piece, int(piece.max()) + 1)
        small = np.flatnonzero((size > 0) & (size < accounts_min))
        if len(small) == 0 or (size > 0).sum() == 1:
            return piece
        least = small[np.argmin(size[small])]
        out = (piece[a] == least) & (piece[b] != least)
        hangs_on = np.round(np.bincount(piece[b[out]], weights=w[out], minlength=len(size)), 9)
        piece = np.where(piece == least, int(np.argmax(hangs_on)), piece)


def _affordable(degree: Ints, config: RingsConfig) -> int:
    """The highest degree, up to `degree_max`, at which all pairs stay within `pairs_max`."""
    held = np.bincount(degree[degree <= config.degree_max], minlength=config.degree_max + 1)
    sizes = np.arange(config.degree_max + 1)
    found = np.cumsum(held * sizes * (sizes - 1) // 2)
    return int(sizes[found <= config.pairs_max].max(initial=1))
