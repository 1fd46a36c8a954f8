"""Which events repeat an earlier one: exact, over a window of offsets, by sorted runs of 16-byte event ids for each source partition.

An event is a duplicate when the same event_id was seen in a valid event, itself accepted or duplicate, at one of the `window` offsets before it.
So the window is a function of exactly those offsets, and reading them again rebuilds it.

An id is kept as two 64-bit words: `low`, its second half, and `key`, a mixture of both halves under a secret of this process. Given `low`, `key`
stands for exactly one first half, so nothing is lost; and who does not know the secret cannot make ids whose keys collide.
"""

import secrets
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint64]
Offsets = npt.NDArray[np.int64]

_MERGE_RATIO: Final = 4
_NEVER: Final = -(1 << 62)
_SHIFT: Final = np.uint64(32)


@dataclass(frozen=True, slots=True)
class _Run:
    """Ids ordered by key, each with the newest offset at which it was seen."""

    key: Words
    low: Words
    offset: Offsets
    offset_max: int

    def __len__(self) -> int:
        return len(self.key)


class Memory:
    """How many bytes of runs one process may hold. Beyond that a new run goes to a memory-mapped file in `folder`.

    The file is deleted at once and lives while it is mapped, so that a killed process leaves nothing behind.
    """

    def __init__(self, bytes_max: int, folder: Path | None = None) -> None:
        self._bytes_max = bytes_max
        self._folder = folder
        self.held_bytes = 0
        self.spilled_bytes = 0

    def keep(self, key: Words, low: Words, offset: Offsets) -> _Run:
        """A run of these arrays, in memory or in a file."""
        size = key.nbytes + low.nbytes + offset.nbytes
        offset_max = int(offset.max())
        if self.held_bytes + size <= self._bytes_max:
            self.held_bytes += size
            return _Run(key, low, offset, offset_max)
        if self._folder:
            self._folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(prefix="event-ids-", dir=self._folder) as file:
            for array in (key, low, offset):
                file.write(np.ascontiguousarray(array).data)
            file.flush()
            mapped: Any = np.memmap(file.name, dtype=np.uint64, mode="r")
        self.spilled_bytes += size
        rows = len(key)
        return _Run(mapped[:rows], mapped[rows : 2 * rows], mapped[2 * rows :].view(np.int64), offset_max)

    def drop(self, run: _Run) -> None:
        """The run is not needed any more."""
        size = run.key.nbytes + run.low.nbytes + run.offset.nbytes
        if isinstance(run.key, np.memmap):
            self.spilled_bytes -= size
        else:
            self.held_bytes -= size


class IdWindow:
    """The ids of one source partition."""

    def __init__(self, window_offsets: int, memory: Memory) -> None:
        self._window = window_offsets
        self._memory = memory
        self._runs: list[_Run] = []
        # Odd multipliers can be inverted, which is what makes `key` stand for one first half only.
        self._a, self._b = (np.uint64(secrets.randbits(64) | 1) for _ in range(2))

    def __len__(self) -> int:
        return sum(len(run) for run in self._runs)

    def add(self, ids: npt.NDArray[np.uint8], offsets: Offsets) -> npt.NDArray[np.bool_]:
        """Take in valid events (n x 16 bytes, with ascending offsets) and tell which of them are duplicates."""
        duplicate = np.zeros(len(offsets), dtype=np.bool_)
        if not len(offsets):
            return duplicate
        words = np.ascontiguousarray(ids).view("<u8")
        low = words[:, 1]
        key = self._mix(words[:, 0], low)
        order = _order(key, low)
        key, low, at = key[order], low[order], offsets[order]
        previous = np.full(len(at), _NEVER, dtype=np.int64)
        repeated = np.zeros(len(at), dtype=np.bool_)
        repeated[1:] = (key[1:] == key[:-1]) & (low[1:] == low[:-1])
        # Sorting is stable: of equal ids the one before is the newest that is older.
        previous[1:][repeated[1:]] = at[:-1][repeated[1:]]
        for run in self._runs:
            found = _find(run, key, low)
            previous = np.where(repeated, previous, np.maximum(previous, found))
        duplicate[order] = at - previous <= self._window
        newest = np.append(~repeated[1:], True)
        self._insert(self._memory.keep(key[newest], low[newest], at[newest]), int(offsets[-1]) + 1 - self._window)
        return duplicate

    def clear(self) -> None:
        """Forget everything."""
        for run in self._runs:
            self._memory.drop(run)
        self._runs = []

    def _mix(self, high: Words, low: Words) -> Words:
        mixed: Words = high * self._a + low * self._b
        # Multiplication carries upwards only: fold the well-mixed upper half down, and once more, both steps invertible.
        mixed ^= mixed >> _SHIFT
        mixed *= self._a
        mixed ^= mixed >> _SHIFT
        return mixed

    def _insert(self, run: _Run, oldest: int) -> None:
        """Add a run; drop those that lie before the window; merge neighbours of like size, so that few runs have to be searched."""
        for old in [one for one in self._runs if one.offset_max < oldest]:
            self._memory.drop(old)
            self._runs.remove(old)
        self._runs.append(run)
        while len(self._runs) > 1 and len(self._runs[-2]) < _MERGE_RATIO * len(self._runs[-1]):
            self._runs[-2:] = self._merge(self._runs[-2], self._runs[-1], oldest)

    def _merge(self, older: _Run, newer: _Run, oldest: int) -> list[_Run]:
        key, low, offset = (
            np.concatenate((getattr(older, name), getattr(newer, name))) for name in ("key", "low", "offset")
        )
        self._memory.drop(older)
        self._memory.drop(newer)
        inside = offset >= oldest
        key, low, offset = key[inside], low[inside], offset[inside]
        order = _order(key, low)
        key, low, offset = key[order], low[order], offset[order]
        same = key[1:] == key[:-1]
        newest = np.append(~(same & (low[1:] == low[:-1])), True)
        if not len(key):
            return []
        return [self._memory.keep(key[newest], low[newest], offset[newest])]


def _order(key: Words, low: Words) -> npt.NDArray[np.int64]:
    """Stable order by id. By key alone, which is enough unless two ids share one; two sorted stretches are merged, not sorted."""
    order: npt.NDArray[np.int64] = np.argsort(key, kind="stable")
    ordered = key[order]
    same = ordered[1:] == ordered[:-1]
    if same.any():
        lows = low[order]
        if (lows[1:][same] != lows[:-1][same]).any():
            return np.lexsort((low, key))
    return order


def _find(run: _Run, key: Words, low: Words) -> Offsets:
    """The newest offset of each id in the run, or `_NEVER`. The keys asked for are sorted, which keeps the search in the cache."""
    found = np.full(len(key), _NEVER, dtype=np.int64)
    place = np.searchsorted(run.key, key)
    inside = place < len(run)
    hit = np.zeros(len(key), dtype=np.bool_)
    hit[inside] = run.key[place[inside]] == key[inside]
    if not hit.any():
        return found
    rows = np.flatnonzero(hit)
    exact = run.low[place[rows]] == low[rows]
    found[rows[exact]] = run.offset[place[rows[exact]]]
    for row in rows[~exact]:  # another id of the same key: look at the few that follow
        end = int(np.searchsorted(run.key, key[row], side="right"))
        for at in range(int(place[row]), end):
            if run.low[at] == low[row]:
                found[row] = run.offset[at]
    return found
