"""The loops of sorted keys (`keys`, `live_links`): where a key stands, and who holds what. Marks in arrays take the place of sorting.

Links are sorted keys, the number of one end above its lower `ENDS_BITS` bits and that of the other end in them.
"""

from typing import Final, TypeVar

import numpy as np

from weaklink.compiled import HALVES, INT, INTS, Halves, Ints, compiled, compiled_for

ENDS_BITS: Final = 32
_MASK: Final = (1 << ENDS_BITS) - 1
_SPARSE: Final = 64

Whole = TypeVar("Whole", Ints, Halves)


@compiled(INTS, INT)
def unique(values: Ints, size: int) -> Ints:
    """The distinct values, ascending; all are below `size`, and none negative."""
    seen = np.zeros(size, np.bool_)
    found, many = np.empty(min(len(values), size), np.int64), 0
    for value in values:
        if not seen[value]:
            seen[value] = True
            found[many] = value
            many += 1
    if many * _SPARSE < size:
        return np.sort(found[:many])
    many = 0
    for value in range(size):
        if seen[value]:
            found[many] = value
            many += 1
    return found[:many].copy()


@compiled_for((INTS, INTS, INTS), (HALVES, INTS, HALVES))
def inserted(values: Whole, at: Ints, new: Whole) -> Whole:
    """`values` with new[i] before values[at[i]]; `at` ascends."""
    result, begin = np.empty(len(values) + len(new), values.dtype), 0
    for i in range(len(new)):
        result[begin + i : at[i] + i] = values[begin : at[i]]
        result[at[i] + i] = new[i]
        begin = at[i]
    result[begin + len(new) :] = values[begin:]
    return result


@compiled(INTS, INT)
def lower_bound(keys: Ints, key: int) -> int:
    """Where a key stands, or would stand, among sorted ones."""
    low, high = 0, len(keys)
    while low < high:
        middle = (low + high) // 2
        if keys[middle] < key:
            low = middle + 1
        else:
            high = middle
    return low


@compiled(INTS, INT, INT)
def place_from(keys: Ints, begin: int, key: int) -> int:
    """Where a key that is not before `begin` stands, or would stand: mostly near it."""
    low, step = begin, 1
    while low + step < len(keys) and keys[low + step] < key:
        low += step
        step *= 2
    return low + lower_bound(keys[low : low + step + 1], key)


@compiled(INTS, INTS, INTS)
def ends(keys: Ints, recent: Ints, numbers: Ints) -> tuple[Ints, Ints]:
    """(the other ends of the links of each of these numbers, one number after the other; how many each has). `keys`, `recent`: two layers of links."""
    first, later = np.empty(len(numbers), np.int64), np.empty(len(numbers), np.int64)
    many, total = np.zeros(len(numbers), np.int64), 0
    for i in range(len(numbers)):
        at = lower_bound(keys, numbers[i] << ENDS_BITS)
        first[i] = at
        while at < len(keys) and keys[at] >> ENDS_BITS == numbers[i]:
            at += 1
        many[i] = at - first[i]
        at = lower_bound(recent, numbers[i] << ENDS_BITS)
        later[i] = at
        while at < len(recent) and recent[at] >> ENDS_BITS == numbers[i]:
            at += 1
        many[i] += at - later[i]
        total += many[i]
    found, row = np.empty(total, np.int64), 0
    for i in range(len(numbers)):
        end, at = row + many[i], first[i]
        while row < end and at < len(keys) and keys[at] >> ENDS_BITS == numbers[i]:
            found[row] = keys[at] & _MASK
            row += 1
            at += 1
        at = later[i]
        while row < end:
            found[row] = recent[at] & _MASK
            row += 1
            at += 1
    return found, many
