"""The local cluster: real brokers that start, serve, fail over and stop."""

import secrets
import socket
import subprocess
import sys
import uuid
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest
from chaos.roles import coordinator
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError
from kafka.protocol.metadata import CoordinatorType
from kafka.structs import OffsetAndMetadata
from tests.prerequisites import require
from tests.topics import create_topics
from tests.waiting import PATIENCE_SECONDS, wait_until

from weaklink.errors import BrokerError
from weaklink.kafka_options import KafkaConfig
from weaklink.ops import broker, kafka_jars
from weaklink.ops.broker import LocalCluster
from weaklink.ops.group_offsets import committed_offsets
from weaklink.ops.ports import free_ports
from weaklink.settings import Settings
from weaklink.stream.source import Source
from weaklink.stream.stage import Traits
from weaklink.topology import StageSpec


def round_trip(kafka: KafkaConfig, topic: str) -> bytes:
    """Create a topic, send one message, read it back."""
    create_topics(kafka, [topic], partitions=1)
    producer = KafkaProducer(**kafka.client_options(), acks="all")
    producer.send(topic, b"hello").get(timeout=PATIENCE_SECONDS)
    producer.close()
    consumer = KafkaConsumer(
        **kafka.client_options(), auto_offset_reset="earliest", consumer_timeout_ms=PATIENCE_SECONDS * 1000
    )
    consumer.assign([TopicPartition(topic, 0)])
    value: bytes = next(iter(consumer)).value
    consumer.close()
    return value


def replicas(admin: KafkaAdminClient) -> dict[str, set[tuple[int, int]]]:
    """Of every topic: how many replicas its partitions have, and how many of these are in sync."""
    return {
        topic["name"]: {(len(one["replica_nodes"]), len(one["isr_nodes"])) for one in topic["partitions"]}
        for topic in admin.describe_topics()
    }


def test_free_ports_are_all_different() -> None:
    """Several nodes never get the same port."""
    assert len(set(free_ports(12))) == 12


@pytest.mark.kafka
def test_scram_lets_the_administrator_in_and_nobody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With SCRAM, the right password serves and no password does not; the password is in no list of processes; stop leaves no process behind."""
    started: list[str] = []
    original = subprocess.Popen.__init__

    def noting(self: Any, words: Any, *rest: Any, **named: Any) -> None:
        started.extend(words)
        original(self, words, *rest, **named)

    monkeypatch.setattr(subprocess.Popen, "__init__", noting)
    with LocalCluster(tmp_path, scram=True) as cluster:
        pid = cluster.pid(1)
        assert round_trip(cluster.kafka, "scram") == b"hello"
        stranger = KafkaConfig(bootstrap_servers=cluster.bootstrap_servers, bootstrap_timeout_ms=3000)
        with pytest.raises(KafkaError):
            KafkaAdminClient(**stranger.client_options()).list_topics()
        assert started.count("java") == 2  # to format, and to serve
        assert not [word for word in started if cluster.admin_password in word]
        holders = [path for path in tmp_path.rglob("*") if path.is_file() and cluster.admin_password.encode() in path.read_bytes()]  # fmt: skip
        assert [path.name for path in holders if path.stat().st_mode & 0o077] == []
    assert not psutil.pid_exists(pid)


@pytest.mark.kafka
def test_ids_that_begin_with_a_hyphen_are_not_taken_for_options(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One random cluster id in 64 does."""
    monkeypatch.setattr(uuid, "uuid4", lambda: uuid.UUID(bytes=b"\xf8" + secrets.token_bytes(15)))
    with LocalCluster(tmp_path) as cluster:
        monkeypatch.undo()
        assert round_trip(cluster.kafka, "hyphen") == b"hello"


@pytest.mark.kafka
def test_a_port_that_somebody_takes_before_the_start_costs_another_attempt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ports are chosen before the broker binds them, which takes seconds."""
    chosen = [free_ports(2), free_ports(2)]
    with socket.socket() as somebody:
        somebody.bind(("127.0.0.1", chosen[0][0]))
        somebody.listen()
        monkeypatch.setattr(broker, "free_ports", lambda _: chosen.pop(0))
        with LocalCluster(tmp_path, heap_mib=256) as cluster:
            assert round_trip(cluster.kafka, "second-attempt") == b"hello"
    assert chosen == []


def test_ports_are_none_that_outgoing_connections_get() -> None:
    """Else any client on the machine might take one in the seconds until the broker binds it."""
    begin = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert max(free_ports(20)) < begin


@pytest.mark.kafka
def test_three_nodes_hold_three_replicas_and_outlive_the_death_of_a_coordinator(tmp_path: Path) -> None:
    """Else one node's death would take what it held. Offsets are read again by the same connections, which knew the node that died."""
    tp = TopicPartition("before", 0)
    with LocalCluster(tmp_path, nodes=3, heap_mib=256) as cluster:
        round_trip(cluster.kafka, tp.topic)
        options = cluster.kafka.client_options()
        with closing(KafkaConsumer(**options, group_id="watched")) as consumer:
            consumer.assign([tp])
            consumer.commit({tp: OffsetAndMetadata(1, "", -1)})
        with closing(KafkaAdminClient(**options)) as admin:
            # The broker's own topic, too: without it nobody knows how far the groups were.
            wait_until(lambda: replicas(admin) == {tp.topic: {(3, 3)}, "__consumer_offsets": {(3, 3)}}, lambda: str(replicas(admin)))  # fmt: skip
            assert committed_offsets(admin, ["watched"]) == {"watched": {tp: 1}}
            spec = StageSpec("watched", "columnar", "watched", (tp.topic,), (), "")
            with closing(Source(spec, Traits(), Settings(kafka=cluster.kafka))) as source:
                assert source.committed([tp]) == {tp: 1}
                cluster.kill_node(coordinator(admin, "watched", CoordinatorType.GROUP))
                # Until its followers have fetched, a new coordinator may answer as of before the last commits; never to a stage, which would do them again.
                assert source.committed([tp]) == {tp: 1}
            wait_until(lambda: committed_offsets(admin, ["watched"]) == {"watched": {tp: 1}})


def test_a_machine_without_java_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No Java and no Maven: one clear message that names both and the way out."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(BrokerError, match=r"(?s)Java 17.*Maven.*WEAKLINK_KAFKA__BOOTSTRAP_SERVERS"):
        kafka_jars.ensure_jars()


def command(folder: Path, port: int) -> "subprocess.Popen[str]":
    """`weaklink broker` as a process of its own."""
    main = "from weaklink.cli.main import main; main()"
    words = [sys.executable, "-c", main, "broker", "--folder", str(folder), "--port", str(port)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_broker_to_try_things_with_says_where_it_is_and_keeps_what_it_has(tmp_path: Path) -> None:
    """Stopped and started again, also at another port, it has its topics; nothing runs on; and two never share a folder or a port."""
    require(kafka_jars.missing_tools())
    first, second = free_ports(2)
    for port, before in ((first, set()), (first, {"kept"}), (second, {"kept"})):
        process = command(tmp_path, port)
        try:
            assert process.stdout
            assert process.stderr
            line = process.stdout.readline()
            assert line == f"export WEAKLINK_KAFKA__BOOTSTRAP_SERVERS=127.0.0.1:{port}\n", process.stderr.read()
            kafka = KafkaConfig(bootstrap_servers=f"127.0.0.1:{port}", bootstrap_timeout_ms=30_000)
            with closing(KafkaAdminClient(**kafka.client_options())) as admin:
                assert {one for one in admin.list_topics() if not one.startswith("__")} == before
            if not before:
                assert round_trip(kafka, "kept") == b"hello"
            children = psutil.Process(process.pid).children()
            taken, used = command(tmp_path / "other", port), command(tmp_path, 0)
            assert f"the broker cannot be served at 127.0.0.1:{port}: " in taken.communicate()[1]
            assert f"{tmp_path} is in use by process {process.pid}; choose another --folder" in used.communicate()[1]
            assert (taken.returncode, used.returncode) == (1, 1)
        finally:
            process.terminate()
            _, said = process.communicate(timeout=PATIENCE_SECONDS)
        assert (process.returncode, said.splitlines()[-1]) == (0, "stopped")
        assert not any(one.is_running() for one in children)
