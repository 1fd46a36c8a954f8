"""Rows of MEMBERS, as the tracker makes them from evaluations, and what differs between them."""

import numpy as np
import polars as pl

from weaklink.campaigns.cluster import NONE
from weaklink.campaigns.config import TrackConfig
from weaklink.campaigns.graph import Graph, Ints
from weaklink.campaigns.identity import MEMBERS
from weaklink.campaigns.matching import Matched
from weaklink.campaigns.outcome import Evaluation


def confirmed_rows(
    confirmed: pl.DataFrame,
    members: pl.DataFrame,
    ids: dict[int, str],
    matched: Matched,
    *,
    now_us: int,
    config: TrackConfig,
) -> pl.DataFrame:
    """Confirmed accounts (evaluation rows) as MEMBERS, their communities under `ids`; `members` are those before."""
    moved = pl.col("campaign_id").replace(matched.merged).alias("earlier_id")
    earlier = members.select(
        "account",
        moved,
        pl.col("since_us").alias("earlier_us"),
        pl.col("score").alias("earlier_score"),
    )
    of_community = pl.col("community").replace_strict(ids, return_dtype=pl.String) if ids else pl.lit(None, pl.String)
    stays = pl.col("earlier_id").is_in(sorted(matched.apart))
    return (
        confirmed.join(earlier, on="account", how="left", maintain_order="left")
        .with_columns(
            pl.when(stays).then("earlier_id").otherwise(of_community).alias("campaign_id"),
            pl.coalesce("earlier_us", pl.lit(now_us)).alias("since_us"),
            pl.lit(None, pl.Int64).alias("missed_since_us"),
            pl.lit(value=False).alias("fast"),
            pl.lit(value=True).alias("flagged"),
            pl.lit(None, pl.UInt8).alias("grounds"),
            steady(pl.col("score"), pl.col("earlier_score"), config),
        )
        .select(MEMBERS.names())
    )


def new_rows(
    evaluation: Evaluation,
    at: Ints,
    campaign_ids: list[str],
    before: pl.DataFrame,
    config: TrackConfig,
    *,
    flagged: bool,
) -> pl.DataFrame:
    """The accounts of these rows of an evaluation as MEMBERS of these campaigns; `before` are those before."""
    earlier = before.select("account", pl.col("since_us").alias("earlier_us"), pl.col("score").alias("earlier_score"))
    rows: pl.DataFrame = (
        evaluation.accounts.select("account", "party", "account_name", "score")[at.tolist()]
        .with_columns(pl.Series("campaign_id", campaign_ids, pl.String))
        .join(earlier, on="account", how="left", maintain_order="left")
        .with_columns(
            pl.coalesce("earlier_us", pl.lit(evaluation.now_us)).alias("since_us"),
            pl.lit(None, pl.Int64).alias("missed_since_us"),
            pl.lit(flagged).alias("fast"),
            pl.lit(flagged).alias("flagged"),
            pl.lit(None, pl.UInt8).alias("grounds"),
            steady(pl.col("score"), pl.col("earlier_score"), config),
        )
        .select(MEMBERS.names())
    )
    return rows


def steady(now: pl.Expr, before: pl.Expr, config: TrackConfig) -> pl.Expr:
    """A member's score, which follows the evaluations' in steps."""
    moved = ((now - before).abs() >= config.score_step).fill_null(value=True)
    return pl.when(moved & now.is_not_null()).then(now.round(3)).otherwise(before).alias("score")


def differences(before: pl.DataFrame, after: pl.DataFrame) -> set[str]:
    """Campaigns whose membership differs between two MEMBERS frames."""
    keys = ["account", "campaign_id", "flagged"]
    gone = before.join(after, on=keys, how="anti")["campaign_id"]
    came = after.join(before, on=keys, how="anti")["campaign_id"]
    return set(gone.to_list()) | set(came.to_list())


def labelled(graph: Graph, known: pl.DataFrame) -> tuple[Ints, list[str]]:
    """(label of every account of a graph, the campaign ids that labels number), from `known` [account, campaign_id], which may have others too."""
    ids = known["campaign_id"].unique().sort().to_list()
    accounts = known["account"].to_numpy()
    at = np.searchsorted(graph.accounts, accounts)
    there = np.flatnonzero(at < graph.n_accounts)
    there = there[graph.accounts[at[there]] == accounts[there]]
    labels = np.full(graph.n_accounts, NONE, np.int64)
    if len(there):
        number = known["campaign_id"].replace_strict(ids, range(len(ids)), return_dtype=pl.Int64).to_numpy()
        labels[at[there]] = number[there]
    return labels, ids
