"""STIX bundles: sound by the library and by OASIS's own schemas, and one party's says nothing of another's."""

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
import stix2
import stix2validator
from hypothesis import given
from hypothesis import strategies as st

from tests.formats.actions import action, values
from weaklink.enforce.action import Action, State, Target, micros
from weaklink.enforce.messages import action_message
from weaklink.enforce.receipts import expired
from weaklink.formats.stix import actions_bundle, campaign_bundle
from weaklink.partner.models import EnforcementAction
from weaklink.partner.symbols import ActionState, Measure
from weaklink.records.codec import decode

CAMPAIGN = values("Campaign", "open")


def member(party: str, account: str, *, flagged: bool = True) -> dict[str, Any]:
    return values("CampaignMember", "confirmed") | {"party": party, "account": account, "flagged": flagged}


MEMBERS = [member("lab-a", "u-1042"), member("router-b", "reseller-9"), member("payment-c", "cust-77")]
ACTIONS = [action(), action("throttle-a-slice", action_id="1" * 32), action("block-card-withdrawn", action_id="2" * 32)]


def complaints(bundle: dict[str, Any]) -> list[str]:
    """What OASIS's JSON schemas and the best practices that the validator knows as errors say against a bundle."""
    ours = [
        "uuid-check",
        "open-vocab-format",
        "indicator-properties",
        "extensions-use",
    ]  # names and ids of our own are no error
    options = stix2validator.ValidationOptions(version="2.1", disabled=ours)
    result = stix2validator.validate_string(json.dumps(bundle), options)
    return [str(error) for error in result.errors]


def of_type(bundle: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [one for one in bundle["objects"] if one["type"] == kind]


def test_a_whole_campaign_is_a_bundle_that_library_and_schemas_accept() -> None:
    bundle = campaign_bundle(CAMPAIGN, MEMBERS, ACTIONS)
    assert complaints(bundle) == []
    assert len(stix2.parse(bundle, allow_custom=True).objects) == len(bundle["objects"])
    assert {one["user_id"] for one in of_type(bundle, "user-account")} == {"u-1042", "reseller-9", "cust-77"}
    (campaign,) = of_type(bundle, "campaign")
    assert (campaign["name"], campaign["confidence"]) == (CAMPAIGN["campaign_id"], 98)
    assert "16000000 exchanges" in campaign["description"]


def test_the_validator_would_see_a_bundle_that_is_wrong() -> None:
    bundle = campaign_bundle(CAMPAIGN, MEMBERS, ACTIONS)
    of_type(bundle, "indicator")[0]["pattern"] = "[user-account:user_id ="
    of_type(bundle, "campaign")[0].pop("name")
    assert len(complaints(bundle)) >= 2


def test_every_reference_of_a_bundle_is_in_it() -> None:
    bundle = campaign_bundle(CAMPAIGN, MEMBERS, ACTIONS)
    known = {one["id"] for one in bundle["objects"]}
    for one in bundle["objects"]:
        for name, value in one.items():
            if name.endswith("_ref"):
                assert value in known, name
            if name.endswith("_refs"):
                assert set(value) <= known, name


def test_actions_become_indicators_of_their_targets_with_tlp_2_and_expiry() -> None:
    bundle = campaign_bundle(CAMPAIGN, actions=ACTIONS)
    patterns = {one["pattern"]: one for one in of_type(bundle, "indicator")}
    assert set(patterns) == {
        "[user-account:user_id = 'u-1042']",
        "[user-account:user_id = 'reseller-9']",
        f"[x-weaklink-token:value = '{ACTIONS[2].target_token.hex() if ACTIONS[2].target_token else ''}']",
    }
    suspend = patterns["[user-account:user_id = 'u-1042']"]
    assert suspend["valid_until"] == "2026-03-09T09:15:30.123456Z"
    assert {one["name"] for one in of_type(bundle, "marking-definition")} == {"TLP:AMBER", "TLP:AMBER+STRICT"}
    withdrawn = [one["name"] for one in of_type(bundle, "course-of-action") if one["labels"] == ["withdrawn"]]
    assert withdrawn == ["BLOCK_IDENTIFIER"]


def test_an_export_made_again_has_the_same_identifiers() -> None:
    first, second = (campaign_bundle(CAMPAIGN, MEMBERS, ACTIONS) for _ in range(2))
    assert first == second


NAME = st.text("abcdefghij", min_size=4, max_size=8)


@given(st.lists(st.tuples(NAME, NAME), min_size=2, max_size=5, unique_by=lambda one: one[0]))
def test_a_partys_bundle_says_nothing_of_the_others(pairs: list[tuple[str, str]]) -> None:
    """Neither names nor accounts nor sums, whoever else is in the campaign."""
    # Words that no other text of a bundle holds.
    parties = [(f"party-{name}-x", f"account-{account}-{number}") for number, (name, account) in enumerate(pairs)]
    campaign = CAMPAIGN | {
        "parties": [party for party, _ in parties],
        "requests": 987654321987,
        "models": ["secret-model"],
    }
    members = [member(party, account) for party, account in parties]
    actions = [action(action_id=f"{number:032x}", party=party, target_account=account) for number, (party, account) in enumerate(parties)]  # fmt: skip
    mine, *others = parties
    text = json.dumps(campaign_bundle(campaign, members, actions, party=mine[0]))
    assert mine[1] in text
    assert not [word for other in others for word in other if word in text]
    assert "987654321987" not in text
    assert "secret-model" not in text


def test_members_that_are_not_confirmed_are_left_out() -> None:
    bundle = campaign_bundle(CAMPAIGN, [member("lab-a", "perhaps", flagged=False)])
    assert not of_type(bundle, "user-account")


def test_of_an_action_the_latest_revision_counts() -> None:
    lifted = action(revision=2, state=ActionState.WITHDRAWN)
    for order in ([action(), lifted], [lifted, action()]):
        bundle = actions_bundle(order)
        assert complaints(bundle) == []
        (indicator,) = of_type(bundle, "indicator")
        assert indicator["labels"] == ["withdrawn"]
        assert datetime.fromisoformat(indicator["valid_until"]) == lifted.issued_at


def test_versions_under_one_id_are_versions_of_stix() -> None:
    """Created once, modified later and later, and never revoked: an action that was withdrawn can be asked for again, a dissolved campaign can come back."""
    asked = action()
    day = timedelta(days=1)
    lifted = action(revision=2, state=ActionState.WITHDRAWN, issued_at=asked.issued_at + day)
    again = action(revision=3, issued_at=asked.issued_at + 9 * day, expires_at=asked.issued_at + 16 * day)
    later = CAMPAIGN["updated_at"] + day
    exports = [
        [actions_bundle([one]), campaign_bundle(CAMPAIGN | campaign, MEMBERS[number:], [one])]
        for number, (one, campaign) in enumerate(
            [(asked, {}), (lifted, {"state": "DISSOLVED", "updated_at": later}), (again, {"updated_at": later + day})]
        )
    ]
    for bundles in zip(*exports, strict=True):
        versions: dict[str, list[dict[str, Any]]] = {}
        for one in (one for bundle in bundles for one in bundle["objects"]):
            versions.setdefault(one["id"], []).append(one)
        for found in versions.values():
            assert len({one.get("created") for one in found}) == 1
            assert [one.get("modified", "") for one in found] == sorted(one.get("modified", "") for one in found)
            assert not any(one.get("revoked") for one in found)
        (indicators,) = [found for found in versions.values() if found[0]["type"] == "indicator"]
        assert len({one["modified"] for one in indicators}) == 3
    campaigns = [one for bundles in exports for bundle in bundles for one in of_type(bundle, "campaign")]
    assert len({one["created"] for one in campaigns}) == 1


@pytest.mark.parametrize("later_us", [0, 1, 700_000])
def test_an_action_that_has_expired_is_over(later_us: int) -> None:
    """As enforce publishes it: the revision that says so is issued when its time is over, and one of them in the topic must not end every export."""
    asked = action()
    expires_at_us = micros(asked.expires_at)
    known = Action(
        asked.action_id, asked.campaign_id, asked.measure, Target(asked.party, asked.target_account), State.ACTIVE,
        revision=1, change=1, opened_at_us=micros(asked.issued_at), issued_at_us=micros(asked.issued_at), expires_at_us=expires_at_us,
        respond_by_us=expires_at_us, evidence_at_us=micros(asked.evidence_at), confidence=asked.confidence, reasons=(),
        expected_cut=1.0, benign_accounts_touched=0,
    )  # fmt: skip
    told = action_message(expired(known, expires_at_us + later_us).action, "AMBER")
    ended = EnforcementAction.model_validate(decode(told.value)[1])
    assert (ended.state, ended.revision) == (ActionState.EXPIRED, 2)
    bundle = actions_bundle([asked, ended])
    assert complaints(bundle) == []
    (indicator,) = of_type(bundle, "indicator")
    assert indicator["labels"] == ["expired"]
    assert datetime.fromisoformat(indicator["valid_until"]) == asked.expires_at


@pytest.mark.parametrize("measure", list(Measure))
def test_every_measure_has_a_course_of_action(measure: Measure) -> None:
    bundle = actions_bundle([action(measure=measure)])
    assert complaints(bundle) == []
    assert of_type(bundle, "course-of-action")[0]["name"] == measure


def test_quotes_in_an_account_stay_inside_its_pattern() -> None:
    bundle = actions_bundle([action(target_account="o'neil\\x")])
    assert complaints(bundle) == []
    assert of_type(bundle, "indicator")[0]["pattern"] == "[user-account:user_id = 'o\\'neil\\\\x']"


def test_actions_of_two_parties_are_no_bundle() -> None:
    with pytest.raises(ValueError, match="several parties"):
        actions_bundle([action(), action("throttle-a-slice", action_id="1" * 32)])
