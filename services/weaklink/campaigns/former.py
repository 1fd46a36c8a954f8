"""Accounts that left a campaign: how they may come back, and for how long others inherit what is known of them.

Two opposite errors are bounded here. An account whose evidence wavers is not flagged and released in turn: each release makes the
way back longer. And an operator whose campaign was ended does not begin with a clean sheet: what its accounts held stays known.
"""

import polars as pl

from weaklink.campaigns.config import TrackConfig
from weaklink.campaigns.identity import DISCREDITED, DISPUTED, FADED, FORMER, UNCONFIRMED
from weaklink.campaigns.profiles import US_PER_DAY, US_PER_HOUR


def leave(former: pl.DataFrame, leaving: pl.DataFrame, now_us: int, config: TrackConfig) -> pl.DataFrame:
    """`former` (FORMER) with those that leave: MEMBERS rows with `reason` and `last_seen_us` (null: not known).

    Evidence that fades while an account is idle fades with age alone: it becomes a tombstone. Evidence that fades while the account
    goes on was wrong, and so was what a party disputed.
    """
    if leaving.is_empty():
        return former
    idle_us = now_us - int(config.dormant_days * US_PER_DAY)
    idle = (pl.col("last_seen_us") < idle_us).fill_null(value=True)
    rows = leaving.select(
        "account",
        "campaign_id",
        "party",
        "account_name",
        pl.lit(now_us, pl.Int64).alias("left_at_us"),
        "reason",
        (~pl.col("fast") & (pl.col("reason") == FADED) & idle).alias("tombstone"),
        (pl.col("reason") != UNCONFIRMED).cast(pl.Int32).alias("released"),
    )
    before = former.select("account", pl.col("releases").alias("released_before"))
    rows = rows.join(before, on="account", how="left", maintain_order="left").select(
        pl.exclude("released", "released_before"),
        (pl.col("released") + pl.col("released_before").fill_null(0)).alias("releases"),
        pl.lit(None, pl.Int64).alias("again_since_us"),
    )
    others = former.join(rows.select("account"), on="account", how="anti")
    return pl.concat([others, rows.select(FORMER.names()).cast(FORMER)]).sort("account")


def confirmed_again(former: pl.DataFrame, confirmed: pl.Series, now_us: int) -> pl.DataFrame:
    """`former` with `again_since_us` kept for the accounts that this evaluation confirms, set where it is the first, and cleared for others."""
    again = pl.col("account").is_in(confirmed.implode())
    since = pl.when(again).then(pl.coalesce("again_since_us", pl.lit(now_us, pl.Int64)))
    return former.with_columns(since.alias("again_since_us"))


def held_back(former: pl.DataFrame, now_us: int, config: TrackConfig) -> pl.Series:
    """Accounts that evaluations must confirm for longer before they are members again.

    `rejoin_hours` after the first release, twice as long after each further one, up to `rejoin_days_max`: an account whose evidence
    crosses the threshold for ever changes sides a number of times that grows with the logarithm of time.
    """
    doubled = config.rejoin_hours * US_PER_HOUR * pl.lit(2.0).pow((pl.col("releases") - 1).clip(0, 30))
    wait_us = doubled.clip(upper_bound=config.rejoin_days_max * US_PER_DAY)
    early = (pl.lit(now_us) - pl.col("again_since_us") < wait_us).fill_null(value=True)
    return former.filter((pl.col("releases") > 0) & early)["account"]


def expire(former: pl.DataFrame, now_us: int, config: TrackConfig) -> pl.DataFrame:
    """`former` without those that left longer ago than tombstones last."""
    return former.filter(pl.col("left_at_us") >= now_us - int(config.tombstone_days * US_PER_DAY))


def reason(*, disputed: pl.Expr, discredited: pl.Expr, fast: pl.Expr) -> pl.Expr:
    """Why an account leaves, by what is true of it; otherwise its evidence faded."""
    return (
        pl.when(disputed)
        .then(pl.lit(DISPUTED))
        .when(discredited)
        .then(pl.lit(DISCREDITED))
        .when(fast)
        .then(pl.lit(UNCONFIRMED))
        .otherwise(pl.lit(FADED))
    )
