"""Belief: at first hand from the own party's evidence (leaving the account itself out), then across parties, added once."""

import numpy as np
from scipy.special import expit

from weaklink.campaigns.config import BeliefConfig
from weaklink.campaigns.graph import IS_HARD, KINDS, Bools, Floats, ForeignSeats, Graph, counts, distinct, sums


def kind_means(graph: Graph, q: Floats, config: BeliefConfig) -> Floats:
    """pi_k: mean belief of the kind's holders, at least `pi_floor`."""
    _, account, kind = distinct(graph.account, graph.link_kind)
    held = np.maximum(counts(kind, KINDS), 1)
    return np.maximum(config.pi_floor, sums(kind, q[account], KINDS) / held)


def first_hand(
    graph: Graph, prior: Floats, cleared: Bools, config: BeliefConfig, pi: Floats | None = None
) -> tuple[Floats, Floats]:
    """(logit q of each account, pi), from `prior` (= -5 + b + structure) and the other own-party holders of its identifiers.

    `pi`: the mean belief of each kind's holders, where it is known from the whole population; otherwise it is measured in each round.

    Per identifier ln(r / pi_k), r = (sum of the *other* persons' q + pi_k) / n; clipped per kind. Damped fixed-point rounds.
    The account's own person is left out, so one bad holder of a common value condemns nobody. `cleared` accounts, for which
    their own party vouches, stay at their prior whatever they share: they neither take nor pass on suspicion.
    """
    caps = np.array([config.kind_caps.get(kind, 0.0) for kind in range(KINDS)])
    shared = np.flatnonzero((graph.group_persons[graph.group] > 1) & (caps[graph.link_kind] > 0))
    account, group, seat = graph.account[shared], graph.group[shared], graph.seat[shared]
    kind = graph.link_kind[shared]
    row, row_account, row_kind = distinct(account, kind)
    known = graph.known[graph.node[shared]]
    # Holders of a hub that are only counted stand in their party's proportion, as average holders of their kind.
    unseen = graph.unseen[graph.node[shared]] * graph.group_persons[group] / np.maximum(known, 1)
    holders = graph.group_persons[group] + unseen
    logit = prior.copy()
    for _ in range(config.rounds):
        q = expit(logit)
        means = kind_means(graph, q, config) if pi is None else pi
        seat_q = sums(graph.seat, q[graph.account], len(graph.seat_group)) / graph.seat_accounts
        group_q = sums(graph.seat_group, seat_q, len(graph.group_node)) + graph.outside_q
        others = np.maximum(group_q[group] - (seat_q[seat] if config.leave_one_out else 0.0), 0.0)
        term = np.log((others + means[kind] * (1 + unseen)) / holders / means[kind])
        by_kind = np.clip(sums(row, term, len(row_account)), config.kind_floor, caps[row_kind])
        logit = (1 - config.damping) * logit + config.damping * (
            prior + np.where(cleared, 0.0, sums(row_account, by_kind, graph.n_accounts))
        )
    rounded: Floats = np.round(logit, 9)
    return rounded, kind_means(graph, expit(rounded), config) if pi is None else pi


def across_parties(
    graph: Graph, foreign: ForeignSeats, logit_q: Floats, pi: Floats, config: BeliefConfig, *, trusted: Floats
) -> Floats:
    """logit p: what other parties' holders add to q, once and never fed back. `pi` as `first_hand` gave it.

    Per foreign party clip(sum of ln(r / pi), -.15, 1), times what it is `trusted` (0 to 1, by party of the graph); soft kinds over
    all parties together at most 1.5.
    """
    if len(foreign.link) == 0:
        return logit_q.copy()
    q = expit(logit_q)
    seat_q = sums(graph.seat, q[graph.account], len(graph.seat_group)) / graph.seat_accounts
    group_q = sums(graph.seat_group, seat_q, len(graph.group_node)) + graph.outside_q
    kind = graph.link_kind[foreign.link]
    unseen = graph.unseen[graph.group_node[foreign.group]] * graph.group_persons[foreign.group]
    unseen = unseen / np.maximum(graph.known[graph.group_node[foreign.group]], 1)
    r = (group_q[foreign.group] + pi[kind] * (1 + unseen)) / (graph.group_persons[foreign.group] + unseen + 1)
    term = np.log(r / pi[kind])
    row, row_account, row_party = distinct(graph.account[foreign.link], graph.group_party[foreign.group])
    soft = sums(row, np.where(IS_HARD[kind], 0.0, term), len(row_account))
    low, high = config.foreign_clip
    soft_part = np.clip(soft, low, high)
    hard_part = (np.clip(sums(row, term, len(row_account)), low, high) - soft_part) * trusted[row_party]
    soft_part *= trusted[row_party]
    soft_total = np.minimum(sums(row_account, soft_part, graph.n_accounts), config.foreign_soft_max)
    result: Floats = np.round(logit_q + soft_total + sums(row_account, hard_part, graph.n_accounts), 9)
    return result
