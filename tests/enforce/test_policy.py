"""Policy: what a proposal is granted, what waits, what ends, and that order and repeats change nothing."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.enforce.samples import proposal
from weaklink.enforce.action import HOUR_US, LIVE, Cause, State, Target, action_id
from weaklink.enforce.config import EnforceConfig
from weaklink.enforce.policy import Outcome, apply_policy, granted_measure
from weaklink.enforce.receipts import answer, approved, declined
from weaklink.enforce.view import LedgerView
from weaklink.frames import enum_type
from weaklink.measures import SEVERITY, UPSTREAM

CONFIG = EnforceConfig()
TOKEN = b"\x04\x01" + bytes(15)


def decide(
    view: LedgerView,
    *measures: dict[str, Any],
    at_us: int = 1,
    now_us: int | None = None,
    config: EnforceConfig = CONFIG,
) -> Outcome:
    """Apply a decision and take in its outcome."""
    now = at_us if now_us is None else now_us
    outcome = apply_policy(measures, view, now, config, campaign_id="c-1", decided_at_us=at_us, evidence_at_us=7)
    view.take(outcome.changes, outcome.proposals)
    return outcome


def live(view: LedgerView) -> set[tuple[str, str, str]]:
    """(target, measure, state) of what stands or waits."""
    return {(one.target.name, one.measure, one.state.value) for one in view.actions.values() if one.state in LIVE}


@pytest.mark.parametrize(
    ("fields", "granted"),
    [
        ({}, "SUSPEND"),
        ({"supporting_parties": 1}, "CHALLENGE"),
        ({"supporting_parties": 0, "own_finding": True}, "SUSPEND"),
        ({"confidence": 0.9}, "CHALLENGE"),
        ({"confidence": 0.901}, "SUSPEND"),
        ({"confidence": 0.49}, "OBSERVE"),
        ({"hard_identifier": False}, "CHALLENGE"),
        ({"hard_identifier": False, "own_finding": True}, "CHALLENGE"),
        ({"established": True}, "CHALLENGE"),
        ({"established": True, "own_finding": True}, "CHALLENGE"),
        ({"measure": "THROTTLE", "supporting_parties": 0, "hard_identifier": False}, "THROTTLE"),
        ({"measure": "CHALLENGE", "confidence": 0.5}, "CHALLENGE"),
        ({"measure": "CHALLENGE", "confidence": 0.3}, "OBSERVE"),
        ({"measure": "OBSERVE", "confidence": 0.99}, "OBSERVE"),
        ({"measure": "BLOCK_IDENTIFIER", "from_plan": False}, None),
        ({"measure": "BLOCK_IDENTIFIER"}, "BLOCK_IDENTIFIER"),
        ({"measure": "REVOKE_LEASE", "from_plan": False}, None),
        ({"measure": "REVOKE_LEASE", "hard_identifier": False}, "REVOKE_LEASE"),
        ({"measure": "REVOKE_LEASE", "confidence": 0.8}, "CHALLENGE"),
        ({"measure": "REVOKE_LEASE", "supporting_parties": 1}, "CHALLENGE"),
        ({"measure": "REVOKE_LEASE", "established": True, "own_finding": True}, "CHALLENGE"),
        ({"measure": "REVOKE_LEASE", "confidence": 0.8, "target_account": None, "target_token": TOKEN}, "REVOKE_LEASE"),
        ({"measure": "REVOKE_LEASE", "confidence": 0.2}, "OBSERVE"),
        ({"measure": "REQUIRE_END_USER_IDS", "from_plan": False}, None),
        ({"measure": "REQUIRE_END_USER_IDS"}, "REQUIRE_END_USER_IDS"),
    ],
)
def test_evidence_grants_the_measure_that_it_carries(fields: dict[str, Any], granted: str | None) -> None:
    """The graduated ladder, gate by gate."""
    assert granted_measure(proposal(**fields), CONFIG) == granted


def test_every_measure_has_its_severity() -> None:
    """One without would be refused as malformed."""
    assert set(SEVERITY) == set(enum_type("EnforcementAction", "measure").categories)
    assert set(SEVERITY) > UPSTREAM


def test_an_action_carries_the_decision_to_its_party() -> None:
    """Identity, evidence and lifetime of a new action."""
    (change,) = decide(LedgerView(), proposal(), at_us=10).changes
    action = change.action
    assert action.action_id == action_id("c-1", Target("lab-a", "acct-1"), "SUSPEND")
    assert (action.state, action.revision, change.publish, change.cause) == (State.ACTIVE, 1, True, Cause.ISSUED)
    assert action.reasons == (("SHARED_CARD", 1.5, 2),)
    assert (action.issued_at_us, action.evidence_at_us) == (10, 7)
    assert action.expires_at_us == 10 + 90 * 24 * HOUR_US
    assert action.respond_by_us == 10 + 24 * HOUR_US


def test_the_action_id_is_the_published_formula() -> None:
    """First 32 hex digits of SHA-256 over campaign|party|target|measure|slice, as parties and backtest compute it."""
    import hashlib

    text = f"c-1|pay-a|{TOKEN.hex()}|BLOCK_IDENTIFIER|"
    assert (
        action_id("c-1", Target("pay-a", token=TOKEN), "BLOCK_IDENTIFIER")
        == hashlib.sha256(text.encode()).hexdigest()[:32]
    )
    sliced = Target("lab-a", "reseller", slice_model="m-2", slice_end_user=b"\x0c\x01")
    text = "c-1|lab-a|reseller|THROTTLE|m-2/0c01"
    assert action_id("c-1", sliced, "THROTTLE") == hashlib.sha256(text.encode()).hexdigest()[:32]


def test_more_evidence_replaces_the_milder_action_and_less_brings_it_back() -> None:
    """SUSPEND on one party's evidence is a CHALLENGE, becomes SUSPEND with a second, and falls back when that is gone."""
    view = LedgerView()
    decide(view, proposal(supporting_parties=1), at_us=1)
    assert live(view) == {("acct-1", "CHALLENGE", "ACTIVE")}
    second = decide(view, proposal(), at_us=2)
    assert [(one.action.measure, one.action.state) for one in second.changes] == [
        ("SUSPEND", State.ACTIVE),
        ("CHALLENGE", State.WITHDRAWN),
    ]
    decide(view, proposal(supporting_parties=1), at_us=3)
    assert live(view) == {("acct-1", "CHALLENGE", "ACTIVE")}


def test_an_action_stands_while_any_proposal_calls_for_it() -> None:
    """A CHALLENGE that two proposals lead to ends with the second of them."""
    view = LedgerView()
    decide(view, proposal(supporting_parties=1), proposal(measure="CHALLENGE"), at_us=1)
    assert live(view) == {("acct-1", "CHALLENGE", "ACTIVE")}
    decide(view, proposal(op="WITHDRAW"), at_us=2)
    assert live(view) == {("acct-1", "CHALLENGE", "ACTIVE")}
    decide(view, proposal(measure="CHALLENGE", op="WITHDRAW"), at_us=3)
    assert live(view) == set()


def test_a_withdrawal_counts_the_revision_on_and_a_new_issue_again() -> None:
    """Revisions go on over withdrawal and return, so that the highest stands."""
    view = LedgerView()
    decide(view, proposal(), at_us=1)
    (withdrawal,) = decide(view, proposal(op="WITHDRAW"), at_us=2).changes
    assert (withdrawal.action.state, withdrawal.action.revision, withdrawal.publish) == (State.WITHDRAWN, 2, True)
    (again,) = decide(view, proposal(), at_us=3).changes
    assert (again.action.state, again.action.revision) == (State.ACTIVE, 3)


def test_an_issue_and_a_withdrawal_at_the_same_time_leave_nothing() -> None:
    """Whichever is read first; what is decided later counts again."""
    for order in (["ISSUE", "WITHDRAW"], ["WITHDRAW", "ISSUE"]):
        view = LedgerView()
        for op in order:
            decide(view, proposal(op=op), at_us=5)
        assert live(view) == set()
        decide(view, proposal(), at_us=6)
        assert live(view) == {("acct-1", "SUSPEND", "ACTIVE")}


def test_an_action_that_is_opened_again_was_issued_when_its_present_revision_was() -> None:
    """While it waits for a person, the party's last word is still the withdrawal; approved, it is issued anew. Of one that the party never saw,
    the time is that of the opening."""
    view = LedgerView()
    decide(view, proposal(), at_us=1)
    decide(view, proposal(op="WITHDRAW"), at_us=2)
    (waiting,) = (one.action for one in decide(view, proposal(benign_accounts_touched=99), at_us=3).changes)
    assert (waiting.state, waiting.revision, waiting.issued_at_us, waiting.opened_at_us) == (State.WAITING, 2, 2, 3)
    again = approved(waiting, 4, CONFIG, by="eva", note=None).action
    assert (again.revision, again.issued_at_us) == (3, 4)

    view = LedgerView()
    decide(view, proposal(benign_accounts_touched=99), at_us=1)
    assert decide(view, proposal(op="WITHDRAW"), at_us=2).changes[0].action.revision == 0
    (unseen,) = (one.action for one in decide(view, proposal(benign_accounts_touched=99), at_us=3).changes)
    assert (unseen.revision, unseen.issued_at_us) == (0, 3)


def test_a_standing_action_is_renewed_only_late_in_its_life() -> None:
    """Proposing it again early changes nothing; past half of its lifetime it is a new revision with a new end."""
    view = LedgerView()
    decide(view, proposal(), at_us=0)
    assert decide(view, proposal(), at_us=44 * 24 * HOUR_US).changes == ()
    (renewed,) = decide(view, proposal(), at_us=46 * 24 * HOUR_US).changes
    assert (renewed.cause, renewed.action.revision) == (Cause.RENEWED, 2)
    assert renewed.action.expires_at_us == (46 + 90) * 24 * HOUR_US


def test_too_many_benign_accounts_wait_for_a_person() -> None:
    """One beyond the limit waits unpublished; at the limit it does not; OBSERVE harms nobody and never waits."""
    limit = CONFIG.benign_accounts_touched_max
    view = LedgerView()
    decide(
        view, proposal(benign_accounts_touched=limit), proposal(target_account="b", benign_accounts_touched=limit + 1)
    )
    decide(view, proposal(target_account="c", measure="OBSERVE", benign_accounts_touched=10 * limit), at_us=2)
    assert live(view) == {("acct-1", "SUSPEND", "ACTIVE"), ("b", "SUSPEND", "WAITING"), ("c", "OBSERVE", "ACTIVE")}
    (waiting,) = (one for one in view.actions.values() if one.state is State.WAITING)
    assert waiting.revision == 0


def test_what_a_decision_touches_in_all_is_bounded_and_the_most_harmful_waits() -> None:
    """Eleven actions of at most 20 benign accounts each: those beyond 200 together wait, however the decision lists them."""
    harms = [20, 20, 20, 0, 20, 20, 20, 20, 20, 20, 19, 20, 0]
    measures = [proposal(target_account=f"acct-{i}", benign_accounts_touched=harm) for i, harm in enumerate(harms)]
    stood = []
    for order in (measures, measures[::-1]):
        view = LedgerView()
        decide(view, *order)
        stood.append(live(view))
        waiting = [one for one in view.actions.values() if one.state is State.WAITING]
        assert [one.benign_accounts_touched for one in waiting] == [20]
        active = sum(one.benign_accounts_touched for one in view.actions.values() if one.state is State.ACTIVE)
        assert active <= CONFIG.benign_accounts_touched_by_decision_max
    assert stood[0] == stood[1]


def test_an_ordinary_campaign_passes_and_a_runaway_waits() -> None:
    """A thousand suspensions pass in an hour; what comes beyond 2,000 waits, and passes again in the next hour."""
    view = LedgerView()

    def suspend(first: int, count: int, at_us: int) -> set[str]:
        measures = [proposal(target_account=f"acct-{i}") for i in range(first, first + count)]
        return {change.action.state.value for change in decide(view, *measures, at_us=at_us).changes}

    assert suspend(0, 1000, at_us=0) == {"ACTIVE"}
    assert suspend(1000, 1000, at_us=HOUR_US // 2) == {"ACTIVE"}
    assert suspend(2000, 1, at_us=HOUR_US // 2 + 1) == {"WAITING"}
    assert suspend(3000, 5000, at_us=3 * HOUR_US) == {"WAITING"}
    assert suspend(9000, 100, at_us=5 * HOUR_US) == {"ACTIVE"}


def test_the_milder_action_stays_while_its_replacement_waits() -> None:
    """A CHALLENGE is withdrawn when a person approves the SUSPEND, not before, and stays when it is declined."""
    view = LedgerView()
    decide(view, proposal(supporting_parties=1), at_us=1)
    decide(view, proposal(benign_accounts_touched=99), at_us=2)
    assert live(view) == {("acct-1", "CHALLENGE", "ACTIVE"), ("acct-1", "SUSPEND", "WAITING")}
    suspend = next(one for one in view.actions.values() if one.measure == "SUSPEND")
    view.take([declined(suspend, 3, CONFIG, by="eva", note=None)])
    assert live(view) == {("acct-1", "CHALLENGE", "ACTIVE")}


@pytest.mark.parametrize("status", ["DISPUTED", "NOT_OURS"])
def test_a_disputed_target_is_left_alone_for_a_time(status: str) -> None:
    """After a dispute the same target is not touched again at that party, by any campaign, until the hold is over."""
    view = LedgerView()
    (issued,) = decide(view, proposal(), at_us=1).changes
    said = {"party": "lab-a", "status": status, "revision": 1, "action_id": issued.action.action_id, "appended_at": 2}
    answered = answer(said, issued.action, 2, CONFIG)
    assert answered.change
    view.take([answered.change])
    again = decide(view, proposal(), proposal(measure="CHALLENGE"), at_us=3)
    assert again.changes == ()
    assert {verdict for verdict, _ in again.refused} == {"ON_HOLD"}
    other = apply_policy([proposal()], view, 4, CONFIG, campaign_id="c-2", decided_at_us=4, evidence_at_us=0)
    assert other.changes == ()
    late = CONFIG.hold_days * 24 * HOUR_US + 3
    (returned,) = decide(view, proposal(), at_us=late).changes
    assert returned.action.state is State.ACTIVE


def test_a_hold_on_a_slice_leaves_other_slices_free() -> None:
    """Disputing the throttle of one end user does not shield the reseller's other customers."""
    view = LedgerView()
    (first,) = decide(view, proposal(measure="THROTTLE", slice_end_user=b"u1")).changes
    said = {
        "party": "lab-a",
        "status": "DISPUTED",
        "revision": 1,
        "action_id": first.action.action_id,
        "appended_at": 2,
    }
    change = answer(said, first.action, 2, CONFIG).change
    assert change
    view.take([change])
    (second,) = decide(view, proposal(measure="THROTTLE", slice_end_user=b"u2"), at_us=3).changes
    assert second.action.state is State.ACTIVE


@pytest.mark.parametrize(
    "fields",
    [
        {"target_account": None},
        {"target_token": TOKEN},
        {"party": "Lab.A"},
        {"measure": "DESTROY"},
    ],
)
def test_a_malformed_proposal_is_refused_and_the_rest_counts(fields: dict[str, Any]) -> None:
    """No target, two targets, no such party, no such measure."""
    outcome = decide(LedgerView(), proposal(**fields), proposal(target_account="good"))
    assert [verdict for verdict, _ in outcome.refused] == ["MALFORMED"]
    assert [change.action.target.name for change in outcome.changes] == ["good"]


def test_an_approved_action_begins_its_life_when_it_is_approved() -> None:
    """Waiting does not use up the lifetime."""
    view = LedgerView()
    (asked,) = decide(view, proposal(benign_accounts_touched=99), at_us=1).changes
    change = approved(asked.action, 5 * HOUR_US, CONFIG, by="eva", note="seen")
    assert (change.action.state, change.action.revision, change.publish, change.verdict) == (
        "ACTIVE",
        1,
        True,
        "APPROVED",
    )
    assert change.action.expires_at_us == 5 * HOUR_US + 90 * 24 * HOUR_US


PROPOSALS = st.builds(
    proposal,
    op=st.sampled_from(["ISSUE", "ISSUE", "WITHDRAW"]),
    target_account=st.sampled_from(["a", "b"]),
    measure=st.sampled_from(["SUSPEND", "CHALLENGE", "THROTTLE", "REVOKE_LEASE", "OBSERVE"]),
    supporting_parties=st.integers(0, 3),
    confidence=st.sampled_from([0.2, 0.7, 0.95]),
    hard_identifier=st.booleans(),
    established=st.booleans(),
    own_finding=st.booleans(),
    from_plan=st.booleans(),
)


def _key(one: dict[str, Any]) -> tuple[Any, ...]:
    return one["target_account"], one["measure"]


DECISIONS = st.lists(st.lists(PROPOSALS, max_size=4, unique_by=_key), max_size=6)


def _run(order: Sequence[tuple[int, list[dict[str, Any]]]]) -> LedgerView:
    view = LedgerView()
    for at_us, measures in order:
        decide(view, *measures, at_us=at_us, now_us=100)
    return view


@given(
    st.lists(st.tuples(st.integers(1, 2), st.lists(PROPOSALS, max_size=4, unique_by=_key)), min_size=2, max_size=6),
    st.randoms(use_true_random=False),
)
def test_neither_order_nor_repeats_change_what_stands(
    decisions: list[tuple[int, list[dict[str, Any]]]], random: Any
) -> None:
    """The decisions of a campaign in any order, each any number of times, leave the same live actions, also where some were made at
    the same time."""
    issued: dict[Any, dict[str, Any]] = {}  # on a measure's evidence at one time all decisions agree
    in_order = [
        (at, [issued.setdefault((at, *_key(one)), one) if one["op"] == "ISSUE" else one for one in measures])
        for at, measures in decisions
    ]
    shuffled = in_order + random.choices(in_order, k=4)
    random.shuffle(shuffled)
    assert live(_run(shuffled)) == live(_run(in_order)) == live(_run(in_order[::-1]))


@given(DECISIONS)
def test_what_stands_is_called_for_and_carried_by_evidence(decisions: list[list[dict[str, Any]]]) -> None:
    """Every live action has a standing proposal, and no SUSPEND or upstream measure ever lacked its evidence."""
    view = _run(list(enumerate(decisions, 1)))
    called_for = {one.action_id for one in view.proposals.values() if one.standing}
    for action in view.actions.values():
        assert action.state not in LIVE or action.action_id in called_for
    last = {_key(one): one for measures in decisions for one in measures if one["op"] == "ISSUE"}
    for account, measure, _ in live(view):
        one = last[account, measure] if measure in ("SUSPEND", "REVOKE_LEASE") else None
        if measure == "SUSPEND":
            assert one
            assert one["confidence"] > 0.9
            assert one["hard_identifier"]
            assert not one["established"]
            assert one["own_finding"] or one["supporting_parties"] >= 2
        if measure == "REVOKE_LEASE":
            assert one
            assert one["from_plan"]


@given(DECISIONS)
def test_changes_and_revisions_count_without_gaps(decisions: list[list[dict[str, Any]]]) -> None:
    """Per action: changes 1, 2, 3, ...; the revision grows by one exactly where a change is published."""
    view, seen = LedgerView(), dict[str, list[tuple[int, int, bool]]]()
    for at_us, measures in enumerate(decisions, 1):
        for change in decide(view, *measures, at_us=at_us, now_us=100).changes:
            one = change.action
            seen.setdefault(one.action_id, [(0, 0, False)]).append((one.change, one.revision, change.publish))
    for steps in seen.values():
        for (number_before, revision_before, _), (number, revision, published) in pairwise(steps):
            assert number == number_before + 1
            assert revision == revision_before + published
