"""When a link dies, and when two uses of an identifier are too far apart to belong together.

Time is counted in whole cells (an hour by default). With L the lifetime of a kind in cells, rounded up:

- a link is dead when its last use lies more than L cells before the clock's cell;
- two uses belong together when they overlap, or when at most L + 1 cells lie between the end of the one and the begin of the other.

The one cell more makes the two rules fit: as long as links are expired whenever the clock enters a new cell, no two living links of an
identifier can be too far apart, and no search for gaps is needed. Slotted links (IP) are bounded by their slot and have no gaps.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np

from weaklink.correlate.config import CorrelateConfig
from weaklink.correlate.packed import Array

_US: Final = 1_000_000
_KINDS: Final = 256
_NEVER: Final = np.iinfo(np.int64).min // 4


class Lifetimes:
    """Lifetimes by kind byte, and how far apart the uses of each kind can be that are stored at all."""

    def __init__(self, config: CorrelateConfig) -> None:
        self.cell_us = config.time_cell_seconds * _US
        seconds = np.full(_KINDS, config.lifetime_seconds_default, dtype=np.int64)
        for kind, lifetime_seconds in config.lifetime_seconds.items():
            seconds[int(kind)] = lifetime_seconds
        self._lifetime_cells: Array = -(-seconds // config.time_cell_seconds)
        self.gap_cells: Array = self._lifetime_cells + 1
        self.now_cell = _NEVER
        self._begin_max = np.full(_KINDS, _NEVER, dtype=np.int64)
        self._end_min = np.full(_KINDS, -_NEVER, dtype=np.int64)

    def advance(self, now_us: int) -> bool:
        """Move the clock, which never goes back; whether it entered a new cell."""
        cell = now_us // self.cell_us
        if cell <= self.now_cell:
            return False
        self.now_cell = cell
        self._end_min = np.maximum(self._end_min, cell - self._lifetime_cells)
        return True

    @property
    def oldest_us(self) -> Array:
        """For each kind byte the last use (microseconds) that the clock has not outlived."""
        if self.now_cell == _NEVER:
            return np.full(_KINDS, np.iinfo(np.int64).min)
        oldest: Array = (self.now_cell - self._lifetime_cells) * self.cell_us
        return oldest

    def note(self, begin_max_us: Array, end_min_us: Array) -> None:
        """Unslotted links are about to be stored: their latest first and earliest last use (microseconds) by kind byte."""
        np.maximum(self._begin_max, np.maximum(begin_max_us // self.cell_us, _NEVER), out=self._begin_max)
        np.minimum(self._end_min, np.minimum(end_min_us // self.cell_us, -_NEVER), out=self._end_min)

    @property
    def reach(self) -> dict[str, Array]:
        """How far the uses of each kind lie apart, in cells by kind byte: the latest `begin_max` and the earliest `end_min`."""
        return {"begin_max": self._begin_max.copy(), "end_min": self._end_min.copy()}

    @reach.setter
    def reach(self, reach: Mapping[str, Array]) -> None:
        self._begin_max, self._end_min = (np.array(reach[name]) for name in ("begin_max", "end_min"))

    def kinds_with_gaps(self) -> list[int]:
        """Kinds of which two stored uses may be too far apart; for all others every pair of uses belongs together."""
        gaps: list[int] = np.flatnonzero(self._begin_max - self._end_min > self.gap_cells).tolist()
        return gaps
