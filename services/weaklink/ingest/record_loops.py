"""Compiled: inflated Kafka record batches (format v2) to where each value lies, and which frame it begins with."""

from typing import Final

import numpy as np

from weaklink.compiled import BYTES, INT, INTS, INTS_OUT, WORD, WORDS_OUT, Bytes, Ints, Number, Words, in_place
from weaklink.ingest.bytes_loops import BAD, load, mix, varint

TOO_LONG: Final = -1
ENDS_EARLY: Final = -2
EMPTY_FRAME: Final = -1
NO_FRAME: Final = -2
_SINGLE_OBJECT_BYTES: Final = 10
_CONFLUENT_BYTES: Final = 5
_NULL: Final = -1


@in_place(BYTES, INT, INT, INT, INTS_OUT, INTS_OUT, INTS_OUT)
def walk(data: Bytes, position: int, end: int, count: int, begins: Ints, ends: Ints, offset_deltas: Ints) -> int:
    """Values of `count` records: where they begin and end (-1: null), and their offset deltas. Returns the position after them, TOO_LONG or ENDS_EARLY.

    Record: length, attributes (a byte), timestamp delta, offset delta, key, value, headers; all numbers but the attributes zigzag varints.
    """
    for number in range(count):
        length, position = varint(data, position, end)
        if position == BAD:
            return ENDS_EARLY
        if length < 1 or length > end - position:
            return TOO_LONG
        record_end = position + length
        _, position = varint(data, position + 1, record_end)
        if position == BAD:
            return TOO_LONG
        delta, position = varint(data, position, record_end)
        if position == BAD:
            return TOO_LONG
        size, position = varint(data, position, record_end)
        if position == BAD or size > record_end - position:
            return TOO_LONG
        size, position = varint(data, position + max(size, 0), record_end)
        if position == BAD or size > record_end - position:
            return TOO_LONG
        begins[number] = position if size >= 0 else _NULL
        ends[number] = position + size if size >= 0 else _NULL
        offset_deltas[number] = delta
        position = record_end
    return position


@in_place(BYTES, INTS, INTS, WORD, INTS_OUT, WORDS_OUT, INTS_OUT, INTS_OUT)
def group_frames(
    data: Bytes, begins: Ints, ends: Ints, secret: Number, slots: Ints, keys: Words, rows: Ints, groups: Ints
) -> int:
    """Number the frames of values in the order in which they first come: `groups` per value, or EMPTY_FRAME, or NO_FRAME. Returns how many there are.

    `slots`: twice as many or more, a power of two, zeros. `rows`: the first row of each; `keys`: its frame without marker, with its size.
    """
    count = 0
    last_key, last_group = np.uint64(0), NO_FRAME
    last_size = 0
    mask = len(slots) - 1
    for row in range(len(begins)):
        begin, size = begins[row], ends[row] - begins[row]
        if size <= 0:
            groups[row] = EMPTY_FRAME
            continue
        frame_bytes = 0
        key = np.uint64(0)
        if size >= _SINGLE_OBJECT_BYTES and data[begin] == 0xC3 and data[begin + 1] == 0x01:
            frame_bytes = _SINGLE_OBJECT_BYTES
            key = load(data, begin + 2)
        elif size >= _CONFLUENT_BYTES and data[begin] == 0:
            frame_bytes = _CONFLUENT_BYTES
            for place in range(1, _CONFLUENT_BYTES):
                key = key << np.uint64(8) | np.uint64(data[begin + place])
        else:
            groups[row] = NO_FRAME
            continue
        if frame_bytes == last_size and key == last_key:
            groups[row] = last_group
            continue
        slot = np.int64(mix(key, np.uint64(frame_bytes), secret)) & mask
        while slots[slot]:
            found = slots[slot] - 1
            if keys[found] == key and (data[begins[rows[found]]] == 0) == (frame_bytes == _CONFLUENT_BYTES):
                break
            slot = (slot + 1) & mask
        if not slots[slot]:
            keys[count], rows[count] = key, row
            count += 1
            slots[slot] = count
        last_key, last_size, last_group = key, frame_bytes, slots[slot] - 1
        groups[row] = last_group
    return count
