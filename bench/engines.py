"""Every engine of the benchmark, in the order in which a round runs them."""

from pathlib import Path
from typing import Final

from bench.job import Engine
from bench.own import Weaklink
from bench.peers import PerfTest, Receive, flink_peer, python_peer, streams_peer

QUICK: Final = ("raw-librdkafka-python", "weaklink", "flink-heap")
_SLOW_EVENTS: Final = 200_000
_SLOWEST_EVENTS: Final = 20_000
_PLAIN_EVENTS: Final = 1_000_000
_TUNED: Final = (
    "Kafka Streams 4.3.1, Processor API on byte arrays, account and tokens read in place, a combiner of up to 50,000 identifiers flushed before each commit, "
    "members as packed sorted 64-bit keys, 2 threads, commits every second, polls of 10,000, lz4 in batches of 256 KiB, 256 MiB of store cache, changelog; "
)
_FLINK: Final = (
    "Flink 2.2.1, DataStream API in one process, parallelism 2, object reuse, account and tokens read in place, a combiner of up to 50,000 identifiers before "
    "Flink's own shuffle, keys as a Value of 17 bytes, members as a sorted array of 64-bit keys, checkpoints every 10 s, transactional sink; "
)


def all_engines(folder: Path, heap_mib: int) -> list[Engine]:
    """`folder`: where peers are built. `heap_mib`: heap of each JVM."""
    return [
        Receive(folder),
        PerfTest(),
        Weaklink(
            "weaklink",
            ("ingest", "correlate"),
            "as shipped, one process a stage; WEAKLINK_CORRELATE__SHARE_ACCOUNTS_MIN=5. It does more than the job: rules, duplicates, activity, "
            "every further member of a shared identifier; no account is dropped at the cap, it bounds what is said",
        ),
        Weaklink("weaklink-ingest", ("ingest",), "ingest alone, as shipped: events to links and activity"),
        flink_peer("heap", f"{_FLINK}hash map state, {heap_mib} MiB heap, parallel GC", folder, heap_mib),
        flink_peer("rocksdb", f"{_FLINK}RocksDB with incremental checkpoints, 512 MiB managed memory, {heap_mib} MiB heap", folder, heap_mib),
        streams_peer("tuned-memory", f"{_TUNED}in-memory store, {heap_mib} MiB heap, parallel GC", folder, heap_mib),
        streams_peer("tuned-rocksdb", f"{_TUNED}RocksDB store, {heap_mib} MiB heap, parallel GC", folder, heap_mib),
        streams_peer(
            "plain",
            "Kafka Streams 4.3.1, DSL (flatMap, groupByKey, aggregate) with RocksDB, 2 threads, else its defaults",
            folder,
            heap_mib,
            _PLAIN_EVENTS,
        ),
        python_peer(
            "quix",
            "exactly-once",
            "Quix Streams 3.28.1: fastavro, its repartition topic and RocksDB state with changelog, 2 processes, commits every 2 s, lz4",
            folder,
            needs_pairs=False,
            events_max=_SLOW_EVENTS,
            processes=2,
        ),
        python_peer(
            "faust",
            "at-least-once",
            "faust-streaming 0.15.3: fastavro, 500 events at once with all sends awaited together, table in memory with changelog, 2 processes, lz4",
            folder,
            needs_pairs=True,
            events_max=_SLOWEST_EVENTS,
            processes=2,
        ),
    ]  # fmt: skip
