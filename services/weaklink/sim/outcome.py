"""What really happened in a run, read back from the topics: campaigns, actions, receipts, and ingest's own account of the events."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from kafka import KafkaConsumer, TopicPartition

from weaklink import topology
from weaklink.kafka_options import KafkaConfig
from weaklink.parties import Party
from weaklink.read_to_end import read_to_end
from weaklink.records.codec import decode
from weaklink.small_topics import broker_errors

AUDIT_HEADER: Final = "weaklink-audit"


@dataclass
class Flagged:
    """A campaign's confirmed account: when it first was, by the stage's clock."""

    campaign: str
    since_us: int


@dataclass
class Outcome:
    """The run as the topics tell it. Accounts are (party, name)."""

    published: int = 0
    accepted: int = 0
    rejected: int = 0
    duplicates: int = 0
    receipts: int = 0
    campaigns: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The last message of every campaign."""
    detected_us: dict[str, int] = field(default_factory=dict)
    flagged: dict[tuple[str, str], Flagged] = field(default_factory=dict)
    """Every account that ever was a confirmed member of a campaign, also if it was released later."""
    actions: list[dict[str, Any]] = field(default_factory=list)
    """Every revision of every action, with `latency_seconds` from its evidence to the broker."""


def read_outcome(kafka: KafkaConfig, parties: Sequence[Party]) -> Outcome:
    """Read the topics from their beginning to their present end. Raises BrokerError when they cannot be."""
    with broker_errors(kafka, "the topics of a run"):
        return _read_outcome(kafka, parties)


def _read_outcome(kafka: KafkaConfig, parties: Sequence[Party]) -> Outcome:
    outcome = Outcome()
    outcome.published = _published(kafka, [party.events_topic for party in parties])
    for record in _records(kafka, [topology.ACTIVITY], values=False):
        _add_audit(outcome, dict(record.headers).get(AUDIT_HEADER))
    outcome.receipts = sum(1 for _ in _records(kafka, [topology.RECEIPTS], values=False))
    for record in _records(kafka, [topology.CAMPAIGNS]):
        if record.value is not None:
            _add_campaign(outcome, *decode(record.value))
    for record in _records(kafka, [party.actions_topic for party in parties]):
        action = decode(record.value)[1]
        action["latency_seconds"] = record.timestamp / 1000 - action["evidence_at"].timestamp()
        outcome.actions.append(action)
    return outcome


def _published(kafka: KafkaConfig, topics: Sequence[str]) -> int:
    """Events on these topics, by their offsets: parties publish without transactions, so that every offset is an event."""
    consumer = KafkaConsumer(**kafka.client_options(), group_id=None, enable_auto_commit=False)
    try:
        partitions = [
            TopicPartition(topic, one) for topic in topics for one in consumer.partitions_for_topic(topic) or ()
        ]
        ends, begins = consumer.end_offsets(partitions), consumer.beginning_offsets(partitions)
        return sum(int(ends[one]) - int(begins[one]) for one in partitions)
    finally:
        consumer.close()


def _add_audit(outcome: Outcome, header: bytes | None) -> None:
    for row in json.loads(header) if header else ():
        outcome.accepted += row["accepted"]
        outcome.rejected += row["rejected"]
        outcome.duplicates += row["duplicates"]


def _add_campaign(outcome: Outcome, record: str, values: dict[str, Any]) -> None:
    name = values.get("campaign_id", "")
    if record == "Campaign":
        outcome.campaigns[name] = values
        outcome.detected_us.setdefault(name, int(values["detected_at"].timestamp() * 1e6))
    elif record == "CampaignMember" and values["flagged"]:
        key = (values["party"], values["account"])
        outcome.flagged.setdefault(key, Flagged(name, int(values["since"].timestamp() * 1e6)))


def _records(kafka: KafkaConfig, topics: Sequence[str], *, values: bool = True) -> Iterator[Any]:
    """Committed records of these topics up to their present ends. Without `values` only counts and headers are of interest."""
    consumer = KafkaConsumer(
        **kafka.client_options(),
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        max_poll_records=5_000,
        check_crcs=values,
    )
    try:
        partitions = [
            TopicPartition(topic, number) for topic in topics for number in consumer.partitions_for_topic(topic) or ()
        ]
        consumer.assign(partitions)
        ends = consumer.end_offsets(partitions)
        consumer.seek_to_beginning(*partitions)
        yield from read_to_end(consumer, ends)
    finally:
        consumer.close()
