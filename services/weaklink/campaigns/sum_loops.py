"""The loops of the sums over groups and nodes (`live_sums`): what a region has in them, what others have, and whom a change in them concerns."""

import math
from typing import Final

import numpy as np

from weaklink.campaigns.key_loops import ends
from weaklink.compiled import (
    BOOLS,
    FLOAT,
    FLOATS,
    FLOATS_OUT,
    INT,
    INTS,
    INTS_OUT,
    Bools,
    Floats,
    Ints,
    compiled,
)

_GROWN_NATS: Final = 1.0
"""What growth of a group on a hard identifier can tell its holders by structure, about."""


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
    """Those of the groups whose word to their holders moved (see `live_sums.LiveSums.news`), and by how many nats; what they are told now is noted."""
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
