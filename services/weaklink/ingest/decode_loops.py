"""Compiled: the bytes of events to columns of numbers, by a program made once from the writer's schema, and the rules that they must keep.

A program has one row [operation, nullable, slot] for each field of the writer; `slot` is the field's number in the record's latest schema, or -1 for
one that is only stepped over. `values[row, slot]` is then the number, the raw bits of a float, or where bytes begin; `sizes[row, slot]` is their
length (0 for numbers), or -1 for null. Of an array `values` is the number of its first item and `sizes` how many it has; `item_begins` and
`item_sizes` hold them, the first ITEMS_KEPT of each event.

Rules are rows [check, slot, a, b]; an event's status is GOOD, DAMAGED (then `values[row, 0]` is the number of the writer's field that cannot be read),
LEFT_OVER, or FIRST_RULE plus the number of the first rule that it breaks.
"""

from typing import Final

import numpy as np

from weaklink.compiled import BYTES, INT, INTS, INTS_OUT, TABLE, TABLE_OUT, Bytes, Ints, Number, in_place
from weaklink.ingest.bytes_loops import BAD, load, text_length, varint

Table = np.ndarray[tuple[int, int], np.dtype[np.int64]]

LONG, BYTES_FIELD, BOOLEAN, FLOAT, DOUBLE, ARRAY = range(6)
UTF8, NOT_NULL, RANGE, SYMBOL, SIZE, TEXT, ITEMS, TOKENS, TOKEN, OLD, AHEAD, NOT_BEFORE, EPOCHS, EPOCH = range(14)
GOOD, DAMAGED, LEFT_OVER, FIRST_RULE = range(4)
ITEMS_KEPT: Final = 32
NULL: Final = -1
_TOKEN_BYTES: Final = 17


@in_place(BYTES, INT, INT, INT, INTS_OUT, INTS_OUT, INT, inline=True)
def _parse_array(
    data: Bytes, position: int, end: int, kept: int, item_begins: Ints, item_sizes: Ints, items: int
) -> tuple[int, int, int]:
    """Blocks of byte strings up to an empty one: how many strings, the position after them or BAD, and the number of items so far.

    Every string takes a byte at least, so that whatever count is claimed, the end of the event is the end of the loop.
    """
    size, last = 0, items + ITEMS_KEPT
    while True:
        count, position = varint(data, position, end)
        if position == BAD:
            return 0, BAD, items
        if count == 0:
            return size, position, items
        if count < 0:  # then the block's bytes follow, for who wants to skip it
            _, position = varint(data, position, end)
            if position == BAD or count < -(1 << 62):
                return 0, BAD, items
            count = -count
        for _ in range(count):
            length, position = varint(data, position, end)
            if position == BAD or length < 0 or length > end - position:
                return 0, BAD, items
            if kept and items < last:
                item_begins[items], item_sizes[items] = position, length
                items += 1
            position += length
            size += 1


@in_place(BYTES, INT, INT, INT, TABLE, TABLE_OUT, TABLE_OUT, INTS_OUT, INTS_OUT, INT, inline=True)
def _parse(
    data: Bytes, position: int, end: int, row: int, program: Table, values: Table, sizes: Table,
    item_begins: Ints, item_sizes: Ints, items: int,
) -> tuple[int, int]:  # fmt: skip
    """One event: the position after it, or BAD, and then the field in `values[row, 0]`; and the number of items so far. Room for ITEMS_KEPT more is there."""
    for field in range(len(program)):
        operation, slot = program[field, 0], program[field, 2]
        number: Number = 0
        size: Number = 0
        if program[field, 1]:
            branch, position = varint(data, position, end)
            if position == BAD or branch < 0 or branch > 1:
                values[row, 0] = field
                return BAD, items
            if branch == 0:
                if slot >= 0:
                    values[row, slot], sizes[row, slot] = 0, NULL
                continue
        if operation == LONG:
            number, position = varint(data, position, end)
            if position == BAD:
                values[row, 0] = field
                return BAD, items
        elif operation == BYTES_FIELD:
            size, position = varint(data, position, end)
            if position == BAD or size < 0 or size > end - position:
                values[row, 0] = field
                return BAD, items
            number = position
            position += size
        elif operation == ARRAY:
            number = items
            size, position, items = _parse_array(data, position, end, slot >= 0, item_begins, item_sizes, items)
            if position == BAD:
                values[row, 0] = field
                return BAD, items
        else:
            width = 1 if operation == BOOLEAN else 4 if operation == FLOAT else 8
            if width > end - position:
                values[row, 0] = field
                return BAD, items
            for place in range(width):
                number |= np.int64(data[position + place]) << (8 * place)
            position += width
        if slot >= 0:
            values[row, slot], sizes[row, slot] = number, size
    return position, items


@in_place(BYTES, INT, TABLE, INTS, TABLE_OUT, TABLE_OUT, INTS, INTS, INT, inline=True)
def _judge(
    data: Bytes, row: int, rules: Table, symbols: Ints, values: Table, sizes: Table,
    item_begins: Ints, item_sizes: Ints, now_us: int,
) -> int:  # fmt: skip
    """GOOD, or FIRST_RULE plus the number of the first rule that is broken. Symbols of the writer become those of the latest schema."""
    for rule in range(len(rules)):
        check, slot, a, b = rules[rule, 0], rules[rule, 1], rules[rule, 2], rules[rule, 3]
        value, size = values[row, slot], sizes[row, slot]
        if size == NULL:
            if check == NOT_NULL:
                return FIRST_RULE + rule
            continue
        broken = False
        if check == UTF8:
            broken = text_length(data, value, value + size)[0] == BAD
        elif check == TEXT:
            characters, control = text_length(data, value, value + size)
            broken = characters > a or (b == 1 and size == 0) or control != 0
        elif check == RANGE:
            broken = value < a or value > b
        elif check == SYMBOL:
            broken = value < 0 or value >= b or symbols[a + value] < 0
            if not broken:
                values[row, slot] = symbols[a + value]
        elif check == SIZE:
            broken = size != a
        elif check == ITEMS:
            broken = size > a
        elif check == TOKENS:
            for item in range(value, value + min(size, ITEMS_KEPT)):
                kind = data[item_begins[item]] if item_sizes[item] == _TOKEN_BYTES else 0
                broken |= kind < a or kind > b
        elif check == TOKEN:
            broken = size != _TOKEN_BYTES or data[value] != a
        elif check == EPOCHS:  # behind TOKENS: all of them have 17 bytes
            for item in range(value, value + size if now_us >= b else value):
                broken |= data[item_begins[item] + 1] < a
        elif check == EPOCH:
            broken = now_us >= b and data[value + 1] < a
        elif check == OLD:
            broken = value < 0 or (a >= 0 and value < now_us - a)
        elif check == AHEAD:
            broken = value >= b or (a >= 0 and value > now_us + a)
        elif check == NOT_BEFORE:
            broken = value < (values[row, a] if a >= 0 else 0)
        if broken:
            return FIRST_RULE + rule
    return GOOD


@in_place(
    BYTES, INTS, INTS, INTS, INT, INT, INTS, TABLE, TABLE, INTS, TABLE_OUT, TABLE_OUT, INTS_OUT, INTS_OUT, INT, INTS_OUT
)
def decode(
    data: Bytes, rows: Ints, begins: Ints, ends: Ints, frame_bytes: int, first: int, appended_us: Ints, program: Table, rules: Table,
    symbols: Ints, values: Table, sizes: Table, item_begins: Ints, item_sizes: Ints, items: int, status: Ints,
) -> tuple[int, int]:  # fmt: skip
    """Decode and judge `rows` from the `first` of them on. Returns how many are done (fewer when there is no more room for items), and the items so far."""
    for number in range(first, len(rows)):
        if len(item_begins) - items < ITEMS_KEPT:
            return number, items
        row = rows[number]
        before = items
        position, items = _parse(
            data, begins[row] + frame_bytes, ends[row], row, program, values, sizes, item_begins, item_sizes, items
        )
        if position != ends[row]:
            items = before
            status[row] = DAMAGED if position == BAD else LEFT_OVER
            continue
        status[row] = _judge(data, row, rules, symbols, values, sizes, item_begins, item_sizes, appended_us[row])
    return len(rows), items


@in_place(BYTES, TABLE, INT, INTS, TABLE_OUT)
def words_of(data: Bytes, values: Table, slot: int, rows: Ints, out: Table) -> None:
    """The first words of 8 bytes, as many as `out` has columns, of a field's bytes, of which there must be as many at least."""
    for number in range(len(rows)):
        for place in range(out.shape[1]):
            out[number, place] = np.int64(load(data, values[rows[number], slot] + 8 * place))
