"""A partner gone bad, as a process of its own: `python -m chaos.hostile_partner ORDERS.json`, until SIGTERM; what it achieved goes to the file `report`.

It floods its topic, holds connections, tries whatever is forbidden, answers others' actions, and sends ids that it or others have used.
"""

import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from kafka import KafkaProducer
from kafka.errors import KafkaError

from chaos.forbidden import Forbidden
from chaos.traffic import Event, Traffic
from weaklink.kafka_options import KafkaConfig
from weaklink.records.identifiers import IdentifierKind as Kind
from weaklink.settings import Settings

_FLOOD_SEED, _IDENTIFIERS = 66, 24
_IN_FLIGHT_BYTES_MAX: Final = 4 << 20
_TRY_SECONDS: Final = 1.0
_CONNECT_SECONDS: Final = 5.0
_REPLAY_EVERY: Final = 4


@dataclass(frozen=True)
class Orders:
    """own, other: ids of parties. seed: of the others' traffic, whose ids it uses. address: that it connects from. actions: ids of others' actions."""

    own: str
    other: str
    seed: int
    start_us: int
    bytes_per_second: int
    connections: int
    address: str
    actions: list[str]
    report: str


@dataclass
class Report:
    """What came of it."""

    seconds: float = 0.0
    offered_bytes: int = 0
    acknowledged_bytes: int = 0
    connections_tried: int = 0
    connections_held: int = 0
    forbidden_attempts: int = 0
    forbidden_refused: int = 0
    forbidden_allowed: list[str] = field(default_factory=list)
    times_throttled: int = 0
    receipts_for_others: int = 0
    not_its_records: int = 0
    others_ids: int = 0
    own_ids_again: int = 0
    errors: list[str] = field(default_factory=list)


class Partner:
    """Does everything at once, in threads."""

    def __init__(self, orders: Orders, kafka: KafkaConfig) -> None:
        self._orders, self._kafka = orders, kafka
        self._stop = threading.Event()
        self.report = Report()
        self._in_flight = 0
        self._lock = threading.Lock()

    def run(self) -> None:
        """Until SIGTERM."""
        signal.signal(signal.SIGTERM, lambda *_: self._stop.set())
        sockets = self._connect()
        threads = [threading.Thread(target=self._guarded, args=(work,)) for work in (self._flood, self._trespass)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.report.connections_held = sum(_is_open(one) for one in sockets)

    def _guarded(self, work: Any) -> None:
        try:
            work()
        except Exception as error:
            self.report.errors.append(repr(error))

    def _connect(self) -> list[socket.socket]:
        """As many connections as it was told to, which say nothing."""
        host, port = self._kafka.bootstrap_servers.split(",")[0].rsplit(":", 1)
        opened = []
        for _ in range(self._orders.connections):
            self.report.connections_tried += 1
            with suppress(OSError):
                opened.append(socket.create_connection((host, int(port)), _CONNECT_SECONDS, (self._orders.address, 0)))
        return opened

    def _flood(self) -> None:
        """Ten times what it may, as fast as the broker lets it."""
        producer = KafkaProducer(**self._kafka.client_options(), linger_ms=20, batch_size=1 << 16)
        begun = time.monotonic()
        topic = f"party.{self._orders.own}.events"
        for event in self._events():
            if self._stop.is_set():
                break
            value = event.encoded()
            self.report.offered_bytes += len(value)
            ahead = begun + self.report.offered_bytes / self._orders.bytes_per_second - time.monotonic()
            if ahead > 0.01:
                self._stop.wait(ahead)
            if self._in_flight > _IN_FLIGHT_BYTES_MAX:
                continue  # offered, and not taken
            self._count(event, len(value))
            producer.send(topic, key=event.key, value=value).add_both(self._acknowledged, len(value))
        self.report.seconds = time.monotonic() - begun
        with suppress(KafkaError):
            producer.close(timeout=30)

    def _count(self, event: Event, size: int) -> None:
        with self._lock:
            self._in_flight += size
        if event.record == "ActionReceipt":
            self.report.receipts_for_others += 1
        if event.record == "PaymentAttempt":
            self.report.not_its_records += 1
        if event.party != self._orders.own:
            self.report.others_ids += 1

    def _acknowledged(self, size: int, _result: object) -> None:
        with self._lock:
            self._in_flight -= size
            self.report.acknowledged_bytes += size

    def _events(self) -> Iterator[Event]:
        """Large events of new accounts; among them others' ids, its own again, records that are not its kind's, answers to others' actions."""
        others = Traffic(self._orders.seed, start_us=self._orders.start_us)
        own = Traffic(_FLOOD_SEED)
        number = 0
        last: Event | None = None
        while True:
            number += 1
            head = {
                "event_id": own.event_id(number),
                "occurred_at": time.time_ns() // 1000,
                "account": f"flood-{number}",
            }
            # By lot, not from a seed: what makes them must not be what slows it down.
            tokens = [bytes((Kind.DEVICE, 1)) + os.urandom(15) for _ in range(_IDENTIFIERS)]
            yield Event(number, self._orders.own, "ApiUsage", _usage() | head | {"identifiers": tokens})
            if number % _REPLAY_EVERY:
                continue
            stolen = {**head, "event_id": others.event_id(number // _REPLAY_EVERY)}
            yield Event(number, self._orders.other, "ApiUsage", _usage() | stolen | {"identifiers": tokens[:1]})
            if last is not None:
                self.report.own_ids_again += 1
                yield last
            last = Event(
                number,
                self._orders.own,
                "ApiUsage",
                _usage() | head | {"event_id": own.event_id(-number), "identifiers": tokens},
            )
            yield last
            paid = {
                "merchant": self._orders.other,
                "outcome": "CHARGEBACK",
                "instrument": "CREDIT",
                "identifiers": tokens[:1],
            }
            yield Event(
                number,
                self._orders.own,
                "PaymentAttempt",
                head | paid | {"event_id": own.event_id(-(1 << 40) - number)},
            )
            if self._orders.actions:
                action_id = self._orders.actions[number % len(self._orders.actions)]
                yield own.receipt((1 << 50) + number, self._orders.own, action_id, 1, "DISPUTED")

    def _trespass(self) -> None:
        with Forbidden(self._kafka, self._orders.own, self._orders.other) as acts:
            try:
                while not self._stop.is_set():
                    acts.try_all()
                    self._stop.wait(_TRY_SECONDS)
            finally:
                self.report.forbidden_attempts, self.report.forbidden_refused = acts.attempts, acts.refused
                self.report.forbidden_allowed, self.report.times_throttled = acts.allowed[:10], acts.throttled


def _usage() -> dict[str, Any]:
    return {
        "window_seconds": 0, "model": "large-4", "task": "OTHER", "requests": 1, "input_tokens": 10, "output_tokens": 10,
        "end_user": None, "address_class": "HOSTING",
    }  # fmt: skip


def _is_open(one: socket.socket) -> bool:
    """Whether the broker has not closed it."""
    one.setblocking(False)
    try:
        return bool(one.recv(1))
    except BlockingIOError:
        return True
    except OSError:
        return False


def main() -> None:
    """Obey the orders."""
    orders = Orders(**json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    os.nice(10)  # its machine is not ours
    partner = Partner(orders, Settings().kafka)
    partner.run()
    Path(orders.report).write_text(json.dumps(asdict(partner.report)), encoding="utf-8")


if __name__ == "__main__":
    main()
