"""Medians over seeds with bootstrap intervals."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

RESAMPLES: Final = 2000
_LEVEL: Final = 0.95


@dataclass(frozen=True, slots=True)
class Interval:
    """median, and the bounds of its 95 % percentile bootstrap interval; least and most over `seeds` runs."""

    median: float
    low: float
    high: float
    least: float
    most: float
    seeds: int


def median_interval(values: Sequence[float]) -> Interval | None:
    """The median of runs and how sure it is (Efron's percentile bootstrap, 2,000 resamples, fixed seed). None without values."""
    if not values:
        return None
    known = np.asarray(values, np.float64)
    rng = np.random.default_rng(20260401)
    medians = np.median(rng.choice(known, (RESAMPLES, len(known))), axis=1)
    low, high = np.quantile(medians, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    return Interval(
        float(np.median(known)), float(low), float(high), float(known.min()), float(known.max()), len(known)
    )
