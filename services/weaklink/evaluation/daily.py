"""Requests of campaigns day by day, with and without Weaklink: the picture of what a measure is for."""

import polars as pl

from weaklink.evaluation.judged import Verdicts


def daily(verdicts: Verdicts) -> dict[str, list[float]]:
    """Lists by day since the first event: `all` requests of campaign accounts, and `unflagged` ones, made before their account was flagged."""
    usage = verdicts.usage
    if usage.is_empty():
        return {"all": [], "unflagged": []}
    first = usage["occurred_at"].dt.truncate("1d").min()
    numbered = usage.with_columns((pl.col("occurred_at").dt.truncate("1d") - first).dt.total_days().alias("day"))
    guilty = pl.col("operator").is_not_null()
    before = pl.col("flagged_at").is_null() | (pl.col("occurred_at") <= pl.col("flagged_at"))
    days = pl.DataFrame({"day": range(int(numbered["day"].max()) + 1)}, schema={"day": pl.Int64})  # type: ignore[arg-type]
    table = (
        numbered.filter(guilty)
        .group_by("day")
        .agg(pl.col("requests").sum().alias("all"), pl.col("requests").filter(before).sum().alias("unflagged"))
    )
    filled = days.join(table, on="day", how="left").sort("day").fill_null(0)
    return {name: filled[name].to_list() for name in ("all", "unflagged")}
