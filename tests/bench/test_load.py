"""The load: bytes that a broker and ingest take, at the moments that were meant, and figures that say what happened."""

import struct
import time
from collections import Counter, defaultdict
from pathlib import Path

import lz4.frame
import numpy as np
import pytest
from bench.load import figures, plants, script, wire
from bench.load.people import PARTIES, People
from bench.load.pipeline import Sample
from bench.world import crc32
from crc32c import crc32c
from hypothesis import given
from hypothesis import strategies as st
from kafka.record.default_records import DefaultRecordBatch

from weaklink.records.codec import decode

_NOW_US = 1_795_000_000_000_000


def read_script(path: Path) -> list[tuple[script.Request, int, str, dict[int, list[tuple[bytes, bytes]]]]]:
    """(head, number, topic, {partition: [(key, value)]}) of every request, by kafka-python's own reader of batches."""
    data, at, found = path.read_bytes(), 0, []
    while at < len(data):
        head = script.Request(*script.HEAD.unpack_from(data, at))
        at += script.HEAD.size
        found.append((head, *read_request(data[at : at + head.bytes])))
        at += head.bytes
    return found


def read_request(data: bytes) -> tuple[int, str, dict[int, list[tuple[bytes, bytes]]]]:
    """A Produce request of version 7, taken apart by its layout."""
    length, key, version, number, client = struct.unpack_from(">ihhih", data)
    assert (length, key, version) == (len(data) - 4, 0, 7)
    at = 14 + client
    transaction, acks, _, topics, name = struct.unpack_from(">hhiih", data, at)
    assert (transaction, acks, topics) == (-1, -1, 1)
    topic = data[at + 14 : at + 14 + name].decode()
    at += 14 + name
    (many,) = struct.unpack_from(">i", data, at)
    at += 4
    batches = {}
    for _ in range(many):
        partition, size = struct.unpack_from(">ii", data, at)
        batch = DefaultRecordBatch(data[at + 8 : at + 8 + size])
        assert batch.validate_crc()
        batches[partition] = [(record.key, record.value) for record in batch]
        assert [record.offset for record in DefaultRecordBatch(data[at + 8 : at + 8 + size])] == list(range(len(batches[partition])))  # fmt: skip
        at += 8 + size
    assert at == len(data)
    return number, topic, batches


def test_a_script_holds_what_was_asked_for_in_order_of_time(tmp_path: Path) -> None:
    """Every event decodes, lies on its account's partition at its party, and is sent within a slot of when it happens; ids never repeat."""
    planted = plants.schedule(6.0, 2.0, 0.5, 1.0)
    written = script.write_traffic(tmp_path / "s", People(accounts=1_000), 1_000, 6.0, planted, _NOW_US)
    requests = read_script(tmp_path / "s")
    assert [number for _, number, _, _ in requests] == list(range(written.requests))
    assert [head.due_us for head, *_ in requests] == sorted(head.due_us for head, *_ in requests)
    ids, events = Counter[bytes](), 0
    for head, _, topic, batches in requests:
        party = next(number for number, party in enumerate(PARTIES) if party.events_topic == topic)
        for partition, rows in batches.items():
            for key, value in rows:
                _, event = decode(value)
                assert event["account"].encode() == key
                assert crc32(np.frombuffer(key, np.uint8)[None])[0] % PARTIES[party].events_partitions == partition
                if key.startswith(b"c"):
                    assert int(key[1:]) % len(PARTIES) == party == head.connection
                    assert 0 <= head.due_us - (event["occurred_at"].timestamp() * 1e6 - _NOW_US) <= script.SLOT_US + 1
                ids[event["event_id"]] += 1
                events += 1
    assert set(ids.values()) == {1}
    assert events == written.events == sum(head.events for head, *_ in requests)
    ordinary = 6 * 1_000
    assert events == ordinary + sum(len(plant.accounts) for plant in planted) * 5
    assert [p for number in sorted(written.plants) for p in written.plants[number]] == planted


def test_everybody_is_opened_before_anybody_uses(tmp_path: Path) -> None:
    """Each ordinary customer has one AccountOpened and one ApiUsage in the script of openings, in this order."""
    script.write_openings(tmp_path / "s", People(accounts=1_000), 20_000, _NOW_US)
    records: dict[bytes, list[str]] = defaultdict(list)
    for _, _, _, batches in read_script(tmp_path / "s"):
        for rows in batches.values():
            for key, value in rows:
                records[key].append(decode(value)[0])
    assert len(records) == 1_000
    assert set(map(tuple, records.values())) == {("AccountOpened", "ApiUsage")}


@given(st.lists(st.tuples(st.binary(min_size=1, max_size=40), st.binary(min_size=70, max_size=300)), min_size=1, max_size=150))  # fmt: skip
def test_columns_make_the_same_bytes_as_single_records(rows: list[tuple[bytes, bytes]]) -> None:
    """Keys of one width, values of any: the records of a batch are those that are written one by one."""
    width = max(len(value) for _, value in rows)
    keys = np.stack([np.frombuffer(key.ljust(40, b"k"), np.uint8) for key, _ in rows])
    values = np.stack([np.frombuffer(value.ljust(width, b"\0"), np.uint8) for _, value in rows])
    present = np.arange(width)[None] < np.array([len(value) for _, value in rows])[:, None]
    data, length = wire.records(keys, values, present, np.arange(len(rows)))
    single = [wire.record(place, key.ljust(40, b"k"), value) for place, (key, value) in enumerate(rows)]
    assert data == b"".join(single)
    assert length.tolist() == [len(one) for one in single]


def test_a_batch_is_one_that_kafka_python_reads() -> None:
    """Its checksum holds, and its records come back; lz4 as Kafka frames it."""
    rows = [(b"key", bytes([number % 251]) * 80) for number in range(1_000)]
    batch = script.batch_of(rows)
    read = DefaultRecordBatch(batch)
    assert read.validate_crc()
    assert [(record.key, record.value) for record in read] == rows
    assert crc32c(batch[21:]) == struct.unpack_from(">I", batch, 17)[0]
    assert lz4.frame.decompress(batch[61:])
    assert batch[61 + 4] & 0x20, (
        "blocks of a frame must not refer to the ones before them: Kafka refuses that, beyond 64 KiB"
    )


def test_an_answer_tells_of_every_batch_what_became_of_it() -> None:
    """Written as the protocol guide lays out version 7: error codes and append times by partition."""
    name = b"party.lab-a.events"
    body = struct.pack(">iih", 77, 1, len(name)) + name + struct.pack(">i", 2)
    body += struct.pack(">ihqqq", 3, 0, 1_000, 1_795_000_000_123, 0) + struct.pack(">ihqqq", 1, 6, -1, -1, -1) + struct.pack(">i", 0)  # fmt: skip
    number, written = wire.produce_response(body)
    assert number == 77
    assert written == [wire.Written(3, 0, 1_000, 1_795_000_000_123), wire.Written(1, 6, -1, -1)]


def test_newcomers_come_to_campaigns_that_are_known_by_then_and_to_each_in_turn() -> None:
    """No account is planted twice, none of a campaign before it, and what is planted is spread over the run."""
    planted = plants.schedule(60.0, 5.0, 0.5, 15.0)
    campaigns = {plant.campaign: plant for plant in planted if not plant.newcomer}
    newcomers = [plant for plant in planted if plant.newcomer]
    assert len(campaigns) == 12
    assert all(plant.due_us - campaigns[plant.campaign].due_us >= 15_000_000 for plant in newcomers)
    accounts = [(plant.campaign, account) for plant in planted for account in plant.accounts]
    assert len(set(accounts)) == len(accounts)
    assert len(newcomers) > 60
    assert max(Counter(plant.campaign for plant in newcomers).values()) <= plants.NEWCOMERS_OF_CAMPAIGN
    assert max(plant.due_us for plant in planted) <= 59_000_000


def test_a_newcomer_holds_what_members_of_its_own_party_hold() -> None:
    """A device and a card of its campaign, of no other and of no ordinary customer."""
    plant = plants.Plant(0, 3, tuple(range(plants.ACCOUNTS_OF_CAMPAIGN)), newcomer=False)
    late = plants.Plant(0, 3, (plants.ACCOUNTS_OF_CAMPAIGN,), newcomer=True)
    other = plants.Plant(0, 4, tuple(range(plants.ACCOUNTS_OF_CAMPAIGN)), newcomer=False)
    held = {token for _, _, values in plants.events(plant, _NOW_US) for token in values["identifiers"]}
    new = {token for _, _, values in plants.events(late, _NOW_US) for token in values["identifiers"]}
    others = {token for _, _, values in plants.events(other, _NOW_US) for token in values["identifiers"]}
    assert new <= held
    assert not held & others
    devices = Counter(values["identifiers"][0] for _, record, values in plants.events(plant, _NOW_US) if record == "AccountOpened")  # fmt: skip
    assert set(devices.values()) == {4}


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=50))
def test_jains_index_lies_between_one_for_all_alike_and_one_nth_for_one_alone(shares: list[float]) -> None:
    """And does not change when everybody gets twice as much."""
    index = figures.jain(shares)
    assert index is not None
    assert 1 / len(shares) - 1e-3 <= index <= 1 + 1e-3
    assert figures.jain([2 * one for one in shares]) == pytest.approx(index, abs=1e-3)
    assert figures.jain([1.0] * len(shares)) == 1.0
    assert figures.jain([1.0] + [0.0] * 9) == 0.1


def test_growth_is_told_from_noise() -> None:
    """A series that swings does not grow; one that rises does; a rise before the second quarter is warming up."""
    at = [2.0 * number for number in range(150)]
    swing = figures.growth(at, [1_000.0 + 300 * (number % 2) for number in range(150)])
    rise = figures.growth(at, [100.0 + 40 * number for number in range(150)])
    warm = figures.growth(at, [300.0 if number > 30 else 10.0 * number for number in range(150)])
    assert not figures.lag_grew(swing, batches=100)
    assert not figures.memory_grew(warm)
    assert figures.lag_grew(rise, batches=100)
    assert figures.memory_grew(rise)
    assert rise["per_minute"] == pytest.approx(1_200, rel=0.01)


def test_resources_are_shares_of_a_core_between_the_first_and_the_last_sample() -> None:
    """A process that was not there all the time is left out rather than guessed at."""
    now = time.time()
    samples = [
        Sample(now + 2 * n, {"ingest": n}, {"ingest": 100.0} | ({"late": 5.0} if n else {}), {"ingest": 1.0 * n} | ({"late": 1.0} if n else {}), 1.0)
        for n in range(5)
    ]  # fmt: skip
    found = figures.resources(samples)
    assert found["cores"] == {"ingest": 0.5}
    assert found["behind_messages"]["ingest"]["most"] == 4
    assert found["event_ids_mib"]["last_quarter"] == 0.0
    samples[-1].event_ids_mib = 7.0
    assert figures.resources(samples)["event_ids_mib"]["most"] == 7.0
    assert figures.resources([])["event_ids_mib"]["most"] == 0.0


def test_bars_are_not_kept_by_measuring_nothing() -> None:
    """An empty run is not a quick one."""
    assert not figures.within_bars(figures.latency([]))
    assert figures.within_bars(figures.latency([1.0, 1.2, 3.9]))
    assert not figures.within_bars(figures.latency([1.0, 1.2, 4.1] * 40))
