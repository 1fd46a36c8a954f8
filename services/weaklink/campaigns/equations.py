"""Rotation of keys: a value's tokens of two epochs are one identifier. Links are kept as they came, and read as those of the older token.

A party says of its own events that two tokens are one value's (frames.EQUATIONS). For that party's accounts that holds at once. For
others' it holds when `equation_parties_min` parties say it: whoever could equate alone would make others' customers holders of what a
campaign holds. Once the older epoch is over, what is held on its tokens moves to the newer ones, and what nobody equated is forgotten.
"""

from collections.abc import Callable
from typing import Final

import polars as pl

from weaklink import frames
from weaklink.campaigns.folding import FoldedTable
from weaklink.records.identifiers import TOKEN_BYTES, IdentifierKind

Owners = Callable[[pl.Series], pl.DataFrame]
"""Accounts (distinct keys) -> [account, party] of those that are known."""

_FOLDS: Final = {"kind": "max", "tail": "max", "epoch": "max", "former_tail": "max", "former_epoch": "max"}
_SAID: Final = "said"
_KIND_MAX: Final = int(max(IdentifierKind))
_PARTS: Final = ("identifier", "tail", "kind", "epoch")


class Equations:
    """Folds EQUATIONS in any order; what is read depends on the set of them only."""

    def __init__(self, parties_min: int) -> None:
        self._parties_min: Final = parties_min
        self.table: Final = FoldedTable(frames.EQUATIONS, ["identifier", "former", "party"], _FOLDS)  # type: ignore[arg-type]

    @property
    def empty(self) -> bool:
        """Whether no two epochs overlap, as far as anybody said."""
        return self.table.rows().is_empty()

    def older(self, links: pl.DataFrame, owners: Owners) -> pl.DataFrame:
        """Links (with the columns of LINKS at least) by the older token of each identifier that is equated for their account's party."""
        if links.is_empty() or self.empty:
            return links
        said = self.table.of(links["identifier"])
        former = {"identifier": "former", "tail": "former_tail", "epoch": "former_epoch"}
        return links if said.is_empty() else self._renamed(links, said, former, owners)

    def newer(self, links: pl.DataFrame, owners: Owners) -> pl.DataFrame:
        """Links to tokens of an epoch that is over, by the newer token of each; those that nobody equated are left out."""
        said = self.table.rows().rename(
            {"identifier": "newer", "former": "identifier", "tail": "newer_tail", "epoch": "newer_epoch"}
        )
        said = said.join(links.select("identifier").unique(), on="identifier", how="semi")
        newer = {"identifier": "newer", "tail": "newer_tail", "epoch": "newer_epoch"}
        return self._renamed(links, said, newer, owners, keep=False)

    def newer_tokens(self, tokens: pl.DataFrame) -> pl.DataFrame:
        """[token, newer] of those tokens [token, party] that are equated for their party; party null: only what enough parties say counts."""
        rows = tokens.unique().with_columns(
            pl.col("token").bin.slice(2, 8).bin.reinterpret(dtype=pl.UInt64).alias("identifier"),
            pl.col("token").bin.slice(9, 8).bin.reinterpret(dtype=pl.UInt64).alias("tail"),
            pl.col("token").bin.slice(0, 1).bin.reinterpret(dtype=pl.UInt8).alias("kind"),
            pl.col("token").bin.slice(1, 1).bin.reinterpret(dtype=pl.UInt8).alias("epoch"),
        ).with_row_index("account")  # fmt: skip
        owned = rows.select("account", "party")
        moved = self.newer(rows.drop("party"), lambda _: owned)
        found = [frames.token_bytes(*parts) for parts in moved.select(_PARTS).iter_rows()]
        newer = moved.select("account", "token").with_columns(pl.Series("newer", found, dtype=pl.Binary))
        return newer.join(owned, on="account").select("token", "party", "newer")

    def renewed(self, rows: pl.DataFrame, column: str, oldest: int, *, by_party: bool) -> pl.DataFrame:
        """Rows with the tokens of earlier epochs replaced by newer ones where those are known, or left out."""
        token = pl.col(column).bin
        # Targets that are accounts stand in the same column by their name: only 17 bytes that begin with a kind are a token.
        is_token = (token.size() == TOKEN_BYTES) & (token.slice(0, 1).bin.reinterpret(dtype=pl.UInt8) <= _KIND_MAX)
        over = (is_token & (token.slice(1, 1).bin.reinterpret(dtype=pl.UInt8) < oldest)).fill_null(value=False)
        gone = rows.filter(over)
        if gone.is_empty():
            return rows
        party = pl.col("party") if by_party else pl.lit(None, pl.String).alias("party")
        newer = self.newer_tokens(gone.select(pl.col(column).alias("token"), party))
        moved = gone.with_columns(party).join(
            newer, left_on=[column, "party"], right_on=["token", "party"], nulls_equal=True
        )
        return pl.concat([rows.filter(~over), moved.with_columns(pl.col("newer").alias(column)).select(rows.columns)])

    def beside(self, identifiers: pl.Series) -> pl.Series:
        """These identifiers, and those that may be read as one of them."""
        if self.empty:
            return identifiers
        newer = self.table.rows().filter(pl.col("former").is_in(identifiers.implode()))["identifier"]
        return pl.concat([identifiers, newer]).unique()

    def forget_before(self, oldest_epoch: int) -> None:
        """Drop what was said of tokens of earlier epochs."""
        self.table.keep(pl.col("former_epoch") >= oldest_epoch)

    def _renamed(
        self, links: pl.DataFrame, said: pl.DataFrame, to: dict[str, str], owners: Owners, *, keep: bool = True
    ) -> pl.DataFrame:
        """Links by the other token. Of several that an identifier is said to equal, the one that most parties say counts, then the smallest.

        `keep`: links that are not equated stay as they are; otherwise they go.
        """
        other = to["identifier"]
        count = pl.len().over("identifier", other)
        said = said.select("identifier", *dict.fromkeys(to.values()), "party").with_columns(count.alias(_SAID))
        ranked = said.sort(_SAID, other, descending=[True, False])
        own = ranked.unique(["identifier", "party"], keep="first", maintain_order=True)
        common = (
            ranked.filter(pl.col(_SAID) >= self._parties_min)
            .unique("identifier", keep="first", maintain_order=True)
            .drop("party")
        )
        touched = links.with_row_index("_row").join(said.select("identifier").unique(), on="identifier", how="semi")
        touched = touched.join(owners(touched["account"].unique()), on="account", how="left")
        touched = touched.join(common.drop(_SAID), on="identifier", how="left", suffix="_common")
        touched = touched.join(own.drop(_SAID), on=["identifier", "party"], how="left", suffix="_own")
        chosen = {
            name: pl.coalesce(pl.col(f"{source}_own"), pl.col(source)).alias(f"_{name}") for name, source in to.items()
        }
        moved = touched.select("_row", *chosen.values()).filter(pl.col("_identifier").is_not_null())
        joined = links.with_row_index("_row").join(
            moved, on="_row", how="left" if keep else "inner", maintain_order="left"
        )
        return joined.with_columns(pl.coalesce(f"_{name}", name).alias(name) for name in to).select(links.columns)
