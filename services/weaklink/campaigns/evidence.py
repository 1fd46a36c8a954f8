"""Evidence of one account by itself: conduct (what it does) and structure (how unusual its sharing is)."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from weaklink.campaigns import belief_loops
from weaklink.campaigns.config import ConductConfig, StructureConfig
from weaklink.campaigns.graph import IS_HARD, KINDS, Floats, Graph, Ints, Paths, counts, sums
from weaklink.campaigns.population import Sharing, Tails, TypicalConduct
from weaklink.campaigns.profiles import TASK_COLUMNS, TASKS, US_PER_DAY

USAGE_PARTS: Final = ("task_mix", "regularity", "output_share")
CONDUCT_PARTS: Final = (
    "task_mix",
    "regularity",
    "output_share",
    "camouflage",
    "age",
    "plan_part",
    "verified_part",
    "opened_from",
    "mail",
    "closed",
    "feedback",
)


_RATIO: Final = ((pl.col("output_tokens") + 1).log() - (pl.col("input_tokens") + 1).log()).round(9)


def typical_conduct(accounts: pl.DataFrame, config: ConductConfig) -> TypicalConduct:
    """The population's task mix and output ratio. Every account counts alike, so that volume cannot bend them."""
    used = accounts.filter(pl.col("windows") > 0)
    shares = used.select((pl.col(name) / pl.col("windows")).sum() for name in TASK_COLUMNS).row(0)
    prior = config.population_prior_accounts
    weights = []
    for task, share in zip(TASKS, shares, strict=True):
        population = ((share or 0.0) + prior / len(TASKS)) / (used.height + prior)
        ratio = float(np.log(config.campaign_task_shares[task] / population))
        weights.append(round(max(-config.task_window_clip, min(config.task_window_clip, ratio)), 9))
    median: float | None = used.select(_RATIO.median()).item()
    return TypicalConduct(tuple(weights), median or 0.0)


def conduct(accounts: pl.DataFrame, typical: TypicalConduct, config: ConductConfig) -> pl.DataFrame:
    """The parts of conduct, in nats, and their sum `b`, a row per account in the same order.

    `accounts`: profiles.ACCOUNTS with the unpacked `plan`, `verified`, `address_class` and `mail_class`, and Boolean `disputed` and `declined`.
    Sums are rounded to 1e-9, so that the order in which floats were added leaves no trace.
    """
    windows = pl.col("windows").cast(pl.Float64)
    mean = pl.col("log_requests_sum") / windows
    variance = (pl.col("log_requests_sq_sum") / windows - mean**2).clip(0) * windows / (windows - 1)
    sigma2 = config.regular_sigma**2
    regular = (
        config.regular_weight * (windows - 1) * (np.log(1 / config.regular_sigma) - variance / 2 * (1 / sigma2 - 1))
    )
    used = pl.col("windows") > 0
    old = (
        pl.col("last_seen_us") - pl.coalesce("opened_at_us", "first_seen_us")
    ) >= config.old_account_days * US_PER_DAY
    parts = accounts.select(
        pl.when(used).then(_task_mix(typical, config)).otherwise(0.0).alias("task_mix"),
        pl.when(pl.col("windows") >= config.regular_windows_min)
        .then(regular.clip(*config.regular_clip))
        .otherwise(0.0)
        .alias("regularity"),
        pl.when(used)
        .then((config.output_weight * (_RATIO - typical.output_ratio - config.output_margin)).clip(*config.output_clip))
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
        _looked_up("address_class", config.address_class).alias("opened_from"),
        _looked_up("mail_class", config.mail_class).alias("mail"),
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
    usage = pl.sum_horizontal(USAGE_PARTS)
    mixed = ((1 - config.camouflaged_share) * usage.exp() + config.camouflaged_share).log()
    parts = parts.with_columns((mixed - usage).round(9).alias("camouflage"))
    return parts.with_columns(pl.sum_horizontal(CONDUCT_PARTS).round(9).alias("b")).select(*CONDUCT_PARTS, "b")


def _looked_up(column: str, weights: dict[str, float]) -> pl.Expr:
    return pl.col(column).cast(pl.String).replace_strict(weights, default=0.0, return_dtype=pl.Float64).fill_null(0.0)


def _task_mix(typical: TypicalConduct, config: ConductConfig) -> pl.Expr:
    """Log-likelihood ratio of the task mix, campaign against population."""
    total = pl.sum_horizontal(
        pl.col(name) * weight for name, weight in zip(TASK_COLUMNS, typical.task_weights, strict=True)
    )
    return (config.task_weight * total).clip(*config.task_clip)


@dataclass(frozen=True, slots=True)
class Degrees:
    """With how many persons each account shares identifiers, by kind; hard kinds only.

    `own` [account * KINDS + kind]: at its own party. The others row by row, one for each account, kind and foreign party:
    `foreign_key` (account * KINDS + kind), `foreign_party`, and `foreign`, the persons there.
    """

    own: Floats
    foreign_key: Ints
    foreign_party: Ints
    foreign: Floats


def degrees(graph: Graph, along: Paths) -> Degrees:
    """Degrees of all accounts of the graph."""
    return Degrees(
        *belief_loops.sharing(
            along.starts,
            along.order,
            graph.node,
            graph.kind,
            IS_HARD,
            graph.group,
            along.first,
            graph.group_party,
            graph.group_persons,
            len(graph.parties),
        )
    )


def sharing(graph: Graph, degree: Degrees) -> Sharing:
    """How common sharing is, measured on the whole graph."""
    everywhere = degree.own + sums(degree.foreign_key, degree.foreign, len(degree.own))
    accounts = _could_share(graph)
    return Sharing(Tails.of(degree.own.reshape(-1, KINDS), accounts), Tails.of(everywhere.reshape(-1, KINDS), accounts))


def structure(degree: Degrees, typical: Sharing, trusted: Floats, config: StructureConfig) -> Floats:
    """Structure of each account, in nats.

    clip(ln(.6 / u_k(d)), 0, 2.5) per hard kind k, where u_k(d) is the share of accounts, at parties where the kind occurs,
    that share identifiers of the kind with at least d persons. What only foreign parties show counts at most 1 per foreign party,
    times what that party is `trusted` (0 to 1, by party of the graph).
    """
    own = _rarity(np.arange(len(degree.own)) % KINDS, degree.own, typical.own, config)
    kind = degree.foreign_key % KINDS
    together = _rarity(kind, degree.own[degree.foreign_key] + degree.foreign, typical.everywhere, config)
    more = np.clip(together - own[degree.foreign_key], 0, config.foreign_party_max) * trusted[degree.foreign_party]
    total = own + sums(degree.foreign_key, more, len(own))
    by_account: Floats = np.minimum(total, config.kind_max).reshape(-1, KINDS).sum(axis=1)
    return np.minimum(by_account, config.total_max)


def _could_share(graph: Graph) -> Floats:
    """Accounts at the parties where a kind occurs, by kind: those that could have shared one."""
    occurs = np.zeros((KINDS, len(graph.parties)), bool)
    occurs[graph.kind[graph.group_node], graph.group_party] = True
    return occurs @ counts(graph.party, len(graph.parties)).astype(np.float64)


def _rarity(kind: Ints, degree: Floats, tails: Tails, config: StructureConfig) -> Floats:
    """clip(ln(.6 / u_k(d)), 0, 2.5) of each pair; 0 where nothing is shared."""
    result = np.zeros(len(degree))
    asked = np.flatnonzero(degree > 0)
    tail = np.maximum(tails.at(kind[asked], degree[asked]), config.tail_floor)
    result[asked] = np.clip(np.log(config.log_share / tail), 0, config.kind_max)
    return result
