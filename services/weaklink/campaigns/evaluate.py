"""One evaluation: profiles and links in, scores and communities out. Every step of the method, in its order."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import polars as pl
from scipy.special import expit

from weaklink.campaigns import chains, cluster, evidence, pieces, propagate, reporters, rings, verdict
from weaklink.campaigns.adherents import Candidates, adherents
from weaklink.campaigns.cluster import NONE
from weaklink.campaigns.config import CampaignsConfig
from weaklink.campaigns.graph import (
    IS_HARD,
    Bools,
    Floats,
    Graph,
    Ints,
    Paths,
    build_graph,
    counts,
    distinct,
    paths,
    sums,
)
from weaklink.campaigns.population import Population, Sharing, SizeTail

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
        "hard_identifier": pl.Boolean,  # such identifiers join it to `suspend_persons_min` persons of its community
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

    It need not have a row for every account: one without a row is as it was before. `evidenced`: accounts whose own evidence can
    carry others; `population`: what they were held against; `ring`: None when communities were not looked for.
    """

    now_us: int
    accounts: pl.DataFrame
    communities: pl.DataFrame
    graph: Graph
    evidenced: Bools
    population: Population
    ring: rings.Rings | None


@dataclass(frozen=True, slots=True)
class Belief:
    """What is believed of each account of a graph, before anything is clustered."""

    b: Floats
    structure: Floats
    chain: Floats
    logit_q: Floats
    p: Floats
    evidenced: Bools


@dataclass(frozen=True, slots=True)
class Case:
    """A graph, or a part of one, that has been evaluated as far as belief. `accounts`: row for row those of the graph, as `evaluate` takes them.

    `people`: `chains.people` of the graph.
    """

    graph: Graph
    accounts: pl.DataFrame
    people: Ints
    belief: Belief
    population: Population
    now_us: int


def evaluate(
    accounts: pl.DataFrame,
    links: pl.DataFrame,
    now_us: int,
    config: CampaignsConfig,
    population: Population | None = None,
) -> tuple[Evaluation, Case]:
    """Evaluate everything, against the given population or one measured on these accounts.

    `accounts`: profiles.ACCOUNTS sorted by account, with plan, verified, `disputed`, `declined`, `end_users` (distinct
    END_USER tokens) and `requests_per_day`. `links`: SHARED columns, sorted by (identifier, slot, account).
    """
    graph = build_graph(accounts, links, config.structure.person_accounts_max)
    # Where no account has conduct, structure alone would pass for it: such parties are judged by the rings of their accounts only.
    used, known = (accounts["windows"] > 0).to_numpy(), population.rings if population else None
    ring = rings.rings(graph, used, now_us, cluster=config.cluster, config=config.rings, known=known)
    typical = population.conduct if population else evidence.typical_conduct(accounts, config.conduct)
    b = evidence.conduct(accounts, typical, config.conduct)["b"].to_numpy()
    along = paths(graph)
    degrees = evidence.degrees(graph, along)
    people = chains.people(graph, config.structure.person_accounts_max)
    if population is None:
        sharing = evidence.sharing(graph, degrees)
        trust = _trust(graph, accounts, b + _structure(graph, degrees, sharing, {}, config), ring.judged, config)
        rare = _rare_sharing(graph, people, trust, config)
        sizes = chains.size_tail(chains.joined_persons(rare))
        honest = pieces.honest_pieces(graph, np.ones(graph.n_accounts, bool), people, config.pieces)
        population = Population(typical, sharing, sizes, honest, _silent(graph, used), None, trust, ring.population)
    else:
        rare = _rare_sharing(graph, people, population.trust, config)
    chain = chains.chain_evidence(rare, population.chains, config.chains)
    belief, pi = believe(
        graph, Own(b, chain, accounts["disputed"].to_numpy()), population, config, along=along, degrees=degrees
    )
    case = Case(graph, accounts, people, belief, replace(population, pi=pi), now_us)
    return judge(case, ring, config), case


@dataclass(frozen=True, slots=True)
class Own:
    """By account: its conduct and what its chain tells, nats, and whether its own party vouches for it."""

    b: Floats
    chain: Floats
    disputed: Bools


def believe(
    graph: Graph,
    own: Own,
    population: Population,
    config: CampaignsConfig,
    *,
    along: Paths,
    degrees: evidence.Degrees,
) -> tuple[Belief, Floats]:
    """(belief of every account of a graph, pi). Where the population has no pi it is measured on this graph."""
    b, chain, disputed = own.b, own.chain, own.disputed
    structure = _structure(graph, degrees, population.sharing, population.trust, config)
    prior = config.belief.prior_logit + b + np.where(disputed, 0.0, structure + chain)
    logit_q, pi = propagate.first_hand(graph, along, prior, disputed, config=config.belief, pi=population.pi)
    trusted = reporters.weights(graph, population.trust)
    added = propagate.across_parties(graph, along, logit_q, pi, config.belief, trusted=trusted)
    logit_p = np.where(disputed, logit_q, added)
    judged = rings.judged(graph, population.rings)
    evidenced = (b + structure >= config.cluster.evidenced) & ~disputed & ~judged
    return Belief(b, structure, chain, logit_q, expit(logit_p), evidenced), pi


def chain_evidence(graph: Graph, sizes: SizeTail, trust: Mapping[str, float], config: CampaignsConfig) -> Floats:
    """What the chains of a graph tell of each account: the whole graph, or whole components of it."""
    people = chains.people(graph, config.structure.person_accounts_max)
    return chains.chain_evidence(_rare_sharing(graph, people, trust, config), sizes, config.chains)


def _rare_sharing(
    graph: Graph, people: Ints, trust: Mapping[str, float], config: CampaignsConfig
) -> chains.RareSharing:
    credible = reporters.credible(graph, trust, config.reporters)
    return chains.rare_sharing(graph, credible, people, config.chains)


def _silent(graph: Graph, used: Bools) -> frozenset[str]:
    speaking = set(graph.party[used].tolist())
    return frozenset(name for i, name in enumerate(graph.parties) if i not in speaking)


def _structure(
    graph: Graph, degrees: evidence.Degrees, sharing: Sharing, trust: Mapping[str, float], config: CampaignsConfig
) -> Floats:
    return evidence.structure(degrees, sharing, reporters.weights(graph, trust), config.structure)


def _trust(
    graph: Graph, accounts: pl.DataFrame, against: Floats, judged: Bools, config: CampaignsConfig
) -> Mapping[str, float]:
    """Track records by what parties say of their accounts now; nobody has lost any trust before somebody has disputed something.

    `against`: what the own evidence of each account comes to, nats.
    """
    disputed = accounts["disputed"].to_numpy()
    if not disputed.any():
        return {}
    accusing = (against >= config.cluster.evidenced) & ~disputed & ~judged
    abuse = ((accounts["closed_distillation"] + accounts["closed_abuse"]) > 0).fill_null(value=False).to_numpy()
    found = reporters.record(graph, accusing, confirmed=abuse, disputed=disputed, config=config.reporters)
    return reporters.trust(found, config.reporters)


def judge(case: Case, ring: rings.Rings, config: CampaignsConfig) -> Evaluation:
    """Communities among the accounts of a case. `ring`: what is known of their rings."""
    graph, accounts, belief = case.graph, case.accounts, case.belief
    used = (accounts["windows"] > 0).to_numpy()
    disputed = accounts["disputed"].to_numpy()
    reseller = resellers(graph, accounts, belief.p, config) & ~ring.judged
    credible = reporters.credible(graph, case.population.trust, config.reporters)
    standing = verdict.Standing(belief.b, used, organisations(accounts), belief.evidenced, credible, case.people)
    free = ~disputed & ~reseller & ~ring.judged
    hot = (belief.p > config.cluster.hot) & free
    asked = cluster.in_company(graph, hot, case.people, config.cluster.accounts_min)
    found = cluster.communities(graph, cluster.hot_links(graph, belief.p, hot), asked, config.cluster)
    labels, scores = verdict.confirmed(graph, found, standing, config.cluster)
    by_conduct = len(scores.score)
    labels, scores = pieces.with_pieces(
        graph,
        labels,
        scores,
        free,
        honest=case.population.honest_pieces,
        standing=standing,
        cluster=config.cluster,
        config=config.pieces,
    )
    heard = belief.evidenced & credible[graph.party]
    silent = rings.at_parties(graph, case.population.silent)
    candidates = Candidates(free, hot, silent, heard, belief.b)
    labels = adherents(
        graph, labels, candidates, config=config.adherents, tie_config=config.fast, cluster=config.cluster
    )
    p = np.where(labels >= by_conduct, np.maximum(belief.p, config.pieces.confidence), belief.p)
    labels, score, ring_of = _with_rings(labels, p, np.where(disputed, NONE, ring.labels), ring.score)
    frame = _frame(case, labels, reseller, config).with_columns(
        pl.Series("score", np.round(score, 6)),
        pl.Series("flagged", labels != NONE),
        pl.Series("community", labels).replace(NONE, None),
    )
    communities = _communities(frame, scores, ring_of)
    return Evaluation(case.now_us, frame, communities, graph, belief.evidenced, case.population, ring)


def glance(case: Case, labels: Ints, config: CampaignsConfig) -> Evaluation:
    """Accounts beside the campaigns that they are tied to (`labels`), without looking for communities: none is flagged by it."""
    reseller = resellers(case.graph, case.accounts, case.belief.p, config)
    frame = _frame(case, labels, reseller, config)
    none = pl.DataFrame(schema=COMMUNITIES)
    return Evaluation(case.now_us, frame, none, case.graph, case.belief.evidenced, case.population, ring=None)


def _frame(case: Case, labels: Ints, reseller: Bools, config: CampaignsConfig) -> pl.DataFrame:
    """ACCOUNTS, nobody flagged yet. `labels`: the communities that accounts are supported by."""
    accounts, belief = case.accounts, case.belief
    credible = reporters.credible(case.graph, case.population.trust, config.reporters)
    tie = verdict.support(case.graph, labels, belief.evidenced, credible)
    firm = config.cluster.suspend_persons_min
    joined = verdict.joined_persons(case.graph, labels, case.people, firm)
    own_finding = _own_findings(case.graph, labels, (accounts["closed_distillation"] == 1).to_numpy())
    return accounts.select(
        "account",
        "party",
        "account_name",
        pl.Series("score", np.round(belief.p, 6)),
        pl.lit(value=False).alias("flagged"),
        pl.lit(None, pl.Int64).alias("community"),
        pl.Series("b", belief.b),
        pl.Series("structure", np.round(belief.structure, 9)),
        pl.Series("supporting_parties", (tie.parties + (belief.evidenced & ~tie.own_party)).astype(np.int32)),
        pl.Series("own_finding", own_finding),
        pl.Series("hard_identifier", tie.hard & (joined >= firm)),
        pl.col("opened_at_us").fill_null(pl.col("first_seen_us")),
        pl.Series("organisation_verified", organisations(accounts)),
        pl.Series("reseller", reseller),
        "disputed",
        "requests_per_day",
        "requests",
        "output_tokens",
        "first_seen_us",
        "last_seen_us",
        "appended_at_us",
    ).cast(ACCOUNTS)


def organisations(accounts: pl.DataFrame) -> Bools:
    """Which accounts are of verified organisations."""
    return (accounts["verified"] == "ORGANISATION").fill_null(value=False).to_numpy()


def named_resellers(accounts: pl.DataFrame, config: CampaignsConfig) -> Bools:
    """Accounts with many END_USER tokens, on most of their usage."""
    named = (accounts["end_users"] >= config.reseller_end_users_min) & (
        accounts["end_user_windows"] >= config.reseller_end_user_share_min * accounts["windows"]
    )
    return named.to_numpy()


def resellers(graph: Graph, accounts: pl.DataFrame, p: Floats, config: CampaignsConfig) -> Bools:
    """Accounts that serve other people: by the END_USER tokens that they name, or many benign holders of their hard identifiers."""
    hard = np.flatnonzero(IS_HARD[graph.link_kind])
    benign = (p <= config.cluster.hot).astype(np.float64)
    group = graph.group[hard]
    benign_holders = sums(group, benign[graph.account[hard]], len(graph.group_node)) + graph.outside_benign
    most = np.zeros(graph.n_accounts)
    crowd = np.where(benign_holders >= 0.5 * graph.group_persons, benign_holders, 0.0)
    np.maximum.at(most, graph.account[hard], crowd[group])
    return named_resellers(accounts, config) | (most >= config.reseller_benign_holders_min)


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
