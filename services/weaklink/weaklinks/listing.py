"""From the chosen columns back to measures in the shape of the Avro record `ProposedMeasure`."""

from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from weaklink.frames import token_bytes
from weaklink.weaklinks import measures as m
from weaklink.weaklinks.assemble import Assembled
from weaklink.weaklinks.candidates import Candidates
from weaklink.weaklinks.config import WeakLinksConfig
from weaklink.weaklinks.holdings import Holdings, hard
from weaklink.weaklinks.reasons import account_reasons, token_reasons

_FIELDS: Final = (
    "op",
    "party",
    "measure",
    "target_account",
    "target_token",
    "slice_model",
    "slice_end_user",
    "confidence",
    "reasons",
    "expected_cut",
    "benign_accounts_touched",
    "supporting_parties",
    "own_finding",
    "hard_identifier",
    "established",
    "from_plan",
)


def measures(
    held: Holdings,
    found: Candidates,
    bystanders: pl.DataFrame,
    assembled: Assembled,
    chosen: NDArray[np.bool_],
    *,
    config: WeakLinksConfig,
) -> list[dict[str, Any]]:
    """Chosen measures, largest expected cut first, then OBSERVE for members about which too little is known to act."""
    members = held.members.join(
        account_reasons(held, config), on="row", how="left", maintain_order="left"
    ).with_columns(
        # Requests a day of the campaign that the member is expected to make.
        (pl.col("campaign_requests_per_day") * pl.col("serves")).alias("flowing"),
        (pl.col("established") | pl.col("organisation_verified")).alias("known"),
        pl.Series("chosen", assembled.own_chosen(chosen)),
    )
    shared = found.columns.filter(pl.Series(chosen[: assembled.shared], dtype=pl.Boolean))
    parts, own_cut = _attributed(found.flows.join(shared.select("column"), on="column", how="semi"), members, config)
    touched = (
        bystanders.filter("benign").group_by("column").agg(pl.len().cast(pl.Int32).alias("benign_accounts_touched"))
    )
    shared = (
        shared.join(parts, on="column", how="left")
        .join(touched, on="column", how="left")
        .with_columns(pl.col("expected_cut").fill_null(0.0), pl.col("benign_accounts_touched").fill_null(0))
    )
    own = members.with_columns(pl.col("own").alias("measure"), own_cut).filter(
        pl.col("chosen") | (pl.col("own") == m.OBSERVE)
    )
    rows = pl.concat(
        [
            _on_tokens(shared.filter(pl.col("token").is_not_null()), held, members),
            on_accounts(shared.filter(pl.col("row").is_not_null()).join(members, on="row")),
            on_accounts(
                own.with_columns(
                    pl.lit(None, dtype=pl.String).alias("slice_model"),
                    pl.lit(None, dtype=pl.Binary).alias("slice_end_user"),
                    pl.lit(0, dtype=pl.Int32).alias("benign_accounts_touched"),
                )
            ),
        ]
    )
    ordered = rows.sort(
        "from_plan",
        "expected_cut",
        "party",
        "target_account",
        "target_token",
        descending=[True, True, False, False, False],
    )
    return ordered.to_dicts()


def _attributed(flows: pl.DataFrame, members: pl.DataFrame, config: WeakLinksConfig) -> tuple[pl.DataFrame, pl.Series]:
    """([column, expected_cut], expected_cut of each member's own measure), in requests a day.

    Where chosen measures overlap on an account they cannot cut more than all of it. Each is credited in proportion to what it
    would cut alone: the Aumann-Shapley value of min(1, sum of shares), so that the credits of a plan add up to what it cuts.
    """
    effects = pl.col("own").cast(pl.String).replace_strict(m.effect(config), return_dtype=pl.Float64)
    own = pl.when("chosen").then(effects).otherwise(0.0).alias("own_share")
    upstream = flows.group_by("row").agg(pl.col("share").sum().alias("upstream"))
    credit = (
        members.select("row", "flowing", own)
        .join(upstream, on="row", how="left", maintain_order="left")
        .with_columns(
            # Requests a day that one unit of share is credited with.
            (pl.col("flowing") / (pl.col("own_share") + pl.col("upstream").fill_null(0.0)).clip(1.0)).alias("each")
        )
    )
    columns = (
        flows.join(credit.select("row", "each"), on="row")
        .group_by("column")
        .agg((pl.col("each") * pl.col("share")).sum().alias("expected_cut"))
    )
    return columns, (credit["each"] * credit["own_share"]).alias("expected_cut")


def _on_tokens(columns: pl.DataFrame, held: Holdings, members: pl.DataFrame) -> pl.DataFrame:
    """Measures on tokens: confidence is the mean belief of all who hold the token."""
    findings = members.filter("own_finding").select("party", pl.lit(True).alias("own_finding")).unique()
    belief = held.held.group_by("token").agg(pl.col("score").mean().clip(0.0, 1.0).alias("confidence"))
    return (
        columns.join(held.tokens, on="token")
        .join(belief, on="token")
        .join(token_reasons(held), on="token")
        .join(findings, on="party", how="left")
        .with_columns(
            pl.lit(None, dtype=pl.String).alias("target_account"),
            pl.col("parties").cast(pl.Int32).alias("supporting_parties"),
            pl.col("own_finding").fill_null(False),
            hard().alias("hard_identifier"),
            pl.lit(False).alias("established"),
        )
        .pipe(_with_token_bytes)
        .pipe(_finished)
    )


def on_accounts(rows: pl.DataFrame) -> pl.DataFrame:
    """Measures on accounts of the addressed party."""
    return rows.with_columns(
        pl.col("account_name").alias("target_account"),
        pl.lit(None, dtype=pl.Binary).alias("target_token"),
        pl.col("serves").alias("confidence"),
        pl.col("supporting_parties").cast(pl.Int32),
        pl.col("known").alias("established"),
    ).pipe(_finished)


def _finished(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(
        pl.lit("ISSUE").alias("op"),
        pl.col("measure").cast(pl.String),
        pl.col("benign_accounts_touched").cast(pl.Int32),
        (pl.col("measure") != m.OBSERVE).alias("from_plan"),
    ).select(_FIELDS)


def _with_token_bytes(columns: pl.DataFrame) -> pl.DataFrame:
    """Add `target_token`. One Python call per measure on a token, of which there are few."""
    parts = columns.select("identifier", "tail", "kind", "epoch").iter_rows()
    return columns.with_columns(pl.Series("target_token", [token_bytes(*part) for part in parts], dtype=pl.Binary))
