"""Reads what `audit.py` compares: audit headers, committed offsets, events, rejects, and the ledger's live actions. Commits nothing."""

import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from kafka import KafkaConsumer, TopicPartition
from kafka.admin import KafkaAdminClient

from weaklink import topology
from weaklink.errors import BrokerError, LedgerError
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
from weaklink.ops.group_offsets import committed_offsets
from weaklink.parties import EVENTS_TOPICS
from weaklink.records import reasons
from weaklink.settings import Settings
from weaklink.stream.whole_batches import RecordBatch, read_whole_batches

_STALL_SECONDS: Final = 60
_SECOND_LOOK_SECONDS: Final = 1.5
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
    with closing(_consumer(kafka)) as consumer:
        events = _partitions(consumer, sorted(topic for topic in topics if re.fullmatch(EVENTS_TOPICS, topic)))
        ranges, expired = _ranges(consumer, committed)
        begins = consumer.beginning_offsets(events) if events else {}
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
            Observed(begins[tp], committed.get(tp), expired, records.get(tp, 0), rejects.get(tp, 0)),
        )
        for tp in events
    ]


def audit_ledger(settings: Settings) -> tuple[int, list[str]]:
    """Live actions in the ledger, and a sentence for each target that has more than one of a measure within a campaign.

    Raises LedgerError when the ledger cannot be read. A ledger that was never made has no actions.
    """
    import sqlalchemy as sa

    from weaklink.enforce.action import LIVE
    from weaklink.enforce.database import ledger_url
    from weaklink.enforce.tables import actions

    url = ledger_url(settings)
    sqlite = url.get_backend_name() == "sqlite"
    if sqlite and not Path(url.database or "").is_file():
        return 0, []
    target = (
        actions.c.party,
        actions.c.target_account,
        actions.c.target_token,
        actions.c.slice_model,
        actions.c.slice_end_user,
    )
    live = actions.c.state.in_([str(state) for state in LIVE])
    key = (actions.c.campaign_id, *target, actions.c.measure)
    engine = sa.create_engine(url.set(drivername="sqlite" if sqlite else "postgresql+psycopg"))
    try:
        with engine.connect() as connection:
            total = connection.scalar(sa.select(sa.func.count()).select_from(actions).where(live)) or 0
            several = connection.execute(
                sa.select(*key, sa.func.count().label("live")).where(live).group_by(*key).having(sa.func.count() > 1)
            ).all()
    except sa.exc.SQLAlchemyError as error:
        raise LedgerError(
            f"the ledger at {url.render_as_string()} cannot be read: {error}; was `weaklink run enforce` ever started?"
        ) from error
    finally:
        engine.dispose()
    return total, [
        f"ledger: campaign {row.campaign_id} has {row.live} live actions {row.measure} on the same target at {row.party} "
        f"({row.target_account or (row.target_token or b'').hex()})"
        for row in several
    ]


def _consumer(kafka: KafkaConfig) -> KafkaConsumer:
    return KafkaConsumer(
        **kafka.client_options(),
        group_id=None,
        enable_auto_commit=False,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=8 << 20,
    )


def _partitions(consumer: KafkaConsumer, topics: Iterable[str]) -> list[TopicPartition]:
    return [
        TopicPartition(topic, number)
        for topic in topics
        for number in sorted(consumer.partitions_for_topic(topic) or ())
    ]


def _read(
    consumer: KafkaConsumer,
    spans: Mapping[TopicPartition, tuple[int, int]],
    take: Callable[[TopicPartition, Any], None],
) -> None:
    """Every committed record (or batch) of these offsets, in order within each partition. Raises BrokerError when nothing comes for long."""
    waiting = {tp for tp, (begin, end) in spans.items() if begin < end}
    if not waiting:
        return
    consumer.assign(list(waiting))
    for tp in waiting:
        consumer.seek(tp, spans[tp][0])
    progress = time.monotonic()
    while waiting:
        for tp, found in consumer.poll(500).items():
            progress = time.monotonic()
            for one in found:
                take(tp, one)
        done = {tp for tp in waiting if consumer.position(tp) >= spans[tp][1]}
        if done:
            progress = time.monotonic()
            consumer.pause(*done)
            waiting -= done
        if time.monotonic() - progress > _STALL_SECONDS:
            stuck = ", ".join(f"{tp.topic}-{tp.partition} at {consumer.position(tp)}" for tp in sorted(waiting))
            raise BrokerError(f"no records came for {_STALL_SECONDS} s: {stuck}; is a broker down?")


def _ranges(
    consumer: KafkaConsumer, committed: Mapping[TopicPartition, int]
) -> tuple[dict[TopicPartition, list[AuditRange]], bool]:
    """All ranges by source partition up to the committed offsets, and whether older ones may have expired."""
    partitions = _partitions(consumer, [topology.ACTIVITY])
    begins, ends = consumer.beginning_offsets(partitions), consumer.end_offsets(partitions)
    ranges: dict[TopicPartition, list[AuditRange]] = defaultdict(list)

    def take(tp: TopicPartition, record: Any) -> None:
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

    _read(consumer, {tp: (begins[tp], ends[tp]) for tp in partitions}, take)
    return ranges, any(begins.values())


def _rejects(
    consumer: KafkaConsumer, events: Iterable[TopicPartition], spans: Mapping[TopicPartition, tuple[int, int]]
) -> dict[TopicPartition, int]:
    """Offsets within the spans that ingest's rejects name, counted as often as they are named."""
    partitions = _partitions(consumer, sorted({tp.topic.replace(".events", ".rejects") for tp in events}))
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

    begins, ends = consumer.beginning_offsets(partitions), consumer.end_offsets(partitions)
    _read(consumer, {tp: (begins[tp], ends[tp]) for tp in partitions}, take)
    return counts


def _records(kafka: KafkaConfig, spans: Mapping[TopicPartition, tuple[int, int]]) -> dict[TopicPartition, int]:
    """Committed records in the events topics within the spans, counted by whole batches (whose offsets have no holes: these topics are never compacted)."""
    counts: dict[TopicPartition, int] = defaultdict(int)

    def take(tp: TopicPartition, batch: RecordBatch) -> None:
        begin, end = spans[tp]
        counts[tp] += len(range(max(begin, batch.base_offset), min(end, batch.last_offset + 1)))

    with closing(_consumer(kafka)) as consumer:
        read_whole_batches(consumer, inflated_bytes_max=1)
        _read(consumer, spans, take)
    return counts
