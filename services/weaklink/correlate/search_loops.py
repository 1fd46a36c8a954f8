"""Loops that look up links of a chunk in a run, and decide which of them are said. They know the key of a row only (see `packed.py`)."""

from typing import Final

import numpy as np

from weaklink.compiled import INT, INTS, INTS_OUT, in_place, inner
from weaklink.correlate.row_loops import ROWS, ROWS_OUT, U8S, U8S_OUT, U64S, U64S_OUT, WORDS, Array

_PLACE_SHIFT: Final = np.uint64(32)
_FIRST_ROW: Final = np.uint64(0xFFFFFFFF)
_MARKS_SHIFT: Final = np.uint64(32)
_MARK_BITS: Final = np.uint64(31)
_ONE: Final = np.uint64(1)
_ZERO: Final = np.uint64(0)
_WORD_BITS: Final = np.uint64(64)
_BLOCK: Final = 64  # nodes whose rows are fetched at a time: they fit the fastest cache
_LINEAR: Final = 8  # rows up to which one after the other beats halving


@inner
def _is_below(rows, at, identifier, place):  # type: ignore[no-untyped-def]
    own = rows[at, 0]
    return own < identifier or (own == identifier and rows[at, 2] >> _PLACE_SHIFT < place)


@inner
def _is_node(rows, at, identifier, place):  # type: ignore[no-untyped-def]
    return rows[at, 0] == identifier and rows[at, 2] >> _PLACE_SHIFT == place


@inner
def _node_begin(rows, low, high, identifier, place):  # type: ignore[no-untyped-def]
    while high - low > _LINEAR:
        middle = (low + high) >> 1
        if _is_below(rows, middle, identifier, place):
            low = middle + 1
        else:
            high = middle
    while low < high and _is_below(rows, low, identifier, place):
        low += 1
    return low


@inner
def _node_end(rows, low, identifier, place):  # type: ignore[no-untyped-def]
    """The first row after those of a node that begins at `low`: in steps that double, then by halving."""
    count = len(rows)
    step = 1
    while low + step < count and _is_node(rows, low + step, identifier, place):
        step *= 2
    below, high = low + step // 2, min(low + step, count)  # `below` is of the node, `high` is not
    while high - below > 1:
        middle = (below + high) >> 1
        if _is_node(rows, middle, identifier, place):
            below = middle
        else:
            high = middle
    return high


@inner
def _first_row(directory, bucket, offset, count):  # type: ignore[no-untyped-def]
    return min(max(np.int64(directory[bucket] & _FIRST_ROW) - offset, 0), count)


@in_place(ROWS, U64S, INT, INT, ROWS, INTS, INT, INT, INTS_OUT, INTS_OUT, INTS_OUT, U64S_OUT)
def bounds(
    rows: Array,
    directory: Array,
    shift: int,
    offset: int,
    query: Array,
    begins: Array,
    node_from: int,
    node_to: int,
    nodes: Array,
    lower: Array,
    upper: Array,
    unread: Array,
) -> int:
    """Which of the nodes `node_from` to `node_to` of a query the rows hold, and between which rows each stands; returns how many.

    `begins`: first row of each node in the query. `directory`: as `merge_loops.enter` makes it, of rows that begin `offset` earlier.
    `unread`: one word, which keeps fetches from being optimised away.
    """
    count, suspects, down = len(rows), 0, np.uint64(shift)
    # Two passes: nothing in the first one waits for what it reads, so that many accesses to memory go on at a time.
    for node in range(node_from, node_to):
        identifier = query[begins[node], 0]
        entry = directory[np.int64(identifier >> down)]
        nodes[suspects] = node
        if entry >> (_MARKS_SHIFT + (identifier & _MARK_BITS)) & _ONE:
            suspects += 1
    held = 0
    for block in range(0, suspects, _BLOCK):
        stop = min(block + _BLOCK, suspects)
        # Likewise: where each will be, by the place of its identifier among all of its bucket, is fetched for many before any is compared.
        touched = _ZERO
        for number in range(block, stop):
            identifier = query[begins[nodes[number]], 0]
            bucket = np.int64(identifier >> down)
            low = _first_row(directory, bucket, offset, count)
            high = _first_row(directory, bucket + 1, offset, count)
            share = (identifier << (_WORD_BITS - down) >> _PLACE_SHIFT) * np.uint64(high - low) >> _PLACE_SHIFT
            guess = low + np.int64(share)
            lower[number], upper[number] = low, high
            if guess < high:
                touched ^= rows[guess, 0] ^ rows[guess, 6]
        unread[0] = touched
        for number in range(block, stop):
            node, low, high = nodes[number], lower[number], upper[number]
            at = begins[node]
            identifier, place = query[at, 0], query[at, 2] >> _PLACE_SHIFT
            low = _node_begin(rows, low, high, identifier, place)
            if low < high and _is_node(rows, low, identifier, place):
                nodes[held], lower[held], upper[held] = node, low, _node_end(rows, low, identifier, place)
                held += 1
    return held


@inner
def _account_at(rows, low, high, account):  # type: ignore[no-untyped-def]
    """The first row from `low` on whose account is not below: in steps that double, then by halving."""
    step = 1
    while low + step < high and rows[low + step, 1] < account:
        low += step
        step *= 2
    stop = min(low + step, high)
    while low < stop:
        middle = (low + stop) >> 1
        if rows[middle, 1] < account:
            low = middle + 1
        else:
            stop = middle
    return low


@in_place(ROWS, ROWS, INTS, INTS, INTS, INTS, INTS_OUT, INTS_OUT, U8S_OUT, INTS_OUT, INTS_OUT)
def match(
    rows: Array,
    query: Array,
    begins: Array,
    nodes: Array,
    lower: Array,
    upper: Array,
    held: Array,
    rank: Array,
    known: Array,
    found: Array,
    position: Array,
) -> int:
    """Count the rows' accounts of each of these nodes into `held`, those smaller than a query's row into `rank`, and mark rows that are stored as `known`.

    Which those are and where goes into `found` and `position`; returns how many.
    """
    count = 0
    for number in range(len(nodes)):
        node, low, high = nodes[number], lower[number], upper[number]
        held[node] += high - low
        at = low
        for row in range(begins[node], begins[node + 1]):
            account = query[row, 1]
            at = _account_at(rows, at, high, account)
            rank[row] += at - low
            if at < high and rows[at, 1] == account:
                known[row] = 1
                found[count] = row
                position[count] = at
                count += 1
    return count


@in_place(INTS, INTS, INTS, U8S, U8S, INT, INT, INTS_OUT, U8S_OUT, U8S_OUT)
def decide(
    begins: Array,
    held: Array,
    rank: Array,
    known: Array,
    refreshed: Array,
    share_accounts_min: int,
    hub_accounts_max: int,
    holders: Array,
    turning: Array,
    emit: Array,
) -> int:
    """Mark the rows of a chunk that are said in `emit`, the nodes that turn shared by it in `turning`; `holders` is how many each node has now.

    Returns how many rows of turning nodes are stored already.
    """
    stored = 0
    for node in range(len(held)):
        begin, end = begins[node], begins[node + 1]
        new = end - begin
        for row in range(begin, end):
            new -= known[row]
        holders[node] = held[node] + new
        if holders[node] < share_accounts_min:
            continue
        if held[node] < share_accounts_min:
            turning[node] = 1
            stored += held[node]
        smaller_new = 0
        for row in range(begin, end):
            says = not known[row] or turning[node] or refreshed[row]
            if says and rank[row] + smaller_new < hub_accounts_max:
                emit[row] = 1
            smaller_new += 1 - known[row]
    return stored


@in_place(ROWS, ROWS, INTS, INTS, INTS, INTS, U8S, ROWS_OUT, INTS_OUT, INT)
def take_others(
    rows: Array,
    query: Array,
    begins: Array,
    nodes: Array,
    lower: Array,
    upper: Array,
    wanted: Array,
    out: Array,
    out_node: Array,
    count: int,
) -> int:
    """Copy the stored rows of those of the nodes that are wanted whose accounts the query does not name; returns how many `out` holds then."""
    for number in range(len(nodes)):
        node = nodes[number]
        if not wanted[node]:
            continue
        row = begins[node]
        for at in range(lower[number], upper[number]):
            while row < begins[node + 1] and query[row, 1] < rows[at, 1]:
                row += 1
            if row < begins[node + 1] and query[row, 1] == rows[at, 1]:
                continue
            for word in range(WORDS):
                out[count, word] = rows[at, word]
            out_node[count] = node
            count += 1
    return count


@in_place(ROWS, INTS_OUT)
def node_begins(query: Array, begins: Array) -> int:
    """The first row of each node of ordered rows, and their end, into `begins`; returns how many nodes there are."""
    count = 0
    for row in range(len(query)):
        if row == 0 or query[row, 0] != query[row - 1, 0] or query[row, 2] >> _PLACE_SHIFT != query[row - 1, 2] >> _PLACE_SHIFT:  # fmt: skip
            begins[count] = row
            count += 1
    begins[count] = len(query)
    return count
