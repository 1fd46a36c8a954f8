"""What enforce publishes: actions for parties, feedback for campaigns, rejects for receipts that answer nothing of the sender's."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from weaklink import topology
from weaklink.enforce.action import Action, Change
from weaklink.enforce.receipts import Answered
from weaklink.records import reasons
from weaklink.records.codec import encode


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A row for the outbox. `once` names the effect: a second row of that name is never written."""

    once: str
    topic: str
    key: bytes
    value: bytes
    headers: dict[str, str] = field(default_factory=dict)


def action_message(action: Action, tlp: str) -> Outgoing:
    """One revision of an action, for the party's own actions topic. WAITING and DECLINED are never published."""
    values = {
        "action_id": action.action_id,
        "revision": action.revision,
        "state": action.state.value,
        "campaign_id": action.campaign_id,
        "measure": action.measure,
        **_target_fields(action),
        "issued_at": action.issued_at_us,
        "expires_at": action.expires_at_us,
        "respond_by": action.respond_by_us,
        "evidence_at": action.evidence_at_us,
        "confidence": action.confidence,
        "reasons": [{"code": code, "weight": weight, "parties": parties} for code, weight, parties in action.reasons],
        "expected_cut": action.expected_cut,
        "benign_accounts_touched": action.benign_accounts_touched,
        "tlp": tlp,
    }
    once = f"action/{action.action_id}/{action.revision}"
    return Outgoing(
        once, f"party.{action.target.party}.actions", action.action_id.encode(), encode("EnforcementAction", values)
    )


def feedback_values(action: Action, verdict: str, recorded_at_us: int, note: str | None) -> dict[str, Any]:
    """A party's answer, a person's verdict or an expiry, as Avro Feedback."""
    return {
        "action_id": action.action_id,
        "campaign_id": action.campaign_id,
        "measure": action.measure,
        **_target_fields(action),
        "verdict": verdict,
        "recorded_at": recorded_at_us,
        "note": note,
    }


def feedback_message(action: Action, verdict: str, recorded_at_us: int, note: str | None, once: str) -> Outgoing:
    """A party's answer, a person's verdict or an expiry, for campaigns."""
    values = feedback_values(action, verdict, recorded_at_us, note)
    return Outgoing(once, topology.FEEDBACK, action.action_id.encode(), encode("Feedback", values))


def change_messages(change: Change, tlp: str) -> list[Outgoing]:
    """What a change that no receipt caused publishes."""
    action = change.action
    messages = [action_message(action, tlp)] if change.publish else []
    if change.verdict:
        once = f"feedback/{action.action_id}/{action.change}"
        messages.append(feedback_message(action, change.verdict, change.at_us, change.note, once))
    return messages


def reject_message(receipt: Mapping[str, Any], answered: Answered) -> Outgoing:
    """The sender's ActionReceipt, byte for byte as it published it, with headers that say why it counts for nothing.

    Whether the id that it named belongs to another party's action or to none is not told: ids can be computed by whoever knows a
    campaign and a token, and the answer would say what another party was asked to do. The ledger keeps the difference.
    """
    told = reasons.UNKNOWN_ACTION if answered.outcome == reasons.NOT_YOUR_ACTION else answered.outcome
    party, partition, offset = receipt["party"], receipt["source_partition"], receipt["source_offset"]
    headers = {
        "weaklink-reason": told,
        "weaklink-field": answered.field or "",
        "weaklink-detail": answered.detail or "",
        "weaklink-topic": f"party.{party}.events",
        "weaklink-partition": str(partition),
        "weaklink-offset": str(offset),
    }
    return Outgoing(
        f"reject/{party}/{receipt['event_id'].hex()}",
        f"party.{party}.rejects",
        f"{partition}:{offset}".encode(),
        receipt.get("original") or _written_again(receipt),
        headers,
    )


def _written_again(receipt: Mapping[str, Any]) -> bytes:
    """The ActionReceipt of a Receipt v1, which did not keep its bytes."""
    names = ("event_id", "occurred_at", "action_id", "revision", "status", "reason", "note")
    return encode("ActionReceipt", {name: receipt[name] for name in names})


def _target_fields(action: Action) -> dict[str, Any]:
    target = action.target
    return {
        "party": target.party,
        "target_account": target.account,
        "target_token": target.token,
        "slice_model": target.slice_model,
        "slice_end_user": target.slice_end_user,
    }
