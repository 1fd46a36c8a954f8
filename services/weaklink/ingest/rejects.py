"""Bad events on their party's rejects topic: the original bytes, with headers that say why. Many at once, as a block of records that is written in one go."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from kafka import TopicPartition

from weaklink.ingest import reject_loops
from weaklink.ingest.events import Rows, Values
from weaklink.parties import Party
from weaklink.records import reasons
from weaklink.stream.stage import Message, MessageBlock
from weaklink.stream.whole_batches import RecordBatch

_PARTITION: Final = 0  # a rejects topic has one
_OFFSET: Final = "weaklink-offset"
_DETAIL_CHARACTERS_MAX: Final = 1_000
_HEADROOM_BYTES: Final = 16 << 10
"""More than key and headers of one reject come to."""


@dataclass(frozen=True, slots=True)
class Rejects:
    """Bad events of one partition that have the same reason: `rows` of `values`, and the offset of each."""

    source: TopicPartition
    values: Values
    rows: Rows
    offsets: Rows
    reason: str
    field: str
    detail: str


def to_messages(rejects: Sequence[Rejects], party: Party, value_bytes_max: int) -> Iterator[Message | MessageBlock]:
    """One record for each, key `<partition>:<offset>`. A value longer than the limit is cut, and its size and SHA-256 are told in the detail."""
    out = np.empty(value_bytes_max + _HEADROOM_BYTES, dtype=np.uint8) if rejects else np.empty(0, dtype=np.uint8)
    position = count = 0
    for one in rejects:
        long = one.values.ends[one.rows] - one.values.begins[one.rows] > value_bytes_max
        rows, offsets = (one.rows[~long], one.offsets[~long]) if long.any() else (one.rows, one.offsets)
        for row, offset in zip(one.rows[long].tolist(), one.offsets[long].tolist(), strict=True):
            yield _cut(one, row, offset, party, value_bytes_max)
        key = np.frombuffer(f"{one.source.partition}:".encode(), dtype=np.uint8)
        headers = np.frombuffer(_encoded(_headers(one, one.detail)), dtype=np.uint8)
        done = 0
        while done < len(rows):
            before = done
            done, position = reject_loops.encode(
                one.values.data, one.values.begins, one.values.ends, rows, offsets, done, count, key, headers, position, out
            )  # fmt: skip
            count += done - before
            if done < len(rows):
                yield MessageBlock(party.rejects_topic, _PARTITION, count, out[:position].tobytes())
                position = count = 0
    if count:
        yield MessageBlock(party.rejects_topic, _PARTITION, count, out[:position].tobytes())


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
    headers = {**_reasons(reason, "", detail, batch.source), _OFFSET: f"{first}-{last}"}
    return _message(party, f"{batch.source.partition}:{first}-{last}", b"", headers)


def _cut(one: Rejects, row: int, offset: int, party: Party, value_bytes_max: int) -> Message:
    value = one.values.value(row) or b""
    told = f"cut after {value_bytes_max} of {len(value)} bytes, SHA-256 {hashlib.sha256(value).hexdigest()}"
    headers = {**_headers(one, f"{one.detail}; {told}"), _OFFSET: str(offset)}
    return _message(party, f"{one.source.partition}:{offset}", value[:value_bytes_max], headers)


def _message(party: Party, key: str, value: bytes, headers: Mapping[str, str]) -> Message:
    encoded = tuple((name, text.encode()) for name, text in headers.items())
    return Message(party.rejects_topic, value, key.encode(), _PARTITION, encoded)


def _headers(one: Rejects, detail: str) -> dict[str, str]:
    return _reasons(one.reason, one.field, detail[:_DETAIL_CHARACTERS_MAX], one.source)


def _reasons(reason: str, field: str, detail: str, source: TopicPartition) -> dict[str, str]:
    return {
        "weaklink-reason": reason,
        "weaklink-field": field,
        "weaklink-detail": detail,
        "weaklink-topic": source.topic,
        "weaklink-partition": str(source.partition),
    }


def _encoded(headers: Mapping[str, str]) -> bytes:
    """As in a record: their count and one more, each with its lengths, and the name of the last, whose value follows."""
    parts = [_varint(len(headers) + 1)]
    for name, text in headers.items():
        for part in (name.encode(), text.encode()):
            parts += [_varint(len(part)), part]
    return b"".join((*parts, _varint(len(_OFFSET)), _OFFSET.encode()))


def _varint(number: int) -> bytes:
    """A length as a zigzag varint."""
    number <<= 1
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
