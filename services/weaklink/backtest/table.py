"""Input files to one table of events in order of time. Bad rows and repeats are told by file and line, never lost.

Columns are those of the reference (Files of a backtest); a missing one is all null. Null where a record needs a value becomes what a party that does
not know it would send: no verification, task OTHER, one request.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import polars as pl

from weaklink import frames
from weaklink.errors import ConfigurationError
from weaklink.parties import MAY_PUBLISH, PARTY_ID, PartyKind
from weaklink.records import reasons
from weaklink.records.identifiers import ACCOUNT_CHARACTERS_MAX
from weaklink.records.schemas import EVENT_RECORDS

IDENTIFIERS: Final = pl.List(pl.Struct({"kind": pl.String, "value": pl.String}))
_TIME: Final = pl.Datetime("us", "UTC")
"""Times without a zone are UTC: that is what the cast makes of them."""
_WANTED: Final = {pl.String: "text", pl.Int64: "whole numbers", _TIME: "timestamps in UTC"}
_COLUMNS: Final[dict[str, pl.DataType | type[pl.DataType]]] = {
    "party": pl.String,
    "party_kind": pl.String,
    "event_type": pl.String,
    "occurred_at": _TIME,
    "account": pl.String,
    "identifiers": IDENTIFIERS,
    "model": pl.String,
    "task": pl.String,
    "window_seconds": pl.Int64,
    "requests": pl.Int64,
    "input_tokens": pl.Int64,
    "output_tokens": pl.Int64,
    "end_user": pl.String,
    "plan": pl.String,
    "verified": pl.String,
    "outcome": pl.String,
    "instrument": pl.String,
    "merchant": pl.String,
    "released_at": _TIME,
    "reason": pl.String,
    "address_class": pl.String,
    "mail_class": pl.String,
}
COLUMNS: Final = pl.Schema(_COLUMNS)
REQUIRED: Final = ("party", "party_kind", "event_type", "occurred_at")
SYMBOLS: Final = {
    "task": frames.TASK,
    "plan": frames.PLAN,
    "verified": frames.VERIFIED,
    "outcome": frames.OUTCOME,
    "instrument": frames.INSTRUMENT,
    "reason": frames.CLOSE_REASON,
    "address_class": frames.ADDRESS_CLASS,
    "mail_class": frames.MAIL_CLASS,
}
DEFAULTS: Final[dict[str, object]] = {
    "window_seconds": 0,
    "requests": 1,
    "input_tokens": 0,
    "output_tokens": 0,
    "model": "unknown",
    "task": "OTHER",
    "plan": "UNKNOWN",
    "verified": "NONE",
    "outcome": "APPROVED",
    "instrument": "CREDIT",
    "address_class": "UNKNOWN",
    "mail_class": "UNKNOWN",
}
COUNTS: Final = ("window_seconds", "requests", "input_tokens", "output_tokens")
INT_MAX: Final = 2**31 - 1
REJECTS: Final = pl.Schema(
    {"file": pl.String, "line": pl.UInt32, "reason": pl.String, "field": pl.String, "detail": pl.String}
)
"""Rows that do not count. `line` counts rows of the file from 1; `reason` is one of records.reasons, or DUPLICATE."""
DUPLICATE: Final = "DUPLICATE"


def read_table(paths: Sequence[Path]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(events, rejects): COLUMNS plus `file` and `line`, sorted by occurred_at; and REJECTS.

    Raises ConfigurationError when a file cannot be read or lacks one of `REQUIRED`, or when a party has two kinds.
    """
    table = pl.concat([_read(path) for path in paths])
    judged = table.with_columns(_first_fault(table).alias("fault"))
    _one_kind_each(judged.filter(pl.col("fault").is_null()))
    bad = judged.filter(pl.col("fault").is_not_null()).select(
        "file", "line", *(pl.col("fault").struct.field(name) for name in ("reason", "field", "detail"))
    )
    good = judged.filter(pl.col("fault").is_null()).drop("fault", "misread").with_columns(_defaults())
    repeated = ~good.select(COLUMNS.names()).hash_rows().is_first_distinct()
    again = good.filter(repeated).select(
        "file",
        "line",
        pl.lit(DUPLICATE).alias("reason"),
        pl.lit(None, pl.String).alias("field"),
        pl.lit("equal to an earlier row in every column").alias("detail"),
    )
    events = good.filter(~repeated).sort("occurred_at", maintain_order=True)
    return events, pl.concat([bad.cast(REJECTS), again.cast(REJECTS)])


def _read(path: Path) -> pl.DataFrame:
    """One file with every column of COLUMNS; `misread`: the first column whose value could not be understood."""
    if not path.is_file():
        raise ConfigurationError(f"{path} is a folder: name the files" if path.is_dir() else f"{path} does not exist")
    try:
        raw = pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise ConfigurationError(f"{path} is not a readable Parquet file: {error}") from error
    if missing := [name for name in REQUIRED if name not in raw.columns]:
        raise ConfigurationError(
            f"{path} lacks the columns {', '.join(missing)}; the reference has all of them (Files of a backtest)"
        )
    present = [name for name in COLUMNS if name in raw.columns]
    cast = pl.DataFrame(
        [
            _cast(path, raw[name], dtype)
            if name in present
            else pl.Series(name, [None], dtype).new_from_index(0, raw.height)
            for name, dtype in COLUMNS.items()
        ]
    )
    lost = pl.concat([raw.select(pl.col(present).is_null().name.prefix("was_")), cast], how="horizontal").select(
        pl.coalesce(
            pl.when(~pl.col(f"was_{name}") & pl.col(name).is_null()).then(pl.lit(name)) for name in present
        ).alias("misread")
    )
    line = pl.int_range(1, cast.height + 1, dtype=pl.UInt32, eager=True).alias("line")
    return pl.concat([cast, lost], how="horizontal").with_columns(pl.lit(str(path)).alias("file"), line)


def _cast(path: Path, column: pl.Series, wanted: pl.DataType) -> pl.Series:
    """The column as `wanted`, null where a value cannot be read as that. Raises ConfigurationError for types of which none can."""
    try:
        return column.cast(wanted, strict=False)
    except pl.exceptions.PolarsError as error:
        meant = _WANTED.get(wanted, f"{wanted}")
        raise ConfigurationError(f"{path}: column {column.name} is {column.dtype}; it must be {meant}") from error


def _one_kind_each(table: pl.DataFrame) -> None:
    """Raises ConfigurationError where good rows give a party two kinds."""
    kinds = table.unique(["party", "party_kind"], keep="first", maintain_order=True)
    several = kinds.filter(pl.len().over("party") > 1).sort("party", maintain_order=True)
    if several.height:
        party = several["party"][0]
        found = several.filter(party=party).select("party_kind", "file", "line").rows()
        told = ", ".join(f"{kind} ({file} row {line})" for kind, file, line in found)
        raise ConfigurationError(f"party {party!r} has several kinds: {told}; give it one")


def _first_fault(table: pl.DataFrame) -> pl.Expr:
    """Struct of reason, field and detail of the first rule that a row breaks; null when it keeps them all."""
    record, account = pl.col("event_type"), pl.col("account")
    known = pl.col("party_kind").is_in([str(kind) for kind in PartyKind])
    well_named = pl.col("party").str.contains(f"^(?:{PARTY_ID.pattern})$").fill_null(False)
    may = pl.struct("event_type", "party_kind").is_in(
        [{"event_type": one, "party_kind": str(kind)} for one, kinds in MAY_PUBLISH.items() for kind in kinds]
    )
    characters = account.str.len_chars()
    accountless = record == "ModelReleased"
    rules = [
        (
            pl.col("misread").is_not_null(),
            reasons.MALFORMED,
            pl.col("misread"),
            "the value cannot be read as this column's type",
        ),
        (~record.is_in(EVENT_RECORDS).fill_null(False), reasons.MALFORMED, "event_type", "not the name of a record"),
        (
            record == "ActionReceipt",
            reasons.UNKNOWN_ACTION,
            "event_type",
            "a backtest has no receipts: its actions were never sent",
        ),
        (~known.fill_null(False), reasons.MALFORMED, "party_kind", "not lab, router, cloud or payment"),
        (~well_named, reasons.MALFORMED, "party", "not a party id: 2 to 40 of a-z, 0-9 and '-'"),
        (
            ~may.fill_null(False),
            reasons.RECORD_NOT_ALLOWED,
            "event_type",
            "a party of this kind may not publish this record",
        ),
        (pl.col("occurred_at").is_null(), reasons.MALFORMED, "occurred_at", "missing"),
        (
            ~accountless
            & ((characters < 1) | (characters > ACCOUNT_CHARACTERS_MAX) | account.is_null() | _unprintable("account")),
            reasons.BAD_ACCOUNT,
            "account",
            f"must have 1 to {ACCOUNT_CHARACTERS_MAX} characters and no control characters",
        ),
        (accountless & pl.col("model").is_null(), reasons.BAD_TEXT, "model", "missing"),
        ((record == "AccountClosed") & pl.col("reason").is_null(), reasons.MALFORMED, "reason", "missing"),
        (pl.col("released_at") < pl.col("occurred_at"), reasons.BAD_INTERVAL, "released_at", "lies before occurred_at"),
    ]
    rules += [(pl.col(name) < 0, reasons.NEGATIVE_COUNT, name, "negative") for name in COUNTS]
    rules += [(pl.col(name) > INT_MAX, reasons.MALFORMED, name, "too large for its field") for name in COUNTS[:2]]
    rules += [
        (
            ~pl.col(name).is_in(enum.categories.implode()),
            reasons.MALFORMED,
            name,
            f"not one of {', '.join(enum.categories)}",
        )
        for name, enum in SYMBOLS.items()
    ]
    return pl.coalesce(
        pl.when(broken).then(
            pl.struct(
                pl.lit(reason).alias("reason"),
                (field if isinstance(field, pl.Expr) else pl.lit(field)).alias("field"),
                pl.lit(detail).alias("detail"),
            )
        )
        for broken, reason, field, detail in rules
    )


def _unprintable(name: str) -> pl.Expr:
    return pl.col(name).str.contains(r"[\x00-\x1f\x7f-\x{9f}]")


def _defaults() -> list[pl.Expr]:
    return [pl.col(name).fill_null(pl.lit(value)) for name, value in DEFAULTS.items()]
