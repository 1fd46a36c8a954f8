"""The sums over groups and nodes by which a part of the live graph can stand alone: how many persons, and what is believed of them.

Sums are kept as integers (units of 2^-40), so that they do not depend on the order in which accounts were counted.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.special import expit

from weaklink.campaigns import sum_loops
from weaklink.campaigns.graph import IS_HARD, Bools, Floats, Graph, Ints
from weaklink.campaigns.keys import Columns
from weaklink.campaigns.live_links import LiveLinks

_UNIT: Final = float(1 << 40)
_HEARD: Final = (-0.3, 2.5)
"""Nats: about the bounds within which belief adds up what the identifiers of a kind tell."""
_GROWN: Final = 0.25
"""Growth of a group, as a logarithm, from which structure is looked at again: 2 to 3 persons, 4 to 6."""

RegionLinks = tuple[Ints, Ints, Ints, Ints, Ints, Floats]
"""Of each link of a region account, node, group, seat; of each seat group, number of its accounts: as `sum_loops.inside` takes them."""


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

    @property
    def links(self) -> RegionLinks:
        """Of its graph."""
        graph = self.graph
        return graph.account, graph.node, graph.group, graph.seat, graph.seat_group, graph.seat_accounts

    @property
    def size(self) -> tuple[int, int]:
        """(groups, nodes)."""
        return len(self.groups), len(self.nodes)


class LiveSums:
    """Sums in columns of the groups (persons, q, benign) and of the nodes (p), from what is believed in those of the accounts."""

    def __init__(self, hot: float, links: LiveLinks, account: Columns, node: Columns, group: Columns) -> None:
        self._hot: Final = hot
        self._links: Final = links
        self._account: Final = account
        self._node: Final = node
        self._group: Final = group

    def inside(self, links: RegionLinks, accounts: Ints, which: Bools, size: tuple[int, int]) -> Inside:
        """What the accounts marked in `which` (whole persons) of a region add. `size`: groups, nodes."""
        q, p = expit(self._account["logit_q"][accounts]), self._account["p"][accounts]
        return Inside(*sum_loops.inside(*links, which, q, p, self._hot, *size, _UNIT))

    def outside(
        self, groups: Ints, nodes: Ints, counted: Inside, inside: Inside
    ) -> tuple[Floats, Floats, Floats, Floats]:
        """Persons of each group of a region with all its accounts; then what others have: q, benign; p by node.

        `counted`: what its accounts have in the sums, `inside`: what all of them add.
        """
        return sum_loops.outside(
            groups,
            self._group["persons"],
            self._group["q"],
            self._group["benign"],
            nodes,
            self._node["p"],
            counted.persons,
            counted.q,
            counted.benign,
            counted.p,
            inside.persons,
            _UNIT,
        )

    def add(self, region: Region, sign: int, inside: Inside) -> None:
        """Add what accounts of a region have to the sums, `sign` times."""
        sum_loops.add(
            region.groups,
            self._group["persons"],
            self._group["q"],
            self._group["benign"],
            region.nodes,
            self._node["p"],
            inside.persons,
            inside.q,
            inside.benign,
            inside.p,
            sign,
        )

    def add_alone(self, account: Ints, node: Ints, group: Ints) -> None:
        """Count new links of accounts that are counted already and are persons of their own."""
        p = self._account["p"][account]
        np.add.at(self._group["persons"], group, 1)
        np.add.at(self._group["q"], group, np.rint(expit(self._account["logit_q"][account]) * _UNIT).astype(np.int64))
        np.add.at(self._group["benign"], group, (p <= self._hot).astype(np.int64))
        np.add.at(self._node["p"], node, np.rint(p * _UNIT).astype(np.int64))

    def suspicion(self, nodes: Ints) -> Floats:
        """Mean p of the holders of each node."""
        mean: Floats = self._node["p"][nodes] / _UNIT / np.maximum(self._node["known"][nodes], 1)
        return mean

    def all_told(self) -> None:
        """Note that the holders of every group have reckoned with its sums as they are."""
        self._group["told_persons"][:] = self._group["persons"]
        self._group["told_q"][:] = self._group["q"]

    def news(self, groups: Ints, pi: Floats, at_least: float) -> tuple[Ints, Floats]:
        """Those of the groups whose word to their holders moved by more than `at_least` nats, and by how many.

        A group tells each holder ln((others' q + pi) / n / pi), where others' q lies between its sum less one and its sum; below and above
        `_HEARD` it makes no difference. Of hard identifiers the number of persons speaks by itself (structure): one, when it grew.
        """
        columns = self._group
        return sum_loops.news(
            groups,
            columns["node"],
            columns["persons"],
            columns["q"],
            columns["told_persons"],
            columns["told_q"],
            self._node["known"],
            self._node["kind"],
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
        return sum_loops.hear(
            self._group["node"][groups],
            moved,
            *self._links.layers_by_node,
            self._account["p"],
            settled,
            self._account["unheard"],
            at_least,
        )
