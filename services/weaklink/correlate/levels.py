"""All links of one unit as sorted runs that grow by insertion and are merged little by little.

Runs stand from the oldest to the newest. Neighbours that differ by less than a factor of 4 are merged, so that there are few runs and each
row moves only a few times. A merge goes on over many insertions: what it has merged so far, and what is left of its two sources, are three
pieces like any other. Every row is in exactly one of them at any time, so that searching and changing rows need not know of merges.
"""

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np

from weaklink.correlate import merge_loops
from weaklink.correlate.memory import Block
from weaklink.correlate.packed import Array, Rows
from weaklink.correlate.run import Piece, Run

_RATIO: Final = 4
# A row is moved about log_2.5(links / chunk) times in its life, 9 times among 3 million in chunks of 10,000. Twice that is ahead of it: with 8
# there were 4.0 searches a row and 7.6 moves, with 16 there are 2.9 and 9.0, and a move costs a quarter of a search.
_MERGE_ROWS_PER_INSERTED: Final = 16
_PIECES_MAX: Final = 24  # beyond this, merging catches up at once: searching costs more than the stall


class Merge:
    """Two neighbouring runs on their way to one. Of its sources it gives back what it has merged."""

    __slots__ = ("_left", "_out", "_right")

    def __init__(self, left: Run, right: Run) -> None:
        self._left, self._right = left, right
        total = len(left) + len(right)
        self._out = Run(Block(total), total)

    def __len__(self) -> int:
        return sum(map(len, self._runs))

    @property
    def _runs(self) -> tuple[Run, Run, Run]:
        return self._out, self._left, self._right

    @property
    def rows_left(self) -> int:
        """Rows still to be merged."""
        return len(self._left) + len(self._right)

    @property
    def bytes_held(self) -> int:
        """Memory of the sources, as far as they are not given back, and of what is merged."""
        return sum(run.bytes_held for run in self._runs)

    def pieces(self) -> list[Piece]:
        """Merged so far, left over of the one, left over of the other: views, so that changes in place stay."""
        return [run.piece for run in self._runs]

    def step(self, rows: int) -> int:
        """Merge at least this many rows further (or all), to the end of an identifier; returns how many."""
        out, left, right = self._runs
        at_left, at_right = merge_loops.merge_some(
            left.block.rows, left.begin, left.end, right.block.rows, right.begin, right.end, out.block.rows, out.end, rows
        )  # fmt: skip
        from_left, from_right = at_left - left.begin, at_right - right.begin
        out.grow(from_left + from_right)
        left.drop(from_left)
        right.drop(from_right)
        return from_left + from_right

    def result(self) -> Run:
        """The one run, when nothing is left to merge."""
        assert self.rows_left == 0
        self._out.block.release(self._out.end, len(self._out.block.rows))
        return self._out

    def keep(self, kept: Sequence[Array]) -> None:
        """This merge, as far as it has come, of the marked rows alone: one array for each of `pieces()`."""
        out, left, right = self._runs
        for run, mask in ((left, kept[1]), (right, kept[2])):
            run.keep(mask, len(run))
            run.block.release(run.end, len(run.block.rows))
        out.keep(kept[0], len(out) + self.rows_left)


class SortedRuns:
    """The runs, oldest first, some of them being merged."""

    def __init__(self, merge_rows_per_add: int) -> None:
        self._merge_rows_per_add = merge_rows_per_add
        self._levels: list[Run | Merge] = []

    def __len__(self) -> int:
        return sum(map(len, self._levels))

    @property
    def bytes_held(self) -> int:
        """Memory of all runs with their directories, and of what merges under way hold twice."""
        return sum(level.bytes_held for level in self._levels)

    def pieces(self) -> list[Piece]:
        """Everything that has rows. Positions in it stay valid until the next insertion or removal."""
        return [piece for level in self._levels for piece in _pieces(level) if len(piece)]

    def insert(self, rows: Rows) -> None:
        """Add rows that are ordered and not yet there, then merge a bounded number of rows."""
        if len(rows):
            block = Block(len(rows))
            block.rows[:] = rows
            self.adopt(block)
        self._merge(max(self._merge_rows_per_add, _MERGE_ROWS_PER_INSERTED * len(rows)))

    def adopt(self, block: Block) -> None:
        """Add a run as it is: all rows of a block that is nobody else's."""
        self._levels.append(Run.of(block))

    def keep(self, kept: Iterable[Array]) -> None:
        """Keep the rows that are marked, one array for each of `pieces()`; the others are gone. Merges under way go on."""
        masks, none = iter(kept), np.zeros(0, dtype=np.uint8)
        for number, level in enumerate(self._levels):
            own = [next(masks) if len(piece) else none for piece in _pieces(level)]
            if all(mask.all() for mask in own):
                continue
            if isinstance(level, Run):
                level.keep(own[0], len(level))
                level.block.release(level.end, len(level.block.rows))
            else:
                level.keep(own)
                if level.rows_left == 0:
                    self._levels[number] = level.result()
        self._levels = sorted(filter(len, self._levels), key=len, reverse=True)

    def _merge(self, budget: int) -> None:
        while True:
            self._start_merges()
            under_way = [(at, level) for at, level in enumerate(self._levels) if isinstance(level, Merge)]
            pressed = len(self.pieces()) > _PIECES_MAX
            if not under_way or (budget <= 0 and not pressed):
                return
            # The smallest merge first: it is soonest done and relieves searching most for the rows it moves.
            at, merge = min(under_way, key=lambda one: one[1].rows_left)
            budget -= merge.step(merge.rows_left if pressed else max(budget, 1))
            if merge.rows_left == 0:
                self._levels[at] = merge.result()

    def _start_merges(self) -> None:
        at = len(self._levels) - 1
        while at > 0:
            left, right = self._levels[at - 1], self._levels[at]
            if isinstance(left, Run) and isinstance(right, Run) and len(left) < _RATIO * len(right):
                self._levels[at - 1 : at + 1] = [Merge(left, right)]
                at -= 1
            at -= 1


def _pieces(level: Run | Merge) -> list[Piece]:
    return level.pieces() if isinstance(level, Merge) else [level.piece]
