"""Record batches for tests without a broker, built by kafka-python's own writer, and a stage that reads them."""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from kafka import TopicPartition
from kafka.record.default_records import DefaultRecordBatchBuilder

from tests.ingest.events import NOW_US
from weaklink import frames, topology
from weaklink.ingest.stage import AUDIT_HEADER, IngestStage
from weaklink.parties import Party, PartyKind
from weaklink.settings import Settings
from weaklink.stream.blocks import _records
from weaklink.stream.stage import Message, Output, Range
from weaklink.stream.whole_batches import RecordBatch

_HEADER_BYTES = 61


@dataclass(frozen=True)
class Record:
    """One Kafka record."""

    value: bytes | None
    key: bytes | None = b"k"
    headers: tuple[tuple[str, bytes], ...] = ()


def payload_of(records: Sequence[Record]) -> bytes:
    """The records of a batch, uncompressed."""
    builder = DefaultRecordBatchBuilder(
        magic=2, compression_type=0, is_transactional=False, producer_id=-1, producer_epoch=-1, base_sequence=-1, batch_size=1 << 30
    )  # fmt: skip
    for number, record in enumerate(records):
        builder.append(number, NOW_US // 1000, record.key, record.value, list(record.headers))
    return bytes(builder.build())[_HEADER_BYTES:]


def batch_of(
    records: Sequence[Record], base_offset: int = 0, party: str = "lab-a", partition: int = 0, now_us: int = NOW_US
) -> RecordBatch:
    """A batch as `whole_batches` hands it out."""
    return RecordBatch(
        TopicPartition(f"party.{party}.events", partition),
        base_offset,
        base_offset + len(records) - 1,
        len(records),
        now_us // 1000,
        payload_of(records),
        base_offset,
        base_offset + len(records),
    )


class Parties:
    """A registry that holds these parties."""

    def __init__(self, **kinds: str) -> None:
        self.parties = {
            name.replace("_", "-"): Party(id=name.replace("_", "-"), kind=PartyKind(kind))
            for name, kind in kinds.items()
        }

    def refresh(self) -> dict[str, Party]:
        return dict(self.parties)


@dataclass
class Result:
    """What a stage sent, put together again."""

    links: pl.DataFrame
    activity: pl.DataFrame
    receipts: list[Message]
    rejects: list[tuple[str, bytes, str, str, int]]
    """(topic, value, reason, field, offset); the offset of a whole batch is its first."""
    audit: list[dict[str, Any]]


def new_stage(settings: Settings, parties: Parties | None = None) -> IngestStage:
    return IngestStage(settings, parties or Parties(lab_a="lab", cloud_a="cloud", pay_a="payment", router_a="router"))


def single(output: Output) -> list[Message]:
    """The messages of a block, as kafka-python reads them, and whether it is one."""
    if isinstance(output, Message):
        return [output]
    builder = _records(output)
    builder.close()
    records = builder.records()
    read = list(records.next_batch())
    assert [one.offset for one in read] == list(range(output.count))
    return [Message(output.topic, one.value, one.key, output.partition, tuple(one.headers)) for one in read]


def gather(outputs: Sequence[Output]) -> Result:
    """Messages of any number of transactions as one result."""
    by_topic: dict[str, list[Message]] = defaultdict(list)
    messages = [message for output in outputs for message in single(output)]
    for message in messages:
        by_topic[message.topic].append(message)
    rejects = []
    for topic, found in by_topic.items():
        if topic.endswith(".rejects"):
            for message in found:
                headers = {name: value.decode() for name, value in message.headers}
                offset = int(headers["weaklink-offset"].split("-")[0])
                rejects.append(
                    (topic, message.value or b"", headers["weaklink-reason"], headers["weaklink-field"], offset)
                )
    audits = [json.loads(value) for message in messages for name, value in message.headers if name == AUDIT_HEADER]
    return Result(
        links=pl.concat(
            [
                frames.empty(frames.LINKS),
                *(frames.from_chunk(m.value or b"", frames.LINKS) for m in by_topic[topology.LINKS]),
            ]
        ),
        activity=pl.concat(
            [
                frames.empty(frames.ACTIVITY),
                *(frames.from_chunk(m.value or b"", frames.ACTIVITY) for m in by_topic[topology.ACTIVITY]),
            ]
        ),
        receipts=by_topic[topology.RECEIPTS],
        rejects=sorted(rejects, key=lambda one: (one[0], one[4])),
        audit=[entry for entries in audits for entry in entries],
    )


def ingest(
    polls: Sequence[Sequence[RecordBatch]], settings: Settings | None = None, stage: IngestStage | None = None
) -> Result:
    """Run batches through a stage, one transaction for each poll."""
    stage = stage or new_stage(settings or Settings(data_folder=Path("build/test-ingest")))
    messages: list[Output] = []
    at: dict[TopicPartition, int] = {}
    for poll in polls:
        ranges: dict[TopicPartition, Range] = {}
        for batch in poll:
            if batch.source not in at:
                stage.restore(stage.unit(batch.source), None)
                at[batch.source] = batch.begin
            ranges[batch.source] = Range(ranges.get(batch.source, Range(at[batch.source], 0)).begin, batch.end)
        messages += stage.seal(stage.process(poll, replaying=False), ranges)
        at |= {source: span.end for source, span in ranges.items()}
    return gather(messages)
