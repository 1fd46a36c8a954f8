"""What a backtest said beside what is true: one row per account, and one per usage event. Every metric reads these."""

from dataclasses import dataclass
from typing import Final

import polars as pl

_UTC: Final = pl.Datetime("us", "UTC")
_COLUMNS: Final[dict[str, pl.DataType | type[pl.DataType]]] = {
    "party": pl.String,
    "account": pl.String,
    "operator": pl.String,  # of whose campaign it is; null: a benign account
    "reseller": pl.Boolean,
    "invented": pl.Boolean,  # made up by a lying member: nobody is behind it, yet it is in no campaign
    "victim": pl.Boolean,  # an honest customer whom a lying member framed
    "crowded": pl.Boolean,  # seen at an address of `CROWD_ACCOUNTS_MIN` or more accounts, as behind carrier NAT
    "requests": pl.Int64,
    "seen_at": _UTC,  # its first event
    "score": pl.Float64,
    "campaign_id": pl.String,
    "flagged_at": _UTC,
}
JUDGED: Final = pl.Schema(_COLUMNS)
"""Every account of the world. score, campaign_id, flagged_at: what the backtest said of it, as in its `accounts.parquet`."""
_USAGE_COLUMNS: Final[dict[str, pl.DataType | type[pl.DataType]]] = {
    "party": pl.String,
    "account": pl.String,
    "operator": pl.String,
    "seen_at": _UTC,
    "flagged_at": _UTC,
    "occurred_at": _UTC,
    "requests": pl.Int64,
}
USAGE: Final = pl.Schema(_USAGE_COLUMNS)
"""Every ApiUsage event, with its account's operator, `seen_at` and `flagged_at`."""
RESELLING: Final = ("RESELLER", "RELAY")
"""Roles of accounts that serve other people."""
CROWD_ACCOUNTS_MIN: Final = 40
ACCOUNT: Final = ["party", "account"]


@dataclass(frozen=True, slots=True)
class Verdicts:
    """accounts: JUDGED. usage: USAGE. campaigns, actions: as the backtest writes them."""

    accounts: pl.DataFrame
    usage: pl.DataFrame
    campaigns: pl.DataFrame
    actions: pl.DataFrame


def judge(
    events: pl.DataFrame, truth: pl.DataFrame, said: pl.DataFrame, campaigns: pl.DataFrame, actions: pl.DataFrame
) -> Verdicts:
    """Put a run beside the truth.

    events: the input of the backtest. truth: [party, account, operator, role, victim]. said, campaigns, actions: its output.
    An account that the truth knows and the run does not (its events were rejected) counts as never flagged, at score 0.
    """
    used = events.filter(pl.col("event_type") == "ApiUsage").select(
        *ACCOUNT, "occurred_at", pl.col("requests").fill_null(1).cast(pl.Int64)
    )
    first_seen = events.group_by(ACCOUNT).agg(pl.col("occurred_at").min().alias("seen_at"))
    known = (
        truth.join(used.group_by(ACCOUNT).agg(pl.col("requests").sum()), on=ACCOUNT, how="left")
        .join(first_seen, on=ACCOUNT, how="left")
        .join(crowds(events), on=ACCOUNT, how="left")
        .join(said.select(*ACCOUNT, "score", "campaign_id", "flagged_at"), on=ACCOUNT, how="left")
        .with_columns(
            pl.col("role").is_in(RESELLING).alias("reseller"),
            (pl.col("role") == "FRAMER").alias("invented"),
            pl.col("requests", "score").fill_null(0),
            pl.col("crowded").fill_null(value=False),
        )
        .match_to_schema(JUDGED, extra_columns="ignore", integer_cast="upcast")
        .sort(ACCOUNT)
    )
    usage = used.join(known.select(*ACCOUNT, "operator", "seen_at", "flagged_at"), on=ACCOUNT).select(USAGE.names())
    return Verdicts(known, usage.sort("occurred_at", *ACCOUNT, "requests"), campaigns, actions)


def usage_of(events: pl.DataFrame, truth: pl.DataFrame) -> pl.DataFrame:
    """[operator, occurred_at, requests] of every usage event, as `Verdicts.usage` has them; what nobody's run is needed for."""
    used = events.filter(pl.col("event_type") == "ApiUsage").select(
        *ACCOUNT, "occurred_at", pl.col("requests").fill_null(1).cast(pl.Int64)
    )
    return used.join(truth.select(*ACCOUNT, "operator"), on=ACCOUNT).select("operator", "occurred_at", "requests")


def crowds(events: pl.DataFrame) -> pl.DataFrame:
    """[party, account, crowded true]: accounts that were seen at an address which many others use too."""
    pairs = (
        events.filter(pl.col("account").is_not_null())
        .select(*ACCOUNT, "identifiers")
        .explode("identifiers")
        .drop_nulls()
        .unnest("identifiers")
        .filter(kind="IP")
        .select(*ACCOUNT, "value")
        .unique()
    )
    holders = pairs.group_by("value").len("holders").filter(pl.col("holders") >= CROWD_ACCOUNTS_MIN)
    return pairs.join(holders, on="value").select(ACCOUNT).unique().with_columns(crowded=pl.lit(value=True))
