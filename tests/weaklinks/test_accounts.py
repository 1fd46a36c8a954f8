"""The account-level rule between two plans agrees with what a plan asks of accounts."""

from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.weaklinks.worlds import PARTIES, Campaign
from weaklink.records.codec import decode, encode
from weaklink.weaklinks.accounts import account_measures
from weaklink.weaklinks.config import WeakLinksConfig
from weaklink.weaklinks.cuts import Plan, plan_campaign

CONFIG = WeakLinksConfig()
_AGREED = ("party", "target_account", "measure", "confidence", "supporting_parties", "hard_identifier", "established", "own_finding", "op")  # fmt: skip


@st.composite
def campaigns(draw: st.DrawFn) -> Campaign:
    campaign = Campaign()
    for i in range(draw(st.integers(1, 12))):
        campaign.member(
            draw(st.sampled_from([*PARTIES, "unknown-party"])),
            f"account-{i}",
            score=draw(st.integers(0, 20).map(lambda n: n / 20)),
            requests_per_day=draw(st.sampled_from([0.0, 1.0, 40.0, 100.0, 900.0])),
            established=draw(st.booleans()),
            organisation_verified=draw(st.booleans()),
            own_finding=draw(st.booleans()),
            supporting_parties=draw(st.integers(0, 3)),
            hard_identifier=draw(st.booleans()),
            reseller=draw(st.integers(0, 9)) == 0,
        )
    return campaign


def of_accounts(campaign: Campaign, plan: Plan) -> list[dict[str, Any]]:
    return account_measures(campaign.frames()[0], PARTIES, CONFIG, plan.unit_requests_per_day)


def agreed(measures: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return sorted(tuple(one[name] for name in _AGREED) for one in measures)


@settings(max_examples=60, deadline=None)
@given(campaigns())
def test_without_upstream_measures_a_plan_asks_of_accounts_exactly_what_the_rule_asks(campaign: Campaign) -> None:
    plan = plan_campaign(*campaign.frames(), PARTIES, CONFIG)
    rule = [one for one in of_accounts(campaign, plan) if one["measure"] != "OBSERVE"]
    waits = ("REVOKE_LEASE", "REQUIRE_END_USER_IDS", "OBSERVE")
    assert agreed(rule) == agreed([one for one in plan.measures if one["measure"] not in waits])


@settings(max_examples=60, deadline=None)
@given(campaigns())
def test_nothing_but_accounts_is_asked_without_a_plan_and_old_accounts_are_never_suspended(campaign: Campaign) -> None:
    members = {(one["party"], one["account_name"]): one for one in campaign.members}
    for one in account_measures(campaign.frames()[0], PARTIES, CONFIG):
        member = members[one["party"], one["target_account"]]
        assert one["measure"] in ("SUSPEND", "CHALLENGE", "THROTTLE", "OBSERVE")
        assert not one["from_plan"]
        assert not member["reseller"]
        if one["measure"] == "SUSPEND":
            assert member["score"] > CONFIG.suspend_score_min
            assert member["hard_identifier"]
            assert not member["established"]
            assert not member["organisation_verified"]
            assert member["own_finding"] or member["supporting_parties"] >= CONFIG.suspend_parties_min


def test_what_the_rule_asks_fits_a_decision_and_says_why() -> None:
    campaign = Campaign().member("lab-a", "one").member("router-a", "two", score=0.6, own_finding=True)
    found = account_measures(campaign.frames()[0], PARTIES, CONFIG)
    assert [one["measure"] for one in found] == ["SUSPEND", "CHALLENGE"]
    assert [[reason["code"] for reason in one["reasons"]] for one in found] == [
        ["BELIEF"],
        ["OWN_FINDING", "BELIEF"],
    ]
    assert found[0]["expected_cut"] == 100 * 0.99 * CONFIG.suspend_effect
    decision = {
        "campaign_id": "c", "decided_at": 1, "evidence_at": 1, "confidence": 0.9, "accounts": 2, "requests_per_day": 1.0, "measures": found,
    }  # fmt: skip
    assert len(decode(encode("Decision", decision))[1]["measures"]) == 2


def test_no_members_need_no_measures() -> None:
    members = Campaign().member("lab-a", "one").frames()[0]
    assert account_measures(members.filter(pl.lit(value=False)), PARTIES, CONFIG) == []
