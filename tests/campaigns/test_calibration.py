"""A confidence is a probability: the map keeps order, stays within bounds, and a fit recovers what is true."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from weaklink.campaigns.calibration import MEMBER, OUTSIDER, Calibration, fit, probability
from weaklink.enforce.config import EnforceConfig

SCORES = st.lists(st.floats(0, 1), min_size=2, max_size=30)


@pytest.mark.parametrize("kept", [MEMBER, OUTSIDER])
def test_the_constants_are_monotone_probabilities(kept: Calibration) -> None:
    """Ascending beliefs, ascending probabilities, all within 0 and 1."""
    assert list(kept.beliefs) == sorted(set(kept.beliefs))
    assert list(kept.probabilities) == sorted(set(kept.probabilities))
    assert kept.probabilities[0] >= 0
    assert kept.probabilities[-1] <= 1


@given(SCORES)
def test_calibration_keeps_the_order_of_beliefs(scores: list[float]) -> None:
    """A stronger belief is never a lower probability, inside campaigns and outside."""
    ordered = pl.Series("score", sorted(scores))
    for kept in (MEMBER, OUTSIDER):
        assert kept.of(ordered).is_sorted()


@given(st.floats(0, 1))
def test_a_member_is_never_less_probable_than_an_outsider_of_the_same_belief(score: float) -> None:
    """Having passed the tests counts."""
    both = probability(pl.Series("score", [score, score]), pl.Series("member", [True, False]))
    assert both[0] >= both[1]


def test_nobody_outside_campaigns_reaches_the_confidence_that_a_challenge_needs() -> None:
    """However conspicuous an account is by itself."""
    assert max(OUTSIDER.probabilities) < EnforceConfig().challenge_confidence_min


def test_a_fit_recovers_the_share_of_each_bin_where_there_is_data() -> None:
    """20,000 beliefs that are true with their square: an error below .03 everywhere."""
    rng = np.random.default_rng(3)
    score = rng.uniform(0.05, 1, 20_000)
    found = fit(score, rng.uniform(size=20_000) < score**2, np.ones(20_000), towards_belief=False)
    asked = np.linspace(0.1, 0.95, 30)
    assert np.abs(found.of(pl.Series("score", asked)).to_numpy() - asked**2).max() < 0.03


def test_without_data_a_member_is_believed_as_by_itself() -> None:
    """The prior is the belief, less the slope that keeps order."""
    nothing = np.zeros(0)
    found = fit(nothing, nothing.astype(bool), nothing, towards_belief=True)
    assert np.abs(np.array(found.beliefs) - np.array(found.probabilities)).max() < 0.02


def test_null_stays_null() -> None:
    """An account without a belief gets no probability."""
    assert MEMBER.of(pl.Series("score", [None, 0.5], pl.Float64)).null_count() == 1
