"""The graph as it lives: what is known and believed of accounts, nodes and groups, with the links between them and the sums over them.

A `Region` is some accounts with all their links, as a `Graph` that every step of the method takes: what other holders add to the sums over
a group or a node goes with it. So what changed is evaluated by the same functions as the whole. Numbers and links are in `live_links`, sums
in `live_sums`.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from weaklink.campaigns import region_loops
from weaklink.campaigns.component_loops import components
from weaklink.campaigns.graph import (
    IS_HARD,
    KINDS,
    Bools,
    Floats,
    Graph,
    Ints,
    Keys,
    counts,
    persons,
)
from weaklink.campaigns.keys import Columns
from weaklink.campaigns.live_links import LiveLinks
from weaklink.campaigns.live_sums import Inside, LiveSums, Region
from weaklink.records.identifiers import IdentifierKind

_JOINS: Final[Bools] = IS_HARD | (np.arange(KINDS) == IdentifierKind.EMAIL)
"""Kinds by which accounts hang together in chains."""

_ACCOUNT: Final = {
    "key": np.uint64(0), "party": np.int16(0), "person": np.int32(0), "mates": False,  # mates: its person has other accounts
    "used": False,  # there was usage
    "counted": False,  # whether the sums of its groups and nodes hold it
    "b": 0.0, "b_reckoned": 0.0,  # conduct, as it is and as it was when the account was last evaluated
    "structure": 0.0, "chain": 0.0, "logit_q": 0.0, "p": 0.0, "disputed": False, "evidenced": False,
    "unheard": 0.0,  # nats by which what others tell it moved since it was last evaluated, at most
    "reseller": False, "ring": np.int32(-1), "ring_score": 0.0, "first_seen_us": np.int64(0), "campaign": np.int32(-1),
}  # fmt: skip
_NODE: Final = {
    "identifier": np.uint64(0), "slot": np.int64(0), "kind": np.int64(0), "known": np.int64(0), "holders": np.int64(0),
    "members": np.int64(0), "p": np.int64(0),
}  # fmt: skip
_GROUP: Final = {
    "persons": np.int64(0), "q": np.int64(0), "benign": np.int64(0),
    "node": np.int64(0), "told_persons": np.int64(0), "told_q": np.int64(0),  # what its holders last reckoned with
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class NewLinks:
    """Links that were not known: account, node and group of each. `uncounted`: accounts that are in no sums until they are evaluated."""

    account: Ints
    node: Ints
    group: Ints
    uncounted: Ints


class LiveGraph:
    """See the module. Accounts must be added before their links."""

    def __init__(self, hot: float, person_accounts_max: int) -> None:
        self._person_accounts_max: Final = person_accounts_max
        self.parties: list[str] = []
        self.account: Final = Columns(_ACCOUNT)
        self.node: Final = Columns(_NODE)
        self.group: Final = Columns(_GROUP)
        self.links: Final = LiveLinks()
        self.sums: Final = LiveSums(hot, self.links, self.account, self.node, self.group)

    def adopt(self, graph: Graph, logit_q: Floats, p: Floats) -> Region:
        """Become a whole graph with its beliefs. For an empty live graph; returns the region of everything."""
        n, nodes, groups = graph.n_accounts, np.arange(len(graph.kind)), np.arange(len(graph.group_node))
        self.parties = list(graph.parties)
        self.links.fill(graph)
        self.account.grow(n)
        self.node.grow(len(nodes))
        self.group.grow(len(groups))
        _, first, label = np.unique(graph.person, return_index=True, return_inverse=True)
        label = label.reshape(-1)
        mates = counts(label, len(first))[label] > 1
        for name, column in (
            ("key", graph.accounts),
            ("party", graph.party),
            ("person", first[label]),
            ("mates", mates),
        ):
            self.account[name][:] = column
        holders = graph.known + graph.unseen.astype(np.int64)
        for name, column in (
            ("identifier", graph.identifier),
            ("slot", graph.slot),
            ("kind", graph.kind),
            ("known", graph.known),
            ("holders", holders),
        ):
            self.node[name][:] = column
        self.group["node"][:] = graph.group_node
        none = Inside(*(np.zeros(many, np.int64) for many in (len(groups), len(groups), len(groups), len(nodes))))
        region = Region(graph, np.arange(n), nodes, groups, none)
        self.believe(region, logit_q, p)
        self.sums.all_told()
        return region

    def add_accounts(self, keys: Keys, parties: list[str]) -> tuple[Ints, Bools]:
        """(number of each account, whether it is new), each at the party of the same row."""
        before = len(self.links.accounts)
        number = self.links.accounts.add(keys)
        self.account.grow(len(self.links.accounts))
        new = number >= before
        for party in sorted({parties[i] for i in np.flatnonzero(new)} - set(self.parties)):
            self.parties.append(party)
        place = {party: i for i, party in enumerate(self.parties)}
        self.account["key"][number] = keys
        self.account["party"][number[new]] = [place[parties[i]] for i in np.flatnonzero(new)]
        self.account["person"][number[new]] = number[new]
        self.account["counted"][number[new]] = True
        return number, new

    def add_links(self, account: Ints, identifier: Keys, slot: Ints, kind: Ints, holders: Ints) -> NewLinks:
        """Take links, any that are known already among them."""
        node = self.links.add_nodes(identifier, slot, kind)
        self.node.grow(self.links.n_nodes)
        for name, column in (("identifier", identifier), ("slot", slot), ("kind", kind)):
            self.node[name][node] = column
        np.maximum.at(self.node["holders"], node, holders)
        node, account = self.links.unknown(node, account)
        mail = self.node["kind"][node] == IdentifierKind.EMAIL
        # Whose person changes, or is not this account alone, is taken out of the sums; the others are simply added.
        together = account[self.account["mates"][account]]
        uncounted = self.with_mates(np.union1d(together, self.links.holders(np.unique(node[mail]))[0]))
        uncounted = self.with_mates(np.union1d(uncounted, account[mail]))
        self.discount(uncounted)
        self.links.insert(node, account)
        group = self.links.add_groups(node, self.account["party"][account])
        self.group.grow(self.links.n_groups)
        self.group["node"][group] = node
        np.add.at(self.node["known"], node, 1)
        np.add.at(self.node["members"], node[self.account["campaign"][account] >= 0], 1)
        if mail.any():
            self._join_persons(uncounted)
        alone = self.account["counted"][account]
        self.sums.add_alone(account[alone], node[alone], group[alone])
        return NewLinks(account, node, group, uncounted)

    def with_mates(self, accounts: Ints) -> Ints:
        """These accounts and all others of the same persons, ascending."""
        found = front = self.links.distinct(accounts)
        while len(front := front[self.account["mates"][front]]):
            node, _ = self.links.held(front)
            mail = np.unique(node[self.node["kind"][node] == IdentifierKind.EMAIL])
            near = self.links.holders(mail)[0]
            mates = near[np.isin(self.account["person"][near], self.account["person"][front])]
            front = np.setdiff1d(mates, found)
            found = np.union1d(found, front)
        return found

    def components(self, accounts: Ints, holders_max: int, rounds: int) -> tuple[Ints, Ints, Bools]:
        """(accounts that hard identifiers and addresses of mail of few holders join to these, component of each, whether it was followed).

        Followed for so many rounds: a component that has not ended by then is cut off. Of such a one only the accounts that were met
        last are told apart, each a component of its own; the rest stands there as if it were whole.
        """
        found, followed, one, other = self.links.reach(
            self.with_mates(accounts), self.node, _JOINS, holders_max, rounds
        )
        n = len(found)
        label = components(n + int(other.max(initial=-1)) + 1, one, n + other)[:n]
        order = np.argsort(found)
        # An account that was met last, and not followed, stands for itself here.
        return found[order], label[order], order < followed

    def region(self, accounts: Ints, nodes: Ints | None = None) -> Region:
        """The graph of these accounts (ascending by key; whole persons), or only their links to `nodes`."""
        accounts = accounts[np.argsort(self.account["key"][accounts])]
        held, many = self.links.held(accounts)
        owner = np.repeat(np.arange(len(accounts)), many)
        if nodes is not None:
            kept = np.isin(held, nodes)
            held, owner = held[kept], owner[kept]
        numbers, node, owner = region_loops.by_node(held, owner, self.links.n_nodes)
        groups, group_node, group_party = self.links.groups_of(numbers)
        party = self.account["party"][accounts].astype(np.int64)
        persons, person = np.unique(self.account["person"][accounts], return_inverse=True)
        person = person.reshape(-1)
        group, seat, seat_group, seat_accounts = region_loops.seats(
            node, party[owner], person[owner], group_node, group_party, len(persons), len(numbers)
        )
        links = (owner, node, group, seat, seat_group, seat_accounts)
        size, is_counted = (len(groups), len(numbers)), self.account["counted"][accounts]
        counted = self.sums.inside(links, accounts, is_counted, size)
        # Mostly all of them are counted already.
        inside = counted if is_counted.all() else self.sums.inside(links, accounts, np.ones(len(accounts), bool), size)
        persons_at, outside_q, outside_benign, outside_p = self.sums.outside(groups, numbers, counted, inside)
        graph = Graph(
            accounts=self.account["key"][accounts],
            parties=self.parties,
            party=party,
            person=person,
            account=owner,
            node=node,
            link_first_us=np.zeros(len(owner), np.int64),
            link_last_us=np.zeros(len(owner), np.int64),
            kind=self.node["kind"][numbers],
            known=self.node["known"][numbers],
            unseen=np.maximum(self.node["holders"][numbers] - self.node["known"][numbers], 0).astype(np.float64),
            group=group,
            group_node=group_node,
            group_party=group_party,
            group_persons=persons_at,
            seat=seat,
            seat_group=seat_group,
            seat_accounts=seat_accounts,
            identifier=self.node["identifier"][numbers],
            slot=self.node["slot"][numbers],
            outside_q=outside_q,
            outside_benign=outside_benign,
            outside_p=outside_p,
        )
        return Region(graph, accounts, numbers, groups, counted)

    def believe(self, region: Region, logit_q: Floats, p: Floats) -> None:
        """Give the accounts of a region (with all their links) new beliefs, and count them."""
        self.sums.add(region, -1, region.counted)
        self.account["logit_q"][region.accounts] = logit_q
        self.account["p"][region.accounts] = p
        self.account["unheard"][region.accounts] = 0.0
        self.account["counted"][region.accounts] = True
        every = np.ones(len(region.accounts), bool)
        self.sums.add(region, 1, self.sums.inside(region.links, region.accounts, every, region.size))

    def discount(self, accounts: Ints) -> None:
        """Take accounts (whole persons) out of all sums, until they are believed anew."""
        accounts = accounts[self.account["counted"][accounts]]
        if len(accounts):
            region = self.region(accounts)
            self.sums.add(region, -1, region.counted)
            self.account["counted"][accounts] = False

    def _join_persons(self, affected: Ints) -> None:
        """Persons of these accounts (whole persons before and after) anew, from all holders of their addresses of mail."""
        node = np.unique(self.links.held(affected)[0])
        mail = node[self.node["kind"][node] == IdentifierKind.EMAIL]
        holder, many = self.links.holders(mail)
        near, at = np.unique(np.concatenate((affected, holder)), return_inverse=True)
        at = at.reshape(-1)
        kind = np.full(len(mail), int(IdentifierKind.EMAIL))
        owner, links = at[len(affected) :], np.repeat(np.arange(len(mail)), many)
        label = persons(
            len(near), self.account["party"][near], owner, links, kind=kind, accounts_max=self._person_accounts_max
        )
        mine, members = label[at[: len(affected)]], counts(label[at[: len(affected)]], len(near))
        first = np.full(len(near), np.iinfo(np.int64).max)
        np.minimum.at(first, mine, affected)
        self.account["person"][affected] = first[mine]
        self.account["mates"][affected] = members[mine] > 1
