"""Communities of believed accounts: Leiden on the hot part of the graph, and the merging of its fragments."""

from typing import Final

import graspologic_native
import numpy as np
from scipy.sparse import coo_matrix

from weaklink.campaigns import cluster_loops
from weaklink.campaigns.belief_loops import grouped
from weaklink.campaigns.cluster_config import ClusterConfig
from weaklink.campaigns.component_loops import components
from weaklink.campaigns.graph import IS_HARD, KINDS, Bools, Floats, Graph, Ints, counts, distinct, ranges, sums
from weaklink.records.identifiers import IdentifierKind

NONE: Final = -1
_EDGE_WEIGHT_MIN: Final = 0.02
IS_FIRM: Final[Bools] = IS_HARD | (np.arange(KINDS) == IdentifierKind.IP)


def hot_links(graph: Graph, p: Floats, hot: Bools) -> Ints:
    """Links between hot accounts and hot nodes: those whose holders' mean p (uncounted holders at 0) is above one half."""
    total = sums(graph.node, p[graph.account], len(graph.kind)) + graph.outside_p
    mean = total / np.maximum(graph.known + graph.unseen, 1)
    holders = counts(graph.node[hot[graph.account]], len(graph.kind))
    return np.flatnonzero(hot[graph.account] & ((mean > 0.5) & (holders > 1))[graph.node])


def in_company(graph: Graph, hot: Bools, people: Ints, persons_min: int) -> Bools:
    """Hot accounts whose identifiers, of whatever kind, join them to `persons_min` people at least, directly or by other hot ones.

    A campaign lies within one such component: of a smaller one no account can be confirmed. `people`: `chains.people`.
    """
    links = np.flatnonzero(hot[graph.account])
    component = components(
        graph.n_accounts + len(graph.kind), graph.account[links], graph.n_accounts + graph.node[links]
    )
    of = np.flatnonzero(hot)
    _, of_person, _ = distinct(component[of], people[of])
    enough = counts(of_person, len(component)) >= persons_min
    result: Bools = hot & enough[component[: graph.n_accounts]]
    return result


def communities(graph: Graph, links: Ints, asked: Bools, config: ClusterConfig) -> Ints:
    """Community of each account that is asked for (NONE: not asked for, or no hot link), by Leiden on the bipartite graph of `links`.

    Edge weight log2((2 + hot holders of the kind) / n) / sqrt(n), n the node's hot holders; PROMPT at half. Weights, and what modularity
    is relative to, are those of all links; `asked` are whole components of them.
    """
    labels = np.full(graph.n_accounts, NONE, np.int64)
    if not asked[graph.account[links]].any():
        return labels
    _, _, kind = distinct(graph.account[links], graph.link_kind[links])
    kind_holders = counts(kind, KINDS)
    n = counts(graph.node[links], len(graph.kind))[graph.node[links]].astype(np.float64)
    kinds = graph.link_kind[links]
    weight = np.maximum(np.log2((2 + kind_holders[kinds]) / n), _EDGE_WEIGHT_MIN) / np.sqrt(n)
    weight = np.where(kinds == IdentifierKind.PROMPT, config.prompt_edge_factor, 1.0) * weight
    # Modularity's null model is relative to the whole graph: at a fixed resolution, one campaign alone would be cut to pieces.
    hot = np.count_nonzero(counts(graph.account[links], graph.n_accounts))
    resolution = config.resolution * min(1.0, hot / config.resolution_accounts)
    looked_at = asked[graph.account[links]]
    resolution *= float(weight[looked_at].sum() / weight.sum())
    links, weight = links[looked_at], weight[looked_at]
    accounts, a = np.unique(graph.account[links], return_inverse=True)
    nodes, v = np.unique(graph.node[links], return_inverse=True)
    size = len(accounts) + len(nodes)
    found = leiden(
        a.reshape(-1),
        len(accounts) + v.reshape(-1),
        weight,
        size,
        resolution=resolution,
        iterations=config.iterations,
        config=config,
    )
    labels[accounts] = found[: len(accounts)]
    return relabel(labels)


def leiden(
    one: Ints, other: Ints, weight: Floats, size: int, *, resolution: float, iterations: int, config: ClusterConfig
) -> Ints:
    """Community of each of `size` vertices; undirected edges, modularity, fixed seed: the same edges give the same answer."""
    matrix = coo_matrix(
        (np.concatenate((weight, weight)), (np.concatenate((one, other)), np.concatenate((other, one)))),
        shape=(size, size),
    ).tocsr()
    matrix.sum_duplicates()
    matrix.sort_indices()
    _, found = graspologic_native.leiden_csr(
        matrix.indptr.astype(np.int64),
        matrix.indices.astype(np.int32),
        matrix.data.astype(np.float64),
        size,
        resolution=resolution,
        iterations=iterations,
        seed=config.seed,
    )
    label = np.empty(size, np.int64)
    label[np.fromiter(found.keys(), np.int64, len(found))] = np.fromiter(found.values(), np.int64, len(found))
    return label


def relabel(labels: Ints) -> Ints:
    """Labels renumbered by first appearance, so that they do not depend on how the search numbered them."""
    result = np.full(len(labels), NONE, np.int64)
    some = np.flatnonzero(labels != NONE)
    if len(some):
        _, first, inverse = np.unique(labels[some], return_index=True, return_inverse=True)
        result[some] = np.argsort(np.argsort(first))[inverse.reshape(-1)]
    return result


def merge_fragments(graph: Graph, labels: Ints, evidenced: Bools, config: ClusterConfig) -> Ints:
    """Fragments joined where enough of one's accounts are linked into the other by enough weight, until nothing changes."""
    by_account = grouped(graph.account, graph.n_accounts)
    for _ in range(config.merge_rounds):
        n = int(labels.max(initial=NONE)) + 1
        one, other = _joined(graph, by_account, labels, n, evidenced=evidenced, config=config)
        bridged_one, bridged_other = _bridged(graph, labels, n, config)
        one, other = np.concatenate((one, bridged_one)), np.concatenate((other, bridged_other))
        if len(one) == 0:
            break
        component = components(n, one, other)
        labels = relabel(np.where(labels == NONE, NONE, component[labels]))
    return labels


def _bridged(graph: Graph, labels: Ints, n: int, config: ClusterConfig) -> tuple[Ints, Ints]:
    """Pairs of fragments with several hard identifiers in common that hardly anybody outside fragments holds.

    The search for communities cuts a large pool of identifiers in pieces, each too small to stand alone.
    """
    links = np.flatnonzero((labels[graph.account] != NONE) & IS_HARD[graph.link_kind])
    _, part_node, part_label = distinct(graph.node[links], labels[graph.account[links]])
    held = counts(graph.node[links], len(graph.kind))
    exclusive = held >= config.bridge_holders_share * (graph.known + graph.unseen)
    pieces = counts(part_node, len(graph.kind))
    parts = np.flatnonzero((exclusive & (pieces > 1) & (pieces <= config.bridge_pieces_max))[part_node])
    if n < 2 or len(parts) == 0:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    last = np.searchsorted(part_node[parts], part_node[parts], side="right")
    after = last - np.arange(len(parts)) - 1
    one = np.repeat(np.arange(len(parts)), after)
    other = ranges(np.arange(len(parts)) + 1, after)
    pair, low, high = distinct(part_label[parts[one]], part_label[parts[other]])
    bridges = counts(pair, len(low))
    size = counts(labels[labels != NONE], n)
    enough = np.maximum(config.bridges_min, config.bridges_share * np.minimum(size[low], size[high]))
    joined = bridges >= enough
    return low[joined], high[joined]


def _joined(
    graph: Graph, by_account: tuple[Ints, Ints], labels: Ints, n: int, *, evidenced: Bools, config: ClusterConfig
) -> tuple[Ints, Ints]:
    """Pairs of fragments (X, Y): Y is what most of X's accounts are linked into, if enough are. `by_account`: links by account, as `grouped` gives them."""
    starts, order = by_account
    many = np.arange(int(np.diff(starts).max(initial=0)) + 1)
    kind, many = np.repeat(np.arange(KINDS), len(many)), np.tile(many, KINDS)
    weights = np.where(many > 0, link_weight(kind, many.astype(np.float64), config), 0.0)
    first, part_label, part_accounts, proven = cluster_loops.node_parts(
        graph.account, graph.node, labels, np.ones(len(graph.kind), bool), graph.party, evidenced, n, len(graph.parties)
    )
    one, other = cluster_loops.linked_into(
        starts,
        order,
        graph.node,
        graph.kind,
        labels,
        graph.party,
        first,
        part_label,
        part_accounts,
        proven,
        weights,
        KINDS,
        n,
        config.independent_parties,
        config.merge_outside_share,
        config.merge_weight,
    )
    into_row, from_label, into_label = distinct(one, other)
    linked = counts(into_row, len(from_label))
    share = linked / np.maximum(counts(labels[labels != NONE], n)[from_label], 1)
    best = np.lexsort((into_label, -linked, from_label))
    first = best[np.unique(from_label[best], return_index=True)[1]]
    joined = first[share[first] >= config.merge_accounts_share]
    return from_label[joined], into_label[joined]


def split_by_firm_ties(graph: Graph, labels: Ints, b: Floats, config: ClusterConfig) -> Ints:
    """Communities cut where nothing but templates (or an organisation's name) holds them together, or one identifier of many.

    What remains together is linked by hard identifiers or addresses most of whose holders are in the community: two operators,
    or an operator and a stranger, who use one published template are not one operator. Nor is whoever was given a card: accounts that
    hang on the others by a single hard identifier of more than `lone_holders_max` are cut off, unless the conduct `b` of one of
    them speaks for itself (`member_hard_conduct`) or they are enough for a cluster of their own. And where hard identifiers join several
    accounts, too few for a cluster, addresses tie them to others only if they do so for the share `addresses_share_min` of them: one
    colleague's proxy does not make a team an operator's.
    """
    n = graph.n_accounts
    links = np.flatnonzero((labels[graph.account] != NONE) & IS_FIRM[graph.link_kind])
    if len(links) == 0:
        return np.full(n, NONE, np.int64)
    part, part_node, _ = distinct(graph.node[links], labels[graph.account[links]])
    held = counts(part, len(part_node))
    firm = (held > 1) & (2 * held > (graph.known + graph.unseen)[part_node])
    links, part = links[firm[part]], part[firm[part]]
    bridges = _few_bridges(n, graph.account[links], part, IS_HARD[graph.kind[part_node]][part], config)
    links, part = links[~bridges], part[~bridges]
    account = graph.account[links]
    wide = is_wide(graph, config)[part_node][part]
    lone = _hanging_on_one(n, account, part, wide, b >= config.member_hard_conduct, accounts_min=config.accounts_min)
    component = components(n + len(part_node), account[~lone], n + part[~lone])
    return relabel(np.where(labels == NONE, NONE, component[:n]))


def _few_bridges(n: int, account: Ints, part: Ints, hard: Bools, config: ClusterConfig) -> Bools:
    """Links to addresses that tie few of the accounts which hard identifiers join, too few for a cluster, to accounts outside these."""
    soft, size = np.flatnonzero(~hard), int(part.max(initial=NONE)) + 1
    group = components(n + size, account[hard], n + part[hard])
    _, _, met_part = distinct(group[account[soft]], part[soft])
    soft = soft[(counts(met_part, size) > 1)[part[soft]]]
    tied = counts(group[np.unique(account[soft])], len(group))
    accounts = counts(group[:n], len(group))
    few = (tied < config.addresses_share_min * accounts) & (accounts < config.accounts_min)
    result = np.zeros(len(account), bool)
    result[soft] = few[group[account[soft]]]
    return result


def is_wide(graph: Graph, config: ClusterConfig) -> Bools:
    """By node: a hard identifier of so many holders that it alone ties nobody (`lone_holders_max`)."""
    most = np.array([config.lone_holders_max.get(kind, 0) for kind in range(KINDS)])
    wide: Bools = IS_HARD[graph.kind] & (graph.known + graph.unseen > most[graph.kind])
    return wide


def _hanging_on_one(n: int, account: Ints, part: Ints, wide: Bools, convinces: Bools, *, accounts_min: int) -> Bools:
    """Links to `wide` identifiers by one of which alone accounts hang on others, with whatever their other links join them to.

    As many as a cluster needs at all, `accounts_min`, hang on nobody: they are judged by what holds them together.
    """
    group = components(n + int(part.max(initial=NONE)) + 1, account[~wide], n + part[~wide])
    pair, pair_group, _ = distinct(group[account[wide]], part[wide])
    alone = counts(pair_group, len(group)) == 1
    alone &= counts(group[:n], len(group)) < accounts_min
    alone[group[:n][convinces]] = False
    result = np.zeros(len(account), bool)
    result[wide] = alone[pair_group][pair]
    return result


def link_weight(kind: Ints, many: Floats, config: ClusterConfig) -> Floats:
    """Weight by which `many` common identifiers of a kind tie an account to a community: kinds count, not values."""
    weight = np.where(IS_HARD[kind], config.link_hard, 0.0)
    weight = np.where(
        kind == IdentifierKind.PROMPT, np.minimum(config.link_prompt * many, config.link_prompt_max), weight
    )
    weight = np.where(kind == IdentifierKind.IP, config.link_ip, weight)
    return np.where(kind == IdentifierKind.ORGANISATION, config.link_organisation, weight)
