"""A partner gone bad, as a process of its own: `python -m chaos.hostile_partner ORDERS.json`, until SIGTERM; what it achieved goes to the file `report`.

It floods its topic, holds connections, tries whatever is forbidden, answers others' actions, says that it is another party (in a header, under an
id that the other has used), and sends ids again that it has used itself.
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
from dataclasses import asdict, dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any, Final

from confluent_kafka import Message, Producer

from chaos.forbidden import Forbidden
from chaos.traffic import Event, Traffic
from weaklink.kafka_options import KafkaConfig
from weaklink.records.identifiers import IdentifierKind as Kind
from weaklink.settings import Settings

_FLOOD_SEED, _IDENTIFIERS = 66, 24
_FLOODING_CONNECTIONS: Final = 4
"""Each logged in. A quota is a party's, not a connection's."""
_QUEUED_KIB_MAX: Final = 2 << 10
"""Of each of them."""
_TRY_SECONDS: Final = 1.0
_CONNECT_SECONDS: Final = 5.0
_FLUSH_SECONDS: Final = 15.0
_PATTERNS: Final = 200
_LIE_EVERY: Final = 500


@dataclass(frozen=True)
class Orders:
    """own, other: ids of parties. seed: of the others' traffic, whose ids it uses. address: that it connects from. actions: ids of others' actions.

    `raging`: a file that it makes once it has connected, tried everything forbidden and told every lie; `report`: what came of it, at the end.
    """

    own: str
    other: str
    seed: int
    start_us: int
    bytes_per_second: int
    connections: int
    address: str
    actions: list[str]
    raging: str
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
    forbidden_refused: dict[str, int] = field(default_factory=dict)
    """By what the broker's log must say of it (`Forbidden.refused`)."""
    forbidden_allowed: list[str] = field(default_factory=list)
    times_throttled: int = 0
    lies: dict[str, int] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)


class Partner:
    """Does everything at once, in threads."""

    def __init__(self, orders: Orders, kafka: KafkaConfig) -> None:
        self._orders, self._kafka = orders, kafka
        self._stop = threading.Event()
        self.report = Report()
        self._acknowledged_bytes = 0
        self._lied = threading.Event()

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
        """Ten times what it may, by several connections, as fast as the broker lets it; with librdkafka, whose queues hold what the broker has not taken yet.

        Lies have a connection of their own: they are few, and none is dropped because a flood is ahead of it.
        """
        *flooders, liar = [Producer(self._flooder_options()) for _ in range(_FLOODING_CONNECTIONS + 1)]
        begun = time.monotonic()
        topic = f"party.{self._orders.own}.events"
        for number, (key, value, lie) in enumerate(self._offers()):
            if self._stop.is_set():
                break
            if number > _LIE_EVERY:
                self._lied.set()
            self.report.offered_bytes += len(value)
            ahead = begun + self.report.offered_bytes / self._orders.bytes_per_second - time.monotonic()
            if ahead > 0.01:
                self._stop.wait(ahead)
                for one in flooders:
                    one.poll(0)
            forged: list[tuple[str, str | bytes | None]] = (
                [("party", self._orders.other.encode())] if lie == "in another's name" else []
            )
            producer = liar if lie else flooders[number % _FLOODING_CONNECTIONS]
            try:
                producer.produce(topic, value, key, headers=forged, on_delivery=self._answered)
            except BufferError:  # offered, and not taken
                producer.poll(0)
                continue
            if lie:
                producer.poll(0)
                self.report.lies[lie] = self.report.lies.get(lie, 0) + 1
        for one in (*flooders, liar):
            one.poll(0)
        self.report.seconds = time.monotonic() - begun
        self.report.acknowledged_bytes = self._acknowledged_bytes  # what comes while it leaves is of a longer time
        for one in (*flooders, liar):
            one.flush(_FLUSH_SECONDS)

    def _flooder_options(self) -> dict[str, Any]:
        kafka = self._kafka
        return {
            "bootstrap.servers": kafka.bootstrap_servers, "security.protocol": kafka.security_protocol,
            "sasl.mechanism": kafka.sasl_mechanism, "sasl.username": kafka.username, "sasl.password": kafka.secret(),
            "linger.ms": 20, "queue.buffering.max.kbytes": _QUEUED_KIB_MAX, "message.timeout.ms": 0, "socket.keepalive.enable": True,
        }  # fmt: skip

    def _answered(self, error: object, message: Message) -> None:
        if error is None:
            self._acknowledged_bytes += len(message)

    def _offers(self) -> Iterator[tuple[bytes, bytes, str]]:
        """Key, value and, of those that are worse than a flood, what it is: large events of its own accounts, and lies among them."""
        own = Traffic(_FLOOD_SEED)
        patterns = [self._usage(own, number).encoded() for number in range(_PATTERNS)]
        at = patterns[0].index(own.event_id(0))
        for number in count():
            value = patterns[number % _PATTERNS]
            yield b"flood", value[:at] + own.event_id(number + _PATTERNS) + value[at + 16 :], ""
            if number % _LIE_EVERY == 0:
                for lie, event in self._lies(own, number):
                    yield event.key, event.encoded(), lie

    def _usage(self, own: Traffic, number: int) -> Event:
        tokens = [own.token(Kind.DEVICE, f"flood{number}", i) for i in range(_IDENTIFIERS)]
        head = {"event_id": own.event_id(number), "occurred_at": time.time_ns() // 1000, "account": f"flood-{number}"}
        body = {
            "window_seconds": 0, "model": "large-4", "task": "OTHER", "requests": 1, "input_tokens": 10, "output_tokens": 10,
            "end_user": None, "address_class": "HOSTING",
        }  # fmt: skip
        return Event(number, self._orders.own, "ApiUsage", body | head | {"identifiers": tokens})

    def _lies(self, own: Traffic, number: int) -> Iterator[tuple[str, Event]]:
        """Another's ids under another's name; an id of its own twice; a record that is not its kind's; an answer to another's action."""
        others = Traffic(self._orders.seed, start_us=self._orders.start_us)
        usage = self._usage(own, -1 - number)
        yield "in another's name", replace(usage, values=usage.values | {"event_id": others.event_id(number // _LIE_EVERY)})  # fmt: skip
        yield "once", usage
        yield "again", usage
        head = {name: usage.values[name] for name in ("account", "occurred_at", "identifiers")}
        paid = {"event_id": own.event_id(-(1 << 40) - number), "merchant": self._orders.other, "outcome": "CHARGEBACK", "instrument": "CREDIT"}  # fmt: skip
        yield "not its record", Event(number, self._orders.own, "PaymentAttempt", head | paid)
        if self._orders.actions:
            action_id = self._orders.actions[number % len(self._orders.actions)]
            yield "another's action", own.receipt((1 << 50) + number, self._orders.own, action_id, 1, "DISPUTED")

    def _trespass(self) -> None:
        with Forbidden(self._kafka, self._orders.own, self._orders.other) as acts:
            try:
                acts.try_all()
                while not (self._lied.wait(_TRY_SECONDS) or self._stop.is_set()):
                    pass
                Path(self._orders.raging).touch()
                while not self._stop.wait(_TRY_SECONDS):
                    acts.try_all()
            finally:
                self.report.forbidden_attempts, self.report.forbidden_refused = acts.attempts, dict(acts.refused)
                self.report.forbidden_allowed, self.report.times_throttled = acts.allowed[:10], acts.throttled


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
