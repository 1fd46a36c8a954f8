"""The loops of communities (`cluster`, `fast`): by what accounts are tied to communities that they are not of.

A *part* is the members of one community on one node. `starts`, `order`: the links by account, as `grouped` gives them.
`weights` [kind * width + many]: what `many` common identifiers of a kind weigh; `width` is more than any account has links.
"""

from typing import Final

import numpy as np

from weaklink.compiled import BOOLS, FLOAT, FLOATS, INT, INTS, Bools, Floats, Ints, compiled

_NONE: Final = -1


@compiled(INTS, INTS, INTS, BOOLS, INTS, BOOLS, INT, INT)
def node_parts(
    account: Ints, node: Ints, labels: Ints, asked: Bools, party: Ints, evidenced: Bools, size: int, parties: int
) -> tuple[Ints, Ints, Ints, Bools]:
    """The parts on the nodes that are `asked` for: where those of each node begin; of each its label and its accounts; and
    [part * parties + party] whether evidenced ones of the party are among them. Links are sorted by node; labels are below `size`.
    """
    first = np.zeros(len(asked) + 1, np.int64)
    part_label, part_node = np.empty(len(node), np.int64), np.empty(len(node), np.int64)
    part_accounts, part_of_link = np.zeros(len(node), np.int64), np.full(len(node), -1, np.int64)
    latest, many = np.full(size, -1, np.int64), 0
    for link in range(len(node)):
        label, v = labels[account[link]], node[link]
        if label == _NONE or not asked[v]:
            continue
        at = latest[label]
        if at < 0 or part_node[at] != v:
            at = many
            latest[label], part_node[at], part_label[at] = at, v, label
            first[v + 1] += 1
            many += 1
        part_accounts[at] += 1
        part_of_link[link] = at
    for v in range(len(asked)):
        first[v + 1] += first[v]
    proven = np.zeros(many * parties, np.bool_)
    for link in range(len(node)):
        if part_of_link[link] >= 0 and evidenced[account[link]]:
            proven[part_of_link[link] * parties + party[account[link]]] = True
    return first, part_label[:many].copy(), part_accounts[:many].copy(), proven


@compiled(INTS, INTS, BOOLS, INT)
def _told(first: Ints, part_accounts: Ints, proven: Bools, parties: int) -> tuple[Ints, Ints]:
    """(members on each node, parties with evidenced ones of each part)."""
    held, credited = np.zeros(len(first) - 1, np.int64), np.zeros(len(part_accounts), np.int64)
    for v in range(len(held)):
        for part in range(first[v], first[v + 1]):
            held[v] += part_accounts[part]
            for p in range(parties):
                credited[part] += proven[part * parties + p]
    return held, credited


@compiled(INTS, INTS, INTS, INTS, INTS, INTS, INTS, INTS, INTS, BOOLS, FLOATS, INT, INT, INT, FLOAT, FLOAT)
def linked_into(
    starts: Ints,
    order: Ints,
    node: Ints,
    kind: Ints,
    labels: Ints,
    party: Ints,
    first: Ints,
    part_label: Ints,
    part_accounts: Ints,
    proven: Bools,
    weights: Floats,
    kinds: int,
    size: int,
    parties_min: int,
    outside_min: float,
    weight_min: float,
) -> tuple[Ints, Ints]:
    """(its fragment, the other) for each account of a fragment and each other fragment that it is linked into by `weight_min`.

    A part counts that is `outside_min` of its node's members, and has evidenced accounts at the account's party or at `parties_min`.
    """
    width = len(weights) // kinds
    parties = len(proven) // max(len(part_label), 1)
    held, credited = _told(first, part_accounts, proven, parties)
    one, other, rows = np.empty(256, np.int64), np.empty(256, np.int64), 0
    many, touched = np.zeros(size * kinds, np.int64), np.empty(size, np.int64)
    near = np.zeros(size, np.bool_)
    for account in range(len(starts) - 1):
        if labels[account] == _NONE:
            continue
        found = 0
        for i in range(starts[account], starts[account + 1]):
            v = node[order[i]]
            for part in range(first[v], first[v + 1]):
                label = part_label[part]
                if label == labels[account] or part_accounts[part] / held[v] < outside_min:
                    continue
                if proven[part * parties + party[account]] or credited[part] >= parties_min:
                    many[label * kinds + kind[v]] += 1
                    if not near[label]:
                        near[label] = True
                        touched[found] = label
                        found += 1
        for label in touched[:found]:
            weight = 0.0
            for k in range(kinds):
                weight += weights[k * width + many[label * kinds + k]]
                many[label * kinds + k] = 0
            near[label] = False
            if weight >= weight_min:
                if rows == len(one):
                    one, other = np.concatenate((one, one)), np.concatenate((other, other))
                one[rows], other[rows] = labels[account], label
                rows += 1
    return one[:rows].copy(), other[:rows].copy()


@compiled(INTS, INTS, FLOATS, INT)
def _heaviest(labels: Ints, many: Ints, weights: Floats, kinds: int) -> tuple[int, float]:
    """(the label whose common identifiers weigh most, the first of equals; what they weigh)."""
    best, most, width = -1, 0.0, len(weights) // kinds
    for label in labels:
        total = 0.0
        for k in range(kinds):
            total += weights[k * width + many[label * kinds + k]]
        if best < 0 or total > most or (total == most and label < best):
            best, most = label, total
    return best, most


@compiled(INTS, INTS, INTS, INTS, INTS, INTS, INTS, INTS, BOOLS, BOOLS, FLOATS, BOOLS, INT)
def tied_most(
    starts: Ints,
    order: Ints,
    node: Ints,
    kind: Ints,
    candidates: Ints,
    party: Ints,
    first: Ints,
    part_label: Ints,
    vouching: Bools,
    strong: Bools,
    weights: Floats,
    is_hard: Bools,
    size: int,
) -> tuple[Ints, Ints, Floats, Bools, Ints, Ints, Bools, Ints]:
    """Of each of the accounts `candidates` that has a part on its nodes: the account, and of the community that it is tied to most, the first of
    equals: label, weight, whether by something `strong` [kind * width + many], hard kinds, identifiers, evidenced members at its own party,
    parties with such.
    """
    kinds = len(is_hard)
    width, parties = len(weights) // kinds, len(vouching) // max(len(part_label), 1)
    n, rows = len(candidates), 0
    account, label = np.empty(n, np.int64), np.empty(n, np.int64)
    weight, hard_kinds, speaking = np.empty(n), np.zeros(n, np.int64), np.zeros(n, np.int64)
    identifiers = np.zeros(n, np.int64)
    is_strong, own = np.zeros(n, np.bool_), np.zeros(n, np.bool_)
    many, touched = np.zeros(size * kinds, np.int64), np.empty(size, np.int64)
    near, seen = np.zeros(size, np.bool_), np.zeros(size * parties, np.bool_)
    for a in candidates:
        found = 0
        for i in range(starts[a], starts[a + 1]):
            v = node[order[i]]
            for part in range(first[v], first[v + 1]):
                to = part_label[part]
                many[to * kinds + kind[v]] += 1
                for p in range(parties):
                    seen[to * parties + p] |= vouching[part * parties + p]
                if not near[to]:
                    near[to] = True
                    touched[found] = to
                    found += 1
        if found == 0:
            continue
        best, most = _heaviest(touched[:found], many, weights, kinds)
        account[rows], label[rows], weight[rows] = a, best, most
        for k in range(kinds):
            is_strong[rows] |= strong[k * width + many[best * kinds + k]]
            hard_kinds[rows] += is_hard[k] and many[best * kinds + k] > 0
            identifiers[rows] += many[best * kinds + k]
        for p in range(parties):
            speaking[rows] += seen[best * parties + p]
        own[rows] = seen[best * parties + party[a]]
        rows += 1
        for to in touched[:found]:
            near[to] = False
            many[to * kinds : (to + 1) * kinds] = 0
            seen[to * parties : (to + 1) * parties] = False
    return (
        account[:rows],
        label[:rows],
        weight[:rows],
        is_strong[:rows],
        hard_kinds[:rows],
        identifiers[:rows],
        own[:rows],
        speaking[:rows],
    )
