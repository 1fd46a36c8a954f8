"""The sink: blocks of records arrive like records sent one by one; its producer is replaced when it fails, also when no broker answers at that moment."""

from typing import Any
from uuid import uuid4

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaConnectionError, KafkaError, KafkaTimeoutError

from tests.ingest.batches import Record, payload_of
from tests.topics import create_topics
from tests.waiting import wait_until
from weaklink import topology
from weaklink.errors import BrokerError
from weaklink.group_member import complete_joins
from weaklink.kafka_options import KafkaConfig
from weaklink.ops.provision import provision
from weaklink.settings import Settings
from weaklink.stream import sink
from weaklink.stream.blocks import send_block
from weaklink.stream.sink import TransactionAborted, TransactionalSink
from weaklink.stream.stage import Message, MessageBlock


class _Broker:
    """Makes producers as KafkaProducer would, while it is `up`; what a closed one is asked for is an error of the test."""

    def __init__(self) -> None:
        self.up = True
        self.committing = True
        self.answering = True
        self.committed: list[bytes] = []
        self.made: list[_Producer] = []

    def __call__(self, **_: Any) -> "_Producer":
        self.made.append(_Producer(self))
        return self.made[-1]


class _Answer:
    def __init__(self, broker: _Broker) -> None:
        self._broker = broker

    def wait(self, timeout_ms: float) -> bool:
        assert timeout_ms > 0, "without a limit kafka-python waits for ever"
        return self._broker.answering


class _Producer:
    """With as much of what is inside KafkaProducer as the sink uses."""

    def __init__(self, broker: _Broker) -> None:
        self._broker = broker
        self._closed = self._forced = False
        self._sent: list[bytes] = []
        self._transaction_manager = self._sender = self

    def wakeup(self) -> None:
        assert not self._closed

    def init_transactions(self) -> None:
        if not self._broker.up:
            raise KafkaConnectionError("no broker")

    def begin_transaction(self) -> None:
        assert not self._closed
        self._sent = []

    def send(self, _topic: str, value: bytes, **_: Any) -> None:
        self._sent.append(value)

    def send_offsets_to_transaction(self, _offsets: Any, _group: Any) -> _Answer:
        assert not self._closed
        return _Answer(self._broker)

    def begin_commit(self) -> _Answer:
        if not self._broker.committing:
            raise KafkaError("the broker went away")
        self._broker.committed += self._sent
        return _Answer(self._broker)

    def begin_abort(self) -> _Answer:
        assert not self._closed, "kafka-python waits for ever here"
        assert self._broker.answering, "what did not answer is not asked again"
        return _Answer(self._broker)

    def force_close(self) -> None:
        self._forced = True

    def close(self, timeout: float) -> None:
        assert timeout
        if not (self._broker.answering or self._forced):
            raise KafkaTimeoutError("as kafka-python does when records cannot be sent, with its thread still alive")
        self._closed = True


def test_a_closed_producer_is_not_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit fails, no new producer can be opened, the next commit fails too; once the broker is back, commits go on."""
    broker = _Broker()
    monkeypatch.setattr(sink, "KafkaProducer", broker)
    producing = TransactionalSink("count", "one", Settings())
    offsets = {TopicPartition("in", 0): 1}
    broker.up = broker.committing = False
    with pytest.raises(KafkaConnectionError):
        producing.commit([Message("out", b"lost")], offsets, None)
    with pytest.raises(TransactionAborted):
        producing.commit([Message("out", b"lost")], offsets, None)
    broker.up = broker.committing = True
    producing.commit([Message("out", b"kept")], offsets, None)
    producing.close()
    assert broker.committed == [b"kept"]


def test_a_step_that_is_never_answered_is_given_up_with_its_producer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A coordinator died with the request: the stage hears of it, and goes on with another producer."""
    broker = _Broker()
    monkeypatch.setattr(sink, "KafkaProducer", broker)
    producing = TransactionalSink("count", "one", Settings())
    offsets = {TopicPartition("in", 0): 1}
    broker.answering = False
    with pytest.raises(TransactionAborted, match="not answered within"):
        producing.commit([Message("out", b"unknown")], offsets, None)
    broker.answering = True
    producing.commit([Message("out", b"kept")], offsets, None)
    producing.close()
    assert broker.committed == [b"kept"]
    assert [one._closed for one in broker.made] == [True, True]


@pytest.mark.kafka
def test_a_message_that_is_too_large_ends_the_stage(kafka: KafkaConfig) -> None:
    """It would be so with each further attempt: a stage that only tried again would be ready, and stand still for all parties."""
    producing = TransactionalSink("count", f"s-{uuid4().hex[:8]}", Settings(kafka=kafka))
    create_topics(kafka, [topic := f"out-{uuid4().hex[:8]}"])
    large = Message(topic, bytes(10 << 20))
    with pytest.raises(BrokerError, match=r"count cannot write what it has: .*10485.* bytes"):
        producing.commit([large], {}, None)
    producing.close()


@pytest.mark.kafka
def test_blocks_arrive_like_records_sent_one_by_one(kafka: KafkaConfig) -> None:
    """In order, once, with keys and headers; together with other messages of the transaction, and none of an aborted one."""
    topic, group = f"blocks-{uuid4().hex[:8]}", f"blocks-{uuid4().hex[:8]}"
    create_topics(kafka, [topic], partitions=1)
    reader = KafkaConsumer(
        **kafka.client_options(), group_id=group, isolation_level="read_committed", enable_auto_commit=False, auto_offset_reset="earliest"
    )  # fmt: skip
    complete_joins(reader)  # else a join that is cut short by the end of a poll may never come to its end
    reader.subscribe([topic])
    while not reader.assignment():
        reader.poll(100)

    def block(begin: int, end: int) -> MessageBlock:
        records = [Record(str(number).encode(), b"k%d" % number, (("h", b"v"),)) for number in range(begin, end)]
        return MessageBlock(topic, 0, end - begin, payload_of(records))

    producing = TransactionalSink("blocks", topic, Settings(kafka=kafka))
    offsets, member = {TopicPartition(topic, 0): 0}, reader.group_metadata()
    producing.commit([block(0, 1_000), block(1_000, 1_001), Message(topic, b"alone", partition=0)], offsets, member)
    producing._producer.begin_transaction()
    send_block(producing._producer, block(0, 10))
    producing._producer.abort_transaction()
    producing.commit([Message(topic, b"between", partition=0), block(1_001, 3_000)], offsets, member)
    producing.close()
    plain = KafkaProducer(**kafka.client_options())
    plain.send(topic, b"end").get(30)
    plain.close()
    found: list[Any] = []
    while not found or found[-1].value != b"end":
        for records in reader.poll(200).values():
            found += records
    reader.close()
    numbers = [*map(str, range(1_001)), "alone", "between", *map(str, range(1_001, 3_000)), "end"]
    assert [one.value.decode() for one in found] == numbers
    keyed = [one for one in found if one.key]
    assert all(one.key == b"k" + one.value and one.headers == [("h", b"v")] for one in keyed)
    assert len(keyed) == 3_000


@pytest.mark.kafka
def test_a_transaction_cut_off_while_it_commits_is_not_said_to_be_committed(
    kafka: KafkaConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker sleeps between its request to commit and the records that this waits for, and the broker gives the transaction up. By itself the
    library then takes a new epoch, drops the records and says that all is committed: the worker went on, and what it had read never counted."""
    topic = f"cut-{uuid4().hex[:8]}"
    partition = TopicPartition(topic, 0)
    create_topics(kafka, [topic], partitions=1)
    producing = TransactionalSink(
        "cut", topic, Settings(kafka=kafka.model_copy(update={"transaction_timeout_ms": 1_000}))
    )
    inside = producing._producer._transaction_manager
    reader = KafkaConsumer(**kafka.client_options(), isolation_level="read_committed", enable_auto_commit=False)
    original = inside.begin_commit

    def begin_commit() -> Any:
        wait_until(lambda: bool(reader.end_offsets([partition])[partition]))  # the marker of the broker's abort
        return original()

    monkeypatch.setattr(inside, "begin_commit", begin_commit)
    producing._producer._accumulator.config["linger_ms"] = 60_000  # until the commit asks for them
    with pytest.raises(TransactionAborted):
        producing.commit([Message(topic, b"cut off", partition=0)], {}, None)
    producing.commit([Message(topic, b"kept", partition=0)], {}, None)
    producing.close()
    reader.assign([partition])
    reader.seek_to_beginning()
    found: list[bytes] = []
    while not found:
        for records in reader.poll(200).values():
            found += [one.value for one in records]
    reader.close()
    assert found == [b"kept"]


@pytest.mark.kafka
def test_a_stage_asks_for_the_topics_that_it_writes_to_before_it_writes(kafka: KafkaConfig) -> None:
    """The producer knows their partitions, though nothing was sent; of topics of parties it knows nothing yet."""
    provision(Settings(kafka=kafka))
    producing = TransactionalSink("correlate", f"early-{uuid4().hex[:8]}", Settings(kafka=kafka))
    known = producing._producer._metadata
    wait_until(lambda: bool(known.partitions_for_topic(topology.SHARED)))
    assert known.topics() >= {topology.SHARED}
    assert topology.ACTIVITY not in known.topics()
    producing.close()
