"""Loops that move links between runs. They know the key of a row only (see `packed.py`)."""

from typing import Final

import numpy as np

from weaklink.compiled import INT, in_place, inner
from weaklink.correlate.row_loops import ROWS, ROWS_OUT, U8S, U64S_OUT, WORDS, Array

_PLACE_SHIFT: Final = np.uint64(32)
_MARKS_SHIFT: Final = np.uint64(32)
_MARK_BITS: Final = np.uint64(31)
_ONE: Final = np.uint64(1)


@inner
def _copy(rows, at, other, other_at):  # type: ignore[no-untyped-def]
    for word in range(WORDS):
        rows[at, word] = other[other_at, word]


@inner
def _is_after(rows, at, other, other_at):  # type: ignore[no-untyped-def]
    if rows[at, 0] != other[other_at, 0]:
        return rows[at, 0] > other[other_at, 0]
    place, other_place = rows[at, 2] >> _PLACE_SHIFT, other[other_at, 2] >> _PLACE_SHIFT
    if place != other_place:
        return place > other_place
    return rows[at, 1] > other[other_at, 1]


@in_place(ROWS, INT, INT, U64S_OUT, INT, INT)
def enter(rows: Array, begin: int, end: int, directory: Array, shift: int, entered: int) -> int:
    """Enter rows `begin` to `end` into a directory that knows `entered` buckets so far; returns how many it knows then.

    Lower half of `directory[b]`: the first row whose identifier is b or more, taken by its first 64 - `shift` bits. Upper half: a mark for the last
    five bits of each identifier of the bucket, so that most of those that a run does not hold are known by one access to memory.
    """
    for at in range(begin, end):
        identifier = rows[at, 0]
        bucket = np.int64(identifier >> np.uint64(shift))
        while entered <= bucket:
            directory[entered] = np.uint64(at)
            entered += 1
        directory[bucket] |= _ONE << (_MARKS_SHIFT + (identifier & _MARK_BITS))
    return entered


@in_place(ROWS, INT, INT, ROWS, INT, INT, ROWS_OUT, INT, INT)
def merge_some(
    left: Array,
    at_left: int,
    end_left: int,
    right: Array,
    at_right: int,
    end_right: int,
    out: Array,
    at: int,
    wanted: int,
) -> tuple[int, int]:
    """Merge at least `wanted` rows of two ordered runs (or all) into `out` from row `at` on, to the end of an identifier; returns where both sides stand.

    `left` comes first where keys are equal.
    """
    stop = at + wanted
    while at_left < end_left or at_right < end_right:
        from_left = at_right >= end_right or (at_left < end_left and not _is_after(left, at_left, right, at_right))
        identifier = left[at_left, 0] if from_left else right[at_right, 0]
        if at >= stop and identifier != out[at - 1, 0]:
            break
        if from_left:
            _copy(out, at, left, at_left)
            at_left += 1
        else:
            _copy(out, at, right, at_right)
            at_right += 1
        at += 1
    return at_left, at_right


@in_place(ROWS_OUT, U8S)
def keep_marked(rows: Array, kept: Array) -> int:
    """Move the marked rows to the front, in their order; returns how many there are."""
    to = 0
    for at in range(len(rows)):
        if kept[at]:
            if to != at:
                _copy(rows, to, rows, at)
            to += 1
    return to


@in_place(ROWS)
def is_ordered(rows: Array) -> bool:
    """Whether rows ascend by (identifier, place, account); equal ones may follow each other: one account in two episodes."""
    for at in range(1, len(rows)):  # noqa: SIM110  # a loop is what is compiled
        if _is_after(rows, at - 1, rows, at):
            return False
    return True
