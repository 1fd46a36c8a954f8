"""The plan of a campaign: what is asked of whom, and whether what it says of itself is true."""

from typing import Any

import numpy as np
import polars as pl
import pytest

from tests.weaklinks.worlds import DAY_US, PARTIES, Campaign, carded
from weaklink.frames import token_bytes
from weaklink.parties import PartyKind
from weaklink.records.codec import decode, encode
from weaklink.records.identifiers import IdentifierKind
from weaklink.weaklinks.config import WeakLinksConfig
from weaklink.weaklinks.cuts import Plan, plan_campaign

CONFIG = WeakLinksConfig()


def plan_of(campaign: Campaign, config: WeakLinksConfig = CONFIG, **options: Any) -> Plan:
    return plan_campaign(*campaign.frames(), PARTIES, config, **options)


def by_measure(plan: Plan, measure: str) -> list[dict[str, Any]]:
    return [one for one in plan.measures if one["measure"] == measure]


def test_a_card_that_all_accounts_share_is_blocked_at_the_payment_party_that_sent_it() -> None:
    plan = plan_of(carded(20))
    (block,) = by_measure(plan, "BLOCK_IDENTIFIER")
    assert block["party"] == "pay-a"
    assert block["target_token"] == token_bytes(77, 77 * 256 + 7, int(IdentifierKind.CARD), 0)
    assert block["target_account"] is None
    # Its accounts are suspended too: the card is credited with its part of what both cut together.
    both = CONFIG.block_identifier_effect + CONFIG.suspend_effect
    assert block["expected_cut"] == pytest.approx(20 * 100 * 0.99 * CONFIG.block_identifier_effect / max(1.0, both))
    assert block["from_plan"]
    assert block["supporting_parties"] == 3
    assert plan.solver == "milp"
    assert plan.gap <= CONFIG.gap_relative


def test_a_card_that_many_strangers_use_is_left_alone() -> None:
    plan = plan_of(carded(4, strangers=60))
    assert by_measure(plan, "BLOCK_IDENTIFIER") == []
    assert plan.benign_accounts_touched == 0


def test_benign_accounts_touched_names_each_stranger_once_over_two_cards() -> None:
    campaign = carded(30, strangers=1)
    names = [(m["party"], m["account_name"]) for m in campaign.members]
    campaign.holds(IdentifierKind.CARD, 78, [*names, ("lab-a", "stranger-0")])
    plan = plan_of(campaign, WeakLinksConfig(suspend_effect=0.0))
    blocks = by_measure(plan, "BLOCK_IDENTIFIER")
    assert [block["benign_accounts_touched"] for block in blocks] == [1, 1]
    assert plan.benign_accounts_touched == 1


def test_a_token_that_no_payment_party_sent_is_nobodys_to_block() -> None:
    campaign = Campaign()
    names = [("lab-a", f"user-{i}") for i in range(20)]
    for party, name in names:
        campaign.member(party, name)
    plan = plan_of(campaign.holds(IdentifierKind.CARD, 5, names))
    assert {one["target_token"] for one in plan.measures} == {None}


def test_parties_are_told_only_their_own_accounts_and_tokens_that_they_sent() -> None:
    rng = np.random.default_rng(5)
    campaign = Campaign()
    names = [(str(rng.choice(list(PARTIES))), f"user-{i}") for i in range(120)]
    for party, name in names:
        campaign.member(party, name, score=float(rng.uniform(0.4, 1)), hard_identifier=bool(rng.random() < 0.8))
    for i in range(40):
        campaign.stranger("lab-a", f"stranger-{i}")
    everyone = names + [("lab-a", f"stranger-{i}") for i in range(40)]
    for identifier in range(100, 150):
        kind = IdentifierKind(int(rng.choice([1, 4, 5, 2])))
        picked = rng.choice(len(everyone), size=12, replace=False)
        campaign.holds(kind, identifier, [everyone[i] for i in picked], slot=20_000 if kind == 1 else 0, requests=30)
    _, links = campaign.frames()
    # Harm costs nothing here, so that every kind of measure is worth taking somewhere.
    plan = plan_of(campaign, WeakLinksConfig(benign_account_price=0.0, benign_volume_price=0.0, suspend_effect=0.1))
    assert by_measure(plan, "BLOCK_IDENTIFIER")
    assert by_measure(plan, "REVOKE_LEASE")
    sent = {
        (party, token_bytes(identifier, tail, kind, epoch))
        for party, identifier, tail, kind, epoch in links.select(
            "party", "identifier", "tail", "kind", "epoch"
        ).iter_rows()
    }
    for one in plan.measures:
        if one["target_account"] is not None:
            assert (one["party"], one["target_account"]) in names
        else:
            assert (one["party"], one["target_token"]) in sent
        kind_of_party = PARTIES[one["party"]]
        if one["measure"] == "BLOCK_IDENTIFIER":
            assert kind_of_party is PartyKind.PAYMENT
        if one["measure"] == "REVOKE_LEASE":
            assert kind_of_party is PartyKind.CLOUD
        if one["measure"] in ("THROTTLE", "REQUIRE_END_USER_IDS"):
            assert kind_of_party in (PartyKind.LAB, PartyKind.ROUTER)


@pytest.mark.parametrize(
    ("changes", "measure"),
    [
        ({}, "SUSPEND"),
        ({"score": 0.85}, "CHALLENGE"),
        ({"score": 0.9}, "CHALLENGE"),
        ({"hard_identifier": False}, "CHALLENGE"),
        ({"supporting_parties": 1}, "CHALLENGE"),
        ({"supporting_parties": 1, "own_finding": True}, "SUSPEND"),
        ({"established": True}, "THROTTLE"),
        ({"organisation_verified": True}, "THROTTLE"),
        ({"score": 0.3}, "OBSERVE"),
        ({"reseller": True}, "REQUIRE_END_USER_IDS"),
    ],
)
def test_an_account_is_asked_for_no_more_than_its_evidence_carries(changes: dict[str, Any], measure: str) -> None:
    campaign = Campaign().member("lab-a", "one", **changes)
    for i in range(11):
        campaign.member("lab-a", f"other-{i}")
    plan = plan_of(campaign)
    (own,) = [one for one in plan.measures if one["target_account"] == "one"]
    assert own["measure"] == measure
    assert own["from_plan"] == (measure != "OBSERVE")


def test_a_reseller_is_asked_for_end_user_ids_and_only_the_offending_slice_is_throttled() -> None:
    campaign = Campaign().member("router-a", "shop", reseller=True, requests_per_day=1000.0)
    campaign.member("lab-a", "user")
    account = campaign.members[0]["account"]
    slices = pl.DataFrame(
        {"account": [account], "slice_model": [None], "slice_end_user": [b"\x0c" * 17], "requests_per_day": [500.0]},
        schema={
            "account": pl.UInt64,
            "slice_model": pl.String,
            "slice_end_user": pl.Binary,
            "requests_per_day": pl.Float64,
        },
    )
    plan = plan_of(campaign, slices=slices)
    on_shop = {one["measure"]: one for one in plan.measures if one["target_account"] == "shop"}
    assert set(on_shop) == {"REQUIRE_END_USER_IDS", "THROTTLE"}
    assert on_shop["THROTTLE"]["slice_end_user"] == b"\x0c" * 17
    # All of the campaign's part of the shop flows through the slice; asking for END_USER ids overlaps with throttling it.
    both = CONFIG.throttle_effect + CONFIG.require_end_user_ids_effect
    cut = 500 * 0.99 * CONFIG.throttle_effect / max(1.0, both)
    assert on_shop["THROTTLE"]["expected_cut"] == pytest.approx(cut)


def test_a_reseller_that_looks_benign_is_still_asked_when_it_shares_tokens_with_the_campaign() -> None:
    campaign = Campaign().member("router-a", "shop", reseller=True, requests_per_day=50_000.0, score=0.02)
    names = [("lab-a", f"user-{i}") for i in range(12)]
    for party, name in names:
        campaign.member(party, name)
    plan = plan_of(campaign.holds(IdentifierKind.DEVICE, 3, [("router-a", "shop"), *names]))
    (own,) = [one for one in plan.measures if one["target_account"] == "shop"]
    assert own["measure"] == "REQUIRE_END_USER_IDS"
    assert own["confidence"] == pytest.approx(0.99)
    assert own["expected_cut"] == 0.0


def test_a_resellers_other_traffic_does_not_count_as_the_campaigns_volume() -> None:
    campaign = carded(12).member("router-a", "shop", reseller=True, requests_per_day=1_000_000.0)
    suspended = {one["target_account"] for one in by_measure(plan_of(campaign), "SUSPEND")}
    assert suspended >= {f"user-{i}" for i in range(12)}
    assert "shop" not in suspended


def test_leases_of_a_clouds_account_in_the_campaign_are_revoked_with_the_account() -> None:
    campaign = Campaign().member("cloud-a", "lessee")
    names = [("lab-a", f"user-{i}") for i in range(10)]
    for party, name in names:
        campaign.member(party, name)
    for address in range(3):
        campaign.holds(IdentifierKind.IP, 900 + address, [("cloud-a", "lessee"), *names], slot=19_000, requests=25)
    (revoke,) = by_measure(plan_of(campaign), "REVOKE_LEASE")
    assert (revoke["party"], revoke["target_account"]) == ("cloud-a", "lessee")
    upstream = 0.75 * CONFIG.revoke_lease_effect
    assert revoke["expected_cut"] == pytest.approx(
        10 * 100 * 0.99 * upstream / max(1.0, upstream + CONFIG.suspend_effect)
    )


def test_an_address_is_revoked_by_its_token_when_the_lessee_is_a_stranger_and_counts_as_touched() -> None:
    campaign = Campaign().stranger("cloud-a", "vpn", requests_per_day=0.0)
    names = [("lab-a", f"user-{i}") for i in range(40)]
    for party, name in names:
        campaign.member(party, name)
    honest = [("lab-b", f"customer-{i}") for i in range(60)]
    for party, name in honest:
        campaign.stranger(party, name)
    campaign.holds(IdentifierKind.IP, 900, [("cloud-a", "vpn"), *names], slot=19_000, requests=100)
    campaign.holds(IdentifierKind.IP, 901, [("cloud-a", "vpn"), *honest], slot=19_000, requests=100)
    (revoke,) = by_measure(plan_of(campaign), "REVOKE_LEASE")
    assert revoke["target_account"] is None
    assert revoke["target_token"] == token_bytes(900, 900 * 256 + 7, int(IdentifierKind.IP), 0)
    assert revoke["benign_accounts_touched"] == 1
    assert not revoke["hard_identifier"]


def feeding(addresses: int, honest: int) -> Campaign:
    """A lessee outside the campaign, whose addresses 40 of its accounts at two labs come by, and some honest ones."""
    campaign = Campaign().stranger("cloud-a", "lessee", requests_per_day=0.0)
    names = [("lab-a" if i % 2 else "lab-b", f"user-{i}") for i in range(40)]
    others = [("lab-a", f"customer-{i}") for i in range(honest)]
    for party, name in names:
        campaign.member(party, name)
    for party, name in others:
        campaign.stranger(party, name)
    for i in range(addresses):
        users = [*names[i::addresses], *others[i::addresses]]
        campaign.holds(IdentifierKind.IP, 900 + i, [("cloud-a", "lessee"), *users], slot=19_000, requests=100)
    return campaign


def test_a_lessee_outside_the_campaign_whose_every_address_feeds_it_loses_its_leases_as_a_whole() -> None:
    (revoke,) = by_measure(plan_of(feeding(5, honest=0)), "REVOKE_LEASE")
    assert (revoke["party"], revoke["target_account"]) == ("cloud-a", "lessee")
    assert revoke["supporting_parties"] == 2
    assert not revoke["hard_identifier"]
    assert revoke["benign_accounts_touched"] == 0
    assert revoke["confidence"] > 0.9


def test_a_lessee_in_the_campaign_is_judged_by_whom_it_feeds_as_one_outside_is() -> None:
    """Its own belief would only have it challenged."""
    campaign = feeding(5, honest=0).member("cloud-a", "lessee", score=0.6, hard_identifier=False, supporting_parties=0)
    (revoke,) = by_measure(plan_of(campaign), "REVOKE_LEASE")
    assert (revoke["party"], revoke["target_account"]) == ("cloud-a", "lessee")
    assert revoke["confidence"] > 0.9
    assert revoke["supporting_parties"] == 2
    for spared in (
        feeding(5, honest=40).member("cloud-a", "lessee", score=0.6, hard_identifier=False),
        feeding(5, honest=0).member("cloud-a", "lessee", score=0.6, hard_identifier=False, established=True),
    ):
        assert all(one["target_account"] is None for one in by_measure(plan_of(spared), "REVOKE_LEASE"))


def test_a_lessee_with_honest_users_a_verified_one_or_one_of_a_single_address_is_never_asked_about_as_a_whole() -> None:
    verified = feeding(5, honest=0)
    verified.verified.add(("cloud-a", "lessee"))
    for link in verified.links:
        link["organisation_verified"] = (link["party"], link["account_name"]) in verified.verified
    for campaign in (feeding(5, honest=8), feeding(1, honest=0), verified):
        assert {one["target_account"] for one in by_measure(plan_of(campaign), "REVOKE_LEASE")} <= {None}


def test_a_payer_whose_card_only_the_campaign_uses_is_no_benign_account_that_is_touched() -> None:
    campaign = Campaign().stranger("pay-a", "payer", requests_per_day=0.0)
    names = [("lab-a", f"user-{i}") for i in range(6)]
    for party, name in names:
        campaign.member(party, name)
    (block,) = by_measure(
        plan_of(campaign.holds(IdentifierKind.CARD, 7, [("pay-a", "payer"), *names])), "BLOCK_IDENTIFIER"
    )
    assert block["benign_accounts_touched"] == 0


def test_an_address_that_was_left_days_ago_is_not_worth_a_measure() -> None:
    campaign = Campaign().stranger("cloud-a", "vpn")
    names = [("lab-a", f"user-{i}") for i in range(40)]
    for party, name in names:
        campaign.member(party, name)
    campaign.holds(IdentifierKind.IP, 900, [("cloud-a", "vpn"), *names], slot=3, requests=100, last_seen_us=4 * DAY_US)
    campaign.holds(IdentifierKind.DEVICE, 901, names)
    assert by_measure(plan_of(campaign), "REVOKE_LEASE") == []


def test_a_hub_whose_holders_are_no_longer_all_known_is_never_cut() -> None:
    campaign = carded(20)
    campaign.links[0]["holders"] = CONFIG.hub_holders_max + 1
    assert by_measure(plan_of(campaign), "BLOCK_IDENTIFIER") == []


def test_accounts_of_an_unregistered_party_are_only_observed() -> None:
    campaign = carded(4).member("unknown-party", "ghost", requests_per_day=100.0)
    (ghost,) = [one for one in plan_of(campaign).measures if one["party"] == "unknown-party"]
    assert ghost["measure"] == "OBSERVE"


def test_a_campaign_without_usage_is_planned_by_accounts_and_promises_no_cut() -> None:
    campaign = Campaign()
    names = [("pay-a", f"payer-{i}") for i in range(15)]
    for party, name in names:
        campaign.member(party, name, supporting_parties=1)
    plan = plan_of(campaign.holds(IdentifierKind.BANK_ACCOUNT, 6, names))
    assert by_measure(plan, "BLOCK_IDENTIFIER")
    assert {one["expected_cut"] for one in plan.measures} == {0.0}
    assert plan.volume_cut_share > 0.5


def test_no_links_and_a_single_member_still_give_a_plan() -> None:
    plan = plan_of(Campaign().member("lab-a", "alone"))
    assert [one["measure"] for one in plan.measures] == ["SUSPEND"]
    assert plan.volume_cut_share == pytest.approx(CONFIG.suspend_effect)


def test_every_measure_fits_the_decision_schema_and_carries_its_reasons() -> None:
    plan = plan_of(carded(12, strangers=1).member("lab-a", "quiet", score=0.2))
    decision = {
        "campaign_id": "c",
        "decided_at": 1,
        "evidence_at": 1,
        "confidence": 0.9,
        "accounts": 13,
        "requests_per_day": 1.0,
        "measures": plan.measures,
    }
    record, back = decode(encode("Decision", decision))
    assert record == "Decision"
    assert [one["measure"] for one in back["measures"]] == [one["measure"] for one in plan.measures]
    for one in plan.measures:
        weights = [reason["weight"] for reason in one["reasons"]]
        assert weights
        assert weights == sorted(weights, reverse=True)


def test_volume_cut_share_is_what_the_measures_cut_of_the_members_volume() -> None:
    plan = plan_of(carded(20))
    # Suspension and the blocked card together cut everything of the labs' accounts, and of the idle payer.
    assert plan.volume_cut_share == pytest.approx(1.0)
    only_accounts = plan_of(carded(20), WeakLinksConfig(block_identifier_effect=0.0))
    assert only_accounts.volume_cut_share == pytest.approx(CONFIG.suspend_effect)


def test_expected_cuts_are_what_is_really_cut_where_the_flows_are_known() -> None:
    """Requests in a made-up world, each by one account, paid by its card: every measure stops those that reach it at its rate."""
    rng = np.random.default_rng(8)
    config = WeakLinksConfig(suspend_effect=0.5, block_identifier_effect=0.4, challenge_effect=0.3)
    campaign = Campaign().stranger("pay-a", "payer")
    names = [("lab-a" if i % 2 else "lab-b", f"user-{i}") for i in range(30)]
    per_day = rng.integers(60, 140, len(names))
    cards = rng.integers(0, 5, len(names))
    for i, (party, name) in enumerate(names):
        campaign.member(party, name, score=0.99 if i % 3 else 0.8, requests_per_day=float(per_day[i]))
    for card in range(5):
        users = [name for name, own in zip(names, cards, strict=True) if own == card]
        campaign.holds(IdentifierKind.CARD, 70 + card, [("pay-a", "payer"), *users])
    plan = plan_of(campaign, config)
    effect = {"SUSPEND": 0.5, "CHALLENGE": 0.3, "BLOCK_IDENTIFIER": 0.4}
    days, cut = 400, 0
    guilty = rng.random((days, len(names))) < np.array([m["score"] for m in campaign.members])
    for i, (party, name) in enumerate(names):
        reached = [
            effect[one["measure"]]
            for one in plan.measures
            if (one["party"], one["target_account"]) == (party, name)
            or one["target_token"]
            == token_bytes(70 + int(cards[i]), (70 + int(cards[i])) * 256 + 7, int(IdentifierKind.CARD), 0)
        ]
        made = guilty[:, i] * per_day[i]  # an account that is honest after all makes no request of the campaign
        cut += int(rng.binomial(made, min(1.0, sum(reached))).sum())
    assert {one["measure"] for one in plan.measures} == set(effect)
    assert cut / days == pytest.approx(sum(one["expected_cut"] for one in plan.measures), rel=0.01)


@pytest.mark.parametrize("seed", range(4))
def test_expected_cuts_of_a_plan_add_up_to_what_it_cuts_and_no_more(seed: int) -> None:
    rng = np.random.default_rng(seed)
    campaign = Campaign()
    names = [(str(rng.choice(["lab-a", "lab-b", "router-a"])), f"user-{i}") for i in range(40)]
    for party, name in names:
        # More than `idle_volume` of the mean each, so that the plan's volumes are the requests themselves.
        campaign.member(party, name, requests_per_day=float(rng.uniform(60, 140)), score=float(rng.uniform(0.6, 1)))
    campaign.stranger("pay-a", "payer").stranger("cloud-a", "lessee")
    for identifier in range(50, 60):
        picked = [names[i] for i in rng.choice(len(names), size=8, replace=False)]
        campaign.holds(IdentifierKind.CARD, identifier, [("pay-a", "payer"), *picked])
        campaign.holds(IdentifierKind.IP, 100 + identifier, [("cloud-a", "lessee"), *picked], slot=20_000, requests=30)
    plan = plan_of(campaign, WeakLinksConfig(benign_account_price=0.1))
    assert {"SUSPEND", "BLOCK_IDENTIFIER"} <= {one["measure"] for one in plan.measures}
    whole = sum(one["score"] * one["requests_per_day"] for one in campaign.members)
    assert sum(one["expected_cut"] for one in plan.measures) == pytest.approx(plan.volume_cut_share * whole)
    assert all(one["expected_cut"] >= 0 for one in plan.measures)


def test_the_order_of_rows_changes_nothing() -> None:
    campaign = carded(25, strangers=3)
    members, links = campaign.frames()
    one = plan_campaign(members, links, PARTIES, CONFIG)
    other = plan_campaign(members.reverse(), links.reverse(), PARTIES, CONFIG)
    assert sorted(map(_key, one.measures)) == sorted(map(_key, other.measures))
    assert one.volume_cut_share == pytest.approx(other.volume_cut_share)


def _key(measure: dict[str, Any]) -> tuple[str, str, str, bytes]:
    return measure["party"], measure["measure"], measure["target_account"] or "", measure["target_token"] or b""
