"""What a party's receipt, a person's word and the passing of time do to an action. Pure: actions in, changes out."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from weaklink.enforce.action import HOUR_US, LIVE, Action, Cause, Change, State, changed, micros, term, withdrawn
from weaklink.enforce.config import EnforceConfig
from weaklink.errors import LedgerError
from weaklink.records import reasons

ENDING: Final = frozenset({"DISPUTED", "NOT_OURS"})
"""Answers that end an action at the party that gave them: the evidence is in doubt, or the target is not there."""

OBEYED: Final = frozenset({"ACCEPTED", "DONE", "PARTLY_DONE"})
"""Answers that do as asked."""

APPLIED: Final = "APPLIED"
LATE: Final = "LATE"


@dataclass(frozen=True, slots=True)
class Answered:
    """What a receipt leads to. `outcome`: APPLIED, LATE (the action had ended, or a newer answer is known), or the reason of a reject."""

    outcome: str
    change: Change | None = None
    verdict: str | None = None
    field: str | None = None
    detail: str | None = None


def answer(receipt: Mapping[str, Any], action: Action | None, now_us: int, config: EnforceConfig) -> Answered:
    """Apply a `Receipt` (Avro, as a dict) to the action that it names; None: no such action is known.

    A DISPUTED or NOT_OURS withdraws the action at that party and holds the target, whichever revision it answers, so that the order
    in which receipts and revisions cross does not matter. A REFUSED is noted and told to campaigns, which plans around it. All
    applied and late receipts become feedback, but for those that do as a withdrawal or an expiry asks.
    """
    status: str = receipt["status"]
    none_such = f"no action {_shown(receipt['action_id'])} was issued to this party"
    if action is None or action.revision == 0:
        return Answered(reasons.UNKNOWN_ACTION, field="action_id", detail=none_such)
    if action.target.party != receipt["party"]:
        return Answered(reasons.NOT_YOUR_ACTION, field="action_id", detail=none_such)
    if not 1 <= receipt["revision"] <= action.revision:
        return Answered(
            reasons.UNKNOWN_ACTION,
            field="revision",
            detail=f"revision {receipt['revision']} was not issued; the newest is {action.revision}",
        )
    answered_at_us = micros(receipt["appended_at"])
    newest = action.answered_at_us is None or answered_at_us >= action.answered_at_us
    noted: dict[str, Any] = {"answer": status, "answered_at_us": answered_at_us, "overdue": False} if newest else {}
    said: dict[str, Any] = {"actor": action.target.party, "note": note_of(receipt)}
    if status in ENDING and action.state in LIVE:
        held: dict[str, Any] = {"held_until_us": now_us + config.hold_days * 24 * HOUR_US}
        return Answered(APPLIED, withdrawn(action, Cause.RECEIPT, now_us, **said, **noted, **held), status)
    if not newest:
        return Answered(LATE, verdict=status)
    change = changed(action, Cause.RECEIPT, now_us, **said, **noted)
    # Doing as the end of an action asks is no verdict: told to campaigns, it would take back the dispute that brought the end about.
    ended = action.state not in LIVE
    verdict = None if ended and receipt["revision"] == action.revision and status in OBEYED else status
    return Answered(LATE if ended else APPLIED, change, verdict)


def expired(action: Action, now_us: int) -> Change:
    """The end of an action's lifetime; campaigns hears of it, so that it may propose it again."""
    return withdrawn(action, Cause.EXPIRED, now_us, state=State.EXPIRED, verdict="EXPIRED")


def overdue(action: Action, now_us: int) -> Change:
    """No receipt by `respond_by_us`: noted once per revision, nothing else."""
    return changed(action, Cause.RECEIPT_OVERDUE, now_us, overdue=True)


def approved(action: Action, now_us: int, config: EnforceConfig, *, by: str, note: str | None) -> Change:
    """A person lets a waiting action through; its lifetime begins now. Raises LedgerError when it does not wait."""
    _require(action, State.WAITING, "approved")
    return changed(
        action,
        Cause.APPROVED,
        now_us,
        publish=True,
        verdict="APPROVED",
        actor=by,
        note=note,
        state=State.ACTIVE,
        **term(action.measure, now_us, config),
    )


def declined(action: Action, now_us: int, config: EnforceConfig, *, by: str, note: str | None) -> Change:
    """A person stops a waiting action; its target is left alone for a time. Raises LedgerError when it does not wait."""
    _require(action, State.WAITING, "declined")
    held_until_us = now_us + config.hold_days * 24 * HOUR_US
    return changed(
        action,
        Cause.DECLINED,
        now_us,
        verdict="DECLINED",
        actor=by,
        note=note,
        state=State.DECLINED,
        held_until_us=held_until_us,
    )


def taken_back(action: Action, now_us: int, config: EnforceConfig, *, by: str, note: str | None) -> Change:
    """A person withdraws a standing action; its target is left alone for a time. Raises LedgerError when it does not stand."""
    _require(action, State.ACTIVE, "withdrawn")
    held_until_us = now_us + config.hold_days * 24 * HOUR_US
    return withdrawn(
        action,
        Cause.PERSON_WITHDREW,
        now_us,
        verdict="DECLINED",
        actor=by,
        note=note,
        held_until_us=held_until_us,
    )


def _require(action: Action, state: State, verb: str) -> None:
    if action.state is not state:
        raise LedgerError(
            f"action {action.action_id} is {action.state}, only one that is {state} can be {verb}: see `weaklink actions show {action.action_id}`"
        )


def note_of(receipt: Mapping[str, Any]) -> str:
    """What the party said, for the history and for campaigns."""
    said = " ".join(text for text in (receipt["status"], receipt.get("reason"), receipt.get("note")) if text)
    return f"revision {receipt['revision']}: {said}"


def _shown(text: str) -> str:
    return repr(text[:64])
