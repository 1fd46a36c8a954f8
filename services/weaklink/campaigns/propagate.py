"""Belief: at first hand from the own party's evidence (leaving the account itself out), then across parties, added once."""

import numpy as np
from scipy.special import expit

from weaklink.campaigns import belief_loops
from weaklink.campaigns.evidence_config import BeliefConfig
from weaklink.campaigns.graph import IS_HARD, KINDS, Bools, Floats, Graph, Paths


def kind_means(graph: Graph, along: Paths, q: Floats, config: BeliefConfig) -> Floats:
    """pi_k: mean belief of the kind's holders, at least `pi_floor`."""
    means: Floats = belief_loops.means_by_kind(along.starts, along.order, graph.node, graph.kind, q, KINDS)
    floored: Floats = np.maximum(config.pi_floor, means)
    return floored


def first_hand(
    graph: Graph, along: Paths, prior: Floats, cleared: Bools, *, config: BeliefConfig, pi: Floats | None = None
) -> tuple[Floats, Floats]:
    """(logit q of each account, pi), from `prior` (= -5 + b + structure) and the other own-party holders of its identifiers.

    `pi`: the mean belief of each kind's holders, where it is known from the whole population; otherwise it is measured in each round.

    Per identifier ln(r / pi_k), r = (sum of the *other* persons' q + pi_k) / n; clipped per kind. Damped fixed-point rounds.
    The account's own person is left out, so one bad holder of a common value condemns nobody. `cleared` accounts, for which
    their own party vouches, stay at their prior whatever they share: they neither take nor pass on suspicion.
    """
    caps = np.array([config.kind_caps.get(kind, 0.0) for kind in range(KINDS)])
    unseen = _unseen(graph)
    heard_by = belief_loops.home_links(
        along.starts,
        along.order,
        graph.node,
        graph.kind,
        graph.group,
        graph.seat,
        cleared,
        graph.group_persons,
        unseen,
        caps,
    )
    logit = prior.copy()
    for _ in range(config.rounds):
        q = expit(logit)
        means = kind_means(graph, along, q, config) if pi is None else pi
        seat_q, group_q = _beliefs(graph, q)
        heard = belief_loops.heard_at_home(
            len(logit),
            *heard_by,
            seat_q,
            group_q,
            means,
            caps,
            config.kind_floor,
            config.leave_one_out,
        )
        logit = (1 - config.damping) * logit + config.damping * (prior + heard)
    rounded: Floats = np.round(logit, 9)
    return rounded, kind_means(graph, along, expit(rounded), config) if pi is None else pi


def across_parties(
    graph: Graph, along: Paths, logit_q: Floats, pi: Floats, config: BeliefConfig, *, trusted: Floats
) -> Floats:
    """logit p: what other parties' holders add to q, once and never fed back. `pi` as `first_hand` gave it.

    Per foreign party clip(sum of ln(r / pi), -.15, 1), times what it is `trusted` (0 to 1, by party of the graph); soft kinds over
    all parties together at most 1.5.
    """
    _, group_q = _beliefs(graph, expit(logit_q))
    unseen, typical = _unseen(graph), pi[graph.kind[graph.group_node]]
    term: Floats = np.log((group_q + typical * (1 + unseen)) / (graph.group_persons + unseen + 1) / typical)
    low, high = config.foreign_clip
    added: Floats = belief_loops.heard_abroad(
        along.starts,
        along.order,
        graph.node,
        graph.kind,
        IS_HARD,
        graph.party,
        along.first,
        graph.group_party,
        term,
        trusted,
        low,
        high,
        config.foreign_soft_max,
    )
    result: Floats = np.round(logit_q + added, 9)
    return result


def _beliefs(graph: Graph, q: Floats) -> tuple[Floats, Floats]:
    return belief_loops.group_beliefs(
        q, graph.account, graph.seat, graph.seat_group, graph.seat_accounts, graph.outside_q
    )


def _unseen(graph: Graph) -> Floats:
    """Of each group: holders of a hub that are only counted stand in their party's proportion, as average holders of their kind."""
    node = graph.group_node
    share: Floats = graph.unseen[node] * graph.group_persons / np.maximum(graph.known[node], 1)
    return share
