"""The runner on a real broker: every input counts once, across stops, aborts, lost state and changes of assignment."""

import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaConnectionError, KafkaError

from tests.stream.counting import Counting, spec
from tests.topics import create_topics
from tests.waiting import PATIENCE_SECONDS, wait_until
from weaklink.errors import BrokerError
from weaklink.health import Health
from weaklink.kafka_options import KafkaConfig
from weaklink.settings import Settings
from weaklink.stream.config import StreamConfig
from weaklink.stream.runner import _TAKE_UP_SECONDS, Runner
from weaklink.stream.sink import TransactionAborted, TransactionalSink
from weaklink.stream.stage import Chunk, Message

pytestmark = pytest.mark.kafka
PARTITIONS = 2
_NEVER_SECONDS = 600.0  # a snapshot waits for the transaction under way, which these tests hold up
_SLOW_SECONDS = 1.0  # a join takes less: a commit that nobody waits for is refused then


def settings_for(kafka: KafkaConfig, folder: Path, snapshot_seconds: float = 0.2) -> Settings:
    return Settings(
        kafka=kafka, data_folder=folder, stream=StreamConfig(snapshot_seconds=snapshot_seconds, linger_ms=5)
    )


@contextmanager
def running(runner: Runner) -> Iterator[None]:
    """Run in a thread, stop at the end, and let what it raised reach the test."""
    errors: list[BaseException] = []

    def work() -> None:
        try:
            runner.run()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        runner.stop()
        thread.join(PATIENCE_SECONDS)
        assert not thread.is_alive()
    if errors:
        raise errors[0]


def produce(kafka: KafkaConfig, topic: str, numbers: Sequence[int]) -> None:
    """Number n goes to partition n % 2."""
    producer = KafkaProducer(**kafka.client_options())
    for number in numbers:
        producer.send(topic, str(number).encode(), partition=number % PARTITIONS)
    producer.close()


def committed_values(kafka: KafkaConfig, topic: str) -> list[list[bytes]]:
    """The committed messages of each partition, up to the last stable offset."""
    consumer = KafkaConsumer(**kafka.client_options(), isolation_level="read_committed", enable_auto_commit=False)
    try:
        partitions = [TopicPartition(topic, number) for number in range(PARTITIONS)]
        consumer.assign(partitions)
        consumer.seek_to_beginning(*partitions)
        ends = consumer.end_offsets(partitions)
        values: list[list[bytes]] = [[] for _ in partitions]
        while any(consumer.position(tp) < ends[tp] for tp in partitions):
            for tp, records in consumer.poll(timeout_ms=200).items():
                values[tp.partition] += [record.value for record in records]
        return values
    finally:
        consumer.close()


def expected_values(numbers: Sequence[int]) -> list[list[bytes]]:
    values: list[list[bytes]] = []
    for partition in range(PARTITIONS):
        total, lines = 0, []
        for number in numbers:
            if number % PARTITIONS == partition:
                total += number
                lines.append(f"{number} {total}".encode())
        values.append(lines)
    return values


@pytest.fixture
def topics(kafka: KafkaConfig) -> tuple[str, str]:
    """Input and output topics of this test alone."""
    name = f"count-{uuid4().hex[:8]}"
    create_topics(kafka, [f"{name}-in", f"{name}-out"], PARTITIONS)
    return f"{name}-in", f"{name}-out"


@pytest.mark.parametrize("snapshots", [True, False])
def test_state_continues_over_restarts(
    kafka: KafkaConfig, topics: tuple[str, str], tmp_path: Path, snapshots: bool
) -> None:
    """Sums go on where they stood, from a snapshot or from the log alone, and nothing is said twice."""
    source, output = topics
    settings = settings_for(kafka, tmp_path)
    for part in range(3):
        produce(kafka, source, range(part * 100, part * 100 + 100))
        stage = Counting(source, output, snapshots)
        runner = Runner(stage, spec(source, source), settings, slot="one")
        with running(runner):
            expected = expected_values(range(part * 100 + 100))
            wait_until(lambda expected=expected: committed_values(kafka, output) == expected)  # type: ignore[misc]
        assert all(found == (snapshots and part > 0) for _, found in stage.restored)
        assert stage.replayed == (0 if snapshots else part * 100)


def test_an_aborted_transaction_is_redone(
    kafka: KafkaConfig, topics: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When every third commit fails after its messages were sent, the output is still exactly the sums."""
    source, output = topics
    calls = 0
    aborted: list[int] = []
    original = TransactionalSink.commit

    def failing(self: TransactionalSink, messages: Sequence[Message], offsets: object, group: object) -> None:
        nonlocal calls
        calls += 1
        if calls % 3 != 0:
            return original(self, messages, offsets, group)  # type: ignore[arg-type]
        monkeypatch.setattr(self._producer._transaction_manager, "begin_commit", _refuse)
        try:
            return original(self, messages, offsets, group)  # type: ignore[arg-type]
        except TransactionAborted:
            aborted.append(len(messages))
            raise

    monkeypatch.setattr(TransactionalSink, "commit", failing)
    settings = settings_for(kafka, tmp_path)
    with running(Runner(Counting(source, output), spec(source, source), settings)):
        # One after the other is waited for, so that each is a transaction of its own at least.
        for part in range(5):
            produce(kafka, source, range(part * 10, part * 10 + 10))
            expected = expected_values(range(part * 10 + 10))
            wait_until(lambda expected=expected: committed_values(kafka, output) == expected)  # type: ignore[misc]
    assert calls >= 5
    assert any(aborted)


def _refuse() -> None:
    raise KafkaError("the broker went away")


def test_what_was_folded_while_a_commit_failed_counts_once(
    kafka: KafkaConfig, topics: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stage folds further input while a transaction is under way; when that fails, both are folded again from the committed offsets."""
    source, output = topics
    folded_meanwhile, under_way, failed = threading.Event(), threading.Event(), threading.Event()
    original = TransactionalSink.commit

    def failing(self: TransactionalSink, messages: Sequence[Message], offsets: object, group: object) -> None:
        if messages and not failed.is_set():
            under_way.set()
            assert folded_meanwhile.wait(PATIENCE_SECONDS)
            monkeypatch.setattr(self._producer._transaction_manager, "begin_commit", _refuse)
            failed.set()
            with pytest.raises(TransactionAborted) as refused:
                original(self, messages, offsets, group)  # type: ignore[arg-type]
            raise refused.value
        original(self, messages, offsets, group)  # type: ignore[arg-type]

    class Watching(Counting):
        def process(self, batches: Sequence[Chunk], *, replaying: bool) -> list[Message]:
            messages = super().process(batches, replaying=replaying)
            if under_way.is_set() and not failed.is_set():
                folded_meanwhile.set()
            return messages

    monkeypatch.setattr(TransactionalSink, "commit", failing)
    settings = settings_for(kafka, tmp_path, _NEVER_SECONDS)
    with running(Runner(Watching(source, output), spec(source, source), settings)):
        produce(kafka, source, range(10))
        assert under_way.wait(PATIENCE_SECONDS)
        produce(kafka, source, range(10, 20))
        wait_until(lambda: committed_values(kafka, output) == expected_values(range(20)))
    assert folded_meanwhile.is_set()


def test_a_commit_under_way_is_let_through_before_the_partitions_go(
    kafka: KafkaConfig, topics: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When another worker joins while a transaction is under way, that is committed, not refused, and nobody rebuilds what it held."""
    source, output = topics
    under_way = threading.Event()
    aborted: list[str] = []
    original, give_up = TransactionalSink.commit, TransactionalSink._give_up

    def slow(self: TransactionalSink, messages: Sequence[Message], offsets: object, group: object) -> None:
        if messages and not under_way.is_set():
            under_way.set()
            wait_until(lambda: runner._source.membership.joining)
            time.sleep(_SLOW_SECONDS)
        original(self, messages, offsets, group)  # type: ignore[arg-type]

    def noting(self: TransactionalSink, error: KafkaError) -> None:
        aborted.append(str(error))
        give_up(self, error)

    monkeypatch.setattr(TransactionalSink, "commit", slow)
    monkeypatch.setattr(TransactionalSink, "_give_up", noting)
    settings = settings_for(kafka, tmp_path, _NEVER_SECONDS)
    first, second = Counting(source, output), Counting(source, output)
    runner = Runner(first, spec(source, source), settings)
    with running(runner):
        produce(kafka, source, range(10))
        assert under_way.wait(PATIENCE_SECONDS)
        with running(Runner(second, spec(source, source), settings)):
            wait_until(lambda: len(first.sums) == 1 and len(second.sums) == 1)
            produce(kafka, source, range(10, 20))
            wait_until(lambda: committed_values(kafka, output) == expected_values(range(20)))
    assert not aborted


def test_a_worker_that_the_group_gave_up_on_commits_nothing_of_what_another_has_counted(
    kafka: KafkaConfig, topics: tuple[str, str], tmp_path: Path
) -> None:
    """It slept while it worked; its heartbeat learns first that it is no member any more, and forgets as whom it held the partitions."""
    source, output = topics
    settings = settings_for(kafka.model_copy(update={"session_timeout_ms": 6_000}), tmp_path)
    asleep, awake = threading.Event(), threading.Event()

    class Sleeper(Counting):
        def process(self, batches: Sequence[Chunk], *, replaying: bool) -> list[Message]:
            if any(int(chunk.value) == 20 for chunk in batches) and not asleep.is_set():
                # As kafka's heartbeat does when the broker answers that it does not know the member.
                sleeper._source.consumer._coordinator.reset_generation()
                asleep.set()
                assert awake.wait(PATIENCE_SECONDS)
            return super().process(batches, replaying=replaying)

    sleeper = Runner(Sleeper(source, output), spec(source, source), settings, slot="one")
    with running(sleeper):
        produce(kafka, source, range(20))
        wait_until(lambda: committed_values(kafka, output) == expected_values(range(20)))
        produce(kafka, source, range(20, 40))
        assert asleep.wait(PATIENCE_SECONDS)
        with running(Runner(Counting(source, output), spec(source, source), settings, slot="two")):
            wait_until(lambda: committed_values(kafka, output) == expected_values(range(40)))
            awake.set()
            produce(kafka, source, range(40, 60))
            wait_until(lambda: sum(map(len, committed_values(kafka, output))) >= 60)
    assert committed_values(kafka, output) == expected_values(range(60))


def test_partitions_move_between_workers(kafka: KafkaConfig, topics: tuple[str, str], tmp_path: Path) -> None:
    """A second worker takes over a partition with its state, and gives it back when it leaves."""
    source, output = topics
    settings = settings_for(kafka, tmp_path)
    first, second = Counting(source, output), Counting(source, output)
    with running(Runner(first, spec(source, source), settings)):
        produce(kafka, source, range(20))
        wait_until(lambda: committed_values(kafka, output) == expected_values(range(20)))
        with running(Runner(second, spec(source, source), settings)):
            wait_until(lambda: len(second.sums) == 1 and len(first.sums) == 1)
            produce(kafka, source, range(20, 40))
            wait_until(lambda: committed_values(kafka, output) == expected_values(range(40)))
        produce(kafka, source, range(40, 60))
        wait_until(lambda: committed_values(kafka, output) == expected_values(range(60)))
        assert len(first.sums) == 2


def test_who_is_killed_and_soon_back_in_its_slot_has_its_partitions_and_nobody_else_notices(
    kafka: KafkaConfig, topics: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Long before its session ends: no rebalance, and what it had comes back from its snapshot and the log."""
    source, output = topics
    settings = settings_for(kafka.model_copy(update={"session_timeout_ms": 60_000}), tmp_path)
    first, second, again = (Counting(source, output) for _ in range(3))
    other = Runner(second, spec(source, source), settings, slot="two")
    with running(other):
        with monkeypatch.context() as killed:
            killed.setattr(
                "weaklink.stream.membership.leave_when_closed", lambda _: None
            )  # as one that is killed: nobody is told
            with running(Runner(first, spec(source, source), settings, slot="one")):
                wait_until(lambda: len(second.sums) == 1 and len(first.sums) == 1)
                produce(kafka, source, range(20))
                wait_until(lambda: committed_values(kafka, output) == expected_values(range(20)))
                held, changes = set(first.sums), other._source.membership.changes
        produce(kafka, source, range(20, 40))
        begun = time.monotonic()
        with running(Runner(again, spec(source, source), settings, slot="one")):
            wait_until(lambda: committed_values(kafka, output) == expected_values(range(40)))
            assert time.monotonic() - begun < settings.kafka.session_timeout_ms / 2000
            assert set(again.sums) == held
            assert other._source.membership.changes == changes


@pytest.mark.parametrize("while_away", [False, True])
def test_who_led_its_group_and_is_back_in_its_slot_reads_new_partitions(
    kafka: KafkaConfig, topics: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, while_away: bool
) -> None:
    """Those that come later, since the broker tells it that its former self leads, and those that came meanwhile, of which its old assignment knows nothing."""
    source, output = topics
    settings = settings_for(kafka.model_copy(update={"session_timeout_ms": 60_000}), tmp_path)
    settings = settings.model_copy(update={"stream": settings.stream.model_copy(update={"metadata_max_age_ms": 1_000})})

    def assigned(runner: Runner) -> int:
        return len(runner._source.consumer.assignment())

    def grow() -> None:
        admin = KafkaAdminClient(**kafka.client_options())
        admin.create_partitions({source: PARTITIONS + 1})
        wait_until(lambda: len(admin.describe_topics([source])[0]["partitions"]) == PARTITIONS + 1)
        admin.close()

    with monkeypatch.context() as killed:
        killed.setattr("weaklink.stream.membership.leave_when_closed", lambda _: None)
        runner = Runner(Counting(source, output), spec(source, source), settings, slot="one")
        with running(runner):
            wait_until(lambda: assigned(runner) == PARTITIONS)
    if while_away:
        grow()
    again = Runner(Counting(source, output), spec(source, source), settings, slot="one")
    with running(again):
        if not while_away:
            wait_until(lambda: assigned(again) == PARTITIONS)
            grow()
        wait_until(lambda: assigned(again) == PARTITIONS + 1)


def test_whose_place_was_taken_while_it_had_nothing_to_do_ends_too(
    kafka: KafkaConfig, topics: tuple[str, str], tmp_path: Path
) -> None:
    """It would be ready for ever, and take over nothing."""
    source, output = topics
    settings = settings_for(kafka, tmp_path)
    first = Runner(Counting(source, output), spec(source, source), settings, slot="one")
    with pytest.raises(BrokerError, match="same --slot"), running(first):  # noqa: PT012  # it is raised when the block ends
        wait_until(lambda: first._recovered)
        with running(Runner(Counting(source, output), spec(source, source), settings, slot="one")):
            wait_until(lambda: first._source.consumer._closed)


def test_of_two_in_one_slot_the_first_ends_and_nothing_counts_twice(
    kafka: KafkaConfig, topics: tuple[str, str], tmp_path: Path
) -> None:
    """By mistake, or a machine that was given up and is back. Not by fencing each other in turn."""
    source, output = topics
    settings = settings_for(kafka, tmp_path)
    first = Runner(Counting(source, output), spec(source, source), settings, slot="one")
    with pytest.raises(BrokerError, match="same --slot"), running(first):  # noqa: PT012  # it is raised when the block ends
        produce(kafka, source, range(20))
        wait_until(lambda: committed_values(kafka, output) == expected_values(range(20)))
        with running(Runner(Counting(source, output), spec(source, source), settings, slot="one")):
            for end in (40, 60, 80):
                produce(kafka, source, range(end - 20, end))
                wait_until(lambda end=end: committed_values(kafka, output) == expected_values(range(end)))  # type: ignore[misc]  # bound at once


def test_idle_workers_settle_behind_transaction_markers(
    kafka: KafkaConfig, topics: tuple[str, str], tmp_path: Path
) -> None:
    """Committed offsets reach the end of the log even though the last entry there is a transaction's marker."""
    source, output = topics
    producer = KafkaProducer(**kafka.client_options(), transactional_id=source)
    producer.init_transactions()
    producer.begin_transaction()
    producer.send(source, b"4", partition=0)
    producer.commit_transaction()
    producer.begin_transaction()
    producer.send(source, b"6", partition=0).get(30)  # on the log before it is aborted
    producer.abort_transaction()
    producer.close()
    runner = Runner(Counting(source, output), spec(source, source), settings_for(kafka, tmp_path))
    with running(runner):
        watcher = KafkaConsumer(**kafka.client_options(), group_id=f"weaklink.{source}", enable_auto_commit=False)
        tp = TopicPartition(source, 0)
        wait_until(lambda: watcher.committed(tp) == watcher.end_offsets([tp])[tp] == 4)
        watcher.close()
    assert committed_values(kafka, output)[0] == [b"4 4"]


def test_a_worker_is_alive_while_its_broker_is_away_and_while_it_rebuilds(
    kafka: KafkaConfig, topics: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An orchestrator that restarts whoever waits for a broker, or rebuilds for long, makes it worse: they are not ready, and healthy."""
    source, output = topics
    said: list[bool] = []

    class Noting(Health):
        def turned(self, *, ready: bool) -> None:
            said.append(ready)

    def away() -> None:
        raise KafkaConnectionError("no broker answers")

    settings = settings_for(kafka, tmp_path)
    produce(kafka, source, range(100))
    runner = Runner(Counting(source, output, snapshots=False), spec(source, source), settings, health=Noting(60))
    with running(runner):
        wait_until(lambda: committed_values(kafka, output) == expected_values(range(100)))
        with monkeypatch.context() as broker:
            broker.setattr(runner, "_turn", away)
            wait_until(lambda: not any(said[-2:]))
        wait_until(lambda: said[-1])
    again = Runner(Counting(source, output, snapshots=False), spec(source, source), settings, health=Noting(60))
    rebuild, during = again._recovery.recover, [False]

    def rebuilding(assigned: Iterable[TopicPartition]) -> None:
        said.clear()
        rebuild(assigned)
        during[:] = said

    monkeypatch.setattr(again._recovery, "recover", rebuilding)
    with running(again):
        wait_until(lambda: True in said)
    assert during
    assert not any(during)


def test_what_a_tick_says_is_fenced_like_what_input_says(
    kafka: KafkaConfig, topics: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without offsets in its transaction the broker could not refuse a worker whose partitions another has taken over."""
    source, output = topics
    covered: list[set[object]] = []
    original = TransactionalSink.commit

    def noting(self: TransactionalSink, messages: Sequence[Message], offsets: object, group: object) -> None:
        if messages:
            covered.append(set(offsets))  # type: ignore[call-overload]
        original(self, messages, offsets, group)  # type: ignore[arg-type]

    class Ticking(Counting):
        def tick(self, now_us: int) -> list[Message]:
            return [Message(output, b"tick", partition=0)]

    monkeypatch.setattr(TransactionalSink, "commit", noting)
    with running(Runner(Ticking(source, output), spec(source, source), settings_for(kafka, tmp_path))):
        wait_until(lambda: len(committed_values(kafka, output)[0]) >= 2)
    assert covered
    assert all(covered)


def test_what_waited_is_committed_before_the_first_tick(
    kafka: KafkaConfig, topics: tuple[str, str], tmp_path: Path
) -> None:
    """Whoever takes over from a dead worker goes on with the input first: the first evaluation may take seconds."""
    source, output = topics

    class Once(Counting):
        ticked = False

        def process(self, batches: Sequence[Chunk], *, replaying: bool) -> list[Message]:
            time.sleep(_TAKE_UP_SECONDS + 0.5)  # a rebuilt campaigns on a busy machine
            return super().process(batches, replaying=replaying)

        def tick(self, now_us: int) -> list[Message]:
            first, self.ticked = not self.ticked and bool(self.sums), True
            return [Message(output, b"tick", partition=0)] if first else []

    produce(kafka, source, [2])
    with running(Runner(Once(source, output), spec(source, source), settings_for(kafka, tmp_path))):
        wait_until(lambda: committed_values(kafka, output)[0] == [b"2 2", b"tick"])
    reader = KafkaConsumer(**kafka.client_options(), group_id=None, enable_auto_commit=False, auto_offset_reset="earliest")  # fmt: skip
    reader.assign([TopicPartition(output, 0)])
    offsets: list[int] = []
    wait_until(lambda: len(taken(reader, offsets)) >= 2)
    reader.close()
    assert offsets == [0, 2], "a transaction's marker lies between them"


def taken(reader: KafkaConsumer, known: list[int]) -> list[int]:
    """Those known and those that have come."""
    known += [record.offset for records in reader.poll(timeout_ms=200).values() for record in records]
    return known
