"""Which events repeat an earlier one: exact, over a window of offsets, by tables of 16-byte event ids for each source partition.

An event is a duplicate when the same event_id was seen in a valid event, itself accepted or duplicate, at one of the `window` offsets before it.
So the window is a function of exactly those offsets, and reading them again rebuilds it.

There are two tables. Ids go into the younger one until it spans the window; then it becomes the older one, and what was the older one, all of
which lies before the window by now, is emptied to be the younger. Tables are addressed by a hash with a secret of this process, so that who does not
know it cannot make ids that collide.
"""

import os
import secrets
import tempfile
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import structlog

from weaklink.ingest import dedupe_loops

Offsets = npt.NDArray[np.int64]

_ENTRIES_MIN: Final = 256
_SLOTS_PER_ENTRY: Final = 2
_GROWTH: Final = 4  # to put ids into larger tables again and again cost more than the first time
_WORD_BYTES: Final = 8
_log = structlog.get_logger()


class Memory:
    """How many bytes of tables one process may hold. What goes beyond lies in memory-mapped files in `folder`.

    A file is deleted at once and lives while it is mapped, so that a killed process leaves nothing behind.
    """

    def __init__(self, bytes_max: int, folder: Path | None = None) -> None:
        self._bytes_max = bytes_max
        self._folder = folder
        self.held_bytes = 0
        self.spilled_bytes = 0

    def take(self, words: int) -> tuple[npt.NDArray[np.int64], bool]:
        """So many words, all 0, and whether they lie in a file."""
        size = words * _WORD_BYTES
        if self.held_bytes + size <= self._bytes_max:
            self.held_bytes += size
            return np.zeros(words, dtype=np.int64), False
        try:
            mapped = self._map(words)
        except OSError as error:
            # Duplicates are told or not told: that must not depend on a disk. Memory may be enough; where it is not, the process ends.
            _log.error(
                "event_ids_not_spilled",
                path=str(self._folder),
                error=str(error),
                meaning="they are kept in memory, beyond its limit",
            )
            self.held_bytes += size
            return np.zeros(words, dtype=np.int64), False
        self.spilled_bytes += size
        return mapped.view(np.ndarray), True

    def _map(self, words: int) -> Any:
        if self._folder:
            self._folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(prefix="event-ids-", dir=self._folder) as file:
            # Not a file with holes: to write into one on a full disk is no error that could be caught, but the end of the process (SIGBUS).
            os.posix_fallocate(file.fileno(), 0, words * _WORD_BYTES)
            return np.memmap(file.name, dtype=np.int64, mode="r+", shape=(words,))

    def give_back(self, words: int, in_file: bool) -> None:
        """They are not needed any more."""
        if in_file:
            self.spilled_bytes -= words * _WORD_BYTES
        else:
            self.held_bytes -= words * _WORD_BYTES


class _Table:
    """Ids with the newest offset of each, in room for a power of two of them."""

    def __init__(self, memory: Memory, entries: int) -> None:
        self._memory = memory
        self._words = entries * (dedupe_loops.ID_WORDS + _SLOTS_PER_ENTRY)
        words, self._in_file = memory.take(self._words)
        self.entries = words[: entries * dedupe_loops.ID_WORDS].reshape(entries, dedupe_loops.ID_WORDS)
        self.slots = words[entries * dedupe_loops.ID_WORDS :].view(np.uint64)
        self.count = 0
        self.begin = 0

    def grown(self, entries_max: int, secret: np.uint64) -> "_Table":
        """The same ids with four times the room, but not more than for this many."""
        table = _Table(self._memory, min(_GROWTH * len(self.entries), entries_max))
        table.entries[: self.count] = self.entries[: self.count]
        table.count, table.begin = self.count, self.begin
        dedupe_loops.rebuild(table.entries, table.count, table.slots, secret)
        self.drop()
        return table

    def emptied(self) -> "_Table":
        """The same room without ids."""
        self.slots[:] = 0
        self.count = 0
        return self

    def drop(self) -> None:
        """Give the room back."""
        self._memory.give_back(self._words, self._in_file)


class IdWindow:
    """The ids of one source partition. `secret` is for tests."""

    def __init__(self, window_offsets: int, memory: Memory, secret: int | None = None) -> None:
        self._window = window_offsets
        self._memory = memory
        self._secret = np.uint64(secrets.randbits(64) | 1 if secret is None else secret)
        self._younger: _Table | None = None
        self._older: _Table | None = None

    def __len__(self) -> int:
        return sum(table.count for table in (self._younger, self._older) if table)

    def add(self, ids: npt.NDArray[np.int64], offsets: Offsets) -> npt.NDArray[np.bool_]:
        """Take in valid events (ids as n x 2 words, with ascending offsets) and tell which of them are duplicates."""
        duplicate = np.zeros(len(offsets), dtype=np.bool_)
        done = 0
        while done < len(offsets):
            table = self._room(int(offsets[done]))
            older = self._older or table
            done, table.count = dedupe_loops.add(
                ids, offsets, done, table.begin + self._window, self._window, table.entries, table.slots, table.count,
                older.entries[: 0 if older is table else None], older.slots, self._secret, duplicate,
            )  # fmt: skip
        return duplicate

    def clear(self) -> None:
        """Forget everything."""
        for table in (self._younger, self._older):
            if table:
                table.drop()
        self._younger = self._older = None

    def _room(self, offset: int) -> _Table:
        """The younger table, with room for one id more, which was seen at this offset."""
        if self._younger is None:
            self._younger = _Table(self._memory, _ENTRIES_MIN)
            self._younger.begin = offset
        if offset >= self._younger.begin + self._window:
            spare, self._older = self._older, self._younger
            self._younger = spare.emptied() if spare else _Table(self._memory, _ENTRIES_MIN)
            self._younger.begin = offset
        if self._younger.count == len(self._younger.entries):
            # Within the window there are no more ids than offsets.
            self._younger = self._younger.grown(max(1 << (self._window - 1).bit_length(), _ENTRIES_MIN), self._secret)
        return self._younger
