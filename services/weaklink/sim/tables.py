"""Events and accounts of a simulated world as columns of small numbers: quick to make, to sort and to filter.

`EVENTS` is the form inside the simulation; `backtest_frame` and `truth_frame` give the form that everything else reads.
"""

from collections.abc import Callable, Sequence
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
        "record": record,
        "identifiers": pl.Series(pl.from_arrow(lists)),
        **columns,
    }
    series = [
        pl.Series(name, value).cast(EVENTS[name])
        if isinstance(value, pl.Series | np.ndarray | list)
        else pl.Series(name, [value], dtype=EVENTS[name]).new_from_index(0, count)
        for name, value in given.items()
    ]
    return _NOTHING.clear(count).with_columns(series)


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


class BacktestForm:
    """EVENTS to the input form of `weaklink backtest` (docs: reference, Files of a backtest). Follows its registers as they grow."""

    def __init__(self, spec: WorldSpec, accounts: Accounts, vocabulary: Vocabulary) -> None:
        self._accounts, self._vocabulary = accounts, vocabulary
        self._parties = pl.Series([party.id for party in spec.parties], dtype=pl.String)
        self._party_kinds = pl.Series([party.kind.value for party in spec.parties], dtype=pl.String)
        self._names, self._values = pl.Series([], dtype=pl.String), pl.Series([], dtype=pl.String)
        self._kinds = pl.Series([""] + [kind.name for kind in IdentifierKind])

    def raw(self, table: pl.DataFrame) -> pl.DataFrame:
        """Names and raw identifiers, ordered by occurred_at."""
        self._catch_up()
        ordered = table.sort("occurred_at_us", maintain_order=True)
        offsets, numbers = _flat(ordered["identifiers"])
        values = pl.DataFrame(
            {
                "kind": self._kinds.gather(pl.Series(self._vocabulary.kinds()[numbers])),
                "value": self._values.gather(numbers),
            }
        ).to_struct()
        return self._named(ordered, _lists(offsets, values), self._values.gather(ordered["end_user"]))

    def tokenised(self, table: pl.DataFrame, tokens: Callable[[int], tuple[bytes, ...]]) -> pl.DataFrame:
        """As `raw`, with the tokens of identifiers: `identifiers` List(Binary), `end_user` Binary."""
        self._catch_up()
        ordered = table.sort("occurred_at_us", maintain_order=True)
        offsets, numbers = _flat(ordered["identifiers"])
        used, place = np.unique(numbers, return_inverse=True)
        made = pl.Series([list(tokens(number)) for number in used.tolist()], dtype=pl.List(pl.Binary))
        rows = np.repeat(np.arange(len(ordered)), np.diff(offsets))
        flat = pl.DataFrame({"row": rows, "token": made.gather(place)}).explode("token")
        lists = (
            pl.DataFrame({"row": np.arange(len(ordered))})
            .join(flat.unique(maintain_order=True).group_by("row").agg("token"), on="row", how="left")
            .sort("row")["token"]
            .fill_null([])
        )
        users = [tokens(number)[-1] if number is not None else None for number in ordered["end_user"]]
        return self._named(ordered, lists, pl.Series(users, dtype=pl.Binary))

    def _catch_up(self) -> None:
        for known, now in ((self._names, self._accounts.name), (self._values, self._vocabulary.values())):
            if len(known) < len(now):
                known.extend(pl.Series(now[len(known) :], dtype=pl.String))

    def _named(self, ordered: pl.DataFrame, identifiers: pl.Series, end_users: pl.Series) -> pl.DataFrame:
        account = ordered["account"]
        return ordered.select(
            self._parties.gather(ordered["party"]).alias("party"),
            self._party_kinds.gather(ordered["party"]).alias("party_kind"),
            pl.col("record").cast(pl.String).alias("event_type"),
            pl.from_epoch("occurred_at_us", time_unit="us").dt.replace_time_zone("UTC").alias("occurred_at"),
            self._names.gather(account.set(account < 0, None)).alias("account"),
            identifiers.alias("identifiers"),
            "model",
            "task",
            "window_seconds",
            "requests",
            "input_tokens",
            "output_tokens",
            end_users.alias("end_user"),
            "plan",
            "verified",
            "mail_class",
            "address_class",
            "outcome",
            "instrument",
            "merchant",
            pl.from_epoch("released_at_us", time_unit="us").dt.replace_time_zone("UTC").alias("released_at"),
            "reason",
        ).with_columns(pl.col(pl.Enum).cast(pl.String))


def _flat(lists: pl.Series) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """(offsets, values) of lists without nulls."""
    offsets = np.concatenate([[0], np.cumsum(lists.list.len().to_numpy())]).astype(np.int64)
    return offsets, lists.explode(empty_as_null=False).to_numpy().astype(np.int64)


def _lists(offsets: npt.NDArray[np.int64], values: pl.Series) -> pl.Series:
    return pl.Series(pl.from_arrow(pa.LargeListArray.from_arrays(pa.array(offsets), values.to_arrow())))


def backtest_frame(table: pl.DataFrame, spec: WorldSpec, accounts: Accounts, vocabulary: Vocabulary) -> pl.DataFrame:
    """EVENTS in the input form of `weaklink backtest`: names and raw identifiers, ordered by occurred_at."""
    return BacktestForm(spec, accounts, vocabulary).raw(table)


def truth_frame(spec: WorldSpec, accounts: Accounts) -> pl.DataFrame:
    """party, account, campaign (the operator's name; null: benign), role, victim (Boolean, of framing), opened_at.

    role: CONSUMER (at a lab or router), PAYER (at a payment processor), LESSEE (at a cloud): campaigns have accounts of these three;
    RESELLER, RELAY, HARNESS, AGENCY, FRAMER.
    """
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
