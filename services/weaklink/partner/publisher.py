"""One Kafka producer with bounded memory, which the clients of several parties may share where no ACL separates them.

kafka-python's producer queues without a limit; here publishing waits while too many bytes are not yet acknowledged.
"""

import contextlib
import threading
from collections import deque
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Protocol, Self

from kafka import KafkaProducer
from kafka.admin import KafkaAdminClient
from kafka.errors import (
    ClusterAuthorizationFailedError,
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    TopicAuthorizationFailedError,
    UnknownError,
)

from weaklink.errors import BrokerError
from weaklink.kafka_options import KafkaConfig
from weaklink.partner.config import PartnerConfig

_RECORD_OVERHEAD_BYTES: Final = 200
"""What a queued record costs beside its bytes: its future and its callbacks."""
_REFUSALS: Final = (TopicAuthorizationFailedError, ClusterAuthorizationFailedError, MessageSizeTooLargeError)
"""After one of these an idempotent producer fails whatever it is given next: it has to be made anew."""

Failures = list[Exception]
"""Where a client's undelivered records are noted, one error each."""


class Sink(Protocol):
    """Where a client's records go; `Publisher` is the one that sends them to Kafka."""

    def send(self, topic: str, key: bytes, value: bytes, failures: Failures) -> Any:
        """See `Publisher.send`."""
        ...

    def flush(self) -> None:
        """See `Publisher.flush`."""
        ...

    def close(self) -> None:
        """See `Publisher.close`."""
        ...


@dataclass(frozen=True, slots=True)
class _InFlight:
    future: Any
    size: int
    failures: Failures


class Publisher:
    """Idempotent, acknowledged by all replicas, compressed. Thread-safe. Raises BrokerError when Kafka cannot be reached."""

    def __init__(self, kafka: KafkaConfig, config: PartnerConfig | None = None) -> None:
        self._kafka = kafka
        self._config = config or PartnerConfig()
        self._lock = threading.Lock()
        # Futures are looked at in order instead of calling back: a callback a record would cost as much as sending it.
        self._in_flight: deque[_InFlight] = deque()
        self._in_flight_bytes = 0
        self._refused = False
        self._producer = self._connect()

    def _connect(self) -> KafkaProducer:
        config = self._config
        try:
            return KafkaProducer(
                **self._kafka.client_options(),
                acks="all",
                enable_idempotence=True,
                compression_type=None if config.compression == "none" else config.compression,
                linger_ms=config.linger_ms,
                batch_size=config.batch_bytes,
                max_block_ms=int(config.metadata_timeout_seconds * 1000),
                delivery_timeout_ms=int(config.delivery_timeout_seconds * 1000),
            )
        except KafkaError as error:
            raise BrokerError(f"Kafka at {self._kafka.bootstrap_servers} cannot be reached: {error}") from error

    def send(self, topic: str, key: bytes, value: bytes, failures: Failures) -> Any:
        """Queue one record and return its future (kafka-python's); waits while too much is in flight.

        An error that comes later is added to `failures`, at the latest by `flush`.
        Raises BrokerError when the topic cannot be found or the record can never fit.
        """
        size = len(key) + len(value) + _RECORD_OVERHEAD_BYTES
        with self._lock:
            self._make_room(size)
            future = self._queue(topic, key, value, size)
            self._in_flight.append(_InFlight(future, size, failures))
            self._in_flight_bytes += size
            return future

    @property
    def in_flight_bytes(self) -> int:
        """What is queued and, as far as has been looked at, not yet acknowledged; with an allowance for each record."""
        return self._in_flight_bytes

    def has_topic(self, topic: str) -> bool:
        """Whether the cluster has this topic (and this principal may see it): asking is quicker than a publish that waits for it."""
        try:
            admin = KafkaAdminClient(**self._kafka.client_options())
            try:
                return any(one["name"] == topic and not one["error_code"] for one in admin.describe_topics([topic]))
            finally:
                admin.close()
        except KafkaError as error:
            raise BrokerError(f"Kafka at {self._kafka.bootstrap_servers} cannot be reached: {error}") from error

    def flush(self) -> None:
        """Wait until everything queued is acknowledged or has failed."""
        while True:
            try:
                self._producer.flush(timeout=self._config.delivery_timeout_seconds + 10)
                break
            except KafkaTimeoutError as error:
                raise BrokerError(
                    f"Kafka at {self._kafka.bootstrap_servers} did not acknowledge in time: {error}"
                ) from error
            except UnknownError:
                continue  # a batch that was too large for the topic has been split, and its parts are on their way
        with self._lock:
            self._reap()

    def close(self) -> None:
        """Deliver what is queued, then disconnect."""
        self._producer.close(timeout=self._config.delivery_timeout_seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _queue(self, topic: str, key: bytes, value: bytes, size: int) -> Any:
        if self._refused:
            # After one refusal a producer cannot write its own topics either.
            self._producer.close(timeout=self._config.metadata_timeout_seconds)
            self._producer = self._connect()
            self._refused = False
        try:
            return self._producer.send(topic, value, key=key)
        except KafkaTimeoutError as error:
            raise BrokerError(f"topic {topic} was not found on {self._kafka.bootstrap_servers} within "
                              f"{self._config.metadata_timeout_seconds:g} s: is the party added (weaklink party add)?") from error  # fmt: skip
        except MessageSizeTooLargeError as error:
            raise BrokerError(f"a record of {size} bytes is too large for {topic}: {error}") from error

    def _make_room(self, size: int) -> None:
        # Before the next one is queued: after a refusal it would be lost with a producer that is done for.
        self._reap()
        # A record larger than the whole limit may go alone.
        while self._in_flight and self._in_flight_bytes + size > self._config.in_flight_bytes_max:
            with contextlib.suppress(KafkaError):  # what became of it is noted by _reap
                self._in_flight[0].future.get(timeout=self._config.delivery_timeout_seconds)
            self._reap()

    def _reap(self) -> None:
        """Account for the records at the head of the queue that are acknowledged or have failed."""
        while self._in_flight and self._in_flight[0].future.is_done:
            one = self._in_flight.popleft()
            self._in_flight_bytes -= one.size
            if one.future.failed():
                one.failures.append(one.future.exception)
                self._refused = self._refused or isinstance(one.future.exception, _REFUSALS)
