"""Compacted topics as they stand: what a stage recalls of what it, or its predecessor, has said."""

from collections.abc import Iterable

from kafka import KafkaConsumer, TopicPartition

from weaklink.read_to_end import STALL_SECONDS, read_to_end
from weaklink.settings import Settings
from weaklink.stream.stage import Message


def read_compacted(topics: Iterable[str], settings: Settings) -> list[Message]:
    """The newest committed message of every key of these compacted topics; deleted keys are left out.

    Reads to the high watermark, not to the last stable offset: an owner that was killed, or went on with another transactional id, may
    have left a transaction open, behind which committed messages lie. Waits until it is ended (`kafka.transaction_timeout_ms` at most).
    Raises kafka's errors, also when nothing comes for longer than that: the runner then tries again.
    """
    consumer = KafkaConsumer(
        **settings.kafka.client_options(), group_id=None, isolation_level="read_committed", enable_auto_commit=False
    )
    newest: dict[tuple[str, bytes | None], Message] = {}
    try:
        partitions = [
            TopicPartition(topic, number) for topic in topics for number in consumer.partitions_for_topic(topic) or ()
        ]
        if not partitions:
            return []
        consumer.assign(partitions)
        consumer.seek_to_beginning(*partitions)
        ends = _high_watermarks(partitions, settings)
        patience_seconds = settings.kafka.transaction_timeout_ms / 1000 + STALL_SECONDS
        for record in read_to_end(consumer, ends, patience_seconds):
            key = (record.topic, record.key)
            newest.pop(key, None)
            if record.value is not None:
                newest[key] = Message(record.topic, record.value, record.key, record.partition, tuple(record.headers))
    finally:
        consumer.close(autocommit=False)
    return list(newest.values())


def _high_watermarks(partitions: list[TopicPartition], settings: Settings) -> dict[TopicPartition, int]:
    consumer = KafkaConsumer(**settings.kafka.client_options(), group_id=None, isolation_level="read_uncommitted")
    try:
        found: dict[TopicPartition, int] = consumer.end_offsets(partitions)
    finally:
        consumer.close(autocommit=False)
    return found
