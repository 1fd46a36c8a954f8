"""`weaklink run ingest` as a process of its own, and what it left on the topics, for tests on a real broker."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import polars as pl
from kafka import KafkaConsumer, TopicPartition

from tests.ingest.batches import Result, gather
from tests.waiting import PATIENCE_SECONDS
from weaklink import frames, topology
from weaklink.settings import Settings
from weaklink.stream.stage import Message


def start_worker(settings: Settings, log: Path, **environment: str) -> subprocess.Popen[bytes]:
    """One ingest worker in slot `test`; what it logs is appended to a file."""
    own = {
        "WEAKLINK_KAFKA__BOOTSTRAP_SERVERS": settings.kafka.bootstrap_servers,
        "WEAKLINK_DATA_FOLDER": str(settings.data_folder),
    }
    command = [sys.executable, "-c", "from weaklink.cli.main import main; main()", "run", "ingest", "--slot", "test"]
    with log.open("ab") as file:
        return subprocess.Popen(command, env={**os.environ, **own, **environment}, stdout=file, stderr=file)


@contextmanager
def worker(settings: Settings, log: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A worker that is stopped by SIGTERM at the end, and must then leave without an error."""
    process = start_worker(settings, log, **environment)
    try:
        yield process
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_SECONDS) == 0, log.read_text()[-3000:]
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def committed(settings: Settings, topic: str, partitions: int) -> dict[TopicPartition, int | None]:
    """The offsets of ingest's group on a topic."""
    consumer = KafkaConsumer(
        **settings.kafka.client_options(),
        group_id=topology.stage("ingest").group,
        enable_auto_commit=False,
        isolation_level="read_committed",
    )
    try:
        return {tp: consumer.committed(tp) for tp in (TopicPartition(topic, number) for number in range(partitions))}
    finally:
        consumer.close()


def ends(settings: Settings, topic: str, partitions: int) -> dict[TopicPartition, int | None]:
    """Where the log of each partition ends."""
    consumer = KafkaConsumer(
        **settings.kafka.client_options(), isolation_level="read_committed", enable_auto_commit=False
    )
    try:
        found: Mapping[TopicPartition, int] = consumer.end_offsets(
            [TopicPartition(topic, number) for number in range(partitions)]
        )
        return dict(found)
    finally:
        consumer.close()


def outputs(settings: Settings, *parties: str) -> Result:
    """Everything committed that stems from these parties."""
    topics = [topology.LINKS, topology.ACTIVITY, topology.RECEIPTS, *(f"party.{party}.rejects" for party in parties)]
    messages: list[Message] = []
    consumer = KafkaConsumer(
        **settings.kafka.client_options(), isolation_level="read_committed", enable_auto_commit=False
    )
    try:
        partitions = [
            TopicPartition(topic, number) for topic in topics for number in consumer.partitions_for_topic(topic) or ()
        ]
        consumer.assign(partitions)
        consumer.seek_to_beginning(*partitions)
        last = consumer.end_offsets(partitions)
        while any(consumer.position(tp) < last[tp] for tp in partitions):
            for records in consumer.poll(timeout_ms=200).values():
                messages += [
                    Message(one.topic, one.value, one.key, one.partition, tuple(one.headers)) for one in records
                ]
    finally:
        consumer.close()
    result = gather(messages)
    result.activity = result.activity.filter(pl.col("party").is_in(parties))
    result.audit = [entry for entry in result.audit if entry["topic"].split(".")[1] in parties]
    accounts = result.activity["account"].unique()
    result.links = result.links.filter(pl.col("account").is_in(accounts.implode()))
    assert result.links.schema == frames.LINKS
    return result
