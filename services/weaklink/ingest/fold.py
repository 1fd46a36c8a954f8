"""Frames of events to links and activity. Pure, and independent of where batches are cut: folding parts and merging equals folding the whole.

Events in: the columns of the record's latest schema (times as Datetime("us") or Int64), plus `appended_at_us` Int64.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from weaklink import frames
from weaklink.account_keys import account_hash
from weaklink.frames import ACTIVITY, LINKS
from weaklink.ingest import tokens
from weaklink.ingest.config import MICROSECONDS_PER_DAY, IngestConfig
from weaklink.ingest.fold_loops import LEASE_TOKENS
from weaklink.records.identifiers import IdentifierKind

_HOUR_US: Final = 3_600_000_000
_SLOT_MAX: Final = (1 << 16) - 1
TOKENS_MAX: Final = 1 << 40  # an event that claims more says nothing; counted as this many, so that no sum can overflow
UNLINKED: Final = frozenset({"ModelReleased", "ActionReceipt"})

_LINK_KEYS: Final = ("identifier", "slot", "account")
_USE: Final = "use"  # number of the use, or uninterrupted stretch of uses, that a row belongs to
_USAGE_KEYS: Final = ("account", "hour", "model", "task", "end_user", "address_class")
_USAGE_SUMS: Final = ("windows", "requests", "input_tokens", "output_tokens", "log_requests_sum", "log_requests_sq_sum")


def fold_links(events: pl.DataFrame, record: str, party: str, config: IngestConfig) -> pl.DataFrame:
    """Valid events of one record and party to LINKS: one row per (identifier, slot, account), and several where it lay idle for `use_gap_hours`.

    END_USER tokens make no links. A token that an event names twice counts once. `requests` is usage (ApiUsage), else 0.
    An AddressLease gives one row for each slot that it covers, with the part of the lease in the slot as first and last seen.
    """
    if record in UNLINKED or events.is_empty():
        return frames.empty(LINKS)
    every = tokens.explode(events["identifiers"])
    mentions = every.take(tokens.first_mentions(every) & (every.kind != IdentifierKind.END_USER))
    row, kind = mentions.row, mentions.kind
    first = _microseconds(events["occurred_at"])[row]
    last = first
    slot = np.where(kind == IdentifierKind.IP, first // _slot_us(config), 0)
    columns: dict[str, npt.NDArray[Any]] = {
        "identifier": mentions.identifier,
        "tail": mentions.tail,
        "kind": kind,
        "epoch": mentions.epoch,
    }
    if record == "AddressLease":
        copies, slot, first, last = _lease_slots(events, row, kind, config)
        columns = {name: column[copies] for name, column in columns.items()}
        row = row[copies]
    columns |= {"slot": slot.astype(np.uint16), "first_seen_us": first, "last_seen_us": last}
    accounts = events.select(account_hash(party, "account").alias("account"))["account"]
    per_event = {"account": accounts.to_numpy(), "appended_at_us": events["appended_at_us"].to_numpy()}
    if record == "ApiUsage":
        per_event["requests"] = events["requests"].cast(pl.Int64).to_numpy()
    columns |= {name: values[row] for name, values in per_event.items()}
    rows = pl.DataFrame(columns).with_columns(mentions=pl.lit(1, pl.UInt32))
    if record != "ApiUsage":
        rows = rows.with_columns(requests=pl.lit(0, pl.Int64))
    return group_links(rows, config)


def fold_activity(events: pl.DataFrame, record: str, party: str) -> pl.DataFrame:
    """Valid events of one record and party to ACTIVITY.

    ApiUsage is folded by (account, hour, model, task, end_user, address_class); every other event is a row. ActionReceipt gives none.
    """
    account = pl.lit(0, pl.UInt64) if record == "ModelReleased" else account_hash(party, "account")
    return activity_of(events, record, pl.lit(party), account)


def activity_of(events: pl.DataFrame, record: str, party: pl.Expr, account: pl.Expr) -> pl.DataFrame:
    """`fold_activity` of events of several parties: `party` and `account` give the party of each and its account's hash."""
    if record == "ActionReceipt" or events.is_empty():
        return frames.empty(ACTIVITY)
    occurred = _as_microseconds("occurred_at", events)
    columns: dict[str, pl.Expr] = {
        "account": account,
        "party": party,
        "account_name": pl.lit(None, pl.String) if record == "ModelReleased" else pl.col("account"),
        "record": pl.lit(record, frames.RECORD),
        "hour": occurred.floordiv(_HOUR_US).cast(pl.Int32),
        "first_seen_us": occurred,
        "last_seen_us": occurred,
        "appended_at_us": pl.col("appended_at_us"),
        "events": pl.lit(1, pl.UInt32),
    }
    if record == "ApiUsage":
        log_requests = pl.col("requests").cast(pl.Float64).clip(lower_bound=1.0).log()
        columns |= {
            "windows": pl.lit(1, pl.UInt32),
            "input_tokens": pl.col("input_tokens").clip(upper_bound=TOKENS_MAX),
            "output_tokens": pl.col("output_tokens").clip(upper_bound=TOKENS_MAX),
            "log_requests_sum": log_requests,
            "log_requests_sq_sum": log_requests.pow(2),
        }
    if record in ("AddressLease", "ModelReleased"):
        columns["released_at_us"] = _as_microseconds("released_at", events)
    rows = events.select(
        (columns[name] if name in columns else _column_or_default(name, dtype, events)).cast(dtype).alias(name)
        for name, dtype in ACTIVITY.items()
    )
    return group_usage(rows) if record == "ApiUsage" else rows


def _slot_us(config: IngestConfig) -> int:
    return config.slot_hours * _HOUR_US


def _microseconds(series: pl.Series) -> npt.NDArray[np.int64]:
    """A time column as int64 microseconds; null becomes -1."""
    return series.cast(pl.Int64).fill_null(-1).to_numpy()


def _as_microseconds(name: str, events: pl.DataFrame) -> pl.Expr:
    column = pl.col(name)
    if isinstance(events.schema[name], pl.Datetime):
        column = column.dt.cast_time_unit("us")
    return column.cast(pl.Int64)


def _column_or_default(name: str, dtype: pl.DataType, events: pl.DataFrame) -> pl.Expr:
    """The event's own column where it has one, else what ACTIVITY holds for "not applicable": 0 for counts, null otherwise."""
    if name in events.columns:
        return pl.col(name)
    counted = dtype in (pl.UInt32, pl.Int64, pl.Float64) and name != "released_at_us"
    return pl.lit(0 if counted else None)


def _lease_slots(
    events: pl.DataFrame, row: npt.NDArray[np.int64], kind: npt.NDArray[np.uint8], config: IngestConfig
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """For each mention, its copies (indices into the mentions), their slots, and first and last seen within the slot.

    Only addresses are held for the time of the lease; other tokens were seen when it began. Slots times tokens are no more than of a lease with two
    tokens: the slots of a lease with more are cut at the end.
    """
    slot_us = _slot_us(config)
    begin = _microseconds(events["occurred_at"])[row]
    released = _microseconds(events["released_at"])[row]
    end = np.where(released < 0, begin + config.lease_open_days * MICROSECONDS_PER_DAY, released)
    address = kind == IdentifierKind.IP
    first_slot = np.where(address, begin // slot_us, 0)
    many = np.maximum(events["identifiers"].list.len().to_numpy().astype(np.int64)[row], LEASE_TOKENS)
    slots_max = np.maximum(LEASE_TOKENS * config.lease_slots_max // many, 1)
    last_slot = np.where(address, np.minimum(end // slot_us, first_slot + slots_max - 1), 0)
    counts = np.minimum(last_slot, _SLOT_MAX) - first_slot + 1
    copies = np.repeat(np.arange(len(row), dtype=np.int64), counts)
    within = np.arange(len(copies), dtype=np.int64) - np.repeat(np.cumsum(counts) - counts, counts)
    slot = first_slot[copies] + within
    held = address[copies]
    first = np.where(held, np.maximum(begin[copies], slot * slot_us), begin[copies])
    last = np.where(held, np.minimum(end[copies], (slot + 1) * slot_us - 1), begin[copies])
    return copies, slot, first, last


def group_links(rows: pl.DataFrame, config: IngestConfig) -> pl.DataFrame:
    """LINKS rows as one for each (identifier, slot, account) and stretch of use.

    Which stretches there are follows from the set of uses alone, wherever it was cut into parts.
    """
    gap_us = config.use_gap_hours * _HOUR_US
    grouped = _fold_by(rows, _LINK_KEYS)
    # Hardly any account shows an identifier so long after it first did within one transaction: only those are looked at use by use.
    # A slot bounds its own uses.
    idle = (pl.col("slot") == 0) & (pl.col("last_seen_us") - pl.col("first_seen_us") > gap_us)
    long = grouped.filter(idle).select(_LINK_KEYS)
    if long.is_empty():
        return grouped
    return pl.concat([grouped.filter(~idle), split_uses(rows.join(long, on=_LINK_KEYS, how="semi"), config)])


def split_uses(uses: pl.DataFrame, config: IngestConfig) -> pl.DataFrame:
    """Uses of links (LINKS) as one row for each stretch of them that is nowhere idle for `use_gap_hours`."""
    earlier_end = pl.col("last_seen_us").cum_max().shift(1).over(_LINK_KEYS)
    begins = earlier_end.is_null() | (pl.col("first_seen_us") - earlier_end > config.use_gap_hours * _HOUR_US)
    numbered = uses.sort(*_LINK_KEYS, "first_seen_us").with_columns(begins.cum_sum().alias(_USE))
    return _fold_by(numbered, (*_LINK_KEYS, _USE))


def _fold_by(rows: pl.DataFrame, keys: Sequence[str]) -> pl.DataFrame:
    # kind, epoch and tail belong to the token; that two tokens agree in 64 hashed bits happens only on purpose, and then the first counts.
    grouped = rows.group_by(keys).agg(
        pl.col("tail", "kind", "epoch").first(),
        pl.col("first_seen_us").min(),
        pl.col("last_seen_us", "appended_at_us").max(),
        pl.col("mentions", "requests").sum(),
    )
    return grouped.select(LINKS.names())


def group_usage(rows: pl.DataFrame) -> pl.DataFrame:
    """ACTIVITY rows of ApiUsage as one for each (account, hour, model, task, end_user, address_class)."""
    grouped = rows.group_by(_USAGE_KEYS).agg(
        pl.col("first_seen_us").min(),
        pl.col("last_seen_us", "appended_at_us").max(),
        pl.col("events", *_USAGE_SUMS).sum(),
        pl.exclude(*_USAGE_KEYS, *_USAGE_SUMS, "events", "first_seen_us", "last_seen_us", "appended_at_us").first(),
    )
    return grouped.select(ACTIVITY.names())
