"""Bad events as messages on their party's rejects topic: the original bytes, with headers that say why."""

import hashlib
from dataclasses import dataclass

from kafka import TopicPartition

from weaklink.parties import Party
from weaklink.records import reasons
from weaklink.stream.stage import Message
from weaklink.stream.whole_batches import RecordBatch


@dataclass(frozen=True, slots=True)
class Reject:
    """One bad event, and where it stood."""

    source: TopicPartition
    offset: int
    value: bytes | None
    reason: str
    field: str
    detail: str


def to_message(reject: Reject, party: Party, value_bytes_max: int) -> Message:
    """Key `<partition>:<offset>`; a value longer than the limit is cut, and its size and SHA-256 are told in the detail."""
    value, detail = reject.value or b"", reject.detail
    if len(value) > value_bytes_max:
        detail = (
            f"{detail}; cut after {value_bytes_max} of {len(value)} bytes, SHA-256 {hashlib.sha256(value).hexdigest()}"
        )
        value = value[:value_bytes_max]
    return _message(party, reject, str(reject.offset), value, detail)


def of_batch(batch: RecordBatch, party: Party) -> Message:
    """One message for a whole batch that could not be unpacked: its offsets, size and hash, so that its sender can find it. No value: it is too large."""
    assert batch.refusal is not None
    first, last = max(batch.begin, batch.base_offset), min(batch.end - 1, batch.last_offset)
    refusal = batch.refusal
    detail = (
        f"{batch.records_count} records at offsets {first} to {last}: the batch {refusal.detail}; "
        f"{refusal.compressed_bytes} bytes as sent, SHA-256 {refusal.sha256}"
    )
    reason = reasons.BATCH_TOO_LARGE if refusal.too_large else reasons.MALFORMED
    return _message(party, Reject(batch.source, first, None, reason, "", detail), f"{first}-{last}", b"", detail)


def _message(party: Party, reject: Reject, offset: str, value: bytes, detail: str) -> Message:
    source = reject.source
    headers = {
        "weaklink-reason": reject.reason,
        "weaklink-field": reject.field,
        "weaklink-detail": detail,
        "weaklink-topic": source.topic,
        "weaklink-partition": str(source.partition),
        "weaklink-offset": offset,
    }
    return Message(
        party.rejects_topic,
        value,
        f"{source.partition}:{offset}".encode(),
        headers=tuple((name, text.encode()) for name, text in headers.items()),
    )
