"""Reads the topic of campaigns: whole the first time, then what is new."""

from collections.abc import Iterator
from types import TracebackType
from typing import Final, Self

from kafka import KafkaConsumer

from weaklink import topology
from weaklink.cases.store import Cases
from weaklink.kafka_options import KafkaConfig
from weaklink.read_to_end import read_topic_to_end
from weaklink.small_topics import broker_errors

_WHAT: Final = "the topic of campaigns"


class CaseReader:
    """`refresh` brings `cases` up to the last committed record. One for a process or thread; of no more use once it has raised."""

    def __init__(self, kafka: KafkaConfig, topic: str | None = None) -> None:
        self.cases: Final = Cases()
        self._kafka: Final = kafka
        self._topic: Final = topic or topology.CAMPAIGNS
        with broker_errors(kafka, _WHAT):
            self._consumer = KafkaConsumer(
                **kafka.client_options(),
                group_id=None,
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                isolation_level="read_committed",
                max_partition_fetch_bytes=8 << 20,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def refresh(self) -> Cases:
        """Everything up to now. Raises BrokerError when the topic is missing, or cannot be read to its end."""
        for key, value in self.read():
            self.cases.take(key, value)
        return self.cases

    def read(self) -> Iterator[tuple[bytes, bytes | None]]:
        """What is new up to now, as `Cases.take` wants it. Waits for the broker, and raises as `refresh` does."""
        with broker_errors(self._kafka, _WHAT):
            for record in read_topic_to_end(self._consumer, self._topic, self._kafka):
                yield record.key or b"", record.value

    def close(self) -> None:
        """Leave the broker."""
        self._consumer.close()


def read_cases(kafka: KafkaConfig) -> Cases:
    """Everything as of now, read once."""
    with CaseReader(kafka) as reader:
        return reader.refresh()
