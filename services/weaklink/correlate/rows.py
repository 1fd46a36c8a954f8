"""Between the frames that stages exchange and the columns that runs store."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from weaklink.correlate.run import DTYPES, Array, Columns, Query, Run, key_order
from weaklink.frames import LINKS, NUMPY, SHARED

KEY: Final = ("identifier", "place", "account")
UINT32_MAX: Final = (1 << 32) - 1
_FOLDS: Final[dict[str, np.ufunc]] = {
    "tail": np.minimum,
    "first_seen_us": np.minimum,
    "last_seen_us": np.maximum,
    "appended_at_us": np.maximum,
    "mentions": np.add,
    "requests": np.add,
}
REQUESTS_PER_ROW_MAX: Final = 1 << 40
"""More than any account makes; keeps what one party claims from overflowing a sum."""


def with_place(links: pl.DataFrame) -> pl.DataFrame:
    """LINKS with the column `place` (UInt32: slot << 16 | kind << 8 | epoch)."""
    place = pl.col("slot").cast(pl.UInt32) * (1 << 16) + pl.col("kind").cast(pl.UInt32) * (1 << 8) + pl.col("epoch")
    return links.with_columns(place.cast(pl.UInt32).alias("place"))


def merged_rows(links: pl.DataFrame) -> Columns:
    """One row per (identifier, place, account), in that order; `mentions` and `requests` as int64."""
    columns = {name: links[name].to_numpy() for name in DTYPES if name != "place"}
    slot, kind, epoch = (links[name].to_numpy().astype(np.uint32) for name in ("slot", "kind", "epoch"))
    columns["place"] = slot << 16 | kind << 8 | epoch
    order = key_order(columns["identifier"], columns["place"], columns["account"])
    rows = {name: column[order] for name, column in columns.items()}
    rows["mentions"] = rows["mentions"].astype(np.int64)
    rows["requests"] = np.clip(rows["requests"], 0, REQUESTS_PER_ROW_MAX)
    begins = np.ones(len(order), dtype=bool)
    begins[1:] = np.logical_or.reduce([rows[name][1:] != rows[name][:-1] for name in KEY])
    if begins.all():
        return rows
    starts = np.flatnonzero(begins)
    merged = {name: fold.reduceat(rows[name], starts) for name, fold in _FOLDS.items()}
    merged["mentions"] = np.minimum(merged["mentions"], UINT32_MAX)
    return {name: rows[name][starts] for name in KEY} | merged


def writable(rows: pl.DataFrame) -> Columns:
    """The columns of a frame as numpy arrays of their own memory."""
    return {name: np.array(rows[name].to_numpy()) for name in DTYPES}


def is_ordered(columns: Columns) -> bool:
    """Whether the rows ascend by (identifier, place, account)."""
    below = np.zeros(max(len(columns["identifier"]) - 1, 0), dtype=bool)
    for name in reversed(KEY):
        earlier, later = columns[name][:-1], columns[name][1:]
        below = (earlier < later) | ((earlier == later) & below)
        if name == KEY[-1]:
            below |= earlier == later  # one account in two episodes
    return bool(below.all())


@dataclass(frozen=True, slots=True)
class Stored:
    """Copies of stored rows, with the node of the query that each belongs to, and where it is."""

    columns: Columns
    node: Array
    piece: Array
    position: Array


def gather(pieces: Sequence[Run], query: Query, wanted: Array) -> Stored:
    """All stored rows of the wanted nodes (a mask over the query's nodes)."""
    columns: list[Columns] = [{name: np.empty(0, dtype=dtype) for name, dtype in DTYPES.items()}]
    node, owner, position = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
    for number, piece in enumerate(pieces):
        nodes, lower, upper = piece.node_bounds(query)
        chosen = wanted[nodes]
        nodes, lower, lengths = nodes[chosen], lower[chosen], (upper - lower)[chosen]
        ends = np.cumsum(lengths)
        at = np.repeat(lower - (ends - lengths), lengths) + np.arange(int(lengths.sum()))
        columns.append(piece.take(at))
        node.append(np.repeat(nodes, lengths))
        owner.append(np.full(len(at), number))
        position.append(at)
    return Stored(
        columns={name: np.concatenate([one[name] for one in columns]) for name in DTYPES},
        node=np.concatenate(node),
        piece=np.concatenate(owner),
        position=np.concatenate(position),
    )


def to_links(parts: Sequence[Columns]) -> pl.DataFrame:
    """Columns of runs, one after the other, as LINKS."""
    return _frame(parts, LINKS)


def to_shared(parts: Sequence[Columns]) -> pl.DataFrame:
    """Columns with `holders` as SHARED."""
    return _frame(parts, SHARED)


def _frame(parts: Sequence[Columns], schema: pl.Schema) -> pl.DataFrame:
    names = [*DTYPES, *(["holders"] if "holders" in schema else [])]
    none: Columns = {name: np.empty(0, DTYPES.get(name, np.uint32)) for name in names}
    columns = {name: np.concatenate([part[name] for part in parts or [none]]) for name in names}
    place = columns.pop("place")
    columns |= {"slot": place >> 16, "kind": place >> 8 & 255, "epoch": place & 255}
    return pl.DataFrame(
        {name: columns[name].astype(NUMPY[dtype], copy=False) for name, dtype in schema.items()}, schema=schema
    )
