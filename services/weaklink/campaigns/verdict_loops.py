"""The loops of the tests that decide (`verdict`): at each node, the members of each community.

Links come sorted by node, so a *part*, the members of one community on one node, is met within one run of links.
"""

from typing import Final

import numpy as np

from weaklink.compiled import BOOLS, INT, INTS, Bools, Ints, compiled

_NONE: Final = -1
_WORD: Final = 62


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


@compiled(INT)
def _bits(word: int) -> int:
    many = 0
    while word:
        word &= word - 1
        many += 1
    return many


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
    Sets of parties are bits, `_WORD` to a number.
    """
    n, words = len(party), parties // _WORD + 1
    speak, several = np.zeros(len(part_kind) * words, np.int64), np.zeros(len(part_kind) * words, np.int64)
    for link in range(len(part)):
        home = party[account[link]]
        if evidenced[account[link]]:
            at, bit = part[link] * words + home // _WORD, 1 << home % _WORD
            several[at] |= speak[at] & bit
            speak[at] |= bit
    trusted = np.zeros(words, np.int64)
    for p in range(parties):
        trusted[p // _WORD] |= np.int64(credible[p]) << p % _WORD
    kinds, identifiers, speaking = np.zeros(n, np.int64), np.zeros(n, np.int64), np.zeros(n, np.int64)
    hard, own = np.zeros(n, np.bool_), np.zeros(n, np.bool_)
    seen = np.zeros(n * words, np.int64)
    for link in range(len(part)):
        a, kind = account[link], part_kind[part[link]]
        identifiers[a] += 1
        kinds[a] |= 1 << kind
        hard[a] |= is_hard[kind]
        for w in range(words):
            at = part[link] * words + w
            mine = 1 << party[a] % _WORD if w == party[a] // _WORD else 0
            others = several[at] if evidenced[a] else speak[at]
            seen[a * words + w] |= (speak[at] & trusted[w] & ~mine) | (others & mine)
    for a in range(n):
        kinds[a] = _bits(kinds[a])
        for w in range(words):
            speaking[a] += _bits(seen[a * words + w])
        own[a] = (seen[a * words + party[a] // _WORD] >> party[a] % _WORD) & 1 == 1
    return kinds, identifiers, hard, own, speaking
