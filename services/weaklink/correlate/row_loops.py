"""Loops over packed links: pack, order, fold, unpack, age. The only ones that know where in a row its times and counts are (see `packed.py`).

Machine code is kept per file: whatever depends on this layout stays in this file, so that no code of an older layout outlives a change.
Unsigned words meet unsigned constants only: numba makes a float of a sum of signed and unsigned.
"""

from typing import Any, Final

import numpy as np
import numpy.typing as npt
from numba import types

from weaklink.compiled import INT, INTS, INTS_OUT, in_place, inner

Array = npt.NDArray[Any]

WORDS: Final = 7
TIME_US_MAX: Final = (1 << 53) - 1
MENTIONS_MAX: Final = (1 << 32) - 1
REQUESTS_PER_ROW_MAX: Final = 1 << 40
"""More than any account makes; keeps what one party claims from filling a sum at once."""
REQUESTS_MAX: Final = (1 << 41) - 1

_PLACE_SHIFT: Final = np.uint64(32)
_TIME_SHIFT: Final = np.uint64(11)
_TIME_REST: Final = np.uint64(0x7FF)
_SECOND: Final = np.uint64(11)
_THIRD: Final = np.uint64(22)
_FOURTH: Final = np.uint64(33)
_BYTE: Final = np.uint64(0xFF)
_TOP_BYTE_SHIFT: Final = np.uint64(56)
_MENTIONS: Final = np.uint64(MENTIONS_MAX)
_REQUESTS: Final = np.uint64(REQUESTS_MAX)
_SMALL: Final = 16  # rows up to which insertion beats merging

ROWS: Final[Any] = types.Array(types.uint64, 2, "C", readonly=True)
ROWS_OUT: Final[Any] = types.Array(types.uint64, 2, "C")
U64S: Final[Any] = types.Array(types.uint64, 1, "C", readonly=True)
U32S: Final[Any] = types.Array(types.uint32, 1, "C", readonly=True)
U16S: Final[Any] = types.Array(types.uint16, 1, "C", readonly=True)
U8S: Final[Any] = types.Array(types.uint8, 1, "C", readonly=True)
U64S_OUT: Final[Any] = types.Array(types.uint64, 1, "C")
U32S_OUT: Final[Any] = types.Array(types.uint32, 1, "C")
U16S_OUT: Final[Any] = types.Array(types.uint16, 1, "C")
U8S_OUT: Final[Any] = types.Array(types.uint8, 1, "C")


@inner
def _write(rows, at, first, last, appended, mentions, requests, tail):  # type: ignore[no-untyped-def]
    """Everything but the key; what is too large for its bits has been cut before."""
    rows[at, 2] = (rows[at, 2] >> _PLACE_SHIFT) << _PLACE_SHIFT | mentions
    rows[at, 3] = first << _TIME_SHIFT | (requests & _TIME_REST)
    rows[at, 4] = last << _TIME_SHIFT | ((requests >> _SECOND) & _TIME_REST)
    rows[at, 5] = appended << _TIME_SHIFT | ((requests >> _THIRD) & _TIME_REST)
    rows[at, 6] = (tail | _BYTE) ^ _BYTE | (requests >> _FOURTH)


@inner
def _requests_of(rows, at):  # type: ignore[no-untyped-def]
    low = (rows[at, 3] & _TIME_REST) | (rows[at, 4] & _TIME_REST) << _SECOND
    return low | (rows[at, 5] & _TIME_REST) << _THIRD | (rows[at, 6] & _BYTE) << _FOURTH


@inner
def _fold_into(rows, at, other, other_at):  # type: ignore[no-untyped-def]
    """Take another row of the same key into this one."""
    first = min(rows[at, 3] >> _TIME_SHIFT, other[other_at, 3] >> _TIME_SHIFT)
    last = max(rows[at, 4] >> _TIME_SHIFT, other[other_at, 4] >> _TIME_SHIFT)
    appended = max(rows[at, 5] >> _TIME_SHIFT, other[other_at, 5] >> _TIME_SHIFT)
    mentions = min((rows[at, 2] & _MENTIONS) + (other[other_at, 2] & _MENTIONS), _MENTIONS)
    requests = min(_requests_of(rows, at) + _requests_of(other, other_at), _REQUESTS)
    _write(rows, at, first, last, appended, mentions, requests, min(rows[at, 6] | _BYTE, other[other_at, 6] | _BYTE))


@inner
def _copy(rows, at, other, other_at):  # type: ignore[no-untyped-def]
    for word in range(WORDS):
        rows[at, word] = other[other_at, word]


@inner
def _time(value):  # type: ignore[no-untyped-def]
    return np.uint64(min(max(value, 0), TIME_US_MAX))


@in_place(ROWS_OUT, INT, U64S, U64S, U8S, U8S, U16S, U64S, INTS, INTS, INTS, U32S, INTS, INTS, INTS_OUT, INTS_OUT)
def pack(  # one for each column
    rows: Array,
    at: int,
    identifier: Array,
    tail: Array,
    kind: Array,
    epoch: Array,
    slot: Array,
    account: Array,
    first_us: Array,
    last_us: Array,
    appended_us: Array,
    mentions: Array,
    requests: Array,
    oldest_us: Array,
    begin_max_us: Array,
    end_min_us: Array,
) -> int:
    """Write the columns of LINKS from row `at` on, without those that were last used before `oldest_us` of their kind; returns the next free row.

    Raises `begin_max_us` and lowers `end_min_us` of each kind to the times of its unslotted links.
    """
    for row in range(len(identifier)):
        own = kind[row]
        if last_us[row] < oldest_us[own]:
            continue
        if slot[row] == 0:
            begin_max_us[own] = max(begin_max_us[own], first_us[row])
            end_min_us[own] = min(end_min_us[own], last_us[row])
        place = np.uint64(slot[row]) << np.uint64(16) | np.uint64(own) << np.uint64(8) | np.uint64(epoch[row])
        rows[at, 0] = identifier[row]
        rows[at, 1] = account[row]
        rows[at, 2] = place << _PLACE_SHIFT
        claimed = np.uint64(min(max(requests[row], 0), REQUESTS_PER_ROW_MAX))
        _write(
            rows, at, _time(first_us[row]), _time(last_us[row]), _time(appended_us[row]), np.uint64(mentions[row]), claimed, tail[row]
        )  # fmt: skip
        at += 1
    return at


@in_place(
    ROWS, U64S_OUT, U64S_OUT, U8S_OUT, U8S_OUT, U16S_OUT, U64S_OUT, INTS_OUT, INTS_OUT, INTS_OUT, U32S_OUT, INTS_OUT
)
def unpack(
    rows: Array,
    identifier: Array,
    tail: Array,
    kind: Array,
    epoch: Array,
    slot: Array,
    account: Array,
    first_us: Array,
    last_us: Array,
    appended_us: Array,
    mentions: Array,
    requests: Array,
) -> None:
    """Write rows as the columns of LINKS."""
    for row in range(len(rows)):
        place = rows[row, 2] >> _PLACE_SHIFT
        identifier[row] = rows[row, 0]
        tail[row] = (rows[row, 6] | _BYTE) ^ _BYTE | rows[row, 0] >> _TOP_BYTE_SHIFT
        kind[row] = (place >> np.uint64(8)) & _BYTE
        epoch[row] = place & _BYTE
        slot[row] = place >> np.uint64(16)
        account[row] = rows[row, 1]
        first_us[row] = rows[row, 3] >> _TIME_SHIFT
        last_us[row] = rows[row, 4] >> _TIME_SHIFT
        appended_us[row] = rows[row, 5] >> _TIME_SHIFT
        mentions[row] = rows[row, 2] & _MENTIONS
        requests[row] = _requests_of(rows, row)


@inner
def _is_before(rows, one, other):  # type: ignore[no-untyped-def]
    if rows[one, 0] != rows[other, 0]:
        return rows[one, 0] < rows[other, 0]
    place, other_place = rows[one, 2] >> _PLACE_SHIFT, rows[other, 2] >> _PLACE_SHIFT
    if place != other_place:
        return place < other_place
    return rows[one, 1] < rows[other, 1]


@inner
def _insertion_sort(rows, order, begin, end):  # type: ignore[no-untyped-def]
    for at in range(begin + 1, end):
        row = order[at]
        to = at
        while to > begin and _is_before(rows, row, order[to - 1]):
            order[to] = order[to - 1]
            to -= 1
        order[to] = row


@inner
def _merge_sort(rows, order, begin, end, spare):  # type: ignore[no-untyped-def]
    """Bottom up: the cost is bounded whatever a party sends."""
    for at in range(begin, end, _SMALL):
        _insertion_sort(rows, order, at, min(at + _SMALL, end))
    width = _SMALL
    while width < end - begin:
        for left in range(begin, end - width, 2 * width):
            middle, stop = left + width, min(left + 2 * width, end)
            one, other = left, middle
            for to in range(stop - left):
                if other >= stop or (one < middle and not _is_before(rows, order[other], order[one])):
                    spare[to] = order[one]
                    one += 1
                else:
                    spare[to] = order[other]
                    other += 1
            for to in range(stop - left):
                order[left + to] = spare[to]
        width *= 2


@in_place(ROWS, INTS_OUT, INTS_OUT, INTS_OUT, INT)
def order_rows(rows: Array, order: Array, spare: Array, ends: Array, bits: int) -> None:
    """The permutation that orders rows by key into `order`: distributed by the first `bits` of the identifier, then ordered within.

    To work with: `spare`, as long as `order`, and `ends`, 2 ** bits + 1 zeros.
    """
    count = len(rows)
    sorted_so_far = 1
    while sorted_so_far < count and not _is_before(rows, sorted_so_far, sorted_so_far - 1):
        sorted_so_far += 1
    if sorted_so_far >= count:
        for row in range(count):
            order[row] = row
        return
    shift = np.uint64(64 - bits)
    for row in range(count):
        ends[np.int64(rows[row, 0] >> shift) + 1] += 1
    for bucket in range(1, len(ends)):
        ends[bucket] += ends[bucket - 1]
    for row in range(count):
        own = np.int64(rows[row, 0] >> shift)
        order[ends[own]] = row
        ends[own] += 1
    begin = 0
    for bucket in range(len(ends) - 1):
        end = ends[bucket]
        if end - begin > _SMALL:
            _merge_sort(rows, order, begin, end, spare)
        elif end - begin > 1:
            _insertion_sort(rows, order, begin, end)
        begin = end


@inner
def _is_same(rows, at, other, other_at):  # type: ignore[no-untyped-def]
    same_place = rows[at, 2] >> _PLACE_SHIFT == other[other_at, 2] >> _PLACE_SHIFT
    return same_place and rows[at, 0] == other[other_at, 0] and rows[at, 1] == other[other_at, 1]


@in_place(ROWS, INTS, ROWS_OUT)
def fold_ordered(rows: Array, order: Array, out: Array) -> int:
    """Write rows in this order, those of one key as one; returns how many there are."""
    last = -1
    for row in order:
        if last >= 0 and _is_same(out, last, rows, row):
            _fold_into(out, last, rows, row)
        else:
            last += 1
            _copy(out, last, rows, row)
    return last + 1


@in_place(ROWS_OUT, ROWS_OUT, INTS, INTS, INT, INT, U8S_OUT)
def fold_known(
    rows: Array, query: Array, found: Array, position: Array, count: int, refresh_us: int, refreshed: Array
) -> None:
    """Take rows `found[:count]` of the query together with where they are stored, on both sides; marks those that enter a new refresh period."""
    period = np.uint64(refresh_us)
    for number in range(count):
        row, at = found[number], position[number]
        before = rows[at, 4] >> _TIME_SHIFT
        _fold_into(rows, at, query, row)
        _copy(query, row, rows, at)
        last = rows[at, 4] >> _TIME_SHIFT
        if last != before and last // period > before // period:
            refreshed[row] = 1


@in_place(ROWS, INTS, U8S_OUT)
def mark_alive(rows: Array, oldest_us: Array, alive: Array) -> int:
    """Mark rows that were last used at `oldest_us` of their kind or later; returns how many."""
    count = 0
    for row in range(len(rows)):
        kind = np.int64((rows[row, 2] >> np.uint64(40)) & _BYTE)
        alive[row] = np.int64(rows[row, 4] >> _TIME_SHIFT) >= oldest_us[kind]
        count += alive[row]
    return count
