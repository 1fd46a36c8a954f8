"""What an evaluation is made from and what comes out of it: a row for each account and for each community."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from weaklink.campaigns import reporters, rings, verdict
from weaklink.campaigns.cluster import NONE
from weaklink.campaigns.config import CampaignsConfig
from weaklink.campaigns.graph import Bools, Floats, Graph, Ints, counts, distinct
from weaklink.campaigns.population import Population

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
        "opened_at_us": pl.Int64,  # null: its opening was not reported
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


_ALL: Final = slice(None)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What one evaluation found. `accounts`: ACCOUNTS, a row per account of `graph`, in its order. `communities`: COMMUNITIES.

    It need not have a row for every account: one without a row is as it was before. `evidenced`: accounts whose own evidence can
    carry others; `population`: what they were held against; `ring`: None when communities were not looked for. Then it has rows only of accounts
    that join campaigns, and what stands there as their community is the place of theirs in `campaigns`.
    """

    now_us: int
    accounts: pl.DataFrame
    communities: pl.DataFrame
    graph: Graph
    evidenced: Bools
    population: Population
    ring: rings.Rings | None
    campaigns: tuple[str, ...] = ()


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


def account_rows(
    case: Case,
    labels: Ints,
    reseller: Bools,
    config: CampaignsConfig,
    *,
    at: Ints | slice = _ALL,
    closed: Bools | None = None,
) -> pl.DataFrame:
    """ACCOUNTS, nobody flagged yet. `labels`: the communities that accounts are supported by.

    `at`: which accounts of the graph those of the case are; `closed`, unless they are all: accounts of the graph that their own party closed as
    DISTILLATION.
    """
    accounts, belief = case.accounts, case.belief
    credible = reporters.credible(case.graph, case.population.trust, config.reporters)
    tie = verdict.support(case.graph, labels, belief.evidenced, credible)
    firm = config.cluster.suspend_persons_min
    joined = verdict.joined_persons(case.graph, labels, case.people, firm)
    closed = (accounts["closed_distillation"] == 1).to_numpy() if closed is None else closed
    own_finding = _own_findings(case.graph, labels, closed)
    supporting = (tie.parties + (belief.evidenced & ~tie.own_party)).astype(np.int32)
    return accounts.select(
        "account",
        "party",
        "account_name",
        pl.Series("score", np.round(belief.p, 6)[at]),
        pl.lit(value=False).alias("flagged"),
        pl.lit(None, pl.Int64).alias("community"),
        pl.Series("b", belief.b[at]),
        pl.Series("structure", np.round(belief.structure, 9)[at]),
        pl.Series("supporting_parties", supporting[at]),
        pl.Series("own_finding", own_finding[at]),
        pl.Series("hard_identifier", (tie.hard & (joined >= firm))[at]),
        "opened_at_us",
        pl.Series("organisation_verified", organisations(accounts)),
        pl.Series("reseller", reseller[at]),
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


def _own_findings(graph: Graph, labels: Ints, closed: Bools) -> Bools:
    """Accounts of a community at a party that closed some account of it as DISTILLATION itself."""
    result = np.zeros(graph.n_accounts, bool)
    some = np.flatnonzero(labels != NONE)
    if len(some):
        row, label, _ = distinct(labels[some], graph.party[some])
        result[some] = (counts(row[closed[some]], len(label)) > 0)[row]
    return result


def community_rows(accounts: pl.DataFrame, scores: verdict.Scores, ring_from: int) -> pl.DataFrame:
    """COMMUNITIES of the flagged of these ACCOUNTS. `ring_from`: the first label that is a ring."""
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
