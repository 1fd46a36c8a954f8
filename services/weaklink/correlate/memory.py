"""Memory of runs, of which parts can be given back before the whole is: a merge frees its sources while it goes on, so that links are not held twice."""

import mmap
from typing import Final

import numpy as np

from weaklink.correlate.packed import LINK_BYTES, Rows, empty_rows
from weaklink.correlate.row_loops import WORDS

_MAPPED_BYTES_MIN: Final = 1 << 20  # below that it is not worth a mapping of its own
_GIVES_BACK: Final = hasattr(mmap, "MADV_DONTNEED") and hasattr(mmap, "MAP_ANONYMOUS")
_RELEASE_BYTES: Final = 1 << 18  # not each page on its own


class Block:
    """Room for so many rows. Of a large one only the pages that were written and not given back are held."""

    __slots__ = ("_begin", "_end", "_map", "rows")

    def __init__(self, count: int) -> None:
        size = count * LINK_BYTES
        self._map: mmap.mmap | None = None
        self._begin, self._end = 0, size
        if size < _MAPPED_BYTES_MIN or not _GIVES_BACK:
            self.rows: Rows = empty_rows(count)
            return
        self._map = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        if hasattr(mmap, "MADV_HUGEPAGE"):
            # A search jumps through gigabytes: with small pages each jump would also miss the processor's table of pages.
            self._map.madvise(mmap.MADV_HUGEPAGE)
        self.rows = np.frombuffer(self._map, dtype=np.uint64, count=count * WORDS).reshape(count, WORDS)

    def release(self, begin: int, end: int) -> None:
        """Rows `begin` to `end` are not needed any more. What is released touches what was released before, or either end."""
        first, last = begin * LINK_BYTES, end * LINK_BYTES
        if self._map is None:
            return
        if first <= self._begin:
            # The rest goes with the next ones.
            last = last // _RELEASE_BYTES * _RELEASE_BYTES
            if last > self._begin:
                self._map.madvise(mmap.MADV_DONTNEED, self._begin, last - self._begin)
                self._begin = last
        elif last >= self._end:
            first = -(-first // _RELEASE_BYTES) * _RELEASE_BYTES
            if first < self._end:
                self._map.madvise(mmap.MADV_DONTNEED, first, self._end - first)
                self._end = first

    def held(self, written: int) -> int:
        """Bytes that are held when rows up to `written` were written: to the end of a page."""
        if self._map is None:
            return self.rows.nbytes
        return max(0, min(-(-written * LINK_BYTES // mmap.PAGESIZE) * mmap.PAGESIZE, self._end) - self._begin)
