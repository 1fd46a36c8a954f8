"""One sorted run of links: numpy columns ordered by (identifier, place, account), searched for many links at once.

`place` is slot << 16 | kind << 8 | epoch: together with the identifier it is the node that accounts share. Tokens that agree in their
identifier but not in kind or epoch are thereby different nodes, whatever a party sends.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Columns = dict[str, Array]

DTYPES: Final[dict[str, Any]] = {
    "identifier": np.uint64,
    "place": np.uint32,
    "account": np.uint64,
    "tail": np.uint64,
    "first_seen_us": np.int64,
    "last_seen_us": np.int64,
    "appended_at_us": np.int64,
    "mentions": np.uint32,
    "requests": np.uint32,  # int64 once a link needs it: see `SortedRuns.widen`
}
"""Columns of a run: 60 bytes a link."""


@dataclass(frozen=True, slots=True)
class Query:
    """Links to look up, ordered by (identifier, place, account) without repetition, and the nodes that they touch."""

    identifiers: Array  # distinct, ascending
    node_identifier: Array  # index into `identifiers`
    node_place: Array
    row_node: Array  # index into the nodes
    row_account: Array

    @classmethod
    def of(cls, rows: Columns) -> "Query":
        """The query for sorted, distinct rows (at least one)."""
        identifier, place = rows["identifier"], rows["place"]
        new_identifier = np.concatenate(([True], identifier[1:] != identifier[:-1]))
        new_node = new_identifier | np.concatenate(([True], place[1:] != place[:-1]))
        return cls(
            identifiers=identifier[new_identifier],
            node_identifier=(np.cumsum(new_identifier) - 1)[new_node],
            node_place=place[new_node],
            row_node=np.cumsum(new_node) - 1,
            row_account=rows["account"],
        )


@dataclass(frozen=True, slots=True)
class Found:
    """What one run knows of a query. Bounds are row numbers of the run, upper ones exclusive."""

    nodes: Array  # indexes of the query's nodes that the run holds
    lower: Array  # per such node
    upper: Array
    rows: Array  # indexes of the query's rows on those nodes
    position: Array  # per such row: where its account is, or would be
    rank: Array  # how many smaller accounts the run holds on its node
    matched: Array  # whether it is there


class Run:
    """Columns of equal length; values (not keys) may be changed in place."""

    __slots__ = ("columns",)

    def __init__(self, columns: Columns) -> None:
        self.columns = columns

    def __len__(self) -> int:
        return len(self.columns["identifier"])

    def slice(self, begin: int, end: int) -> "Run":
        """A view of rows begin..end."""
        return Run({name: column[begin:end] for name, column in self.columns.items()})

    def take(self, positions: Array) -> Columns:
        """A copy of these rows."""
        return {name: column[positions] for name, column in self.columns.items()}

    def find(self, query: Query) -> Found:
        """Bounds of the query's nodes and positions of its accounts."""
        nodes, lower, upper = self.node_bounds(query)
        slot_of_node = np.full(len(query.node_place), -1, dtype=np.int64)
        slot_of_node[nodes] = np.arange(len(nodes))
        slot_of_row = slot_of_node[query.row_node]
        rows = np.flatnonzero(slot_of_row >= 0)
        which = slot_of_row[rows]
        accounts, sought = self.columns["account"], query.row_account[rows]
        position = lower_bound(accounts, lower[which], upper[which], sought)
        inside = position < upper[which]
        matched = inside.copy()
        matched[inside] = accounts[position[inside]] == sought[inside]
        return Found(nodes, lower, upper, rows, position, position - lower[which], matched)

    def node_bounds(self, query: Query) -> tuple[Array, Array, Array]:
        """The query's nodes that the run holds (indexes), and the row numbers between which each stands."""
        own = self.columns["identifier"]
        left = np.searchsorted(own, query.identifiers)
        known = own[np.minimum(left, len(own) - 1)] == query.identifiers
        right = left + known
        # Most identifiers have one row: only the others need a search for their end.
        several = np.flatnonzero(known & (own[np.minimum(right, len(own) - 1)] == query.identifiers))
        right[several] = np.searchsorted(own, query.identifiers[several], side="right")
        nodes = np.flatnonzero(known[query.node_identifier])
        begin, end = left[query.node_identifier[nodes]], right[query.node_identifier[nodes]]
        places, sought = self.columns["place"], query.node_place[nodes]
        # Likewise most identifiers have one place, and what remains is to be cut to the place that is sought.
        mixed = np.flatnonzero((places[begin] != sought) | (places[end - 1] != sought))
        if len(mixed):
            lower, upper, place = begin[mixed], end[mixed], sought[mixed]
            begin[mixed] = lower_bound(places, lower, upper, place)
            end[mixed] = lower_bound(places, begin[mixed], upper, place.astype(np.int64) + 1)
        held = begin < end
        return nodes[held], begin[held], end[held]


def lower_bound(values: Array, lower: Array, upper: Array, sought: Array) -> Array:
    """For each i, the first position in lower[i]..upper[i] whose value is not below sought[i]; values ascend within each such range."""
    result = lower.copy()
    # Most ranges have one row: settle those first, so that the loop runs over the few long ones only.
    filled = np.flatnonzero(lower < upper)
    result[filled] += values[lower[filled]] < sought[filled]
    open_ = filled[(upper[filled] - lower[filled] > 1) & (result[filled] > lower[filled])]
    low, high, keys = result[open_], upper[open_], sought[open_]
    while len(open_):
        middle = (low + high) >> 1
        below = values[middle] < keys
        low = np.where(below, middle + 1, low)
        high = np.where(below, high, middle)
        done = low >= high
        result[open_[done]] = low[done]
        going = ~done
        open_, low, high, keys = open_[going], low[going], high[going], keys[going]
    return result


def key_order(identifier: Array, place: Array, account: Array) -> Array:
    """The permutation that orders rows by (identifier, place, account)."""
    order = np.argsort(identifier)
    ordered = identifier[order]
    same = ordered[1:] == ordered[:-1]
    tied = np.zeros(len(order), dtype=bool)
    tied[1:] |= same
    tied[:-1] |= same
    _settle(order, np.flatnonzero(tied), identifier, place, account)
    return order


def merge_order(left: Columns, right: Columns) -> Array:
    """The permutation that puts the rows of `left` followed by those of `right` in order; both are sorted."""
    identifier, place, account = (
        np.concatenate((left[name], right[name])) for name in ("identifier", "place", "account")
    )
    order = np.argsort(identifier, kind="stable")  # two ascending pieces: the stable sort merges them in one pass
    ordered = identifier[order]
    from_right = order >= len(left["identifier"])
    # Only identifiers that both sides hold can be out of order now: between their places and accounts.
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    lengths = np.diff(np.append(starts, len(ordered)))
    rights = np.add.reduceat(from_right, starts, dtype=np.int64) if len(starts) else starts
    _settle(order, np.flatnonzero(np.repeat((rights > 0) & (rights < lengths), lengths)), identifier, place, account)
    return order


def _settle(order: Array, mixed: Array, identifier: Array, place: Array, account: Array) -> None:
    """Order by all three those positions of `order` that are in order by identifier only; groups of one identifier are whole."""
    if len(mixed):
        among = order[mixed]
        order[mixed] = among[np.lexsort((account[among], place[among], identifier[among]))]
