"""The frames that stages hand to each other: columns and dtypes. Times are microseconds since 1970 (UTC), as Int64.

A chunk is one such frame as an Arrow IPC stream, the value of one message on an internal topic.
"""

import io
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import polars as pl

from weaklink.errors import WeaklinkError
from weaklink.records.schemas import EVENT_RECORDS, latest

NUMPY: Final[dict[Any, Any]] = {
    pl.UInt64: np.uint64,
    pl.UInt32: np.uint32,
    pl.UInt16: np.uint16,
    pl.UInt8: np.uint8,
    pl.Int64: np.int64,
    pl.Int32: np.int32,
    pl.Float64: np.float64,
}
"""The numpy dtype of each number that a frame holds."""
_ROWS_IN_CHUNK: Final = 100_000
"""lz4 leaves of 100,000 link rows about 4 MiB, half of the largest message."""


def enum_type(record: str, field: str) -> pl.Enum:
    """The Polars Enum of an Avro enum field, so that both have the same symbols."""
    for definition in latest(record).json["fields"]:
        if definition["name"] == field:
            return pl.Enum(definition["type"]["symbols"])
    raise WeaklinkError(f"{record} has no field {field}")


RECORD: Final = pl.Enum(list(EVENT_RECORDS))
TASK: Final = enum_type("ApiUsage", "task")
ADDRESS_CLASS: Final = enum_type("AccountOpened", "address_class")
MAIL_CLASS: Final = enum_type("AccountOpened", "mail_class")
PLAN: Final = enum_type("AccountOpened", "plan")
VERIFIED: Final = enum_type("AccountOpened", "verified")
OUTCOME: Final = enum_type("PaymentAttempt", "outcome")
INSTRUMENT: Final = enum_type("PaymentAttempt", "instrument")
CLOSE_REASON: Final = enum_type("AccountClosed", "reason")

LINKS: Final = pl.Schema(
    {
        "identifier": pl.UInt64,  # bytes 2..10 of the token, little-endian
        "tail": pl.UInt64,  # bytes 9..17 of the token, little-endian: with kind and epoch it gives the token back
        "kind": pl.UInt8,
        "epoch": pl.UInt8,
        "slot": pl.UInt16,  # slotted kinds (IP): number of the time slot since 1970; others 0
        "account": pl.UInt64,  # account_hash(party, account)
        "first_seen_us": pl.Int64,
        "last_seen_us": pl.Int64,
        "appended_at_us": pl.Int64,  # append time of the newest event in the row
        "mentions": pl.UInt32,  # events
        "requests": pl.Int64,  # usage that came with them
    }
)
"""ingest -> correlate: one row per (identifier, slot, account) of a chunk, and several where its uses lie far apart (`ingest.use_gap_hours`)."""

SHARED: Final = pl.Schema([*LINKS.items(), ("holders", pl.UInt32)])
"""correlate -> campaigns: links of identifiers that two or more accounts hold; `holders` counts them at that moment."""

_ACTIVITY_COLUMNS: Final[dict[str, pl.DataType | type[pl.DataType]]] = {
    "account": pl.UInt64,  # account_hash(party, account); 0 for ModelReleased
    "party": pl.String,
    "account_name": pl.String,
    "record": RECORD,
    "hour": pl.Int32,  # hours of event time since 1970
    "first_seen_us": pl.Int64,
    "last_seen_us": pl.Int64,
    "appended_at_us": pl.Int64,
    "events": pl.UInt32,
    "model": pl.String,
    "task": TASK,
    "end_user": pl.Binary,
    "address_class": ADDRESS_CLASS,
    "mail_class": MAIL_CLASS,
    "plan": PLAN,
    "verified": VERIFIED,
    "outcome": OUTCOME,
    "instrument": INSTRUMENT,
    "merchant": pl.String,
    "reason": CLOSE_REASON,
    "released_at_us": pl.Int64,
    "windows": pl.UInt32,  # usage events
    "requests": pl.Int64,
    "input_tokens": pl.Int64,
    "output_tokens": pl.Int64,
    "log_requests_sum": pl.Float64,  # sum over windows of ln(max(requests, 1))
    "log_requests_sq_sum": pl.Float64,  # and of its square
}
ACTIVITY: Final = pl.Schema(_ACTIVITY_COLUMNS)
"""ingest -> campaigns: usage folded by (account, hour, model, task, end_user, address_class); other records one row each. Not applicable: null or 0."""


EQUATIONS: Final = pl.Schema(
    {
        "identifier": pl.UInt64,  # of the token of the newer epoch, as in LINKS
        "former": pl.UInt64,  # identifier of the same value's token of the older epoch
        "party": pl.String,  # whose event had both, side by side
        "kind": pl.UInt8,
        "tail": pl.UInt64,
        "epoch": pl.UInt8,
        "former_tail": pl.UInt64,
        "former_epoch": pl.UInt8,
    }
)
"""ingest -> campaigns: two tokens that a party says are one value's. Said once, and again by a worker that begins anew."""


def token_bytes(identifier: int, tail: int, kind: int, epoch: int) -> bytes:
    """The 17-byte token that a link row stands for."""
    return bytes((kind, epoch)) + identifier.to_bytes(8, "little") + tail.to_bytes(8, "little")[1:]


def empty(schema: pl.Schema) -> pl.DataFrame:
    """A frame with no rows."""
    return pl.DataFrame(schema=schema)


def to_chunk(frame: pl.DataFrame) -> bytes:
    """A frame as an Arrow IPC stream, lz4-compressed."""
    buffer = io.BytesIO()
    frame.write_ipc_stream(buffer, compression="lz4")
    return buffer.getvalue()


def to_chunks(frame: pl.DataFrame, bytes_max: int) -> Iterator[bytes]:
    """A frame as chunks of at most `bytes_max`, in order; a single row may be longer.

    How far lz4 gets with texts is not known before: parties choose them.
    """
    for rows in frame.iter_slices(_ROWS_IN_CHUNK):
        chunk = to_chunk(rows)
        if len(chunk) <= bytes_max or rows.height == 1:
            yield chunk
        else:
            half = rows.height // 2
            yield from to_chunks(rows[:half], bytes_max)
            yield from to_chunks(rows[half:], bytes_max)


def from_chunk(value: bytes, schema: pl.Schema) -> pl.DataFrame:
    """A chunk as a frame of exactly this schema. Raises WeaklinkError when it is another one."""
    frame = pl.read_ipc_stream(io.BytesIO(value))
    if frame.schema != schema:
        raise WeaklinkError(
            f"chunk has columns {dict(frame.schema)}, expected {dict(schema)}: was it written by another version?"
        )
    return frame
