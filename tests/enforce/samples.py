"""Proposals, decisions and receipts as the other stages write them."""

import uuid
from typing import Any

from weaklink.records.codec import decode, encode


def proposal(**fields: Any) -> dict[str, Any]:
    """A ProposedMeasure that policy lets through as it is: SUSPEND of one account on two parties' evidence."""
    return {
        "op": "ISSUE",
        "party": "lab-a",
        "measure": "SUSPEND",
        "target_account": "acct-1",
        "target_token": None,
        "slice_model": None,
        "slice_end_user": None,
        "confidence": 0.95,
        "reasons": [{"code": "SHARED_CARD", "weight": 1.5, "parties": 2}],
        "expected_cut": 40.0,
        "benign_accounts_touched": 0,
        "supporting_parties": 2,
        "own_finding": False,
        "hard_identifier": True,
        "established": False,
        "from_plan": True,
    } | fields


def decision(
    *measures: dict[str, Any], campaign_id: str = "c-1", at_us: int = 1_000_000, evidence_us: int = 7
) -> bytes:
    """A Decision message."""
    return encode(
        "Decision",
        {
            "campaign_id": campaign_id,
            "decided_at": at_us,
            "evidence_at": evidence_us,
            "confidence": 0.97,
            "accounts": 40,
            "requests_per_day": 5000.0,
            "measures": list(measures),
        },
    )


def receipt(action_id: str, status: str, **fields: Any) -> bytes:
    """A Receipt message, as ingest writes it."""
    values = {
        "party": "lab-a",
        "appended_at": 2_000_000,
        "source_partition": 1,
        "source_offset": 17,
        "event_id": uuid.uuid4().bytes,
        "occurred_at": 1_900_000,
        "action_id": action_id,
        "revision": 1,
        "status": status,
        "reason": None,
        "note": None,
        "original": None,
    }
    return encode("Receipt", values | fields)


def decoded(message: bytes) -> dict[str, Any]:
    """A message's values."""
    return decode(message)[1]
