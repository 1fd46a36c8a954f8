"""What should become of a message on an events topic, told by fastavro and plain Python alone: to be compared with ingest's compiled reader."""

import io
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import fastavro

from weaklink.errors import RecordError
from weaklink.records import reasons
from weaklink.records.schemas import EVENT_RECORDS, Schema, all_schemas

INT_MAX: Final = (1 << 31) - 1
_LONG_MAX: Final = 1 << 63
_FRAME_BYTES: Final = 10
_DAY_US: Final = 86_400_000_000
_AGE_US: Final = {"ApiUsage": 7 * _DAY_US, "PaymentAttempt": 7 * _DAY_US, "AddressLease": 90 * _DAY_US}
_AHEAD_US: Final = 300_000_000
_LEASE_AHEAD_US: Final = 30 * _DAY_US
_COUNTS: Final = ("window_seconds", "requests", "input_tokens", "output_tokens", "revision")
_TEXTS: Final = {"model": 1, "action_id": 1, "merchant": 0, "reason": 0, "note": 0}
_parsed: dict[bytes, Any] = {}


@dataclass(frozen=True)
class Verdict:
    """The event (symbols and texts as such, times as numbers), or the reason of its reject.

    `is_read`: whether fastavro could read it.
    """

    record: str
    event: dict[str, Any] | None
    reason: str
    is_read: bool = True


def decode_body(schema: Schema, body: bytes) -> tuple[dict[str, Any], bool]:
    """One record by fastavro, texts as bytes, symbols as numbers; whether bytes are left over. Raises RecordError."""
    source = io.BytesIO(body)
    try:
        values = fastavro.schemaless_reader(source, _physical(schema), None)
    except Exception as error:  # EOFError, IndexError, ValueError, OverflowError: whatever the bytes provoke
        raise RecordError(reasons.MALFORMED, f"{type(error).__name__} {error}") from error
    assert isinstance(values, dict)
    if any(isinstance(value, int) and not -_LONG_MAX <= value < _LONG_MAX for value in values.values()):
        raise RecordError(reasons.MALFORMED, "a number has more than 64 bits")
    return values, source.tell() != len(body)


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


def judge_body(body: bytes, schema: Schema) -> Verdict:
    """Without rules. `schema`: the writer's, which must have the fields of the latest."""
    try:
        values, left_over = decode_body(schema, body)
    except RecordError as error:
        return Verdict(schema.record, None, error.reason, is_read=False)
    if left_over:
        return Verdict(schema.record, None, reasons.TRAILING_BYTES)
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
        return Verdict(schema.record, None, reason)
    return Verdict(schema.record, event, "")


def judge(value: bytes | None, allowed: Mapping[bytes, Schema], now_us: int) -> Verdict:
    """With framing and rules. `allowed`: schemas by fingerprint that this party may publish; what other schemas of events there are is known."""
    if not value:
        return Verdict("", None, reasons.EMPTY_VALUE)
    confluent = value[0] == 0 and len(value) >= 5  # of a registry, which there is not
    if not confluent and (value[:2] != b"\xc3\x01" or len(value) < _FRAME_BYTES):
        return Verdict("", None, reasons.UNKNOWN_FRAMING)
    schema = None if confluent else _EVENTS.get(value[2:_FRAME_BYTES])
    if schema is None:
        return Verdict("", None, reasons.UNKNOWN_SCHEMA)
    if schema.fingerprint not in allowed:
        return Verdict(schema.record, None, reasons.RECORD_NOT_ALLOWED)
    found = judge_body(value[_FRAME_BYTES:], schema)
    if found.event is None:
        return found
    broken = next(_broken(schema.record, found.event, now_us), "")
    return Verdict(schema.record, None if broken else found.event, broken)


_EVENTS: Final = {schema.fingerprint: schema for schema in all_schemas().values() if schema.record in EVENT_RECORDS}


def _broken(record: str, event: Mapping[str, Any], now_us: int) -> Iterator[str]:
    """Rules that an event breaks, in the order in which one of them is told."""
    if len(event["event_id"]) != 16:  # a UUID's bytes
        yield reasons.BAD_EVENT_ID
    if "account" in event and not _is_text(event["account"], 1, 128):
        yield reasons.BAD_ACCOUNT
    tokens = event.get("identifiers", [])
    if len(tokens) > 32:
        yield reasons.TOO_MANY_IDENTIFIERS
    if not all(_is_token(token, 1, 12) for token in tokens):
        yield reasons.BAD_IDENTIFIER
    if event.get("end_user") is not None and not _is_token(event["end_user"], 12, 12):
        yield reasons.BAD_IDENTIFIER
    at_us = event["occurred_at"]
    if at_us < max(0, now_us - _AGE_US.get(record, now_us)):
        yield reasons.TOO_OLD
    if at_us > now_us + _AHEAD_US:
        yield reasons.IN_THE_FUTURE
    released_us = event.get("released_at")
    if released_us is not None and released_us < (at_us if record == "AddressLease" else 0):
        yield reasons.BAD_INTERVAL
    if record == "AddressLease" and released_us is not None and released_us > now_us + _LEASE_AHEAD_US:
        yield reasons.IN_THE_FUTURE
    if any(event.get(name, 0) < 0 for name in _COUNTS):
        yield reasons.NEGATIVE_COUNT
    if not all(_is_text(event[name], least, 256) for name, least in _TEXTS.items() if isinstance(event.get(name), str)):
        yield reasons.BAD_TEXT


def _is_text(text: str, least: int, most: int) -> bool:
    return least <= len(text) <= most and not any(unicodedata.category(one) == "Cc" for one in text)


def _is_token(token: bytes, first: int, last: int) -> bool:
    return len(token) == 17 and first <= token[0] <= last
