"""A `FoldedTable` for keys that are integers and values that are numbers: every row has its place in growing arrays, so that folding
rows in, looking at some and forgetting some cost what these are many, not what the table holds.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import polars as pl

from weaklink.campaigns.folding import Fold, checked, unlike
from weaklink.campaigns.graph import Ints, Keys
from weaklink.campaigns.keys import Columns, CompositeKeys
from weaklink.campaigns.narrow import Narrow
from weaklink.campaigns.words import Words
from weaklink.errors import WeaklinkError
from weaklink.frames import NUMPY

UNKNOWN: Final[dict[Fold, int]] = {"min": np.iinfo(np.int64).max, "max": np.iinfo(np.int64).min}
"""What stands for null in an Int64 column: whatever is folded in wins against it."""
_FOLDS: Final[dict[Fold, np.ufunc]] = {"sum": np.add, "min": np.minimum, "max": np.maximum}
_THERE: Final = ""  # the column that says whether a row is still there
_CHUNKS_MAX: Final = 32
_PENDING_ROWS_MAX: Final = 20_000
_GARBAGE_ROWS_MIN: Final = 4096


class FoldedColumns:
    """See the module. Rows unique by `keys` (the first one UInt64, others unsigned, Int32 or String), sorted by them when they are given.

    `schema`: keys first. `folds`: how each other column combines. Int64 may be null as a minimum or maximum: nothing known. A sum takes
    null for 0. A String column (fold max) is a name that the key determines, or null; a String key is never null, and one of few words.
    """

    def __init__(
        self, schema: Mapping[str, pl.DataType | type[pl.DataType]], keys: Sequence[str], folds: Mapping[str, Fold]
    ) -> None:
        self.schema: Final = checked(schema, keys, folds)
        self._keys: Final = list(keys)
        self._names: Final = [name for name in folds if self.schema[name] == pl.String]
        self._folds: Final = {name: fold for name, fold in folds.items() if name not in self._names}
        self._nullable: Final = {
            name: UNKNOWN[fold] for name, fold in self._folds.items() if fold != "sum" and self.schema[name] == pl.Int64
        }
        self._narrow: Final = {
            name: Narrow(dtype, fold, name in self._nullable)
            for name, fold in self._folds.items()
            if (dtype := np.dtype(NUMPY[self.schema[name]])).kind in "iu"
        }
        self._known: Final = {
            name: pl.when(pl.col(name) != unknown).then(name) for name, unknown in self._nullable.items()
        }
        if wrong := [name for name, fold in self._folds.items() if fold == "min" and name not in self._nullable]:
            raise WeaklinkError(f"columns {wrong}: only Int64 has minima here; use FoldedTable")
        self._taken: Final = [
            pl.col(name) if name in (*keys, *self._names) else pl.col(name).fill_null(self._nullable.get(name, 0))
            for name in self.schema
        ]
        self._clear()

    def _clear(self) -> None:
        self._words = {name: Words() for name in self._keys if self.schema[name] == pl.String}
        numbers = self.schema | dict.fromkeys(self._words, pl.UInt32)
        dtypes = {name: NUMPY[dtype] for name, dtype in numbers.items() if name not in self._names}
        self._index = CompositeKeys([dtypes[name] for name in self._keys])
        defaults = {
            name: self._narrow[name].nothing() if name in self._narrow else dtype(0) for name, dtype in dtypes.items()
        }
        self._columns = Columns({_THERE: False} | defaults)
        self._texts = {name: pl.Series(name, [], pl.String) for name in self._names}
        self._height = 0
        self._pending: list[tuple[Mapping[str, Keys], Mapping[str, pl.Series]]] = []
        self._pending_rows = 0

    def __len__(self) -> int:
        self._settle()
        return self._height

    def add(self, rows: pl.DataFrame) -> None:
        """Take rows of `schema` (keys may repeat)."""
        if rows.height:
            rows = rows.select(
                expression.cast(self.schema[name]) for name, expression in zip(self.schema, self._taken, strict=True)
            )
            self.add_columns(
                {
                    name: self._words[name].add(rows[name]) if name in self._words else rows[name].to_numpy()
                    for name in self.schema
                    if name not in self._names
                },
                {name: rows[name] for name in self._names},
            )

    def add_columns(self, columns: Mapping[str, Keys], names: Mapping[str, pl.Series]) -> None:
        """`add` of rows that are columns already: those of String in `names`, all others in `columns`, with `UNKNOWN` where null is meant."""
        many = len(columns[self._keys[0]])
        if many:
            self._pending.append((columns, names))
            self._pending_rows += many
            if self._pending_rows > _PENDING_ROWS_MAX:
                self._settle()

    def _settle(self) -> None:
        """Fold in what waits: a key takes its place among all others in one pass over them, however many come together."""
        if not self._pending:
            return
        pending, self._pending, self._pending_rows = self._pending, [], 0
        keys = [_joined(pending, name, self._columns[name].dtype) for name in self._keys]
        before = self._index.rows.given
        at = self._index.add(keys)
        after = self._index.rows.given
        self._columns.grow(after)
        self._columns[_THERE][before:after] = True
        self._height += after - before
        for name, values in zip(self._keys, keys, strict=True):
            self._columns[name][at] = values
        rows = np.unique(at, return_inverse=True)
        for name in self._folds:
            self._fold(name, at, rows, _joined(pending, name, NUMPY[self.schema[name]]))
        for name in self._names:
            texts = pl.concat([some[name] for _, some in pending])
            self._texts[name] = _with_texts(self._texts[name], at, texts, before, after)

    def _fold(self, name: str, at: Ints, rows: tuple[Ints, Ints], values: Keys) -> None:
        """Fold values into a column at these rows. `rows`: the distinct ones, and the place of each among them."""
        fold, column = _FOLDS[self._folds[name]], self._columns[name]
        if column.dtype == values.dtype:
            fold.at(column, at, values)
            return
        if self._folds[name] == "sum" and not values.any():
            return
        narrow, (distinct, place) = self._narrow[name], rows
        found = narrow.cast(column[distinct], narrow.full)
        fold.at(found, place, values)
        dtype = narrow.type_for(found, column.dtype)
        if dtype != column.dtype:
            self._columns.convert(name, narrow.cast(column, dtype), narrow.nothing(dtype))
        self._columns[name][distinct] = narrow.cast(found, dtype)

    def _at(self, name: str, at: Keys) -> Keys:
        """A column at these rows, in the type of the schema; UNKNOWN where it is null."""
        found = self._columns[name][at]
        return self._narrow[name].cast(found, self._narrow[name].full) if name in self._narrow else found

    def of(self, values: pl.Series, names: Sequence[str] | None = None) -> pl.DataFrame:
        """The rows whose first key is among `values`, sorted by key: all columns, or these."""
        self._settle()
        return self._frame(self._sorted(self._index.of(np.unique(values.to_numpy()))), names)

    def columns_of(self, values: Keys, *names: str) -> list[Keys]:
        """These columns of the rows whose first key is among `values` (distinct), in any order; numbers only, nulls as they are stored."""
        self._settle()
        at = self._index.of(values)
        return [self._at(name, at) for name in names]

    def rows(self, names: Sequence[str] | None = None) -> pl.DataFrame:
        """All rows, one per key, sorted by key: all columns, or these. A copy, as large as the table."""
        self._settle()
        return self._frame(self._sorted(self._index.rows.in_order()), names)

    def replace(self, rows: pl.DataFrame) -> None:
        """Become exactly these rows. Raises WeaklinkError when their columns are others."""
        if rows.schema != self.schema:
            raise unlike(rows.schema, self.schema)
        self._clear()
        self.add(rows)

    def keep(self, predicate: pl.Expr) -> None:
        """Drop the rows for which the predicate is not true."""
        self._settle()
        numbers = self._index.rows.in_order()
        asked = self._frame(numbers, [name for name in self.schema if name in predicate.meta.root_names()])
        kept = (
            asked.select(predicate.fill_null(value=False)).to_series().to_numpy() if asked.width else np.zeros(0, bool)
        )
        if kept.all():
            return
        there = self._columns[_THERE]
        there[numbers[~kept]] = False
        self._index.rows.forget(~there)
        self._height = len(self._index.rows)
        if len(there) > 2 * self._height + _GARBAGE_ROWS_MIN:
            self.replace(self.rows())

    def _sorted(self, numbers: Keys) -> Keys:
        if len(self._keys) == 1:
            return numbers  # the index is in order
        keys = {name: self._columns[name][numbers] for name in reversed(self._keys)}
        keys |= {name: words.places(keys[name]) for name, words in self._words.items()}
        return numbers[np.lexsort(list(keys.values()))]

    def _frame(self, at: Keys, names: Sequence[str] | None = None) -> pl.DataFrame:
        """These rows, of these columns."""
        names = self.schema.names() if names is None else names
        frame = pl.DataFrame([self._series(name, at) for name in names])
        unknown = [self._known[name] for name in names if name in self._known]
        return frame.with_columns(unknown) if unknown else frame

    def _series(self, name: str, at: Keys) -> pl.Series:
        if name in self._names:
            return self._texts[name].gather(at)
        values = self._at(name, at)
        return self._words[name].of(values).alias(name) if name in self._words else pl.Series(name, values)


def _joined(pending: Sequence[tuple[Mapping[str, Keys], object]], name: str, dtype: Any) -> Keys:
    """A column of all rows that wait."""
    parts = [columns[name] for columns, _ in pending]
    found: Keys = (np.concatenate(parts) if len(parts) > 1 else parts[0]).astype(dtype, copy=False)
    return found


def _with_texts(texts: pl.Series, at: Ints, values: pl.Series, before: int, after: int) -> pl.Series:
    """`texts` by number with those of rows before..after, which are new, and those that were not known before."""
    if after > before:
        number, first = np.unique(at, return_index=True)
        texts = texts.append(values.gather(first[number >= before]))
        texts = texts.rechunk() if texts.n_chunks() > _CHUNKS_MAX else texts
    if not texts.null_count():
        return texts
    told = pl.DataFrame({"at": at, "text": values}).drop_nulls().group_by("at").agg(pl.col("text").max())
    missing = told.filter(texts.gather(told["at"]).is_null())
    return texts.scatter(missing["at"], missing["text"]) if missing.height else texts
