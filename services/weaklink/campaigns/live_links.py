"""Who holds what in the live graph: its accounts, nodes and groups under dense numbers, and its links as sorted keys, searched from either end."""

from typing import Final

import numpy as np

from weaklink.campaigns import key_loops, region_loops
from weaklink.campaigns.graph import Bools, Graph, Ints, Keys
from weaklink.campaigns.keys import Columns, LayeredIndex, LayeredKeys

_SLOT_BITS: Final = 16
_KIND_BITS: Final = 8
_PARTY_BITS: Final = 12
_ACCOUNT_BITS: Final = key_loops.ENDS_BITS
_ACCOUNT_MASK: Final = (1 << _ACCOUNT_BITS) - 1


class LiveLinks:
    """Numbers are given in the order in which accounts, nodes (identifier, slot, kind) and groups (the holders of a node at one party) come."""

    def __init__(self) -> None:
        self.accounts: Final = LayeredIndex(np.uint64)
        self._identifiers: Final = LayeredIndex(np.uint64)
        self._nodes: Final = LayeredIndex()  # identifier's number, slot, kind
        self._groups: Final = LayeredIndex()  # node, party
        self._by_node: Final = LayeredKeys()  # node, account
        self._by_account: Final = LayeredKeys()  # account, node

    @property
    def n_nodes(self) -> int:
        """How many nodes have a number."""
        return len(self._nodes)

    @property
    def n_groups(self) -> int:
        """How many groups have a number."""
        return len(self._groups)

    def fill(self, graph: Graph) -> None:
        """Become those of a graph, under its own numbers."""
        self.accounts.fill(graph.accounts)
        identifiers, number = np.unique(graph.identifier, return_inverse=True)
        self._identifiers.fill(identifiers)
        self._nodes.fill(_node(number.reshape(-1), graph.slot, graph.kind))
        self._groups.fill(graph.group_node << _PARTY_BITS | graph.group_party)
        self._by_node.fill(graph.node << _ACCOUNT_BITS | graph.account)
        self._by_account.fill(np.sort(graph.account << _ACCOUNT_BITS | graph.node))

    def add_nodes(self, identifier: Keys, slot: Ints, kind: Ints) -> Ints:
        """Number of each node, after those that are not there have been added."""
        return self._nodes.add(_node(self._identifiers.add(identifier), slot, kind))

    def add_groups(self, node: Ints, party: Ints) -> Ints:
        """Number of each group, after those that are not there have been added."""
        return self._groups.add(node << _PARTY_BITS | party)

    def unknown(self, node: Ints, account: Ints) -> tuple[Ints, Ints]:
        """(node, account) of those of the links that are not there, each once, by node."""
        link = np.unique(node << _ACCOUNT_BITS | account)
        link = link[~self._by_node.has(link)]
        return link >> _ACCOUNT_BITS, link & _ACCOUNT_MASK

    def insert(self, node: Ints, account: Ints) -> None:
        """Add links as `unknown` gives them."""
        self._by_node.insert(node << _ACCOUNT_BITS | account)
        self._by_account.insert(np.sort(account << _ACCOUNT_BITS | node))

    def held(self, accounts: Ints) -> tuple[Ints, Ints]:
        """(nodes that each account holds, one account after the other; how many each holds)."""
        return key_loops.ends(*self._by_account.layers, accounts)

    def holders(self, nodes: Ints) -> tuple[Ints, Ints]:
        """(accounts that hold each node, one node after the other; how many hold each)."""
        return key_loops.ends(*self._by_node.layers, nodes)

    def beside(self, nodes: Ints) -> Ints:
        """All accounts that hold any of these nodes, ascending."""
        return self.distinct(self.holders(key_loops.unique(nodes, self.n_nodes))[0])

    def nodes_of(self, accounts: Ints) -> Ints:
        """All nodes that any of these accounts holds, ascending."""
        return key_loops.unique(self.held(accounts)[0], self.n_nodes)

    def all_groups(self, *groups: Ints) -> Ints:
        """These groups, each once, ascending."""
        return key_loops.unique(np.concatenate(groups), self.n_groups)

    def distinct(self, accounts: Ints) -> Ints:
        """These accounts, each once, ascending."""
        return key_loops.unique(accounts, len(self.accounts))

    def groups_of(self, nodes: Ints) -> tuple[Ints, Ints, Ints]:
        """The groups of these nodes (ascending): number of each, place of its node among these, party."""
        return region_loops.groups_of(*self._groups.layers, *self._groups.layers_of_numbers, nodes, _PARTY_BITS)

    def reach(
        self, accounts: Ints, node: Columns, joins: Bools, holders_max: int, rounds: int
    ) -> tuple[Ints, int, Ints, Ints]:
        """Whom nodes of the kinds that join, and of few holders, tie to these accounts (see `region_loops.reach`). `node`: columns of the nodes."""
        return region_loops.reach(
            accounts,
            *self._by_account.layers,
            *self._by_node.layers,
            node["kind"],
            node["holders"],
            node["known"],
            joins,
            holders_max,
            rounds,
            len(self.accounts),
        )

    @property
    def layers_by_node(self) -> tuple[Keys, Keys]:
        """Node and account of each link as the loops take them, in two layers."""
        return self._by_node.layers


def _node(identifier: Ints, slot: Ints, kind: Ints) -> Ints:
    return (identifier << _SLOT_BITS | slot) << _KIND_BITS | kind
