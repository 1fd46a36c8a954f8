"""Compiled: byte strings to numbers, the same string to the same number: what joins and groups need of a name, a model or a token."""

import numpy as np

from weaklink.compiled import BYTES, BYTES_OUT, INTS, INTS_OUT, WORD, WORDS_OUT, Bytes, Ints, Number, Words, compiled
from weaklink.ingest.bytes_loops import equal_bytes, hash_bytes


@compiled(BYTES, INTS, INTS, WORD, WORDS_OUT, INTS_OUT, INTS_OUT)
def number_texts(
    data: Bytes, begins: Ints, sizes: Ints, secret: Number, slots: Words, firsts: Ints, numbers: Ints
) -> int:
    """Number distinct strings from 0 in the order in which they first come; a negative size (null) gets -1. Returns how many there are.

    `slots`: twice as many as strings or more, a power of two, zeros. `firsts`: which string each number first stood for.
    """
    count = 0
    mask = np.uint64(len(slots) - 1)
    low = np.uint64(0xFFFFFFFF)
    for place in range(len(begins)):
        begin, size = begins[place], sizes[place]
        if size < 0:
            numbers[place] = -1
            continue
        found = hash_bytes(data, begin, begin + size, secret)
        tag = found & ~low
        slot = found & mask
        while True:
            entry = slots[slot]
            if entry == np.uint64(0):
                firsts[count] = place
                numbers[place] = count
                count += 1
                slots[slot] = tag | np.uint64(count)
                break
            if entry & ~low == tag:
                number = np.int64(entry & low) - 1
                first = firsts[number]
                if sizes[first] == size and equal_bytes(data, begin, data, begins[first], size):
                    numbers[place] = number
                    break
            slot = slot + np.uint64(1) & mask
    return count


@compiled(BYTES, INTS, INTS, INTS, BYTES_OUT)
def copy_texts(data: Bytes, begins: Ints, sizes: Ints, ends: Ints, out: Bytes) -> None:
    """Every string to where it ends in `out`."""
    for place in range(len(begins)):
        size = sizes[place]
        if size > 0:
            target = ends[place] - size
            out[target : target + size] = data[begins[place] : begins[place] + size]
