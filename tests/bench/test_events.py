"""The benchmark's events: what the job says they are, the same every time, and bytes as a party publishes them."""

import zlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from bench.encode import PREFIX_BYTES, write_events
from bench.world import (
    ACCOUNTS,
    IDENTIFIERS,
    PARTITIONS,
    POOLS,
    ZIPF_EXPONENT,
    World,
    account_names,
    crc32,
    make_world,
    recent_begin_us,
    tokens,
)

from weaklink.records.codec import decode

BEGIN_US = 1_795_000_000_000_000
_HOUR_US = 3_600_000_000


def published(world: World, folder: Path) -> list[tuple[int, bytes, bytes]]:
    """(partition, key, value) of each event in the file that is published."""
    path = folder / "events.bin"
    value_bytes = write_events(world, path)
    data, at, found = path.read_bytes(), 0, []
    while at < len(data):
        partition, key_bytes, length = data[at : at + PREFIX_BYTES]
        begin = at + PREFIX_BYTES + key_bytes
        found.append((partition, data[at + PREFIX_BYTES : begin], data[begin : begin + length]))
        at = begin + length
    assert sum(len(value) for _, _, value in found) == value_bytes
    return found


def test_the_same_arguments_give_the_same_events(tmp_path: Path) -> None:
    """And another seed gives others."""
    first, again, other = (make_world(1_000, BEGIN_US, seed) for seed in (1, 1, 2))
    assert published(first, tmp_path) == published(again, tmp_path)
    assert published(first, tmp_path) != published(other, tmp_path)


def test_published_bytes_decode_to_the_world(tmp_path: Path) -> None:
    """Account, tokens and time of every event come back through the product's single-record codec; keys and partitions are those of the account."""
    world = make_world(3_000, BEGIN_US)
    names, table = account_names(), tokens()
    event_ids = set()
    for row, (partition, key, value) in enumerate(published(world, tmp_path)):
        record, event = decode(value)
        name = names[world.accounts[row]].tobytes()
        assert record == "ApiUsage"
        assert event["account"].encode() == key == name
        assert event["identifiers"] == [table[one].tobytes() for one in world.identifiers[row] if one >= 0]
        assert round(event["occurred_at"].timestamp() * 1e6) == world.occurred_us[row]
        assert partition == zlib.crc32(name) % PARTITIONS
        event_ids.add(event["event_id"])
    assert len(event_ids) == len(world)


def test_events_are_of_the_size_and_shape_that_the_job_names(tmp_path: Path) -> None:
    """115 to 125 bytes on average, three or four identifiers, none twice in an event."""
    world = make_world(20_000, BEGIN_US)
    sizes = [len(value) for _, _, value in published(world, tmp_path)]
    assert 115 <= np.mean(sizes) <= 125
    count = (world.identifiers >= 0).sum(axis=1)
    assert set(count.tolist()) == {3, 4}
    assert world.mentions == count.sum()
    assert np.all(np.diff(world.identifiers[:, :3], axis=1) > 0)
    assert world.identifiers.max() < IDENTIFIERS


def test_account_popularity_is_zipf() -> None:
    """The share of the r-th account is r to the power of -1.2 over its sum, as far as chance lets one see."""
    events = 400_000
    world = make_world(events, BEGIN_US)
    weights = np.arange(1, ACCOUNTS + 1) ** -ZIPF_EXPONENT
    expected = events * weights / weights.sum()
    found = np.sort(np.bincount(world.accounts, minlength=ACCOUNTS))[::-1]
    for rank in (0, 1, 2, 9, 99):
        assert abs(found[rank] - expected[rank]) < 5 * np.sqrt(expected[rank])
    assert np.bincount(world.partitions).max() < 0.35 * events


def test_tokens_are_of_their_kind_and_all_different() -> None:
    """The reader of a token can tell its kind, and no two identifiers share one."""
    table = tokens()
    assert Counter(table[:, 0].tolist()) == {int(pool.kind): pool.size for pool in POOLS}
    assert len(np.unique(np.ascontiguousarray(table[:, 2:10]).view("<u8"))) == IDENTIFIERS


@pytest.mark.parametrize("hour", [0.0, 0.01, 0.1, 3.0, 5.99, 6.05, 23.99])
def test_times_lie_within_a_quarter_of_a_day_just_before_now(hour: float) -> None:
    """Whenever the benchmark runs: what is right must not depend on the hour."""
    now = BEGIN_US // (24 * _HOUR_US) * 24 * _HOUR_US + int(hour * _HOUR_US)
    occurred = make_world(1_000, recent_begin_us(now)).occurred_us
    assert occurred[0] // (6 * _HOUR_US) == occurred[-1] // (6 * _HOUR_US)
    assert now - _HOUR_US < occurred[0] <= occurred[-1] < now


def test_crc32_is_the_one_that_clients_partition_by() -> None:
    """Row by row what zlib says."""
    rows = account_names()[:50]
    assert crc32(rows).tolist() == [zlib.crc32(row.tobytes()) for row in rows]
