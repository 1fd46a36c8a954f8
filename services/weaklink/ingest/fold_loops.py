"""Compiled: accepted events to rows of links and of usage, each key once, in tables that are open-addressed by a hash with a secret.

A slot of a table holds, of the row that it stands for, the upper half of the hash and the row's number + 1; 0 is a free slot. Tables are at most half full.
"""

from typing import Final

import numpy as np

from weaklink.compiled import (
    BYTES,
    FLOAT_TABLE_OUT,
    INT,
    INTS,
    INTS_OUT,
    TABLE,
    TABLE_OUT,
    WORD,
    WORDS_OUT,
    Bytes,
    Ints,
    Number,
    Words,
    in_place,
)
from weaklink.ingest.bytes_loops import equal_bytes, load, mix, prefetch
from weaklink.ingest.decode_loops import Table

IDENTIFIER, ACCOUNT, TAIL, TRAITS, FIRST, LAST, APPENDED, REQUESTS = range(8)
"""Words of a link's row. TRAITS: kind, then epoch << 8, slot << 16, mentions << 32."""
LINK_WORDS: Final = 8
OCCURRED_AT, IDENTIFIERS, REQUESTED, RELEASED_AT = range(4)
"""Where `where` has the slots of the fields; -1 for a field that the record does not have."""
_LOW: Final = 0xFFFFFFFF
LEASE_TOKENS: Final = 2
"""So many tokens of a lease may have all its slots: an address under the keys of two epochs. With more tokens it has fewer slots."""
_IP: Final = 1
_END_USER: Final = 12
_AHEAD: Final = 16
_TOKEN_BYTES: Final = 17
_SLOT_MAX: Final = (1 << 16) - 1
_KEY: Final = (1 << 32) - (1 << 16)  # of TRAITS: the slot, the part of a link's key that lies there


@in_place(INT, INT, INT, WORD, inline=True)
def _link_hash(identifier: Number, account: int, key: int, secret: Number) -> Number:
    return mix(np.uint64(identifier) + np.uint64(key) * secret, np.uint64(account), secret)


@in_place(WORDS_OUT, WORD, INT)
def _occupy(slots: Words, found: Number, number: int) -> None:
    mask = np.uint64(len(slots) - 1)
    slot = found & mask
    while slots[slot] != np.uint64(0):
        slot = slot + np.uint64(1) & mask
    slots[slot] = (found & ~np.uint64(_LOW)) | np.uint64(number + 1)


@in_place(TABLE, INT, WORDS_OUT, WORD)
def rebuild_links(links: Table, count: int, slots: Words, secret: Number) -> None:
    """Put `count` rows into a new table."""
    for number in range(count):
        found = _link_hash(links[number, IDENTIFIER], links[number, ACCOUNT], links[number, TRAITS] & _KEY, secret)
        _occupy(slots, found, number)


@in_place(INT, INT, INT, TABLE, WORDS_OUT, INT, WORD, inline=True)
def _link(identifier: Number, account: int, key: int, links: Table, slots: Words, count: int, secret: Number) -> Number:
    """The number of the row of this link; `count`, at which a slot now points, when there is none."""
    found = _link_hash(identifier, account, key, secret)
    mask = np.uint64(len(slots) - 1)
    slot = found & mask
    tag = found & ~np.uint64(_LOW)
    while True:
        entry = slots[slot]
        if entry == np.uint64(0):
            slots[slot] = tag | np.uint64(count + 1)
            return count
        if entry & ~np.uint64(_LOW) == tag:
            number = np.int64(entry & np.uint64(_LOW)) - 1
            if (
                links[number, IDENTIFIER] == identifier
                and links[number, ACCOUNT] == account
                and links[number, TRAITS] & _KEY == key
            ):
                return number
        slot = slot + np.uint64(1) & mask


@in_place(BYTES, INTS, INT, INT, inline=True)
def _is_named_before(data: Bytes, item_begins: Ints, first: int, item: int) -> bool:
    token = item_begins[item]
    for other in range(first, item):  # noqa: SIM110  # a loop is what is compiled
        if equal_bytes(data, token, data, item_begins[other], _TOKEN_BYTES):
            return True
    return False


@in_place(BYTES, INTS, TABLE, TABLE, INTS, INTS, INTS, INT, INT, WORDS_OUT, WORD, inline=True)
def _fetch_links(
    data: Bytes, rows: Ints, values: Table, sizes: Table, item_begins: Ints, accounts: Ints, where: Ints, first: int, slot_us: int,
    slots: Words, secret: Number,
) -> None:  # fmt: skip
    """Have the slots that the next rows will look at on their way from memory, all at once rather than one after another."""
    mask = np.uint64(len(slots) - 1)
    for number in range(first, min(first + _AHEAD, len(rows))):
        row = rows[number]
        begin = values[row, where[IDENTIFIERS]]
        for item in range(begin, begin + sizes[row, where[IDENTIFIERS]]):
            token = item_begins[item]
            slot = values[row, where[OCCURRED_AT]] // slot_us if data[token] == _IP else 0
            found = _link_hash(np.int64(load(data, token + 2)), accounts[number], slot << 16, secret)
            prefetch(slots, np.int64(found & mask))


@in_place(
    BYTES, INTS, TABLE, TABLE, INTS, INTS, INTS, INTS, INT, INT, INT, INT, TABLE_OUT, WORDS_OUT, INT, WORD, INTS_OUT
)
def add_links(
    data: Bytes, rows: Ints, values: Table, sizes: Table, item_begins: Ints, appended_us: Ints, accounts: Ints, where: Ints, first: int,
    slot_us: int, open_us: int, slots_max: int, links: Table, slots: Words, count: int, secret: Number, item_links: Ints,
) -> tuple[int, int]:  # fmt: skip
    """Fold the identifiers of `rows`, from the `first` of them on, into `links`. Returns how many rows are done (fewer: no room) and the links so far.

    `accounts` goes with `rows`. A token that an event names twice counts once; END_USER tokens make no links. An address that was leased has a row in
    each time slot that the lease covers, up to `slots_max`, and in fewer where the lease has more than LEASE_TOKENS: then it makes no more rows than one
    with so many. `item_links`: the link of each item that may have lain idle for long (-1: none).
    """
    lease = where[RELEASED_AT] >= 0
    for number in range(first, len(rows)):
        row = rows[number]
        if number % _AHEAD == 0:
            _fetch_links(data, rows, values, sizes, item_begins, accounts, where, number, slot_us, slots, secret)
        begin, many = values[row, where[IDENTIFIERS]], sizes[row, where[IDENTIFIERS]]
        slots_each = max(LEASE_TOKENS * slots_max // max(many, LEASE_TOKENS), 1) if lease else 1
        if len(links) - count < many * slots_each:
            return number, count
        occurred = values[row, where[OCCURRED_AT]]
        until = occurred
        if lease:
            released = where[RELEASED_AT]
            until = values[row, released] if sizes[row, released] >= 0 else occurred + open_us
        requests = values[row, where[REQUESTED]] if where[REQUESTED] >= 0 else 0
        for item in range(begin, begin + many):
            token = item_begins[item]
            kind = np.int64(data[token])
            if kind == _END_USER or _is_named_before(data, item_begins, begin, item):
                continue
            identifier, tail = np.int64(load(data, token + 2)), np.int64(load(data, token + 9))
            slot, last_slot = 0, 0
            if kind == _IP:
                slot = occurred // slot_us
                last_slot = min(until // slot_us, slot + slots_each - 1, _SLOT_MAX)
            while slot <= last_slot:
                begins, ends = occurred, occurred
                if kind == _IP:
                    begins, ends = max(occurred, slot * slot_us), min(until, (slot + 1) * slot_us - 1)
                key = slot << 16
                link = _link(identifier, accounts[number], key, links, slots, count, secret)
                if link == count:
                    count += 1
                    links[link, IDENTIFIER], links[link, ACCOUNT], links[link, TAIL] = (
                        identifier,
                        accounts[number],
                        tail,
                    )
                    links[link, TRAITS] = kind | np.int64(data[token + 1]) << 8 | key
                    links[link, FIRST], links[link, LAST] = begins, ends
                    links[link, APPENDED], links[link, REQUESTS] = appended_us[row], 0
                links[link, TRAITS] += 1 << 32
                links[link, FIRST], links[link, LAST] = min(links[link, FIRST], begins), max(links[link, LAST], ends)
                links[link, APPENDED] = max(links[link, APPENDED], appended_us[row])
                links[link, REQUESTS] += requests
                if kind != _IP:
                    item_links[item] = link
                slot += 1
    return len(rows), count


WHO, WHAT, HOW, USED_FIRST, USED_LAST, USED_APPENDED, EVENTS, USED_REQUESTS, INPUT_TOKENS, OUTPUT_TOKENS = range(10)
"""Words of a row of usage. WHO: account's number << 32 | hour. WHAT: model's number << 32 | end user's number + 1. HOW: task << 8 | address class."""
USAGE_WORDS: Final = 10
_HOUR_US: Final = 3_600_000_000


@in_place(INTS, TABLE, INTS, INTS, INTS, INTS, INTS, INT, TABLE_OUT, FLOAT_TABLE_OUT, WORDS_OUT, WORD)
def add_usage(
    rows: Ints, values: Table, appended_us: Ints, accounts: Ints, models: Ints, end_users: Ints, where: Ints, tokens_max: int,
    usage: Table, logs: np.ndarray[tuple[int, int], np.dtype[np.float64]], slots: Words, secret: Number,
) -> int:  # fmt: skip
    """Fold ApiUsage by account, hour, model, task, end user and address class; returns how many rows that makes.

    `where`: slots of occurred_at, task, address_class, requests, input_tokens, output_tokens. `slots`: zeros; it and `usage` have room for all.
    `logs`: sums over events of ln(max(requests, 1)) and of its square.
    """
    count = 0
    mask, low = np.uint64(len(slots) - 1), np.uint64(_LOW)
    for number in range(len(rows)):
        row = rows[number]
        occurred, requests = values[row, where[0]], values[row, where[3]]
        who = accounts[number] << 32 | occurred // _HOUR_US
        what = models[number] << 32 | (end_users[number] + 1)
        how = values[row, where[1]] << 8 | values[row, where[2]]
        found = mix(np.uint64(who) + np.uint64(how) * secret, np.uint64(what), secret)
        tag, slot = found & ~low, found & mask
        use: Number = -1
        while use < 0:
            entry = slots[slot]
            if entry == np.uint64(0):
                use = count
                count += 1
                slots[slot] = tag | np.uint64(count)
                usage[use, WHO], usage[use, WHAT], usage[use, HOW] = who, what, how
                usage[use, USED_FIRST] = usage[use, USED_LAST] = occurred
                usage[use, USED_APPENDED] = appended_us[row]
                for word in range(EVENTS, USAGE_WORDS):
                    usage[use, word] = 0
                logs[use, 0] = logs[use, 1] = 0.0
            elif entry & ~low == tag:
                other = np.int64(entry & low) - 1
                if usage[other, WHO] == who and usage[other, WHAT] == what and usage[other, HOW] == how:
                    use = other
            slot = slot + np.uint64(1) & mask
        usage[use, USED_FIRST] = min(usage[use, USED_FIRST], occurred)
        usage[use, USED_LAST] = max(usage[use, USED_LAST], occurred)
        usage[use, USED_APPENDED] = max(usage[use, USED_APPENDED], appended_us[row])
        usage[use, EVENTS] += 1
        usage[use, USED_REQUESTS] += requests
        usage[use, INPUT_TOKENS] += min(values[row, where[4]], tokens_max)
        usage[use, OUTPUT_TOKENS] += min(values[row, where[5]], tokens_max)
        log = np.log(np.float64(max(requests, 1)))
        logs[use, 0] += log
        logs[use, 1] += log * log
    return count
