"""Fixtures that every test may use: a Kafka cluster (existing, or local on loopback), shared by the session."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from weaklink.errors import BrokerError
from weaklink.kafka_options import KafkaConfig
from weaklink.ops.broker import existing_or_local
from weaklink.ops.kafka_jars import missing_tools


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaConfig]:
    """How to reach a real Kafka. Tests use topics and groups of their own names, since the cluster is shared."""
    if "WEAKLINK_KAFKA__BOOTSTRAP_SERVERS" not in os.environ and (missing := missing_tools()):
        pytest.skip("; ".join(missing))
    try:
        with existing_or_local(Path(tmp_path_factory.mktemp("kafka"))) as config:
            yield config
    except BrokerError as error:
        pytest.fail(str(error))
