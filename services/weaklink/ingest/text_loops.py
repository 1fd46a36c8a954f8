"""Compiled: byte strings to numbers, the same string to the same number: what joins and groups need of a name, a model or a token."""

import numpy as np

from weaklink.compiled import (
    BYTES,
    BYTES_OUT,
    INT,
    INTS,
    INTS_OUT,
    TABLE,
    WORD,
    WORDS_OUT,
    Bytes,
    Ints,
    Number,
    Words,
    in_place,
)
from weaklink.ingest.bytes_loops import equal_bytes, hash_bytes
from weaklink.ingest.decode_loops import Table

FULL = -1


@in_place(BYTES, INTS, TABLE, TABLE, INT, WORD, WORDS_OUT, INTS_OUT, INTS_OUT, INTS_OUT)
def number_texts(
    data: Bytes, rows: Ints, values: Table, sizes: Table, field: int, secret: Number, slots: Words, begins: Ints, lengths: Ints,
    numbers: Ints,
) -> int:  # fmt: skip
    """Number the distinct strings of a field from 0 in the order in which they first come; null gets -1. Returns how many there are.

    `slots`: a power of two, zeros; when it is half full, FULL is returned. `begins`, `lengths`: where each number first stood.
    """
    count = 0
    last_begin, last_size = 0, -1
    last: Number = -1
    mask = np.uint64(len(slots) - 1)
    low = np.uint64(0xFFFFFFFF)
    for place in range(len(rows)):
        begin, size = values[rows[place], field], sizes[rows[place], field]
        if size < 0:
            numbers[place] = -1
            continue
        if size == last_size and equal_bytes(data, begin, data, last_begin, size):
            numbers[place] = last
            continue
        if 2 * count >= len(slots):
            return FULL
        found = hash_bytes(data, begin, begin + size, secret)
        tag = found & ~low
        slot = found & mask
        while True:
            entry = slots[slot]
            if entry == np.uint64(0):
                begins[count], lengths[count] = begin, size
                last = count
                count += 1
                slots[slot] = tag | np.uint64(count)
                break
            if entry & ~low == tag:
                number = np.int64(entry & low) - 1
                if lengths[number] == size and equal_bytes(data, begin, data, begins[number], size):
                    last = number
                    break
            slot = slot + np.uint64(1) & mask
        numbers[place] = last
        last_begin, last_size = begin, size
    return count


@in_place(BYTES, INTS, INTS, INTS, BYTES_OUT)
def copy_texts(data: Bytes, begins: Ints, sizes: Ints, ends: Ints, out: Bytes) -> None:
    """Every string to where it ends in `out`."""
    for place in range(len(begins)):
        begin, size = begins[place], sizes[place]
        target = ends[place] - size
        for at in range(size):
            out[target + at] = data[begin + at]
