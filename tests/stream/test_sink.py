"""The sink's producer is replaced when it fails, also when no broker answers at that moment."""

from typing import Any

import pytest
from kafka import TopicPartition
from kafka.errors import KafkaConnectionError, KafkaError

from weaklink.settings import Settings
from weaklink.stream import sink
from weaklink.stream.sink import TransactionAborted, TransactionalSink
from weaklink.stream.stage import Message


class _Broker:
    """Makes producers as KafkaProducer would, while it is `up`; what a closed one is asked for is an error of the test."""

    def __init__(self) -> None:
        self.up = True
        self.committing = True
        self.committed: list[bytes] = []

    def __call__(self, **_: Any) -> "_Producer":
        return _Producer(self)


class _Producer:
    def __init__(self, broker: _Broker) -> None:
        self._broker = broker
        self._closed = False
        self._sent: list[bytes] = []

    def init_transactions(self) -> None:
        if not self._broker.up:
            raise KafkaConnectionError("no broker")

    def begin_transaction(self) -> None:
        assert not self._closed
        self._sent = []

    def send(self, _topic: str, value: bytes, **_: Any) -> None:
        self._sent.append(value)

    def send_offsets_to_transaction(self, _offsets: Any, _group: Any) -> None:
        assert not self._closed

    def commit_transaction(self) -> None:
        if not self._broker.committing:
            raise KafkaError("the broker went away")
        self._broker.committed += self._sent

    def abort_transaction(self) -> None:
        assert not self._closed, "kafka-python waits for ever here"

    def close(self, timeout: float) -> None:
        assert timeout
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
