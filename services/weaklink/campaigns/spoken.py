"""What an account's own party or a person said of it, and of measures, and what that makes of its profile."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

import polars as pl

from weaklink.account_keys import account_key

_DISPUTES: Final = frozenset({"DISPUTED", "NOT_OURS"})
_OBEYED: Final = frozenset({"DONE", "ACCEPTED", "PARTLY_DONE"})
ANY_MEASURE: Final = "*"

FEEDBACK: Final = pl.Schema(
    {
        "account": pl.UInt64,
        "disputed_at_us": pl.Int64,
        "declined_at_us": pl.Int64,
        "obeyed_at_us": pl.Int64,
        "suspended_at_us": pl.Int64,
    }
)
"""When each account's own party last disputed, a person last declined, or the party last did what was asked."""
REFUSALS: Final = pl.Schema({"party": pl.String, "measure": pl.String, "target": pl.Binary, "recorded_at_us": pl.Int64})
"""Measures that their party or a person refused, by target (the token, or the account's name in UTF-8): not asked for again.
A token that its party disputed has a row of measure `*` too: that party's links to it count for nothing."""


def _said() -> tuple[pl.Expr, pl.Expr]:
    """`disputed` and `declined`, from the columns of FEEDBACK."""
    said = pl.col("disputed_at_us").is_not_null() & (pl.col("disputed_at_us") >= pl.col("obeyed_at_us").fill_null(0))
    # A closure for abuse is a later word of the same party.
    abuse = (pl.col("closed_distillation") + pl.col("closed_abuse")) > 0
    said &= ~(abuse & (pl.col("closed_at_us") >= pl.col("disputed_at_us"))).fill_null(value=False)
    return said.fill_null(value=False).alias("disputed"), pl.col("declined_at_us").is_not_null().alias("declined")


def _live_volume() -> pl.Expr:
    """A closed or suspended account has no volume, until usage after that shows that it lives."""
    gone = (pl.max_horizontal("closed_at_us", "suspended_at_us") >= pl.col("last_usage_us")).fill_null(value=False)
    return pl.when(gone).then(0.0).otherwise("requests_per_day").alias("requests_per_day")


# Built once: an evaluation of a tick is small, and building expressions costs as much as running them.
SAID: Final = _said()
"""`disputed` and `declined`, from the columns of FEEDBACK."""
LIVE_VOLUME: Final = _live_volume()
UNSAID: Final = (
    *(pl.lit(None, dtype).alias(name) for name, dtype in FEEDBACK.items() if name != "account"),
    *(pl.lit(value=False).alias(name) for name in ("disputed", "declined")),
)
"""What nobody has said anything of."""


def read(feedback: Iterable[Mapping[str, Any]]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(FEEDBACK, REFUSALS) of Feedback records (schemas/avro/Feedback). A verdict on an account can only come from its own party."""
    rows, refused = [], []
    for record in feedback:
        at, verdict = _micros(record["recorded_at"]), record["verdict"]
        name, token = record["target_account"], record["target_token"]
        if verdict in _DISPUTES or verdict in ("REFUSED", "DECLINED"):
            refused.append((record["party"], record["measure"], token or (name or "").encode(), at))
        if token is not None and verdict == "DISPUTED":
            refused.append((record["party"], ANY_MEASURE, token, at))
        if name is not None:
            suspended = record["measure"] == "SUSPEND" and verdict == "DONE"
            rows.append(
                (
                    account_key(record["party"], name),
                    at if verdict in _DISPUTES else None,
                    at if verdict == "DECLINED" else None,
                    at if verdict in _OBEYED else None,
                    at if suspended else None,
                )
            )
    return pl.DataFrame(rows, schema=FEEDBACK, orient="row"), pl.DataFrame(refused, schema=REFUSALS, orient="row")


def _micros(at: datetime | int) -> int:
    return at if isinstance(at, int) else round(at.timestamp() * 1_000_000)


def disputed_tokens(refusals: pl.DataFrame) -> pl.DataFrame:
    """[party, identifier] of the tokens that their party disputed, from REFUSALS."""
    token = pl.col("target").bin.slice(2, 8).bin.reinterpret(dtype=pl.UInt64)
    return refusals.filter(pl.col("measure") == ANY_MEASURE).select("party", token.alias("identifier"))
