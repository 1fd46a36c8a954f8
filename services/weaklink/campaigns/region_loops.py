"""The loops that cut a region out of the live graph (`live`): its nodes, groups and seats by their places, and whom links join to whom."""

import numpy as np

from weaklink.campaigns.belief_loops import grouped
from weaklink.campaigns.key_loops import ends, place_from, unique
from weaklink.compiled import BOOLS, HALVES, INT, INTS, Bools, Floats, Halves, Ints, compiled


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


@compiled(INTS, INTS, HALVES, HALVES, INTS, INT)
def groups_of(
    keys: Ints, recent: Ints, group: Halves, recent_group: Halves, numbers: Ints, party_bits: int
) -> tuple[Ints, Ints, Ints]:
    """The groups of these nodes (ascending): number of each group, place of its node in `numbers`, party. `keys`, `recent`: two layers of node
    and party, sorted; `group`, `recent_group`: the numbers of these."""
    many, at, later = 0, 0, 0
    first, first_later = np.empty(len(numbers), np.int64), np.empty(len(numbers), np.int64)
    for i in range(len(numbers)):
        at, later = place_from(keys, at, numbers[i] << party_bits), place_from(recent, later, numbers[i] << party_bits)
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
