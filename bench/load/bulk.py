"""Publishing for simulations of millions of events: what the SDK encodes goes out in whole record batches, without a producer's bookkeeping for each event."""

import socket
import struct
import threading
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Final
from zlib import crc32

from bench.load.script import batch_of
from bench.load.wire import produce_request, produce_response
from weaklink.errors import BrokerError
from weaklink.kafka_options import KafkaConfig

_EVENTS_MAX: Final = 4_000
_ANSWER_SECONDS: Final = 60.0


class BulkPublisher:
    """What a `WeaklinkClient` sends through (`partner.client.Sink`). `partitions`: of each topic. Any thread may send.

    Sends when so many events have gathered, or at `flush`, and waits for the broker then. A local broker without a login only.
    """

    def __init__(self, kafka: KafkaConfig, partitions: Mapping[str, int]) -> None:
        host, port = kafka.bootstrap_servers.split(",")[0].rsplit(":", 1)
        self._socket = socket.create_connection((host, int(port)), timeout=_ANSWER_SECONDS)
        self._partitions = partitions
        self._waiting: dict[str, dict[int, list[tuple[bytes, bytes]]]] = defaultdict(lambda: defaultdict(list))
        self._count = self._requests = 0
        self._lock = threading.Lock()
        self.published = 0

    def send(self, topic: str, key: bytes, value: bytes, failures: list[Exception]) -> Any:
        """Queue one record; raises BrokerError when the broker refuses what had gathered. There is no future to wait for."""
        with self._lock:
            self._waiting[topic][crc32(key) % self._partitions[topic]].append((key, value))
            self._count += 1
            if self._count >= _EVENTS_MAX:
                self._publish()

    def flush(self) -> None:
        """Return when the broker has everything. Raises BrokerError."""
        with self._lock:
            self._publish()

    def close(self) -> None:
        """Deliver what is queued, then disconnect."""
        self.flush()
        self._socket.close()

    def _publish(self) -> None:
        waiting, self._waiting = self._waiting, defaultdict(lambda: defaultdict(list))
        self.published += self._count
        self._count = 0
        for topic, by_partition in waiting.items():
            batches = [(partition, batch_of(rows)) for partition, rows in by_partition.items()]
            self._socket.sendall(produce_request(self._requests, topic, batches))
            self._requests += 1
        for topic in waiting:
            (length,) = struct.unpack(">i", self._received(4))
            _, written = produce_response(self._received(length))
            if errors := [one for one in written if one.error]:
                raise BrokerError(f"{topic}, partition {errors[0].partition}: Kafka's error {errors[0].error}")

    def _received(self, count: int) -> bytes:
        parts = bytearray()
        while len(parts) < count:
            more = self._socket.recv(count - len(parts))
            if not more:
                raise BrokerError("the broker closed the connection: its log says why")
            parts += more
        return bytes(parts)
