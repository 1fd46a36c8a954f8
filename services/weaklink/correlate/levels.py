"""All links of one unit as sorted runs that grow by insertion and are merged little by little.

Runs stand from the oldest to the newest. Neighbours that differ by less than a factor of 4 are merged, so that there are few runs and each
row moves only a few times. A merge goes on over many insertions: what it has merged so far, and what is left of its two sources, are three
runs like any other. Every row is in exactly one of them at any time, so that searching and changing rows need not know of merges.
"""

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np

from weaklink.correlate.run import DTYPES, Array, Columns, Run, merge_order

_RATIO: Final = 4
_MERGE_ROWS_PER_INSERTED: Final = (
    8  # a row is moved about log_2.5(links / chunk) times in its life; this keeps ahead of it
)
_PIECES_MAX: Final = 24  # beyond this, merging catches up at once: searching costs more than the stall


class Merge:
    """Two neighbouring runs on their way to one."""

    __slots__ = ("_done", "_left", "_left_done", "_out", "_right", "_right_done")

    def __init__(self, left: Run, right: Run, done: int = 0) -> None:
        """Of these two runs; `done` rows that come before theirs were merged already."""
        self._left, self._right, self._done = left, right, done
        self._left_done = self._right_done = 0
        total = done + len(left) + len(right)
        self._out: Columns = {name: np.empty(total, dtype=column.dtype) for name, column in left.columns.items()}

    def __len__(self) -> int:
        return self._done + len(self._left) + len(self._right)

    @property
    def rows_left(self) -> int:
        """Rows still to be merged."""
        return len(self._left) + len(self._right) - self._left_done - self._right_done

    def pieces(self) -> list[Run]:
        """Merged so far, left over of the one, left over of the other: views, so that changes in place stay."""
        return [
            Run(self._out).slice(0, self._done + self._left_done + self._right_done),
            self._left.slice(self._left_done, len(self._left)),
            self._right.slice(self._right_done, len(self._right)),
        ]

    def step(self, rows: int) -> int:
        """Merge about this many rows further, to the end of an identifier; returns how many."""
        _, left, right = self.pieces()
        left_end, right_end = self._cut(left, right, rows)
        part_left, part_right = left.slice(0, left_end).columns, right.slice(0, right_end).columns
        order = merge_order(part_left, part_right)
        begin = self._done + self._left_done + self._right_done
        for name, column in self._out.items():
            np.take(
                np.concatenate((part_left[name], part_right[name])),
                order,
                out=column[begin : begin + len(order)],
                mode="clip",
            )  # "raise" would copy
        self._left_done += left_end
        self._right_done += right_end
        return left_end + right_end

    def result(self) -> Run:
        """The one run, when nothing is left to merge."""
        assert self.rows_left == 0
        return Run(self._out)

    def keep(self, kept: Sequence[Array]) -> "Run | Merge":
        """This merge, as far as it has come, of the marked rows alone: one array for each of `pieces()`."""
        done, left, right = (
            Run(piece.take(np.flatnonzero(mask))) for piece, mask in zip(self.pieces(), kept, strict=True)
        )
        if not len(left) and not len(right):
            return done
        fewer = Merge(left, right, len(done))
        for name, column in fewer._out.items():
            column[: len(done)] = done.columns[name]
        return fewer

    def widen(self, name: str) -> None:
        """Make a column int64."""
        for columns in (self._left.columns, self._right.columns, self._out):
            columns[name] = columns[name].astype(np.int64)

    @staticmethod
    def _cut(left: Run, right: Run, rows: int) -> tuple[int, int]:
        total = len(left) + len(right)
        if total <= rows:
            return len(left), len(right)
        longer = left if len(left) >= len(right) else right
        share = max(0, min(len(longer) - 1, rows * len(longer) // total))
        pivot = longer.columns["identifier"][share]
        # All rows of an identifier go together, so that the merged piece ends where the left-over ones begin.
        return (
            int(np.searchsorted(left.columns["identifier"], pivot, side="right")),
            int(np.searchsorted(right.columns["identifier"], pivot, side="right")),
        )


class SortedRuns:
    """The runs, oldest first, some of them being merged."""

    def __init__(self, merge_rows_per_add: int) -> None:
        self._merge_rows_per_add = merge_rows_per_add
        self._levels: list[Run | Merge] = []
        self._wide: set[str] = set()

    def __len__(self) -> int:
        return sum(map(len, self._levels))

    @property
    def bytes_stored(self) -> int:
        """Bytes of the columns of all rows, without what a merge under way holds twice."""
        return sum(column.nbytes for piece in self.pieces() for column in piece.columns.values())

    def pieces(self) -> list[Run]:
        """Every run that has rows. Positions in it stay valid until the next insertion, removal or widening."""
        return [piece for level in self._levels for piece in _pieces(level) if len(piece)]

    def insert(self, columns: Columns) -> None:
        """Add rows that are sorted and not yet there, then merge a bounded number of rows."""
        self.append(columns)
        self._merge(max(self._merge_rows_per_add, _MERGE_ROWS_PER_INSERTED * len(columns["identifier"])))

    def append(self, columns: Columns) -> None:
        """Add a run as it is."""
        if len(columns["identifier"]):
            dtypes = DTYPES | dict.fromkeys(self._wide, np.int64)
            self._levels.append(Run({name: columns[name].astype(dtype, copy=False) for name, dtype in dtypes.items()}))

    def keep(self, kept: Iterable[Array]) -> None:
        """Keep the rows that are marked, one array for each of `pieces()`; the others are gone. Merges under way go on."""
        masks, none = iter(kept), np.zeros(0, dtype=bool)
        levels: list[Run | Merge] = []
        for level in self._levels:
            own = [next(masks) if len(piece) else none for piece in _pieces(level)]
            if all(mask.all() for mask in own):
                levels.append(level)
            elif isinstance(level, Merge):
                levels.append(level.keep(own))
            else:
                levels.append(Run(level.take(np.flatnonzero(own[0]))))
        self._levels = sorted(filter(len, levels), key=len, reverse=True)

    def widen(self, name: str) -> None:
        """Make a column int64 everywhere, for good: a value no longer fits the narrow type."""
        if name not in self._wide:
            self._wide.add(name)
            for level in self._levels:
                if isinstance(level, Merge):
                    level.widen(name)
                else:
                    level.columns[name] = level.columns[name].astype(np.int64)

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


def _pieces(level: Run | Merge) -> list[Run]:
    return level.pieces() if isinstance(level, Merge) else [level]
