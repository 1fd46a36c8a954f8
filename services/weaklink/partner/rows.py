"""Rows of files (NDJSON, CSV, Parquet) to events: field by field, with the reason when one cannot be used.

A row has the fields of its record, and `event_type` (or `record`) with the record's name. Identifiers are raw, `{"kind": "IP", "value": "192.0.2.7"}`,
or tokens, `{"token": "<34 hex digits>"}`; `end_user` is a raw id or `{"token": ...}`. Null means absent; `party`, `party_kind` and `_reject` are ignored here.
"""

import hashlib
import json
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from weaklink.errors import RecordError
from weaklink.partner.builder import EventBuilder, validated
from weaklink.partner.models import EVENT_MODELS, Event
from weaklink.records import reasons

_ROUTING: Final = frozenset({"event_type", "record", "party", "party_kind", "_reject"})
_TIMES: Final = ("occurred_at", "released_at")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

# What a file of events may leave out; the schema itself has no default for these.
_DEFAULTS: Final[dict[str, dict[str, Any]]] = {
    "AccountOpened": {"verified": "NONE"},
    "ApiUsage": {"window_seconds": 0, "requests": 1, "input_tokens": 0, "output_tokens": 0, "task": "OTHER"},
}


def event_of(row: Mapping[str, Any], builder: EventBuilder | None, position: int) -> Event:
    """The event in a row. `builder` makes tokens of raw identifiers. Raises RecordError with reason and field.

    Without an `event_id` the row's content and `position` (its line) give one, so that a file published twice counts once.
    """
    name = row.get("event_type") or row.get("record")
    model = EVENT_MODELS.get(str(name))
    if model is None:
        raise RecordError(reasons.UNKNOWN_SCHEMA, f"no record named {name!r}; there are {', '.join(EVENT_MODELS)}", "event_type")  # fmt: skip
    fields = {key: value for key, value in row.items() if value is not None and key not in _ROUTING}
    fields = _DEFAULTS.get(model.record, {}) | fields
    fields["event_id"] = _event_id(fields["event_id"]) if "event_id" in fields else derived_id(row, position)
    for name in _TIMES:
        if name in fields:
            fields[name] = _time(fields[name], name)
    if "occurred_at" not in fields:
        raise RecordError(reasons.MALFORMED, "occurred_at is missing", "occurred_at")
    if "identifiers" in fields:
        fields["identifiers"], raw = _identifiers(fields["identifiers"], builder)
        if builder is not None:
            fields = builder.classes(model, raw) | fields
        # One column for all records: of one that has no identifiers, Parquet holds an empty list as often as a null.
        if not fields["identifiers"] and "identifiers" not in model.model_fields:
            del fields["identifiers"]
    if "end_user" in fields:
        customer = fields["end_user"]
        fields["end_user"] = _end_user(customer, builder)
        if builder is not None and isinstance(customer, str):
            fields["identifiers"] = builder.with_customer(fields.get("identifiers", ()), customer)
    return validated(model, fields)


def derived_id(row: Mapping[str, Any], position: int) -> bytes:
    """16 bytes that follow from a row and its place in its file."""
    content = json.dumps(row, sort_keys=True, default=_plain)
    return hashlib.sha256(f"{position}|{content}".encode()).digest()[:16]


def _plain(value: Any) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)


def _event_id(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    try:
        return uuid.UUID(str(value)).bytes  # takes 32 hex digits with and without dashes
    except ValueError:
        raise RecordError(reasons.BAD_EVENT_ID, "neither a UUID nor 32 hexadecimal digits", "event_id") from None


def _time(value: Any, name: str) -> Any:
    """Whole numbers are microseconds since 1970, times without a zone are refused by the model (Parquet's are made UTC by the reader)."""
    if isinstance(value, str) and value.lstrip("-").isdigit():
        try:
            value = int(value)
        except ValueError as error:  # "²", "--5", and more digits than int() takes
            raise RecordError(reasons.MALFORMED, f"{name} is not a number of microseconds", name) from error
    if isinstance(value, int):
        try:
            return _EPOCH + timedelta(microseconds=value)
        except OverflowError as error:
            raise RecordError(reasons.MALFORMED, f"{name} is beyond the year 9999", name) from error
    return value


def _identifiers(value: Any, builder: EventBuilder | None) -> tuple[tuple[bytes, ...], list[tuple[str, str]]]:
    """(tokens, the raw identifiers among them)."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise RecordError(
                reasons.BAD_IDENTIFIER, 'not JSON: write [{"kind": "IP", "value": "192.0.2.7"}]', "identifiers"
            ) from error
    if not isinstance(value, list):
        raise RecordError(reasons.BAD_IDENTIFIER, "not a list", "identifiers")
    tokens: dict[bytes, None] = {}
    raw_ones: list[tuple[str, str]] = []
    for item in value:
        if isinstance(item, Mapping) and item.get("token") is None:
            kind, raw = item.get("kind"), item.get("value")
            if not isinstance(kind, str) or not isinstance(raw, str):
                raise RecordError(reasons.BAD_IDENTIFIER, "neither kind and value nor token", "identifiers")
            tokens.update(dict.fromkeys(_needs_keys(builder).tokens([(kind, raw)])))
            raw_ones.append((kind, raw))
        else:
            tokens[_token(item, "identifiers")] = None
    return tuple(tokens), raw_ones


def _end_user(value: Any, builder: EventBuilder | None) -> bytes:
    if isinstance(value, str):
        return _needs_keys(builder).end_user(value)
    return _token(value, "end_user")


def _token(item: Any, field: str) -> bytes:
    token = item.get("token") if isinstance(item, Mapping) else item
    if isinstance(token, bytes):
        return token
    try:
        return bytes.fromhex(str(token))
    except ValueError:
        raise RecordError(reasons.BAD_IDENTIFIER, "a token is 34 hexadecimal digits", field) from None


def _needs_keys(builder: EventBuilder | None) -> EventBuilder:
    if builder is None:
        raise RecordError(
            reasons.BAD_IDENTIFIER,
            "raw identifiers need keys: pass --key-file (weaklink partner key new makes one)",
            "identifiers",
        )
    return builder
