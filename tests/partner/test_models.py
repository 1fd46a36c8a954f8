"""The models keep ingest's rules: whatever they accept, ingest accepts."""

from collections import Counter
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.ingest.decoding import read
from tests.ingest.events import events_of

from weaklink.errors import RecordError
from weaklink.ingest.config import IngestConfig, SchemaRegistryConfig
from weaklink.ingest.framing import Frames
from weaklink.ingest.validate import rules_of
from weaklink.partner import EVENT_MODELS, AccountClosed, Event
from weaklink.partner.builder import validated
from weaklink.records import reasons
from weaklink.records.codec import SINGLE_OBJECT_FRAME_BYTES, decode, encode
from weaklink.records.examples import examples
from weaklink.records.schemas import EVENT_RECORDS, latest

FRAMES = Frames(SchemaRegistryConfig())
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EDGE_TEXT = st.text(max_size=260) | st.sampled_from(
    ["", "a", "x" * 128, "x" * 129, "x" * 256, "x" * 257, "é" * 128, "a\x00", "a\x85b"]
)
EDGE_TIME = st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=14))])) | st.sampled_from(
    [
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(2149, 6, 6, 23, 59, 59, 999_999, tzinfo=UTC),
        datetime(2149, 6, 7, tzinfo=UTC),
    ]
)
EDGE_INT = st.sampled_from([-1, 0, 1, 2**31 - 1, 2**31, 2**63 - 1, 2**63])
EDGE_ID = st.sampled_from([bytes(16), bytes(15)])
EDGE_TOKEN = st.builds(
    lambda kind, rest: bytes((kind,)) + rest, st.sampled_from([0, 1, 12, 13, 255]), st.sampled_from([bytes(16), bytes(15)])
)  # fmt: skip


def values_for(field: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values at and beyond the edges of what a field may hold."""
    match field["type"]:
        case ["null", inner]:
            return st.none() | values_for({**field, "type": inner})
        case {"type": "enum", "symbols": symbols}:
            return st.sampled_from(symbols)
        case {"type": "array"}:
            return st.lists(EDGE_TOKEN, max_size=2) | st.just([b"\x01" + bytes(16)] * 32)
        case {"logicalType": "timestamp-micros"}:
            return EDGE_TIME
        case kind:
            by_type = {"bytes": EDGE_TOKEN, "string": EDGE_TEXT, "int": EDGE_INT, "long": EDGE_INT}
            return EDGE_ID if field["name"] == "event_id" else by_type[kind]


def at_edges(record: str) -> st.SearchStrategy[dict[str, Any]]:
    """Values of up to two fields: with more at once, hardly an event would be left that anybody accepts."""
    fields = {field["name"]: field for field in latest(record).json["fields"]}
    names = st.lists(st.sampled_from(list(fields)), max_size=2, unique=True)
    return names.flatmap(lambda some: st.fixed_dictionaries({name: values_for(fields[name]) for name in some}))


def with_datetimes(event: dict[str, Any]) -> dict[str, Any]:
    """The event as decoding gives it: times are not microseconds any more."""
    times = {name for name in ("occurred_at", "released_at") if event.get(name) is not None}
    return event | {name: EPOCH + timedelta(microseconds=event[name]) for name in times}


RECORDS = st.sampled_from(EVENT_RECORDS).flatmap(
    lambda record: st.tuples(
        st.just(record),
        st.builds(lambda valid, edges: with_datetimes(valid) | edges, events_of(record), at_edges(record)),
    )
)
"""A record and its fields: a valid event, of which up to two fields are at or beyond the edges."""


def test_what_a_model_accepts_ingest_accepts() -> None:
    """Else a party would learn from a reject what its own program could have told. A good share is accepted, so that this says something."""
    seen = 0
    accepted: Counter[str] = Counter()

    @given(RECORDS)
    @settings(max_examples=300)
    def holds(case: tuple[str, dict[str, Any]]) -> None:
        nonlocal seen
        seen += 1
        record, fields = case
        try:
            event = EVENT_MODELS[record](**fields)
        except ValidationError:
            return
        accepted[record] += 1
        value = encode(record, event.values())
        layout = FRAMES.layout(value[:SINGLE_OBJECT_FRAME_BYTES])
        assert layout is not None
        rules = rules_of(layout, IngestConfig(), age_limits=False)
        assert read([value], layout, SINGLE_OBJECT_FRAME_BYTES, rules).bad == []

    holds()
    assert set(accepted) == set(EVENT_RECORDS)
    assert seen / 2 < accepted.total() < seen * 0.95


@pytest.mark.parametrize(
    "example", [one for one in examples() if one.schema.record in EVENT_RECORDS], ids=lambda one: str(one.name)
)
def test_a_model_takes_every_example_and_writes_it_back(example: Any) -> None:
    event = EVENT_MODELS[example.schema.record](**example.values)
    assert decode(encode(event.record, event.values())) == (event.record, example.values)


def closed(**fields: Any) -> Event:
    return validated(AccountClosed, {"account": "a", "reason": "FRAUD", **fields})


def test_models_are_frozen_and_refuse_unknown_fields() -> None:
    event = closed()
    with pytest.raises(ValidationError):
        event.event_id = bytes(16)
    with pytest.raises(RecordError, match="Extra inputs"):
        closed(amount=3)


def test_events_differ_by_default_and_are_of_now() -> None:
    assert closed().event_id != closed().event_id
    assert abs(closed().occurred_at - datetime.now(UTC)) < timedelta(minutes=1)


@pytest.mark.parametrize(
    ("when", "reason"),
    [
        (datetime(1969, 12, 31, tzinfo=UTC), reasons.TOO_OLD),
        (datetime(2149, 6, 7, tzinfo=UTC), reasons.IN_THE_FUTURE),
        (datetime(2026, 1, 1), reasons.MALFORMED),  # noqa: DTZ001 — without a time zone on purpose
    ],
)
def test_times_that_cannot_be_kept_are_refused_with_their_reason(when: datetime, reason: str) -> None:
    with pytest.raises(RecordError) as caught:
        closed(occurred_at=when)
    assert (caught.value.reason, caught.value.field) == (reason, "occurred_at")
