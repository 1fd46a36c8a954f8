"""The relay's producer: it looks, right before it writes to a broker, whether what it writes is still its own.

A worker may be frozen at any moment, and another publishes in its place. What it claimed before waits in memory, some of it inside aiokafka: rows not
handed over, batches behind a request that is under way, batches to be tried again. So the look is where all of that comes by: in the client's
`send`, after the connection is there, with nothing awaited between the look and the socket's buffer. docs/decisions/2026-11-29-a-relay-that-slept.md
"""

import time
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.protocol.produce import ProduceRequest

from weaklink.enforce.database import wall_us

_SECOND_US = 1_000_000


class ClaimLapsedError(KafkaError):  # type: ignore[misc]  # aiokafka has no types
    """The rows' claim is over, or nearly: another worker may have them. Nothing was written, and nothing is tried again."""

    retriable = False


@dataclass(frozen=True, slots=True)
class Lease:
    """Until when rows are a worker's own, by two clocks: the wall's, by which other workers take them over (microseconds), and the monotonic one,
    which nobody sets (seconds)."""

    until_wall_us: int
    until_monotonic_seconds: float

    def lasts(self, margin_seconds: float) -> bool:
        """Whether more than the margin is left by both."""
        return (
            wall_us() + margin_seconds * _SECOND_US < self.until_wall_us
            and time.monotonic() + margin_seconds < self.until_monotonic_seconds
        )


class LeasedProducer(AIOKafkaProducer):  # type: ignore[misc]  # aiokafka has no types
    """Writes to a topic only while the lease that `leases` names for it lasts; else the delivery fails with ClaimLapsedError.

    margin_seconds: how much of a lease must be left: what other workers' clocks may be ahead by, and the way to the broker.
    """

    def __init__(self, *, margin_seconds: float, **options: Any) -> None:
        super().__init__(**options)
        self.leases: dict[str, Lease] = {}
        self._margin_seconds = margin_seconds
        self._send_to_broker = self.client.send
        self.client.send = self._look_and_send

    async def _look_and_send(self, node_id: int, request: Any, **named: Any) -> Any:
        if isinstance(request, ProduceRequest):
            # Connecting takes time. Once it is done the library's own `send` awaits nothing before it writes.
            await self.client.ready(node_id, **named)
            for topic, _ in request._topics:
                lease = self.leases.get(topic)
                if lease is None or not lease.lasts(self._margin_seconds):
                    raise ClaimLapsedError(f"the claim on rows for {topic} is over")
        return await self._send_to_broker(node_id, request, **named)
