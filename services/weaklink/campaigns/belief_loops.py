"""The loops of belief (`evidence`, `propagate`), over each account's links and, at each node, the groups of other parties.

Pairs of a link and a foreign group are never laid out as arrays: a template with a thousand holders at ten parties has ten thousand.
`starts`, `order`: the links by account, as `grouped` gives them. `first`: where the groups of each node begin.
"""

import math
from typing import Final

import numpy as np

from weaklink.compiled import BOOL, BOOLS, FLOAT, FLOATS, INT, INTS, Bools, Floats, Ints, compiled

_RATIOS_PER_LOG: Final = 8


@compiled(INTS, INT)
def grouped(index: Ints, size: int) -> tuple[Ints, Ints]:
    """(where the rows of each index begin in the order, and its length at the end; the order of the rows by index, stable)."""
    starts = np.zeros(size + 1, np.int64)
    for i in index:
        starts[i + 1] += 1
    for i in range(size):
        starts[i + 1] += starts[i]
    place = starts[:-1].copy()
    order = np.empty(len(index), np.int64)
    for row in range(len(index)):
        order[place[index[row]]] = row
        place[index[row]] += 1
    return starts, order


@compiled(INTS, INTS, INTS, INTS, BOOLS, INTS, INTS, INTS, FLOATS, INT)
def sharing(
    starts: Ints,
    order: Ints,
    node: Ints,
    kind: Ints,
    is_hard: Bools,
    group: Ints,
    first: Ints,
    group_party: Ints,
    group_persons: Floats,
    parties: int,
) -> tuple[Ints, Floats, Ints, Ints, Floats]:
    """Rows, ascending: account * kinds + kind, others at its own party, where there are any; then account * kinds + kind, foreign party, persons there."""
    n, kinds = len(starts) - 1, len(is_hard)
    bound, hard = 0, 0
    for link in range(len(node)):
        if is_hard[kind[node[link]]]:
            hard += 1
            bound += first[node[link] + 1] - first[node[link]] - 1
    own_key, own = np.empty(hard, np.int64), np.empty(hard)
    key, party, persons = np.empty(bound, np.int64), np.empty(bound, np.int64), np.empty(bound)
    total, at = np.zeros(kinds * parties), np.empty(kinds * parties, np.int64)
    seen = np.zeros(kinds * parties, np.bool_)
    mine = np.zeros(kinds)
    own_rows, rows = 0, 0
    for account in range(n):
        many = 0
        for i in range(starts[account], starts[account + 1]):
            link = order[i]
            v = node[link]
            k = kind[v]
            if not is_hard[k]:
                continue
            mine[k] += group_persons[group[link]] - 1
            for g in range(first[v], first[v + 1]):
                if g != group[link]:
                    cell = k * parties + group_party[g]
                    if not seen[cell]:
                        seen[cell] = True
                        at[many] = cell
                        many += 1
                    total[cell] += group_persons[g]
        for k in range(kinds):
            if mine[k] > 0:
                own_key[own_rows], own[own_rows] = account * kinds + k, mine[k]
                own_rows += 1
                mine[k] = 0.0
        if many == 0:
            continue
        for cell in np.sort(at[:many]):
            key[rows] = account * kinds + cell // parties
            party[rows] = cell % parties
            persons[rows] = total[cell]
            rows += 1
            seen[cell] = False
            total[cell] = 0.0
    return own_key[:own_rows], own[:own_rows], key[:rows], party[:rows], persons[:rows]


@compiled(FLOATS, INTS, INTS, INTS, FLOATS, FLOATS)
def group_beliefs(
    q: Floats, account: Ints, seat: Ints, seat_group: Ints, seat_accounts: Floats, outside_q: Floats
) -> tuple[Floats, Floats]:
    """(mean q of each seat's accounts; sum over the persons of each group of their q, those outside among them)."""
    seat_q = np.zeros(len(seat_group))
    for link in range(len(account)):
        seat_q[seat[link]] += q[account[link]]
    group_q = np.zeros(len(outside_q))
    for s in range(len(seat_group)):
        seat_q[s] /= seat_accounts[s]
        group_q[seat_group[s]] += seat_q[s]
    return seat_q, group_q + outside_q


@compiled(INTS, INTS, INTS, INTS, FLOATS, INT)
def means_by_kind(starts: Ints, order: Ints, node: Ints, kind: Ints, q: Floats, kinds: int) -> Floats:
    """Mean q of the accounts that hold anything of a kind, by kind; 0 where nobody does."""
    total, held = np.zeros(kinds), np.zeros(kinds)
    last = np.full(kinds, -1, np.int64)
    for account in range(len(starts) - 1):
        for i in range(starts[account], starts[account + 1]):
            k = kind[node[order[i]]]
            if last[k] != account:
                last[k] = account
                total[k] += q[account]
                held[k] += 1
    return total / np.maximum(held, 1)


@compiled(INTS, INTS, INTS, INTS, INTS, INTS, BOOLS, FLOATS, FLOATS, FLOATS)
def home_links(
    starts: Ints,
    order: Ints,
    node: Ints,
    kind: Ints,
    group: Ints,
    seat: Ints,
    skipped: Bools,
    group_persons: Floats,
    unseen: Floats,
    caps: Floats,
) -> tuple[Ints, Ints, Ints, Ints, Floats, Floats]:
    """The links by which accounts that are not `skipped` hear of others at their party, by account and kind.

    Returns (first row of each run of one account and kind, and the number of rows at the end; account * kinds + kind of each run; of each
    row group, seat, 1 + unseen holders of the group, and all its holders). Rounds go over these rows only, one after the other in memory.
    `unseen`: of each group, its share of the holders of its node that are only counted.
    """
    n, kinds = len(starts) - 1, len(caps)
    first, key = np.empty(len(order) + 1, np.int64), np.empty(len(order), np.int64)
    row_group, row_seat = np.empty(len(order), np.int64), np.empty(len(order), np.int64)
    more, size = np.empty(len(order)), np.empty(len(order))
    place = np.zeros(kinds + 1, np.int64)
    rows, runs = 0, 0
    for account in range(n):
        if skipped[account]:
            continue
        place[:] = 0
        for i in range(starts[account], starts[account + 1]):
            k = kind[node[order[i]]]
            if group_persons[group[order[i]]] > 1 and caps[k] > 0:
                place[k] += 1
        for k in range(kinds):
            many = place[k]
            place[k] = rows
            if many:
                first[runs], key[runs] = rows, account * kinds + k
                runs += 1
                rows += many
        for i in range(starts[account], starts[account + 1]):
            link = order[i]
            k, g = kind[node[link]], group[link]
            if group_persons[g] > 1 and caps[k] > 0:
                row_group[place[k]], row_seat[place[k]] = g, seat[link]
                more[place[k]], size[place[k]] = 1 + unseen[g], group_persons[g] + unseen[g]
                place[k] += 1
    first[runs] = rows
    return first[: runs + 1], key[:runs], row_group[:rows], row_seat[:rows], more[:rows], size[:rows]


@compiled(INT, INTS, INTS, INTS, INTS, FLOATS, FLOATS, FLOATS, FLOATS, FLOATS, FLOATS, FLOAT, BOOL)
def heard_at_home(
    n: int,
    first: Ints,
    key: Ints,
    row_group: Ints,
    row_seat: Ints,
    more: Floats,
    size: Floats,
    seat_q: Floats,
    group_q: Floats,
    pi: Floats,
    caps: Floats,
    floor: float,
    leave_one_out: bool,
) -> Floats:
    """Nats of each of `n` accounts: sum over kinds of clip(sum of ln(r / pi_k), floor, cap_k), over the rows of `home_links`."""
    kinds = len(pi)
    result = np.zeros(n)
    for run in range(len(key)):
        account, k = key[run] // kinds, key[run] % kinds
        told, ratio = 0.0, 1.0
        for row in range(first[run], first[run + 1]):
            others = max(group_q[row_group[row]] - (seat_q[row_seat[row]] if leave_one_out else 0.0), 0.0)
            ratio *= (others + pi[k] * more[row]) / (size[row] * pi[k])
            # One logarithm for several ratios, each of which lies far within 1e-30 and 1e30.
            if (row - first[run]) % _RATIOS_PER_LOG == _RATIOS_PER_LOG - 1:
                told += math.log(ratio)
                ratio = 1.0
        told += math.log(ratio)
        result[account] += min(max(told, floor), caps[k])
    return result


@compiled(INTS, INTS, INTS, INTS, BOOLS, INTS, INTS, INTS, FLOATS, FLOATS, FLOAT, FLOAT, FLOAT)
def heard_abroad(
    starts: Ints,
    order: Ints,
    node: Ints,
    kind: Ints,
    is_hard: Bools,
    home: Ints,
    first: Ints,
    group_party: Ints,
    term: Floats,
    trusted: Floats,
    low: float,
    high: float,
    soft_max: float,
) -> Floats:
    """Nats by account from the groups of other parties on its nodes, each of which says `term`, clipped party by party.

    `home`: party of each account.
    """
    n, parties = len(starts) - 1, len(trusted)
    result = np.zeros(n)
    total, soft = np.zeros(parties), np.zeros(parties)
    for account in range(n):
        some = False
        for i in range(starts[account], starts[account + 1]):
            v = node[order[i]]
            begin, end = first[v], first[v + 1]
            if end - begin < 2:  # nobody of another party
                continue
            some = True
            # The own party's group is added up as well, and then not asked for: to compare each takes longer.
            if is_hard[kind[v]]:
                for g in range(begin, end):
                    total[group_party[g]] += term[g]
            else:
                for g in range(begin, end):
                    total[group_party[g]] += term[g]
                    soft[group_party[g]] += term[g]
        if not some:
            continue
        soft_sum, hard_sum = 0.0, 0.0
        for party in range(parties):
            if party != home[account]:
                soft_part = min(max(soft[party], low), high)
                hard_sum += (min(max(total[party], low), high) - soft_part) * trusted[party]
                soft_sum += soft_part * trusted[party]
            total[party], soft[party] = 0.0, 0.0
        result[account] = min(soft_sum, soft_max) + hard_sum
    return result
