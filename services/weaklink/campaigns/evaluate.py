"""One evaluation: profiles and links in, scores and communities out. Every step of the method, in its order."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

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
    paths,
    sums,
)
from weaklink.campaigns.outcome import (
    COMMUNITIES,
    Belief,
    Case,
    Evaluation,
    account_rows,
    community_rows,
    organisations,
)
from weaklink.campaigns.population import Population, Sharing, SizeTail


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
    b = evidence.reckoned(accounts, typical, config.conduct)
    along = paths(graph)
    degrees = evidence.degrees(graph, along)
    people = chains.people(graph, config.structure.person_accounts_max)
    if population is None:
        sharing = evidence.sharing(graph, degrees)
        _, certain = _structure(graph, degrees, sharing, {}, config)
        trust = _trust(graph, accounts, b + certain, ring.judged, config)
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
    structure, certain = _structure(graph, degrees, population.sharing, population.trust, config)
    prior = config.belief.prior_logit + b + np.where(disputed, 0.0, structure + chain)
    logit_q, pi = propagate.first_hand(graph, along, prior, disputed, config=config.belief, pi=population.pi)
    trusted = reporters.weights(graph, population.trust)
    added = propagate.across_parties(graph, along, logit_q, pi, config.belief, trusted=trusted)
    logit_p = np.where(disputed, logit_q, added)
    judged = rings.judged(graph, population.rings)
    # By what two other parties cannot have made up: else what one party invents about another's accounts would come back as that other party's finding.
    evidenced = (b + certain >= config.cluster.evidenced) & ~disputed & ~judged
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
) -> tuple[Floats, Floats]:
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
    reseller = resellers(graph, named_resellers(accounts, config), belief.p, config) & ~ring.judged
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
        hot,
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
    frame = account_rows(case, labels, reseller, config).with_columns(
        pl.Series("score", np.round(score, 6)),
        pl.Series("flagged", labels != NONE),
        pl.Series("community", labels).replace(NONE, None),
    )
    communities = community_rows(frame, scores, ring_of)
    return Evaluation(case.now_us, frame, communities, graph, belief.evidenced, case.population, ring)


def glance(
    case: Case, labels: Ints, joined: Ints, *, closed: Bools, campaigns: tuple[str, ...], config: CampaignsConfig
) -> Evaluation:
    """The accounts of a graph that join `campaigns` (numbered by `labels`), without looking for communities.

    The case has rows of those alone (`joined`, ascending). `closed`: accounts of the graph that their own party closed as DISTILLATION.
    """
    reseller = np.zeros(len(labels), bool)
    frame = account_rows(case, labels, reseller, config, at=joined, closed=closed).with_columns(
        pl.lit(value=True).alias("flagged"), pl.Series("community", labels[joined])
    )
    none = pl.DataFrame(schema=COMMUNITIES)
    return Evaluation(
        case.now_us, frame, none, case.graph, case.belief.evidenced, case.population, ring=None, campaigns=campaigns
    )


def named_resellers(accounts: pl.DataFrame, config: CampaignsConfig) -> Bools:
    """Accounts with many END_USER tokens, on most of their usage."""
    named = (accounts["end_users"] >= config.reseller_end_users_min) & (
        accounts["end_user_windows"] >= config.reseller_end_user_share_min * accounts["windows"]
    )
    return named.to_numpy()


def resellers(graph: Graph, named: Bools, p: Floats, config: CampaignsConfig) -> Bools:
    """Accounts that serve other people: by the END_USER tokens that they name (`named_resellers`), or many benign holders of their hard identifiers."""
    hard = np.flatnonzero(IS_HARD[graph.link_kind])
    benign = (p <= config.cluster.hot).astype(np.float64)
    group = graph.group[hard]
    benign_holders = sums(group, benign[graph.account[hard]], len(graph.group_node)) + graph.outside_benign
    most = np.zeros(graph.n_accounts)
    crowd = np.where(benign_holders >= 0.5 * graph.group_persons, benign_holders, 0.0)
    np.maximum.at(most, graph.account[hard], crowd[group])
    return named | (most >= config.reseller_benign_holders_min)


def _with_rings(labels: Ints, p: Floats, found: Ints, sure: Floats) -> tuple[Ints, Floats, int]:
    """(labels with rings added, score, first label that is a ring)."""
    first = int(labels.max(initial=NONE)) + 1
    added = (found != NONE) & (labels == NONE)
    return np.where(added, found + first, labels), np.where(added, np.maximum(p, sure), p), first
