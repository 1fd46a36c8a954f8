"""Compiled: tokens of two epochs that stand side by side in an event, each pair once."""

from typing import Final

import numpy as np

from weaklink.compiled import BYTES, INT, INTS, TABLE, TABLE_OUT, WORD, Bytes, Ints, Number, in_place
from weaklink.ingest.bytes_loops import load, mix
from weaklink.ingest.decode_loops import ITEMS_KEPT, Table

IDENTIFIER, TAIL, FORMER, FORMER_TAIL, TRAITS = range(5)
"""Words of a pair. TRAITS: kind, then the newer epoch << 8, the older one << 16."""
PAIR_WORDS: Final = 5
PAIRS_MAX: Final = ITEMS_KEPT // 2
SEEN_WORDS: Final = 3


@in_place(BYTES, INTS, INT, INT, inline=True)
def _run_end(data: Bytes, item_begins: Ints, first: int, end: int) -> int:
    """Where the tokens of the kind at `first` end that follow one another."""
    kind = data[item_begins[first]]
    last = first + 1
    while last < end and data[item_begins[last]] == kind:
        last += 1
    return last


@in_place(BYTES, INTS, INT, INT, inline=True)
def _alternates(data: Bytes, item_begins: Ints, first: int, end: int) -> bool:
    """Whether these tokens are older, newer, older, newer: of two epochs. First all of the one, then all of the other says nothing."""
    if (end - first) % 2:
        return False
    older, newer = data[item_begins[first] + 1], data[item_begins[first + 1] + 1]
    if older >= newer:
        return False
    for item in range(first, end, 2):  # noqa: SIM110  # a loop is what is compiled
        if data[item_begins[item] + 1] != older or data[item_begins[item + 1] + 1] != newer:
            return False
    return True


@in_place(BYTES, INTS, TABLE, TABLE, INT, INTS, INT, INT, WORD, TABLE_OUT, TABLE_OUT, INT)
def find_pairs(
    data: Bytes, rows: Ints, values: Table, sizes: Table, slot: int, item_begins: Ints, first: int, party: int, secret: Number,
    seen: Table, pairs: Table, count: int,
) -> tuple[int, int]:  # fmt: skip
    """Write down the pairs of `rows`, from the `first` of them on, that this party has not said lately.

    Returns how many rows are done (fewer: no room), and the pairs so far.

    `seen`: [identifier, former, party + 1] of what was said, at a place that the three give; a power of two of rows.
    """
    mask = np.uint64(len(seen) - 1)
    for number in range(first, len(rows)):
        if len(pairs) - count < PAIRS_MAX:
            return number, count
        begin = values[rows[number], slot]
        end = begin + sizes[rows[number], slot]
        item = begin
        while item + 1 < end:
            if data[item_begins[item] + 1] == data[item_begins[item + 1] + 1]:  # of one epoch: nearly always
                item += 1
                continue
            last = _run_end(data, item_begins, item, end)
            if (item == begin or data[item_begins[item - 1]] != data[item_begins[item]]) and _alternates(
                data, item_begins, item, last
            ):
                for place in range(item, last, 2):
                    one, other = item_begins[place], item_begins[place + 1]
                    former, identifier = np.int64(load(data, one + 2)), np.int64(load(data, other + 2))
                    at = np.int64(mix(np.uint64(identifier) + np.uint64(party), np.uint64(former), secret) & mask)
                    if seen[at, 0] == identifier and seen[at, 1] == former and seen[at, 2] == party + 1:
                        continue
                    seen[at, 0], seen[at, 1], seen[at, 2] = identifier, former, party + 1
                    pairs[count, IDENTIFIER], pairs[count, FORMER] = identifier, former
                    pairs[count, TAIL], pairs[count, FORMER_TAIL] = (
                        np.int64(load(data, other + 9)),
                        np.int64(load(data, one + 9)),
                    )
                    pairs[count, TRAITS] = (
                        np.int64(data[one]) | np.int64(data[other + 1]) << 8 | np.int64(data[one + 1]) << 16
                    )
                    count += 1
            item = last
    return len(rows), count
