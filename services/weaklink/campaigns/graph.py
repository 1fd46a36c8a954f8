"""Accounts and the nodes (identifier, slot, kind) that they share, as index arrays: what every step of the method computes on."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from weaklink import compiled
from weaklink.campaigns.belief_loops import grouped
from weaklink.campaigns.component_loops import components
from weaklink.records.identifiers import HARD_KINDS, IdentifierKind

Ints = compiled.Ints
Floats = compiled.Floats
Bools = compiled.Bools
Keys = npt.NDArray[Any]

KINDS: Final = 13
UNLINKED_KINDS: Final = (IdentifierKind.TLS, IdentifierKind.END_USER)
"""TLS covers thousands of strangers with one client, END_USER names the reseller's customer: neither links accounts."""
IS_HARD: Final[Bools] = np.array([kind in HARD_KINDS for kind in range(KINDS)])


@dataclass(frozen=True)
class Graph:
    """A bipartite graph. Links are sorted by (node, account); a *group* is the holders of a node at one party.

    A *person* is one account, or several of one party that share an e-mail address; a *seat* is a person in a group.
    A graph may be a part of a larger one: some accounts with all their links. `known` and `group_persons` then count the holders
    outside too, and the fields `outside_*` say what these add to the sums that the method takes over a group or a node.
    """

    accounts: Ints  # account keys (viewed as int64 only for indexing; order is that of the UInt64 keys)
    parties: list[str]
    party: Ints  # of each account
    person: Ints  # of each account
    account: Ints  # of each link
    node: Ints  # of each link
    link_first_us: Ints
    link_last_us: Ints
    kind: Ints  # of each node
    known: Ints  # of each node: holders in the graph
    unseen: Floats  # of each node: holders that are counted but not in the graph (hubs)
    group: Ints  # of each link
    group_node: Ints
    group_party: Ints
    group_persons: Floats
    seat: Ints  # of each link
    seat_group: Ints
    seat_accounts: Floats
    identifier: Keys  # of each node, UInt64
    slot: Ints  # of each node
    outside_q: Floats  # of each group: sum over persons of their mean q
    outside_benign: Floats  # of each group: accounts that are not hot
    outside_p: Floats  # of each node: sum over accounts of p

    @property
    def n_accounts(self) -> int:
        """Number of accounts, with and without links."""
        return len(self.accounts)

    @cached_property
    def link_kind(self) -> Ints:
        """Kind of each link; worked out once, since every step asks for it."""
        kinds: Ints = self.kind[self.node]
        return kinds


def with_links(graph: Graph, links: Ints) -> Graph:
    """The graph with these of its links only (ascending); accounts, nodes, groups and seats, and what is counted of them, stay."""
    return replace(
        graph,
        account=graph.account[links],
        node=graph.node[links],
        link_first_us=graph.link_first_us[links],
        link_last_us=graph.link_last_us[links],
        group=graph.group[links],
        seat=graph.seat[links],
    )


def ranges(starts: Ints, counts: Ints) -> Ints:
    """The concatenation of arange(start, start + count) for each pair."""
    total = int(counts.sum())
    if total == 0:
        return np.zeros(0, np.int64)
    ends = np.cumsum(counts)
    result: Ints = np.arange(total, dtype=np.int64) + np.repeat(starts - (ends - counts), counts)
    return result


def sums(index: Ints, values: Floats, size: int) -> Floats:
    """Sum of values by index."""
    return np.asarray(np.bincount(index, weights=values, minlength=size), np.float64)


def counts(index: Ints, size: int) -> Ints:
    """Number of occurrences by index."""
    return np.bincount(index, minlength=size).astype(np.int64, copy=False)


def distinct(*columns: Ints) -> tuple[Ints, ...]:
    """Distinct rows in lexical order, as (row of each input, column 1 of the distinct rows, column 2, ...)."""
    key = columns[0].astype(np.int64)
    for column in columns[1:]:
        width = int(column.max(initial=0)) + 1
        if len(key) and int(key.max()) >= (1 << 62) // width:
            raise OverflowError("too many distinct rows for one 64-bit key")
        key = key * width + column
    order, key = stable_order(key)
    new = np.empty(len(key), bool)
    new[:1] = True
    np.not_equal(key[1:], key[:-1], out=new[1:])
    row = np.empty(len(key), np.int64)
    row[order] = np.cumsum(new) - 1
    first = order[new]
    return (row, *(column[first] for column in columns))


def stable_order(key: Ints) -> tuple[Ints, Ints]:
    """(stable order of the keys, the keys in it). Key and position are sorted as one number where they fit: three times as fast."""
    bits = max(len(key) - 1, 1).bit_length()
    if len(key) and int(key.max()) >> (62 - bits):
        order: Ints = np.argsort(key, kind="stable")
        return order, key[order]
    packed = np.sort((key << bits) | np.arange(len(key)))
    return packed & ((1 << bits) - 1), packed >> bits


def build_graph(accounts: pl.DataFrame, links: pl.DataFrame, person_accounts_max: int) -> Graph:
    """The graph of profiles (columns account, party; sorted by account) and links (SHARED columns, one row per identifier, slot, kind and
    account, sorted by these).

    Links of accounts without a profile wait until their activity has come; the order in which topics are read does not matter.
    """
    keys = accounts["account"].to_numpy()
    names = accounts["party"].unique().sort().to_list()
    party = (
        accounts["party"].replace_strict(names, range(len(names)), return_dtype=pl.Int64).to_numpy()
        if names
        else np.zeros(0, np.int64)
    )
    links = links.filter(~pl.col("kind").is_in([int(kind) for kind in UNLINKED_KINDS]))
    held = links["account"].to_numpy()
    position = np.searchsorted(keys, held)
    position[position == len(keys)] = 0
    present = keys[position] == held if len(keys) else np.zeros(len(held), bool)
    links, account = links.filter(pl.Series(present)), position[present].astype(np.int64)
    new_node = pl.Series([False]).new_from_index(0, links.height)
    for name in ("identifier", "slot", "kind"):
        new_node |= links[name] != links[name].shift()
    node = np.cumsum(new_node.fill_null(value=True).to_numpy()).astype(np.int64) - 1
    n_nodes = int(node[-1]) + 1 if len(node) else 0
    first_link = np.searchsorted(node, np.arange(n_nodes))
    kind = np.zeros(n_nodes, np.int64)
    kind[node] = links["kind"].to_numpy()
    holders = np.zeros(n_nodes, np.int64)
    np.maximum.at(holders, node, links["holders"].to_numpy().astype(np.int64))
    known = counts(node, n_nodes)
    person = persons(len(keys), party, account, node, kind=kind, accounts_max=person_accounts_max)
    group, group_node, group_party = distinct(node, party[account])
    seat, seat_group, _ = distinct(group, person[account])
    n_groups = len(group_node)
    return Graph(
        accounts=keys,
        parties=names,
        party=party,
        person=person,
        account=account,
        node=node,
        link_first_us=links["first_seen_us"].to_numpy(),
        link_last_us=links["last_seen_us"].to_numpy(),
        kind=kind,
        known=known,
        unseen=np.maximum(holders - known, 0).astype(np.float64),
        group=group,
        group_node=group_node,
        group_party=group_party,
        group_persons=counts(seat_group, n_groups).astype(np.float64),
        seat=seat,
        seat_group=seat_group,
        seat_accounts=counts(seat, len(seat_group)).astype(np.float64),
        identifier=links["identifier"].to_numpy()[first_link],
        slot=links["slot"].to_numpy()[first_link].astype(np.int64),
        outside_q=np.zeros(n_groups),
        outside_benign=np.zeros(n_groups),
        outside_p=np.zeros(n_nodes),
    )


def persons(n: int, party: Ints, account: Ints, node: Ints, *, kind: Ints, accounts_max: int) -> Ints:
    """Person of each account: accounts of one party on one EMAIL node, when there are at most `accounts_max` of them."""
    mail = np.flatnonzero(kind[node] == IdentifierKind.EMAIL) if len(node) else np.zeros(0, np.int64)
    if len(mail) == 0:
        return np.arange(n, dtype=np.int64)
    group, group_node, _ = distinct(node[mail], party[account[mail]])
    small = counts(group, len(group_node))[group] <= accounts_max
    return components(n + len(group_node), account[mail][small], n + group[small])[:n]  # accounts come first: no gaps


@dataclass(frozen=True, slots=True)
class Paths:
    """How a graph is walked: the links of account a are order[starts[a] : starts[a + 1]], the groups of node v first[v] to first[v + 1] - 1."""

    starts: Ints
    order: Ints
    first: Ints


def paths(graph: Graph) -> Paths:
    """Links by account, groups by node."""
    starts, order = grouped(graph.account, graph.n_accounts)
    return Paths(starts, order, grouped(graph.group_node, len(graph.kind))[0])
