"""Figures: metric name -> value, and the small sums that they are made of. Null is "not defined here", which is not 0."""

import polars as pl

Figures = dict[str, float | int | None]
"""Metric name -> value; null where it is undefined in this world (recall without a campaign)."""


def share(part: float, whole: float) -> float | None:
    """part / whole; null when there is no whole."""
    return part / whole if whole else None


def total(values: pl.Series) -> int:
    """Sum of whole numbers, nulls left out."""
    return int(values.sum())


def weighted(values: pl.Series, weights: pl.Series) -> float | None:
    """Mean by weight; null without weight."""
    return share(float((values * weights).sum()), float(weights.sum()))


def mean(values: pl.Series) -> float | None:
    """Mean of what is not null; null when nothing is."""
    known = values.drop_nulls().to_list()
    return sum(known) / len(known) if known else None


def least(values: pl.Series) -> float | None:
    """Minimum of what is not null; null when nothing is."""
    return min(values.drop_nulls().to_list(), default=None)


def most(values: pl.Series) -> float | None:
    """Maximum of what is not null; null when nothing is."""
    return max(values.drop_nulls().to_list(), default=None)
