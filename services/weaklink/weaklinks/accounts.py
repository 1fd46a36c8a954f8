"""Measures on accounts alone, between two plans: what a plan would ask of a new member's own party, without solving one."""

from collections.abc import Mapping
from typing import Any, Final

import polars as pl

from weaklink.parties import PartyKind
from weaklink.weaklinks import measures as m
from weaklink.weaklinks.assemble import own_worth
from weaklink.weaklinks.config import WeakLinksConfig
from weaklink.weaklinks.holdings import account_equivalent, kinds_of, with_volume
from weaklink.weaklinks.listing import on_accounts
from weaklink.weaklinks.reasons import belief_reasons

ON_ACCOUNTS: Final = (m.SUSPEND, m.CHALLENGE, m.THROTTLE, m.OBSERVE)
"""What may be asked without a plan. What feeds a campaign (leases, cards, resellers) waits for the plan that weighs its harm."""


def account_measures(
    members: pl.DataFrame,
    parties: Mapping[str, PartyKind],
    config: WeakLinksConfig,
    unit_requests_per_day: float | pl.Series | None = None,
) -> list[dict[str, Any]]:
    """One measure per member, in the shape of `ProposedMeasure` (op ISSUE, from_plan false), in the order of the rows.

    members: `cuts.MEMBER_COLUMNS`. unit_requests_per_day: `Plan.unit_requests_per_day` of the campaign's last plan, so that volumes
    mean the same, or that of each member's campaign; None: of these members. The measure is the one that `plan_campaign` would weigh
    for the account (`measures.own_measure`), where its own cut is worth its price and the risk that the account is benign, and
    OBSERVE where it is not. Resellers and lessees at clouds get none: they wait for the plan. A plan may leave an account out that
    its upstream measures cut already; it never asks for another measure than this.
    """
    known = kinds_of(members.with_row_index("row"), parties).with_columns(
        pl.col("score").clip(0.0, 1.0).alias("serves"),
        pl.col("requests_per_day").alias("campaign_requests_per_day"),
        pl.lit(value=False).alias("outside"),
        pl.lit(value=False).alias("feeds_surely"),
    )
    unit = account_equivalent(known) if unit_requests_per_day is None else unit_requests_per_day
    sized = with_volume(known, pl.lit(unit), config)
    own = sized.with_columns(m.own_measure(config).alias("own"))
    worth, _, _ = own_worth(own, unit if isinstance(unit, float) else unit.to_numpy(), config)
    effects = pl.col("measure").cast(pl.String).replace_strict(m.effect(config), return_dtype=pl.Float64)
    rows = (
        own.with_columns(pl.Series("worth", worth))
        .filter(pl.col("own").cast(pl.String).is_in(ON_ACCOUNTS) & ~pl.col("reseller"))
        .with_columns(pl.when("worth").then("own").otherwise(pl.lit(m.OBSERVE, dtype=m.MEASURE)).alias("measure"))
        .with_columns(
            (pl.col("requests_per_day") * pl.col("serves") * effects).alias("expected_cut"),
            pl.lit(0, dtype=pl.Int32).alias("benign_accounts_touched"),
            pl.lit(None, dtype=pl.String).alias("slice_model"),
            pl.lit(None, dtype=pl.Binary).alias("slice_end_user"),
            (pl.col("established") | pl.col("organisation_verified")).alias("known"),
        )
        .join(belief_reasons(own, config), on="row", how="left", maintain_order="left")
    )
    return on_accounts(rows).with_columns(pl.lit(value=False).alias("from_plan")).to_dicts()
