"""The benign list on its topic: read whole (people write it, so it is small), and appended to."""

from collections.abc import Iterable, Iterator

import structlog
from kafka import KafkaConsumer
from pydantic import ValidationError

from weaklink import topology
from weaklink.benign import BenignRecord
from weaklink.errors import brief
from weaklink.kafka_options import KafkaConfig
from weaklink.read_to_end import read_topic_to_end
from weaklink.small_topics import append, broker_errors

_WHAT = "the benign list"
_log = structlog.get_logger()


def readable(records: Iterable[tuple[int, bytes | None]]) -> Iterator[BenignRecord]:
    """The records among these (offset, value). What this version cannot read changes nothing, and is said: the topic is kept for ever, and whoever
    ended at it would end there again."""
    for offset, value in records:
        try:
            yield BenignRecord.model_validate_json(value or b"")
        except ValidationError as error:
            _log.error(
                "benign_record_not_readable",
                topic=topology.BENIGN,
                offset=offset,
                error=brief(error),
                meaning="it changes nothing here: was it written by a newer version?",
            )


def read_records(kafka: KafkaConfig, topic: str = topology.BENIGN) -> list[BenignRecord]:
    """Every record as of now, in the order in which they were written. Raises BrokerError when the topic is missing."""
    with broker_errors(kafka, _WHAT):
        consumer = KafkaConsumer(
            **kafka.client_options(), group_id=None, enable_auto_commit=False, auto_offset_reset="earliest"
        )
        try:
            return list(readable((one.offset, one.value) for one in read_topic_to_end(consumer, topic, kafka)))
        finally:
            consumer.close()


def write_records(kafka: KafkaConfig, records: Iterable[BenignRecord], topic: str = topology.BENIGN) -> int:
    """Append; returns how many when the broker has them all."""
    return append(kafka, topic, ((one.entry, one.to_json()) for one in records), _WHAT)
