"""Expired epochs on their topic: read whole (people write it, so it is small), appended to, and watched by the stages."""

import time
from datetime import UTC, datetime
from typing import Final

import structlog
from kafka import KafkaConsumer, TopicPartition
from pydantic import ValidationError

from weaklink import topology
from weaklink.epochs import FIRST, Expiry, oldest_in_force
from weaklink.errors import BrokerError
from weaklink.kafka_options import KafkaConfig
from weaklink.small_topics import append, broker_errors

_WHAT: Final = "the list of expired epochs"
_WATCH_SECONDS: Final = 2.0
_log = structlog.get_logger()


class ExpiryReader:
    """`refresh()` takes in what has been written since. One reader for one process, not thread-safe."""

    def __init__(self, kafka: KafkaConfig, topic: str = topology.EPOCHS) -> None:
        self._kafka = kafka
        self._partition = TopicPartition(topic, 0)
        with broker_errors(kafka, _WHAT):
            self._consumer = KafkaConsumer(
                **kafka.client_options(), group_id=None, enable_auto_commit=False, auto_offset_reset="earliest"
            )
        self._consumer.assign([self._partition])
        self._consumer.seek_to_beginning(self._partition)
        self._expiries: list[Expiry] = []

    def refresh(self) -> list[Expiry]:
        """Every record as of now, in the order in which they were written. Raises BrokerError when the topic is missing, or holds what is none."""
        with broker_errors(self._kafka, _WHAT):
            # Asked first, because end_offsets of a missing topic waits for its whole timeout.
            if not self._consumer.partitions_for_topic(self._partition.topic):
                raise BrokerError(
                    f"topic {self._partition.topic} does not exist on {self._kafka.bootstrap_servers}: run `weaklink provision`"
                )
            ends = self._consumer.end_offsets([self._partition])
            wrong: list[int] = []
            while self._consumer.position(self._partition) < ends[self._partition]:
                for record in self._consumer.poll(timeout_ms=1000).get(self._partition, ()):
                    try:
                        self._expiries.append(Expiry.model_validate_json(record.value or b""))
                    except ValidationError:
                        wrong.append(record.offset)
            if wrong:  # said once; the others count from the next time on
                raise BrokerError(
                    f"records at offsets {wrong} of {self._partition.topic} end no epoch: were they written by a newer version?"
                )
            return list(self._expiries)

    def close(self) -> None:
        """Leave the broker."""
        self._consumer.close()


def read_expiries(kafka: KafkaConfig, topic: str = topology.EPOCHS) -> list[Expiry]:
    """Every record, read once. Raises BrokerError when the topic is missing or Kafka cannot be reached."""
    reader = ExpiryReader(kafka, topic)
    try:
        return reader.refresh()
    finally:
        reader.close()


def write_expiry(kafka: KafkaConfig, expiry: Expiry, topic: str = topology.EPOCHS) -> None:
    """Append; returns when the broker has it."""
    append(kafka, topic, [(str(expiry.epoch), expiry.to_json())], _WHAT)


class EpochWatch:
    """The oldest epoch in force, as a stage asks for it: read again every two seconds, and never going back.

    While the topic cannot be read, what is known holds, and a warning says so. By the wall clock: what a person ends is over at once,
    whatever time the events are of.
    """

    def __init__(self, kafka: KafkaConfig, topic: str = topology.EPOCHS) -> None:
        self._kafka, self._topic = kafka, topic
        self._reader: ExpiryReader | None = None
        self._expiries: list[Expiry] = []
        self._oldest = FIRST
        self._next = 0.0
        self._warned = False

    def __call__(self) -> int:
        """The oldest epoch in force. Called from one thread."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _WATCH_SECONDS
            self._read()
        self._oldest = max(self._oldest, oldest_in_force(self._expiries, datetime.now(UTC)))
        return self._oldest

    def _read(self) -> None:
        try:
            self._reader = self._reader or ExpiryReader(self._kafka, self._topic)
            self._expiries = self._reader.refresh()
            self._warned = False
        except BrokerError as error:
            if not self._warned:
                _log.warning(
                    "epochs_unknown", error=str(error), meaning="going on with the expired epochs known so far"
                )
            self._warned = True


def all_in_force() -> int:
    """For whoever has no topic to ask: no epoch has expired."""
    return FIRST
