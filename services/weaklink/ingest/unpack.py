"""First pass: inflated Kafka record batches to the values in them.

A Kafka record batch (format v2) is zigzag varints and length-prefixed bytes, which is Avro's binary encoding: read as blocks of an object
container file, many batches give their values in one call. There is no Python object per message.
"""

import io
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import polars as pl

from weaklink.errors import RecordError
from weaklink.ingest import slow
from weaklink.ingest.layout import READ_ERRORS, block, container_header

VALUES: Final = pl.Schema({"value": pl.Binary, "offset_delta": pl.Int64})


def _records_header(null_key: bool, headers: int) -> bytes:
    fields: list[dict[str, Any]] = [
        {"name": name, "type": "long"} for name in ("_length", "_attributes", "_timestamp", "_offset")
    ]
    fields.append({"name": "_key_length", "type": "long"} if null_key else {"name": "_key", "type": "bytes"})
    fields += [{"name": "_value", "type": "bytes"}, {"name": "_headers", "type": "long"}]
    for number in range(headers):
        fields += [{"name": f"_header_{number}_{part}", "type": "bytes"} for part in ("key", "value")]
    return container_header(fields)


_HEADERS_MAX: Final = 8
_RECORDS_HEADERS: Final = {
    (null_key, headers): _records_header(null_key, headers)
    for null_key in (False, True)
    for headers in range(_HEADERS_MAX + 1)
}


def _shape(payload: bytes | memoryview) -> tuple[bool, int] | None:
    """Whether the first record has a null key, and its number of headers; None when the columnar reader has no layout for it."""
    try:
        position = 0
        _, position = slow.varint(payload, position)
        position += 1
        for _ in range(2):
            _, position = slow.varint(payload, position)
        key_length, position = slow.varint(payload, position)
        value_length, after = slow.varint(payload, position + max(key_length, 0))
        headers, _ = slow.varint(payload, after + max(value_length, 0))
    except (IndexError, RecordError):
        return None
    return (key_length < 0, headers) if 0 <= headers <= _HEADERS_MAX and value_length >= 0 else None


def read_values(batches: Sequence[tuple[bytes | memoryview, int]]) -> list[pl.DataFrame]:
    """(payload, number of records) of batches -> VALUES of each; a record without a value has null. Raises RecordError for a batch that is no batch."""
    shapes = [_shape(payload) for payload, _ in batches]
    # Batches of one producer look alike: read each stretch of equal shape in one call.
    frames: list[pl.DataFrame] = []
    begin = 0
    for end in range(1, len(batches) + 1):
        if end == len(batches) or shapes[end] != shapes[begin]:
            frames += _read_alike(batches[begin:end], shapes[begin])
            begin = end
    return frames


def _read_alike(
    batches: Sequence[tuple[bytes | memoryview, int]], shape: tuple[bool, int] | None
) -> list[pl.DataFrame]:
    if shape is not None and (frame := _read_blocks(batches, *shape)) is not None:
        counts = [count for _, count in batches]
        begins = np.cumsum([0, *counts[:-1]])
        return [frame[int(begin) : int(begin) + count] for begin, count in zip(begins, counts, strict=True)]
    if len(batches) > 1:
        return [frame for batch in batches for frame in _read_alike([batch], shape)]
    payload, count = batches[0]
    rows = list(slow.kafka_records(payload, count))
    return [
        pl.DataFrame(
            {"value": [value for _, value in rows], "offset_delta": [delta for delta, _ in rows]}, schema=VALUES
        )
    ]


def _read_blocks(
    batches: Sequence[tuple[bytes | memoryview, int]], null_key: bool, headers: int
) -> pl.DataFrame | None:
    """All records in one call, or None when one of them has another shape than the first."""
    parts: list[Any] = [_RECORDS_HEADERS[null_key, headers]]
    for payload, count in batches:
        parts.extend(block(count, payload))
    columns = ["_offset", "_value", "_headers", *(["_key_length"] if null_key else [])]
    try:
        frame = pl.read_avro(io.BytesIO(b"".join(parts)), columns=columns)
    except READ_ERRORS:
        return None
    # The first record of another shape is read rightly up to where it differs, and shows there: by its key's length or its number of headers.
    alike = bool((frame["_headers"] == headers).all()) and (not null_key or bool((frame["_key_length"] == -1).all()))
    if frame.height != sum(count for _, count in batches) or not alike:
        return None
    return frame.select(value=pl.col("_value"), offset_delta=pl.col("_offset"))
