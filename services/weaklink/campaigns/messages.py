"""Campaigns, their members, their measures and decisions as Avro messages, and values back from them."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from weaklink import topology
from weaklink.campaigns import standing
from weaklink.campaigns.identity import NOTHING, Campaign, Clocks, Planned, Situation
from weaklink.records.codec import encode
from weaklink.stream.stage import Message

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MEASURES_MAX: Final = 2000
"""Changes in one Decision; more go in several, so that no message outgrows its topic."""

CASE: Final = b"case/"
"""Keys on the topic of campaigns that begin so are what people are told (`casebook`), not what the stage remembers."""


def at(us: int) -> datetime:
    """Microseconds since 1970 as a datetime, without a float in between."""
    return _EPOCH + timedelta(microseconds=us)


def micros(when: datetime) -> int:
    """A datetime as microseconds since 1970."""
    return (when - _EPOCH) // timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics of the stage; tests give their own."""

    activity: str = topology.ACTIVITY
    shared: str = topology.SHARED
    feedback: str = topology.FEEDBACK
    benign: str = topology.BENIGN
    equations: str = topology.EQUATIONS
    campaigns: str = topology.CAMPAIGNS
    decisions: str = topology.DECISIONS


def campaign_value(campaign: Campaign) -> bytes:
    """Avro Campaign: the campaign as it stands, without its members and measures."""
    planned = campaign.planned
    value = {
        "campaign_id": campaign.campaign_id,
        "state": campaign.state,
        "detected_at": at(campaign.detected_at_us),
        "updated_at": at(campaign.updated_at_us),
        "evidence_at": at(campaign.evidence_at_us),
        "confidence": campaign.confidence,
        "merged_into": campaign.merged_into,
        "split_from": campaign.split_from,
        "accounts": campaign.accounts,
        "parties": list(campaign.parties),
        "plan": {
            "measures": len(campaign.measures),
            "volume_cut_share": campaign.volume_cut_share,
            "benign_accounts_touched": campaign.benign_accounts_touched,
            "gap": campaign.gap,
            "solver": campaign.solver,
        },
        "apart_since": _at(campaign.apart_since_us),
        "joins": campaign.joins,
        "joins_since": _at(campaign.joins_since_us),
        "disputed_accounts": campaign.disputed_accounts,
        "planned": planned
        and {
            "at": at(planned.at_us),
            "accounts": planned.situation.accounts,
            "grounds": list(planned.situation.grounds),
            "requests_per_day": planned.situation.requests_per_day,
            "unit_requests_per_day": planned.unit_requests_per_day,
        },
        "waits_since": _at(campaign.waits_since_us),
        **campaign.facts,
    }
    return encode("Campaign", value)


def campaign_of(value: Mapping[str, Any]) -> Campaign:
    """The campaign of an Avro Campaign; its measures come from StandingMeasure records."""
    plan, planned = value["plan"], value["planned"]
    return Campaign(
        value["campaign_id"],
        value["state"],
        micros(value["detected_at"]),
        micros(value["updated_at"]),
        merged_into=value["merged_into"],
        split_from=value["split_from"],
        evidence_at_us=micros(value["evidence_at"]),
        confidence=value["confidence"],
        volume_cut_share=plan["volume_cut_share"],
        benign_accounts_touched=plan["benign_accounts_touched"],
        gap=plan["gap"],
        solver=plan["solver"],
        facts={name: value[name] for name in NOTHING} | {"pivots": _pivots(value["pivots"])},
        accounts=value["accounts"],
        parties=tuple(value["parties"]),
        apart_since_us=_micros(value["apart_since"]),
        joins=value["joins"],
        joins_since_us=_micros(value["joins_since"]),
        disputed_accounts=value["disputed_accounts"],
        planned=planned
        and Planned(
            micros(planned["at"]),
            Situation(planned["accounts"], tuple(planned["grounds"]), planned["requests_per_day"]),
            planned["unit_requests_per_day"],
        ),
        waits_since_us=_micros(value["waits_since"]),
    )


def _pivots(found: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """With times in microseconds, as facts have them."""
    return [dict(one) | {"released_at": micros(one["released_at"])} for one in found]


def member_value(row: Mapping[str, Any]) -> bytes:
    """Avro CampaignMember of a MEMBERS row."""
    value = {name: row[name] for name in ("campaign_id", "party", "score", "flagged", "fast", "grounds")}
    value |= {"account": row["account_name"], "since": at(row["since_us"]), "missed_since": _at(row["missed_since_us"])}
    return encode("CampaignMember", value)


def member_of(value: Mapping[str, Any]) -> dict[str, Any]:
    """A MEMBERS row without `account`."""
    row = {name: value[name] for name in ("campaign_id", "party", "score", "flagged", "fast", "grounds")}
    since = {"since_us": micros(value["since"]), "missed_since_us": _micros(value["missed_since"])}
    return row | since | {"account_name": value["account"]}


def former_value(row: Mapping[str, Any]) -> bytes:
    """Avro FormerMember of a FORMER row."""
    value = {name: row[name] for name in ("campaign_id", "party", "reason", "tombstone", "releases")}
    value |= {
        "account": row["account_name"],
        "left_at": at(row["left_at_us"]),
        "again_since": _at(row["again_since_us"]),
    }
    return encode("FormerMember", value)


def former_of(value: Mapping[str, Any]) -> dict[str, Any]:
    """A FORMER row without `account`."""
    row = {name: value[name] for name in ("campaign_id", "party", "reason", "tombstone", "releases")}
    since = {"left_at_us": micros(value["left_at"]), "again_since_us": _micros(value["again_since"])}
    return row | since | {"account_name": value["account"]}


def measure_key(campaign_id: str, measure: Mapping[str, Any]) -> bytes:
    """What tells a standing measure from all others: its campaign, and `standing.key`."""
    parts = [part.hex() if isinstance(part, bytes) else part for part in standing.key(measure)]
    return f"measure/{hashlib.sha256(repr((campaign_id, parts)).encode()).hexdigest()[:32]}".encode()


def measure_value(campaign_id: str, measure: Mapping[str, Any]) -> bytes:
    """Avro StandingMeasure of one of `Campaign.measures`."""
    plain = _plain(measure) | {"op": standing.ISSUE}
    value = {"campaign_id": campaign_id, "issued_at": at(measure["issued_at_us"]), "measure": plain}
    return encode("StandingMeasure", value)


def measure_of(value: Mapping[str, Any]) -> dict[str, Any]:
    """One of `Campaign.measures`."""
    return dict(value["measure"]) | {"issued_at_us": micros(value["issued_at"])}


def clocks_value(clocks: Clocks) -> bytes:
    """Avro CampaignsClock."""
    value = {
        "ticked_at": at(clocks.ticked_us),
        "seen_at": at(clocks.seen_us),
        "expired_at": at(clocks.expired_us),
    }
    return encode("CampaignsClock", value)


def clocks_of(value: Mapping[str, Any]) -> Clocks:
    """The clocks of an Avro CampaignsClock."""
    return Clocks(micros(value["ticked_at"]), micros(value["seen_at"]), micros(value["expired_at"]))


def _plain(measure: Mapping[str, Any]) -> dict[str, Any]:
    """A measure as Avro ProposedMeasure."""
    return {name: value for name, value in measure.items() if name != "issued_at_us"}


def _at(us: int | None) -> datetime | None:
    return None if us is None else at(us)


def _micros(when: datetime | None) -> int | None:
    return None if when is None else micros(when)


def decision_messages(
    campaign: Campaign,
    changes: Sequence[Mapping[str, Any]],
    *,
    now_us: int,
    accounts: int,
    requests_per_day: float,
    topic: str = topology.DECISIONS,
) -> list[Message]:
    """The changes of measures, in as many Decisions as they need; none without changes."""
    return [
        Message(
            topic,
            encode(
                "Decision",
                {
                    "campaign_id": campaign.campaign_id,
                    "decided_at": at(now_us),
                    "evidence_at": at(campaign.evidence_at_us),
                    "confidence": campaign.confidence,
                    "accounts": accounts,
                    "requests_per_day": requests_per_day,
                    "measures": [_plain(one) for one in changes[first : first + MEASURES_MAX]],
                },
            ),
            campaign.campaign_id.encode(),
        )
        for first in range(0, len(changes), MEASURES_MAX)
    ]
