"""Rules that every event must keep, by column: one reason and field for each bad event, the first that applies in the order given here."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from weaklink.ingest.config import MICROSECONDS_PER_DAY, IngestConfig
from weaklink.records import reasons
from weaklink.records.identifiers import ACCOUNT_CHARACTERS_MAX, IDENTIFIERS_MAX, TOKEN_BYTES, IdentifierKind

_EVENT_ID_BYTES: Final = 16
_TEXT_CHARACTERS_MAX: Final = 256
_CONTROL: Final = r"\p{Cc}"
_SLOTS: Final = 1 << 16
_US_PER_HOUR: Final = 3_600_000_000
_KIND_MIN: Final = int(min(IdentifierKind))
_KIND_MAX: Final = int(max(IdentifierKind))
_COUNTS: Final = ("window_seconds", "requests", "input_tokens", "output_tokens", "revision")
_REQUIRED_TEXTS: Final = ("model", "action_id")
_OPTIONAL_TEXTS: Final = ("merchant", "reason", "note")


@dataclass(frozen=True, slots=True)
class Violation:
    """Events under `bad` break this rule."""

    reason: str
    field: str
    detail: str
    bad: npt.NDArray[np.bool_]


def validate(events: pl.DataFrame, record: str, config: IngestConfig, *, age_limits: bool) -> list[Violation]:
    """The rules that some of these events break (each event under one of them only); an empty list when all are good.

    Columns: those of the record's latest schema, and `appended_at_us` (now, to age limits). `age_limits` is false under `clock=event`.
    """
    left = np.ones(events.height, dtype=np.bool_)
    violations: list[Violation] = []
    for violation in _violations(events, record, config, age_limits):
        bad = violation.bad & left
        if bad.any():
            violations.append(Violation(violation.reason, violation.field, violation.detail, bad))
            left &= ~bad
    return violations


def _violations(events: pl.DataFrame, record: str, config: IngestConfig, age_limits: bool) -> Iterator[Violation]:
    columns = set(events.columns)
    yield _rule(
        events, reasons.BAD_EVENT_ID, "event_id", "not 16 bytes", pl.col("event_id").bin.size() != _EVENT_ID_BYTES
    )
    if "account" in columns:
        yield _text(events, "account", reasons.BAD_ACCOUNT, ACCOUNT_CHARACTERS_MAX, empty_allowed=False)
    if "identifiers" in columns:
        yield _rule(
            events,
            reasons.TOO_MANY_IDENTIFIERS,
            "identifiers",
            f"more than {IDENTIFIERS_MAX}",
            pl.col("identifiers").list.len() > IDENTIFIERS_MAX,
        )
        yield Violation(
            reasons.BAD_IDENTIFIER,
            "identifiers",
            "a token is not 17 bytes of a known kind",
            _bad_tokens(events["identifiers"]),
        )
    if "end_user" in columns:
        token = pl.col("end_user")
        known = (token.bin.size() == TOKEN_BYTES) & token.bin.starts_with(bytes((IdentifierKind.END_USER,)))
        yield _rule(events, reasons.BAD_IDENTIFIER, "end_user", "not an END_USER token of 17 bytes", ~known)
    yield from _times(events, record, config, age_limits)
    for name in _COUNTS:
        if name in columns:
            yield _rule(events, reasons.NEGATIVE_COUNT, name, "negative", pl.col(name) < 0)
    for name in _REQUIRED_TEXTS:
        if name in columns:
            yield _text(events, name, reasons.BAD_TEXT, _TEXT_CHARACTERS_MAX, empty_allowed=False)
    for name in _OPTIONAL_TEXTS:
        if name in columns and events.schema[name] == pl.String:
            yield _text(events, name, reasons.BAD_TEXT, _TEXT_CHARACTERS_MAX, empty_allowed=True)


def _times(events: pl.DataFrame, record: str, config: IngestConfig, age_limits: bool) -> Iterator[Violation]:
    occurred, now = pl.col("occurred_at").cast(pl.Int64), pl.col("appended_at_us")
    days = {
        "ApiUsage": config.usage_age_days_max,
        "PaymentAttempt": config.usage_age_days_max,
        "AddressLease": config.lease_age_days_max,
    }.get(record)
    # Whatever the clock: times before 1970, or beyond the last slot number, cannot be kept at all.
    old, old_detail = occurred < 0, "before 1970"
    if age_limits and days is not None:
        old, old_detail = old | (occurred < now - days * MICROSECONDS_PER_DAY), f"more than {days} days ago"
    yield _rule(events, reasons.TOO_OLD, "occurred_at", old_detail, old)
    ahead, ahead_detail = occurred >= _SLOTS * config.slot_hours * _US_PER_HOUR, "further ahead than slots are numbered"
    if age_limits:
        ahead, ahead_detail = (
            ahead | (occurred > now + config.future_seconds_max * 1_000_000),
            f"more than {config.future_seconds_max} s ahead",
        )
    yield _rule(events, reasons.IN_THE_FUTURE, "occurred_at", ahead_detail, ahead)
    if "released_at" in events.columns:
        released = pl.col("released_at").cast(pl.Int64)
        floor = occurred if record == "AddressLease" else pl.lit(0)
        yield _rule(events, reasons.BAD_INTERVAL, "released_at", "too early", released < floor)


def _rule(events: pl.DataFrame, reason: str, field: str, detail: str, bad: pl.Expr) -> Violation:
    return Violation(reason, field, detail, events.select(bad.fill_null(False)).to_series().to_numpy())


def _text(events: pl.DataFrame, field: str, reason: str, characters_max: int, *, empty_allowed: bool) -> Violation:
    column = pl.col(field)
    # The length in bytes bounds that in characters from above, and costs nothing.
    bad = (column.str.len_bytes() > characters_max) & (column.str.len_chars() > characters_max)
    if not empty_allowed:
        bad = bad | (column.str.len_bytes() == 0)
    if _may_hold_control(events[field]):
        bad = bad | column.str.contains(_CONTROL)
    return _rule(
        events, reason, field, f"empty, longer than {characters_max} characters, or with control characters", bad
    )


def _may_hold_control(column: pl.Series) -> bool:
    """Whether any byte of the column could belong to a control character: looked up in one sweep, since hardly any column has one."""
    text: Any = column.drop_nulls().cast(pl.Binary).to_arrow()
    if not len(text):
        return False
    ends = np.frombuffer(text.buffers()[1], dtype=np.int64)[text.offset : text.offset + len(text) + 1]
    data = np.frombuffer(text.buffers()[2] or b"", dtype=np.uint8)[ends[0] : ends[-1]]
    # C0 and DEL are one byte; C1 (U+0080 to U+009F) is C2 and one more.
    return bool(((data < 0x20) | (data == 0x7F) | (data == 0xC2)).any())


def _bad_tokens(identifiers: pl.Series) -> npt.NDArray[np.bool_]:
    lists: Any = identifiers.to_arrow()
    items: Any = lists.flatten()
    bad = np.zeros(len(identifiers), dtype=np.bool_)
    if not len(items):
        return bad
    ends = np.frombuffer(items.buffers()[1], dtype=np.int64)[items.offset : items.offset + len(items) + 1]
    data = np.frombuffer(items.buffers()[2] or b"", dtype=np.uint8)
    wrong = np.diff(ends) != TOKEN_BYTES
    starts = ends[:-1][~wrong]
    kinds = data[starts]
    wrong[~wrong] = (kinds < _KIND_MIN) | (kinds > _KIND_MAX)
    if wrong.any():
        row = np.repeat(np.arange(len(identifiers)), np.diff(np.asarray(lists.offsets)))
        bad[row[wrong]] = True
    return bad
