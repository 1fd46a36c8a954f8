"""What an account's own party or a person said of it, and what that makes of its profile."""

from typing import Final

import polars as pl

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
