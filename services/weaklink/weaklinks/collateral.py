"""Collateral: the benign accounts that measures on shared tokens would touch."""

import numpy as np
import polars as pl

from weaklink.weaklinks.config import WeakLinksConfig
from weaklink.weaklinks.holdings import Holdings


def bystanders(held: Holdings, token_columns: pl.DataFrame, config: WeakLinksConfig) -> pl.DataFrame:
    """Accounts outside the campaign that hold a token which a measure would cut.

    token_columns: [column UInt32, token UInt32, harm f64], a row per token that a measure cuts. Returns one row per
    (column, account): [column, account UInt64, harm f64 (0 to 1), price f64 (account-equivalents if hurt fully),
    benign bool]. A suspect outside the campaign is priced by its probability of being benign.
    """
    unit = held.unit_requests_per_day or 1.0
    innocence = 1.0 - pl.col("score").clip(0.0, 1.0)
    volume = pl.col("requests_per_day") / unit
    return (
        token_columns.join(held.held.filter(pl.col("row").is_null()), on="token")
        .group_by("column", "account")
        .agg(
            pl.col("harm").max(),
            (innocence * (config.benign_account_price + config.benign_volume_price * volume)).first().alias("price"),
            (pl.col("score") < config.benign_score_max).first().alias("benign"),
        )
        .sort("column", "account")
    )


def touched(rows: pl.DataFrame, chosen: np.ndarray) -> int:
    """Benign accounts that the chosen columns touch together; each counts once."""
    columns = pl.Series("column", np.flatnonzero(chosen).astype(np.uint32))
    return rows.filter(pl.col("benign") & pl.col("column").is_in(columns.implode()))["account"].n_unique()
