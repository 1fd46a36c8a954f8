"""Offsets and positions of many partitions at once, and offsets as of now: on a real broker."""

from collections.abc import Iterator
from contextlib import closing
from uuid import uuid4

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.structs import OffsetAndMetadata

from tests.topics import create_topics
from tests.waiting import PATIENCE_SECONDS
from weaklink.kafka_options import KafkaConfig
from weaklink.stream.partitions import committed_offsets, positions

pytestmark = pytest.mark.kafka


@pytest.fixture
def reader(kafka: KafkaConfig) -> Iterator[tuple[KafkaConsumer, list[TopicPartition]]]:
    """A member of a group of its own, and the three partitions of its topic, of which each has nine messages."""
    name = f"offsets-{uuid4().hex[:8]}"
    create_topics(kafka, [name], partitions=3)
    partitions = [TopicPartition(name, number) for number in range(3)]
    with closing(KafkaProducer(**kafka.client_options())) as producer:
        for tp in partitions * 9:
            producer.send(name, b"x", partition=tp.partition)
        producer.flush(PATIENCE_SECONDS)
    consumer = KafkaConsumer(
        **kafka.client_options(),
        group_id=name,
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    with closing(consumer):
        consumer.assign(partitions)
        yield consumer, partitions


def commit(consumer: KafkaConsumer, **offsets: int) -> None:
    (name,) = {tp.topic for tp in consumer.assignment()}
    consumer.commit({TopicPartition(name, int(n[1:])): OffsetAndMetadata(at, "", -1) for n, at in offsets.items()})


def test_partitions_without_a_committed_offset_are_left_out(
    reader: tuple[KafkaConsumer, list[TopicPartition]],
) -> None:
    consumer, partitions = reader
    commit(consumer, p0=3, p2=7)
    assert committed_offsets(consumer, partitions) == {partitions[0]: 3, partitions[2]: 7}


def test_an_answer_that_nobody_took_is_not_given_later(reader: tuple[KafkaConsumer, list[TopicPartition]]) -> None:
    """A poll that ended while it waited for its offsets leaves them behind; what was committed since counts, or input is processed twice."""
    consumer, partitions = reader
    commit(consumer, p0=3, p1=4, p2=7)
    coordinator = consumer._coordinator
    left = coordinator._manager.call_soon(coordinator._send_offset_fetch_request, partitions)
    coordinator._offset_fetch_futures[frozenset(partitions)] = left
    consumer._net.run(consumer._manager.wait_for, left, PATIENCE_SECONDS * 1000)
    commit(consumer, p0=5, p1=6, p2=8)
    assert committed_offsets(consumer, partitions) == dict(zip(partitions, (5, 6, 8), strict=True))


def test_positions_are_those_that_the_consumer_tells(reader: tuple[KafkaConsumer, list[TopicPartition]]) -> None:
    """Also of a partition that has none yet: then the group's committed offset."""
    consumer, partitions = reader
    commit(consumer, p0=3, p1=4, p2=7)
    consumer.seek(partitions[0], 8)
    assert positions(consumer, partitions) == dict(zip(partitions, (8, 4, 7), strict=True))
    assert {tp: consumer.position(tp) for tp in partitions} == positions(consumer, partitions)
