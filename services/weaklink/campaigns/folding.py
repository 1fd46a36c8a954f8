"""A keyed table whose columns fold by sum, minimum or maximum: commutative, so that the order of its input does not matter."""

from collections.abc import Mapping, Sequence
from typing import Final, Literal

import numpy as np
import polars as pl

from weaklink.errors import WeaklinkError

Fold = Literal["sum", "min", "max"]

_PENDING_ROWS_MAX: Final = 20_000
_PENDING_SHARE_MAX: Final = 0.125


def checked(
    schema: Mapping[str, pl.DataType | type[pl.DataType]], keys: Sequence[str], folds: Mapping[str, Fold]
) -> pl.Schema:
    """The schema. Raises WeaklinkError when a column is neither a key nor folded."""
    if set(schema) != {*keys, *folds}:
        raise WeaklinkError(f"columns {sorted(set(schema) ^ {*keys, *folds})} are neither a key nor folded")
    return pl.Schema(schema)


def unlike(found: pl.Schema, expected: pl.Schema) -> WeaklinkError:
    """The error about a snapshot with other columns."""
    return WeaklinkError(
        f"a snapshot has columns {dict(found)}, expected {dict(expected)}: was it written by another version?"
    )


class FoldedTable:
    """Rows unique by `keys`, sorted by them. `add` is cheap: what comes in is folded when it is looked at.

    `rows` folds all of it, `of` only what is asked for; what waits is folded in for good when it has become a share of the whole.

    `schema` gives all columns, keys first; `folds` how each other column combines. Sums saturate nowhere: use 64-bit columns.
    """

    def __init__(
        self, schema: Mapping[str, pl.DataType | type[pl.DataType]], keys: Sequence[str], folds: Mapping[str, Fold]
    ) -> None:
        self.schema: Final = checked(schema, keys, folds)
        self._keys: Final = list(keys)
        self._aggregations: Final = [getattr(pl.col(name), fold)() for name, fold in folds.items()]
        self._rows = pl.DataFrame(schema=self.schema)
        self._pending: list[pl.DataFrame] = []
        self._pending_rows = 0

    def add(self, rows: pl.DataFrame) -> None:
        """Take rows of `schema` (keys may repeat)."""
        if rows.height == 0:
            return
        self._pending.append(rows.select(pl.col(name).cast(dtype) for name, dtype in self.schema.items()))
        self._pending_rows += rows.height
        if self._pending_rows > max(_PENDING_ROWS_MAX, _PENDING_SHARE_MAX * self._rows.height):
            self.rows()

    def of(self, values: pl.Series) -> pl.DataFrame:
        """The rows whose first key, a UInt64, is among `values`; sorted by key."""
        if not self._pending and self._rows.is_empty():
            return self._rows
        wanted = np.unique(values.to_numpy())
        keys = self._rows[self._keys[0]].to_numpy()
        first = np.searchsorted(keys, wanted, side="left")
        many = np.searchsorted(keys, wanted, side="right") - first
        at = np.arange(int(many.sum())) + np.repeat(first - (np.cumsum(many) - many), many)
        known = self._rows.select(pl.all().gather(at))
        if not self._pending:
            return known
        self._pending = [pl.concat(self._pending, rechunk=True)]
        delta = self._pending[0].filter(pl.col(self._keys[0]).is_in(pl.Series(wanted).implode()))
        return self._folded(known, delta).sort(self._keys) if delta.height else known

    def folded(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Rows of `schema` as a table with nothing else would hold them: one for each key, sorted."""
        return self._folded(rows.clear(), rows).sort(self._keys)

    def _folded(self, known: pl.DataFrame, delta: pl.DataFrame) -> pl.DataFrame:
        grouped = pl.concat([known, delta]).group_by(self._keys).agg(self._aggregations)
        return grouped.select(self.schema.names()).cast(self.schema)

    def rows(self) -> pl.DataFrame:
        """All rows, one per key, sorted by key."""
        if self._pending:
            delta = pl.concat(self._pending)
            touched = self._rows.join(delta.select(self._keys).unique(), on=self._keys, how="semi", nulls_equal=True)
            folded = self._folded(touched, delta)
            if touched.height:
                self._rows = self._rows.join(touched.select(self._keys), on=self._keys, how="anti", nulls_equal=True)
            # Small keyed frames sort in place of a merge; both sides are nearly sorted, which the sort makes use of.
            self._rows = pl.concat([self._rows, folded], rechunk=True).sort(self._keys)
            self._pending.clear()
            self._pending_rows = 0
        return self._rows

    def replace(self, rows: pl.DataFrame) -> None:
        """Become exactly these rows. Raises WeaklinkError when their columns are others."""
        if rows.schema != self.schema:
            raise unlike(rows.schema, self.schema)
        self._rows = rows.sort(self._keys)
        self._pending.clear()
        self._pending_rows = 0

    def keep(self, predicate: pl.Expr) -> None:
        """Drop the rows for which the predicate is not true."""
        self._rows = self.rows().filter(predicate)
