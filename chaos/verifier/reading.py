"""Topics read whole, as a reader of committed messages sees them. The verifier shares no code with what it judges, so not `ops.committed_reading` either."""

import time
from collections.abc import Callable, Iterable
from contextlib import closing
from typing import Any, Final

from kafka import KafkaConsumer, TopicPartition

from weaklink.kafka_options import KafkaConfig

_PATIENCE_SECONDS: Final = 60


def read_topics(kafka: KafkaConfig, topics: Iterable[str], take: Callable[[Any], None]) -> None:
    """Every committed record of these topics, in order within each partition. Raises TimeoutError when they do not all come."""
    options = kafka.client_options()
    with closing(KafkaConsumer(**options, group_id=None)) as watermark, closing(
        KafkaConsumer(
            **options, group_id=None, enable_auto_commit=False, isolation_level="read_committed", auto_offset_reset="earliest",
            max_partition_fetch_bytes=8 << 20, max_poll_records=5_000,
        )
    ) as consumer:  # fmt: skip
        partitions = [TopicPartition(topic, number) for topic in topics for number in sorted(consumer.partitions_for_topic(topic) or ())]  # fmt: skip
        # to the high watermark: a transaction that is still open is waited for, not overlooked
        ends = watermark.end_offsets(partitions) if partitions else {}
        waiting = {tp for tp in partitions if ends[tp]}
        if not waiting:
            return
        consumer.assign(sorted(waiting))
        consumer.seek_to_beginning(*sorted(waiting))
        progress = time.monotonic()
        while waiting:
            for records in consumer.poll(200).values():
                progress = time.monotonic()
                for record in records:
                    take(record)
            if done := {tp for tp in waiting if consumer.position(tp) >= ends[tp]}:
                consumer.pause(*done)
                waiting -= done
                progress = time.monotonic()
            if time.monotonic() - progress > _PATIENCE_SECONDS:
                stuck = ", ".join(f"{tp.topic}-{tp.partition} at {consumer.position(tp)} of {ends[tp]}" for tp in sorted(waiting))  # fmt: skip
                raise TimeoutError(f"no records came for {_PATIENCE_SECONDS} s: {stuck}")
