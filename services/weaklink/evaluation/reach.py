"""Which requests measures reached, by the truth: those made while a measure stood that reaches their account, or what they came by.

A measure on an account reaches what the account does, and at a cloud what comes by the addresses that it leased; one on a card or
bank account reaches the accounts that ever showed it; one on any other identifier reaches the events that carry it. In worlds
without enforcement nobody replaces anything, so that this says what measures reach, and not what an operator would do next.
"""

from dataclasses import dataclass
from typing import Final

import polars as pl

from weaklink.evaluation.judged import ACCOUNT, Verdicts

_BLUNT: Final = ("SUSPEND", "CHALLENGE", "THROTTLE", "REVOKE_LEASE", "BLOCK_IDENTIFIER")
"""Measures that take volume away. OBSERVE takes none; REQUIRE_END_USER_IDS takes a reseller's hidden part, which accounts do not show."""
_INSTRUMENTS: Final = ("CARD", "BANK_ACCOUNT")
REACH: Final = pl.Schema(
    {
        "measure_number": pl.UInt32,
        "usage_number": pl.UInt32,
        "operator": pl.String,
        "requests": pl.Int64,
    }
)
"""Pairs of a measure and a usage event that happened while it stood and reached it."""


@dataclass(frozen=True, slots=True)
class Reached:
    """measures: actions of the backtest that take volume away, with `measure_number`. pairs: REACH of them."""

    measures: pl.DataFrame
    pairs: pl.DataFrame


def reached(verdicts: Verdicts, events: pl.DataFrame) -> Reached:
    """What a run's measures reached. events: the input of the backtest."""
    measures = blunt_measures(verdicts.actions)
    return Reached(measures, reach(measures, verdicts, events))


def blunt_measures(actions: pl.DataFrame) -> pl.DataFrame:
    """Actions that take volume away, with `measure_number`."""
    return actions.filter(pl.col("measure").cast(pl.String).is_in(_BLUNT)).with_row_index("measure_number")


def reach(measures: pl.DataFrame, verdicts: Verdicts, events: pl.DataFrame) -> pl.DataFrame:
    """REACH of `measures` (actions of the backtest with `measure_number`)."""
    usage = verdicts.usage.with_row_index("usage_number")
    stands = ["measure_number", "issued_at", "withdrawn_at"]
    on_accounts = measures.filter(pl.col("target_account").is_not_null()).select(
        *stands, "party", pl.col("target_account").alias("account")
    )
    tokens = measures.filter(pl.col("target_account").is_null()).select(
        *stands, pl.col("target_kind").alias("kind"), pl.col("target_value").alias("value")
    )
    leased = (
        events.filter(pl.col("event_type") == "AddressLease")
        .select(*ACCOUNT, "identifiers")
        .explode("identifiers")
        .drop_nulls("identifiers")
        .unnest("identifiers")
        .unique()
    )
    lessees = measures.filter(
        (pl.col("measure").cast(pl.String) == "REVOKE_LEASE") & pl.col("target_account").is_not_null()
    )
    lessees = lessees.select(*stands, "party", pl.col("target_account").alias("account"))
    tokens = pl.concat([tokens, lessees.join(leased, on=ACCOUNT).select(tokens.columns)])
    held = (
        events.filter(pl.col("account").is_not_null())
        .select(*ACCOUNT, "occurred_at", "identifiers")
        .explode("identifiers")
        .drop_nulls("identifiers")
        .unnest("identifiers")
        .join(tokens.select("kind", "value").unique(), on=["kind", "value"], how="semi")
    )
    instruments = pl.col("kind").is_in(_INSTRUMENTS)
    payers = tokens.join(
        held.filter(instruments).select(*ACCOUNT, "kind", "value").unique(), on=["kind", "value"]
    ).select(*stands, *ACCOUNT)
    by_account = usage.join(pl.concat([on_accounts.select(*stands, *ACCOUNT), payers]), on=ACCOUNT)
    by_event = usage.join(
        held.filter(~instruments).select(*ACCOUNT, "occurred_at", "kind", "value").unique(),
        on=[*ACCOUNT, "occurred_at"],
    ).join(tokens, on=["kind", "value"])
    both = pl.concat([frame.select(*REACH.names()[1:], *stands, "occurred_at") for frame in (by_account, by_event)])
    standing = (pl.col("occurred_at") > pl.col("issued_at")) & (
        pl.col("withdrawn_at").is_null() | (pl.col("occurred_at") <= pl.col("withdrawn_at"))
    )
    return both.filter(standing).select(REACH.names()).unique().match_to_schema(REACH)
