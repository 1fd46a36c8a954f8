"""correlate without a snapshot: how fast it takes its links back from the log of a real broker, beside reading the same messages and doing nothing."""

import json
import shutil
import sys
import time
from pathlib import Path
from typing import Any, Final

import numpy as np
import psutil
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.structs import OffsetAndMetadata

from bench.link_load import message
from bench.processes import Started
from weaklink import topology
from weaklink.frames import LINKS, from_chunk
from weaklink.kafka_options import KafkaConfig
from weaklink.ops.broker import LocalCluster
from weaklink.ops.provision import provision
from weaklink.settings import Settings

_MESSAGE_ROWS: Final = 20_000
_PARTITIONS: Final = 2
_PATIENCE_SECONDS: Final = 600


def rebuild(links: int, folder: Path) -> dict[str, Any]:
    """Publish so many links (and as many uses of known ones), and start a worker whose group has committed them all."""
    runs = folder / "rebuild"
    shutil.rmtree(runs, ignore_errors=True)
    with LocalCluster(runs / "broker", heap_mib=1024) as cluster:
        provision(Settings(kafka=cluster.kafka))
        rows, ends = _publish(cluster.kafka, links)
        limit = _read(cluster.kafka, ends)
        _commit(cluster.kafka, ends)
        seconds, cpu_seconds = _recovered(cluster.kafka, runs)
    shutil.rmtree(runs, ignore_errors=True)
    return {
        "rows": rows,
        "seconds": seconds,
        "cpu_seconds_with_start": round(cpu_seconds, 2),
        "rows_per_second": round(rows / seconds),
        "limit_rows_per_second": round(rows / limit),
    }


def _publish(kafka: KafkaConfig, links: int) -> tuple[int, dict[TopicPartition, int]]:
    producer = KafkaProducer(**kafka.client_options(), acks="all", linger_ms=5, max_request_size=64 << 20)
    random, rows = np.random.default_rng(1), 0
    ends = dict.fromkeys((TopicPartition(topology.LINKS, number) for number in range(_PARTITIONS)), 0)
    for sent, stored in enumerate(range(0, links, _MESSAGE_ROWS // 2)):
        value = message(stored, _MESSAGE_ROWS // 2, _MESSAGE_ROWS // 2 if stored else 0, random)
        rows += from_chunk(value, LINKS).height
        tp = TopicPartition(topology.LINKS, sent % _PARTITIONS)
        producer.send(tp.topic, value=value, partition=tp.partition)
        ends[tp] += 1
    producer.flush()
    producer.close()
    return rows, ends


def _read(kafka: KafkaConfig, ends: dict[TopicPartition, int]) -> float:
    """Seconds to receive and decode every message."""
    consumer = KafkaConsumer(
        **kafka.client_options(), group_id=None, auto_offset_reset="earliest", max_partition_fetch_bytes=16 << 20, fetch_max_bytes=64 << 20
    )  # fmt: skip
    consumer.assign(list(ends))
    begun = time.perf_counter()
    while any(consumer.position(tp) < end for tp, end in ends.items()):
        for records in consumer.poll(200).values():
            for record in records:
                from_chunk(record.value, LINKS)
    seconds = time.perf_counter() - begun
    consumer.close()
    return seconds


def _commit(kafka: KafkaConfig, ends: dict[TopicPartition, int]) -> None:
    consumer = KafkaConsumer(
        **kafka.client_options(), group_id=topology.stage("correlate").group, enable_auto_commit=False
    )
    consumer.assign(list(ends))
    consumer.commit({tp: OffsetAndMetadata(end, "", -1) for tp, end in ends.items()})
    consumer.close(autocommit=False)


def _recovered(kafka: KafkaConfig, folder: Path) -> tuple[float, float]:
    environment = {
        "WEAKLINK_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "WEAKLINK_DATA_FOLDER": str(folder.resolve()),
        "WEAKLINK_LOG_JSON": "true",
    }
    command = [str(Path(sys.executable).parent / "weaklink"), "run", "correlate"]
    deadline = time.monotonic() + _PATIENCE_SECONDS
    with Started(command, folder / "correlate.log", environment) as worker:
        while time.monotonic() < deadline:
            worker.check()
            for line in worker.log.read_text(encoding="utf-8", errors="replace").splitlines():
                if '"event": "recovered"' in line and (entry := json.loads(line))["units"]:
                    times = psutil.Process(worker.process.pid).cpu_times()
                    return float(entry["seconds"]), times.user + times.system
            time.sleep(0.1)
    raise TimeoutError(f"correlate was not rebuilt within {_PATIENCE_SECONDS} s")
