"""What `bench-latency` says of memory: who may grow, and by how much."""

import numpy as np
import pytest
from bench.load import latency
from bench.load.event_ids import held_mib

from weaklink.ingest.dedupe import IdWindow, Memory


def kept(rate: int = 1_000, ids_mib: tuple[float, float] = (0.0, 0.0), **memory_mib: tuple[float, float]) -> bool:
    """Whether memory did not grow, by its means in the second and in the last quarter of five minutes."""
    quarters = ("second_quarter", "last_quarter")
    memory = dict.fromkeys(("ingest", "campaigns", "broker"), (400.0, 400.0)) | memory_mib
    found = {
        "rate": rate, "seconds": 300.0, "behind_messages": {}, "accounts_without_action": 0,
        "memory_mib": {name: dict(zip(quarters, mib, strict=True)) for name, mib in memory.items()},
        "event_ids_mib": dict(zip(quarters, ids_mib, strict=True)),
        "latency": {"all": {"p50_seconds": 1.0, "p99_seconds": 2.0}}, "load_process": {"events_per_second": rate},
    }  # fmt: skip
    return latency.verdict(found)["no_growth_of_memory"]


def test_a_brokers_heap_is_its_own_and_a_stage_that_grows_is_named() -> None:
    """Up to what the JVM was given; what it takes beyond is growth, as anything is that a stage takes."""
    assert kept()
    assert kept(broker=(400.0, 1_000.0))
    assert not kept(broker=(400.0, 1_200.0))
    assert not kept(campaigns=(400.0, 500.0))


def test_an_ingest_that_grows_by_more_than_its_event_ids_is_named() -> None:
    """At 100,000 events/s for five minutes 20 partitions' tables grow by some 320 MiB, not by a gigabyte."""
    shares = np.array([22, 12, 8, 8, 6, 5, 5, *[34 / 13] * 13]) / 100
    second, last = (held_mib((shares * 100_000 * seconds).astype(int).tolist()) for seconds in (132, 282))
    assert 200 < last - second < 400
    assert kept(100_000, (second, last), ingest=(1_100.0, 1_415.0))
    assert not kept(100_000, (second, last), ingest=(1_100.0, 1_600.0))
    assert not kept(100_000, (last, last), ingest=(1_100.0, 1_415.0))


@pytest.mark.parametrize("events", [0, 1, 256, 257, 999, 1_000, 1_001, 1_999, 2_000, 2_001, 9_000])
def test_tables_of_event_ids_hold_what_is_reckoned(events: int) -> None:
    """Two partitions through ingest's own tables with a window of 1,000 offsets: words of ids that were written, and words of slots."""
    memory, words = Memory(1 << 30), 0
    for partition in range(2):
        window = IdWindow(1_000, memory)
        ids = np.random.default_rng(partition).integers(1, 1 << 62, (events, 2))
        for begin in range(0, events, 100):
            window.add(ids[begin : begin + 100], np.arange(begin, min(events, begin + 100)))
        for table in filter(None, (window._younger, window._older)):
            words += int(np.count_nonzero(table.entries.any(axis=1))) * table.entries.shape[1] + len(table.slots)
    assert held_mib([events, events], 1_000) * (1 << 20) == words * 8
    assert memory.held_bytes >= words * 8
