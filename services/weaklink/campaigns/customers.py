"""Whom resellers name as their customers: each once, though a rotation of keys gives it a second token."""

from typing import Final

import polars as pl

from weaklink.campaigns.equations import Equations
from weaklink.campaigns.profiles import Profiles
from weaklink.records.identifiers import IdentifierKind


class Customers:
    """Reads END_USERS by the newer token of each customer while two epochs of keys overlap.

    By the newer one, other than links: it is what the party's usage carries from the first event of the overlap on, and no graph has to be renamed.
    """

    def __init__(self, profiles: Profiles, equations: Equations) -> None:
        self._table: Final = profiles.end_users
        self._accounts: Final = profiles.accounts
        self._equations: Final = equations

    def rows(self) -> pl.DataFrame:
        """profiles.END_USERS: all of them, sorted by account and customer."""
        return self._read(self._table.rows())

    def of(self, accounts: pl.Series) -> pl.DataFrame:
        """Those whom these accounts (keys) name; profiles.END_USERS."""
        return self._read(self._table.of(accounts))

    def named_by(self, equations: pl.DataFrame) -> pl.Series:
        """Accounts (keys) whose customers these frames.EQUATIONS may make fewer: how many they name is to be looked at again."""
        of_customers = equations.filter(pl.col("kind") == IdentifierKind.END_USER)
        if of_customers.is_empty():
            return pl.Series("account", [], pl.UInt64)
        identifier = pl.col("end_user").bin.slice(2, 8).bin.reinterpret(dtype=pl.UInt64)
        equated = pl.concat([of_customers["identifier"], of_customers["former"]]).implode()
        return self._table.rows().filter(identifier.is_in(equated))["account"].unique()

    def forget_epochs_before(self, oldest: int) -> None:
        """What is equated stays under the newer token; what is known by a token of an earlier epoch alone is forgotten."""
        self._table.replace(self.rows())
        self._table.keep(pl.col("end_user").bin.slice(1, 1).bin.reinterpret(dtype=pl.UInt8) >= oldest)

    def _read(self, rows: pl.DataFrame) -> pl.DataFrame:
        if rows.is_empty() or self._equations.empty:
            return rows
        named = rows.join(self._accounts.of(rows["account"].unique(), ["account", "party"]), on="account", how="left")
        newer = self._equations.newer_tokens(named.select(pl.col("end_user").alias("token"), "party"))
        if newer.is_empty():
            return rows
        moved = named.join(newer, left_on=["end_user", "party"], right_on=["token", "party"], how="left")
        return self._table.folded(
            moved.with_columns(pl.coalesce("newer", "end_user").alias("end_user")).select(rows.columns)
        )
