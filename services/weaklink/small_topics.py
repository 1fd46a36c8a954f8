"""What the small topics that people write (parties, benign lists) have in common: appending to them, and saying what Kafka has against it."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from kafka import KafkaProducer
from kafka.errors import KafkaError

from weaklink.errors import BrokerError, brief
from weaklink.kafka_options import KafkaConfig

_SEND_TIMEOUT_SECONDS: Final = 30


@contextmanager
def broker_errors(kafka: KafkaConfig, what: str) -> Iterator[None]:
    """What Kafka says against a request becomes a BrokerError that names `what` was asked for, and the cluster."""
    try:
        yield
    except KafkaError as error:
        raise BrokerError(
            f"{what} at {kafka.bootstrap_servers} cannot be used: {brief(error)} "
            "(WEAKLINK_KAFKA__BOOTSTRAP_SERVERS says where Kafka is)"
        ) from error


def append(kafka: KafkaConfig, topic: str, messages: Iterable[tuple[str, bytes | None]], what: str) -> int:
    """Append (key, value) in order; returns how many when the broker has them all. Raises BrokerError, which names `what`."""
    with broker_errors(kafka, what):
        producer = KafkaProducer(
            **kafka.client_options(), acks="all", max_block_ms=_SEND_TIMEOUT_SECONDS * 1000, linger_ms=5
        )
        try:
            sent = [producer.send(topic, key=key.encode(), value=value) for key, value in messages]
            for one in sent:
                one.get(timeout=_SEND_TIMEOUT_SECONDS)
            return len(sent)
        finally:
            producer.close()
