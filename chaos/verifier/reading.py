"""Topics read whole, as a reader of committed messages sees them."""

from collections.abc import Callable, Iterable
from contextlib import closing
from typing import Any

from kafka import KafkaConsumer, TopicPartition

from weaklink.kafka_options import KafkaConfig
from weaklink.ops.committed_reading import committed_reader, partitions_of, read_spans


def read_topics(kafka: KafkaConfig, topics: Iterable[str], take: Callable[[Any], None]) -> None:
    """Every committed record of these topics, in order within each partition. Raises BrokerError when they do not all come."""

    def taken(_: TopicPartition, record: Any) -> None:
        take(record)

    with closing(KafkaConsumer(**kafka.client_options(), group_id=None)) as watermark, closing(committed_reader(kafka)) as consumer:  # fmt: skip
        partitions = partitions_of(consumer, topics)
        if not partitions:
            return
        # To the high watermark: a transaction that is still open is waited for, not overlooked.
        begins, ends = consumer.beginning_offsets(partitions), watermark.end_offsets(partitions)
        read_spans(consumer, {tp: (begins[tp], ends[tp]) for tp in partitions}, taken)
