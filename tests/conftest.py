"""Fixtures that every test may use: a real Kafka cluster, shared by the session.

Taken in this order: the cluster of WEAKLINK_KAFKA__BOOTSTRAP_SERVERS, a container where a Docker engine answers, a local process.
"""

import contextlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import structlog

from tests.prerequisites import in_ci, require
from weaklink.errors import BrokerError
from weaklink.kafka_options import KafkaConfig
from weaklink.ops.broker import existing_or_local
from weaklink.ops.kafka_jars import missing_tools

# No deadlines: how long an example takes is the machine's affair. In CI the same examples every time, so that what fails was broken
# by the change at hand; elsewhere new ones at every run.
hypothesis.settings.register_profile(
    "weaklink",
    deadline=None,
    derandomize=in_ci(),
    print_blob=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("weaklink")

# The broker of the tests runs: that a busy machine lets it answer late is no reason to say that there is none.
os.environ.setdefault("WEAKLINK_KAFKA__BOOTSTRAP_TIMEOUT_MS", "60000")

_KAFKA_IMAGE = "confluentinc/cp-kafka:7.9.0"


def docker_answers() -> bool:
    """Whether a Docker engine can be used (a client without an engine does not count)."""
    import docker
    from docker.errors import DockerException

    with contextlib.suppress(DockerException):
        return bool(docker.from_env(timeout=3).ping())
    return False


@contextlib.contextmanager
def kafka_container() -> Iterator[KafkaConfig]:
    """Kafka in a container, with the broker settings that Weaklink relies on."""
    from testcontainers.kafka import KafkaContainer

    container = KafkaContainer(_KAFKA_IMAGE).with_kraft()
    container = container.with_env("KAFKA_AUTO_CREATE_TOPICS_ENABLE", "false").with_env(
        "KAFKA_MESSAGE_MAX_BYTES", "16777216"
    )
    with container as running:
        yield KafkaConfig(bootstrap_servers=running.get_bootstrap_server(), bootstrap_timeout_ms=60_000)


@pytest.fixture
def log_of_a_service() -> Iterator[None]:
    """For tests that run a service's command in this process: what libraries log later is not written to its log any more."""
    yield
    structlog.reset_defaults()
    logging.captureWarnings(False)
    logging.basicConfig(handlers=[], force=True)


@pytest.fixture(scope="session")
def own_brokers() -> None:
    """For tests that start brokers of their own: whatever the machine lacks for it."""
    require(missing_tools())


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaConfig]:
    """How to reach a real Kafka. Tests use topics and groups of their own names, since the cluster is shared."""
    configured = "WEAKLINK_KAFKA__BOOTSTRAP_SERVERS" in os.environ
    if not configured and docker_answers():
        with kafka_container() as config:
            yield config
        return
    if not configured:
        require(missing_tools())
    try:
        with existing_or_local(Path(tmp_path_factory.mktemp("kafka"))) as config:
            yield config
    except BrokerError as error:
        pytest.fail(str(error))
