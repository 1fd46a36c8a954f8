"""Errors are messages to a person."""

import pytest
from kafka.errors import MetadataEmptyBrokerList

from weaklink.errors import BrokerError, brief
from weaklink.kafka_options import KafkaConfig
from weaklink.small_topics import broker_errors


def test_what_a_library_says_fits_a_line() -> None:
    assert brief(ValueError("no\n  broker")) == "no broker"
    assert len(brief(ValueError("x" * 10_000))) < 310


def test_a_broker_that_answers_with_its_whole_metadata_is_told_in_short() -> None:
    """As one does that has lost its controller: the answer names every partition."""
    kafka = KafkaConfig(bootstrap_servers="127.0.0.1:1")
    with (
        pytest.raises(BrokerError, match=r"the registry of parties at \S+ cannot be used") as raised,
        broker_errors(kafka, "the registry of parties"),
    ):
        raise MetadataEmptyBrokerList("partition " * 10_000)
    assert len(str(raised.value)) < 600
    assert "WEAKLINK_KAFKA__BOOTSTRAP_SERVERS" in str(raised.value)
