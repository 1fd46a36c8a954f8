"""The benign list on its topic: read whole (people write it, so it is small), and appended to."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError

from weaklink import topology
from weaklink.benign import BenignRecord
from weaklink.errors import BrokerError
from weaklink.kafka_options import KafkaConfig

_SEND_TIMEOUT_SECONDS = 30


@contextmanager
def _broker_errors(kafka: KafkaConfig) -> Iterator[None]:
    try:
        yield
    except KafkaError as error:
        raise BrokerError(
            f"the benign list at {kafka.bootstrap_servers} cannot be used: {error} "
            "(WEAKLINK_KAFKA__BOOTSTRAP_SERVERS says where Kafka is)"
        ) from error


def read_records(kafka: KafkaConfig, topic: str = topology.BENIGN) -> list[BenignRecord]:
    """Every record as of now, in the order in which they were written. Raises BrokerError when the topic is missing."""
    with _broker_errors(kafka):
        consumer = KafkaConsumer(
            **kafka.client_options(), group_id=None, enable_auto_commit=False, auto_offset_reset="earliest"
        )
        try:
            return list(_read(consumer, topic, kafka))
        finally:
            consumer.close()


def _read(consumer: KafkaConsumer, topic: str, kafka: KafkaConfig) -> Iterator[BenignRecord]:
    # Asked first, because end_offsets of a missing topic waits for its whole timeout.
    if not (numbers := consumer.partitions_for_topic(topic)):
        raise BrokerError(f"topic {topic} does not exist on {kafka.bootstrap_servers}: run `weaklink provision`")
    partitions = [TopicPartition(topic, number) for number in sorted(numbers)]
    consumer.assign(partitions)
    consumer.seek_to_beginning(*partitions)
    ends = consumer.end_offsets(partitions)
    while any(consumer.position(one) < ends[one] for one in partitions):
        for records in consumer.poll(timeout_ms=1000).values():
            yield from (BenignRecord.model_validate_json(one.value) for one in records)


def write_records(kafka: KafkaConfig, records: Iterable[BenignRecord], topic: str = topology.BENIGN) -> int:
    """Append; returns how many when the broker has them all."""
    with _broker_errors(kafka):
        producer = KafkaProducer(
            **kafka.client_options(), acks="all", max_block_ms=_SEND_TIMEOUT_SECONDS * 1000, linger_ms=5
        )
        try:
            sent = [producer.send(topic, key=one.entry.encode(), value=one.to_json()) for one in records]
            for one in sent:
                one.get(timeout=_SEND_TIMEOUT_SECONDS)
            return len(sent)
        finally:
            producer.close()
