"""Accounts that hang on a confirmed community by what hardly anybody else holds: new ones, quiet ones, and those that pay or rent for it."""

from dataclasses import dataclass

import numpy as np

from weaklink.campaigns import fast
from weaklink.campaigns.cluster import is_wide
from weaklink.campaigns.cluster_config import AdherentsConfig, ClusterConfig, FastConfig
from weaklink.campaigns.graph import IS_HARD, Bools, Floats, Graph, Ints, counts
from weaklink.campaigns.serving import members_only, serving
from weaklink.campaigns.templates import hangers_on


@dataclass(frozen=True, slots=True)
class Candidates:
    """By account: whether it may join, and what is known of it."""

    free: Bools  # may join at all
    hot: Bools  # believed to be of some campaign
    silent: Bools  # at a party that reports no usage: a payment processor, a cloud
    evidenced: Bools
    b: Floats


def adherents(
    graph: Graph,
    labels: Ints,
    candidates: Candidates,
    *,
    config: AdherentsConfig,
    tie_config: FastConfig,
    cluster: ClusterConfig,
) -> Ints:
    """`labels` with the candidates that join, round by round, since those who join tie others.

    An account joins when one of these holds:
    - it is tied by weight (as `fast.newcomers`), or all that its hard identifiers join it to are members, two or more; and evidenced members
      of its own party, or of two others, or two hard kinds vouch for that. Without the own party's word, only if the account's
      conduct does not speak against it: else members that lie could frame it;
    - it is hot, and tied by half that weight, or by a template of the community's own (`templates.hangers_on`);
    - it is silent, and serves members (`serving`).

    One hard identifier of so many holders that it ties no members alone is no tie, except for those who are silent.
    """
    labels, wide = labels.copy(), wide_only(graph, cluster)
    for _ in range(config.rounds):
        at, joins = hanging(graph, labels, candidates, wide, config=config, tie_config=tie_config, cluster=cluster)
        by_template, community = hangers_on(graph, labels, candidates.hot & candidates.free, cluster.templates)
        who, served = serving(graph, labels, candidates.silent & candidates.free, config)
        if not len(at) and not len(by_template) and not len(who):
            break
        labels[who] = served
        labels[by_template] = community
        labels[at] = joins
    return labels


def hanging(
    graph: Graph,
    labels: Ints,
    candidates: Candidates,
    wide: Bools,
    *,
    config: AdherentsConfig,
    tie_config: FastConfig,
    cluster: ClusterConfig,
) -> tuple[Ints, Ints]:
    """(free accounts that `labels` take in by identifiers in common, the label of each): one round, without templates and those that serve.

    `wide`: as `wide_only` tells of the graph, whatever the labels.
    """
    found = fast.ties(
        graph,
        labels,
        candidates.free,
        candidates.evidenced,
        share_min=tie_config.flagged_share_min,
        config=tie_config,
        hard_holders_min=1,
    )
    at = found.account
    only = members_only(graph, labels)[at]
    tied = (found.weight >= tie_config.weight_min) | (only >= config.only_members_min)
    elsewhere = (found.parties >= config.parties_min) | (found.hard_kinds >= config.hard_kinds_min)
    vouched = found.own_party | (elsewhere & (candidates.b[at] >= config.conduct_min))
    believed = candidates.hot[at] & (found.weight >= config.believed_weight_min)
    lone = (found.identifiers == 1) & wide[at]
    lone &= candidates.b[at] < cluster.member_hard_conduct
    joined = found.strong & ((tied & vouched) | believed) & ~lone
    return at[joined], found.label[joined]


def wide_only(graph: Graph, config: ClusterConfig) -> Bools:
    """Accounts all of whose shared hard identifiers are held by so many that none of them alone ties anybody."""
    hard = np.flatnonzero(IS_HARD[graph.link_kind])
    narrow = hard[~is_wide(graph, config)[graph.node[hard]]]
    none: Bools = counts(graph.account[narrow], graph.n_accounts) == 0
    return none
