"""What is to be sent, and when: a file of finished Produce requests, so that sending costs next to nothing while the pipeline is measured.

Each request in the file follows a head: when it is due (microseconds after the start), its connection (one per party, and one for what is planted), its events,
its bytes.
"""

import struct
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

import numpy as np

from bench.load import plants, wire
from bench.load.people import PARTIES, Encoded, People, partitions
from bench.load.plants import Plant
from bench.world import Numbers
from weaklink.records.codec import encode

HEAD: Final = struct.Struct("<qiii")
SLOT_US: Final = 50_000
"""A party's producer lingers so long: what comes meanwhile goes as one batch for each partition."""
_CHUNK_EVENTS: Final = 100_000
_PLANTED: Final = len(PARTIES)  # the connection


class Request(NamedTuple):
    """A head."""

    due_us: int
    connection: int
    events: int
    bytes: int


@dataclass
class Script:
    """Writes requests in order; afterwards says what is in them."""

    file: BinaryIO
    requests: int = 0
    events: int = 0
    plants: dict[int, list[Plant]] = field(default_factory=dict)
    """By number of a request the plants that it completes."""

    def put(self, due_us: int, connection: int, topic: str, batches: Sequence[tuple[int, bytes]], events: int) -> int:
        """Append a request; returns its number."""
        request = wire.produce_request(self.requests, topic, batches)
        self.file.write(HEAD.pack(due_us, connection, events, len(request)) + request)
        self.requests += 1
        self.events += events
        return self.requests - 1


def heads(path: Path) -> Iterator[Request]:
    """Every head of a file, in order."""
    with path.open("rb") as file:
        while head := file.read(HEAD.size):
            one = Request(*HEAD.unpack(head))
            yield one
            file.seek(one.bytes, 1)


def write_openings(path: Path, people: People, rate: int, base_us: int) -> Script:
    """Every customer's AccountOpened, and a first minute of use, at so many events/s."""
    everybody = np.arange(people.accounts)

    def of(first: int, many: int, at_us: Numbers) -> Encoded:
        opened = first < people.accounts
        rows = everybody[first % people.accounts : first % people.accounts + many]
        return (people.opened if opened else people.used)(rows, at_us[: len(rows)], first + np.arange(len(rows)))

    with path.open("wb") as file:
        script = Script(file)
        _write(script, 2 * people.accounts, rate, of, base_us, [], whole=people.accounts)
    return script


def write_traffic(path: Path, people: People, rate: int, seconds: float, planted: Sequence[Plant], base_us: int) -> Script:  # fmt: skip
    """Use by popularity at so many events/s, what is planted among it."""
    first_serial = 1 << 40

    def of(first: int, many: int, at_us: Numbers) -> Encoded:
        return people.used(people.drawn(many), at_us, first_serial + first + np.arange(many))

    with path.open("wb") as file:
        script = Script(file)
        _write(script, int(rate * seconds), rate, of, base_us, planted)
    return script


def _write(
    script: Script,
    count: int,
    rate: int,
    of: Callable[[int, int, Numbers], Encoded],
    base_us: int,
    planted: Sequence[Plant],
    *,
    whole: int = _CHUNK_EVENTS,
) -> None:
    """`whole`: no chunk crosses a multiple of it."""
    left, first = sorted(planted, key=lambda plant: plant.due_us), 0
    per_slot = rate * SLOT_US // 1_000_000
    step = max(per_slot, min(_CHUNK_EVENTS, whole) // per_slot * per_slot)
    while first < count:
        many = min(step, count - first, whole - first % whole)
        due_us = (first + np.arange(many)) * 1_000_000 // rate
        encoded = of(first, many, base_us + due_us)
        last_us = int(due_us[-1])
        now, left = [p for p in left if p.due_us <= last_us], [p for p in left if p.due_us > last_us]
        requests = [*_ordinary(encoded, due_us // SLOT_US), *_planted(now, base_us)]
        for due, connection, topic, batches, events, complete in sorted(requests, key=lambda one: one[0]):
            number = script.put(due, connection, topic, batches, events)
            if complete:
                script.plants[number] = complete
        first += many


_Part = tuple[int, int, str, list[tuple[int, bytes]], int, list[Plant]]


def _ordinary(encoded: Encoded, slot: Numbers) -> Iterator[_Part]:
    """A request for each slot and party: due when its slot has passed, as a producer sends what it has gathered."""
    many = PARTIES[0].events_partitions
    group = (slot * len(PARTIES) + encoded.party) * many + encoded.partition
    order = np.argsort(group, kind="stable")
    group = group[order]
    first = np.flatnonzero(np.diff(group, prepend=-1))
    count = np.diff(first, append=len(group))
    place = np.arange(len(group)) - np.repeat(first, count)
    data, length = wire.records(encoded.keys[order], encoded.values[order], encoded.present[order], place)
    bounds = np.concatenate([[0], np.cumsum(length)])
    now_ms = time.time_ns() // 1_000_000
    found: dict[tuple[int, int], list[tuple[int, bytes]]] = defaultdict(list)
    events: dict[tuple[int, int], int] = defaultdict(int)
    for begin, size in zip(first.tolist(), count.tolist(), strict=True):
        at, partition = divmod(int(group[begin]), many)
        key = divmod(at, len(PARTIES))
        batch = wire.record_batch(data[bounds[begin] : bounds[begin + size]], size, now_ms)
        found[key].append((partition, batch))
        events[key] += size
    for (at, party), batches in found.items():
        yield (at + 1) * SLOT_US, party, PARTIES[party].events_topic, batches, events[at, party], []


def _planted(due: Iterable[Plant], base_us: int) -> Iterator[_Part]:
    """The requests of each plant, one for each party; with the last one it is complete."""
    for plant in due:
        by_party: dict[int, dict[int, list[tuple[bytes, bytes]]]] = defaultdict(lambda: defaultdict(list))
        for party, record, values in plants.events(plant, base_us + plant.due_us):
            key = values["account"].encode()
            partition = int(partitions(np.frombuffer(key, np.uint8)[None], PARTIES[party].events_partitions)[0])
            by_party[party][partition].append((key, encode(record, values)))
        for number, (party, by_partition) in enumerate(by_party.items(), 1):
            batches = [(partition, batch_of(rows)) for partition, rows in by_partition.items()]
            events = sum(len(rows) for rows in by_partition.values())
            complete = [plant] if number == len(by_party) else []
            yield plant.due_us, _PLANTED, PARTIES[party].events_topic, batches, events, complete


def batch_of(rows: Sequence[tuple[bytes, bytes]]) -> bytes:
    """A record batch of some (key, value)."""
    records = b"".join(wire.record(place, key, value) for place, (key, value) in enumerate(rows))
    return wire.record_batch(records, len(rows), time.time_ns() // 1_000_000)
