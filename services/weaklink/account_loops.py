"""Compiled: SipHash-2-4 (Aumasson and Bernstein, 2012) of many byte strings under one key, each behind the same prefix."""

import numpy as np

from weaklink.compiled import (
    BYTES,
    BYTES_OUT,
    INTS,
    WORD,
    WORDS,
    WORDS_OUT,
    Bytes,
    Ints,
    Number,
    Words,
    in_place,
)

_V0, _V1 = np.uint64(0x736F6D6570736575), np.uint64(0x646F72616E646F6D)
_V2, _V3 = np.uint64(0x6C7967656E657261), np.uint64(0x7465646279746573)
_13, _16, _17, _21, _32, _64 = (np.uint64(one) for one in (13, 16, 17, 21, 32, 64))
_END = np.uint64(0xFF)


@in_place(WORD, WORD, inline=True)
def _turned(word: Number, bits: Number) -> Number:
    return (word << bits) | (word >> (_64 - bits))


@in_place(WORD, WORD, WORD, WORD, inline=True)
def _round(v0: Number, v1: Number, v2: Number, v3: Number) -> tuple[Number, Number, Number, Number]:
    v0 += v1
    v2 += v3
    v1 = _turned(v1, _13) ^ v0
    v3 = _turned(v3, _16) ^ v2
    v0 = _turned(v0, _32)
    v2 += v1
    v0 += v3
    v1 = _turned(v1, _17) ^ v2
    v3 = _turned(v3, _21) ^ v0
    v2 = _turned(v2, _32)
    return v0, v1, v2, v3


@in_place(BYTES, BYTES, INTS, WORD, WORD, BYTES_OUT, WORDS, WORDS_OUT)
def siphash(
    prefix: Bytes, data: Bytes, ends: Ints, key0: Number, key1: Number, scratch: Bytes, words: Words, found: Words
) -> None:
    """`found[i]`: of `prefix` and `data[ends[i]:ends[i + 1]]`, one after the other.

    `scratch`: at least eight bytes more than the longest of these together; `words`: the same memory as little-endian words.
    """
    many = len(prefix)
    for place in range(many):
        scratch[place] = prefix[place]
    for row in range(len(found)):
        begin, count = ends[row], ends[row + 1] - ends[row]
        size = many + count
        whole = size >> 3
        for place in range(count):
            scratch[many + place] = data[begin + place]
        for place in range(size, 8 * whole + 8):
            scratch[place] = 0
        scratch[8 * whole + 7] = size & 255
        v0, v1, v2, v3 = key0 ^ _V0, key1 ^ _V1, key0 ^ _V2, key1 ^ _V3
        for place in range(whole + 1):
            word = words[place]
            v3 ^= word
            v0, v1, v2, v3 = _round(v0, v1, v2, v3)
            v0, v1, v2, v3 = _round(v0, v1, v2, v3)
            v0 ^= word
        v2 ^= _END
        for _ in range(4):
            v0, v1, v2, v3 = _round(v0, v1, v2, v3)
        found[row] = v0 ^ v1 ^ v2 ^ v3
        for place in range(8 * whole, many):  # what the end was written over
            scratch[place] = prefix[place]
