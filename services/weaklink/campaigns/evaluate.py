"""One evaluation: profiles and links in, scores and communities out. Every step of the method, in its order."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from scipy.special import expit

from weaklink.campaigns import chains, cluster, evidence, propagate, reporters, rings, verdict
from weaklink.campaigns.adherents import Candidates, adherents
from weaklink.campaigns.cluster import NONE
from weaklink.campaigns.config import CampaignsConfig
from weaklink.campaigns.graph import (
    IS_HARD,
    Bools,
    Floats,
    Graph,
    Ints,
    build_graph,
    counts,
    distinct,
    foreign_seats,
    sums,
)
from weaklink.campaigns.population import Population, SizeTail

ACCOUNTS: Final = pl.Schema(
    {
        "account": pl.UInt64,
        "party": pl.String,
        "account_name": pl.String,
        "score": pl.Float64,  # p, 0 to 1
        "flagged": pl.Boolean,  # confirmed member of a community
        "community": pl.Int64,  # of this evaluation only; null: none
        "b": pl.Float64,  # nats
        "structure": pl.Float64,  # nats
        "supporting_parties": pl.Int32,
        "own_finding": pl.Boolean,
        "hard_identifier": pl.Boolean,
        "opened_at_us": pl.Int64,  # first seen, where its opening was not
        "organisation_verified": pl.Boolean,
        "reseller": pl.Boolean,
        "disputed": pl.Boolean,
        "requests_per_day": pl.Float64,  # 0 once closed or suspended
        "requests": pl.Int64,
        "output_tokens": pl.Int64,
        "first_seen_us": pl.Int64,
        "last_seen_us": pl.Int64,
        "appended_at_us": pl.Int64,  # newest evidence
    }
)
COMMUNITIES: Final = pl.Schema(
    {
        "community": pl.Int64,
        "accounts": pl.Int64,
        "parties": pl.Int64,
        "confidence": pl.Float64,  # mean score of its members
        "sharing": pl.Float64,  # E, bits
        "cluster_score": pl.Float64,  # what is held against `pass_min`; null for rings
        "ring": pl.Boolean,  # found by sharing alone, in a stream without conduct
    }
)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What one evaluation found. `accounts`: ACCOUNTS, a row per account of `graph`, in its order. `communities`: COMMUNITIES.

    `parts`: the parts of conduct, row for row; `evidenced`: accounts whose own evidence can carry others; `population`: what
    they were held against.
    """

    now_us: int
    accounts: pl.DataFrame
    communities: pl.DataFrame
    parts: pl.DataFrame
    graph: Graph
    evidenced: Bools
    population: Population


@dataclass(frozen=True, slots=True)
class _Belief:
    parts: pl.DataFrame
    b: Floats
    structure: Floats
    p: Floats
    evidenced: Bools


def evaluate(
    accounts: pl.DataFrame,
    links: pl.DataFrame,
    now_us: int,
    config: CampaignsConfig,
    population: Population | None = None,
) -> Evaluation:
    """Evaluate, against the given population or one measured on these accounts.

    `accounts`: profiles.ACCOUNTS sorted by account, with plan, verified, `disputed`, `declined`, `end_users` (distinct
    END_USER tokens) and `requests_per_day`. `links`: SHARED columns, sorted by (identifier, slot, account).
    """
    graph = build_graph(accounts, links, config.structure.person_accounts_max)
    used = (accounts["windows"] > 0).to_numpy()
    # Where no account has conduct, structure alone would pass for it: such parties are judged by the rings of their accounts only.
    known = population.rings if population else None
    ring = rings.rings(graph, used, now_us, cluster=config.cluster, config=config.rings, known=known)
    belief, population = _believe(graph, accounts, config, population, ring)
    disputed = accounts["disputed"].to_numpy()
    organisation = (accounts["verified"] == "ORGANISATION").fill_null(value=False).to_numpy()
    reseller = _resellers(graph, accounts, belief.p, config) & ~ring.judged
    credible = reporters.weights(graph, population.trust) >= config.reporters.trusted_min
    standing = verdict.Standing(belief.b, used, organisation, belief.evidenced, credible)
    free = ~disputed & ~reseller & ~ring.judged
    hot = (belief.p > config.cluster.hot) & free
    found = cluster.communities(graph, cluster.hot_links(graph, belief.p, hot), config.cluster)
    labels, scores = verdict.confirmed(graph, found, standing, config.cluster)
    heard = belief.evidenced & credible[graph.party]
    candidates = Candidates(free, hot, _silent(graph, used), heard, belief.b)
    labels = adherents(graph, labels, candidates, config=config.adherents, tie_config=config.fast)
    labels, score, ring_of = _with_rings(labels, belief.p, np.where(disputed, NONE, ring.labels), ring.score)
    tie = verdict.support(graph, labels, belief.evidenced, credible)
    own_finding = _own_findings(graph, labels, (accounts["closed_distillation"] == 1).to_numpy())
    frame = accounts.select(
        "account",
        "party",
        "account_name",
        pl.Series("score", np.round(score, 6)),
        pl.Series("flagged", labels != NONE),
        pl.Series("community", labels).replace(NONE, None),
        pl.Series("b", belief.b),
        pl.Series("structure", np.round(belief.structure, 9)),
        pl.Series("supporting_parties", (tie.parties + (belief.evidenced & ~tie.own_party)).astype(np.int32)),
        pl.Series("own_finding", own_finding),
        pl.Series("hard_identifier", tie.hard),
        pl.col("opened_at_us").fill_null(pl.col("first_seen_us")),
        pl.Series("organisation_verified", organisation),
        pl.Series("reseller", reseller),
        "disputed",
        "requests_per_day",
        "requests",
        "output_tokens",
        "first_seen_us",
        "last_seen_us",
        "appended_at_us",
    ).cast(ACCOUNTS)
    found_communities = _communities(frame, scores, ring_of)
    return Evaluation(now_us, frame, found_communities, belief.parts, graph, belief.evidenced, population)


def _believe(
    graph: Graph, accounts: pl.DataFrame, config: CampaignsConfig, population: Population | None, ring: rings.Rings
) -> tuple[_Belief, Population]:
    typical = population.conduct if population else evidence.typical_conduct(accounts, config.conduct)
    parts = evidence.conduct(accounts, typical, config.conduct)
    b = parts["b"].to_numpy()
    foreign = foreign_seats(graph)
    degrees = evidence.degrees(graph, foreign)
    sharing = population.sharing if population else evidence.sharing(graph, degrees)
    disputed = accounts["disputed"].to_numpy()
    structure = evidence.structure(degrees, sharing, np.ones(len(graph.parties)), config.structure)
    accusing = (b + structure >= config.cluster.evidenced) & ~disputed & ~ring.judged
    trust = population.trust if population else _trust(graph, accounts, accusing, config)
    trusted = reporters.weights(graph, trust)
    if (trusted < 1).any():
        structure = evidence.structure(degrees, sharing, trusted, config.structure)
    credible = trusted >= config.reporters.trusted_min
    chain, tail = _chain(graph, credible, population, config)
    prior = config.belief.prior_logit + b + np.where(disputed, 0.0, structure + chain)
    known = population.pi if population else None
    logit_q, pi = propagate.first_hand(graph, prior, disputed, config.belief, known)
    added = propagate.across_parties(graph, foreign, logit_q, pi, config.belief, trusted=trusted)
    logit_p = np.where(disputed, logit_q, added)
    p: Floats = expit(logit_p)
    evidenced = (b + structure >= config.cluster.evidenced) & ~disputed & ~ring.judged
    return _Belief(parts, b, structure, p, evidenced), Population(typical, sharing, tail, pi, trust, ring.population)


def _trust(graph: Graph, accounts: pl.DataFrame, accusing: Bools, config: CampaignsConfig) -> Mapping[str, float]:
    """Track records by what parties say of their accounts now; nobody has lost any trust before somebody has disputed something."""
    disputed = accounts["disputed"].to_numpy()
    if not disputed.any():
        return {}
    abuse = ((accounts["closed_distillation"] + accounts["closed_abuse"]) > 0).fill_null(value=False).to_numpy()
    found = reporters.record(graph, accusing, confirmed=abuse, disputed=disputed, config=config.reporters)
    return reporters.trust(found, config.reporters)


def _silent(graph: Graph, used: Bools) -> Bools:
    """Accounts at parties that report no usage at all: payment processors and clouds."""
    usage = np.zeros(len(graph.parties), bool)
    usage[graph.party[used]] = True
    return ~usage[graph.party]


def _chain(
    graph: Graph, credible: Bools, population: Population | None, config: CampaignsConfig
) -> tuple[Floats, SizeTail]:
    sharing = chains.rare_sharing(graph, credible, config.structure.person_accounts_max, config.chains)
    tail = population.chains if population else chains.size_tail(chains.joined_persons(sharing))
    return chains.chain_evidence(sharing, tail, config.chains), tail


def _resellers(graph: Graph, accounts: pl.DataFrame, p: Floats, config: CampaignsConfig) -> Bools:
    """Accounts that serve other people: many END_USER tokens on most of their usage, or many benign holders of their hard identifiers."""
    named = (accounts["end_users"] >= config.reseller_end_users_min) & (
        accounts["end_user_windows"] >= config.reseller_end_user_share_min * accounts["windows"]
    )
    hard = np.flatnonzero(IS_HARD[graph.link_kind])
    benign = (p <= config.cluster.hot).astype(np.float64)
    group = graph.group[hard]
    benign_holders = sums(group, benign[graph.account[hard]], len(graph.group_node))
    most = np.zeros(graph.n_accounts)
    crowd = np.where(benign_holders >= 0.5 * graph.group_persons, benign_holders, 0.0)
    np.maximum.at(most, graph.account[hard], crowd[group])
    return named.to_numpy() | (most >= config.reseller_benign_holders_min)


def _with_rings(labels: Ints, p: Floats, found: Ints, sure: Floats) -> tuple[Ints, Floats, int]:
    """(labels with rings added, score, first label that is a ring)."""
    first = int(labels.max(initial=NONE)) + 1
    added = (found != NONE) & (labels == NONE)
    return np.where(added, found + first, labels), np.where(added, np.maximum(p, sure), p), first


def _own_findings(graph: Graph, labels: Ints, closed: Bools) -> Bools:
    """Accounts of a community at a party that closed some account of it as DISTILLATION itself."""
    result = np.zeros(graph.n_accounts, bool)
    some = np.flatnonzero(labels != NONE)
    if len(some):
        row, label, _ = distinct(labels[some], graph.party[some])
        result[some] = (counts(row[closed[some]], len(label)) > 0)[row]
    return result


def _communities(accounts: pl.DataFrame, scores: verdict.Scores, ring_from: int) -> pl.DataFrame:
    by_label = pl.DataFrame(
        {"community": np.arange(len(scores.score)), "sharing": scores.sharing, "cluster_score": scores.score}
    )
    return (
        accounts.filter(pl.col("flagged"))
        .group_by("community")
        .agg(
            pl.len().cast(pl.Int64).alias("accounts"),
            pl.col("party").n_unique().cast(pl.Int64).alias("parties"),
            pl.col("score").mean().round(6).alias("confidence"),
        )
        .join(by_label.filter(pl.col("community") < ring_from), on="community", how="left")
        .with_columns((pl.col("community") >= ring_from).alias("ring"))
        .select(pl.col(name).cast(dtype) for name, dtype in COMMUNITIES.items())
        .sort("community")
    )
