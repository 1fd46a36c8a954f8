"""Numbered events (`traffic`) on their way to the broker: a producer that knows what was acknowledged, and a thread that keeps it busy."""

import time
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Self

from kafka import KafkaProducer

from chaos.background import Background
from chaos.traffic import Event
from weaklink.kafka_options import KafkaConfig


class Publisher:
    """A party's producer, for all of them: idempotent, acknowledged by all replicas."""

    def __init__(self, kafka: KafkaConfig) -> None:
        self._producer = KafkaProducer(
            **kafka.client_options(), acks="all", enable_idempotence=True, linger_ms=20, batch_size=1 << 17, max_request_size=8 << 20
        )  # fmt: skip
        self.handed_over: set[bytes] = set()
        """Event ids."""
        self.failed: dict[bytes, str] = {}
        """Event id -> why the broker did not acknowledge it."""

    @property
    def acknowledged(self) -> set[bytes]:
        """Ids of the events that the broker has, once `flush` has returned."""
        return self.handed_over - self.failed.keys()

    def publish(self, events: Iterable[Event], per_second: float | None = None) -> None:
        """Hand over, at a rate or at once. `flush` waits for the broker."""
        begun = time.monotonic()
        for count, event in enumerate(events):
            if per_second is not None and (ahead := begun + count / per_second - time.monotonic()) > 0.01:
                time.sleep(ahead)
            self.handed_over.add(event.event_id)
            future = self._producer.send(event.topic, key=event.key, value=event.encoded())
            future.add_errback(self._failed, event.event_id)

    def send(self, topic: str, key: bytes, value: bytes | None) -> None:
        """Any message: what is not an event."""
        self._producer.send(topic, key=key, value=value)

    def flush(self) -> None:
        """Until the broker has everything."""
        self._producer.flush()

    def close(self) -> None:
        """Flush and close."""
        self._producer.close()

    def _failed(self, event_id: bytes, error: BaseException) -> None:
        self.failed[event_id] = repr(error)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:  # fmt: skip
        self.close()


class Stream(Background):
    """Publishes events at a rate, while the block lasts or until they are all out."""

    def __init__(self, publisher: Publisher, events: Iterable[Event], per_second: float) -> None:
        super().__init__("traffic")
        self._publisher, self._events, self._per_second = publisher, events, per_second

    def wait(self) -> None:
        """Until everything is at the broker. Raises what the thread raised."""
        super().wait()
        self._publisher.flush()

    def _close(self) -> None:
        self._publisher.flush()

    def _work(self) -> None:
        def until_stopped() -> Iterator[Event]:
            for event in self._events:
                if self._stop.is_set():
                    return
                yield event

        self._publisher.publish(until_stopped(), self._per_second)
