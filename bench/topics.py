"""Topics of the benchmark on its broker: made, filled, read back whole, and removed with the groups that read them."""

import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from kafka import KafkaConsumer, TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from bench.build import PEERS
from bench.world import PARTITIONS
from weaklink.kafka_options import KafkaConfig

_PATIENCE_SECONDS: Final = 60
_CONFIGS: Final = {"message.timestamp.type": "LogAppendTime", "max.message.bytes": "16777216"}
_OFFSETS_TOPICS: Final = "__"


@contextmanager
def admin(kafka: KafkaConfig) -> Iterator[KafkaAdminClient]:
    """An administrator's connection."""
    client = KafkaAdminClient(**kafka.client_options())
    try:
        yield client
    finally:
        client.close()


def create(kafka: KafkaConfig, names: Sequence[str]) -> None:
    """Topics of four partitions; returns when they can be seen."""
    wanted = {"num_partitions": PARTITIONS, "replication_factor": kafka.replication_factor, "configs": _CONFIGS}
    with admin(kafka) as client:
        client.create_topics(dict.fromkeys(names, wanted))
        client.wait_for_topics(list(names), timeout_ms=_PATIENCE_SECONDS * 1000)


def load(kafka: KafkaConfig, topic: str, events: Path, python: Path) -> None:
    """Publish a file of events. Raises RuntimeError with what went wrong."""
    command = [str(python), str(PEERS / "librdkafka" / "load.py"), kafka.bootstrap_servers, topic, str(events)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode:
        raise RuntimeError(f"{events} could not be published to {topic}: {run.stdout}{run.stderr}")


def ends(consumer: KafkaConsumer, topic: str) -> dict[TopicPartition, int]:
    """Where the log of each partition ends, for the consumer's isolation level."""
    found: dict[TopicPartition, int] = consumer.end_offsets([TopicPartition(topic, one) for one in range(PARTITIONS)])
    return found


@contextmanager
def reader(kafka: KafkaConfig) -> Iterator[KafkaConsumer]:
    """A consumer of committed messages, in no group."""
    consumer = KafkaConsumer(
        **kafka.client_options(),
        group_id=None,
        enable_auto_commit=False,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=16 << 20,
    )
    try:
        yield consumer
    finally:
        consumer.close()


def read_all(kafka: KafkaConfig, topic: str) -> list[tuple[bytes, bytes]]:
    """(key, value) of every committed message of a topic. Raises TimeoutError when they do not all come."""
    return list(read_each(kafka, topic))


def read_each(kafka: KafkaConfig, topic: str) -> Iterator[tuple[bytes, bytes]]:
    """The same one after another, so that none need be held."""
    with reader(kafka) as consumer:
        bounds = ends(consumer, topic)
        consumer.assign(list(bounds))
        consumer.seek_to_beginning(*bounds)
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while any(consumer.position(tp) < end for tp, end in bounds.items()):
            for records in consumer.poll(timeout_ms=500).values():
                yield from ((record.key or b"", record.value or b"") for record in records)
                deadline = time.monotonic() + _PATIENCE_SECONDS
            if time.monotonic() > deadline:
                raise TimeoutError(f"{topic} was not read to its end within {_PATIENCE_SECONDS} s")


def remove(kafka: KafkaConfig, mark: str, names: Sequence[str] = ()) -> None:
    """Delete the topics and groups that have `mark` in their name, and these; returns when no broker shows them any more."""
    with admin(kafka) as client:
        own = [
            one for one in client.list_topics() if (mark in one or one in names) and not one.startswith(_OFFSETS_TOPICS)
        ]
        if own:
            client.delete_topics(own, raise_errors=False)
        _remove_groups(client, [name for name in _groups(client) if mark in name or name in names])
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while set(own) & set(client.list_topics()):
            if time.monotonic() > deadline:
                raise TimeoutError(f"Kafka still shows {own} {_PATIENCE_SECONDS} s after deleting them")
            time.sleep(0.1)


def _groups(client: KafkaAdminClient) -> list[str]:
    found: Sequence[Mapping[str, str]] = client.list_groups()
    return [one["group_id"] for one in found]


def _remove_groups(client: KafkaAdminClient, names: Sequence[str]) -> None:
    """A member that was killed keeps its group alive until its session ends."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while names:
        try:
            client.delete_groups(list(names))
        except KafkaError:
            if time.monotonic() > deadline:
                raise
            time.sleep(1)
        names = [name for name in names if name in _groups(client)]
        if names and time.monotonic() > deadline:
            raise TimeoutError(f"Kafka still has the groups {', '.join(names)}")
