"""correlate on a real broker: killed and started again, from a snapshot and from none, it says everything exactly once."""

import os
import random
import subprocess
import sys
import time
import uuid
from collections import Counter
from pathlib import Path

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient

from tests.correlate import naive
from tests.correlate.test_runs import use
from tests.topics import create_topics
from tests.waiting import wait_until
from weaklink.correlate.config import CorrelateConfig
from weaklink.frames import SHARED, from_chunk, to_chunk
from weaklink.kafka_options import KafkaConfig
from weaklink.ops.group_offsets import committed_offsets

PARTITIONS = 2
CHUNKS = 30


@pytest.fixture
def topics(kafka: KafkaConfig) -> tuple[str, str]:
    """Links and shared of this test alone."""
    links, shared = (f"{kind}-{uuid.uuid4().hex[:8]}" for kind in ("links", "shared"))
    create_topics(kafka, [links, shared], PARTITIONS)
    return links, shared


def worker(kafka: KafkaConfig, topics: tuple[str, str], folder: Path) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "tests.correlate.worker", kafka.bootstrap_servers, *topics, topics[0], str(folder)]
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(command, stderr=log, stdout=log, env={**os.environ, "POLARS_MAX_THREADS": "1"})


def committed_members(kafka: KafkaConfig, topic: str) -> list[naive.Member]:
    """Every member in the output, as often as it was said."""
    consumer = KafkaConsumer(**kafka.client_options(), isolation_level="read_committed", auto_offset_reset="earliest")
    partitions = [TopicPartition(topic, number) for number in range(PARTITIONS)]
    consumer.assign(partitions)
    ends = consumer.end_offsets(partitions)
    said: list[naive.Member] = []
    while any(consumer.position(one) < ends[one] for one in partitions):
        for one, records in consumer.poll(500).items():
            for record in records:
                for row in from_chunk(record.value, SHARED).iter_rows(named=True):
                    assert row["identifier"] % PARTITIONS == one.partition
                    said.append((naive.node_of(row), row["account"]))
    consumer.close()
    return said


def chunks_done(kafka: KafkaConfig, topics: tuple[str, str]) -> int:
    """How far the group has committed, over all partitions."""
    group = f"weaklink.{topics[0]}"
    admin = KafkaAdminClient(**kafka.client_options())
    try:
        return sum(committed_offsets(admin, [group])[group].values())
    finally:
        admin.close()


def await_progress(
    kafka: KafkaConfig, topics: tuple[str, str], running: "subprocess.Popen[bytes]", chunks: int, log: Path
) -> None:
    def reached() -> bool:
        assert running.poll() is None, log.read_text()[-3000:]
        return chunks_done(kafka, topics) >= chunks

    wait_until(reached, log.read_text)


def await_snapshots(folder: Path) -> None:
    """Until each partition has one: they are written under another name and renamed."""

    def written() -> bool:
        return len({path.parent for path in (folder / "snapshots").rglob("*.snapshot")}) == PARTITIONS

    wait_until(written)


@pytest.mark.kafka
def test_killed_and_restarted_it_says_every_member_once(
    kafka: KafkaConfig, topics: tuple[str, str], tmp_path: Path
) -> None:
    """Killed twice at work: once it finds its snapshots again, once they are gone and it rebuilds from the log, silently."""
    random_ = random.Random(5)
    producer = KafkaProducer(**kafka.client_options(), acks="all")
    hour = time.time() // 3600 - 1
    uses: list[naive.Use] = []

    def publish(chunks: int) -> None:
        for _ in range(chunks):
            partition = random_.randrange(PARTITIONS)
            made = [
                use(random_.randrange(500), hour, identifier=2 * random_.randrange(300) + partition) for _ in range(20)
            ]
            uses.extend(made)
            producer.send(topics[0], to_chunk(naive.frame(made)), partition=partition)
        producer.flush()

    folders = [tmp_path / name for name in ("a", "a", "b")]
    for attempt, folder in enumerate(folders, start=1):
        publish(CHUNKS)
        running = worker(kafka, topics, folder)
        last = attempt == len(folders)
        try:
            await_progress(kafka, topics, running, CHUNKS * (2 * attempt - 1), folder / "log")
            if attempt == 1:
                await_snapshots(tmp_path / "a")
            publish(CHUNKS)
            if last:
                await_progress(kafka, topics, running, CHUNKS * 2 * attempt, folder / "log")
        finally:
            running.terminate() if last else running.kill()
            running.wait()
    assert running.returncode == 0
    said = committed_members(kafka, topics[1])
    assert set(said) == naive.shared_members(uses, CorrelateConfig())
    assert max(Counter(said).values()) == 1
    logs = {name: (tmp_path / name / "log").read_text().replace('"snapshot": ', "snapshot=").lower() for name in "ab"}
    assert "snapshot=true" in logs["a"]
    assert "snapshot=false" in logs["b"]
