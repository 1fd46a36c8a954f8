"""The curve of volume cut against measures: it never falls, and it is what those measures cut."""

import numpy as np
import pytest

from tests.weaklinks.worlds import PARTIES, Campaign, carded
from weaklink.records.identifiers import IdentifierKind
from weaklink.weaklinks.config import WeakLinksConfig
from weaklink.weaklinks.curve import CURVE, at_measures_per_account, cut_curve
from weaklink.weaklinks.cuts import plan_campaign

CONFIG = WeakLinksConfig()


def random_campaign(seed: int) -> Campaign:
    rng = np.random.default_rng(seed)
    campaign = Campaign()
    names = [(str(rng.choice(["lab-a", "lab-b", "router-a"])), f"user-{i}") for i in range(60)]
    for party, name in names:
        campaign.member(party, name, score=float(rng.uniform(0.3, 1)), requests_per_day=float(rng.lognormal(4, 1)))
    for i in range(12):
        campaign.stranger("lab-a", f"stranger-{i}")
    campaign.stranger("pay-a", "payer").stranger("cloud-a", "lessee")
    for identifier in range(50, 62):
        picked = [names[i] for i in rng.choice(len(names), size=8, replace=False)]
        honest = [("lab-a", f"stranger-{i}") for i in rng.choice(12, size=int(rng.integers(0, 3)), replace=False)]
        campaign.holds(IdentifierKind.CARD, identifier, [("pay-a", "payer"), *picked, *honest])
        campaign.holds(IdentifierKind.IP, 900 + identifier, [("cloud-a", "lessee"), *picked], slot=20_000, requests=30)
    return campaign


@pytest.mark.parametrize("seed", range(5))
def test_the_curve_never_falls_and_ends_no_higher_than_everything(seed: int) -> None:
    curve = cut_curve(*random_campaign(seed).frames(), PARTIES, CONFIG)
    assert curve["measures"].to_list() == list(range(1, curve.height + 1))
    for name in set(CURVE) - {"measures", "accounts"}:
        assert (curve[name].diff().drop_nulls() >= -1e-12).all()
    for name in ("cut_share", "reached_share"):
        assert 0 < curve[name].item(-1) <= 1 + 1e-12
    gains = curve["cut_share"].diff().drop_nulls()
    assert (gains.diff().drop_nulls() <= 1e-12).all()  # each adds no more than the one before


def test_few_measures_reach_by_what_many_come_by_though_the_plan_takes_accounts() -> None:
    """Forty accounts by one lessee's addresses: revoking its leases cuts less for good than suspending them, and reaches all of it at once."""
    campaign = Campaign().member("cloud-a", "lessee")
    names = [("lab-a" if i % 2 else "lab-b", f"user-{i}") for i in range(40)]
    for party, name in names:
        campaign.member(party, name)
    for address in range(4):
        users = [("cloud-a", "lessee"), *names[address::4]]
        # Two of them were let go long ago: what came by them counts, too.
        campaign.holds(IdentifierKind.IP, 900 + address, users, slot=19_000 - 10 * (address < 2), requests=100)
    curve = cut_curve(*campaign.frames(), PARTIES, CONFIG)
    reached, alone = at_measures_per_account(curve, 1 / 41, "reached_share")
    assert reached > 0.95
    assert alone == pytest.approx(1 / 40, rel=0.05)
    cut, _ = at_measures_per_account(curve, 1 / 41)
    assert cut <= CONFIG.revoke_lease_effect + 1e-9


@pytest.mark.parametrize("seed", range(3))
def test_the_curve_ends_at_what_the_plan_cuts_and_touches(seed: int) -> None:
    campaign = random_campaign(seed)
    plan = plan_campaign(*campaign.frames(), PARTIES, CONFIG)
    curve = cut_curve(*campaign.frames(), PARTIES, CONFIG)
    assert curve["cut_share"].item(-1) == pytest.approx(plan.volume_cut_share)
    assert curve["benign_accounts_touched"].item(-1) == plan.benign_accounts_touched


def test_one_card_cuts_more_than_any_one_account() -> None:
    config = WeakLinksConfig(block_identifier_effect=0.8)
    campaign = carded(40)
    curve = cut_curve(*campaign.frames(), PARTIES, config)
    assert at_measures_per_account(curve, 1 / 41) == (
        curve["cut_share"].item(0),
        curve["accounts_only_cut_share"].item(0),
    )
    assert curve["cut_share"].item(0) > 0.75
    assert curve["accounts_only_cut_share"].item(0) == pytest.approx(config.suspend_effect / 40, rel=0.05)
    assert at_measures_per_account(curve, 1 / 100) == (0.0, 0.0)


def test_a_campaign_about_which_nothing_can_be_done_has_an_empty_curve() -> None:
    curve = cut_curve(*Campaign().member("lab-a", "quiet", score=0.1).frames(), PARTIES, CONFIG)
    assert curve.is_empty()
    assert curve.schema == CURVE
