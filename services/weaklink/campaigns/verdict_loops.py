"""The loops of the tests that decide (`verdict`): at each node, the members of each community.

Links come sorted by node, so a *part*, the members of one community on one node, is met within one run of links.
"""

import numpy as np

from weaklink.campaigns.compiled import BOOLS, INT, INTS, Bools, Ints, compiled

_NONE = -1


@compiled(INTS, INTS, INTS, INTS, INT)
def parts(account: Ints, node: Ints, labels: Ints, person: Ints, size: int) -> tuple[Ints, Ints, Ints, Ints]:
    """Links of members to nodes that another person of their community holds too.

    Returns (those links, the part of each; node and label of every part, those of one person too). `size`: labels are below.
    """
    links, part = np.empty(len(node), np.int64), np.empty(len(node), np.int64)
    part_node, part_label = np.empty(len(node), np.int64), np.empty(len(node), np.int64)
    only = np.empty(len(node), np.int64)  # of each part: its person, or _NONE once there are several
    latest = np.full(size, -1, np.int64)  # of each label: its newest part
    rows, many = 0, 0
    for link in range(len(node)):
        label = labels[account[link]]
        if label == _NONE:
            continue
        at = latest[label]
        if at < 0 or part_node[at] != node[link]:
            at = many
            latest[label], part_node[at], part_label[at], only[at] = at, node[link], label, person[account[link]]
            many += 1
        elif only[at] != person[account[link]]:
            only[at] = _NONE
        links[rows], part[rows] = link, at
        rows += 1
    kept = 0
    for row in range(rows):
        if only[part[row]] == _NONE:
            links[kept], part[kept] = links[row], part[row]
            kept += 1
    return links[:kept], part[:kept], part_node[:many].copy(), part_label[:many].copy()


@compiled(INTS, INTS, INTS, INTS, INT, BOOLS, BOOLS, BOOLS)
def support(
    account: Ints,
    part: Ints,
    part_kind: Ints,
    party: Ints,
    parties: int,
    is_hard: Bools,
    evidenced: Bools,
    credible: Bools,
) -> tuple[Ints, Ints, Bools, Bools, Ints]:
    """By account (`party` has a row for each): kinds, identifiers, whether any is hard, own party, number of parties; see `verdict.Support`.

    `account`, `part`: of each link. A party speaks on an account where another evidenced account of it is of the same part.
    """
    n = len(party)
    evidence = np.zeros((len(part_kind), parties), np.int64)
    for link in range(len(part)):
        if evidenced[account[link]]:
            evidence[part[link], party[account[link]]] += 1
    kinds, identifiers, speaking = np.zeros(n, np.int64), np.zeros(n, np.int64), np.zeros(n, np.int64)
    hard, own = np.zeros(n, np.bool_), np.zeros(n, np.bool_)
    seen = np.zeros((n, parties), np.bool_)
    for link in range(len(part)):
        a, at = account[link], part[link]
        kind = part_kind[at]
        identifiers[a] += 1
        kinds[a] |= 1 << kind
        hard[a] |= is_hard[kind]
        for p in range(parties):
            home = p == party[a]
            many = evidence[at, p] - (1 if home and evidenced[a] else 0)
            if many > 0 and (home or credible[p]):
                seen[a, p] = True
    for a in range(n):
        bits, many = kinds[a], 0
        while bits:
            bits &= bits - 1
            many += 1
        kinds[a] = many
        for p in range(parties):
            speaking[a] += seen[a, p]
        own[a] = seen[a, party[a]]
    return kinds, identifiers, hard, own, speaking
