"""The graph as it lives: accounts, nodes, groups and links under dense numbers, with the sums by which a part of it can stand alone.

A `Region` is some accounts with all their links, as a `Graph` that every step of the method takes: what other holders add to the sums over
a group or a node goes with it. So what changed is evaluated by the same functions as the whole. Sums are kept as integers (units
of 2^-40), so that they do not depend on the order in which accounts were counted.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.special import expit

from weaklink.campaigns import live_loops
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
from weaklink.campaigns.keys import Columns, LayeredIndex, LayeredKeys
from weaklink.records.identifiers import IdentifierKind

_UNIT: Final = float(1 << 40)
_SLOT_BITS: Final = 16
_PARTY_BITS: Final = 12
_ACCOUNT_BITS: Final = live_loops.ENDS_BITS
_ACCOUNT_MASK: Final = (1 << _ACCOUNT_BITS) - 1

_JOINS: Final[Bools] = IS_HARD | (np.arange(KINDS) == IdentifierKind.EMAIL)
"""Kinds by which accounts hang together in chains."""
_HEARD: Final = (-0.3, 2.5)
"""Nats: about the bounds within which belief adds up what the identifiers of a kind tell."""
_GROWN: Final = 0.25
"""Growth of a group, as a logarithm, from which structure is looked at again: 2 to 3 persons, 4 to 6."""

_ACCOUNT: Final = {
    "key": np.uint64(0), "party": np.int16(0), "person": np.int32(0), "mates": False,  # mates: its person has other accounts
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
class Inside:
    """What the accounts of a region add to the sums of its groups and nodes; integers, q and p in units of 2^-40."""

    persons: Ints
    q: Ints
    benign: Ints
    p: Ints


@dataclass(frozen=True, slots=True)
class Region:
    """A graph of some accounts, and the numbers of its accounts, nodes and groups in the live one. Beliefs are given while it is fresh."""

    graph: Graph
    accounts: Ints
    nodes: Ints
    groups: Ints
    counted: Inside  # what those of its accounts that are counted have in the sums, when it was made


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
        self._hot: Final = hot
        self._person_accounts_max: Final = person_accounts_max
        self.parties: list[str] = []
        self.accounts: Final = LayeredIndex(np.uint64)
        self.account: Final = Columns(_ACCOUNT)
        self.node: Final = Columns(_NODE)
        self.group: Final = Columns(_GROUP)
        self._identifiers: Final = LayeredIndex(np.uint64)
        self._nodes: Final = LayeredIndex()  # identifier's number, slot
        self._groups: Final = LayeredIndex()  # node, party
        self._by_node: Final = LayeredKeys()  # node, account
        self._by_account: Final = LayeredKeys()  # account, node

    def adopt(self, graph: Graph, logit_q: Floats, p: Floats) -> Region:
        """Become a whole graph with its beliefs. For an empty live graph; returns the region of everything."""
        n, nodes, groups = graph.n_accounts, np.arange(len(graph.kind)), np.arange(len(graph.group_node))
        self.parties = list(graph.parties)
        self.accounts.fill(graph.accounts)
        identifiers, number = np.unique(graph.identifier, return_inverse=True)
        self._identifiers.fill(identifiers)
        self._nodes.fill(number.reshape(-1) << _SLOT_BITS | graph.slot)
        self._groups.fill(graph.group_node << _PARTY_BITS | graph.group_party)
        self._by_node.fill(graph.node << _ACCOUNT_BITS | graph.account)
        self._by_account.fill(np.sort(graph.account << _ACCOUNT_BITS | graph.node))
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
        self.group["told_persons"][:] = self.group["persons"]
        self.group["told_q"][:] = self.group["q"]
        return region

    def add_accounts(self, keys: Keys, parties: list[str]) -> tuple[Ints, Bools]:
        """(number of each account, whether it is new), each at the party of the same row."""
        before = len(self.accounts)
        number = self.accounts.add(keys)
        self.account.grow(len(self.accounts))
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
        key = self._identifiers.add(identifier) << _SLOT_BITS | slot
        node = self._nodes.add(key)
        self.node.grow(len(self._nodes))
        for name, column in (("identifier", identifier), ("slot", slot), ("kind", kind)):
            self.node[name][node] = column
        np.maximum.at(self.node["holders"], node, holders)
        link = np.unique(node << _ACCOUNT_BITS | account)
        link = link[~self._by_node.has(link)]
        node, account = link >> _ACCOUNT_BITS, link & _ACCOUNT_MASK
        mail = self.node["kind"][node] == IdentifierKind.EMAIL
        # Whose person changes, or is not this account alone, is taken out of the sums; the others are simply added.
        together = account[self.account["mates"][account]]
        uncounted = self.with_mates(np.union1d(together, self.holders(np.unique(node[mail]))[0]))
        uncounted = self.with_mates(np.union1d(uncounted, account[mail]))
        self.discount(uncounted)
        self._by_node.insert(link)
        self._by_account.insert(np.sort(account << _ACCOUNT_BITS | node))
        group = self._groups.add(node << _PARTY_BITS | self.account["party"][account])
        self.group.grow(len(self._groups))
        self.group["node"][group] = node
        np.add.at(self.node["known"], node, 1)
        np.add.at(self.node["members"], node[self.account["campaign"][account] >= 0], 1)
        if mail.any():
            self._join_persons(uncounted)
        alone = self.account["counted"][account]
        self._add_alone(account[alone], node[alone], group[alone])
        return NewLinks(account, node, group, uncounted)

    def _add_alone(self, account: Ints, node: Ints, group: Ints) -> None:
        """Count new links of accounts that are counted already and are persons of their own."""
        p = self.account["p"][account]
        np.add.at(self.group["persons"], group, 1)
        np.add.at(self.group["q"], group, np.rint(expit(self.account["logit_q"][account]) * _UNIT).astype(np.int64))
        np.add.at(self.group["benign"], group, (p <= self._hot).astype(np.int64))
        np.add.at(self.node["p"], node, np.rint(p * _UNIT).astype(np.int64))

    def suspicion(self, nodes: Ints) -> Floats:
        """Mean p of the holders of each node."""
        mean: Floats = self.node["p"][nodes] / _UNIT / np.maximum(self.node["known"][nodes], 1)
        return mean

    def with_mates(self, accounts: Ints) -> Ints:
        """These accounts and all others of the same persons, ascending."""
        found = front = self.distinct(accounts)
        while len(front := front[self.account["mates"][front]]):
            node, _ = self.held(front)
            mail = np.unique(node[self.node["kind"][node] == IdentifierKind.EMAIL])
            near = self.holders(mail)[0]
            mates = near[np.isin(self.account["person"][near], self.account["person"][front])]
            front = np.setdiff1d(mates, found)
            found = np.union1d(found, front)
        return found

    def beside(self, nodes: Ints) -> Ints:
        """All accounts that hold any of these nodes, ascending."""
        return self.distinct(self.holders(live_loops.unique(nodes, len(self._nodes)))[0])

    def nodes_of(self, accounts: Ints) -> Ints:
        """All nodes that any of these accounts holds, ascending."""
        return live_loops.unique(self.held(accounts)[0], len(self._nodes))

    def all_groups(self, *groups: Ints) -> Ints:
        """These groups, each once, ascending."""
        return live_loops.unique(np.concatenate(groups), len(self._groups))

    def held(self, accounts: Ints) -> tuple[Ints, Ints]:
        """(nodes that each account holds, one account after the other; how many each holds)."""
        return live_loops.ends(*self._by_account.layers, accounts)

    def holders(self, nodes: Ints) -> tuple[Ints, Ints]:
        """(accounts that hold each node, one node after the other; how many hold each)."""
        return live_loops.ends(*self._by_node.layers, nodes)

    def distinct(self, accounts: Ints) -> Ints:
        """These accounts, each once, ascending."""
        return live_loops.unique(accounts, len(self.accounts))

    def components(self, accounts: Ints, holders_max: int, rounds: int) -> tuple[Ints, Ints, Bools]:
        """(accounts that hard identifiers and addresses of mail of few holders join to these, component of each, whether it was followed).

        Followed for so many rounds: a component that has not ended by then is cut off. Of such a one only the accounts that were met
        last are told apart, each a component of its own; the rest stands there as if it were whole.
        """
        found, followed, one, other = live_loops.reach(
            self.with_mates(accounts),
            *self._by_account.layers,
            *self._by_node.layers,
            self.node["kind"],
            self.node["holders"],
            self.node["known"],
            _JOINS,
            holders_max,
            rounds,
            len(self.accounts),
        )
        n = len(found)
        label = components(n + int(other.max(initial=-1)) + 1, one, n + other)[:n]
        order = np.argsort(found)
        # An account that was met last, and not followed, stands for itself here.
        return found[order], label[order], order < followed

    def region(self, accounts: Ints, nodes: Ints | None = None) -> Region:
        """The graph of these accounts (ascending by key; whole persons), or only their links to `nodes`."""
        accounts = accounts[np.argsort(self.account["key"][accounts])]
        held, many = self.held(accounts)
        owner = np.repeat(np.arange(len(accounts)), many)
        if nodes is not None:
            kept = np.isin(held, nodes)
            held, owner = held[kept], owner[kept]
        numbers, node, owner = live_loops.by_node(held, owner, len(self._nodes))
        groups, group_node, group_party = live_loops.groups_of(
            *self._groups.layers, *self._groups.layers_of_numbers, numbers, _PARTY_BITS
        )
        party = self.account["party"][accounts].astype(np.int64)
        persons, person = np.unique(self.account["person"][accounts], return_inverse=True)
        person = person.reshape(-1)
        group, seat, seat_group, seat_accounts = live_loops.seats(
            node, party[owner], person[owner], group_node, group_party, len(persons), len(numbers)
        )
        links = (owner, node, group, seat, seat_group, seat_accounts)
        size, is_counted = (len(groups), len(numbers)), self.account["counted"][accounts]
        counted = self._inside(links, accounts, is_counted, size)
        # Mostly all of them are counted already.
        inside = counted if is_counted.all() else self._inside(links, accounts, np.ones(len(accounts), bool), size)
        persons_at, outside_q, outside_benign, outside_p = live_loops.outside(
            groups,
            self.group["persons"],
            self.group["q"],
            self.group["benign"],
            numbers,
            self.node["p"],
            counted.persons,
            counted.q,
            counted.benign,
            counted.p,
            inside.persons,
            _UNIT,
        )
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
        self._add(region, -1, region.counted)
        self.account["logit_q"][region.accounts] = logit_q
        self.account["p"][region.accounts] = p
        self.account["unheard"][region.accounts] = 0.0
        self.account["counted"][region.accounts] = True
        graph = region.graph
        links = (graph.account, graph.node, graph.group, graph.seat, graph.seat_group, graph.seat_accounts)
        every, size = np.ones(len(region.accounts), bool), (len(region.groups), len(region.nodes))
        self._add(region, 1, self._inside(links, region.accounts, every, size))

    def discount(self, accounts: Ints) -> None:
        """Take accounts (whole persons) out of all sums, until they are believed anew."""
        accounts = accounts[self.account["counted"][accounts]]
        if len(accounts):
            region = self.region(accounts)
            self._add(region, -1, region.counted)
            self.account["counted"][accounts] = False

    def news(self, groups: Ints, pi: Floats, at_least: float) -> tuple[Ints, Floats]:
        """Those of the groups whose word to their holders moved by more than `at_least` nats, and by how many.

        A group tells each holder ln((others' q + pi) / n / pi), where others' q lies between its sum less one and its sum; below and above
        `_HEARD` it makes no difference. Of hard identifiers the number of persons speaks by itself (structure): one, when it grew.
        """
        columns = self.group
        return live_loops.news(
            groups,
            columns["node"],
            columns["persons"],
            columns["q"],
            columns["told_persons"],
            columns["told_q"],
            self.node["known"],
            self.node["kind"],
            IS_HARD,
            pi,
            at_least,
            _GROWN,
            _HEARD[0],
            _HEARD[1],
            _UNIT,
        )

    def hear(self, groups: Ints, moved: Floats, settled: Bools, at_least: float) -> Ints:
        """Accounts on the nodes of these groups, at whatever party, that have to reckon anew: what they were told since they last did, this among
        it, can move their p by `at_least`. Not those that are `settled`."""
        columns = self.account
        return live_loops.hear(
            self.group["node"][groups],
            moved,
            *self._by_node.layers,
            columns["p"],
            settled,
            columns["unheard"],
            at_least,
        )

    def _add(self, region: Region, sign: int, inside: Inside) -> None:
        live_loops.add(
            region.groups,
            self.group["persons"],
            self.group["q"],
            self.group["benign"],
            region.nodes,
            self.node["p"],
            inside.persons,
            inside.q,
            inside.benign,
            inside.p,
            sign,
        )

    def _inside(
        self, links: tuple[Ints, Ints, Ints, Ints, Ints, Floats], accounts: Ints, which: Bools, size: tuple[int, int]
    ) -> Inside:
        """What the accounts marked in `which` (whole persons) of a region add. `links`: as `live_loops.inside` takes them; `size`: groups, nodes."""
        q, p = expit(self.account["logit_q"][accounts]), self.account["p"][accounts]
        return Inside(*live_loops.inside(*links, which, q, p, self._hot, *size, _UNIT))

    def _join_persons(self, affected: Ints) -> None:
        """Persons of these accounts (whole persons before and after) anew, from all holders of their addresses of mail."""
        node = np.unique(self.held(affected)[0])
        mail = node[self.node["kind"][node] == IdentifierKind.EMAIL]
        holder, many = self.holders(mail)
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
