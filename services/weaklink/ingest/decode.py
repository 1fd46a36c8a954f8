"""Second pass: values to frames of events, by column, one call for all values of a party and schema. What fails goes to the slow path."""

import io
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from weaklink.errors import RecordError
from weaklink.ingest import slow
from weaklink.ingest.layout import COUNTER, READ_ERRORS, Layout, block
from weaklink.records import reasons

_SLOW_ROWS: Final = 256  # a range of values that fails is halved down to this many; those are read one by one
_COUNTER_BYTES: Final = 8


@dataclass(frozen=True, slots=True)
class Bad:
    """Rows (numbers into the values given) that are rejects for one reason."""

    rows: npt.NDArray[np.int64]
    reason: str
    field: str
    detail: str


@dataclass(frozen=True, slots=True)
class Decoded:
    """Events of one schema: columns of the record's latest schema plus `row` (Int64, into the values given; None: no event), and what was not one."""

    events: pl.DataFrame | None
    bad: list[Bad]
    slow_rows: int


def decode(values: pl.Series, frame_bytes: int, layout: Layout, rows: npt.NDArray[np.int64]) -> Decoded:
    """Values of one party and one frame (Binary, none null) -> events of the record's latest schema.

    `rows` are the numbers by which the caller knows the values. Never raises for what a value holds.
    """
    bodies: Any = values.bin.slice(frame_bytes).to_arrow().cast(pa.large_binary())
    reader = _Reader(bodies, layout)
    physical = reader.read(0, len(bodies))
    bad = [Bad(rows[one.rows], one.reason, one.field, one.detail) for one in reader.bad]
    if physical is None:
        return Decoded(None, bad, reader.slow_rows)
    events, found = _to_latest(physical.with_columns(row=pl.Series(rows).gather(physical["row"])), layout)
    return Decoded(events, bad + found, reader.slow_rows)


def _to_latest(physical: pl.DataFrame, layout: Layout) -> tuple[pl.DataFrame, list[Bad]]:
    bad: list[Bad] = []
    wrong = [
        (reasons.NOT_UTF8, name, flags) for name in layout.texts if (flags := _not_utf8(physical[name])) is not None
    ]
    if layout.checks:
        broken = physical.select(
            check.bad.fill_null(False).alias(str(number)) for number, check in enumerate(layout.checks)
        )
        for check, column in zip(layout.checks, broken.iter_columns(), strict=True):
            if column.any():
                wrong.append((check.reason, check.field, column.to_numpy()))
    if wrong:
        rows, left = physical["row"].to_numpy(), np.ones(physical.height, dtype=np.bool_)
        for reason, field, found in wrong:
            if (found & left).any():
                bad.append(Bad(rows[found & left], reason, field, f"{layout.record}.{field} cannot be read"))
                left &= ~found
        physical = physical.filter(pl.Series(left))
    return physical.select(*layout.values, "row"), bad


def _not_utf8(column: pl.Series) -> npt.NDArray[np.bool_] | None:
    """Which values are no text; None when all are, which one check of the whole column tells."""
    try:
        column.cast(pl.String)
    except pl.exceptions.PolarsError:
        return np.fromiter((not _is_utf8(value) for value in column), dtype=np.bool_, count=len(column))
    return None


def _is_utf8(value: bytes | None) -> bool:
    try:
        return value is None or value.decode() is not None
    except UnicodeDecodeError:
        return False


class _Reader:
    """Reads the bodies of one call to `decode`, and collects what is wrong with them."""

    def __init__(self, bodies: Any, layout: Layout) -> None:
        self._bodies = bodies
        self._layout = layout
        self.bad: list[Bad] = []
        self.slow_rows = 0

    def read(self, begin: int, end: int) -> pl.DataFrame | None:
        """Rows [begin, end) in one call; where that fails, halves of it, and at last one by one. None: no row was good."""
        if begin == end:
            return None
        frame = _decode_block(self._bodies.slice(begin, end - begin), self._layout)
        if frame is not None:
            return frame.with_columns(row=pl.int_range(begin, end, dtype=pl.Int64))
        if end - begin > _SLOW_ROWS:
            middle = (begin + end) // 2
            return _concat((self.read(begin, middle), self.read(middle, end)))
        return self._read_slowly(begin, end)

    def _read_slowly(self, begin: int, end: int) -> pl.DataFrame | None:
        """fastavro says which rows are wrong, and why; the others are read by column again, so that one reader decides about every value."""
        self.slow_rows += end - begin
        good = [row for row in range(begin, end) if self._is_record(row)]
        if not good:
            return None
        frame = _decode_block(self._bodies.take(pa.array(good)), self._layout)
        if frame is not None:
            return frame.with_columns(row=pl.Series(good, dtype=pl.Int64))
        return _concat(self._read_one(row) for row in good)

    def _is_record(self, row: int) -> bool:
        try:
            slow.decode_body(self._layout, self._bodies[row].as_py())
        except RecordError as error:
            self._reject(row, error.reason, error.field or "", error.detail)
            return False
        return True

    def _read_one(self, row: int) -> pl.DataFrame | None:
        frame = _decode_block(self._bodies.slice(row, 1), self._layout)
        if frame is None:
            self._reject(row, reasons.MALFORMED, "", f"not a {self._layout.record} in canonical encoding")
            return None
        return frame.with_columns(row=pl.lit(row, pl.Int64))

    def _reject(self, row: int, reason: str, field: str, detail: str) -> None:
        self.bad.append(Bad(np.array([row]), reason, field, detail))


def _concat(parts: Iterable[pl.DataFrame | None]) -> pl.DataFrame | None:
    filled = [part for part in parts if part is not None]
    return pl.concat(filled) if filled else None


def _decode_block(bodies: Any, layout: Layout) -> pl.DataFrame | None:
    """Physical columns of all bodies, or None unless every one is exactly one record.

    After each body come 8 counter bytes (an Avro double): row number XOR a secret of this call. A body that is too long or too short shifts what
    follows, so that counters do not come out; and who cannot guess the secret cannot forge one to hide an event in a value and swallow the next.
    """
    rows = len(bodies)
    counters = np.arange(rows, dtype=np.uint64) ^ np.uint64(secrets.randbits(64))
    ends = np.arange(rows + 1, dtype=np.int64) * _COUNTER_BYTES
    marks = pa.Array.from_buffers(pa.large_binary(), rows, [None, pa.py_buffer(ends), pa.py_buffer(counters)])
    joined: Any = pc.binary_join_element_wise(bodies, marks, pa.scalar(b"", pa.large_binary()))
    bounds = np.frombuffer(joined.buffers()[1], dtype=np.int64)[joined.offset : joined.offset + rows + 1]
    body = memoryview(joined.buffers()[2])[bounds[0] : bounds[-1]]
    source = io.BytesIO(b"".join((layout.container_header, *block(rows, body))))
    try:
        frame = pl.read_avro(source, columns=[*layout.columns, COUNTER])
    except READ_ERRORS:
        return None
    if frame.height != rows or not np.array_equal(frame[COUNTER].to_numpy().view(np.uint64), counters):
        return None
    return frame.drop(COUNTER)
