"""Reading input: every row counts once, or is told by file and line with a reason."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.backtest.histories import START, history, row, written
from weaklink.backtest.table import COLUMNS, DUPLICATE, read_table
from weaklink.backtest.tokenise import tokenise
from weaklink.errors import ConfigurationError
from weaklink.partner.tokens import LocalTokeniser
from weaklink.records import reasons


def good(**changes: Any) -> dict[str, Any]:
    return row("lab-a", "lab", "ApiUsage", START, "one", model="m", task="OTHER", requests=1) | changes


@pytest.mark.parametrize(
    ("changes", "reason", "field"),
    [
        ({"event_type": "Nonsense"}, reasons.MALFORMED, "event_type"),
        ({"event_type": "ActionReceipt"}, reasons.UNKNOWN_ACTION, "event_type"),
        ({"event_type": "AddressLease"}, reasons.RECORD_NOT_ALLOWED, "event_type"),
        ({"event_type": "AccountClosed"}, reasons.MALFORMED, "reason"),
        ({"party": "Not.An.Id"}, reasons.MALFORMED, "party"),
        ({"party": "lab-q", "party_kind": "shop"}, reasons.MALFORMED, "party_kind"),
        ({"account": None}, reasons.BAD_ACCOUNT, "account"),
        ({"account": ""}, reasons.BAD_ACCOUNT, "account"),
        ({"account": "x" * 129}, reasons.BAD_ACCOUNT, "account"),
        ({"account": "a\x1fb"}, reasons.BAD_ACCOUNT, "account"),
        ({"requests": -1}, reasons.NEGATIVE_COUNT, "requests"),
        ({"requests": 2**40}, reasons.MALFORMED, "requests"),
        ({"task": "DANCING"}, reasons.MALFORMED, "task"),
        ({"released_at": START - timedelta(seconds=1)}, reasons.BAD_INTERVAL, "released_at"),
        ({"occurred_at": None}, reasons.MALFORMED, "occurred_at"),
    ],
)
def test_a_bad_row_is_told_with_its_line_reason_and_field(
    tmp_path: Path, changes: dict[str, Any], reason: str, field: str
) -> None:
    rows = [good(), good(**changes), good(account="two")]
    events, rejects = read_table([written(tmp_path, pl.DataFrame(rows, schema=COLUMNS))])
    assert events["account"].to_list() == ["one", "two"]
    assert rejects.select("line", "reason", "field").rows() == [(2, reason, field)]


def test_a_value_of_the_wrong_type_is_a_reject_not_a_null(tmp_path: Path) -> None:
    frame = pl.DataFrame([good(), good(account="two")], schema=COLUMNS).with_columns(
        pl.Series("requests", ["7", "many"])
    )
    events, rejects = read_table([written(tmp_path, frame)])
    assert events["requests"].to_list() == [7]
    assert rejects.select("line", "reason", "field").rows() == [(2, reasons.MALFORMED, "requests")]


def test_an_equal_row_counts_once_also_across_files(tmp_path: Path) -> None:
    frame = pl.DataFrame([good(), good(account="two"), good()], schema=COLUMNS)
    paths = [written(tmp_path, frame, "a"), written(tmp_path, frame.head(1), "b")]
    events, rejects = read_table(paths)
    assert events.height == 2
    assert rejects.select("file", "line", "reason").rows() == [
        (str(paths[0]), 3, DUPLICATE),
        (str(paths[1]), 1, DUPLICATE),
    ]


def test_missing_columns_are_null_and_get_what_an_ignorant_party_would_send(tmp_path: Path) -> None:
    frame = pl.DataFrame([good()], schema=COLUMNS).select("party", "party_kind", "event_type", "occurred_at", "account")
    events, rejects = read_table([written(tmp_path, frame)])
    assert rejects.is_empty()
    assert events.select("task", "requests", "verified", "model").row(0) == ("OTHER", 1, "NONE", "unknown")


def test_a_file_without_a_needed_column_or_that_is_no_parquet_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="lacks the columns occurred_at"):
        read_table([written(tmp_path, pl.DataFrame([good()], schema=COLUMNS).drop("occurred_at"))])
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"not parquet at all")
    with pytest.raises(ConfigurationError, match="not a readable Parquet file"):
        read_table([broken])


def test_a_party_of_two_kinds_is_one_clear_error(tmp_path: Path) -> None:
    rows = [good(), good(party_kind="router")]
    with pytest.raises(ConfigurationError, match=r"several kinds: lab \(.*parquet row 1\), router \(.*parquet row 2\)"):
        read_table([written(tmp_path, pl.DataFrame(rows, schema=COLUMNS))])


def test_bad_rows_make_no_party_of_two_kinds(tmp_path: Path) -> None:
    """A kind that is none, or missing, and rows that name nobody, are told row by row."""
    rows = [
        good(),
        good(party_kind="labb"),
        good(party_kind=None),
        good(party=None),
        good(party=None, party_kind="cloud"),
    ]
    events, rejects = read_table([written(tmp_path, pl.DataFrame(rows, schema=COLUMNS))])
    assert events.height == 1
    assert rejects.select("line", "field").rows() == [(2, "party_kind"), (3, "party_kind"), (4, "party"), (5, "party")]


@pytest.mark.parametrize(
    ("column", "values", "wanted"),
    [("occurred_at", ["2026-03-02T09:00:00Z"], "timestamps in UTC"), ("identifiers", ["x"], "List")],
)
def test_a_column_of_which_no_value_can_be_read_is_named_with_its_type(
    tmp_path: Path, column: str, values: list[Any], wanted: str
) -> None:
    frame = pl.DataFrame([good()], schema=COLUMNS).with_columns(pl.Series(column, values))
    with pytest.raises(ConfigurationError, match=rf"parquet: column {column} is String; it must be {wanted}"):
        read_table([written(tmp_path, frame)])


@pytest.mark.parametrize("dtype", [pl.Datetime("ms"), pl.Datetime("ns"), pl.Datetime("ms", "America/New_York")])
def test_times_of_any_unit_and_zone_are_read(tmp_path: Path, dtype: pl.Datetime) -> None:
    """Without a zone they are UTC."""
    frame = pl.DataFrame([good()], schema=COLUMNS).with_columns(
        pl.col("occurred_at").dt.convert_time_zone(dtype.time_zone or "UTC").cast(dtype)
    )
    events, _ = read_table([written(tmp_path, frame)])
    assert events["occurred_at"].to_list() == [START]


@pytest.mark.parametrize(
    "changes",
    [{"account": "x"}, {"account": "x" * 128}, {"released_at": START}, {"requests": 0}, {"requests": 2**31 - 1}],
)
def test_what_lies_at_a_limit_counts(tmp_path: Path, changes: dict[str, Any]) -> None:
    events, rejects = read_table([written(tmp_path, pl.DataFrame([good(**changes)], schema=COLUMNS))])
    assert (events.height, rejects.height) == (1, 0)


def test_rows_are_accepted_rejected_or_duplicates_and_nothing_else(tmp_path: Path) -> None:
    frame = pl.concat([history(), history().head(5), pl.DataFrame([good(account="")], schema=COLUMNS)])
    events, rejects = read_table([written(tmp_path, frame)])
    done = tokenise(events, LocalTokeniser.throwaway(), lambda *_: None)
    assert done.events.height + done.rejects.height + rejects.height == frame.height
    assert rejects.filter(pl.col("reason") == DUPLICATE).height == 5


def test_tokens_join_equal_values_and_nothing_of_a_refused_value_is_told(tmp_path: Path) -> None:
    rows = [
        good(identifiers=[{"kind": "IP", "value": "192.0.2.1"}, {"kind": "CARD", "value": "4111 1111 1111 1111"}]),
        good(account="two", identifiers=[{"kind": "CARD", "value": "4111111111111111"}], end_user="customer-9"),
        good(account="three", identifiers=[{"kind": "IP", "value": "secret.address"}]),
        good(account="four", identifiers=[{"kind": "SHOE", "value": "44"}]),
        good(account="five", identifiers=[{"kind": "DEVICE", "value": f"d{i}"} for i in range(33)]),
        good(account="six", identifiers=[{"kind": "IP", "value": "192.0.2.1"}] * 40),
    ]
    events, _ = read_table([written(tmp_path, pl.DataFrame(rows, schema=COLUMNS))])
    done = tokenise(events, LocalTokeniser.throwaway(), lambda *_: None)
    tokens = dict(done.events.select("account", "identifiers").rows())
    assert set(tokens) == {"one", "two", "six"}
    assert tokens["one"][1] == tokens["two"][0]
    assert tokens["six"] == tokens["one"][:1]
    assert done.events.filter(pl.col("account") == "two")["end_user"][0][0] == 12
    assert done.rejects.sort("line").select("line", "reason").rows() == [
        (3, reasons.BAD_IDENTIFIER),
        (4, reasons.BAD_IDENTIFIER),
        (5, reasons.TOO_MANY_IDENTIFIERS),
    ]
    assert not done.rejects["detail"].str.contains("secret").any()
