"""Poison: one event in ten is malformed, in twelve ways. Every good one counts, every bad one comes back once, and ingest is hardly slower for it."""

import random
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

from chaos.lab import Lab
from chaos.row import Row
from chaos.scale import Scale
from chaos.traffic import Traffic
from chaos.verifier.reading import read_topics
from chaos.verify import row_of, verify_lab
from weaklink.records.codec import encode

_EVENTS, _SHORT_EVENTS = 400_000, 4_000
"""In a round. Also of a fifth: ingest works through a million a second, and then there is nothing between two samples."""
_BATCHES_MAX: Final = 256
"""In a transaction, after which the number of records grows: as shipped, all that waits is one or two."""
_ROUNDS: Final = 3
_SAMPLES_MIN: Final = 3
_EVERY: Final = 10
_RATIO_MIN: Final = 0.8
_SAMPLE_SECONDS: Final = 0.05
_BAD_NUMBER: Final = 1 << 44  # far from the numbers of good events
_USAGE: Final = "ApiUsage"

Damage = Callable[[dict[str, Any]], bytes | None]


def _damaged(fields: dict[str, Any], **changes: Any) -> bytes:
    return encode(_USAGE, fields | changes)


def _sound(fields: dict[str, Any]) -> bytes:
    return encode(_USAGE, fields)


def _with_account(fields: dict[str, Any], length: bytes, account: bytes) -> bytes:
    """The account's length and bytes, replaced on the wire."""
    name = fields["account"].encode()
    value = _sound(fields)
    at = value.index(bytes([2 * len(name)]) + name)
    return value[:at] + length + account + value[at + 1 + len(name) :]


KINDS: Final[tuple[tuple[str, str, Damage], ...]] = (
    ("no value", "EMPTY_VALUE", lambda _: None),
    ("text in place of Avro", "UNKNOWN_FRAMING", lambda fields: repr(fields["account"]).encode()),
    ("a schema that nobody knows", "UNKNOWN_SCHEMA", lambda fields: b"\xc3\x01weaklink" + _sound(fields)[10:]),
    ("an id of a registry that is not there", "UNKNOWN_SCHEMA", lambda fields: b"\x00\x00\x00\x00\x07" + _sound(fields)[10:]),
    ("cut short", "MALFORMED", lambda fields: _sound(fields)[:-4]),
    ("bytes left over", "TRAILING_BYTES", lambda fields: _sound(fields) + b"\x00\x00"),
    ("a string of 2^40 bytes", "MALFORMED", lambda fields: _with_account(fields, b"\x80\x80\x80\x80\x80\x40", fields["account"].encode())),
    ("a string of negative length", "MALFORMED", lambda fields: _with_account(fields, b"\x01", fields["account"].encode())),
    ("a string that is not UTF-8", "NOT_UTF8", lambda fields: _with_account(fields, b"\x08", b"a\xff\xfeb")),
    ("a symbol that is not there", "MALFORMED", lambda fields: _sound(fields)[:-1] + b"\x7e"),
    ("an event id of 15 bytes", "BAD_EVENT_ID", lambda fields: _damaged(fields, event_id=fields["event_id"][:15])),
    ("a negative count", "NEGATIVE_COUNT", lambda fields: _damaged(fields, output_tokens=-1)),
)  # fmt: skip


def refused(_topic: str, _record: str, fields: dict[str, Any]) -> bool:
    """What is readable, and bad all the same."""
    return len(fields["event_id"]) != 16 or fields.get("output_tokens", 0) < 0  # the size of a UUID


def run(folder: Path, scale: Scale) -> Row:
    """The row of this fault."""
    events = _SHORT_EVENTS if scale.is_short else _EVENTS
    rounds = 1 if scale.is_short else _ROUNDS
    environment = {
        "WEAKLINK_INGEST__DUPLICATE_WINDOW_OFFSETS": "50000",
        "WEAKLINK_STREAM__BATCHES_MAX": str(_BATCHES_MAX),
    }
    with Lab(folder, scale=scale, environment=environment) as lab:
        lab.start("ingest")
        lab.await_ready()
        return feed(lab, events, rounds, scale)


def feed(lab: Lab, events: int, rounds: int, scale: Scale) -> Row:
    """Rounds of clean and of poisoned events, each of them waiting on the topics before ingest is let at them."""
    traffic = Traffic(7, accounts=max(200, events // 20))
    lab.publisher.publish(traffic.events(0, 500))
    lab.settle(["ingest"])
    lab.watch.reset()
    bad: Counter[str] = Counter()
    speeds: list[tuple[Speed, Speed]] = []
    for number in range(rounds):
        begin = 500 + 2 * number * events
        clean = _speed(lab, lambda begin=begin: _publish(lab, traffic, begin, events, None))  # type: ignore[misc]
        poisoned = _speed(lab, lambda begin=begin: _publish(lab, traffic, begin + events, events, bad))  # type: ignore[misc]
        speeds.append((clean, poisoned))
    lab.finish(["ingest"])
    row = row_of("poison", rounds, lab, verify_lab(lab, refused=refused, stages=("ingest",)))
    row.memory_growth_mib = max(speed.grown_mib for both in speeds for speed in both)
    row.bar(_reasons(lab) == bad, f"rejected as {dict(_reasons(lab))}, not as {dict(bad)}")
    _compare(row, speeds, measured=not scale.is_short)
    row.extra |= {
        "kinds": len(KINDS), "bad": sum(bad.values()),
        "grown_mib_clean": [clean.grown_mib for clean, _ in speeds],
        "grown_mib_poisoned": [poisoned.grown_mib for _, poisoned in speeds],
    }  # fmt: skip
    return row


@dataclass(frozen=True, slots=True)
class Speed:
    """While ingest worked through what waited: processor time and time an event; how many samples saw it at work; how much its memory grew, at most."""

    cpu_us: float
    wall_us: float
    samples: int
    grown_mib: float


def _publish(lab: Lab, traffic: Traffic, begin: int, count: int, bad: Counter[str] | None) -> None:
    """Events from number `begin` on; with `bad`, every tenth is malformed, and counted there by its reason."""
    if bad is None:
        lab.publisher.publish(traffic.events(begin, begin + count))
        return
    chance = random.Random(begin)
    damages = _endless(chance)
    for number in range(begin, begin + count):
        if number % _EVERY:
            lab.publisher.publish([traffic.event(number)])
            continue
        reason, damage = next(damages)
        event = next(one for one in map(traffic.event, range(_BAD_NUMBER + number * 64, 1 << 62)) if one.record == _USAGE)  # fmt: skip
        lab.publisher.send(event.topic, event.key, damage(event.values))
        bad[reason] += 1


def _endless(chance: random.Random) -> Iterator[tuple[str, Damage]]:
    """All kinds, again and again, each time in another order."""
    while True:
        for _, reason, damage in chance.sample(KINDS, len(KINDS)):
            yield reason, damage


def _speed(lab: Lab, publish: Callable[[], None]) -> Speed:
    """Publish while ingest is away, start it again, and look at it until nothing waits."""
    (worker,) = lab.of("ingest")
    worker.stop()
    publish()
    lab.publisher.flush()
    worker.start()
    lab.await_ready([worker])
    lab.watch.reset()  # it was away on purpose; and it is done before the watch looks at its memory
    worker.forget_peak()
    first_mib = worker.resident_mib()
    samples: list[tuple[float, float, float]] = []
    while not samples or lab.drained.waiting(["ingest"]):
        if worker.ready() and (sample := _sample(worker.port)):
            samples.append(sample)
        time.sleep(_SAMPLE_SECONDS)
    lab.settle(["ingest"])
    samples.append(_sample(worker.port) or samples[-1])
    # From the first sample that has anything to the last at which the number still grew: without starting and without idling.
    working = [one for one in samples if one[0] > 0]
    end = next(at for at, one in enumerate(working) if one[0] == working[-1][0])
    (records, cpu, at), (last_records, last_cpu, last_at) = working[0], working[end]
    done = max(last_records - records, 1.0)
    seen = len({records for records, *_ in working})
    grown_mib = round(worker.peak_mib() - first_mib, 1)
    return Speed((last_cpu - cpu) / done * 1e6, (last_at - at) / done * 1e6, seen, grown_mib)


def _sample(port: int) -> tuple[float, float, float] | None:
    """Records so far, processor time in seconds, and when."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
    except OSError:
        return None
    found = {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines) if not name.startswith("#")}  # fmt: skip
    return (
        found.get('weaklink_records_total{stage="ingest"}', 0.0),
        found["process_cpu_seconds_total"],
        time.monotonic(),
    )


def _compare(row: Row, speeds: list[tuple[Speed, Speed]], *, measured: bool) -> None:
    if not measured:
        return  # a few thousand events are one or two transactions
    fewest = min(speed.samples for both in speeds for speed in both)
    row.bar(
        fewest >= _SAMPLES_MIN,
        f"ingest was seen at work {fewest} times in a round: too fast to be measured on so few events",
    )
    if fewest < _SAMPLES_MIN:
        return
    cpu = median(clean.cpu_us / poisoned.cpu_us for clean, poisoned in speeds)
    wall = median(clean.wall_us / poisoned.wall_us for clean, poisoned in speeds)
    row.extra |= {
        "throughput_ratio_cpu": round(cpu, 2), "throughput_ratio_wall": round(wall, 2),
        "cpu_us_clean": [round(clean.cpu_us, 2) for clean, _ in speeds],
        "cpu_us_poisoned": [round(poisoned.cpu_us, 2) for _, poisoned in speeds],
    }  # fmt: skip
    row.bar(cpu >= _RATIO_MIN, f"throughput with poison is {cpu:.2f} of that without, by ingest's processor time")
    row.bar(wall >= _RATIO_MIN, f"throughput with poison is {wall:.2f} of that without, by the clock")


def _reasons(lab: Lab) -> Counter[str]:
    """What was rejected for what."""
    found: Counter[str] = Counter()

    def take(record: Any) -> None:
        found[dict(record.headers)["weaklink-reason"].decode()] += 1

    read_topics(lab.kafka, [f"party.{party.id}.rejects" for party in lab.parties], take)
    return found
