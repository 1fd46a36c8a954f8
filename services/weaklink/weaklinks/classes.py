"""Weak classes: by which doors a campaign's volume came in, against the share of benign volume that uses the same door.

A finding on a class (a plan, a verification, an instrument, ...) is a recommendation of what to harden, never an action: most of
those who use a door are ordinary customers ("Click Trajectories", IEEE S&P 2011, found the same of banks).
"""

from collections.abc import Sequence
from typing import Final

import polars as pl

DIMENSIONS: Final = ("party", "plan", "verified", "instrument", "address_class", "mail_class", "programme")
"""Columns by which accounts are classed, where the frame has them."""
_Z: Final = 1.959964  # two-sided 95 % of the normal distribution
CLASSES: Final = pl.Schema(
    [
        ("dimension", pl.String()),
        ("value", pl.String()),
        ("campaign_accounts", pl.Int64()),
        ("benign_accounts", pl.Int64()),
        ("campaign_share", pl.Float64()),
        ("benign_share", pl.Float64()),
        ("lift", pl.Float64()),
        ("lift_low", pl.Float64()),
        ("lift_high", pl.Float64()),
    ]
)
"""Shares are of volume, 0 to 1. lift: campaign_share / benign_share, with its 95 % interval."""
_WEAK_LIFT_MIN: Final = 2.0
_WEAK_SHARE_MIN: Final = 0.1


def weak() -> pl.Expr:
    """Whether a row of CLASSES is worth a recommendation: much of the campaigns' volume, surely more than twice the benign share."""
    return (pl.col("lift_low") >= _WEAK_LIFT_MIN) & (pl.col("campaign_share") >= _WEAK_SHARE_MIN)


def recommendation() -> pl.Expr:
    """What a row of CLASSES asks for, in words: of the consortium's members, never of an account."""
    share = (pl.col("campaign_share") * 100).round(0).cast(pl.Int64)
    return pl.when(weak()).then(
        pl.format(
            "harden {} {}: {} % of campaign volume enters by it, {} times its share of benign volume (95 %: {} to {})",
            pl.col("dimension").str.replace_all("_", " "), "value", share, *(pl.col(n).round(1) for n in ("lift", "lift_low", "lift_high")),
        )
    ).alias("recommendation")  # fmt: skip


def classes(accounts: pl.DataFrame, dimensions: Sequence[str] = DIMENSIONS) -> pl.DataFrame:
    """CLASSES of one campaign, or of all together; the surest first (by `lift_low`).

    accounts: one row each, [campaign bool, requests (volume; without any, accounts count), and some of
    `dimensions` as String or Enum]. A null class is left out. Few accounts carry much of the volume, so the interval rests on
    the effective number of accounts (Kish 1965: squared sum of weights over sum of squares), with half an account added
    on both sides of each share, so that a class which no benign customer uses has a wide interval and not an infinite lift.
    """
    weighted = accounts.with_columns(_volume(accounts))
    present = [name for name in dimensions if name in accounts.columns]
    found = [_by(weighted, name) for name in present]
    if not found:
        return pl.DataFrame(schema=CLASSES)
    return pl.concat(found).sort("lift_low", "dimension", "value", descending=[True, False, False])


def _volume(accounts: pl.DataFrame) -> pl.Expr:
    """Requests; on each side on which there are none, every account counts alike."""
    some = pl.col("requests").sum().over("campaign") > 0
    return pl.when(some).then(pl.col("requests")).otherwise(1.0).alias("volume")


def _by(accounts: pl.DataFrame, dimension: str) -> pl.DataFrame:
    rows = accounts.select("campaign", "volume", pl.col(dimension).cast(pl.String).alias("value")).drop_nulls("value")
    sides = {
        name: _side(rows.filter(pl.col("campaign") == of), name) for name, of in (("campaign", True), ("benign", False))
    }
    joined = sides["campaign"].join(sides["benign"], on="value", how="full", coalesce=True)
    effective = {
        name: _effective(rows.filter(pl.col("campaign") == of)) for name, of in (("campaign", True), ("benign", False))
    }
    shares = joined.with_columns(
        pl.col("campaign_accounts", "benign_accounts").fill_null(0),
        pl.col("campaign_share", "benign_share").fill_null(0.0),
    )
    smoothed = {
        name: (pl.col(f"{name}_share") * effective[name] + 0.5) / (effective[name] + 1.0)
        for name in ("campaign", "benign")
    }
    # Variance of the log of a ratio of two proportions (Katz et al. 1978).
    spread = (
        _Z
        * sum(((1 - share) / (share * (effective[name] + 1.0)) for name, share in smoothed.items()), pl.lit(0.0)).sqrt()
    )
    lift = smoothed["campaign"] / smoothed["benign"]
    return shares.with_columns(
        pl.lit(dimension).alias("dimension"),
        lift.alias("lift"),
        (lift.log() - spread).exp().alias("lift_low"),
        (lift.log() + spread).exp().alias("lift_high"),
    ).select(pl.col(name).cast(dtype) for name, dtype in CLASSES.items())


def _side(rows: pl.DataFrame, name: str) -> pl.DataFrame:
    total = float(rows["volume"].sum()) or 1.0
    return rows.group_by("value").agg(
        pl.len().cast(pl.Int64).alias(f"{name}_accounts"), (pl.col("volume").sum() / total).alias(f"{name}_share")
    )


def _effective(rows: pl.DataFrame) -> float:
    squares = float((rows["volume"] ** 2).sum())
    return float(rows["volume"].sum()) ** 2 / squares if squares else 0.0
