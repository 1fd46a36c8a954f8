"""State rebuilt from snapshots, from the log alone, from damaged snapshots, always over a log with aborted transactions: the same state every time."""

import io
import itertools
import os
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl
from kafka import KafkaConsumer, TopicPartition

from chaos.edges import AFTER_PRODUCE, program
from chaos.lab import Lab
from chaos.load import Load
from chaos.publishing import Stream
from chaos.rebuilding import differing, intact, none, rebuilt
from chaos.row import Row
from chaos.scale import Scale
from chaos.traffic import Traffic
from chaos.verifier.reading import read_topics
from chaos.verify import row_of, verify
from weaklink import topology
from weaklink.kafka_options import KafkaConfig

_EVENTS, _SHORT_EVENTS = 1_000_000, 8_000
_ABORTS, _SHORT_ABORTS = 10, 1
_STAGES: Final = ("ingest", "correlate", "campaigns")
_WRITTEN: Final = (
    (topology.LINKS,),
    (topology.ACTIVITY,),
    (topology.SHARED,),
    (topology.CAMPAIGNS, topology.DECISIONS),
)
"""Of ingest, ingest, correlate and campaigns, whose transactions need not write both."""
_EVENTS_PER_SECOND: Final = 300
_SHORT_WAYS: Final = ("intact", "damaged", "none")
_ENVIRONMENT: Final = {
    "WEAKLINK_STREAM__SNAPSHOT_SECONDS": "12",  # the one before the last, written at the stop, is of an earlier moment
    "WEAKLINK_KAFKA__SESSION_TIMEOUT_MS": "6000",
}


def _older(folder: Path) -> None:
    """The newest of each unit is gone: the one before, and a stretch of the log."""
    for newest in _newest(folder):
        newest.unlink()


def _damaged(folder: Path) -> None:
    """A byte of the newest of each unit has changed: the one before is taken."""
    for newest in _newest(folder):
        _damage(newest)


def _all_damaged(folder: Path) -> None:
    """The newest are cut short, all others have a byte changed: the log alone."""
    for path in folder.rglob("*.snapshot"):
        _damage(path)
    for newest in _newest(folder):
        os.truncate(newest, newest.stat().st_size // 2)


@dataclass(frozen=True, slots=True)
class _Way:
    name: str
    prepare: Callable[[Path], None]


_WAYS: Final = tuple(_Way(one.__name__.strip("_"), one) for one in (intact, _older, _damaged, _all_damaged, none))
_WITHOUT_SNAPSHOTS: Final = (_Way("none", none), _Way("none_again", none))
"""Of ingest, which has none: the log is all that there is to rebuild its state from."""


def run(folder: Path, scale: Scale) -> Row:
    """The row of this fault."""
    with Lab(folder, scale=scale, environment=dict(_ENVIRONMENT)) as lab:
        for stage in _STAGES:
            lab.start(stage)
        lab.await_ready()
        fill(lab, scale.count(_EVENTS, _SHORT_EVENTS), scale.count(_ABORTS, _SHORT_ABORTS), scale.seed)
        lab.finish(_STAGES)
        row = compare(lab, _SHORT_WAYS if scale.is_short else None)
        row.extra["seed"] = scale.seed
        return row


def fill(lab: Lab, events: int, aborts: int, seed: int = 6) -> None:
    """Fill the log, with so many aborted transactions of each stage in it."""
    traffic, chance = Traffic(seed, accounts=max(200, events // 25)), random.Random(seed)
    numbered = traffic.events(0, events)
    with Load(lab.kafka, lab.publisher, traffic), Stream(lab.publisher, numbered, _EVENTS_PER_SECOND):
        for _ in range(aborts):
            _abort_each(lab, chance)
        lab.await_ready()
    lab.publisher.publish(numbered)


def compare(lab: Lab, ways: tuple[str, ...] | None = None) -> Row:
    """Rebuild every stage's state in these ways (all) in a laboratory whose services were stopped, and compare. trials: ways, of all stages."""
    chosen = tuple(way for way in _WAYS if ways is None or way.name in ways)
    aborted = _aborted_offsets(lab.kafka)
    row = row_of(
        "rebuild",
        0,
        lab,
        verify(lab.kafka, lab.ledger_url, published=lab.publisher.acknowledged, stages=("ingest", "correlate")),
    )
    for stage in _STAGES:
        taken = _WITHOUT_SNAPSHOTS if stage == "ingest" else chosen
        found = {way.name: rebuilt(lab, stage, way.name, way.prepare) for way in taken}
        row.trials += len({way.prepare for way in taken})
        _judge(row, stage, found)
        if stage == "ingest":
            counted = row.extra["counted"]
            ids, distinct = sum(found["none"]["rows"].values()), counted["events"] - counted["repeated"]
            row.bar(ids == distinct, f"ingest rebuilt: it knows {ids} event ids, and its topics have {distinct}")
    row.extra["rebuild_rows_per_second"] = _speeds(lab.kafka, row.extra["rebuilt"])
    row.extra["aborted_offsets"] = aborted
    for topics in _WRITTEN:
        row.bar(any(aborted[topic] for topic in topics), f"no aborted transaction in {' or '.join(topics)}")
    row.stall_seconds_max = 0.0  # nothing is served while everything is stopped
    row.extra.pop("stall_seconds")
    return row


def _abort_each(lab: Lab, chance: random.Random) -> None:
    """Each stage's worker dies with its messages at the broker and its transaction open; the end of the flow first, while the others feed it."""
    for stage in reversed(_STAGES):
        (worker,) = lab.of(stage)
        worker.kill()
        worker.start(program(AFTER_PRODUCE, chance.randint(1, 3)))
        lab.until(lambda one=worker: not one.alive, f"{worker.name} did not come to its edge")  # type: ignore[misc]  # bound at once # fmt: skip
        worker.start()
    lab.await_ready()


def _judge(row: Row, stage: str, found: dict[str, dict[str, Any]]) -> None:
    """Every way gives the same hash of every unit; and each way was really taken."""
    whole = next(iter(found.values()))
    for name, one in found.items():
        units = differing(one["units"], whole["units"])
        frames = {frame for unit in units for frame in differing(one["frames"][unit], whole["frames"].get(unit, {}))}
        where = f"{', '.join(units)} ({', '.join(sorted(frames))})"
        row.bar(not units, f"{stage} rebuilt {name}: another state in {where}")
        row.bar(bool(one["units"]) and sum(one["rows"].values()) > 0, f"{stage} rebuilt {name}: no state at all")
    if stage != "ingest":
        row.bar(found["intact"]["records"] < found["none"]["records"], f"{stage}: its snapshot was not used")
        older = found.get("older", found["none"])
        row.bar(
            older["records"] > found["intact"]["records"],
            f"{stage}: the snapshot before the newest was of the same end",
        )
        damaged = found.get("all_damaged", found["none"])
        row.bar(damaged["records"] == found["none"]["records"], f"{stage}: a damaged snapshot was used")
    summary = {
        name: {"records": one["records"], "seconds": one["seconds"], "state_rows": sum(one["rows"].values())}
        for name, one in found.items()
    }
    row.extra.setdefault("rebuilt", {})[stage] = summary


def _speeds(kafka: KafkaConfig, rebuilt: dict[str, dict[str, dict[str, Any]]]) -> dict[str, int]:
    """Rows of input a second from the log alone: of ingest events, of correlate links, of campaigns activity and shared identifiers."""
    rows = {"ingest": rebuilt["ingest"]["none"]["records"]}
    for stage, topics in (("correlate", [topology.LINKS]), ("campaigns", [topology.ACTIVITY, topology.SHARED])):
        rows[stage] = _rows(kafka, topics)
    return {stage: round(count / max(rebuilt[stage]["none"]["seconds"], 0.001)) for stage, count in rows.items()}


def _rows(kafka: KafkaConfig, topics: Iterable[str]) -> int:
    heights = [0]

    def take(record: Any) -> None:
        heights[0] += pl.read_ipc_stream(io.BytesIO(record.value)).height

    read_topics(kafka, topics, take)
    return heights[0]


def _aborted_offsets(kafka: KafkaConfig) -> dict[str, int]:
    """By topic, records that were written and that no reader of committed messages gets."""
    found: dict[str, int] = {}
    for topic in itertools.chain(*_WRITTEN):
        found[topic] = _count(kafka, topic, "read_uncommitted") - _count(kafka, topic, "read_committed")
    return found


def _count(kafka: KafkaConfig, topic: str, isolation: str) -> int:
    consumer = KafkaConsumer(
        **kafka.client_options(), group_id=None, isolation_level=isolation, auto_offset_reset="earliest",
        max_partition_fetch_bytes=8 << 20,
    )  # fmt: skip
    try:
        partitions = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()]
        consumer.assign(partitions)
        ends = consumer.end_offsets(partitions)
        count = 0
        while any(consumer.position(tp) < end for tp, end in ends.items()):
            count += sum(len(records) for records in consumer.poll(200).values())
        return count
    finally:
        consumer.close()


def _newest(folder: Path) -> list[Path]:
    return [max(unit.glob("*.snapshot")) for unit in folder.iterdir() if any(unit.glob("*.snapshot"))] if folder.exists() else []  # fmt: skip


def _damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
