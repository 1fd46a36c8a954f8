"""Whole record batches out of kafka-python, which knows only single records: the one place that relies on private names of its fetcher.

`consumer._fetcher.PartitionRecords` is a class attribute that the fetcher looks up at each response. The subclass here yields one object for a
record batch; groups, rebalances, fetch sessions and positions stay the library's. `max_records` of `poll` then counts batches.
kafka-python is pinned for this, and `tests/stream/test_whole_batches.py` fails loudly when a new version changes what is relied on.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import Fetcher
from kafka.errors import CorruptRecordError
from kafka.protocol.consumer import IsolationLevel

from weaklink.errors import BrokerError
from weaklink.stream.guard import Guard
from weaklink.stream.inflate import NONE, BatchDamaged, BatchTooLarge, inflate

_MAGIC_V2 = 2
_HEADER_BYTES = 61


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a batch could not be unpacked, with what is needed to tell its sender which one it was."""

    too_large: bool
    detail: str
    compressed_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class RecordBatch:
    """One committed record batch of a source partition, inflated. Records outside `begin` <= offset < `end` are not the reader's."""

    source: TopicPartition
    base_offset: int
    last_offset: int
    records_count: int
    max_timestamp_ms: int
    payload: bytes | memoryview
    begin: int
    end: int
    refusal: Refusal | None = None
    postponed: bool = False
    """Not inflated, since the poll that it came with had enough: to be fetched again."""

    @property
    def offset(self) -> int:
        """Of the last record: what the fetcher asks of everything that it hands out."""
        return self.last_offset

    @property
    def next_offset(self) -> int:
        """Where reading goes on after this batch."""
        return self.last_offset + 1

    @property
    def is_clipped(self) -> bool:
        """Whether some of its records are not the reader's."""
        return self.begin > self.base_offset or self.end <= self.last_offset

    def clipped(self, begin: int, end: int) -> "RecordBatch":
        """The same batch for a reader of [begin, end)."""
        return replace(self, begin=max(begin, self.begin), end=min(end, self.end))


@dataclass(slots=True)
class Limits:
    """What one batch may come to, and what one poll hands out before it postpones the rest: a batch more than `poll_bytes` or `poll_records` at most.

    `left_bytes`, `left_records`: of the poll at hand. `guard` is told what is inflated.
    """

    inflated_bytes_max: int
    records_max: int = (1 << 31) - 1
    poll_bytes: int = 1 << 62
    poll_records: int = 1 << 62
    guard: Guard | None = None
    left_bytes: int = 1 << 62
    left_records: int = 1 << 62

    def begin_poll(self) -> None:
        """All of it is left again."""
        self.left_bytes, self.left_records = self.poll_bytes, self.poll_records


class _WholeBatches(Fetcher.PartitionRecords):  # type: ignore[misc]  # kafka-python ships no types
    """Yields RecordBatch where the library yields records; skips control batches and, under read_committed, aborted ones."""

    limits: Limits

    def _unpack_records(self, tp: TopicPartition, records: Any, _key: Any, _value: Any) -> Iterator[RecordBatch]:
        begin = self.fetch_offset  # a seek may fall into the middle of a batch
        while (raw := records.next_batch()) is not None:
            if raw.magic != _MAGIC_V2:
                raise BrokerError(
                    f"{tp.topic}-{tp.partition} holds messages of format v{raw.magic} at offset {raw.base_offset}: Weaklink reads v2 (Kafka 0.11 and newer)"
                )
            if self.check_crcs and not raw.validate_crc():
                raise CorruptRecordError(f"{tp.topic}-{tp.partition} offset {raw.base_offset}: checksum differs")
            self.leader_epoch = raw.leader_epoch
            wanted = not self._is_aborted(raw) and not raw.is_control_batch
            if wanted:
                self.records_read += raw.records_count
                self.bytes_read += raw.size_in_bytes
            # Before the yield: the fetcher takes this as the new position once it has handed the batch out.
            self.next_fetch_offset = raw.next_offset
            if wanted:
                yield _unpack(tp, raw, begin, self.limits)
        self.drain()

    def _is_aborted(self, raw: Any) -> bool:
        if self.isolation_level != IsolationLevel.READ_COMMITTED or not raw.has_producer_id():
            return False
        self._consume_aborted_transactions_up_to(raw.last_offset)
        if self._contains_abort_marker(raw):
            self.aborted_producer_ids.discard(raw.producer_id)
            return False
        return bool(self._is_batch_aborted(raw))


def _unpack(tp: TopicPartition, raw: Any, begin: int, limits: Limits) -> RecordBatch:
    payload: bytes | memoryview = b""
    refusal = None
    postponed = limits.left_bytes <= 0 or limits.left_records <= 0
    if not postponed:
        payload, refusal = _payload(tp, raw, limits)
        limits.left_bytes -= len(payload)
        limits.left_records -= 0 if refusal else raw.records_count
    return RecordBatch(
        source=tp,
        base_offset=raw.base_offset,
        last_offset=raw.last_offset,
        records_count=raw.records_count,
        max_timestamp_ms=raw.max_timestamp,
        payload=payload,
        begin=max(begin, raw.base_offset),
        end=raw.next_offset,
        refusal=refusal,
        postponed=postponed,
    )


def _payload(tp: TopicPartition, raw: Any, limits: Limits) -> tuple[bytes | memoryview, Refusal | None]:
    """Of the batch, inflated; or why not. What the header says is looked at first: it costs nothing."""
    compressed = memoryview(raw._buffer)[_HEADER_BYTES:]
    too_large, detail = True, ""
    if raw.records_count > limits.records_max:
        detail = f"has more than {limits.records_max} records"
    elif limits.guard and limits.guard.is_refused(tp, raw.base_offset, raw.last_offset):
        too_large, detail = False, "made a decoder fail twice"
    else:
        if limits.guard and raw.compression_type != NONE:
            limits.guard.take([(tp.topic, tp.partition, raw.base_offset, raw.last_offset)])
        try:
            return inflate(raw.compression_type, compressed, limits.inflated_bytes_max), None
        except BatchTooLarge:
            detail = f"inflates to more than {limits.inflated_bytes_max} bytes"
        except BatchDamaged as error:
            too_large, detail = False, f"cannot be inflated: {error}"
    return b"", Refusal(too_large, detail, len(compressed), hashlib.sha256(compressed).hexdigest())


def read_whole_batches(consumer: KafkaConsumer, limits: Limits) -> None:
    """Make this consumer's `poll` give RecordBatch objects. Raises BrokerError when the library is not the one this was written for."""
    fetcher = getattr(consumer, "_fetcher", None)
    expected = (
        "_unpack_records",
        "_consume_aborted_transactions_up_to",
        "_is_batch_aborted",
        "_contains_abort_marker",
        "drain",
    )
    if fetcher is None or not all(hasattr(Fetcher.PartitionRecords, name) for name in expected):
        raise BrokerError(
            "this kafka-python has another fetcher than 3.0.12, which Weaklink is pinned to: install from requirements.lock"
        )
    fetcher.PartitionRecords = type("WholeBatches", (_WholeBatches,), {"limits": limits})
