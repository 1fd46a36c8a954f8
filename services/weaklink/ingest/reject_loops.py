"""Compiled: rejected values to Kafka records (format v2) with key and headers, so that a party that sends nothing but rubbish costs no more than its events."""

import numpy as np

from weaklink.compiled import BYTES, BYTES_OUT, INT, INTS, Bytes, Ints, Number, in_place


@in_place(INT, inline=True)
def _varint_bytes(number: Number) -> Number:
    """Of a number that is not negative, as a zigzag varint."""
    size = 1
    number <<= 1
    while number > 0x7F:
        number >>= 7
        size += 1
    return size


@in_place(BYTES_OUT, INT, INT, inline=True)
def _put_varint(out: Bytes, position: Number, number: Number) -> Number:
    """Write it, and return the position after it."""
    number <<= 1
    while number > 0x7F:
        out[position] = number & 0x7F | 0x80
        number >>= 7
        position += 1
    out[position] = number
    return position + 1


@in_place(BYTES_OUT, INT, BYTES, INT, INT, inline=True)
def _put_bytes(out: Bytes, position: Number, data: Bytes, begin: Number, size: Number) -> Number:
    for place in range(size):
        out[position + place] = data[begin + place]
    return position + size


@in_place(BYTES_OUT, INT, INT, INT, inline=True)
def _put_digits(out: Bytes, position: Number, number: Number, digits: Number) -> Number:
    for place in range(digits):
        out[position + digits - 1 - place] = 48 + number % 10
        number //= 10
    return position + digits


@in_place(BYTES, INTS, INTS, INTS, INTS, INT, INT, BYTES, BYTES, INT, BYTES_OUT)
def encode(
    data: Bytes, begins: Ints, ends: Ints, rows: Ints, offsets: Ints, first: Number, number: Number, key: Bytes, headers: Bytes,
    position: Number, out: Bytes,
) -> tuple[Number, Number]:  # fmt: skip
    """Values of `rows` from the `first` of them on, as records `number`, `number` + 1, ... of a batch, as many as fit into `out` from `position` on.

    Record: length, attributes 0, timestamp delta 0, offset delta, key (`key` and the value's offset in decimal digits), the value, and headers:
    `headers` is their count and all of them up to the value of the last, which is the offset again. Returns the row to go on with, and the position.
    """
    for place in range(first, len(rows)):
        row, offset = rows[place], offsets[place]
        begin, size = begins[row], max(ends[row] - begins[row], 0)
        digits, rest = 1, offset // 10
        while rest > 0:
            rest //= 10
            digits += 1
        key_bytes = len(key) + digits
        body = (
            2 + _varint_bytes(number) + _varint_bytes(key_bytes) + key_bytes + _varint_bytes(size) + size + len(headers)
            + _varint_bytes(digits) + digits
        )  # fmt: skip
        if len(out) - position < body + _varint_bytes(body):
            return place, position
        position = _put_varint(out, position, body)
        out[position] = out[position + 1] = 0
        position = _put_varint(out, position + 2, number)
        position = _put_varint(out, position, key_bytes)
        position = _put_bytes(out, position, key, 0, len(key))
        position = _put_digits(out, position, offset, digits)
        position = _put_varint(out, position, size)
        position = _put_bytes(out, position, data, begin, size)
        position = _put_bytes(out, position, headers, 0, len(headers))
        position = _put_varint(out, position, digits)
        position = _put_digits(out, position, offset, digits)
        number += 1
    return np.int64(len(rows)), position
