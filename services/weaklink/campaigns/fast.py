"""The fast path: new accounts on known infrastructure, taken in before the cluster test can see them.

It looks only at campaigns that already stand, which is what beats account factories.
"""

from dataclasses import dataclass

import numpy as np

from weaklink.campaigns.cluster import NONE
from weaklink.campaigns.config import FastConfig
from weaklink.campaigns.graph import IS_HARD, Bools, Floats, Graph, Ints, counts, distinct, sums
from weaklink.records.identifiers import IdentifierKind


@dataclass(frozen=True, slots=True)
class Ties:
    """For each candidate account that is tied to a campaign at all: the campaign that it is tied to most, and by what."""

    account: Ints
    label: Ints
    weight: Floats
    strong: Bools  # one hard kind, or two PROMPT bands
    hard_kinds: Ints
    own_party: Bools  # evidenced members at the own party
    parties: Ints  # other parties with evidenced members, or the own one too


def ties(
    graph: Graph,
    labels: Ints,
    candidates: Bools,
    evidenced: Bools,
    *,
    share_min: float,
    config: FastConfig,
    hard_holders_min: int,
) -> Ties:
    """What ties `candidates` (no members) to campaigns (`labels` of members, else NONE).

    An identifier counts when at least two members hold it (`hard_holders_min` for hard kinds) and they are `share_min` of its other holders.
    """
    n_nodes = len(graph.kind)
    member = labels[graph.account] != NONE
    held = counts(graph.node[member], n_nodes)
    enough = np.where(IS_HARD[graph.kind], hard_holders_min, config.flagged_holders_min)
    flagged = (held >= enough) & (held >= share_min * (graph.known + graph.unseen - 1))
    mine = np.flatnonzero(candidates[graph.account] & ~member & flagged[graph.node])
    theirs = np.flatnonzero(member & flagged[graph.node])
    part, part_node, part_label = distinct(graph.node[theirs], labels[graph.account[theirs]])
    vouching = np.zeros((len(part_node), max(len(graph.parties), 1)), bool)
    proven = evidenced[graph.account[theirs]]
    vouching[part[proven], graph.party[graph.account[theirs[proven]]]] = True
    many = counts(part_node, n_nodes)
    first = np.searchsorted(part_node, np.arange(n_nodes))
    reps = many[graph.node[mine]]
    link = np.repeat(mine, reps)
    within = np.arange(len(link)) - np.repeat(np.cumsum(reps) - reps, reps)
    into = first[graph.node[link]] + within
    row, account, label, kind = distinct(graph.account[link], part_label[into], graph.kind[part_node[into]])
    values = counts(row, len(account))
    weight = _weight(kind, values, config)
    strong = IS_HARD[kind] | ((kind == IdentifierKind.PROMPT) & (values >= config.prompt_bands))
    pair, pair_account, pair_label = distinct(account, label)
    n = len(pair_account)
    pair_of_link = pair[row]
    seen = np.zeros((n, vouching.shape[1]), bool)
    np.logical_or.at(seen, pair_of_link, vouching[into])
    own = seen[np.arange(n), graph.party[pair_account]] if graph.parties else np.zeros(n, bool)
    total = sums(pair, weight, n)
    best = np.lexsort((pair_label, -total, pair_account))
    best = best[np.unique(pair_account[best], return_index=True)[1]] if n else best
    return Ties(
        pair_account[best],
        pair_label[best],
        total[best],
        (counts(pair[strong], n) > 0)[best],
        counts(pair[IS_HARD[kind]], n)[best],
        own[best],
        seen.sum(axis=1)[best],
    )


def _weight(kind: Ints, values: Ints, config: FastConfig) -> Floats:
    weight = np.where(IS_HARD[kind], config.hard, 0.0)
    bands = (kind == IdentifierKind.PROMPT) & (values >= config.prompt_bands)
    weight = np.where(bands, config.prompt, weight)
    addresses = np.minimum(config.ip * values, config.ip_max)
    weight = np.where(kind == IdentifierKind.IP, addresses, weight)
    return np.where(kind == IdentifierKind.ORGANISATION, config.organisation, weight)


def newcomers(graph: Graph, labels: Ints, candidates: Bools, evidenced: Bools, config: FastConfig) -> tuple[Ints, Ints]:
    """(accounts, label of the campaign that each joins): candidates that known infrastructure gives away."""
    found = ties(
        graph,
        labels,
        candidates,
        evidenced,
        share_min=config.flagged_share_min,
        config=config,
        hard_holders_min=config.flagged_holders_min,
    )
    vouched = found.own_party | (found.parties >= config.independent_parties)
    joined = (found.weight >= config.weight_min) & found.strong & vouched
    return found.account[joined], found.label[joined]


def resellers(graph: Graph, labels: Ints, reseller: Bools, evidenced: Bools, config: FastConfig) -> tuple[Ints, Ints]:
    """(reseller accounts, label of the campaign that comes in by each): never members, but what the plan may ask END_USER ids of."""
    found = ties(
        graph, labels, reseller, evidenced, share_min=0.0, config=config, hard_holders_min=config.flagged_holders_min
    )
    vouched = found.own_party | (found.parties >= config.independent_parties)
    joined = (found.weight >= config.weight_min) & found.strong & vouched
    return found.account[joined], found.label[joined]
