"""Every kind of bad input costs itself a reject with its own reason; the good events beside it count."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.ingest.batches import Parties, Record, batch_of, gather, ingest, new_stage
from tests.ingest.events import DAY_US, NOW_US, Event, event_id, token
from weaklink.ingest.config import IngestConfig, SchemaRegistryConfig
from weaklink.ingest.framing import Frames
from weaklink.ingest.pipeline import Pipeline
from weaklink.parties import Party, PartyKind
from weaklink.records import reasons
from weaklink.records.codec import encode
from weaklink.settings import Settings
from weaklink.stream.stage import MessageBlock


def usage(number: int, **changes: Any) -> Event:
    return {
        "event_id": event_id(number), "occurred_at": NOW_US, "account": "anna", "identifiers": [token(4, number)], "window_seconds": 0,
        "model": "large-4", "task": "OTHER", "requests": 1, "input_tokens": 10, "output_tokens": 20, "end_user": None, "address_class": "VPN",
    } | changes  # fmt: skip


def opened(number: int, **changes: Any) -> Event:
    return {
        "event_id": event_id(number), "occurred_at": NOW_US, "account": "anna", "identifiers": [], "plan": "FREE", "verified": "NONE",
        "mail_class": "FREE", "address_class": "VPN",
    } | changes  # fmt: skip


def lease(number: int, **changes: Any) -> Event:
    return {
        "event_id": event_id(number),
        "occurred_at": NOW_US,
        "account": "anna",
        "identifiers": [],
        "released_at": None,
    } | changes


def payment(number: int, **changes: Any) -> Event:
    return {
        "event_id": event_id(number), "occurred_at": NOW_US, "account": "anna", "identifiers": [], "merchant": None, "outcome": "APPROVED",
        "instrument": "CREDIT",
    } | changes  # fmt: skip


def receipt(number: int, **changes: Any) -> Event:
    return {
        "event_id": event_id(number), "occurred_at": NOW_US, "action_id": "ab", "revision": 1, "status": "DONE", "reason": None, "note": None,
    } | changes  # fmt: skip


def released(number: int, **changes: Any) -> Event:
    return {"event_id": event_id(number), "occurred_at": NOW_US, "model": "large-5", "released_at": NOW_US} | changes


def _replaced(value: bytes, old: bytes, new: bytes) -> bytes:
    assert old in value
    return value.replace(old, new)


USAGE = encode("ApiUsage", usage(7))
BAD: list[tuple[str, Callable[[], bytes | None], str, str]] = [
    ("no value", lambda: None, reasons.EMPTY_VALUE, ""),
    ("empty value", lambda: b"", reasons.EMPTY_VALUE, ""),
    ("plain JSON", lambda: b'{"account": "anna"}', reasons.UNKNOWN_FRAMING, ""),
    ("a marker and no more", lambda: b"\xc3\x01ab", reasons.UNKNOWN_FRAMING, ""),
    ("another version of single-object encoding", lambda: b"\xc3\x02" + USAGE[2:], reasons.UNKNOWN_FRAMING, ""),
    ("an unknown fingerprint", lambda: b"\xc3\x01" + b"12345678" + USAGE[10:], reasons.UNKNOWN_SCHEMA, ""),
    ("a schema that no party publishes", lambda: b"\xc3\x01" + _fingerprint("Decision") + USAGE[10:], reasons.UNKNOWN_SCHEMA, ""),
    ("Confluent framing without a registry", lambda: b"\x00\x00\x00\x00\x07" + USAGE[10:], reasons.UNKNOWN_SCHEMA, ""),
    ("a frame without a body", lambda: USAGE[:10], reasons.MALFORMED, "event_id"),
    ("a truncated body", lambda: USAGE[:-3], reasons.MALFORMED, "output_tokens"),
    ("bytes left over", lambda: USAGE + b"\x00", reasons.TRAILING_BYTES, ""),
    ("two events in one value", lambda: USAGE + USAGE[10:], reasons.TRAILING_BYTES, ""),
    ("a text that is not UTF-8", lambda: _replaced(USAGE, b"anna", b"an\xff\xfe"), reasons.NOT_UTF8, "account"),
    ("an unknown enum symbol", lambda: USAGE[:-1] + b"\x7e", reasons.MALFORMED, "address_class"),
    ("an array that claims 2^46 items", lambda: USAGE[:10] + b"\x20" + b"i" * 16 + b"\x00\x02a" + b"\x80" * 6 + b"\x20", reasons.MALFORMED, "identifiers"),
    ("a string of negative length", lambda: USAGE[:10] + b"\x01" + USAGE[11:], reasons.MALFORMED, "event_id"),
    ("a record for another kind of party", lambda: encode("AddressLease", lease(7)), reasons.RECORD_NOT_ALLOWED, ""),
    ("an event id of 15 bytes", lambda: encode("ApiUsage", usage(7, event_id=b"x" * 15)), reasons.BAD_EVENT_ID, "event_id"),
    ("an account without a name", lambda: encode("ApiUsage", usage(7, account="")), reasons.BAD_ACCOUNT, "account"),
    ("an account name too long", lambda: encode("ApiUsage", usage(7, account="é" * 129)), reasons.BAD_ACCOUNT, "account"),
    ("a control character in an account", lambda: encode("ApiUsage", usage(7, account="a\x85b")), reasons.BAD_ACCOUNT, "account"),
    ("33 identifiers", lambda: encode("ApiUsage", usage(7, identifiers=[token(4, n) for n in range(33)])), reasons.TOO_MANY_IDENTIFIERS, "identifiers"),
    ("a token of 16 bytes", lambda: encode("ApiUsage", usage(7, identifiers=[token(4, 1), b"\x04" * 16])), reasons.BAD_IDENTIFIER, "identifiers"),
    ("an empty token", lambda: encode("ApiUsage", usage(7, identifiers=[b""])), reasons.BAD_IDENTIFIER, "identifiers"),
    ("a token of unknown kind", lambda: encode("ApiUsage", usage(7, identifiers=[token(13, 1)])), reasons.BAD_IDENTIFIER, "identifiers"),
    ("a token of kind 0", lambda: encode("ApiUsage", usage(7, identifiers=[token(0, 1)])), reasons.BAD_IDENTIFIER, "identifiers"),
    ("an end user that is a card", lambda: encode("ApiUsage", usage(7, end_user=token(4, 1))), reasons.BAD_IDENTIFIER, "end_user"),
    ("usage of 8 days ago", lambda: encode("ApiUsage", usage(7, occurred_at=NOW_US - 8 * DAY_US)), reasons.TOO_OLD, "occurred_at"),
    ("a time before 1970", lambda: encode("AccountOpened", opened(7, occurred_at=-1)), reasons.TOO_OLD, "occurred_at"),
    ("an event of tomorrow", lambda: encode("AccountOpened", opened(7, occurred_at=NOW_US + DAY_US)), reasons.IN_THE_FUTURE, "occurred_at"),
    ("negative requests", lambda: encode("ApiUsage", usage(7, requests=-1)), reasons.NEGATIVE_COUNT, "requests"),
    ("negative tokens", lambda: encode("ApiUsage", usage(7, output_tokens=-5)), reasons.NEGATIVE_COUNT, "output_tokens"),
    ("a negative window", lambda: encode("ApiUsage", usage(7, window_seconds=-60)), reasons.NEGATIVE_COUNT, "window_seconds"),
    ("a negative revision", lambda: encode("ActionReceipt", receipt(7, revision=-1)), reasons.NEGATIVE_COUNT, "revision"),
    ("a release before 1970", lambda: encode("ModelReleased", released(7, released_at=-1)), reasons.BAD_INTERVAL, "released_at"),
    ("a model without a name", lambda: encode("ApiUsage", usage(7, model="")), reasons.BAD_TEXT, "model"),
    ("a note too long", lambda: encode("ActionReceipt", receipt(7, note="n" * 257)), reasons.BAD_TEXT, "note"),
    ("a control character in a note", lambda: encode("ActionReceipt", receipt(7, note="a\x00b")), reasons.BAD_TEXT, "note"),
]  # fmt: skip


def _fingerprint(record: str) -> bytes:
    from weaklink.records.schemas import latest

    return latest(record).fingerprint


@pytest.mark.parametrize(("value", "reason", "field"), [one[1:] for one in BAD], ids=[one[0] for one in BAD])
def test_a_bad_event_is_rejected_and_its_neighbours_count(
    value: Callable[[], bytes | None], reason: str, field: str
) -> None:
    """One reject with reason, field, offset and the original bytes; both neighbours are accepted."""
    bad = value()
    good = [Record(encode("ApiUsage", usage(number))) for number in (1, 2)]
    result = ingest([[batch_of([good[0], Record(bad), good[1]], base_offset=100)]])
    assert result.rejects == [("party.lab-a.rejects", bad or b"", reason, field, 101)]
    assert result.activity["requests"].sum() == 2
    assert result.links["mentions"].sum() == 2
    assert result.audit == [
        {
            "topic": "party.lab-a.events", "partition": 0, "from_offset": 100, "to_offset": 103,
            "consumed": 3, "accepted": 2, "rejected": 1, "duplicates": 0,
        }
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("party", "record", "event", "reason"),
    [
        ("cloud-a", "AddressLease", lease(7, occurred_at=NOW_US - 91 * DAY_US), reasons.TOO_OLD),
        ("cloud-a", "AddressLease", lease(7, released_at=NOW_US - 1), reasons.BAD_INTERVAL),
        ("cloud-a", "AddressLease", lease(7, released_at=NOW_US + 30 * DAY_US + 1), reasons.IN_THE_FUTURE),
        ("pay-a", "PaymentAttempt", payment(7, occurred_at=NOW_US - 8 * DAY_US), reasons.TOO_OLD),
        ("pay-a", "PaymentAttempt", payment(7, merchant="lab\nb"), reasons.BAD_TEXT),
        ("pay-a", "ApiUsage", usage(7), reasons.RECORD_NOT_ALLOWED),
        ("router-a", "ModelReleased", released(7), reasons.RECORD_NOT_ALLOWED),
        ("router-a", "PaymentAttempt", payment(7), reasons.RECORD_NOT_ALLOWED),
    ],
)
def test_rules_of_other_kinds_of_party(party: str, record: str, event: Event, reason: str) -> None:
    """Leases, payments, and who may publish what."""
    values = [encode("AccountOpened", opened(1)), encode(record, event), encode("AccountOpened", opened(2))]
    result = ingest([[batch_of([Record(value) for value in values], party=party)]])
    assert [(found[2], found[4]) for found in result.rejects] == [(reason, 1)]
    assert result.activity.height == 2


@pytest.mark.parametrize(
    ("record", "event"),
    [
        ("ApiUsage", usage(7, occurred_at=NOW_US - 7 * DAY_US)),
        ("ApiUsage", usage(7, occurred_at=NOW_US + 300_000_000)),
        ("ApiUsage", usage(7, account="é" * 128, identifiers=[token(4, n) for n in range(32)], requests=0, end_user=token(12, 1))),
        ("ActionReceipt", receipt(7, note="", reason="n" * 256)),
        ("AccountOpened", opened(7, occurred_at=0)),
    ],
)  # fmt: skip
def test_limits_themselves_are_allowed(record: str, event: Event) -> None:
    """What lies exactly at a limit is accepted."""
    result = ingest([[batch_of([Record(encode(record, event))])]])
    assert result.rejects == []
    assert result.audit[0]["accepted"] == 1


def test_a_lease_may_end_at_the_limit_and_a_model_come_out_whenever() -> None:
    """Only who is said to hold an address for years is told to say so when it is over."""
    ends = encode("AddressLease", lease(7, released_at=NOW_US + 30 * DAY_US))
    comes = encode("ModelReleased", released(8, released_at=NOW_US + 365 * DAY_US))
    result = ingest([[batch_of([Record(ends)], party="cloud-a"), batch_of([Record(comes)])]])
    assert result.rejects == []
    assert result.activity.height == 2


def test_event_time_knows_no_age(tmp_path: Any) -> None:
    """Under `clock=event` old and future events are accepted: the data is a replay."""
    values = [
        encode("ApiUsage", usage(1, occurred_at=NOW_US - 1000 * DAY_US)),
        encode("ApiUsage", usage(2, occurred_at=NOW_US + 1000 * DAY_US)),
    ]
    ends = encode("AddressLease", lease(3, released_at=NOW_US + 1000 * DAY_US))
    batches = [batch_of([Record(value) for value in values]), batch_of([Record(ends)], party="cloud-a")]
    result = ingest([batches], Settings(clock="event", data_folder=tmp_path))
    assert result.rejects == []
    assert sum(one["accepted"] for one in result.audit) == 3


def test_a_value_that_hides_an_event_and_swallows_the_next(tmp_path: Any) -> None:
    """A body cut short, then one that begins with what is missing and a forged counter: both are rejects, and the third event counts.

    Without counters that cannot be guessed the first two would decode as two good events that nobody sent like this: the body is split inside
    a string, whose length covers the frame border, so that bytes of the second value become part of the first.
    """
    whole = encode("ApiUsage", usage(7, account="a" * 40))
    frame, body = whole[:10], whole[10:]
    at = body.index(b"a" * 40) + 10
    for forged in (b"", (1).to_bytes(8, "little"), (0).to_bytes(8, "little")):
        first = frame + body[:at]
        second = frame + forged + body[at + len(forged) :]
        good = encode("ApiUsage", usage(1))
        result = ingest(
            [[batch_of([Record(good), Record(first), Record(second), Record(encode("ApiUsage", usage(2)))])]]
        )
        assert [(found[1], found[4]) for found in result.rejects] == [(first, 1), (second, 2)]
        assert result.activity["requests"].sum() == 2


def test_parties_cannot_hurt_each_other(tmp_path: Any) -> None:
    """Garbage from one party in the same poll changes nothing for another, whose events are neither rejected nor counted for the first."""
    good = [Record(encode("ApiUsage", usage(number))) for number in range(50)]
    noise = [Record(USAGE[: 10 + number]) for number in range(50)]
    stage = new_stage(Settings(data_folder=tmp_path), Parties(lab_a="lab", lab_b="lab"))
    result = ingest([[batch_of(noise, party="lab-b"), batch_of(good, party="lab-a")]], stage=stage)
    assert {found[0] for found in result.rejects} == {"party.lab-b.rejects"}
    assert len(result.rejects) == 50
    assert result.activity["events"].sum() == 50


def test_a_long_value_is_cut_in_its_reject(tmp_path: Any) -> None:
    """What is longer than the limit is cut, so that a reject always fits its topic."""
    config = Settings(data_folder=tmp_path, ingest=IngestConfig(reject_value_bytes_max=100))
    result = ingest([[batch_of([Record(b"\xc3\x01" + b"z" * 500)])]], config)
    assert len(result.rejects[0][1]) == 100
    assert result.rejects[0][2] == reasons.UNKNOWN_SCHEMA


def test_rejects_of_many_events_are_blocks_that_fit_a_message(tmp_path: Any) -> None:
    """Each comes back with its own offset and bytes, in blocks that are no larger than one cut value may be; those that are too long come one by one."""
    config = Settings(data_folder=tmp_path, ingest=IngestConfig(reject_value_bytes_max=1_000))
    values = [b"\xc3\x01" + bytes([number % 256]) * (number % 1_020) for number in range(5_000)]
    stage = new_stage(config)
    batch = batch_of([Record(value) for value in values], base_offset=95, partition=3)
    stage.restore(stage.unit(batch.source), None)
    outputs = stage.process([batch], replaying=False)
    rejects = gather(outputs).rejects
    assert [(one[1], one[4]) for one in rejects] == [(value[:1_000], 95 + at) for at, value in enumerate(values)]
    blocks = [one for one in outputs if isinstance(one, MessageBlock)]
    assert sum(block.count for block in blocks) == sum(len(value) <= 1_000 for value in values)
    assert max(len(block.records) for block in blocks) < 20_000


def test_messages_each_with_an_unknown_schema_of_its_own_are_rejected_together(tmp_path: Path) -> None:
    """One object of rejects for each partition: with one for each schema, a party that makes up a fingerprint for every message of a few bytes would take
    thirty times the processor time of one whose messages are bad otherwise, from all the others."""
    made_up = [b"\xc3\x01" + number.to_bytes(8, "little") + b"\x00" * 7 for number in range(10_000)]
    made_up[5_000:5_000] = [encode("ApiUsage", usage(1))]
    batches = [
        batch_of([Record(value) for value in made_up[:4_000]]),
        batch_of([Record(value) for value in made_up[4_000:]], base_offset=4_000),
        batch_of([Record(value) for value in made_up[:100]], partition=3),
    ]
    pipeline = Pipeline(IngestConfig(), Frames(SchemaRegistryConfig()), age_limits=True)
    outcome = pipeline.run(
        batches, Party(id="lab-a", kind=PartyKind.LAB), lambda _, ids, __: np.zeros(len(ids), dtype=np.bool_)
    )
    assert [(one.source.partition, len(one.rows), one.reason) for one in outcome.rejects] == [
        (0, 10_000, reasons.UNKNOWN_SCHEMA), (3, 100, reasons.UNKNOWN_SCHEMA),
    ]  # fmt: skip
    assert [(one.rejected, one.accepted) for one in outcome.tallies.values()] == [(10_000, 1), (100, 0)]
    found = ingest([batches], Settings(data_folder=tmp_path)).rejects
    expected = [(value, at) for at, value in enumerate(made_up) if at != 5_000] + list(
        zip(made_up[:100], range(100), strict=True)
    )
    assert sorted((value, offset) for _, value, _, _, offset in found) == sorted(expected)
