"""Account profiles: the fold of ACTIVITY. Every aggregate is commutative, so the order of chunks does not matter."""

from functools import cache
from typing import Final

import numpy as np
import polars as pl

from weaklink import frames
from weaklink.campaigns.columns import UNKNOWN, FoldedColumns
from weaklink.campaigns.folding import Fold, FoldedTable
from weaklink.campaigns.graph import Floats, Keys

TASKS: Final = tuple(frames.TASK.categories.to_list())
TASK_COLUMNS: Final = tuple(f"windows_{task.lower()}" for task in TASKS)
PREPAID_INSTRUMENTS: Final = ("PREPAID", "VIRTUAL", "CRYPTO")
_RECORDS: Final = ("ApiUsage", "AccountOpened", "AccountClosed", "PaymentAttempt")
_OUTCOMES: Final = ("APPROVED", "DECLINED", "CHARGEBACK", "REFUNDED")
HIDDEN_ADDRESSES: Final = ("HOSTING", "VPN", "TOR")
US_PER_DAY: Final = 86_400_000_000
US_PER_HOUR: Final = 3_600_000_000

_ACCOUNT_SUMS: Final = (
    "events", "windows", "requests", "input_tokens", "output_tokens", "hidden_windows", "end_user_windows",
    *TASK_COLUMNS, *(f"payments_{o.lower()}" for o in _OUTCOMES), "payments_prepaid",
)  # fmt: skip
_ACCOUNT_FLOAT_SUMS: Final = ("log_requests_sum", "log_requests_sq_sum")
_GRID: Final = float(1 << 20)
_ACCOUNT_MINS: Final = ("first_seen_us", "opened_at_us", "first_usage_us")
_ACCOUNT_MAXES: Final = (
    "last_seen_us", "appended_at_us", "opened_code", "closed_at_us", "closed_distillation", "closed_abuse", "last_usage_us",
)  # fmt: skip

ACCOUNTS: Final = pl.Schema(
    {
        "account": pl.UInt64,
        "party": pl.String,
        "account_name": pl.String,
        **dict.fromkeys(_ACCOUNT_MINS, pl.Int64),
        **dict.fromkeys(_ACCOUNT_MAXES, pl.Int64),
        **dict.fromkeys(_ACCOUNT_SUMS, pl.Int64),
        **dict.fromkeys(_ACCOUNT_FLOAT_SUMS, pl.Float64),
    }
)
"""One row per account. `opened_code` packs the newest AccountOpened (`opened_attributes` unpacks it); `closed_*` are 0 or 1."""

JUDGED: Final = (
    "account", "party", *_ACCOUNT_MINS, "last_seen_us", "opened_code", "closed_at_us", "closed_distillation", "closed_abuse",
    "last_usage_us", "windows", "input_tokens", "output_tokens", "end_user_windows", *TASK_COLUMNS, *_ACCOUNT_FLOAT_SUMS,
)  # fmt: skip
"""Columns of ACCOUNTS that say what to believe of an account."""
EVALUATED: Final = (*JUDGED, "account_name", "requests", "appended_at_us")
"""Columns of ACCOUNTS that an evaluation of everything is made from, and tells."""
TOLD: Final = (
    "account", "party", "account_name", *_ACCOUNT_MINS, "last_seen_us", "appended_at_us", "opened_code", "closed_at_us", "closed_distillation",
    "closed_abuse", "last_usage_us", "windows", "requests", "output_tokens", "end_user_windows",
)  # fmt: skip
"""Columns of ACCOUNTS that say who is in a campaign, and what it has of them, once it is known what to believe."""

DAILY: Final = pl.Schema({"account": pl.UInt64, "day": pl.Int32, "requests": pl.Int64, "output_tokens": pl.Int64})
MODELS: Final = pl.Schema(
    {
        "account": pl.UInt64,
        "model": pl.String,
        "first_seen_us": pl.Int64,
        "last_seen_us": pl.Int64,
        "requests": pl.Int64,
    }
)
_END_USER_SUMS: Final = ("requests", "windows", "input_tokens", "output_tokens", *TASK_COLUMNS)
END_USERS: Final = pl.Schema(
    {
        "account": pl.UInt64,
        "end_user": pl.Binary,
        "last_seen_us": pl.Int64,
        **dict.fromkeys(_END_USER_SUMS, pl.Int64),
        **dict.fromkeys(_ACCOUNT_FLOAT_SUMS, pl.Float64),
    }
)
"""One row per customer that a reseller names: what its conduct is judged by."""
RELEASES: Final = pl.Schema({"party": pl.String, "model": pl.String, "released_at_us": pl.Int64})
PARTIES: Final = pl.Schema({"party": pl.String, "since_us": pl.Int64})
"""Since when each party tells what its accounts do. Openings do not count: they are told of long ago, too."""

# (field, symbols, symbol when absent, place value) of what `opened_code` holds below the seconds of the opening.
_OPENED: Final = (
    ("plan", frames.PLAN, "UNKNOWN", 1),
    ("verified", frames.VERIFIED, "NONE", 8),
    ("mail_class", frames.MAIL_CLASS, "UNKNOWN", 64),
    ("address_class", frames.ADDRESS_CLASS, "UNKNOWN", 512),
)
_OPENED_CODES: Final = 4096


def _is(record: str) -> pl.Expr:
    return pl.col("record") == record


def _count(condition: pl.Expr, column: str) -> pl.Expr:
    return pl.when(condition.fill_null(value=False)).then(pl.col(column)).otherwise(0).cast(pl.Int64)


def _account_columns(activity: pl.DataFrame) -> dict[str, Keys]:
    """What each row of ACTIVITY adds to its account: `FoldedColumns.add_columns` takes them. In numpy, since a tick has few rows and many columns."""
    codes = _codes(activity)
    record, task, outcome, reason = (codes[name] for name in ("record", "task", "outcome", "reason"))
    usage, opened, closed, paid = (record == symbol(frames.RECORD, name) for name in _RECORDS)
    first, last, events = (activity[name].to_numpy() for name in ("first_seen_us", "last_seen_us", "events"))
    code = sum(
        np.where(np.isnan(codes[name]), symbol(enum, absent), codes[name]).astype(np.int64) * place
        for name, enum, absent, place in _OPENED
    )
    windows = np.where(usage, _counts(activity, "windows"), 0)
    prepaid = paid & np.isin(codes["instrument"], [symbol(frames.INSTRUMENT, one) for one in PREPAID_INSTRUMENTS])
    hidden = np.isin(codes["address_class"], [symbol(frames.ADDRESS_CLASS, one) for one in HIDDEN_ADDRESSES])
    named = activity["end_user"].is_not_null().to_numpy()
    never, always = UNKNOWN["min"], UNKNOWN["max"]
    return {
        "account": activity["account"].to_numpy(),
        "first_seen_us": first,
        "opened_at_us": np.where(opened, first, never),
        "first_usage_us": np.where(usage, first, never),
        "last_seen_us": last,
        "appended_at_us": activity["appended_at_us"].to_numpy(),
        "opened_code": np.where(opened, last // 1_000_000 * _OPENED_CODES + code, always),
        "closed_at_us": np.where(closed, last, always),
        "closed_distillation": closed & (reason == symbol(frames.CLOSE_REASON, "DISTILLATION")),
        "closed_abuse": closed & np.isin(reason, [symbol(frames.CLOSE_REASON, one) for one in ("FRAUD", "TERMS")]),
        "last_usage_us": np.where(usage, last, always),
        "events": events,
        "windows": windows,
        **{name: np.where(usage, _counts(activity, name), 0) for name in ("requests", "input_tokens", "output_tokens")},
        "hidden_windows": windows * hidden,
        "end_user_windows": windows * named,
        **{name: windows * (task == symbol(frames.TASK, one)) for one, name in zip(TASKS, TASK_COLUMNS, strict=True)},
        **{f"payments_{one.lower()}": events * (paid & (outcome == symbol(frames.OUTCOME, one))) for one in _OUTCOMES},
        "payments_prepaid": events * prepaid,
        **{name: on_grid(_counts(activity, name)) for name in _ACCOUNT_FLOAT_SUMS},
    }


def on_grid(values: Floats) -> Floats:
    """Rounded to a multiple of 2**-20. Sums of such numbers are exact up to 2**33, so that the order of chunks leaves no trace in the last bits."""
    rounded: Floats = np.round(values * _GRID) / _GRID
    return rounded


def _codes(activity: pl.DataFrame) -> dict[str, Floats]:
    """By Enum column, the places of its symbols; NaN: null."""
    places = activity.select(pl.col(pl.Enum).to_physical().cast(pl.Float64).fill_null(float("nan")))
    return {name: places[name].to_numpy() for name in places.columns}


def _counts(activity: pl.DataFrame, name: str) -> Keys:
    """A column of numbers, null as 0."""
    series = activity[name]
    return (series.fill_null(0) if series.null_count() else series).to_numpy()


@cache
def symbol(enum: pl.Enum, name: str) -> int:
    """Place of a symbol in its Enum."""
    return enum.categories.to_list().index(name)


@cache
def opened_attributes() -> tuple[pl.Expr, ...]:
    """Expressions that unpack `opened_code` into plan, verified, mail_class and address_class (null: no AccountOpened seen)."""
    return tuple(
        (pl.col("opened_code") // place % 8).cast(pl.UInt8).cat.to(symbols).alias(name)
        for name, symbols, _, place in _OPENED
    )


class Profiles:
    """What is known of every account, folded from ACTIVITY frames."""

    def __init__(self) -> None:
        identity: dict[str, Fold] = {"party": "max", "account_name": "max"}
        folds: dict[str, Fold] = dict(identity)
        folds.update(dict.fromkeys(_ACCOUNT_MINS, "min"))
        folds.update(dict.fromkeys(_ACCOUNT_MAXES, "max"))
        folds.update(dict.fromkeys((*_ACCOUNT_SUMS, *_ACCOUNT_FLOAT_SUMS), "sum"))
        self.accounts: Final = FoldedColumns(ACCOUNTS, ["account"], folds)
        self.daily: Final = FoldedColumns(DAILY, ["account", "day"], {"requests": "sum", "output_tokens": "sum"})
        self.models: Final = FoldedColumns(
            MODELS, ["account", "model"], {"first_seen_us": "min", "last_seen_us": "max", "requests": "sum"}
        )
        of_end_users: dict[str, Fold] = {"last_seen_us": "max"}
        of_end_users.update(dict.fromkeys((*_END_USER_SUMS, *_ACCOUNT_FLOAT_SUMS), "sum"))
        self.end_users: Final = FoldedTable(END_USERS, ["account", "end_user"], of_end_users)
        self.releases: Final = FoldedTable(RELEASES, ["party", "model"], {"released_at_us": "min"})
        self.parties: Final = FoldedTable(PARTIES, ["party"], {"since_us": "min"})

    def tables(self) -> dict[str, FoldedTable | FoldedColumns]:
        """The tables by the names that they have in a snapshot."""
        return {
            "accounts": self.accounts,
            "daily": self.daily,
            "models": self.models,
            "end_users": self.end_users,
            "releases": self.releases,
            "parties": self.parties,
        }

    def fold(self, activity: pl.DataFrame) -> None:
        """Take an ACTIVITY frame."""
        own = activity.filter(pl.col("account") != 0)
        self.accounts.add_columns(_account_columns(own), {name: own[name] for name in ("party", "account_name")})
        record = activity["record"].to_physical().to_numpy()
        usage, released = (record == symbol(frames.RECORD, name) for name in ("ApiUsage", "ModelReleased"))
        self.daily.add_columns(
            {
                "account": activity["account"].to_numpy()[usage],
                "day": activity["first_seen_us"].to_numpy()[usage] // US_PER_DAY,
                **{name: _counts(activity, name)[usage] for name in ("requests", "output_tokens")},
            },
            {},
        )
        named = _is("ApiUsage") & pl.col("model").is_not_null()
        of_models = ("account", "model", "first_seen_us", "last_seen_us", "requests")
        self.models.add(activity.lazy().filter(named).select(of_models).collect())
        if activity["end_user"].null_count() < activity.height:
            self._fold_end_users(activity.filter(_is("ApiUsage") & pl.col("end_user").is_not_null()))
        told = activity.lazy().filter((pl.col("account") != 0) & ~_is("AccountOpened"))
        self.parties.add(told.group_by("party").agg(pl.col("first_seen_us").min().alias("since_us")).collect())
        if released.any():
            self.releases.add(
                activity.filter(_is("ModelReleased") & pl.col("model").is_not_null()).select(
                    "party", "model", "released_at_us"
                )
            )

    def _fold_end_users(self, named: pl.DataFrame) -> None:
        self.end_users.add(
            named.select(
                "account",
                "end_user",
                "last_seen_us",
                *(pl.col(name).cast(pl.Int64) for name in ("requests", "windows", "input_tokens", "output_tokens")),
                *(_count(pl.col("task") == task, "windows").alias(name) for task, name in zip(TASKS, TASK_COLUMNS, strict=True)),
                *((pl.col(name) * _GRID).round() / _GRID for name in _ACCOUNT_FLOAT_SUMS),
            )
        )  # fmt: skip

    def expire(self, now_us: int, profile_days: float, usage_days: int, keep: pl.Series) -> None:
        """Drop accounts idle for `profile_days` (those in `keep` excepted) and daily usage older than `usage_days`."""
        oldest = now_us - int(profile_days * US_PER_DAY)
        self.accounts.keep((pl.col("last_seen_us") >= oldest) | pl.col("account").is_in(keep.implode()))
        self.daily.keep(pl.col("day") >= now_us // US_PER_DAY - usage_days)
        recent = (pl.col("last_seen_us") >= oldest) | pl.col("account").is_in(keep.implode())
        self.models.keep(recent)
        self.end_users.keep(recent)
