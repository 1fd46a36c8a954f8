"""Looking into a party's topics without taking part: no group, no receipts, nothing committed."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from weaklink.errors import BrokerError, RecordError
from weaklink.kafka_options import KafkaConfig
from weaklink.partner.models import EnforcementAction
from weaklink.read_to_end import read_to_end
from weaklink.records.codec import decode
from weaklink.records.reasons import EXPLANATIONS

_POLL_MS: Final = 500
_STALL_SECONDS: Final = 60


@dataclass(frozen=True, slots=True)
class Reject:
    """An event that came back: why, where it was, and its original bytes.

    A record batch that could not be unpacked comes back as one, without its bytes: `offset` to `last_offset`.
    """

    reason: str
    field: str | None
    detail: str
    topic: str
    partition: int
    offset: int
    last_offset: int
    value: bytes

    @property
    def explanation(self) -> str:
        """What the reason means and how to mend it."""
        return EXPLANATIONS.get(self.reason, "")


def read_topic(kafka: KafkaConfig, topic: str, *, follow: bool) -> Iterator[Any]:
    """Every message from the oldest on, up to the present end, or for ever when following.

    Raises BrokerError when there is no such topic, and when nothing comes for long though the end is not reached.
    """
    try:
        consumer = KafkaConsumer(
            **kafka.client_options(),
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
        )
    except KafkaError as error:
        raise BrokerError(f"Kafka at {kafka.bootstrap_servers} cannot be reached: {error}") from error
    try:
        numbers = consumer.partitions_for_topic(topic)
        if not numbers:
            raise BrokerError(f"topic {topic} does not exist on {kafka.bootstrap_servers}: is the party added?")
        partitions = [TopicPartition(topic, number) for number in sorted(numbers)]
        consumer.assign(partitions)
        consumer.seek_to_beginning(*partitions)
        ends = consumer.end_offsets(partitions)
        if not follow:
            yield from read_to_end(consumer, ends, _STALL_SECONDS)
        while follow:
            for records in consumer.poll(timeout_ms=_POLL_MS).values():
                yield from records
    except KafkaError as error:
        raise BrokerError(f"{topic} cannot be read: {error}") from error
    finally:
        consumer.close()


def read_actions(kafka: KafkaConfig, party: str, *, follow: bool = False) -> Iterator[EnforcementAction]:
    """The party's actions, every revision. Raises RecordError for one that this version cannot read."""
    for record in read_topic(kafka, f"party.{party}.actions", follow=follow):
        try:
            _, values = decode(record.value)
        except RecordError as error:
            where = f"{record.topic} partition {record.partition} offset {record.offset}"
            raise RecordError(error.reason, f"{where}: {error.detail}; a newer weaklink may read it", error.field) from error  # fmt: skip
        yield EnforcementAction.model_validate(values)


def read_rejects(kafka: KafkaConfig, party: str, *, follow: bool = False) -> Iterator[Reject]:
    """The party's rejected events."""
    for record in read_topic(kafka, f"party.{party}.rejects", follow=follow):
        headers = {name: value.decode(errors="replace") for name, value in record.headers}
        first, _, last = headers.get("weaklink-offset", str(record.offset)).partition("-")
        yield Reject(
            headers.get("weaklink-reason", "UNKNOWN"),
            headers.get("weaklink-field") or None,
            headers.get("weaklink-detail", ""),
            headers.get("weaklink-topic", record.topic),
            int(headers.get("weaklink-partition", record.partition)),
            int(first),
            int(last or first),
            record.value or b"",
        )
