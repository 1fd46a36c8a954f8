"""Rejects on a real broker, through the real ingest: grouped with what to do, mended by hand or by rule, replayed, and counted once."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from tests.ingest.test_kafka import caught_up
from tests.ingest.worker import outputs, worker
from tests.partner.conftest import Member, usage
from tests.partner.test_models import RECORDS
from tests.waiting import wait_until
from typer.testing import CliRunner, Result

from weaklink.cli.main import app
from weaklink.errors import ConfigurationError, RecordError
from weaklink.partner.reading import Reject
from weaklink.partner.rejects import NOTE, Mending, grouped, mended, row_of
from weaklink.partner.rows import event_of
from weaklink.records import reasons
from weaklink.records.codec import decode, encode
from weaklink.records.reasons import EXPLANATIONS
from weaklink.settings import Settings

RUN = CliRunner()


def reject(value: bytes, reason: str = reasons.MALFORMED, field: str | None = None, offset: int = 0) -> Reject:
    return Reject(reason, field, "why", "party.p.events", 0, offset, offset, value)


def test_groups_are_by_reason_and_field_and_the_largest_comes_first() -> None:
    many = [reject(b"", reasons.BAD_TEXT, "model", number) for number in range(3)]
    batch = Reject(reasons.BATCH_TOO_LARGE, None, "", "party.p.events", 0, 10, 29, b"")
    found = grouped([*many, reject(b"", reasons.BAD_TEXT, "note"), batch])
    assert [(one.reason, one.field, one.count) for one in found] == [
        (reasons.BATCH_TOO_LARGE, None, 20), (reasons.BAD_TEXT, "model", 3), (reasons.BAD_TEXT, "note", 1),
    ]  # fmt: skip
    assert found[1].example.offset == 2


def test_every_reason_says_what_to_do() -> None:
    told = {name for name in vars(reasons) if name.isupper()} - {"EXPLANATIONS"}
    assert told == set(EXPLANATIONS)
    assert all(len(text) > 40 for text in EXPLANATIONS.values())


@given(RECORDS)
def test_a_written_row_is_the_event_again(case: tuple[str, dict[str, Any]]) -> None:
    """Whatever the schema holds survives being written out and read back, event id included, unless the rules forbid it."""
    record, values = case
    try:
        value = encode(record, values)
    except RecordError:
        return
    row = json.loads(json.dumps(row_of(reject(value))))
    try:
        event = event_of(row, None, 1)
    except RecordError:
        return
    again = decode(encode(event.record, event.values()))[1]
    was = decode(value)[1]
    unlike = {name for name in was if again[name] != was[name]}
    # A repeated identifier stands once; an id that is none is replaced.
    assert unlike <= (
        {"identifiers"} if len(set(was.get("identifiers", ()))) < len(was.get("identifiers", ())) else set()
    ) | ({"event_id"} if len(was["event_id"]) != 16 else set())


@pytest.mark.parametrize(
    ("rule", "field", "expected"),
    [
        ("model=large-4", "model", "large-4"),
        ("end_user=", "end_user", None),
        ("occurred_at=-2h", "occurred_at", "2026-03-02T07:15:30+00:00"),
        ("occurred_at=2026-03-02T00:00:00Z", "occurred_at", "2026-03-02T00:00:00Z"),
    ],
)
def test_rules_set_leave_out_or_move(rule: str, field: str, expected: str | None) -> None:
    from datetime import UTC, datetime

    value = encode("ApiUsage", usage(occurred_at=datetime(2026, 3, 2, 9, 15, 30, tzinfo=UTC)))
    (row,) = mended(
        [reject(value, reasons.BAD_TEXT, field), reject(value, reasons.BAD_TEXT, "note")], [Mending.parse(rule)]
    )
    assert row.get(field) == expected


@pytest.mark.parametrize("rule", ["model", "colour=red", "event_id=x", "=x"])
def test_rules_that_cannot_be_meant_are_refused(rule: str) -> None:
    with pytest.raises(ConfigurationError, match="FIELD=VALUE"):
        Mending.parse(rule)


def test_what_cannot_be_read_is_written_as_bytes_with_the_reason() -> None:
    (note,) = row_of(reject(b"\xc3\x01garbage")).values()
    assert (note["value"], note["reason"]) == (b"\xc3\x01garbage".hex(), "MALFORMED")


@pytest.fixture
def ingesting(member: Member, tmp_path: Path) -> Iterator[Settings]:
    """The real ingest, reading for everybody."""
    settings = Settings(kafka=member.kafka, data_folder=tmp_path / "data")
    log = tmp_path / "worker.log"
    log.touch()
    with worker(settings, log):
        yield settings


def run(member: Member, *words: str) -> Result:
    return RUN.invoke(app, ["partner", "rejects", "--party", member.party.id, *words])


def settle(settings: Settings, member: Member) -> None:
    wait_until(lambda: caught_up(settings, member.party.id))


@pytest.mark.kafka
def test_rejects_are_mended_by_hand_and_by_rule_and_count_once(
    ingesting: Settings, member: Member, tmp_path: Path
) -> None:
    """Five events, four of them wrong in two ways, and one message that is none."""
    now_us = time.time_ns() // 1000
    with member.client() as client:
        client.publish_record("ApiUsage", usage(account="good"))
        for number in range(3):
            client.publish_record("ApiUsage", usage(account=f"fast-clock-{number}", occurred_at=now_us + 3_600_000_000))
        client.publish_record("ApiUsage", usage(account="negative", requests=-7))
        client._publisher.send(client.events_topic, b"k", b"\xc3\x01not an event", [])
    settle(ingesting, member)

    shown = run(member).output
    assert "3 x IN_THE_FUTURE in occurred_at: occurred_at is more than 5 minutes ahead" in shown
    assert "Check your clock" in " ".join(shown.split())
    assert "1 x NEGATIVE_COUNT in requests" in shown
    assert '"account": "negative"' in shown
    groups = [json.loads(line) for line in run(member, "--json").output.splitlines()]
    assert (groups[0]["reason"], groups[0]["count"]) == ("IN_THE_FUTURE", 3)
    assert len(run(member, "--each", "--reason", "NEGATIVE_COUNT").output.splitlines()) == 1

    by_rule = run(member, "--mend", "occurred_at=-1h")
    assert by_rule.exit_code == 0, by_rule.output
    file = tmp_path / "mine.ndjson"
    written = run(member, "--write", str(file))
    assert "5 rejects" in written.output
    assert "1 of them cannot be read" in written.output
    assert isinstance(run(member, "--write", str(file)).exception, ConfigurationError)
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    file.write_text(
        "".join(json.dumps(row | {"requests": 7}) + "\n" for row in rows if row[NOTE]["reason"] == "NEGATIVE_COUNT")
    )
    for _ in range(2):
        assert run(member, "--replay", str(file)).exit_code == 0
    settle(ingesting, member)

    found = outputs(ingesting, member.party.id)
    totals = {
        name: sum(entry[name] for entry in found.audit) for name in ("consumed", "accepted", "rejected", "duplicates")
    }
    assert totals == {"consumed": 11, "accepted": 5, "rejected": 5, "duplicates": 1}
    assert found.activity["account"].n_unique() == 5


@pytest.mark.kafka
def test_a_mended_file_that_is_still_wrong_says_where(member: Member, tmp_path: Path) -> None:
    file = tmp_path / "mine.ndjson"
    rows = [row_of(reject(encode("ApiUsage", usage(requests=-1)))), row_of(reject(b"no event"))]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    result = run(member, "--replay", str(file))
    assert result.exit_code == 3
    assert f"{file}:1: NEGATIVE_COUNT (requests)" in result.stderr
    assert f"{file}:2: UNKNOWN_SCHEMA" in result.stderr
    assert member.published() == []
