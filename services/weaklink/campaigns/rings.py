"""Streams without conduct: parties that report no usage, where all there is to go by is who shares what, and when."""

import numpy as np

from weaklink.campaigns.cluster import NONE, leiden, relabel
from weaklink.campaigns.config import ClusterConfig, RingsConfig
from weaklink.campaigns.graph import IS_HARD, Bools, Graph, Ints, counts, distinct, ranges, sums
from weaklink.campaigns.profiles import US_PER_DAY


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


def rings(graph: Graph, parties: Bools, cluster: ClusterConfig, config: RingsConfig) -> Ints:
    """Ring of each account (NONE: none): Leiden on pairs that share two rare identifiers, or one at about the same time.

    A pair weighs the sum over its common identifiers of log2(N / degree) x (.2 + exp(-days apart / 60)).
    """
    labels = np.full(graph.n_accounts, NONE, np.int64)
    if not parties.any():
        return labels
    links = np.flatnonzero(parties[graph.party[graph.account]] & IS_HARD[graph.link_kind])
    node = graph.node[links]
    degree = counts(node, len(graph.kind)) + graph.unseen.astype(np.int64)
    degree_max = _affordable(degree, config)
    links = links[(degree[node] <= degree_max) & (degree[node] > 1)]
    if len(links) == 0:
        return labels
    one, other = _pairs(graph.node[links])
    account, first = graph.account[links], graph.link_first_us[links]
    pair_degree = degree[graph.node[links[one]]]
    days = np.abs(first[one] - first[other]) / US_PER_DAY
    n = int(parties[graph.party].sum())
    weight = np.log2(n / pair_degree) * (config.apart_floor + np.exp(-days / config.apart_days))
    pair, low, high = distinct(np.minimum(account[one], account[other]), np.maximum(account[one], account[other]))
    size = len(low)
    close = (pair_degree <= config.one_degree_max) & (days <= config.one_days_max)
    tied = (counts(pair, size) >= 2) | (counts(pair[close], size) >= 1)
    total = sums(pair, weight, size)[tied]
    if not tied.any():
        return labels
    vertices, index = np.unique(np.concatenate((low[tied], high[tied])), return_inverse=True)
    index = index.reshape(-1)
    resolution = config.resolution * min(1.0, len(vertices) / config.resolution_accounts)
    found = leiden(
        index[: len(total)], index[len(total) :], total, len(vertices), resolution=resolution, config=cluster
    )
    large = counts(found, int(found.max()) + 1)[found] >= config.accounts_min
    labels[vertices[large]] = found[large]
    return relabel(labels)


def _pairs(node: Ints) -> tuple[Ints, Ints]:
    """Every unordered pair of rows with the same (sorted) node."""
    last = np.searchsorted(node, node, side="right")
    one = np.arange(len(node), dtype=np.int64)
    after = last - one - 1
    return np.repeat(one, after), ranges(one + 1, after)


def _affordable(degree: Ints, config: RingsConfig) -> int:
    """The highest degree, up to `two_degree_max`, at which all pairs stay within `pairs_max`."""
    held = np.bincount(degree[degree <= config.two_degree_max], minlength=config.two_degree_max + 1)
    sizes = np.arange(config.two_degree_max + 1)
    pairs = np.cumsum(held * sizes * (sizes - 1) // 2)
    return int(sizes[pairs <= config.pairs_max].max(initial=1))
