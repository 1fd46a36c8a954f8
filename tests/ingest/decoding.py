"""Values of events through the compiled reader, for tests that look at nothing but what it makes of them."""

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import fastavro
import numpy as np
import polars as pl

from weaklink.errors import RecordError
from weaklink.ingest.decode import Bad, decode
from weaklink.ingest.events import Events, Values
from weaklink.ingest.layout import Layout, Rule
from weaklink.records import reasons
from weaklink.records.schemas import Schema

INT_MAX = (1 << 31) - 1
_LONG_MAX = 1 << 63
_parsed: dict[bytes, Any] = {}


@dataclass(frozen=True)
class Read:
    """`frame`: the good events, `row` among their columns. `bad`: what the others are rejected for."""

    frame: pl.DataFrame
    bad: list[Bad]

    def reasons(self) -> dict[int, tuple[str, str]]:
        """(reason, field) by row."""
        return {int(row): (one.reason, one.field) for one in self.bad for row in one.rows}


def values_of(bodies: Sequence[bytes]) -> Values:
    """These byte strings, one after another."""
    ends = np.cumsum([len(body) for body in bodies], dtype=np.int64)
    begins = ends - np.array([len(body) for body in bodies], dtype=np.int64)
    zeros = np.zeros(len(bodies), dtype=np.int64)
    return Values(np.frombuffer(b"".join(bodies), dtype=np.uint8), begins, ends, zeros, zeros)


def read(bodies: Sequence[bytes], layout: Layout, frame_bytes: int = 0, rules: Sequence[Rule] = ()) -> Read:
    """Decode values of one schema, and judge them by the layout's rules and these."""
    events = Events(values_of(bodies), np.zeros(len(bodies), dtype=np.int64))
    found = decode(events, np.arange(len(bodies)), frame_bytes, layout, (*layout.rules, *rules))
    frame = events.to_frame(layout, found.good).drop("appended_at_us").with_columns(row=pl.Series(found.good))
    return Read(frame, found.bad)


@dataclass(frozen=True)
class Expected:
    """What fastavro makes of a value: the event, or the reason of its reject; and whether it could read it, and would write the same bytes."""

    event: dict[str, Any] | None
    reason: str
    is_read: bool = True
    is_canonical: bool = False


def decode_body(schema: Schema, body: bytes) -> tuple[dict[str, Any], bool]:
    """One record by fastavro, texts as bytes, symbols as numbers, and whether it would write the same bytes. Raises RecordError unless it is exactly one."""
    source = io.BytesIO(body)
    try:
        values = fastavro.schemaless_reader(source, _physical(schema), None)
    except Exception as error:  # EOFError, IndexError, ValueError, OverflowError: whatever the bytes provoke
        raise RecordError(reasons.MALFORMED, f"{type(error).__name__} {error}") from error
    assert isinstance(values, dict)
    out = io.BytesIO()
    with contextlib.suppress(OverflowError):  # a number of more than 64 bits, which fastavro reads and does not write
        fastavro.schemaless_writer(out, _physical(schema), values)
    canonical = out.getvalue() == body[: source.tell()]
    if source.tell() != len(body):
        raise RecordError(reasons.TRAILING_BYTES if canonical else reasons.MALFORMED, "bytes are left over")
    if any(isinstance(value, int) and not -_LONG_MAX <= value < _LONG_MAX for value in values.values()):
        raise RecordError(reasons.MALFORMED, "a number has more than 64 bits")
    return values, canonical


def _physical(schema: Schema) -> Any:
    """The schema with texts as bytes, and everything that is a number on the wire as one: so that reading fails only where the bytes are no record."""
    if schema.fingerprint not in _parsed:
        fields = [{"name": field["name"], "type": _wire_type(field["type"])} for field in schema.json["fields"]]
        _parsed[schema.fingerprint] = fastavro.parse_schema(
            {"type": "record", "name": schema.record, "fields": fields}, named_schemas={}
        )
    return _parsed[schema.fingerprint]


def _wire_type(kind: Any) -> Any:
    if isinstance(kind, list):
        return [_wire_type(one) for one in kind]
    if isinstance(kind, dict):
        if kind["type"] == "array":
            return {"type": "array", "items": _wire_type(kind["items"])}
        return "long" if kind["type"] == "enum" else _wire_type(kind["type"])
    return {"string": "bytes", "int": "long"}.get(kind, kind)


def expected(body: bytes, schema: Schema) -> Expected:
    """By fastavro and plain Python. `schema`: the writer's, which must have the fields of the latest."""
    try:
        values, canonical = decode_body(schema, body)
    except RecordError as error:
        return Expected(None, error.reason, is_read=False)
    event: dict[str, Any] = {}
    wrong: set[str] = set()
    for field in schema.json["fields"]:
        name, kind, value = field["name"], field["type"], values[field["name"]]
        kind = kind[1] if isinstance(kind, list) else kind
        if kind == "string" and value is not None:
            try:
                value = value.decode()
            except UnicodeDecodeError:
                wrong.add(reasons.NOT_UTF8)
        elif kind == "int" and not -INT_MAX - 1 <= value <= INT_MAX:
            wrong.add(reasons.MALFORMED)
        elif isinstance(kind, dict) and kind["type"] == "enum":
            if 0 <= value < len(kind["symbols"]):
                value = kind["symbols"][value]
            else:
                wrong.add(reasons.MALFORMED)
        event[name] = value
    if wrong:
        reason = reasons.NOT_UTF8 if reasons.NOT_UTF8 in wrong else reasons.MALFORMED
        return Expected(None, reason, is_canonical=canonical)
    return Expected(event, "", is_canonical=canonical)
