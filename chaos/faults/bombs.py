"""Bombs for the decoder: counts, lengths and batches that claim or inflate to far more than they are; and a decoder that crashes or never returns.

One party sends nothing else, in between others' ordinary events. Each bomb comes back once, by its offsets; no process dies of it; memory stays. Another
sends leases that are good events and as long as may be, of as many addresses: they count, and make no more of themselves than memory has room for.
"""

import hashlib
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient

from chaos import crafted, failing_decoder
from chaos.crafted import Crafter
from chaos.lab import Lab
from chaos.publishing import Stream
from chaos.row import MEMORY_GROWTH_MIB, Row
from chaos.scale import Scale
from chaos.traffic import PARTIES, Traffic
from chaos.verifier.reading import read_topics
from chaos.verify import row_of, verify_lab
from weaklink.parties import Party, PartyKind
from weaklink.records.codec import encode
from weaklink.records.identifiers import IDENTIFIERS_MAX, IdentifierKind

BOMBER: Final = Party(id="bomber", kind=PartyKind.LAB, events_partitions=2)
LEASER: Final = Party(id="leaser", kind=PartyKind.CLOUD)
_ROUNDS, _SHORT_ROUNDS = 5, 1
_LEASES, _LEASE_AGO_DAYS, _LEASE_AHEAD_DAYS = 5_000, 80, 25
"""In one batch. With a link for each of 92 days of each of 32 addresses they would be 15 million links, and a gigabyte."""
_US_PER_DAY: Final = 86_400_000_000
_MESSAGE_BYTES_MAX: Final = 12 << 20
_INFLATED_BYTES: Final = {"gzip": 3 << 30, "lz4": 2 << 30, "zstd": 4 << 30, "snappy": 180 << 20}
"""As far as the broker's largest batch (16 MiB) goes with each: snappy makes a 21st of zeros, lz4 a 255th, gzip a 1,000th. In several records, where one
cannot be so long."""
_SHORT_INFLATED_BYTES: Final = 512 << 20
"""More than a service may grow by, also beside other tests."""
_EVENTS_PER_SECOND: Final = 300
_DECODE_SECONDS: Final = 4
_RANGE: Final = "BATCH_TOO_LARGE"


@dataclass(frozen=True, slots=True)
class Bomb:
    """What was sent, at which offsets of which partition, and what it must come back as. data: the batch as sent, of what is refused whole and has
    nothing else in its batch."""

    name: str
    partition: int
    first: int
    last: int
    reasons: frozenset[str]
    whole: bool
    data: bytes = b""

    @property
    def told(self) -> str:
        """What its reject must say of bytes that it does not carry."""
        return (
            f"{len(self.data)} bytes as sent, SHA-256 {hashlib.sha256(self.data).hexdigest()}"
            if self.data
            else "SHA-256"
        )


def run(folder: Path, scale: Scale) -> Row:
    """The row of this fault."""
    rounds = scale.count(_ROUNDS, _SHORT_ROUNDS)
    with Lab(folder, scale=scale, parties=(*PARTIES, BOMBER, LEASER)) as lab:
        _allow_large(lab)
        lab.start("ingest")
        lab.await_ready()
        return throw(lab, rounds, short=scale.is_short)


def throw(lab: Lab, rounds: int, *, short: bool) -> Row:
    """All bombs, so many times, while others' events go on; then a decoder that fails."""
    traffic = Traffic(8, accounts=2_000)
    lab.publisher.publish(traffic.events(0, 20_000 if not short else 4_000))
    lab.settle(["ingest"])
    lab.watch.reset()
    time.sleep(2)
    lives = [worker.lives for worker in lab.workers]
    with closing(Crafter(lab.kafka)) as crafter, Stream(lab.publisher, traffic.events(100_000, 1 << 40), _EVENTS_PER_SECOND):  # fmt: skip
        sent: list[Bomb] = []
        for number in range(rounds):
            sent += _bombs(crafter, traffic, short=short)
            leases = crafted.compress("zstd", crafted.records(_leases(traffic, number)))
            crafter.send(LEASER.events_topic, 0, "zstd", leases, _LEASES)
        time.sleep(3)
    lab.settle(["ingest"])
    growth = lab.watch.memory_growth_mib
    died = sum(worker.lives for worker in lab.workers) - sum(lives) + sum(not worker.alive for worker in lab.workers)
    deaths = _failing(lab, traffic, sent)
    lab.finish(["ingest"])
    found = verify_lab(lab, stages=("ingest",), but=(BOMBER.id,))
    row = row_of("bombs", len(sent), lab, found)
    row.memory_growth_mib = growth
    _check(row, lab, sent)
    row.bar(died == 0, f"{died} processes died of what they decoded")
    row.bar(growth < MEMORY_GROWTH_MIB, f"memory grew by {growth:.0f} MiB")
    row.extra |= {"bombs": dict(Counter(bomb.name for bomb in sent)), "decoder_failures": deaths}
    return row


def _bombs(crafter: Crafter, traffic: Traffic, *, short: bool) -> Iterator[Bomb]:
    for number, (name, value, reason) in enumerate(_values(traffic)):
        offset = crafter.send_value(BOMBER.events_topic, number % 2, value)
        yield Bomb(name, number % 2, offset, offset, frozenset({reason}), whole=False)
    for codec, inflated in _INFLATED_BYTES.items():
        size = min(_SHORT_INFLATED_BYTES if short else inflated, inflated)
        values = [min(size - begin, crafted.VALUE_BYTES_MAX) for begin in range(0, size, crafted.VALUE_BYTES_MAX)]
        data = crafted.compress(codec, crafted.zeros(*values))
        offset = crafter.send(BOMBER.events_topic, 0, codec, data, len(values))
        yield Bomb(f"{size >> 20} MiB in {codec}", 0, offset, offset + len(values) - 1, frozenset({_RANGE}), whole=True, data=data)  # fmt: skip
    for codec, count in (
        ("zstd", 400_000),
        *((codec, 10_000 if short else 99_999) for codec in ("gzip", "zstd", "lz4")),
    ):
        data = crafted.compress(codec, crafted.empty_records(count))
        offset = crafter.send(BOMBER.events_topic, 1, codec, data, count)
        whole = count > 100_000
        yield Bomb(f"{count} empty records", 1, offset, offset + count - 1, frozenset({_RANGE if whole else "EMPTY_VALUE"}), whole, data)  # fmt: skip
    for _ in range(12):  # each within the limit, all of them far beyond it
        offset = crafter.send(BOMBER.events_topic, 1, "zstd", crafted.compress("zstd", crafted.zeros(31 << 20)), 1)
        # zeros: Confluent's framing with a schema id that nobody has
        yield Bomb("31 MiB in zstd", 1, offset, offset, frozenset({"UNKNOWN_SCHEMA"}), whole=False)


def _values(traffic: Traffic) -> Iterator[tuple[str, bytes, str]]:
    """(name, message, reason)."""
    usage = next(event for event in traffic.events(0, 1_000) if event.record == "ApiUsage").values
    sound = encode("ApiUsage", usage)
    at = sound.index(bytes([2 * len(usage["account"])]) + usage["account"].encode())
    identifiers = at + 1 + len(usage["account"])
    huge = b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01"  # 2^63 - 1
    yield "a string of 2^63 bytes", sound[:at] + huge + sound[at + 1 :], "MALFORMED"
    yield "2^63 identifiers", sound[:identifiers] + huge + sound[identifiers + 1 :], "MALFORMED"
    yield (
        "2^62 empty identifiers in blocks of no size",
        sound[:identifiers] + b"\x03\x00\x00\x00" * 200_000,
        "MALFORMED",
    )
    nested = b"\x02\x02" * 400_000
    yield "blocks within blocks", sound[:identifiers] + nested, "MALFORMED"
    many = encode("ApiUsage", usage | {"identifiers": [bytes([4, 1]) + number.to_bytes(15, "big") for number in range(100_000)]})  # fmt: skip
    yield "100,000 identifiers", many, "TOO_MANY_IDENTIFIERS"
    yield "10 MB that are no event", b"\xc3\x01" + bytes(10_000_000), "UNKNOWN_SCHEMA"
    yield "10 MB of an account's name", encode("ApiUsage", usage | {"account": "a" * 10_000_000}), "BAD_ACCOUNT"


def _leases(traffic: Traffic, number: int) -> Iterator[bytes]:
    """Messages of a round, of its number."""
    addresses = [traffic.token(IdentifierKind.IP, "leaser", one) for one in range(IDENTIFIERS_MAX)]
    now_us = time.time_ns() // 1000
    for one in range(_LEASES):
        yield encode(
            "AddressLease",
            {
                "event_id": bytes(4) + number.to_bytes(4, "big") + one.to_bytes(8, "big"),
                "occurred_at": now_us - _LEASE_AGO_DAYS * _US_PER_DAY,
                "account": f"lessee-{one}",
                "identifiers": addresses,
                "released_at": now_us + _LEASE_AHEAD_DAYS * _US_PER_DAY,
            },
        )


def _allow_large(lab: Lab) -> None:
    """The bomber's topic takes messages of 10 MB, as an operator may allow."""
    with closing(KafkaAdminClient(**lab.kafka.client_options())) as admin:
        resource = ConfigResource(ConfigResourceType.TOPIC, BOMBER.events_topic, {"max.message.bytes": str(_MESSAGE_BYTES_MAX)})  # fmt: skip
        admin.alter_configs([resource])


def _failing(lab: Lab, traffic: Traffic, sent: list[Bomb]) -> dict[str, int]:
    """A build whose decoder hangs on one event, and crashes on another: how often it died until just those were refused."""
    (worker,) = lab.of("ingest")
    worker.stop()
    worker.program = (sys.executable, "-m", failing_decoder.__name__)
    worker.environment = {**worker.environment, "WEAKLINK_STREAM__DECODE_SECONDS_MAX": str(_DECODE_SECONDS)}
    deaths: dict[str, int] = {}
    usage = next(event for event in traffic.events(0, 1_000) if event.record == "ApiUsage").values
    for number, name in enumerate((failing_decoder.HANG, failing_decoder.CRASH)):
        lab.publisher.publish(traffic.events(50_000 + 2_000 * number, 51_000 + 2_000 * number))
        with closing(Crafter(lab.kafka)) as crafter:
            value = encode("ApiUsage", usage | {"account": name.decode(), "event_id": name.ljust(16)[:16]})
            offset = crafter.send_value(BOMBER.events_topic, 0, value)
        sent.append(Bomb(name.decode(), 0, offset, offset, frozenset({"MALFORMED"}), whole=True))
        lab.publisher.publish(traffic.events(51_000 + 2_000 * number, 52_000 + 2_000 * number))
        lab.publisher.flush()
        before = worker.lives
        lab.until(lambda: _revived(lab) and not lab.drained.waiting(["ingest"]), f"ingest did not get past {name!r}")
        deaths[name.decode()] = worker.lives - before - (0 if number else 1)
    return deaths


def _revived(lab: Lab) -> bool:
    """Start again what is dead, as an orchestrator does."""
    lab.revive()
    return True


def _check(row: Row, lab: Lab, sent: list[Bomb]) -> None:
    """Every bomb came back exactly once, by its offsets, for its reason; what was refused whole without bytes and with size and hash; and nothing else."""
    times: Counter[tuple[int, int, int]] = Counter()
    headers: dict[tuple[int, int, int], dict[str, str]] = {}
    sizes: dict[tuple[int, int, int], int] = {}

    def take(record: Any) -> None:
        told = {name: value.decode() for name, value in record.headers}
        first, _, last = told["weaklink-offset"].partition("-")
        where = int(told["weaklink-partition"]), int(first), int(last or first)
        times[where] += 1
        headers[where], sizes[where] = told, len(record.value or b"")

    read_topics(lab.kafka, [BOMBER.rejects_topic], take)
    for bomb in sent:
        spans = [(bomb.first, bomb.last)] if bomb.whole else [(at, at) for at in range(bomb.first, bomb.last + 1)]
        for where in ((bomb.partition, *span) for span in spans):
            found = times.pop(where, 0)
            row.lost += found == 0
            row.duplicate_effects += max(found - 1, 0)
            if not found:
                row.bar(False, f"{bomb.name} at {where} did not come back")
                break
            told = headers[where]
            sound = told["weaklink-reason"] in bomb.reasons
            if bomb.whole:
                sound = sound and sizes[where] == 0 and bomb.told in told["weaklink-detail"]
            row.bar(sound, f"{bomb.name} came back as {told['weaklink-reason']} with {sizes[where]} bytes: {told['weaklink-detail']}")  # fmt: skip
    row.rejected_wrongly += sum(times.values())
