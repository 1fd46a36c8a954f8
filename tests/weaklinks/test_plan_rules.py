"""What must hold of every plan, whatever the campaign: who may be asked for what, and who is never suspended."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.enforce.samples import proposal
from tests.weaklinks.worlds import PARTIES, Campaign
from weaklink.enforce.config import EnforceConfig
from weaklink.enforce.policy import granted_measure
from weaklink.frames import token_bytes
from weaklink.parties import PartyKind
from weaklink.records.identifiers import IdentifierKind as Kind
from weaklink.weaklinks.config import WeakLinksConfig
from weaklink.weaklinks.cuts import plan_campaign

# Harm costs little here, so that measures of every kind are worth taking somewhere.
CONFIG = WeakLinksConfig(benign_account_price=0.05, benign_volume_price=0.0)
SERVING = (PartyKind.LAB, PartyKind.ROUTER)
MAY = {
    "SUSPEND": set(PartyKind) - {PartyKind.CLOUD},
    "CHALLENGE": set(PartyKind),
    "THROTTLE": set(SERVING),
    "OBSERVE": set(PartyKind),
    "BLOCK_IDENTIFIER": {PartyKind.PAYMENT},
    "REVOKE_LEASE": {PartyKind.CLOUD},
    "REQUIRE_END_USER_IDS": set(SERVING),
}


@st.composite
def campaigns(draw: st.DrawFn) -> Campaign:
    campaign = Campaign()
    names = []
    for i in range(draw(st.integers(2, 10))):
        names.append((draw(st.sampled_from([*PARTIES, "unknown-party"])), f"account-{i}"))
        campaign.member(
            *names[-1],
            score=draw(st.sampled_from([0.2, 0.6, 0.9, 0.95, 1.0])),
            requests_per_day=draw(st.sampled_from([0.0, 50.0, 400.0])),
            established=draw(st.booleans()),
            organisation_verified=draw(st.booleans()),
            own_finding=draw(st.booleans()),
            supporting_parties=draw(st.integers(0, 3)),
            hard_identifier=draw(st.booleans()),
            reseller=draw(st.integers(0, 5)) == 0,
        )
    for i in range(draw(st.integers(0, 4))):
        names.append((draw(st.sampled_from(list(PARTIES))), f"stranger-{i}"))
        campaign.stranger(*names[-1], score=draw(st.sampled_from([0.01, 0.7])))
        if draw(st.booleans()):
            campaign.verified.add(names[-1])
    for identifier in range(draw(st.integers(0, 5))):
        kind = draw(st.sampled_from([Kind.CARD, Kind.BANK_ACCOUNT, Kind.IP, Kind.DEVICE]))
        holders = draw(st.lists(st.sampled_from(names), min_size=2, max_size=8, unique=True))
        campaign.holds(kind, 100 + identifier, holders, slot=20_000 if kind is Kind.IP else 0, requests=40)
    return campaign


@settings(max_examples=60, deadline=None)
@given(campaigns())
def test_every_measure_goes_to_a_party_that_can_take_it_on_what_is_its_own(campaign: Campaign) -> None:
    _, links = campaign.frames()
    accounts = {(one["party"], one["account_name"]) for one in campaign.members}
    lessees = {
        name for name in campaign.outside if PARTIES[name[0]] is PartyKind.CLOUD and name not in campaign.verified
    }
    sent = {
        (party, token_bytes(*parts))
        for party, *parts in links.select("party", "identifier", "tail", "kind", "epoch").iter_rows()
    }
    for one in plan_campaign(*campaign.frames(), PARTIES, CONFIG).measures:
        if one["party"] not in PARTIES:
            assert one["measure"] == "OBSERVE"
            continue
        assert PARTIES[one["party"]] in MAY[one["measure"]]
        if one["target_token"] is not None:
            assert one["measure"] in ("BLOCK_IDENTIFIER", "REVOKE_LEASE")
            assert (one["party"], one["target_token"]) in sent
        else:
            target = one["party"], one["target_account"]
            assert target in accounts or (one["measure"] == "REVOKE_LEASE" and target in lessees)


@settings(max_examples=60, deadline=None)
@given(campaigns())
def test_no_reseller_old_account_or_verified_organisation_is_suspended_by_plan_or_policy(campaign: Campaign) -> None:
    members = {(one["party"], one["account_name"]): one for one in campaign.members}
    for one in plan_campaign(*campaign.frames(), PARTIES, CONFIG).measures:
        member = members.get((one["party"], one["target_account"]))
        granted = granted_measure(proposal(**one), EnforceConfig())
        if member is None or not {granted, one["measure"]} & {"SUSPEND", "REVOKE_LEASE"}:
            continue
        assert not member["reseller"]
        assert not member["established"]
        assert not member["organisation_verified"]
        assert one["confidence"] > CONFIG.suspend_score_min
        assert member["own_finding"] or member["supporting_parties"] >= CONFIG.suspend_parties_min
        assert granted == one["measure"]  # policy and plan judge alike


@settings(max_examples=30, deadline=None)
@given(campaigns())
def test_a_plan_says_the_truth_of_its_bound_its_cut_and_its_harm(campaign: Campaign) -> None:
    plan = plan_campaign(*campaign.frames(), PARTIES, CONFIG)
    assert 0 <= plan.gap <= 0.02
    assert -1e-9 <= plan.volume_cut_share <= 1 + 1e-9
    honest = [name for name, (score, _) in campaign.outside.items() if score < CONFIG.benign_score_max]
    assert plan.benign_accounts_touched <= len(honest)
    whole = sum(one["requests_per_day"] for one in campaign.members)
    assert sum(one["expected_cut"] for one in plan.measures) <= whole + 1e-6
