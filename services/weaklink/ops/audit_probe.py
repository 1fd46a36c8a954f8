"""Reads what `audit.py` compares: audit headers, committed offsets, events and rejects. Commits nothing."""

import math
import re
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from typing import Any, Final

from kafka import KafkaConsumer, TopicPartition
from kafka.admin import KafkaAdminClient

from weaklink import topology
from weaklink.edge_offsets import edge_offsets
from weaklink.errors import BrokerError
from weaklink.kafka_options import KafkaConfig
from weaklink.ops.audit import (
    HEADER,
    AuditRange,
    Observed,
    PartitionAudit,
    audit_partition,
    counted_from,
    offsets_in_reject,
)
from weaklink.ops.committed_reading import committed_reader, partitions_of, read_spans
from weaklink.ops.group_offsets import committed_offsets
from weaklink.parties import EVENTS_TOPICS
from weaklink.records import reasons
from weaklink.stream.whole_batches import Limits, RecordBatch, read_whole_batches

_SECOND_LOOK_SECONDS: Final = 1.5
_CLOCKS_APART_MS: Final = 60_000
"""So far may two brokers' clocks be apart: one stamps the event, another one the account of it."""
_NOT_OF_INGEST: Final = frozenset({reasons.NOT_YOUR_ACTION, reasons.UNKNOWN_ACTION})
"""Rejects that enforce writes, about receipts that ingest accepted."""


def audit_topics(kafka: KafkaConfig) -> list[PartitionAudit]:
    """The verdict on every source partition. Raises BrokerError and kafka's errors. Ingest may go on meanwhile.

    Kafka makes the parts of a transaction visible one after the other, so that committed offsets can be ahead of the audit for a moment:
    what looks wrong is looked at twice.
    """
    verdicts = _audit_once(kafka)
    if any(one.findings for one in verdicts):
        time.sleep(_SECOND_LOOK_SECONDS)
        verdicts = _audit_once(kafka)
    return verdicts


def _audit_once(kafka: KafkaConfig) -> list[PartitionAudit]:
    with closing(KafkaAdminClient(**kafka.client_options())) as admin:
        topics = set(admin.list_topics())
        if topology.ACTIVITY not in topics:
            raise BrokerError(
                f"topic {topology.ACTIVITY} does not exist on {kafka.bootstrap_servers}: run `weaklink provision`"
            )
        group = topology.stage("ingest").group
        committed = committed_offsets(admin, [group])[group]
    with closing(committed_reader(kafka)) as consumer:
        events = partitions_of(consumer, sorted(topic for topic in topics if re.fullmatch(EVENTS_TOPICS, topic)))
        ranges, kept_since_ms = _ranges(consumer, committed)
        expired = _expired_before(consumer, events, kept_since_ms)
        begins = edge_offsets(consumer.beginning_offsets, events)
        spans = {}
        for tp in events:
            start = counted_from(ranges[tp], begins[tp])
            if start is not None and tp in committed:
                spans[tp] = (start, committed[tp])
        rejects = _rejects(consumer, [tp for tp in events if tp.topic.replace(".events", ".rejects") in topics], spans)
    records = _records(kafka, spans)
    return [
        audit_partition(
            tp.topic,
            tp.partition,
            ranges[tp],
            Observed(begins[tp], committed.get(tp), expired[tp], records.get(tp, 0), rejects.get(tp, 0)),
        )
        for tp in events
    ]


def _ranges(
    consumer: KafkaConsumer, committed: Mapping[TopicPartition, int]
) -> tuple[dict[TopicPartition, list[AuditRange]], float]:
    """All ranges by source partition up to the committed offsets, and since when none has expired, in ms since 1970 (infinity: that cannot be told)."""
    partitions = partitions_of(consumer, [topology.ACTIVITY])
    begins, ends = (edge_offsets(ask, partitions) for ask in (consumer.beginning_offsets, consumer.end_offsets))
    ranges: dict[TopicPartition, list[AuditRange]] = defaultdict(list)
    oldest_ms: dict[TopicPartition, int] = {}

    def take(tp: TopicPartition, record: Any) -> None:
        oldest_ms.setdefault(tp, record.timestamp)
        for name, value in record.headers:
            if name == HEADER:
                try:
                    found = AuditRange.parse(value)
                except ValueError as error:
                    raise BrokerError(f"{tp.topic}-{tp.partition} offset {record.offset}: {error}") from error
                for one in found:
                    source = TopicPartition(one.topic, one.partition)
                    if one.begin < committed.get(source, one.end):
                        ranges[source].append(one)

    read_spans(consumer, {tp: (begins[tp], ends[tp]) for tp in partitions}, take)
    # Retention takes a partition's oldest records first: what is younger than the oldest that is left has not expired there.
    return ranges, max((oldest_ms.get(tp, math.inf) for tp in partitions if begins[tp] > 0), default=-math.inf)


def _expired_before(
    consumer: KafkaConsumer, events: Sequence[TopicPartition], kept_since_ms: float
) -> dict[TopicPartition, int]:
    """Offset by source partition: ranges of events before it may have expired. An event is older than the account of it, both by the brokers' time."""
    if kept_since_ms == -math.inf:
        return dict.fromkeys(events, 0)
    ends = edge_offsets(consumer.end_offsets, events)
    if kept_since_ms == math.inf or not events:
        return ends
    since_ms = int(kept_since_ms) + _CLOCKS_APART_MS
    found = consumer.offsets_for_times(dict.fromkeys(events, since_ms))
    return {tp: ends[tp] if (first := found.get(tp)) is None else first.offset for tp in events}


def _rejects(
    consumer: KafkaConsumer, events: Iterable[TopicPartition], spans: Mapping[TopicPartition, tuple[int, int]]
) -> dict[TopicPartition, int]:
    """Offsets within the spans that ingest's rejects name, counted as often as they are named."""
    partitions = partitions_of(consumer, sorted({tp.topic.replace(".events", ".rejects") for tp in events}))
    counts: dict[TopicPartition, int] = defaultdict(int)
    if not partitions:
        return counts

    def take(_: TopicPartition, record: Any) -> None:
        headers = {name: value.decode() for name, value in record.headers}
        if headers.get("weaklink-reason") in _NOT_OF_INGEST or "weaklink-offset" not in headers:
            return
        topic, partition, offsets = offsets_in_reject(headers)
        source = TopicPartition(topic, partition)
        begin, end = spans.get(source, (0, 0))
        counts[source] += len(range(max(begin, offsets.start), min(end, offsets.stop)))

    begins, ends = (edge_offsets(ask, partitions) for ask in (consumer.beginning_offsets, consumer.end_offsets))
    read_spans(consumer, {tp: (begins[tp], ends[tp]) for tp in partitions}, take)
    return counts


def _records(kafka: KafkaConfig, spans: Mapping[TopicPartition, tuple[int, int]]) -> dict[TopicPartition, int]:
    """Committed records in the events topics within the spans, counted by whole batches (whose offsets have no holes: these topics are never compacted)."""
    counts: dict[TopicPartition, int] = defaultdict(int)

    def take(tp: TopicPartition, batch: RecordBatch) -> None:
        begin, end = spans[tp]
        counts[tp] += len(range(max(begin, batch.base_offset), min(end, batch.last_offset + 1)))

    with closing(committed_reader(kafka)) as consumer:
        read_whole_batches(consumer, Limits(inflated_bytes_max=1))
        read_spans(consumer, spans, take)
    return counts
