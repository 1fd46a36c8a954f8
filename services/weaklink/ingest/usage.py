"""Accepted usage to activity rows: equal to `fold.fold_activity` of it, without a frame of the events in between."""

import secrets
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from weaklink import frames
from weaklink.frames import ACTIVITY
from weaklink.ingest import fold_loops
from weaklink.ingest.accounts import Accounts, Numbered
from weaklink.ingest.events import from_codes
from weaklink.ingest.fold import TOKENS_MAX
from weaklink.ingest.outcome import Accepted

_SECRET: Final = np.uint64(secrets.randbits(64) | 1)
_LOW: Final = (1 << 32) - 1
_WHERE: Final = ("occurred_at", "task", "address_class", "requests", "input_tokens", "output_tokens")


def fold_usage(accepted: Accepted, accounts: Accounts) -> pl.DataFrame:
    """ApiUsage to ACTIVITY: folded by account, hour, model, task, end user and address class."""
    layout, events, rows = accepted.layout, accepted.events, accepted.rows
    models, end_users = (Numbered.of(events, layout, name, rows) for name in ("model", "end_user"))
    slots = events.workspace.zeros(1 << (2 * len(rows)).bit_length())
    usage, logs = events.workspace.take(len(rows), fold_loops.USAGE_WORDS), np.empty((len(rows), 2))
    count = fold_loops.add_usage(
        rows, events.values, events.appended_us, accounts.number, models.number, end_users.number,
        np.array([layout.slot(name) for name in _WHERE], dtype=np.int64), TOKENS_MAX, usage, logs, slots, _SECRET,
    )  # fmt: skip
    usage, logs = usage[:count], logs[:count]
    who, what, how = (_column(usage, word) for word in (fold_loops.WHO, fold_loops.WHAT, fold_loops.HOW))
    account, events_count = pl.Series(who >> 32), pl.Series(_column(usage, fold_loops.EVENTS)).cast(pl.UInt32)
    end_user = pl.Series((what & _LOW) - 1)
    columns: dict[str, Any] = {
        "account": accounts.hashes.gather(account),
        "party": accounts.parties.gather(account),
        "account_name": accounts.names.gather(account),
        "record": pl.lit("ApiUsage", frames.RECORD),
        "hour": pl.Series(who & _LOW).cast(pl.Int32),
        "first_seen_us": pl.Series(_column(usage, fold_loops.USED_FIRST)),
        "last_seen_us": pl.Series(_column(usage, fold_loops.USED_LAST)),
        "appended_at_us": pl.Series(_column(usage, fold_loops.USED_APPENDED)),
        "events": events_count,
        "model": models.series("model", pl.String).gather(pl.Series(what >> 32)),
        "task": from_codes(pl.Series("task", how >> 8), frames.TASK),
        "end_user": _or_null(end_users.series("end_user", pl.Binary), end_user),
        "address_class": from_codes(pl.Series("address_class", how & 0xFF), frames.ADDRESS_CLASS),
        "windows": events_count,
        "requests": pl.Series(_column(usage, fold_loops.USED_REQUESTS)),
        "input_tokens": pl.Series(_column(usage, fold_loops.INPUT_TOKENS)),
        "output_tokens": pl.Series(_column(usage, fold_loops.OUTPUT_TOKENS)),
        "log_requests_sum": pl.Series(np.ascontiguousarray(logs[:, 0])),
        "log_requests_sq_sum": pl.Series(np.ascontiguousarray(logs[:, 1])),
    }
    return pl.select(
        columns[name].alias(name) if name in columns else pl.lit(None, dtype).alias(name)
        for name, dtype in ACTIVITY.items()
    )


def _column(usage: npt.NDArray[np.int64], word: int) -> npt.NDArray[np.int64]:
    return np.ascontiguousarray(usage[:, word])


def _or_null(distinct: pl.Series, number: pl.Series) -> pl.Series:
    """The distinct value of each number; null where that is -1."""
    if distinct.is_empty():
        return pl.Series([None], dtype=distinct.dtype).new_from_index(0, len(number))
    return distinct.gather(number.set(number < 0, None))
