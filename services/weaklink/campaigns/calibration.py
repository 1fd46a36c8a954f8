"""From the method's belief to a probability: what share of accounts with this belief really were an operator's.

The belief of one account comes before the tests of its community, so it means different things inside and outside a campaign. In worlds
made for tuning, accounts that passed all tests were an operator's whatever they were believed to be by themselves, and of those
that passed none and were believed with .99, one in three was. So there is a monotone map for each.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from scipy.optimize import isotonic_regression

from weaklink.campaigns.graph import Bools, Floats

_EDGES: Final = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 1.0)
_PRIOR_ACCOUNTS: Final = 100.0
_SLOPE: Final = 0.01


@dataclass(frozen=True, slots=True)
class Calibration:
    """A monotone map by straight lines between `beliefs` (ascending) and their `probabilities`."""

    beliefs: tuple[float, ...]
    probabilities: tuple[float, ...]

    def of(self, score: pl.Series) -> pl.Series:
        """Probabilities of these beliefs (Float64), rounded to 6 decimals; null stays null."""
        found = np.interp(score.fill_null(0.0).to_numpy(), self.beliefs, self.probabilities)
        at = pl.Series(score.name, np.round(found, 6))
        return at.to_frame().select(pl.when(score.is_not_null()).then(pl.col(score.name))).to_series()


def fit(score: Floats, truth: Bools, weight: Floats, *, towards_belief: bool) -> Calibration:
    """Isotonic regression over the bins of `_EDGES`, with a slight slope where it is flat, so that no order is lost.

    `weight`: 1 for an account that is given once. `towards_belief`: each bin begins with 100 accounts that were as believed, so that
    a member is not believed more than by itself where data is scarce. Otherwise with one that was as all are, and a belief of 0 is 0.
    """
    inner = np.array(_EDGES[1:-1])
    bin_of = np.searchsorted(inner, score, side="right")
    size = len(inner) + 1
    many = np.bincount(bin_of, weight, size)
    true = np.bincount(bin_of, weight * truth, size)
    middle = (np.array(_EDGES[:-1]) + np.array(_EDGES[1:])) / 2
    mean = float((weight * truth).sum() / max(weight.sum(), 1e-9))
    before = middle if towards_belief else np.full(size, mean)
    prior = _PRIOR_ACCOUNTS if towards_belief else 1.0
    share = (true + prior * before) / (many + prior)
    smooth = isotonic_regression(share, weights=many + prior).x
    rising = np.round(np.minimum(smooth + _SLOPE * (middle - 1), 1.0), 4)
    start = () if towards_belief else (0.0,)
    return Calibration((*start, *np.round(middle, 4).tolist()), (*start, *rising.tolist()))


MEMBER: Final = Calibration(
    (0.075, 0.15, 0.25, 0.4, 0.6, 0.75, 0.85, 0.925, 0.965, 0.985, 0.995),
    (0.2475, 0.4447, 0.5063, 0.6963, 0.8161, 0.8598, 0.9312, 0.9634, 0.9844, 0.9925, 0.9992),
)
"""Confirmed members, and those of the fast path. Fitted on the worlds base, resellers, framing_two, card_flood, chain and benign_conduct of
the family for tuning (size .05, seed 1, 30 days looked at daily): 1,473 members, all of them an operator's. The prior keeps it below 1."""
OUTSIDER: Final = Calibration(
    (0.0, 0.075, 0.15, 0.25, 0.4, 0.6, 0.75, 0.85, 0.925, 0.965, 0.985, 0.995),
    (0.0, 0.0593, 0.1492, 0.2712, 0.3768, 0.4576, 0.4591, 0.4601, 0.4609, 0.4613, 0.4615, 0.4616),
)
"""All other accounts of the same worlds. In those where campaigns are found whole, fewer of them are an operator's than this says."""


def probability(score: pl.Series, member: pl.Series) -> pl.Series:
    """Probability of each account to be an operator's, from its belief and whether it is a confirmed member of a campaign."""
    frame = pl.DataFrame({"member": member, "inside": MEMBER.of(score), "outside": OUTSIDER.of(score)})
    return frame.select(pl.when("member").then("inside").otherwise("outside").alias(score.name)).to_series()
