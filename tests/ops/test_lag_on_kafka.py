"""Lag asked of a real broker, and compared with what Kafka's own tool says."""

import contextlib
import fcntl
import itertools
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
import urllib.request
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.structs import OffsetAndMetadata
from tests.topics import create_topics
from tests.waiting import PATIENCE_SECONDS, wait_until

from weaklink.cli.lag import lag
from weaklink.kafka_options import KafkaConfig
from weaklink.ops.broker import LocalCluster
from weaklink.ops.kafka_jars import ensure_jars
from weaklink.ops.lag import ReaderLag
from weaklink.ops.lag_probe import LagProbe
from weaklink.ops.lag_watch import LagWatch
from weaklink.ops.ledger_probe import read_published
from weaklink.ops.ports import free_ports
from weaklink.ops.provision import provision
from weaklink.parties import Party, PartyKind
from weaklink.party_registry import write_party
from weaklink.settings import Settings

pytestmark = pytest.mark.kafka


@dataclass
class World:
    """A party with its actions topic, on a real broker."""

    kafka: KafkaConfig
    party: str

    @property
    def topic(self) -> str:
        return f"party.{self.party}.actions"

    def send(self, records: int, *, transactional: bool = False, partition: int = 0, commit: bool = True) -> None:
        options = {"transactional_id": f"tx-{uuid.uuid4().hex}"} if transactional else {}
        producer = KafkaProducer(**self.kafka.client_options(), **options)
        if transactional:
            producer.init_transactions()
            producer.begin_transaction()
        for _ in range(records):
            producer.send(self.topic, b"x", partition=partition)
        producer.flush()
        if transactional and commit:
            producer.commit_transaction()
        elif transactional:
            producer.abort_transaction()
        producer.close()

    def commit(self, offset: int, partition: int = 0, group: str | None = None) -> None:
        consumer = KafkaConsumer(**self.kafka.client_options(), group_id=group or self.topic, enable_auto_commit=False)
        consumer.assign([TopicPartition(self.topic, partition)])
        consumer.commit({TopicPartition(self.topic, partition): OffsetAndMetadata(offset, "", -1)})
        consumer.close()

    def append_times_seconds(self) -> list[float]:
        """When the broker stored each record of partition 0."""
        consumer = KafkaConsumer(**self.kafka.client_options(), consumer_timeout_ms=PATIENCE_SECONDS * 1000)
        partition = TopicPartition(self.topic, 0)
        consumer.assign([partition])
        consumer.seek_to_beginning(partition)
        end = consumer.end_offsets([partition])[partition]
        times = [record.timestamp / 1000 for record in itertools.islice(consumer, end)]
        consumer.close()
        return times

    def lags(self) -> dict[str, ReaderLag]:
        with LagProbe(self.kafka) as probe:
            return {one.group: one for one in probe.sample() if one.reader == f"party {self.party}"}

    def lag(self) -> ReaderLag:
        return self.lags()[self.topic]


@pytest.fixture
def world(kafka: KafkaConfig) -> World:
    return new_world(kafka)


def new_world(kafka: KafkaConfig) -> World:
    made = World(kafka, f"lag-{uuid.uuid4().hex[:8]}")
    create_topics(kafka, [made.topic])
    return made


def test_a_party_that_never_read_is_behind_by_everything(world: World) -> None:
    """And an idle topic is at 0, not undefined."""
    assert (world.lag().records, world.lag().seconds) == (0, 0.0)
    world.send(3)
    world.send(4, partition=1)
    lag = world.lag()
    assert lag.records == 7
    assert [one.committed for one in lag.partitions] == [None, None]
    assert lag.seconds > 0


def test_transaction_markers_are_not_records(world: World) -> None:
    """Committing the last record + 1 leaves the marker behind; that is no lag, nor are records of an aborted transaction."""
    world.send(5, transactional=True)
    world.send(2, transactional=True)
    assert world.lag().records == 7
    world.commit(5)
    assert world.lag().records == 2
    world.commit(8)
    assert (world.lag().records, world.lag().seconds) == (0, 0.0)
    world.send(3, transactional=True, commit=False)
    assert (world.lag().records, world.lag().seconds) == (0, 0.0)


def test_seconds_age_from_the_oldest_record_that_is_not_committed(world: World) -> None:
    """Of two records a while apart, committing the first leaves the age of the second."""
    world.send(1)
    time.sleep(0.2)
    world.send(1)
    first, second = world.append_times_seconds()
    before = world.lag()
    world.commit(1)
    after = world.lag()
    assert before.seconds == pytest.approx(before.at_us / 1e6 - first, abs=0.002)
    assert after.seconds == pytest.approx(after.at_us / 1e6 - second, abs=0.002)


def test_every_group_of_the_party_that_reads_its_actions_is_shown(world: World) -> None:
    """Groups of others are not."""
    world.send(2)
    world.commit(1, group=f"party.{world.party}.soar")
    world.commit(1, group="party.other.soar")
    assert {group: one.records for group, one in world.lags().items()} == {
        world.topic: 2,
        f"party.{world.party}.soar": 1,
    }


GROUPS_SHOWN = 8


class Asked:
    """How often Kafka was asked, and from how many places it was read."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.times: Counter[str] = Counter()
        for owner, names in (
            (KafkaAdminClient, ("list_topics", "list_groups", "list_group_offsets", "describe_groups")),
            (KafkaConsumer, ("seek",)),
        ):
            for name in names:
                monkeypatch.setattr(owner, name, self._counted(name, getattr(owner, name)))

    def _counted(self, name: str, ask: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **options: Any) -> Any:
            self.times[name] += 1
            return ask(*arguments, **options)

        return counted

    def by(self, world: World) -> tuple[Counter[str], dict[str, ReaderLag]]:
        """What one sample asked, and the readers that it found, by group."""
        with LagProbe(world.kafka) as probe:
            self.times.clear()
            found = {one.group: one for one in probe.sample()}
        return self.times.copy(), found


def test_a_party_with_hundreds_of_groups_costs_no_more_than_one_with_eight(
    world_alone: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may use any group of its prefix and commit any offset. Asked for and read one by one, they would keep lag from being measured for anybody."""
    world, other = world_alone, new_world(world_alone.kafka)
    world.send(300)
    other.send(3)
    other.commit(1)
    other.commit(2, group=f"party.{other.party}.soar")
    partition = TopicPartition(world.topic, 0)
    with closing(KafkaAdminClient(**world.kafka.client_options())) as admin:

        def make(numbers: Iterable[int]) -> None:
            """Groups that stand at an offset of their own each."""
            for number in numbers:
                admin.alter_group_offsets(
                    f"party.{world.party}.g{number:03d}", {partition: OffsetAndMetadata(number, "", -1)}
                )

        make(range(1, GROUPS_SHOWN))
        asked = Asked(monkeypatch)
        times, found = asked.by(world)
        make(range(GROUPS_SHOWN, 201))
        # What such names would say to a terminal, or to a table; and one that is too long for a label.
        for name in ("\x1b[2J", "[/]", "x" * 1000):
            admin.alter_group_offsets(f"party.{world.party}.{name}", {partition: OffsetAndMetadata(299, "", -1)})
    times_of_many, found_of_many = asked.by(world)
    assert times_of_many == times
    assert times["seek"] <= GROUPS_SHOWN + 2

    def shown(readers: dict[str, ReaderLag], party: str) -> dict[str, int]:
        return {group: one.records for group, one in readers.items() if one.reader == f"party {party}"}

    assert len(shown(found, world.party)) == len(shown(found_of_many, world.party)) == GROUPS_SHOWN
    assert shown(found_of_many, world.party) == {world.topic: 300} | {
        f"party.{world.party}.g{number}": 300 - number for number in range(194, 201)
    }
    for readers in (found, found_of_many):
        assert shown(readers, other.party) == {other.topic: 2, f"party.{other.party}.soar": 1}


def test_a_topic_whose_party_cannot_be_is_nobodys(world_alone: World) -> None:
    """Whoever may create topics may misname one: taken for a party's, it would end the exporter, again after each restart."""
    world = world_alone
    world.send(2)
    topics = [f"party.{name}.{kind}" for name in ("x", "y" * 41) for kind in ("events", "actions", "rejects")]
    create_topics(world.kafka, topics, partitions=1)
    producer = KafkaProducer(**world.kafka.client_options())
    for topic in topics:
        producer.send(topic, b"x").get(timeout=PATIENCE_SECONDS)
    producer.close()
    with LagWatch(world.kafka) as watch:
        report = watch.sample()
    assert [(one.party, one.actions_unread) for one in report.parties] == [(world.party, 2)]
    assert not {one.topic for lag, _ in report.rows for one in lag.partitions} & set(topics)
    assert [one.topic for one in read_published(world.kafka)] == [world.topic]


def watching(world: World, *options: str, stdout: int) -> "subprocess.Popen[bytes]":
    """`weaklink lag --watch` as a process of its own."""
    environment = {**os.environ, "WEAKLINK_KAFKA__BOOTSTRAP_SERVERS": world.kafka.bootstrap_servers, "TERM": "xterm"}
    for name in ("COLUMNS", "LINES"):  # of the tests' own terminal, if any
        environment.pop(name, None)
    environment["PYTHONFAULTHANDLER"] = "1"  # for `where_it_stands`
    command = [
        sys.executable,
        "-c",
        "from weaklink.cli.main import main; main()",
        "lag",
        "--watch",
        "--interval",
        "0.2",
    ]
    return subprocess.Popen([*command, *options], env=environment, stdout=stdout, stderr=subprocess.PIPE)


def leave(process: "subprocess.Popen[bytes]") -> None:
    """Ctrl-C ends it in order, without a word."""
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=PATIENCE_SECONDS)
    assert (process.returncode, said) == (0, b"")


def where_it_stands(process: "subprocess.Popen[bytes]") -> str:
    """Of a process that did not do what it should: what it said, and what every thread was at. Ends it."""
    ended = process.poll()
    if ended is None:
        process.send_signal(signal.SIGABRT)
    _, said = process.communicate(timeout=PATIENCE_SECONDS)
    return f"{'still running' if ended is None else f'ended with {ended}'}: {said.decode()}"


def test_watching_shows_one_sample_after_the_other_until_ctrl_c(world: World) -> None:
    """One JSON object a line; what is sent meanwhile shows in a later one."""
    process = watching(world, "--json", stdout=subprocess.PIPE)
    assert process.stdout

    def records() -> int:
        assert process.stdout
        line = process.stdout.readline()
        assert line, process.communicate(timeout=PATIENCE_SECONDS)[1].decode()
        sample = json.loads(line)
        (own,) = [one["records"] for one in sample["readers"] if one["group"] == world.topic]
        return int(own)

    try:
        assert [records() for _ in range(3)] == [0, 0, 0]
        world.send(5)
        wait_until(lambda: records() == 5)
        leave(process)
    finally:
        process.kill()


@pytest.fixture
def world_alone(tmp_path: Path) -> Iterator[World]:
    """A party on a broker of its own: a sample takes a tenth of a second for each party that is behind, and other tests leave hundreds."""
    with LocalCluster(tmp_path / "broker", heap_mib=256) as cluster:
        yield new_world(cluster.kafka)


@pytest.mark.parametrize(("lines", "columns"), [(50, 160), (24, 80)])
def test_watching_on_a_terminal_draws_a_table(world_alone: World, lines: int, columns: int) -> None:
    """With a row for every stage, and the parties that are furthest behind."""
    world = world_alone
    world.send(3)
    terminal, its_end = pty.openpty()
    fcntl.ioctl(its_end, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    process = watching(world, stdout=its_end)
    drawn = bytearray()

    def read_on() -> None:
        """Until the terminal is closed: whoever draws must never wait for a reader."""
        with contextlib.suppress(OSError):
            while True:
                drawn.extend(os.read(terminal, 1 << 16))

    reader = threading.Thread(target=read_on, daemon=True)
    reader.start()
    try:
        wait_until(
            lambda: b"campaigns" in drawn and world.party.encode() in drawn,
            lambda: f"{where_it_stands(process)[-1500:]}; {len(drawn)} bytes drawn, the first {bytes(drawn[:1_000])!r}",
        )
        leave(process)
    finally:
        process.kill()
        process.wait()
        os.close(its_end)
        reader.join()
        os.close(terminal)


def kafkas_own(world: World) -> dict[int, tuple[int, int, int]]:
    """What ConsumerGroupCommand says of the party's group: committed, end and lag by partition."""
    command = [
        "java", "-Xmx128m", "-cp", f"{ensure_jars()}/*", "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
        "--bootstrap-server", world.kafka.bootstrap_servers, "--describe", "--group", world.topic,
    ]  # fmt: skip
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in said.splitlines() if world.topic in line]
    return {int(row[2]): (int(row[3]), int(row[4]), int(row[5])) for row in rows}


def test_it_agrees_with_kafkas_own_tool(world: World) -> None:
    """To the record, beyond 500 offsets too. In a topic of transactions the tool counts markers, and what is not committed yet; this does not."""
    world.send(700)
    world.send(30, partition=1)
    world.commit(3)
    world.commit(29, partition=1)
    ours = {one.partition: (one.committed, one.end, one.records) for one in world.lag().partitions}
    assert kafkas_own(world) == ours == {0: (3, 700, 697), 1: (29, 30, 1)}
    world.send(4, transactional=True, partition=1)
    with open_transaction(world, records=6, partition=1):
        ours = {one.partition: (one.committed, one.end, one.records) for one in world.lag().partitions}
        assert ours == {0: (3, 700, 697), 1: (29, 35, 5)}
        assert kafkas_own(world) == {0: (3, 700, 697), 1: (29, 41, 12)}  # a marker and six records more


@contextlib.contextmanager
def open_transaction(world: World, records: int, partition: int) -> Iterator[None]:
    """A producer that has sent records and has not committed them yet."""
    producer = KafkaProducer(**world.kafka.client_options(), transactional_id=f"tx-{uuid.uuid4().hex}")
    producer.init_transactions()
    producer.begin_transaction()
    for _ in range(records):
        producer.send(world.topic, b"x", partition=partition)
    producer.flush()
    yield
    producer.abort_transaction()
    producer.close()


def test_what_is_not_committed_yet_is_no_lag(world: World) -> None:
    """A reader of committed records could not read it: on an idle topic there is no phantom."""
    with open_transaction(world, records=3, partition=0):
        assert (world.lag().records, world.lag().seconds) == (0, 0.0)


def test_far_behind_is_asked_for_once(world: World) -> None:
    """The age of the oldest record stays as it was read while the reader stands where it stood, and is right again when it has moved."""
    world.send(600)
    time.sleep(0.2)
    world.send(600)
    times = world.append_times_seconds()
    with LagProbe(world.kafka) as probe:

        def lag() -> ReaderLag:
            (own,) = [one for one in probe.sample() if one.group == world.topic]
            return own

        for committed, oldest in ((0, times[0]), (0, times[0]), (600, times[600]), (600, times[600])):
            world.commit(committed)
            own = lag()
            assert own.records == 1200 - committed
            assert own.seconds == pytest.approx(own.at_us / 1e6 - oldest, abs=0.002)


def test_a_group_is_shown_with_its_members(world: World) -> None:
    """None before anybody joins, one while somebody reads, none again after."""
    assert world.lag().members == 0
    reader = KafkaConsumer(world.topic, **world.kafka.client_options(), group_id=world.topic)
    # A shorter poll would cut a slow join short each time.
    wait_until(lambda: bool(reader.poll(5_000) or reader.assignment()))
    assert world.lag().members == 1
    reader.close()
    assert world.lag().members == 0


def test_on_a_broker_that_was_not_provisioned_no_stage_is_ok(
    world_alone: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing waits there, and nobody would read it. Once it is provisioned, what is missing are processes."""
    monkeypatch.setenv("WEAKLINK_KAFKA__BOOTSTRAP_SERVERS", world_alone.kafka.bootstrap_servers)
    for verdict, advice in (
        ("not provisioned", "lacks topics: `weaklink provision` makes them"),
        ("not running", "has no process: `weaklink run {}` starts one"),
    ):
        with LagWatch(world_alone.kafka) as watch:
            report = watch.sample().to_json()
        stages = {one["reader"]: one for one in report["readers"] if not one["reader"].startswith("party ")}
        assert {one["verdict"] for one in stages.values()} == {verdict}
        assert all(bool(one["missing_topics"]) == (verdict == "not provisioned") for one in stages.values())
        assert [one["verdict"] for one in report["readers"] if one["reader"].startswith("party ")] == ["ok"]
        lag(interval_seconds=0.2, window_seconds=60, watch=False, as_json=False, partitions=False, parties=False)
        said = capsys.readouterr().out.splitlines()
        assert all(f"{stage} {advice.format(stage)}" in said for stage in stages)
        provision(Settings(kafka=world_alone.kafka))


def test_the_newest_event_of_a_party_is_found_without_reading(world: World) -> None:
    """A party that never sent anything has none."""
    topic = f"party.{world.party}.events"
    create_topics(world.kafka, [topic])
    with LagProbe(world.kafka) as probe:
        assert world.party not in probe.last_event_us()
        world_events = World(world.kafka, world.party)
        producer = KafkaProducer(**world_events.kafka.client_options())
        sent = [producer.send(topic, b"x", partition=number).get(timeout=PATIENCE_SECONDS) for number in (0, 1)]
        producer.close()
        assert probe.last_event_us()[world.party] == max(one.timestamp for one in sent) * 1000


def test_the_exporter_serves_it_to_prometheus(world: World) -> None:
    """As a process, until SIGTERM; with probes. A party that never sent anything is silent since it was added."""
    provision(Settings(kafka=world.kafka))
    write_party(world.kafka, world.party, Party(id=world.party, kind=PartyKind.LAB))
    world.send(5)
    world.commit(2)
    (port,) = free_ports(1)
    process = subprocess.Popen(
        [sys.executable, "-c", "from weaklink.cli.main import main; main()", "run", "exporter", "--metrics-port", f"{port}"],
        env={**os.environ, "WEAKLINK_KAFKA__BOOTSTRAP_SERVERS": world.kafka.bootstrap_servers, "WEAKLINK_EXPORTER__INTERVAL_SECONDS": "0.3"},
        stderr=subprocess.PIPE,
    )  # fmt: skip

    def asked(path: str) -> str:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=PATIENCE_SECONDS) as answer:
                return str(answer.read().decode())
        except OSError as error:
            return str(error)

    wanted = f'kafka_consumergroup_group_lag{{group="{world.topic}",partition="0",topic="{world.topic}"}} 3.0'
    try:
        wait_until(lambda: wanted in asked("metrics"), lambda: asked("metrics"))
        assert asked("readyz") == "ready\n"
        (silent,) = re.findall(rf'weaklink_party_silent_seconds{{party="{world.party}"}} (.*)', asked("metrics"))
        assert 0 < float(silent) < PATIENCE_SECONDS
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=PATIENCE_SECONDS)
        assert process.returncode == 0, said
    finally:
        process.kill()
        write_party(world.kafka, world.party, None)
