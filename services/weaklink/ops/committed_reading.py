"""Reading stretches of topics to their end, as a reader of committed records sees them."""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from kafka import KafkaConsumer, TopicPartition

from weaklink.errors import BrokerError
from weaklink.kafka_options import KafkaConfig
from weaklink.stream.partitions import positions

_STALL_SECONDS: Final = 60


def committed_reader(kafka: KafkaConfig) -> KafkaConsumer:
    """A consumer without a group, for committed records, from the beginning."""
    return KafkaConsumer(
        **kafka.client_options(),
        group_id=None,
        enable_auto_commit=False,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=8 << 20,
    )


def partitions_of(consumer: KafkaConsumer, topics: Iterable[str]) -> list[TopicPartition]:
    """Every partition of these topics, in order."""
    return [
        TopicPartition(topic, number)
        for topic in topics
        for number in sorted(consumer.partitions_for_topic(topic) or ())
    ]


def read_spans(
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
        at = positions(consumer, waiting)
        done = {tp for tp in waiting if at[tp] >= spans[tp][1]}
        if done:
            progress = time.monotonic()
            waiting -= done
            # Not paused: kafka-python keeps what it had fetched of a paused partition, and may never fetch from it again (stream/partitions.resume).
            consumer.assign(list(waiting))
        if time.monotonic() - progress > _STALL_SECONDS:
            stuck = ", ".join(f"{tp.topic}-{tp.partition} at {consumer.position(tp)}" for tp in sorted(waiting))
            raise BrokerError(f"no records came for {_STALL_SECONDS} s: {stuck}; is a broker down?")
