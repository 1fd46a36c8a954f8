"""The loops of belief (`evidence`, `propagate`), over each account's links and, at each node, the groups of other parties.

Pairs of a link and a foreign group are never laid out as arrays: a template with a thousand holders at ten parties has ten thousand.
`starts`, `order`: the links by account, as `grouped` gives them. `first`: where the groups of each node begin.
"""

import math

import numpy as np

from weaklink.campaigns.compiled import BOOL, BOOLS, FLOAT, FLOATS, INT, INTS, Bools, Floats, Ints, compiled


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
) -> tuple[Floats, Ints, Ints, Floats]:
    """(own [account * kinds + kind]; then row by row, ascending: account * kinds + kind, foreign party, persons there)."""
    n, kinds = len(starts) - 1, len(is_hard)
    own = np.zeros(n * kinds)
    bound = 0
    for link in range(len(node)):
        if is_hard[kind[node[link]]]:
            bound += first[node[link] + 1] - first[node[link]] - 1
    key, party, persons = np.empty(bound, np.int64), np.empty(bound, np.int64), np.empty(bound)
    total, at = np.zeros(kinds * parties), np.empty(kinds * parties, np.int64)
    seen = np.zeros(kinds * parties, np.bool_)
    rows = 0
    for account in range(n):
        many = 0
        for i in range(starts[account], starts[account + 1]):
            link = order[i]
            v = node[link]
            k = kind[v]
            if not is_hard[k]:
                continue
            own[account * kinds + k] += group_persons[group[link]] - 1
            for g in range(first[v], first[v + 1]):
                if g != group[link]:
                    cell = k * parties + group_party[g]
                    if not seen[cell]:
                        seen[cell] = True
                        at[many] = cell
                        many += 1
                    total[cell] += group_persons[g]
        if many == 0:
            continue
        for cell in np.sort(at[:many]):
            key[rows] = account * kinds + cell // parties
            party[rows] = cell % parties
            persons[rows] = total[cell]
            rows += 1
            seen[cell] = False
            total[cell] = 0.0
    return own, key[:rows], party[:rows], persons[:rows]


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


@compiled(INTS, INTS, INTS, INTS, INTS, INTS, BOOLS, FLOATS, FLOATS, FLOATS, FLOATS, FLOATS, FLOATS, FLOAT, BOOL)
def heard_at_home(
    starts: Ints,
    order: Ints,
    node: Ints,
    kind: Ints,
    group: Ints,
    seat: Ints,
    skipped: Bools,
    seat_q: Floats,
    group_q: Floats,
    group_persons: Floats,
    unseen: Floats,
    pi: Floats,
    caps: Floats,
    floor: float,
    leave_one_out: bool,
) -> Floats:
    """Nats by account: sum over kinds of clip(sum of ln(r / pi_k), floor, cap_k); 0 for accounts `skipped`.

    `unseen`: of each group, its share of the holders of its node that are only counted.
    """
    n, kinds = len(starts) - 1, len(pi)
    result = np.zeros(n)
    told, asked = np.zeros(kinds), np.zeros(kinds, np.bool_)
    for account in range(n):
        if skipped[account]:
            continue
        for i in range(starts[account], starts[account + 1]):
            link = order[i]
            g = group[link]
            k = kind[node[link]]
            if group_persons[g] > 1 and caps[k] > 0:
                others = max(group_q[g] - (seat_q[seat[link]] if leave_one_out else 0.0), 0.0)
                told[k] += math.log((others + pi[k] * (1 + unseen[g])) / (group_persons[g] + unseen[g]) / pi[k])
                asked[k] = True
        for k in range(kinds):
            if asked[k]:
                result[account] += min(max(told[k], floor), caps[k])
                told[k] = 0.0
                asked[k] = False
    return result


@compiled(INTS, INTS, INTS, INTS, BOOLS, INTS, INTS, INTS, FLOATS, FLOATS, FLOAT, FLOAT, FLOAT)
def heard_abroad(
    starts: Ints,
    order: Ints,
    node: Ints,
    kind: Ints,
    is_hard: Bools,
    group: Ints,
    first: Ints,
    group_party: Ints,
    term: Floats,
    trusted: Floats,
    low: float,
    high: float,
    soft_max: float,
) -> Floats:
    """Nats by account from the groups of other parties on its nodes, each of which says `term`, clipped party by party."""
    n, parties = len(starts) - 1, len(trusted)
    result = np.zeros(n)
    total, soft, seen = np.zeros(parties), np.zeros(parties), np.zeros(parties, np.bool_)
    for account in range(n):
        some = False
        for i in range(starts[account], starts[account + 1]):
            link = order[i]
            v = node[link]
            for g in range(first[v], first[v + 1]):
                if g != group[link]:
                    some = True
                    party = group_party[g]
                    seen[party] = True
                    total[party] += term[g]
                    soft[party] += 0.0 if is_hard[kind[v]] else term[g]
        if not some:
            continue
        soft_sum, hard_sum = 0.0, 0.0
        for party in range(parties):
            if seen[party]:
                soft_part = min(max(soft[party], low), high)
                hard_sum += (min(max(total[party], low), high) - soft_part) * trusted[party]
                soft_sum += soft_part * trusted[party]
                total[party], soft[party], seen[party] = 0.0, 0.0, False
        result[account] = min(soft_sum, soft_max) + hard_sum
    return result
