"""The track record of each party's evidence: how much of what it said against others' accounts those others later confirmed.

A party is never asked whom it accuses; its accounts with evidence of their own speak against the accounts at other parties that share
their identifiers. The other party's word on such an account, a closure for abuse or a dispute, is then a word on that evidence too. A
member that lies about customers of others so loses its voice, at every party and in every campaign, and gets it back as it is proven right.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from weaklink.campaigns.evidence_config import ReportersConfig
from weaklink.campaigns.graph import IS_HARD, Bools, Floats, Graph, counts, distinct, ranges


@dataclass(frozen=True, slots=True)
class Record:
    """By [reporter, judge], in the order of `parties`: accounts of the judge that the reporter's evidence spoke against."""

    parties: tuple[str, ...]
    confirmed: Floats
    disputed: Floats


def record(graph: Graph, accusing: Bools, *, confirmed: Bools, disputed: Bools, config: ReportersConfig) -> Record:
    """The record, from the accounts as they stand.

    `accusing`: accounts with evidence of their own. `confirmed`: their own party closed them for abuse. `disputed`: it vouched for
    them. An identifier that more than `holders_max` accounts hold speaks against nobody; of a hard kind, the reporter's own are not counted.
    """
    size = len(graph.parties)
    tables = [np.zeros((size, size)) for _ in range(2)]
    held = counts(graph.group, len(graph.group_node))
    holders = (graph.known + graph.unseen)[graph.node] - np.where(IS_HARD[graph.link_kind], held[graph.group], 0)
    speaking = np.flatnonzero(accusing[graph.account] & (holders <= config.holders_max))
    _, said_node, said_party = distinct(graph.node[speaking], graph.party[graph.account[speaking]])
    order = np.argsort(said_node, kind="stable")
    said_node, said_party = said_node[order], said_party[order]
    first = np.searchsorted(said_node, np.arange(len(graph.kind)))
    many = counts(said_node, len(graph.kind))
    for table, judged in zip(tables, (confirmed & ~disputed, disputed), strict=True):
        links = np.flatnonzero(judged[graph.account])
        nodes = graph.node[links]
        at = ranges(first[nodes], many[nodes])
        account = np.repeat(graph.account[links], many[nodes])
        _, whom, reporter = distinct(account, said_party[at])
        foreign = graph.party[whom] != reporter
        np.add.at(table, (reporter[foreign], graph.party[whom[foreign]]), 1.0)
    return Record(tuple(graph.parties), tables[0], tables[1])


def trust(found: Record, config: ReportersConfig) -> dict[str, float]:
    """What each party's evidence counts across parties, from 1 (as a party that nobody has judged) down to 0.

    The mean of a beta distribution over the share of its evidence that holds, relative to the prior's. Each judge counts for at most
    `accounts_per_judge_max` accounts each way, so that no single party can silence another, nor make it a saint.
    """
    cap = config.accounts_per_judge_max
    held = np.minimum(found.confirmed, cap).sum(axis=1)
    fell = np.minimum(found.disputed, cap).sum(axis=1)
    prior, against = config.prior_confirmed, config.prior_disputed
    share = (prior + held) / (prior + against + held + fell)
    relative = np.minimum(share * (prior + against) / prior, 1.0)
    return {party: float(value) for party, value in zip(found.parties, np.round(relative, 9), strict=True)}


def weights(graph: Graph, trusted: Mapping[str, float]) -> Floats:
    """`trust` in the order of the graph's parties; a party that has no record is trusted."""
    return np.array([trusted.get(party, 1.0) for party in graph.parties], dtype=np.float64)


def credible(graph: Graph, trusted: Mapping[str, float], config: ReportersConfig) -> Bools:
    """Which of the graph's parties count as independent support."""
    found: Bools = weights(graph, trusted) >= config.trusted_min
    return found
