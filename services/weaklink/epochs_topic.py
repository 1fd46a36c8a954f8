"""Expired epochs on their topic: read whole (people write it, so it is small), appended to, and watched by the stages."""

import time
from datetime import UTC, datetime
from typing import Final

import structlog
from kafka import KafkaConsumer
from pydantic import ValidationError

from weaklink import topology
from weaklink.epochs import FIRST, Expiry, oldest_in_force
from weaklink.errors import BrokerError
from weaklink.kafka_options import KafkaConfig
from weaklink.read_to_end import read_topic_to_end
from weaklink.small_topics import append, broker_errors
from weaklink.starting import Away

_WHAT: Final = "the list of expired epochs"
_WATCH_SECONDS: Final = 2.0
_log = structlog.get_logger()


class EpochsUnknown(Away, BrokerError):
    """The list of expired epochs has never been read: it cannot be told which epochs are in force."""

    def warn(self) -> None:
        """A line of the log."""
        meaning = "nothing is read before it is known which epochs of keys are over"
        _log.warning("epochs_unknown", error=str(self), meaning=meaning, next="retry")


class ExpiryReader:
    """`refresh()` takes in what has been written since. One reader for one process, not thread-safe.

    `unreadable`: offsets of records that end no epoch as far as this version can tell. Raises BrokerError when no broker answers.
    """

    def __init__(self, kafka: KafkaConfig, topic: str = topology.EPOCHS) -> None:
        self._kafka = kafka
        self._topic = topic
        with broker_errors(kafka, _WHAT):
            self._consumer = KafkaConsumer(
                **kafka.client_options(), group_id=None, enable_auto_commit=False, auto_offset_reset="earliest"
            )
        self._expiries: list[Expiry] = []
        self.unreadable: list[int] = []

    def refresh(self) -> list[Expiry]:
        """Every record as of now, in the order in which they were written. Raises BrokerError when the topic cannot be read to its end."""
        with broker_errors(self._kafka, _WHAT):
            for record in read_topic_to_end(self._consumer, self._topic, self._kafka):
                try:
                    self._expiries.append(Expiry.model_validate_json(record.value or b""))
                except ValidationError:
                    self.unreadable.append(record.offset)
            return list(self._expiries)

    def complaint(self) -> str:
        """What is wrong with the records that end no epoch."""
        return (
            f"records at offsets {self.unreadable} of {self._topic} end no epoch: were they written by a newer version?"
        )

    def close(self) -> None:
        """Leave the broker."""
        self._consumer.close()


def read_expiries(kafka: KafkaConfig, topic: str = topology.EPOCHS) -> list[Expiry]:
    """Every record, read once. Raises BrokerError when the topic is missing or holds what ends no epoch, or Kafka cannot be reached."""
    reader = ExpiryReader(kafka, topic)
    try:
        expiries = reader.refresh()
        if reader.unreadable:
            raise BrokerError(reader.complaint())
        return expiries
    finally:
        reader.close()


def write_expiry(kafka: KafkaConfig, expiry: Expiry, topic: str = topology.EPOCHS) -> None:
    """Append; returns when the broker has it."""
    append(kafka, topic, [(str(expiry.epoch), expiry.to_json())], _WHAT)


class EpochWatch:
    """The oldest epoch in force, as a stage asks for it: read again every two seconds, and never going back.

    There is none before the topic was read to its end: what was never read may have ended any epoch. Afterwards, while the topic cannot be
    read, what is known holds, and a warning says so. By the wall clock: what a person ends is over at once, whatever time the events are of.
    """

    def __init__(self, kafka: KafkaConfig, topic: str = topology.EPOCHS) -> None:
        """Raises EpochsUnknown when the topic cannot be read, and BrokerError when no broker answers."""
        self._reader = ExpiryReader(kafka, topic)
        self._expiries: list[Expiry] = []
        self._oldest, self._next, self._complaint = FIRST, 0.0, ""
        try:
            self._read()
        except BrokerError as error:
            self._reader.close()
            raise EpochsUnknown(str(error)) from error

    def __call__(self) -> int:
        """The oldest epoch in force. Called from one thread at a time."""
        self._oldest = max(self._oldest, oldest_in_force(self.expiries(), datetime.now(UTC)))
        return self._oldest

    def expiries(self) -> list[Expiry]:
        """Every record that is known: for whoever asks what was in force at some time. Called from one thread at a time."""
        if time.monotonic() >= self._next:
            try:
                self._read()
            except BrokerError as error:
                self._next = time.monotonic() + _WATCH_SECONDS
                self._warn(str(error))
        return self._expiries

    def _read(self) -> None:
        self._expiries = self._reader.refresh()
        self._next = time.monotonic() + _WATCH_SECONDS
        self._warn(self._reader.complaint() if self._reader.unreadable else "")

    def _warn(self, complaint: str) -> None:
        """Once, for as long as the same is wrong."""
        if complaint and complaint != self._complaint:
            _log.warning("epochs_unknown", error=complaint, meaning="going on with the expired epochs known so far")
        self._complaint = complaint


def all_in_force() -> int:
    """For whoever has no topic to ask: no epoch has expired."""
    return FIRST
