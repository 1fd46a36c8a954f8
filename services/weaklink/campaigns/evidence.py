"""Evidence of one account by itself: conduct (what it does) and structure (how unusual its sharing is)."""

from typing import Final

import numpy as np
import polars as pl

from weaklink.campaigns.config import ConductConfig, StructureConfig
from weaklink.campaigns.graph import IS_HARD, KINDS, Floats, ForeignSeats, Graph, Ints, counts, distinct, sums
from weaklink.campaigns.profiles import TASK_COLUMNS, TASKS, US_PER_DAY

CONDUCT_PARTS: Final = (
    "task_mix",
    "regularity",
    "output_share",
    "age",
    "plan_part",
    "verified_part",
    "closed",
    "feedback",
)


def conduct(accounts: pl.DataFrame, config: ConductConfig) -> pl.DataFrame:
    """The parts of conduct, in nats, and their sum `b`, a row per account in the same order.

    `accounts`: profiles.ACCOUNTS with the unpacked `plan` and `verified`, and Boolean `disputed` and `declined`.
    Sums are rounded to 1e-9, so that the order in which floats were added leaves no trace.
    """
    windows = pl.col("windows").cast(pl.Float64)
    mean = pl.col("log_requests_sum") / windows
    variance = (pl.col("log_requests_sq_sum") / windows - mean**2).clip(0) * windows / (windows - 1)
    sigma2 = config.regular_sigma**2
    regular = (
        config.regular_weight * (windows - 1) * (np.log(1 / config.regular_sigma) - variance / 2 * (1 / sigma2 - 1))
    )
    ratio = ((pl.col("output_tokens") + 1).log() - (pl.col("input_tokens") + 1).log()).round(9)
    used = pl.col("windows") > 0
    old = (
        pl.col("last_seen_us") - pl.coalesce("opened_at_us", "first_seen_us")
    ) >= config.old_account_days * US_PER_DAY
    parts = accounts.select(
        pl.when(used).then(_task_mix(accounts, config)).otherwise(0.0).alias("task_mix"),
        pl.when(pl.col("windows") >= config.regular_windows_min)
        .then(regular.clip(*config.regular_clip))
        .otherwise(0.0)
        .alias("regularity"),
        pl.when(used)
        .then(
            (config.output_weight * (ratio - ratio.filter(used).median() - config.output_margin)).clip(
                *config.output_clip
            )
        )
        .otherwise(0.0)
        .alias("output_share"),
        pl.when(old)
        .then(config.old_account)
        .when(pl.col("opened_at_us").is_not_null())
        .then(config.new_account)
        .otherwise(0.0)
        .alias("age"),
        _looked_up("plan", config.plan).alias("plan_part"),
        _looked_up("verified", config.verified).alias("verified_part"),
        pl.when(pl.col("closed_distillation") == 1)
        .then(config.closed_distillation)
        .when(pl.col("closed_abuse") == 1)
        .then(config.closed_abuse)
        .otherwise(0.0)
        .alias("closed"),
        pl.when("disputed")
        .then(config.disputed)
        .when("declined")
        .then(config.declined)
        .otherwise(0.0)
        .alias("feedback"),
    )
    return parts.with_columns(pl.sum_horizontal(CONDUCT_PARTS).round(9).alias("b"))


def _looked_up(column: str, weights: dict[str, float]) -> pl.Expr:
    return pl.col(column).cast(pl.String).replace_strict(weights, default=0.0, return_dtype=pl.Float64).fill_null(0.0)


def _task_mix(accounts: pl.DataFrame, config: ConductConfig) -> pl.Expr:
    """Log-likelihood ratio of the task mix. The population's mix counts every account alike, so that volume cannot bend it."""
    used = pl.col("windows") > 0
    shares = accounts.filter(used).select((pl.col(name) / pl.col("windows")).sum() for name in TASK_COLUMNS).row(0)
    users = int((accounts["windows"] > 0).sum())
    prior = config.population_prior_accounts
    weights = []
    for task, share in zip(TASKS, shares, strict=True):
        population = ((share or 0.0) + prior / len(TASKS)) / (users + prior)
        ratio = float(np.log(config.campaign_task_shares[task] / population))
        weights.append(max(-config.task_window_clip, min(config.task_window_clip, ratio)))
    total = pl.sum_horizontal(
        pl.col(name) * round(weight, 9) for name, weight in zip(TASK_COLUMNS, weights, strict=True)
    )
    return (config.task_weight * total).clip(*config.task_clip)


def structure(graph: Graph, foreign: ForeignSeats, config: StructureConfig) -> tuple[Floats, Floats]:
    """(structure of each account in nats, what of it the own party shows by itself).

    clip(ln(.6 / u_k(d)), 0, 2.5) per hard kind k, where u_k(d) is the share of accounts, at parties where the kind occurs,
    that share identifiers of the kind with at least d persons. What only foreign parties show counts at most 1 per foreign party.
    """
    n, key = graph.n_accounts, graph.account * KINDS + graph.link_kind
    hard_link = IS_HARD[graph.link_kind]
    others = np.where(hard_link, graph.group_persons[graph.group] - 1, 0.0)
    own_degree = sums(key, others, n * KINDS)
    population = _population(graph)
    own = _rarity(own_degree, population, config)
    added, foreign_degree = np.zeros(n * KINDS), np.zeros(n * KINDS)
    pairs = np.flatnonzero(hard_link[foreign.link])
    if len(pairs):
        link, group = foreign.link[pairs], foreign.group[pairs]
        row, row_key, _ = distinct(key[link], graph.group_party[group])
        degree = sums(row, graph.group_persons[group], len(row_key))
        foreign_degree = sums(row_key, degree, n * KINDS)
        together = _rarity(
            own_degree + foreign_degree, population, config, at=own_degree[row_key] + degree, at_key=row_key
        )
        added = sums(row_key, np.clip(together - own[row_key], 0, config.foreign_party_max), n * KINDS)
    total = np.minimum(own + added, config.kind_max).reshape(n, KINDS).sum(axis=1)
    return np.minimum(total, config.total_max), np.minimum(own.reshape(n, KINDS).sum(axis=1), config.total_max)


def _population(graph: Graph) -> Floats:
    """Accounts at the parties where a kind occurs, by kind: those that could have shared one."""
    occurs = np.zeros((KINDS, len(graph.parties)), bool)
    occurs[graph.kind[graph.group_node], graph.group_party] = True
    return occurs @ counts(graph.party, len(graph.parties)).astype(np.float64)


def _rarity(
    degree: Floats, population: Floats, config: StructureConfig, at: Floats | None = None, at_key: Ints | None = None
) -> Floats:
    """clip(ln(.6 / u_k(d)), 0, 2.5) for `degree` [account * KINDS + kind], or for `at` under that distribution."""
    by_kind = degree.reshape(-1, KINDS)
    values = degree if at is None else at
    kinds = (np.arange(len(degree)) if at_key is None else at_key) % KINDS
    result = np.zeros(len(values))
    for kind in np.flatnonzero(IS_HARD):
        sharing = np.sort(by_kind[by_kind[:, kind] > 0, kind])
        asked = np.flatnonzero((kinds == kind) & (values > 0))
        if len(sharing) == 0 or len(asked) == 0:
            continue
        tail = (len(sharing) - np.searchsorted(sharing, values[asked], side="left")) / max(population[kind], 1.0)
        result[asked] = np.clip(np.log(config.log_share / np.maximum(tail, config.tail_floor)), 0, config.kind_max)
    return result
