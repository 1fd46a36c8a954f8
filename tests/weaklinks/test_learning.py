"""What a campaign's next plan expects of measures, from what they did to it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weaklink.weaklinks.config import WeakLinksConfig
from weaklink.weaklinks.learning import learned, returned_share

CONFIG = WeakLinksConfig()


def effect(measure: str = "SUSPEND", measured: int = 200, before: float = 1000.0, after: float = 0.0) -> dict[str, Any]:
    return {
        "measure": measure,
        "measured": measured,
        "requests_per_day_before": before,
        "requests_per_day_after": after,
    }


def losses(
    accounts: int = 100, returned: int = 100, back: float | None = 0.0, before: float = 1000.0
) -> dict[str, Any]:
    return {"accounts": accounts, "returned_accounts": returned, "returned_requests_per_day": back, "requests_per_day_before": before}  # fmt: skip


def test_a_measure_that_held_changes_nothing() -> None:
    """Nothing more is made by the targets, and nothing came back."""
    assert learned(CONFIG, [effect()], losses()) == CONFIG


def test_targets_that_go_on_lower_the_effect_by_the_number_they_are() -> None:
    """200 accounts of which half the volume went on, against a setting of .9 that counts as 200: the mean of .9 and .5."""
    found = learned(CONFIG, [effect(after=500.0)], None)
    assert found.suspend_effect == pytest.approx(0.7)
    assert found.challenge_effect == CONFIG.challenge_effect
    few = learned(CONFIG, [effect(after=500.0, measured=2)], None)
    assert few.suspend_effect == pytest.approx(0.9 - 0.4 * 2 / 202)


def test_what_comes_back_by_other_accounts_counts_against_suspensions_alone() -> None:
    """Half the volume is made again by as many accounts as were lost."""
    found = learned(CONFIG, [effect(), effect("CHALLENGE")], losses(back=500.0))
    assert found.suspend_effect == pytest.approx(0.7)
    assert found.challenge_effect == CONFIG.challenge_effect


def test_growth_does_not_pass_for_replacement() -> None:
    """Of four times as many accounts as were lost a quarter stands for these."""
    assert returned_share(losses(accounts=100, returned=400, back=800.0)) == pytest.approx(0.2)


def test_nothing_is_learned_where_it_is_switched_off_or_cannot_be_measured() -> None:
    """No accounts measured, no volume before, or a weight of zero."""
    off = WeakLinksConfig(learn_prior_accounts=0)
    assert learned(off, [effect(after=900.0)], None) == off
    assert learned(CONFIG, [effect(measured=0, after=900.0), effect(before=0.0)], losses(back=None)) == CONFIG


COUNTS = st.integers(0, 10**6)
VOLUMES = st.floats(0, 1e9)


@given(counts=st.tuples(COUNTS, COUNTS, COUNTS), volumes=st.tuples(VOLUMES, VOLUMES, VOLUMES))
def test_a_plan_expects_between_half_the_setting_and_the_setting(
    counts: tuple[int, int, int], volumes: tuple[float, float, float]
) -> None:
    """Whatever was seen."""
    (measured, lost, returned), (before, after, back) = counts, volumes
    seen = [effect(measured=measured, before=before, after=after)]
    found = learned(CONFIG, seen, losses(lost, returned, back, before))
    assert CONFIG.suspend_effect / 2 <= found.suspend_effect <= CONFIG.suspend_effect + 1e-12
