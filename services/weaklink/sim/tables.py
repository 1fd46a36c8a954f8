"""Events and accounts of a simulated world as columns of small numbers: quick to make, to sort and to filter.

`EVENTS` is the form inside the simulation; `backtest_frame` and `truth_frame` give the form that everything else reads.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from weaklink import frames
from weaklink.records.identifiers import IdentifierKind
from weaklink.records.schemas import EVENT_RECORDS
from weaklink.sim.spec import WorldSpec
from weaklink.sim.vocabulary import Ids, Vocabulary

_COLUMNS: Final[dict[str, pl.DataType | type[pl.DataType]]] = {
    "occurred_at_us": pl.Int64,
    "party": pl.UInt8,  # index in WorldSpec.parties
    "record": pl.Enum(list(EVENT_RECORDS)),
    "account": pl.Int32,  # index in Accounts; -1: none
    "identifiers": pl.List(pl.Int32),  # numbers in Vocabulary
    "window_seconds": pl.Int32,
    "model": pl.String,
    "task": frames.TASK,
    "requests": pl.Int32,
    "input_tokens": pl.Int64,
    "output_tokens": pl.Int64,
    "end_user": pl.Int32,  # number in Vocabulary
    "plan": frames.PLAN,
    "verified": frames.VERIFIED,
    "mail_class": frames.MAIL_CLASS,
    "address_class": frames.ADDRESS_CLASS,
    "outcome": frames.OUTCOME,
    "instrument": frames.INSTRUMENT,
    "merchant": pl.String,
    "released_at_us": pl.Int64,
    "reason": frames.CLOSE_REASON,
}
EVENTS: Final = pl.Schema(_COLUMNS)
"""One row per event; what does not apply is null."""

_NOTHING: Final = pl.DataFrame(schema=EVENTS)

ROLES: Final = ("CONSUMER", "PAYER", "LESSEE", "RESELLER", "RELAY", "HARNESS", "AGENCY", "FRAMER")
"""CONSUMER: at a lab or router; PAYER: at a payment processor; LESSEE: at a cloud. Campaigns have accounts of these three."""


def events(
    record: str, occurred_at_us: npt.NDArray[np.integer[Any]], identifiers: Ids | None = None, **columns: Any
) -> pl.DataFrame:
    """A frame of EVENTS of one record. `identifiers` is a matrix (events, slots), 0 where a slot is empty."""
    count = len(occurred_at_us)
    if count == 0:
        return _NOTHING
    matrix = np.zeros((count, 0), dtype=np.int32) if identifiers is None else identifiers
    present = matrix > 0
    offsets = np.concatenate([[0], np.cumsum(present.sum(axis=1))]).astype(np.int64)
    lists = pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(matrix[present].astype(np.int32)))
    given = {
        "occurred_at_us": occurred_at_us,
        "record": pl.Series([record], dtype=EVENTS["record"]).new_from_index(0, count),
        "identifiers": pl.Series(pl.from_arrow(lists)),
        **columns,
    }
    series = []
    for name, dtype in EVENTS.items():
        value = given.get(name)
        if isinstance(value, pl.Series | np.ndarray | list):
            series.append(pl.Series(name, value).cast(dtype))
        else:
            series.append(pl.Series(name, [value], dtype=dtype).new_from_index(0, count))
    return pl.DataFrame(series)


def symbols(dtype: pl.Enum, indices: npt.NDArray[np.integer[Any]]) -> pl.Series:
    """Symbols of an enum by index."""
    return dtype.categories.gather(pl.Series(indices.astype(np.uint32))).cast(dtype)


def labels(names: Sequence[str], indices: npt.NDArray[np.integer[Any]]) -> pl.Series:
    """Names by index."""
    return pl.Series(names, dtype=pl.String).gather(pl.Series(indices.astype(np.uint32)))


def some(identifiers: Ids, share: float, random: np.random.Generator) -> Ids:
    """The identifiers, with all but this share of them left out (0)."""
    shown: Ids = np.where(random.random(len(identifiers)) < share, identifiers, 0).astype(np.int32)
    return shown


@dataclass
class Accounts:
    """Every account of the world by index."""

    party: list[int] = field(default_factory=list)
    name: list[str] = field(default_factory=list)
    operator: list[int] = field(default_factory=list)
    role: list[str] = field(default_factory=list)
    victim: list[bool] = field(default_factory=list)
    opened_us: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.name)

    def set_role(self, accounts: Ids, role: str) -> None:
        """Give accounts another role."""
        for index in accounts.tolist():
            self.role[index] = role

    def add(
        self,
        party: npt.NDArray[np.integer[Any]],
        opened_us: npt.NDArray[np.integer[Any]],
        operator: int = -1,
        role: str = "CONSUMER",
    ) -> Ids:
        """Append accounts and return their indices. Names are opaque and tell nothing about who owns them."""
        first, count = len(self.name), len(party)
        self.party += party.tolist()
        self.name += [f"c{(i * 0x9E3779B1 + 0x5BD1) % (1 << 32):08x}" for i in range(first, first + count)]
        self.operator += [operator] * count
        self.role += [role] * count
        self.victim += [False] * count
        self.opened_us += opened_us.tolist()
        return np.arange(first, first + count, dtype=np.int32)


def backtest_frame(table: pl.DataFrame, spec: WorldSpec, accounts: Accounts, vocabulary: Vocabulary) -> pl.DataFrame:
    """EVENTS in the input form of `weaklink backtest` (DESIGN.md): names and raw identifiers, ordered by occurred_at."""
    kinds = pl.Series([""] + [kind.name for kind in IdentifierKind])
    lookup = pl.DataFrame(
        {
            "identifiers": np.arange(len(vocabulary), dtype=np.int32),
            "kind": kinds.gather(pl.Series(vocabulary.kinds())),
            "value": vocabulary.values(),
        }
    )
    ordered = table.sort("occurred_at_us", maintain_order=True).with_row_index("row")
    raw = (
        ordered.select("row", "identifiers")
        .explode("identifiers", empty_as_null=False)
        .join(lookup, on="identifiers", how="left", maintain_order="left")
        .group_by("row", maintain_order=True)
        .agg(pl.struct("kind", "value").alias("identifiers"))
    )
    parties = pl.DataFrame(
        {
            "party_index": range(len(spec.parties)),
            "party": [p.id for p in spec.parties],
            "party_kind": [p.kind.value for p in spec.parties],
        },
        schema_overrides={"party_index": pl.UInt8},
    )
    names = pl.DataFrame(
        {"account_index": range(len(accounts)), "account_name": accounts.name},
        schema_overrides={"account_index": pl.Int32},
    )
    end_users = lookup.select(pl.col("identifiers").alias("end_user"), pl.col("value").alias("end_user_value"))
    return (
        ordered.rename({"party": "party_index", "account": "account_index"})
        .drop("identifiers")
        .join(raw, on="row", how="left", maintain_order="left")
        .join(parties, on="party_index", how="left", maintain_order="left")
        .join(names, on="account_index", how="left", maintain_order="left")
        .join(end_users, on="end_user", how="left", maintain_order="left")
        .select(
            "party",
            "party_kind",
            pl.col("record").cast(pl.String).alias("event_type"),
            pl.from_epoch("occurred_at_us", time_unit="us").dt.replace_time_zone("UTC").alias("occurred_at"),
            pl.col("account_name").alias("account"),
            pl.col("identifiers").fill_null([]),
            "model",
            "task",
            "window_seconds",
            "requests",
            "input_tokens",
            "output_tokens",
            pl.col("end_user_value").alias("end_user"),
            "plan",
            "verified",
            "mail_class",
            "address_class",
            "outcome",
            "instrument",
            "merchant",
            pl.from_epoch("released_at_us", time_unit="us").dt.replace_time_zone("UTC").alias("released_at"),
            "reason",
        )
        .with_columns(pl.col(pl.Enum).cast(pl.String))
    )


def truth_frame(spec: WorldSpec, accounts: Accounts) -> pl.DataFrame:
    """party, account, campaign (the operator's name; null: benign), role (ROLES), victim (Boolean, of framing), opened_at."""
    parties, operators = [p.id for p in spec.parties], [o.name for o in spec.operators]
    return pl.DataFrame(
        {
            "party": [parties[p] for p in accounts.party],
            "account": accounts.name,
            "campaign": [operators[o] if o >= 0 else None for o in accounts.operator],
            "role": accounts.role,
            "victim": accounts.victim,
            "opened_at": pl.from_epoch(
                pl.Series(accounts.opened_us, dtype=pl.Int64), time_unit="us"
            ).dt.replace_time_zone("UTC"),
        },
        schema_overrides={"campaign": pl.String},
    )
