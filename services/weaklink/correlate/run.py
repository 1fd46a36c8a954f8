"""One sorted run of packed links, with a directory of its identifiers: a link is found with two accesses to memory, however long the run is."""

from dataclasses import dataclass
from typing import Final, Self

import numpy as np

from weaklink.correlate import merge_loops, search_loops
from weaklink.correlate.memory import Block
from weaklink.correlate.packed import Array, Rows
from weaklink.errors import WeaklinkError

_BUCKET_ROWS: Final = 8
_NOT_ENTERED: Final = (1 << 32) - 1
ROWS_MAX: Final = _NOT_ENTERED - 1
"""Links of one run at most: a directory counts them in 32 bits."""


class Directory:
    """For each first so many bits of an identifier: the first row of a run that has them or more, and marks of those that follow. Two bytes a link at most."""

    __slots__ = ("_entered", "rows", "shift")

    def __init__(self, rows_max: int) -> None:
        """For a run that grows up to `rows_max`. Raises WeaklinkError when those are more than ROWS_MAX."""
        if rows_max > ROWS_MAX:
            raise WeaklinkError(
                f"a partition of links has come to {rows_max:,} of them in one run, which counts up to {ROWS_MAX:,}: "
                "spread them over more partitions (topics.links_partitions, in a new installation)"
            )
        bits = max(1, (rows_max // _BUCKET_ROWS).bit_length())
        self.shift = 64 - bits
        # What is not entered yet lies behind all rows, so that a search there finds none.
        self.rows = np.full((1 << bits) + 1, _NOT_ENTERED, dtype=np.uint64)
        self._entered = 0

    def enter(self, rows: Rows, begin: int, end: int) -> None:
        """Rows `begin` to `end` of the run have come; earlier ones are entered already."""
        self._entered = merge_loops.enter(rows, begin, end, self.rows, self.shift, self._entered)


@dataclass(frozen=True, slots=True)
class Query:
    """Links to look up: rows ordered by (identifier, place, account) without repetition (at least one), and the first row of each node."""

    rows: Rows
    begins: Array  # one more than there are nodes

    @classmethod
    def of(cls, rows: Rows) -> Self:
        """The query for these rows."""
        begins = np.empty(len(rows) + 1, dtype=np.int64)
        count = search_loops.node_begins(rows, begins)
        return cls(rows, begins[: count + 1])

    @property
    def nodes(self) -> int:
        """How many nodes there are."""
        return len(self.begins) - 1

    def node_of(self, rows: Array) -> Array:
        """The node of each of these rows (by number)."""
        found: Array = np.searchsorted(self.begins, rows, side="right") - 1
        return found


@dataclass(frozen=True, slots=True)
class Bounds:
    """The nodes of a query that a piece holds; each between `lower` and `upper` of its rows."""

    nodes: Array
    lower: Array
    upper: Array


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows of a run that are searched together: all of it, or what a merge has left of it. Values (not keys) may be changed in place."""

    rows: Rows
    directory: Directory
    offset: int  # of the first row in the run that the directory tells of

    def __len__(self) -> int:
        return len(self.rows)

    def bounds(self, query: Query) -> Bounds:
        """Where the query's nodes stand. The piece has at least one row."""
        identifiers = query.rows[:, 0]
        row_from = np.searchsorted(identifiers, self.rows[0, 0])
        row_to = np.searchsorted(identifiers, self.rows[-1, 0], side="right")
        node_from, node_to = (int(one) for one in np.searchsorted(query.begins[:-1], (row_from, row_to)))
        nodes, lower, upper = (np.empty(node_to - node_from + 1, dtype=np.int64) for _ in range(3))
        own, unread = self.directory, np.empty(1, dtype=np.uint64)
        count = search_loops.bounds(
            self.rows, own.rows, own.shift, self.offset, query.rows, query.begins, node_from, node_to, nodes, lower, upper, unread
        )  # fmt: skip
        return Bounds(nodes[:count], lower[:count], upper[:count])


class Run:
    """Ordered rows in a block of memory of their own, with their directory."""

    __slots__ = ("begin", "block", "directory", "end")

    def __init__(self, block: Block, rows_max: int) -> None:
        """A run without rows yet, that grows up to `rows_max`."""
        self.block, self.begin, self.end = block, 0, 0
        self.directory = Directory(rows_max)

    @classmethod
    def of(cls, block: Block) -> Self:
        """All rows of a block, which is the run's from now on."""
        run = cls(block, len(block.rows))
        run.grow(len(block.rows))
        return run

    def __len__(self) -> int:
        return self.end - self.begin

    @property
    def bytes_held(self) -> int:
        """Memory that the run takes."""
        return self.block.held(self.end) + self.directory.rows.nbytes

    @property
    def piece(self) -> Piece:
        """The rows, to search and to change in place."""
        return Piece(self.block.rows[self.begin : self.end], self.directory, self.begin)

    def grow(self, rows: int) -> None:
        """So many further rows were written to the block."""
        self.directory.enter(self.block.rows, self.end, self.end + rows)
        self.end += rows

    def drop(self, rows: int) -> None:
        """The first so many rows are not needed any more."""
        self.begin += rows
        self.block.release(0, self.begin)

    def keep(self, kept: Array, rows_max: int) -> None:
        """Keep the marked rows alone; the run may grow up to `rows_max` still."""
        count = merge_loops.keep_marked(self.block.rows[self.begin : self.end], kept)
        self.end = self.begin
        self.directory = Directory(rows_max)
        self.grow(count)
