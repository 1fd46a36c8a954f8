"""Campaigns and decisions as Avro messages, and campaigns back from them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import polars as pl

from weaklink import frames, topology
from weaklink.campaigns.track import MEMBERS, Campaign
from weaklink.records.codec import decode, encode
from weaklink.stream.stage import Message

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MEASURES_MAX: Final = 2000
"""Changes in one Decision; more go in several, so that no message outgrows its topic."""


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
    campaigns: str = topology.CAMPAIGNS
    decisions: str = topology.DECISIONS


def campaign_message(
    campaign: Campaign, members: pl.DataFrame, facts: Mapping[str, Any], topic: str = topology.CAMPAIGNS
) -> Message:
    """The campaign as it stands. `members`: its track.MEMBERS rows; `facts`: the fields that are worked out when it is published."""
    listed = [
        {"party": party, "account": name, "score": score, "since": at(since), "flagged": flagged}
        for party, name, score, since, flagged in members.sort("party", "account_name")
        .select("party", "account_name", "score", "since_us", "flagged")
        .iter_rows()
    ]
    value = {
        "campaign_id": campaign.campaign_id,
        "state": campaign.state,
        "detected_at": at(campaign.detected_at_us),
        "updated_at": at(campaign.updated_at_us),
        "evidence_at": at(campaign.evidence_at_us),
        "confidence": campaign.confidence,
        "merged_into": campaign.merged_into,
        "split_from": campaign.split_from,
        "members": listed,
        "parties": sorted(members["party"].unique().to_list()),
        "plan": {
            "measures": campaign.measures,
            "volume_cut_share": campaign.volume_cut_share,
            "benign_accounts_touched": campaign.benign_accounts_touched,
            "gap": campaign.gap,
            "solver": campaign.solver,
        },
        **facts,
    }
    return Message(topic, encode("Campaign", value), campaign.campaign_id.encode())


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
                    "measures": list(changes[first : first + MEASURES_MAX]),
                },
            ),
            campaign.campaign_id.encode(),
        )
        for first in range(0, len(changes), MEASURES_MAX)
    ]


def read_campaigns(messages: Iterable[Message]) -> tuple[list[Campaign], pl.DataFrame]:
    """Campaigns and their members (track.MEMBERS) from the compacted topic: the last message of each key counts."""
    values: dict[bytes, dict[str, Any]] = {}
    for message in messages:
        if message.key is not None:
            values.pop(message.key, None)
            if message.value:
                values[message.key] = decode(message.value)[1]
    campaigns, rows = [], []
    for value in values.values():
        plan = value["plan"]
        campaigns.append(
            Campaign(
                value["campaign_id"],
                value["state"],
                micros(value["detected_at"]),
                micros(value["updated_at"]),
                merged_into=value["merged_into"],
                split_from=value["split_from"],
                evidence_at_us=micros(value["evidence_at"]),
                confidence=value["confidence"],
                measures=plan["measures"],
                volume_cut_share=plan["volume_cut_share"],
                benign_accounts_touched=plan["benign_accounts_touched"],
                gap=plan["gap"],
                solver=plan["solver"],
            )
        )
        rows += [
            (value["campaign_id"], m["party"], m["account"], m["score"], micros(m["since"]), m["flagged"])
            for m in value["members"]
        ]
    members = pl.DataFrame(rows, schema=["campaign_id", "party", "account_name", "score", "since_us", "flagged"], orient="row")  # fmt: skip
    return campaigns, _keyed(members)


def _keyed(members: pl.DataFrame) -> pl.DataFrame:
    if members.height == 0:
        return pl.DataFrame(schema=MEMBERS)
    keyed = pl.concat(
        part.with_columns(frames.account_hash(str(party), "account_name").alias("account"))
        for (party,), part in members.group_by("party", maintain_order=True)
    )
    # Whether an account came in by the fast path is not published: it counts as confirmed, and leaves when its evidence does.
    return keyed.with_columns(
        pl.lit(0, pl.Int32).alias("misses"),
        pl.lit(None, pl.Int64).alias("missed_since_us"),
        pl.lit(value=False).alias("fast"),
    ).select(pl.col(name).cast(dtype) for name, dtype in MEMBERS.items())
