"""Topics read to where they end as of now, or given up when nothing comes: a broker that is away makes a poll return nothing, and raises nothing."""

import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaTimeoutError, RetriableError

from weaklink.errors import BrokerError
from weaklink.kafka_options import KafkaConfig

STALL_SECONDS: Final = 30.0
_POLL_MS: Final = 500
_POSITION_MS: Final = 1000


def read_topic_to_end(consumer: KafkaConsumer, topic: str, kafka: KafkaConfig) -> Iterator[Any]:
    """Every record of the topic that this consumer, which reads no other, has not read yet: all of them at first.

    Raises BrokerError when there is no such topic, and as `read_to_end` does.
    """
    # Asked first, because end_offsets of a missing topic waits for its whole timeout.
    numbers = consumer.partitions_for_topic(topic)
    if not numbers:
        # Kafka answers the same for a topic that may not be described.
        raise BrokerError(
            f"topic {topic} does not exist on {kafka.bootstrap_servers}, or may not be seen there: run `weaklink provision`"
        )
    if not consumer.assignment():
        consumer.assign([TopicPartition(topic, number) for number in sorted(numbers)])
        consumer.seek_to_beginning()
    yield from read_to_end(consumer, consumer.end_offsets(consumer.assignment()))


def read_to_end(
    consumer: KafkaConsumer, ends: Mapping[TopicPartition, int], stall_seconds: float | None = None
) -> Iterator[Any]:
    """Every record before `ends` (and what comes with the last of them), in order within each partition. The partitions are assigned.

    `stall_seconds`: how long every position may stand still; None: STALL_SECONDS.
    Raises kafka's errors that no patience mends, and KafkaTimeoutError, which names the partitions, when positions stand still for longer.
    """
    patience = STALL_SECONDS if stall_seconds is None else stall_seconds
    moved_at, at = time.monotonic(), dict.fromkeys(ends, -1)
    while at:
        before, at = at, {tp: found for tp in at if (found := _position(consumer, tp, at[tp])) < ends[tp]}
        if at != before:
            moved_at = time.monotonic()
        elif time.monotonic() - moved_at > patience:
            stuck = ", ".join(f"{tp.topic}-{tp.partition} at {at[tp]} of {ends[tp]}" for tp in sorted(at))
            raise KafkaTimeoutError(f"no records came for {patience:.0f} s: {stuck}; is a broker down?")
        if at:
            for records in consumer.poll(timeout_ms=_POLL_MS).values():
                yield from records


def _position(consumer: KafkaConsumer, tp: TopicPartition, last: int) -> int:
    """Where reading goes on: it passes aborted batches and transaction markers, too. `last`, while a broker that is away cannot be asked."""
    try:
        found: int | None = consumer.position(tp, timeout_ms=_POSITION_MS)
    except RetriableError:
        return last
    return last if found is None else found
