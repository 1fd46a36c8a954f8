"""Receipts, verdicts and time: what each does to an action."""

from typing import Any

import pytest

from tests.enforce.samples import proposal
from weaklink.enforce.action import HOUR_US, Action, Cause, State
from weaklink.enforce.config import EnforceConfig
from weaklink.enforce.policy import apply_policy
from weaklink.enforce.receipts import answer, approved, declined, expired, overdue, taken_back
from weaklink.enforce.view import LedgerView
from weaklink.errors import LedgerError

CONFIG = EnforceConfig()


def issued(**fields: Any) -> Action:
    """An action of lab-a: revision 1, ACTIVE."""
    outcome = apply_policy(
        [proposal(**fields)], LedgerView(), 0, CONFIG, campaign_id="c-1", decided_at_us=0, evidence_at_us=0
    )
    return outcome.changes[0].action


def said(status: str, **fields: Any) -> dict[str, Any]:
    """A decoded Receipt."""
    return {
        "party": "lab-a",
        "status": status,
        "revision": 1,
        "action_id": "x",
        "appended_at": 50,
        "reason": None,
        "note": None,
    } | fields


@pytest.mark.parametrize("status", ["ACCEPTED", "DONE", "PARTLY_DONE", "REFUSED"])
def test_an_answer_is_noted_and_the_action_stands(status: str) -> None:
    """No new revision: the party knows what it answered."""
    answered = answer(said(status, note="by hand"), issued(), 60, CONFIG)
    assert (answered.outcome, answered.verdict) == ("APPLIED", status)
    assert answered.change
    after = answered.change.action
    assert (after.state, after.revision, after.answer, after.answered_at_us) == (State.ACTIVE, 1, status, 50)
    assert not answered.change.publish
    assert answered.change.note == f"revision 1: {status} by hand"


@pytest.mark.parametrize("status", ["DISPUTED", "NOT_OURS"])
def test_a_dispute_withdraws_the_action_at_that_party(status: str) -> None:
    """A new revision, WITHDRAWN, and a hold on the target."""
    answered = answer(said(status), issued(), 60, CONFIG)
    assert answered.change
    after = answered.change.action
    assert (after.state, after.revision, answered.change.publish, answered.verdict) == (
        State.WITHDRAWN,
        2,
        True,
        status,
    )
    assert after.held_until_us == 60 + CONFIG.hold_days * 24 * HOUR_US


def test_a_dispute_that_crosses_an_older_answer_still_counts() -> None:
    """Receipts of two partitions may arrive in either order: the newest answer is kept, the dispute takes effect in both."""
    dispute, done = said("DISPUTED", appended_at=50), said("DONE", appended_at=70)
    first = answer(done, issued(), 80, CONFIG).change
    assert first
    second = answer(dispute, first.action, 80, CONFIG)
    assert second.change
    assert (second.change.action.state, second.change.action.answer) == (State.WITHDRAWN, "DONE")


def test_an_answer_to_an_action_that_has_ended_is_late_but_told_on() -> None:
    """campaigns may still learn from it."""
    ended = expired(issued(), 10).action
    answered = answer(said("DONE"), ended, 60, CONFIG)
    assert (answered.outcome, answered.verdict) == ("LATE", "DONE")
    assert answered.change
    assert answered.change.action.state is State.EXPIRED
    assert not answered.change.publish


@pytest.mark.parametrize("status", ["ACCEPTED", "DONE", "PARTLY_DONE"])
def test_carrying_out_a_withdrawal_does_not_take_back_the_dispute_that_brought_it(status: str) -> None:
    """The answer to the revision that ended the action is noted, and is no verdict on the target."""
    disputed = answer(said("DISPUTED", appended_at=50), issued(), 60, CONFIG).change
    assert disputed
    obeyed = answer(said(status, revision=2, appended_at=70), disputed.action, 80, CONFIG)
    assert (obeyed.outcome, obeyed.verdict) == ("LATE", None)
    assert obeyed.change
    assert obeyed.change.action.answer == status


def test_an_older_answer_changes_nothing() -> None:
    """What was appended before the newest known answer is only recorded."""
    newest = answer(said("DONE", appended_at=90), issued(), 95, CONFIG).change
    assert newest
    older = answer(said("ACCEPTED", appended_at=50), newest.action, 95, CONFIG)
    assert (older.outcome, older.change, older.verdict) == ("LATE", None, "ACCEPTED")


@pytest.mark.parametrize(
    ("fields", "reason", "field"),
    [
        ({"party": "lab-b"}, "NOT_YOUR_ACTION", "action_id"),
        ({"revision": 2}, "UNKNOWN_ACTION", "revision"),
        ({"revision": 0}, "UNKNOWN_ACTION", "revision"),
        ({"revision": -1}, "UNKNOWN_ACTION", "revision"),
    ],
)
def test_a_receipt_that_answers_nothing_of_the_senders_is_rejected(
    fields: dict[str, Any], reason: str, field: str
) -> None:
    """With a reason, without feedback, and without a word on whose action it is."""
    answered = answer(said("DISPUTED", **fields), issued(), 60, CONFIG)
    assert (answered.outcome, answered.field, answered.change, answered.verdict) == (reason, field, None, None)
    assert answered.detail
    assert "lab-a" not in answered.detail


def test_an_action_that_waits_is_unknown_to_its_party() -> None:
    """Nobody may answer, or learn of, what was never published."""
    waiting = issued(benign_accounts_touched=99)
    assert waiting.state is State.WAITING
    assert answer(said("DONE"), waiting, 60, CONFIG).outcome == "UNKNOWN_ACTION"
    assert answer(said("DONE"), None, 60, CONFIG).outcome == "UNKNOWN_ACTION"


def test_expiry_is_published_and_told_to_campaigns() -> None:
    """The party learns that the action lapsed; one that waited ends unseen."""
    change = expired(issued(), 99)
    assert (change.action.state, change.action.revision, change.publish, change.verdict) == (
        "EXPIRED",
        2,
        True,
        "EXPIRED",
    )
    unseen = expired(issued(benign_accounts_touched=99), 99)
    assert (unseen.action.state, unseen.action.revision, unseen.publish) == (State.EXPIRED, 0, False)


def test_an_overdue_receipt_is_noted_and_an_answer_clears_it() -> None:
    """Nothing else follows from silence."""
    late = overdue(issued(), 99)
    assert (late.action.overdue, late.action.state, late.publish, late.cause) == (
        True,
        State.ACTIVE,
        False,
        Cause.RECEIPT_OVERDUE,
    )
    change = answer(said("DONE"), late.action, 100, CONFIG).change
    assert change
    assert not change.action.overdue


def test_verdicts_need_the_right_state() -> None:
    """Only what waits can be approved or declined, only what stands can be withdrawn."""
    standing, waiting = issued(), issued(benign_accounts_touched=99)
    for verdict in (approved, declined):
        with pytest.raises(LedgerError, match="is ACTIVE"):
            verdict(standing, 1, CONFIG, by="eva", note=None)
    with pytest.raises(LedgerError, match="is WAITING"):
        taken_back(waiting, 1, CONFIG, by="eva", note=None)
    change = taken_back(standing, 1, CONFIG, by="eva", note="ours")
    assert (change.action.state, change.publish, change.verdict, change.actor, change.note) == (
        "WITHDRAWN",
        True,
        "DECLINED",
        "eva",
        "ours",
    )
