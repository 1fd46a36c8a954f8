"""The loops of the live graph (`live`): who holds what, and the sums over groups and nodes. Marks in arrays take the place of sorting.

Links are sorted keys, the number of one end above its lower `ENDS_BITS` bits and that of the other end in them.
"""

import math
from typing import Final

import numpy as np

from weaklink.campaigns.belief_loops import grouped
from weaklink.campaigns.compiled import (
    BOOLS,
    FLOAT,
    FLOATS,
    FLOATS_OUT,
    HALVES,
    INT,
    INTS,
    INTS_OUT,
    Bools,
    Floats,
    Halves,
    Ints,
    compiled,
)

ENDS_BITS: Final = 32
_MASK: Final = (1 << ENDS_BITS) - 1
_SPARSE: Final = 64
_GROWN_NATS: Final = 1.0
"""What growth of a group on a hard identifier can tell its holders by structure, about."""


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


@compiled(INTS, INTS, INTS)
def inserted(values: Ints, at: Ints, new: Ints) -> Ints:
    """`values` with new[i] before values[at[i]]; `at` ascends."""
    result, begin = np.empty(len(values) + len(new), np.int64), 0
    for i in range(len(new)):
        result[begin + i : at[i] + i] = values[begin : at[i]]
        result[at[i] + i] = new[i]
        begin = at[i]
    result[begin + len(new) :] = values[begin:]
    return result


@compiled(HALVES, INTS, HALVES)
def inserted_halves(values: Halves, at: Ints, new: Halves) -> Halves:
    """`inserted` of 32-bit numbers."""
    result, begin = np.empty(len(values) + len(new), np.int32), 0
    for i in range(len(new)):
        result[begin + i : at[i] + i] = values[begin : at[i]]
        result[at[i] + i] = new[i]
        begin = at[i]
    result[begin + len(new) :] = values[begin:]
    return result


@compiled(INTS, INT)
def _lower_bound(keys: Ints, key: int) -> int:
    low, high = 0, len(keys)
    while low < high:
        middle = (low + high) // 2
        if keys[middle] < key:
            low = middle + 1
        else:
            high = middle
    return low


@compiled(INTS, INTS, INTS)
def ends(keys: Ints, recent: Ints, numbers: Ints) -> tuple[Ints, Ints]:
    """(the other ends of the links of each of these numbers, one number after the other; how many each has). `keys`, `recent`: two layers of links."""
    first, later = np.empty(len(numbers), np.int64), np.empty(len(numbers), np.int64)
    many, total = np.zeros(len(numbers), np.int64), 0
    for i in range(len(numbers)):
        at = _lower_bound(keys, numbers[i] << ENDS_BITS)
        first[i] = at
        while at < len(keys) and keys[at] >> ENDS_BITS == numbers[i]:
            at += 1
        many[i] = at - first[i]
        at = _lower_bound(recent, numbers[i] << ENDS_BITS)
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


@compiled(INTS, INTS, INT)
def by_node(held: Ints, owner: Ints, nodes: int) -> tuple[Ints, Ints, Ints]:
    """(numbers of the nodes held, ascending; then of each link, sorted by node: place of its node among them, owner)."""
    numbers = unique(held, nodes)
    place = np.empty(nodes, np.int64)
    for i in range(len(numbers)):
        place[numbers[i]] = i
    node = np.empty(len(held), np.int64)
    for link in range(len(held)):
        node[link] = place[held[link]]
    _, order = grouped(node, len(numbers))
    return numbers, node[order], owner[order]


@compiled(INTS, INT, INT)
def _next(keys: Ints, begin: int, key: int) -> int:
    """Where a key that is not before `begin` stands, or would stand: mostly near it."""
    low, step = begin, 1
    while low + step < len(keys) and keys[low + step] < key:
        low += step
        step *= 2
    return low + _lower_bound(keys[low : low + step + 1], key)


@compiled(INTS, INTS, HALVES, HALVES, INTS, INT)
def groups_of(
    keys: Ints, recent: Ints, group: Halves, recent_group: Halves, numbers: Ints, party_bits: int
) -> tuple[Ints, Ints, Ints]:
    """The groups of these nodes (ascending): number of each group, place of its node in `numbers`, party. `keys`, `recent`: two layers of node
    and party, sorted; `group`, `recent_group`: the numbers of these."""
    many, at, later = 0, 0, 0
    first, first_later = np.empty(len(numbers), np.int64), np.empty(len(numbers), np.int64)
    for i in range(len(numbers)):
        at, later = _next(keys, at, numbers[i] << party_bits), _next(recent, later, numbers[i] << party_bits)
        first[i], first_later[i] = at, later
        while at < len(keys) and keys[at] >> party_bits == numbers[i]:
            at += 1
        while later < len(recent) and recent[later] >> party_bits == numbers[i]:
            later += 1
        many += at - first[i] + later - first_later[i]
    found, node, party, row = np.empty(many, np.int64), np.empty(many, np.int64), np.empty(many, np.int64), 0
    mask = (1 << party_bits) - 1
    for i in range(len(numbers)):
        at, later = first[i], first_later[i]
        while at < len(keys) and keys[at] >> party_bits == numbers[i]:
            found[row], node[row], party[row] = group[at], i, keys[at] & mask
            row += 1
            at += 1
        while later < len(recent) and recent[later] >> party_bits == numbers[i]:
            found[row], node[row], party[row] = recent_group[later], i, recent[later] & mask
            row += 1
            later += 1
    return found, node, party


@compiled(INTS, INTS, INTS, INTS, INTS, INT, INT)
def seats(
    node: Ints, party: Ints, person: Ints, group_node: Ints, group_party: Ints, persons: int, nodes: int
) -> tuple[Ints, Ints, Ints, Floats]:
    """Of each link (sorted by node; `party` and `person` are its owner's): group, seat. Of each seat: group, number of its accounts."""
    first = grouped(group_node, nodes)[0]
    group, seat = np.empty(len(node), np.int64), np.empty(len(node), np.int64)
    seat_group, many = np.empty(len(node), np.int64), 0
    accounts = np.zeros(len(node))
    latest = np.full(persons, -1, np.int64)
    for link in range(len(node)):
        g = first[node[link]]
        while group_party[g] != party[link]:
            g += 1
        group[link] = g
        at = latest[person[link]]
        if at < 0 or seat_group[at] != g:
            at = many
            latest[person[link]], seat_group[at] = at, g
            many += 1
        seat[link] = at
        accounts[at] += 1
    return group, seat, seat_group[:many].copy(), accounts[:many].copy()


@compiled(INTS, INTS, INTS, INTS, INTS, FLOATS, BOOLS, FLOATS, FLOATS, FLOAT, INT, INT, FLOAT)
def inside(
    account: Ints,
    node: Ints,
    group: Ints,
    seat: Ints,
    seat_group: Ints,
    seat_accounts: Floats,
    which: Bools,
    q: Floats,
    p: Floats,
    hot: float,
    groups: int,
    nodes: int,
    unit: float,
) -> tuple[Ints, Ints, Ints, Ints]:
    """What the accounts marked in `which` (whole persons) add: by group persons, their q, accounts that are not hot; by node their p."""
    persons, q_sum, benign = np.zeros(groups, np.int64), np.zeros(groups, np.int64), np.zeros(groups, np.int64)
    p_sum = np.zeros(nodes, np.int64)
    seat_q, counted = np.zeros(len(seat_group)), np.zeros(len(seat_group), np.bool_)
    for link in range(len(account)):
        a = account[link]
        seat_q[seat[link]] += q[a]
        if which[a]:
            counted[seat[link]] = True
            p_sum[node[link]] += np.int64(np.rint(p[a] * unit))
            benign[group[link]] += p[a] <= hot
    for s in range(len(seat_group)):
        if counted[s]:
            persons[seat_group[s]] += 1
            q_sum[seat_group[s]] += np.int64(np.rint(seat_q[s] / seat_accounts[s] * unit))
    return persons, q_sum, benign, p_sum


@compiled(INTS, INTS, INTS, INTS, INTS, INTS, INTS, INTS, INTS, INTS, INTS, FLOAT)
def outside(
    groups: Ints,
    persons: Ints,
    q: Ints,
    benign: Ints,
    nodes: Ints,
    p: Ints,
    counted_persons: Ints,
    counted_q: Ints,
    counted_benign: Ints,
    counted_p: Ints,
    inside_persons: Ints,
    unit: float,
) -> tuple[Floats, Floats, Floats, Floats]:
    """Of a region whose accounts have `counted_...` in the sums: persons of each group with all of them; then what others have: q, benign; p by node."""
    all_persons, other_q, other_benign = np.empty(len(groups)), np.empty(len(groups)), np.empty(len(groups))
    for i in range(len(groups)):
        g = groups[i]
        all_persons[i] = persons[g] - counted_persons[i] + inside_persons[i]
        other_q[i] = (q[g] - counted_q[i]) / unit
        other_benign[i] = benign[g] - counted_benign[i]
    other_p = np.empty(len(nodes))
    for i in range(len(nodes)):
        other_p[i] = (p[nodes[i]] - counted_p[i]) / unit
    return all_persons, other_q, other_benign, other_p


@compiled(INTS, INTS_OUT, INTS_OUT, INTS_OUT, INTS, INTS_OUT, INTS, INTS, INTS, INTS, INT)
def add(
    groups: Ints,
    persons: Ints,
    q: Ints,
    benign: Ints,
    nodes: Ints,
    p: Ints,
    more_persons: Ints,
    more_q: Ints,
    more_benign: Ints,
    more_p: Ints,
    sign: int,
) -> None:
    """Add to the sums of these groups and nodes, `sign` times."""
    for i in range(len(groups)):
        if more_persons[i]:
            persons[groups[i]] += sign * more_persons[i]
            q[groups[i]] += sign * more_q[i]
            benign[groups[i]] += sign * more_benign[i]
    for i in range(len(nodes)):
        p[nodes[i]] += sign * more_p[i]


@compiled(FLOAT, FLOAT, FLOAT, FLOAT, FLOAT)
def _word(others: float, persons: float, pi: float, low: float, high: float) -> float:
    return min(max(math.log((max(others, 0.0) + pi) / persons / pi), low), high)


@compiled(INTS, INTS, INTS, INTS, INTS_OUT, INTS_OUT, INTS, INTS, BOOLS, FLOATS, FLOAT, FLOAT, FLOAT, FLOAT, FLOAT)
def news(
    groups: Ints,
    node: Ints,
    persons: Ints,
    q: Ints,
    told_persons: Ints,
    told_q: Ints,
    known: Ints,
    kind: Ints,
    is_hard: Bools,
    pi: Floats,
    at_least: float,
    grown: float,
    low: float,
    high: float,
    unit: float,
) -> tuple[Ints, Floats]:
    """Those of the groups whose word to their holders moved (see `live.LiveGraph.news`), and by how many nats; what they are told now is noted."""
    found, moved, many = np.empty(len(groups), np.int64), np.empty(len(groups)), 0
    for g in groups:
        if (persons[g] == told_persons[g] and q[g] == told_q[g]) or known[node[g]] < 2:
            continue
        k = kind[node[g]]
        size, told_size = float(max(persons[g], 1)), float(max(told_persons[g], 1))
        most = _GROWN_NATS if is_hard[k] and abs(math.log(size / told_size)) > grown else 0.0
        for less in (0.0, 1.0):
            now = _word(q[g] / unit - less, size, pi[k], low, high)
            most = max(most, abs(now - _word(told_q[g] / unit - less, told_size, pi[k], low, high)))
        if most > at_least:
            found[many], moved[many] = g, most
            many += 1
            told_persons[g], told_q[g] = persons[g], q[g]
    return found[:many].copy(), moved[:many].copy()


@compiled(INTS, FLOATS, INTS, INTS, FLOATS, BOOLS, FLOATS_OUT, FLOAT)
def hear(
    nodes: Ints,
    moved: Floats,
    by_node_: Ints,
    recent: Ints,
    p: Floats,
    settled: Bools,
    unheard: Floats,
    at_least: float,
) -> Ints:
    """Holders of these nodes, but for those that are `settled`, whose p what they have not reckoned with yet can move by `at_least`.

    Each hears how far the word of each node moved, nats; that is added to `unheard`, and moves p by p (1 - p) times as much.
    `by_node_`, `recent`: two layers of links.
    """
    holders, each = ends(by_node_, recent, nodes)
    found, many, at, asked = np.empty(len(holders), np.int64), 0, 0, np.zeros(len(p), np.bool_)
    for i in range(len(nodes)):
        for _ in range(each[i]):
            account = holders[at]
            at += 1
            if settled[account] or asked[account]:
                continue
            unheard[account] += moved[i]
            if unheard[account] * p[account] * (1 - p[account]) >= at_least:
                asked[account] = True
                found[many] = account
                many += 1
    return np.sort(found[:many])


@compiled(INTS, INTS, INTS, INTS, INTS, INTS, INTS, INTS, BOOLS, INT, INT, INT)
def reach(
    start: Ints,
    by_account: Ints,
    recent_by_account: Ints,
    by_node_: Ints,
    recent_by_node: Ints,
    kind: Ints,
    holders: Ints,
    known: Ints,
    joins: Bools,
    holders_max: int,
    rounds: int,
    accounts: int,
) -> tuple[Ints, int, Ints, Ints]:
    """Accounts that nodes of the kinds that join and of few holders tie to those of `start` (distinct), directly or in so many rounds.

    Returns (the accounts, in the order in which they were met; how many of them were followed; and of each link that was: place of its
    account in that order, place of its node in the order in which nodes were met).
    """
    found, many, followed = np.empty(accounts, np.int64), len(start), 0
    found[:many] = start
    seen, place = np.zeros(accounts, np.bool_), np.full(len(kind), -1, np.int32)
    for account in start:
        seen[account] = True
    one, other, links, nodes = np.empty(256, np.int64), np.empty(256, np.int64), 0, 0
    for _ in range(rounds):
        front, at = many, 0
        held, each = ends(by_account, recent_by_account, found[followed:front])
        met, fresh = np.empty(len(held), np.int64), 0
        for row in range(followed, front):
            for _ in range(each[row - followed]):
                node = held[at]
                at += 1
                if not joins[kind[node]] or max(holders[node], known[node]) > holders_max:
                    continue
                if place[node] < 0:
                    place[node] = nodes
                    nodes += 1
                    met[fresh] = node
                    fresh += 1
                if links == len(one):
                    one, other = np.concatenate((one, one)), np.concatenate((other, other))
                one[links], other[links] = row, place[node]
                links += 1
        for account in ends(by_node_, recent_by_node, met[:fresh])[0]:
            if not seen[account]:
                seen[account] = True
                found[many] = account
                many += 1
        followed = front
    return found[:many].copy(), followed, one[:links].copy(), other[:links].copy()
