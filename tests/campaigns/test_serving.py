"""Who pays for members stays with them for as long as they stand, and no longer."""

from dataclasses import replace

import numpy as np
import polars as pl

from tests.campaigns.evaluations import KEYS, Seen, evaluation_of
from tests.campaigns.test_method import NOW_US
from weaklink.campaigns.config import CampaignsConfig
from weaklink.campaigns.outcome import Evaluation
from weaklink.campaigns.profiles import US_PER_HOUR
from weaklink.campaigns.track import Tracker

PAYER = 20  # holds a device and a card with accounts 0, 4, 8, 12 and 16
SURE, WEAK, NOTHING = (Seen(0, 0.97, disputed=False), Seen(None, 0.5, disputed=False), Seen(None, 0.05, disputed=False))


def at_a_payment_processor(members: Seen, hour: int) -> Evaluation:
    """An evaluation that says this of accounts 0, 4, 8, 12 and 16, and nothing of the one that pays for them."""
    seen = [members if i % 4 == 0 and i != PAYER else NOTHING for i in range(len(KEYS))]
    found = evaluation_of(seen, NOW_US + hour * US_PER_HOUR, newcomers=False)
    party = np.where(np.arange(len(KEYS)) == PAYER, 1, 0)
    return replace(
        found,
        graph=replace(found.graph, parties=["lab-a", "pay-a"], party=party),
        population=replace(found.population, silent=frozenset({"pay-a"})),
    )


def test_who_pays_for_standing_members_belongs_to_them_though_no_evaluation_confirms_these_any_more() -> None:
    """Their evidence has become weak and not gone: nobody is released, and it is no newcomer that must be confirmed."""
    tracker = Tracker(CampaignsConfig())
    for hour in range(0, 100, 5):
        tracker.update(at_a_payment_processor(SURE if hour == 0 else WEAK, hour))
        one = tracker.members.row(by_predicate=pl.col("account") == KEYS[PAYER][0], named=True)
        assert (one["since_us"], one["missed_since_us"], one["fast"]) == (NOW_US, None, False)


def test_who_paid_for_members_is_released_with_them() -> None:
    """Nobody holds anybody who holds him."""
    tracker = Tracker(CampaignsConfig())
    for hour in range(0, 100, 5):
        tracker.update(at_a_payment_processor(SURE if hour == 0 else NOTHING, hour))
    assert tracker.members.is_empty()
