"""The benign list as campaigns applies it: listed identifiers link nobody, listed accounts are nobody's members."""

from collections.abc import Iterable
from typing import Final

import polars as pl

from weaklink.account_keys import account_key
from weaklink.benign import REMOVE, BenignRecord
from weaklink.campaigns.folding import FoldedTable

BENIGN: Final = pl.Schema(
    {
        "entry": pl.String,
        "recorded_at_us": pl.Int64,
        "removed": pl.Boolean,
        "token": pl.Binary,  # of an identifier's entry
        "account": pl.UInt64,  # account_hash, of an account's entry
        "expires_at_us": pl.Int64,  # null: never
    }
)
"""Every record of the list, the history among them. Two of one entry at one time: the removal counts."""

_NEVER: Final = (1 << 63) - 1


class BenignList:
    """Folds records in any order; `identifiers` and `accounts` are those that are listed at a time."""

    def __init__(self) -> None:
        folds = {"removed": "max", "token": "max", "account": "max", "expires_at_us": "max"}
        self.table: Final = FoldedTable(BENIGN, ["entry", "recorded_at_us"], folds)  # type: ignore[arg-type]

    def add(self, records: Iterable[BenignRecord]) -> None:
        """Take records."""
        rows = []
        for one in records:
            account = account_key(*one.account) if one.account else None
            expires = round(one.expires_at.timestamp() * 1e6) if one.expires_at else None
            recorded = round(one.recorded_at.timestamp() * 1e6)
            rows.append((one.entry, recorded, one.op == REMOVE, one.token, account, expires))
        self.table.add(pl.DataFrame(rows, schema=BENIGN, orient="row"))

    def replace(self, rows: pl.DataFrame) -> None:
        """Become these rows, with the entries of their tokens named anew where those changed."""
        token = "token:" + pl.col("token").bin.encode("hex")
        self.table.replace(rows.with_columns(pl.coalesce(token, "entry").alias("entry")))

    @property
    def empty(self) -> bool:
        """Whether it has never had an entry."""
        return self.table.rows().is_empty()

    def _listed(self, now_us: int) -> pl.DataFrame:
        rows = self.table.rows()
        if rows.is_empty():
            return rows
        return (
            rows.group_by("entry", maintain_order=True)
            .last()
            .filter(~pl.col("removed") & (pl.col("expires_at_us").fill_null(_NEVER) > now_us))
        )

    def expired(self, since_us: int, now_us: int) -> bool:
        """Whether an entry expired after one time and by another."""
        return (
            not self.table.rows()
            .filter(pl.col("expires_at_us").is_between(since_us, now_us, closed="right"))
            .is_empty()
        )

    def identifiers(self, now_us: int) -> pl.DataFrame:
        """[identifier UInt64, kind UInt8, epoch UInt8] of the listed tokens, as link rows have them."""
        token = pl.col("token").bin
        return (
            self._listed(now_us)
            .filter(pl.col("token").is_not_null())
            .select(
                token.slice(2, 8).bin.reinterpret(dtype=pl.UInt64).alias("identifier"),
                token.slice(0, 1).bin.reinterpret(dtype=pl.UInt8).alias("kind"),
                token.slice(1, 1).bin.reinterpret(dtype=pl.UInt8).alias("epoch"),
            )
        )

    def accounts(self, now_us: int) -> pl.Series:
        """Keys of the listed accounts."""
        return self._listed(now_us)["account"].drop_nulls()
