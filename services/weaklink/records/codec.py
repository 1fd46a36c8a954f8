"""One record to bytes and back, in Avro single-object encoding, with fastavro.

The columnar path of ingest does not use this; the SDK, enforce and the tests do.
"""

import io
from collections.abc import Mapping
from typing import Any, Final

import fastavro

from weaklink.errors import RecordError
from weaklink.records import reasons
from weaklink.records.schemas import Schema, by_fingerprint, latest

SINGLE_OBJECT_MARKER: Final = b"\xc3\x01"
CONFLUENT_MARKER: Final = b"\x00"
SINGLE_OBJECT_FRAME_BYTES: Final = 10
CONFLUENT_FRAME_BYTES: Final = 5


def encode(record: str, values: Mapping[str, Any]) -> bytes:
    """A record as single-object encoding: C3 01, fingerprint, body. Raises RecordError when a value does not fit its field."""
    schema = latest(record)
    body = io.BytesIO(SINGLE_OBJECT_MARKER + schema.fingerprint)
    body.seek(0, io.SEEK_END)
    try:
        fastavro.schemaless_writer(body, schema.parsed, values, strict=True)
    except (ValueError, TypeError, KeyError, OverflowError, AttributeError) as error:
        raise RecordError(reasons.MALFORMED, f"{record} cannot be written: {error}") from error
    return body.getvalue()


def decode_body(schema: Schema, body: bytes, reader: Schema | None = None) -> dict[str, Any]:
    """The body (without its frame) as a dict of plain Python values. Raises RecordError unless it is exactly one record."""
    source = io.BytesIO(body)
    try:
        values = fastavro.schemaless_reader(source, schema.parsed, reader.parsed if reader else None)
    except UnicodeDecodeError as error:
        raise RecordError(
            reasons.NOT_UTF8, f"a string of {schema.record} is not UTF-8 at byte {error.start}"
        ) from error
    except (
        Exception
    ) as error:  # fastavro raises whatever the bytes provoke: EOFError, IndexError, ValueError, OverflowError
        raise RecordError(
            reasons.MALFORMED, f"not a {schema.record} v{schema.version}: {type(error).__name__} {error}"
        ) from error
    if source.tell() != len(body):
        raise RecordError(reasons.TRAILING_BYTES, f"{len(body) - source.tell()} bytes after the {schema.record}")
    assert isinstance(values, dict)
    return values


def schema_of(value: bytes | None) -> Schema:
    """The schema that a single-object encoded message names. Raises RecordError: empty, another framing, an unknown fingerprint."""
    if not value:
        raise RecordError(reasons.EMPTY_VALUE, "the message has no value")
    if value[:2] != SINGLE_OBJECT_MARKER or len(value) < SINGLE_OBJECT_FRAME_BYTES:
        raise RecordError(reasons.UNKNOWN_FRAMING, f"begins with {value[:2].hex() or 'nothing'}")
    fingerprint = value[2:SINGLE_OBJECT_FRAME_BYTES]
    schema = by_fingerprint().get(fingerprint)
    if schema is None:
        raise RecordError(reasons.UNKNOWN_SCHEMA, f"fingerprint {fingerprint.hex()} is not known")
    return schema


def decode(value: bytes | None) -> tuple[str, dict[str, Any]]:
    """A single-object encoded message as (record name, values). Raises RecordError with the reason of the reject."""
    schema = schema_of(value)
    assert value  # a message without a value has no schema
    return schema.record, decode_body(schema, value[SINGLE_OBJECT_FRAME_BYTES:], latest(schema.record))
