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
    pays = able & (members_only(graph, labels) > 0) | _members_and_silent(graph, labels, able, config)
    who = pays | able & _addresses_only(graph, labels, config)
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
    member = (labels != NONE)[account]
    others = (graph.known + graph.unseen)[node] - 1
    held = counts(node[member], len(graph.kind))[node] - member
    most = np.zeros(graph.n_accounts, np.int64)
    np.maximum.at(most, account, held)
    most[account[held < others]] = 0
    return most


def _members_and_silent(graph: Graph, labels: Ints, able: Bools, config: AdherentsConfig) -> Bools:
    """Those of the `able` who share each hard identifier with members and others of the able only, half of them or more being members."""
    hard = np.flatnonzero(IS_HARD[graph.link_kind] & (graph.known + graph.unseen > 1)[graph.node])
    node, account, size = graph.node[hard], graph.account[hard], len(graph.kind)
    member = labels[account] != NONE
    others = (graph.known + graph.unseen)[node] - 1
    held = counts(node[member], size)[node]
    able = able & (counts(account, graph.n_accounts) > 0)
    able[account[held < config.silent_members_share * others]] = False
    while True:
        within = held + counts(node[able[account] & ~member], size)[node] - able[account]
        out = np.unique(account[able[account] & (within < others)])
        if not len(out):
            return able
        able[out] = False


def _addresses_only(graph: Graph, labels: Ints, config: AdherentsConfig) -> Bools:
    """Accounts with several shared addresses on which hardly anybody but members is."""
    address = (graph.link_kind == IdentifierKind.IP) & (graph.known[graph.node] > 1)
    node, account = graph.node[address], graph.account[address]
    member = (labels != NONE)[graph.account]
    held = counts(graph.node[member], len(graph.kind))[node] - member[address]
    others = (graph.known + graph.unseen)[node] - 1
    n = graph.n_accounts
    shared = sums(account, others, n)
    mostly = sums(account, held.astype(np.float64), n) >= config.addresses_members_share * shared
    return mostly & (counts(account, n) >= config.addresses_min)
