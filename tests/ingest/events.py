"""Events for tests: hypothesis strategies of each record, and frames of them as ingest decodes them."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl
from hypothesis import strategies as st

from weaklink import frames
from weaklink.records.schemas import latest

NOW_US = 1_795_000_000_000_000
HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US

Event = dict[str, Any]


def token(kind: int, number: int, epoch: int = 1) -> bytes:
    """A token of that kind; a different kind, number or epoch gives another digest, as a keyed hash would."""
    return bytes((kind, epoch)) + bytes((kind, epoch)) + number.to_bytes(6, "little") + b"\x07" * 7


def event_id(number: int) -> bytes:
    """16 bytes."""
    return number.to_bytes(16, "big")


def symbols(record: str, field: str) -> st.SearchStrategy[str]:
    return st.sampled_from(list(frames.enum_type(record, field).categories))


tokens = st.builds(token, st.integers(1, 12), st.integers(0, 5), st.integers(1, 2))
times = st.integers(NOW_US - 3 * DAY_US, NOW_US)
accounts = st.sampled_from(["anna", "bo", "čestmír", "d" * 128])
_common: dict[str, st.SearchStrategy[Any]] = {
    "event_id": st.binary(min_size=16, max_size=16),
    "occurred_at": times,
    "account": accounts,
    "identifiers": st.lists(tokens, max_size=6),
}
_own: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "AccountOpened": {
        "plan": symbols("AccountOpened", "plan"),
        "verified": symbols("AccountOpened", "verified"),
        "mail_class": symbols("AccountOpened", "mail_class"),
        "address_class": symbols("AccountOpened", "address_class"),
    },
    "ApiUsage": {
        "window_seconds": st.sampled_from([0, 60]),
        "model": st.sampled_from(["large-4", "small-4"]),
        "task": symbols("ApiUsage", "task"),
        "requests": st.integers(0, 1000),
        "input_tokens": st.integers(0, 1 << 36),
        "output_tokens": st.integers(0, 1 << 36),
        "end_user": st.none() | st.integers(0, 2).map(lambda n: token(12, n)),
        "address_class": symbols("ApiUsage", "address_class"),
    },
    "AddressLease": {"released_at": st.none()},
    "PaymentAttempt": {
        "merchant": st.none() | st.sampled_from(["lab-a", "lab-b"]),
        "outcome": symbols("PaymentAttempt", "outcome"),
        "instrument": symbols("PaymentAttempt", "instrument"),
    },
    "AccountClosed": {"reason": symbols("AccountClosed", "reason")},
}


def _with_release(event: Event, held_us: int | None) -> Event:
    return event | {"released_at": None if held_us is None else event["occurred_at"] + held_us}


def events_of(record: str) -> st.SearchStrategy[Event]:
    """Valid events of one record."""
    if record == "ModelReleased":
        return st.fixed_dictionaries(
            {"event_id": _common["event_id"], "occurred_at": times, "model": st.just("large-5"), "released_at": times}
        )
    if record == "ActionReceipt":
        return st.fixed_dictionaries(
            {
                "event_id": _common["event_id"],
                "occurred_at": times,
                "action_id": st.sampled_from(["0" * 32, "f" * 32]),
                "revision": st.integers(1, 3),
                "status": symbols("ActionReceipt", "status"),
                "reason": st.none() | st.just("checked"),
                "note": st.none() | st.just("grüße"),
            }
        )
    plain = st.fixed_dictionaries(_common | _own[record])
    if record == "AddressLease":
        return st.builds(_with_release, plain, st.none() | st.integers(0, 5 * DAY_US))
    return plain


def to_frame(record: str, events: Sequence[Mapping[str, Any]], appended_at_us: int = NOW_US) -> pl.DataFrame:
    """Events as ingest decodes them, `appended_at_us` counting up from the given time."""
    schema = {field["name"]: _dtype(record, field) for field in latest(record).json["fields"]}
    frame = pl.DataFrame([dict(event) for event in events], schema=schema, orient="row")
    return frame.with_columns(appended_at_us=appended_at_us + pl.int_range(pl.len(), dtype=pl.Int64))


def _dtype(record: str, field: Mapping[str, Any]) -> Any:
    kind = field["type"]
    if isinstance(kind, list):
        kind = kind[1]
    if isinstance(kind, str):
        return {"bytes": pl.Binary, "string": pl.String, "int": pl.Int32, "long": pl.Int64}[kind]
    if kind["type"] == "enum":
        return pl.Enum(kind["symbols"])
    return pl.List(pl.Binary) if kind["type"] == "array" else pl.Datetime("us")
