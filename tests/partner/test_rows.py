"""Rows of files to events: what a row may leave out, what it may not, and what a bad one is told."""

import gzip
import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.partner.conftest import TOKENISER

from weaklink.errors import ConfigurationError, RecordError
from weaklink.partner import AccountOpened, ApiUsage, EventBuilder, LocalTokeniser, PaymentAttempt
from weaklink.partner.files import FileFormat, Row, format_of, read_rows, size_of
from weaklink.partner.keys import new_keys, rotated
from weaklink.partner.rows import derived_id, event_of
from weaklink.partner.symbols import Task, Verified
from weaklink.records import reasons
from weaklink.records.codec import encode
from weaklink.records.identifiers import IdentifierKind

BUILDER = EventBuilder(TOKENISER)
WHEN = "2026-03-02T09:15:30+00:00"


def row(**fields: Any) -> dict[str, Any]:
    return {"event_type": "ApiUsage", "occurred_at": WHEN, "account": "a", "model": "m", **fields}


def rows_of(path: Path, file_format: FileFormat) -> list[Row]:
    return list(read_rows(str(path), file_format))


def test_a_row_in_the_form_of_the_backtest_becomes_an_event_with_defaults() -> None:
    event = event_of(
        row(
            party="p", party_kind="router", plan=None, outcome=None, identifiers=[{"kind": "ip", "value": "192.0.2.7"}]
        ),
        BUILDER,
        1,
    )
    assert isinstance(event, ApiUsage)
    assert (event.window_seconds, event.requests, event.input_tokens, event.task) == (0, 1, 0, Task.OTHER)
    assert event.identifiers == TOKENISER.tokens(IdentifierKind.IP, "192.0.2.7")
    opened = event_of({"event_type": "AccountOpened", "occurred_at": WHEN, "account": "a"}, None, 1)
    assert isinstance(opened, AccountOpened)
    assert opened.verified is Verified.NONE


def test_tokens_are_taken_as_they_are_and_need_no_keys() -> None:
    token = TOKENISER.newest(IdentifierKind.CARD, "4242424242424242")
    end_user = TOKENISER.newest(IdentifierKind.END_USER, "u")
    event = event_of(
        row(identifiers=[{"token": token.hex()}, token.hex(), token], end_user={"token": end_user.hex()}), None, 1
    )
    assert isinstance(event, ApiUsage)
    assert (event.identifiers, event.end_user) == ((token,), end_user)


def test_a_raw_end_user_becomes_a_token() -> None:
    event = event_of(row(end_user="customer-7"), BUILDER, 1)
    assert isinstance(event, ApiUsage)
    assert event.end_user == TOKENISER.newest(IdentifierKind.END_USER, "customer-7")
    assert event.identifiers == ()


@pytest.mark.parametrize("built", [False, True])
def test_while_two_epochs_overlap_an_event_has_both_tokens_of_its_customer_where_they_fit(built: bool) -> None:
    """Or a customer would be another one from the rotation on. Of a file's row and of what a program builds alike."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    keys = rotated(new_keys(start), start + timedelta(days=10), timedelta(days=30))
    tokeniser = LocalTokeniser(keys, clock=(start + timedelta(days=20)).timestamp)
    builder = EventBuilder(tokeniser)

    def event(*devices: str) -> ApiUsage:
        if built:
            pairs = [(IdentifierKind.DEVICE, device) for device in devices]
            fields = {"event_id": bytes(16), "occurred_at": start, "account": "a", "model": "m", "task": Task.OTHER}
            counts = dict.fromkeys(("window_seconds", "requests", "input_tokens", "output_tokens"), 1)
            return builder.build(ApiUsage, identifiers=pairs, end_user="customer-7", **fields, **counts)
        identifiers = [{"kind": "DEVICE", "value": device} for device in devices]
        made = event_of(row(identifiers=identifiers, end_user="customer-7"), builder, 1)
        assert isinstance(made, ApiUsage)
        return made

    customer = tokeniser.tokens(IdentifierKind.END_USER, "customer-7")
    assert [token[1] for token in customer] == [1, 2]
    for devices in ([], ["d"], [f"d{number}" for number in range(15)]):
        made = event(*devices)
        assert made.end_user == customer[1]
        assert made.identifiers == (*builder.tokens([("DEVICE", device) for device in devices]), *customer)
    full = event(*(f"d{number}" for number in range(16)))
    assert (full.end_user, len(full.identifiers)) == (customer[1], 32)
    assert not set(customer) & set(full.identifiers)


def test_identifiers_may_be_json_text_as_csv_needs_it() -> None:
    text = json.dumps([{"kind": "CARD", "value": "4242 4242 4242 4242"}])
    event = event_of({"event_type": "PaymentAttempt", "occurred_at": WHEN, "account": "a", "outcome": "APPROVED",
                      "instrument": "CREDIT", "identifiers": text}, BUILDER, 1)  # fmt: skip
    assert isinstance(event, PaymentAttempt)
    assert event.identifiers == TOKENISER.tokens(IdentifierKind.CARD, "4242424242424242")


@pytest.mark.parametrize(
    "when", [1_772_442_930_000_000, "1772442930000000", WHEN, datetime(2026, 3, 2, 9, 15, 30, tzinfo=UTC)]
)
def test_times_may_be_microseconds_text_or_times(when: Any) -> None:
    assert event_of(row(occurred_at=when), None, 1).occurred_at == datetime(2026, 3, 2, 9, 15, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("fields", "reason", "field"),
    [
        ({"event_type": "Nope"}, reasons.UNKNOWN_SCHEMA, "event_type"),
        ({"occurred_at": None}, reasons.MALFORMED, "occurred_at"),
        ({"occurred_at": "2026-03-02T09:15:30"}, reasons.MALFORMED, "occurred_at"),
        ({"occurred_at": 10**30}, reasons.MALFORMED, "occurred_at"),
        ({"occurred_at": "²"}, reasons.MALFORMED, "occurred_at"),
        ({"occurred_at": "--5"}, reasons.MALFORMED, "occurred_at"),
        ({"occurred_at": "9" * 5_000}, reasons.MALFORMED, "occurred_at"),
        ({"account": ""}, reasons.BAD_ACCOUNT, "account"),
        ({"account": "x" * 129}, reasons.BAD_ACCOUNT, "account"),
        ({"account": "a\nb"}, reasons.BAD_ACCOUNT, "account"),
        ({"requests": -1}, reasons.NEGATIVE_COUNT, "requests"),
        ({"requests": 2**31}, reasons.MALFORMED, "requests"),
        ({"task": "GARDENING"}, reasons.MALFORMED, "task"),
        ({"model": ""}, reasons.BAD_TEXT, "model"),
        ({"price": 3}, reasons.MALFORMED, "price"),
        ({"event_id": "abc"}, reasons.BAD_EVENT_ID, "event_id"),
        ({"event_id": b"short"}, reasons.BAD_EVENT_ID, "event_id"),
        ({"identifiers": "["}, reasons.BAD_IDENTIFIER, "identifiers"),
        ({"identifiers": "[" * 100_000}, reasons.BAD_IDENTIFIER, "identifiers"),
        ({"identifiers": [{"kind": "DEVICE", "value": "phone \ud83d"}]}, reasons.BAD_IDENTIFIER, "identifiers"),
        ({"end_user": "\ud83d"}, reasons.BAD_IDENTIFIER, "identifiers"),
        ({"identifiers": [{"kind": "SHOE", "value": "44"}]}, reasons.BAD_IDENTIFIER, "identifiers"),
        ({"identifiers": [{"token": "zz"}]}, reasons.BAD_IDENTIFIER, "identifiers"),
        ({"identifiers": [{"token": "01" * 16}]}, reasons.BAD_IDENTIFIER, "identifiers"),
        ({"identifiers": [{"token": "63" * 17}]}, reasons.BAD_IDENTIFIER, "identifiers"),
        ({"identifiers": [f"0101{n:030x}" for n in range(33)]}, reasons.TOO_MANY_IDENTIFIERS, "identifiers"),
        ({"end_user": {"token": "01" * 17}}, reasons.BAD_IDENTIFIER, "end_user"),
        ({"event_type": "AddressLease", "model": None, "released_at": "2026-03-01T00:00:00Z"}, reasons.BAD_INTERVAL, None),
    ],
)  # fmt: skip
def test_a_bad_row_is_told_with_the_reason_that_ingest_would_give(
    fields: dict[str, Any], reason: str, field: str | None
) -> None:
    with pytest.raises(RecordError) as caught:
        event_of(row(**fields), BUILDER, 1)
    assert (caught.value.reason, caught.value.field) == (reason, field)


def test_raw_identifiers_without_keys_say_how_to_get_them() -> None:
    with pytest.raises(RecordError, match="--key-file"):
        event_of(row(identifiers=[{"kind": "IP", "value": "192.0.2.7"}]), None, 1)


def test_the_same_row_of_the_same_line_has_the_same_event_id_and_another_line_another() -> None:
    assert event_of(row(), None, 1).event_id == event_of(row(), None, 1).event_id
    assert event_of(row(), None, 1).event_id != event_of(row(), None, 2).event_id
    assert len(derived_id(row(), 1)) == 16


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(
    st.dictionaries(
        st.sampled_from(["account", "identifiers", "occurred_at", "end_user", "event_id", "requests", "x"]), JSON
    )
)
@settings(deadline=None)
def test_whatever_a_row_holds_it_is_an_event_that_can_be_written_or_a_record_error(fields: dict[str, Any]) -> None:
    try:
        event = event_of(row(**fields), BUILDER, 1)
    except RecordError:
        return
    assert encode(event.record, event.values())


def write(path: Path, lines: Iterable[bytes]) -> Path:
    path.write_bytes(b"".join(lines))
    return path


def test_ndjson_keeps_line_numbers_over_blank_and_bad_lines(tmp_path: Path) -> None:
    file = write(tmp_path / "e.ndjson", [b'{"a": 1}\n', b"\n", b"{broken\n", b"[1]\n", b"\xff\xfe\n", b'{"a": 2}'])
    rows = rows_of(file, "ndjson")
    assert [(one.line, one.values) for one in rows] == [(1, {"a": 1}), (3, None), (4, None), (5, None), (6, {"a": 2})]
    assert rows[1].raw == "{broken"
    assert rows[3].error == "not UTF-8"
    assert rows[-1].consumed == size_of(str(file), "ndjson")


def test_csv_has_nulls_for_empty_cells_and_bad_lines_with_their_numbers(tmp_path: Path) -> None:
    file = write(tmp_path / "e.csv", [b"\xef\xbb\xbfa,b\r\n", b'1,"x, y"\r\n', b"2,\r\n", b"3\r\n", b"4,\xff\r\n"])
    rows = rows_of(file, "csv")
    assert [(one.line, one.values) for one in rows] == [
        (2, {"a": "1", "b": "x, y"}), (3, {"a": "2", "b": None}), (4, None), (5, None)
    ]  # fmt: skip
    assert rows[2].error == "1 cells under 2 columns"
    assert rows[3].error == "not UTF-8"


def test_parquet_times_without_zone_are_utc(tmp_path: Path) -> None:
    file = tmp_path / "e.parquet"
    pl.DataFrame({"occurred_at": [datetime(2026, 3, 2, 9)], "n": [1]}).write_parquet(file)  # noqa: DTZ001 — that is the point
    (only,) = rows_of(file, "parquet")
    assert only.values == {"occurred_at": datetime(2026, 3, 2, 9, tzinfo=UTC), "n": 1}
    assert json.loads(only.raw)["n"] == 1
    assert size_of(str(file), "parquet") == 1


def test_files_that_cannot_be_read_are_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        rows_of(tmp_path / "missing.csv", "csv")
    with pytest.raises(ConfigurationError, match="cannot be read as Parquet"):
        rows_of(write(tmp_path / "x.parquet", [b"no"]), "parquet")
    with pytest.raises(ConfigurationError, match="--format"):
        format_of("events.txt")
    damaged = bytearray(gzip.compress(b'{"a": 1}\n' * 1000))
    damaged[20] ^= 0xFF
    with pytest.raises(ConfigurationError, match="cannot be read"):
        rows_of(write(tmp_path / "x.ndjson.gz", [bytes(damaged)]), "ndjson")


@pytest.mark.parametrize("content", [b"", b"no Parquet", b"PAR1 as it begins, and no end"])
def test_what_is_no_parquet_is_told_already_when_its_size_is_asked(tmp_path: Path, content: bytes) -> None:
    """The first thing that is asked of a file, for the bar of progress."""
    with pytest.raises(ConfigurationError, match="cannot be read as Parquet"):
        size_of(str(write(tmp_path / "x.parquet", [content])), "parquet")


@pytest.mark.parametrize("content", [b"\x89PNG\r\n\x1a\n\x00", b"a,b\x00,c\n1,2,3\n", b'"a"b,c\n1,2\n'])
def test_a_csv_whose_header_is_no_text_is_no_file_without_rows(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read as CSV: its first line"):
        rows_of(write(tmp_path / "x.csv", [content]), "csv")
    assert rows_of(write(tmp_path / "empty.csv", []), "csv") == []
