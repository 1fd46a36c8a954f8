"""Compiled: event ids looked up and put into open-addressed tables."""

from typing import Final

import numpy as np

from weaklink.compiled import (
    BOOLS_OUT,
    INT,
    INTS,
    TABLE,
    TABLE_OUT,
    WORD,
    WORDS,
    WORDS_OUT,
    Bools,
    Ints,
    Number,
    Words,
    in_place,
)
from weaklink.ingest.bytes_loops import mix, prefetch

Table = np.ndarray[tuple[int, int], np.dtype[np.int64]]

ID_WORDS: Final = 3
"""Words of an entry: the two halves of the id, and the newest offset at which it was seen."""
_LOW: Final = 0xFFFFFFFF
_AHEAD: Final = 16


@in_place(TABLE, WORDS, INT, INT, WORD, inline=True)
def _find(entries: Table, slots: Words, high: int, low: int, found: Number) -> Number:
    """The entry of an id with the hash `found`; when there is none, -1 minus the free slot where the search ended."""
    mask = np.uint64(len(slots) - 1)
    slot = found & mask
    while True:
        entry = slots[slot]
        if entry == np.uint64(0):
            return -1 - np.int64(slot)
        if (entry ^ found) >> np.uint64(32) == np.uint64(0):
            number = np.int64(entry & np.uint64(_LOW)) - 1
            if entries[number, 0] == high and entries[number, 1] == low:
                return number
        slot = slot + np.uint64(1) & mask


@in_place(TABLE, INT, INT, WORDS, WORD, inline=True)
def _fetch(ids: Table, first: int, stop: int, slots: Words, secret: Number) -> None:
    """Have the slots that the next ids will look at on their way from memory, all at once rather than one after another."""
    mask = np.uint64(len(slots) - 1)
    for number in range(first, min(first + _AHEAD, stop)):
        prefetch(slots, np.int64(mix(np.uint64(ids[number, 0]), np.uint64(ids[number, 1]), secret) & mask))


@in_place(TABLE, INT, WORDS_OUT, WORD)
def rebuild(entries: Table, count: int, slots: Words, secret: Number) -> None:
    """Put `count` distinct ids into a new table."""
    for number in range(count):
        if number % _AHEAD == 0:
            _fetch(entries, number, count, slots, secret)
        high, low = entries[number, 0], entries[number, 1]
        found = mix(np.uint64(high), np.uint64(low), secret)
        free = -1 - _find(entries, slots, high, low, found)
        slots[free] = (found & ~np.uint64(_LOW)) | np.uint64(number + 1)


@in_place(TABLE, INTS, INT, INT, INT, TABLE_OUT, WORDS_OUT, INT, TABLE, WORDS, WORD, BOOLS_OUT)
def add(
    ids: Table, offsets: Ints, first: int, stop_offset: int, window: int, entries: Table, slots: Words, count: int,
    older: Table, older_slots: Words, secret: Number, duplicate: Bools,
) -> tuple[int, int]:  # fmt: skip
    """Take in ids from the `first` on, up to `stop_offset` or until there is no more room. Returns how many are done, and the entries so far."""
    for number in range(first, len(ids)):
        at = offsets[number]
        if at >= stop_offset or count == len(entries):
            return number, count
        if number % _AHEAD == 0:
            _fetch(ids, number, len(ids), slots, secret)
            if len(older):
                _fetch(ids, number, len(ids), older_slots, secret)
        high, low = ids[number, 0], ids[number, 1]
        found = mix(np.uint64(high), np.uint64(low), secret)
        entry = _find(entries, slots, high, low, found)
        if entry >= 0:
            duplicate[number] = at - entries[entry, 2] <= window
            entries[entry, 2] = at
            continue
        if len(older):
            before = _find(older, older_slots, high, low, found)
            duplicate[number] = before >= 0 and at - older[before, 2] <= window
        entries[count, 0], entries[count, 1], entries[count, 2] = high, low, at
        count += 1
        slots[-1 - entry] = (found & ~np.uint64(_LOW)) | np.uint64(count)
    return len(ids), count
