"""Connections with the administrator's rights."""

from collections.abc import Iterator
from contextlib import contextmanager

from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from weaklink.errors import BrokerError
from weaklink.kafka_options import KafkaConfig


@contextmanager
def open_admin(kafka: KafkaConfig) -> Iterator[KafkaAdminClient]:
    """An admin connection; what Kafka says against it becomes a BrokerError that names the cluster."""
    try:
        admin = KafkaAdminClient(**kafka.client_options())
        try:
            yield admin
        finally:
            admin.close()
    except KafkaError as error:
        raise BrokerError(
            f"Kafka at {kafka.bootstrap_servers} cannot be reached or refused: {error} "
            "(WEAKLINK_KAFKA__BOOTSTRAP_SERVERS says where it is)"
        ) from error
