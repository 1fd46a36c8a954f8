"""Events as finished Kafka record batches (format v2, lz4), and the requests that carry them: who sends them only copies bytes to a socket.

Layouts: Kafka's protocol guide and https://kafka.apache.org/documentation/#recordbatch; Produce requests of version 7, the newest without tagged fields.
"""

import struct
from collections.abc import Sequence
from typing import Final, NamedTuple

import lz4.frame
import numpy as np
from crc32c import crc32c
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Bools = NDArray[np.bool_]

LZ4: Final = 3
_MAGIC: Final = 2
_BODY: Final = struct.Struct(">hiqqqhii")  # attributes .. records_count, which the checksum covers
_HEAD: Final = struct.Struct(">qiibI")  # base_offset, batch_length, partition_leader_epoch, magic, crc
_BEFORE_LENGTH_ENDS: Final = 12
_NO_PRODUCER: Final = -1
_PRODUCE: Final = 0
_PRODUCE_VERSION: Final = 7
_CLIENT: Final = b"weaklink-load"
_TIMEOUT_MS: Final = 30_000
_TWO_BYTES_MIN: Final = 64  # numbers from here to 8191 take two bytes as zigzag varints
_TWO_BYTES_MAX: Final = 8191


def record_batch(records: bytes, count: int, time_ms: int) -> bytes:
    """A record batch of `count` records, compressed; without a producer's id."""
    # Kafka reads no frames whose blocks refer to the ones before them, which is what this library writes unless told otherwise.
    packed = lz4.frame.compress(records, block_linked=False)
    body: bytes = _BODY.pack(LZ4, count - 1, time_ms, time_ms, _NO_PRODUCER, -1, -1, count) + packed
    return _HEAD.pack(0, _HEAD.size - _BEFORE_LENGTH_ENDS + len(body), -1, _MAGIC, crc32c(body)) + body


def record(offset: int, key: bytes, value: bytes) -> bytes:
    """One record: its place in the batch, key and value; no headers."""
    body = b"\0" + varint(0) + varint(offset) + varint(len(key)) + key + varint(len(value)) + value + varint(0)
    return varint(len(body)) + body


def varint(value: int) -> bytes:
    """A number of at least 0, zigzag."""
    zigzag, out = 2 * value, bytearray()
    while zigzag > 0x7F:
        out.append(zigzag & 0x7F | 0x80)
        zigzag >>= 7
    return bytes((*out, zigzag))


def records(keys: Bytes, values: Bytes, present: Bools, offsets: NDArray[np.int64]) -> tuple[bytes, NDArray[np.int64]]:
    """Many records one after another as `record` makes them, by column, and the length of each.

    `keys` (n, k < 64); `values` (n, v), of which those `present` are there; `offsets` (n): places in the batches. Raises ValueError for
    a record whose length does not take two bytes.
    """
    rows = len(keys)
    value_bytes = present.sum(axis=1)
    two = offsets >= _TWO_BYTES_MIN
    length = 3 + 1 + two + keys.shape[1] + 2 + value_bytes + 1
    if rows and (value_bytes.min() < _TWO_BYTES_MIN or length.max() > _TWO_BYTES_MAX or offsets.max() > _TWO_BYTES_MAX):
        raise ValueError("records have 64 to 8,191 bytes, and batches at most 8,192 of them")
    zigzag = 2 * offsets
    head = np.zeros((rows, 7), np.uint8)
    head[:, :2] = _pair(length)
    head[:, 4] = np.where(two, zigzag & 0x7F | 0x80, zigzag)
    head[:, 5] = zigzag >> 7
    head[:, 6] = 2 * keys.shape[1]
    matrix = np.concatenate([head, keys, _pair(value_bytes), values, np.zeros((rows, 1), np.uint8)], axis=1)
    there = np.ones(matrix.shape, np.bool_)
    there[:, 5] = two
    there[:, -1 - values.shape[1] : -1] = present
    return matrix[there].tobytes(), there.sum(axis=1)


def _pair(values: NDArray[np.int64]) -> Bytes:
    zigzag = 2 * values
    return np.stack([zigzag & 0x7F | 0x80, zigzag >> 7], axis=1).astype(np.uint8)


def produce_request(number: int, topic: str, batches: Sequence[tuple[int, bytes]]) -> bytes:
    """A request with one batch for each of some partitions, its length before it. `number` comes back with the answer."""
    name = topic.encode()
    parts = [
        struct.pack(">hhih", _PRODUCE, _PRODUCE_VERSION, number, len(_CLIENT)), _CLIENT,
        struct.pack(">hhii", -1, -1, _TIMEOUT_MS, 1),  # no transaction; acknowledged by all replicas; one topic
        struct.pack(">h", len(name)), name, struct.pack(">i", len(batches)),
    ]  # fmt: skip
    for partition, batch in batches:
        parts += [struct.pack(">ii", partition, len(batch)), batch]
    body = b"".join(parts)
    return struct.pack(">i", len(body)) + body


class Written(NamedTuple):
    """What the broker says of one batch. `error`: Kafka's code, 0 for none; `appended_ms`: by its clock."""

    partition: int
    error: int
    base_offset: int
    appended_ms: int


def produce_response(body: bytes) -> tuple[int, list[Written]]:
    """(number of the request, what became of its batches). `body`: an answer without its length."""
    number, topics = struct.unpack_from(">ii", body)
    at, found = 8, []
    for _ in range(topics):
        (length,) = struct.unpack_from(">h", body, at)
        at += 2 + length
        (partitions,) = struct.unpack_from(">i", body, at)
        at += 4
        for _ in range(partitions):
            partition, error, base_offset, appended_ms, _ = struct.unpack_from(">ihqqq", body, at)
            at += 30
            found.append(Written(partition, error, base_offset, appended_ms))
    return number, found
