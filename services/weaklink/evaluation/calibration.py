"""Whether a score means what it says: of accounts at score s, a share s should belong to campaigns."""

from typing import Any, Final

import polars as pl

from weaklink.evaluation.figures import Figures, mean

BINS: Final = 10


def calibration(accounts: pl.DataFrame) -> Figures:
    """Brier score (mean squared error) and expected calibration error (bins weighted by accounts). accounts: JUDGED.

    Most accounts are benign and at scores near 0, which flatters both: `calibration_error_scored` is over scores of .1 and more.
    """
    guilty = accounts["operator"].is_not_null().cast(pl.Float64)
    return {
        "brier": mean((accounts["score"] - guilty) ** 2),
        "calibration_error": _error(accounts),
        "calibration_error_scored": _error(accounts.filter(pl.col("score") >= 1 / BINS)),
    }


def reliability(accounts: pl.DataFrame) -> list[dict[str, Any]]:
    """[low, accounts, score (mean), truth (share of campaign accounts)] per bin of the score that has accounts."""
    width = 1 / BINS
    bins = (
        accounts.select(
            ((pl.col("score") * BINS).floor().clip(0, BINS - 1) * width).round(6).alias("low"),
            "score",
            pl.col("operator").is_not_null().alias("guilty"),
        )
        .group_by("low")
        .agg(pl.len().alias("accounts"), pl.col("score").mean(), pl.col("guilty").mean().alias("truth"))
        .sort("low")
    )
    return bins.to_dicts()


def _error(accounts: pl.DataFrame) -> float | None:
    if accounts.is_empty():
        return None
    bins = reliability(accounts)
    return float(sum(one["accounts"] * abs(one["score"] - one["truth"]) for one in bins)) / accounts.height
