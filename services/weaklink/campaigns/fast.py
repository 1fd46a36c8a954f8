"""The fast path: new accounts on known infrastructure, taken in before the cluster test can see them.

It looks only at campaigns that already stand, which is what beats account factories.
"""

from dataclasses import dataclass

import numpy as np

from weaklink.campaigns import cluster_loops
from weaklink.campaigns.belief_loops import grouped
from weaklink.campaigns.cluster import NONE
from weaklink.campaigns.cluster_config import FastConfig
from weaklink.campaigns.graph import IS_HARD, KINDS, Bools, Floats, Graph, Ints, counts
from weaklink.records.identifiers import IdentifierKind


@dataclass(frozen=True, slots=True)
class Ties:
    """For each candidate account that is tied to a campaign at all: the campaign that it is tied to most, and by what."""

    account: Ints
    label: Ints
    weight: Floats
    strong: Bools  # one hard kind, two PROMPT bands, or a referral code
    hard_kinds: Ints
    identifiers: Ints
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
    A referral code counts only when it is the campaign's own: many members, and hardly others, whatever is asked of other kinds.
    """
    n_nodes = len(graph.kind)
    member = labels[graph.account] != NONE
    held = counts(graph.node[member], n_nodes)
    code = graph.kind == IdentifierKind.REFERRAL
    enough = np.where(IS_HARD[graph.kind], hard_holders_min, config.flagged_holders_min)
    enough = np.where(code, config.referral_holders_min, enough)
    share = np.where(code, config.referral_share_min, share_min)
    flagged = (held >= enough) & (held >= share * (graph.known + graph.unseen - 1))
    links = np.flatnonzero(flagged[graph.node])  # no others tie anybody
    account, node = graph.account[links], graph.node[links]
    starts, order = grouped(account, graph.n_accounts)
    many = np.arange(int(np.diff(starts).max(initial=0)) + 1)
    kind, many = np.repeat(np.arange(KINDS), len(many)), np.tile(many, KINDS)
    bands = (kind == IdentifierKind.PROMPT) & (many >= config.prompt_bands)
    size = int(labels.max(initial=NONE)) + 1
    first, part_label, _, vouching = cluster_loops.node_parts(
        account, node, labels, flagged, graph.party, evidenced, size, len(graph.parties)
    )
    return Ties(
        *cluster_loops.tied_most(
            starts,
            order,
            node,
            graph.kind,
            np.flatnonzero(candidates & (labels == NONE)),
            graph.party,
            first,
            part_label,
            vouching,
            (many > 0) & (IS_HARD[kind] | bands | (kind == IdentifierKind.REFERRAL)),
            np.where(many > 0, _weight(kind, many, config), 0.0),
            IS_HARD,
            size,
        )
    )


def _weight(kind: Ints, values: Ints, config: FastConfig) -> Floats:
    weight = np.where(IS_HARD[kind], config.hard, 0.0)
    bands = (kind == IdentifierKind.PROMPT) & (values >= config.prompt_bands)
    weight = np.where(bands, config.prompt, weight)
    addresses = np.minimum(config.ip * values, config.ip_max)
    weight = np.where(kind == IdentifierKind.IP, addresses, weight)
    weight = np.where(kind == IdentifierKind.REFERRAL, config.referral, weight)
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
