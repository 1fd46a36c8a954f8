"""Accounts at parties without usage that serve a campaign's members: they pay for them, or rent what members work from."""

import numpy as np
import polars as pl

from weaklink.campaigns.cluster import NONE
from weaklink.campaigns.cluster_config import AdherentsConfig
from weaklink.campaigns.graph import IS_HARD, Bools, Graph, Ints, counts, sums
from weaklink.records.identifiers import IdentifierKind


def serving(graph: Graph, labels: Ints, able: Bools, config: AdherentsConfig) -> tuple[Ints, Ints]:
    """(accounts of the `able` that serve members, the label of these): they share hard identifiers, or addresses, with members and hardly anybody else.

    Whose card serves members only pays for them. Half of the others on the card being members, the rest may be silent accounts of which the
    same is true: who pays by a card also rents by it. Who has the addresses of members, and hardly any others that are shared, rents them.
    """
    able = able & (labels == NONE)
    if not able.any():
        return np.empty(0, np.int64), np.empty(0, np.int64)
    pays = able & (members_only(graph, labels) > 0) | _members_and_silent(graph, labels, able, config)
    who = pays | _addresses_only(graph, labels, able, config)
    wanted = who[graph.account] & (IS_HARD[graph.link_kind] | (graph.link_kind == IdentifierKind.IP))
    member = labels[graph.account] != NONE
    many = (
        pl.DataFrame({"node": graph.node[member], "label": labels[graph.account[member]]})
        .join(pl.DataFrame({"node": graph.node[wanted], "account": graph.account[wanted]}), on="node")
        .group_by("account", "label")
        .len()
        .sort("account", "len", "label", descending=[False, True, False])
        .unique("account", keep="first", maintain_order=True)
    )
    return many["account"].to_numpy(), many["label"].to_numpy()


def members_only(graph: Graph, labels: Ints) -> Ints:
    """By account, the members on that of its hard identifiers which most of them hold; 0 when anybody else shares any of them."""
    hard = np.flatnonzero(IS_HARD[graph.link_kind])
    node, account = graph.node[hard], graph.account[hard]
    node, account, held = _beside_members(graph, labels, node, account, np.ones(graph.n_accounts, np.bool_))
    others = (graph.known + graph.unseen)[node] - 1
    most = np.zeros(graph.n_accounts, np.int64)
    np.maximum.at(most, account, held)
    most[account[held < others]] = 0
    return most


def _beside_members(graph: Graph, labels: Ints, node: Ints, account: Ints, able: Bools) -> tuple[Ints, Ints, Ints]:
    """(node, account, other members on the node) of those links whose account is able and has a member beside it on some of them: few of a large graph."""
    member = labels[account] != NONE
    held = counts(node[member], len(graph.kind))[node] - member
    beside = np.zeros(graph.n_accounts, np.bool_)
    beside[account[held > 0]] = True
    own = np.flatnonzero((beside & able)[account])
    return node[own], account[own], held[own]


def _members_and_silent(graph: Graph, labels: Ints, able: Bools, config: AdherentsConfig) -> Bools:
    """Those of the `able` who share each hard identifier with members and others of the able only, half of them or more being members."""
    hard = np.flatnonzero(IS_HARD[graph.link_kind] & (graph.known + graph.unseen > 1)[graph.node])
    node, account, held = _beside_members(graph, labels, graph.node[hard], graph.account[hard], able)
    others = (graph.known + graph.unseen)[node] - 1
    able = np.zeros_like(able)
    able[account] = True
    able[account[held < config.silent_members_share * others]] = False
    while True:
        left = able[account]
        node, account, held, others = node[left], account[left], held[left], others[left]
        within = held + counts(node, len(graph.kind))[node] - 1
        out = account[within < others]
        if not len(out):
            return able
        able[out] = False


def _addresses_only(graph: Graph, labels: Ints, able: Bools, config: AdherentsConfig) -> Bools:
    """Those of the `able` with several shared addresses on which hardly anybody but members is."""
    address = np.flatnonzero((graph.link_kind == IdentifierKind.IP) & (graph.known > 1)[graph.node])
    node, account = graph.node[address], graph.account[address]
    node, account, _ = _beside_members(graph, labels, node, account, able)
    held = counts(graph.node[(labels != NONE)[graph.account]], len(graph.kind))[node]
    n = graph.n_accounts
    shared = sums(account, (graph.known + graph.unseen)[node] - 1, n)
    mostly = sums(account, held.astype(np.float64), n) >= config.addresses_members_share * shared
    return able & mostly & (counts(account, n) >= config.addresses_min)
