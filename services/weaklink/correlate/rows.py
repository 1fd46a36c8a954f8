"""Between the frames that stages exchange and the columns that runs store."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from weaklink.correlate.run import DTYPES, Array, Columns, Query, Run
from weaklink.frames import LINKS, SHARED

KEY: Final = ("identifier", "place", "account")
UINT32_MAX: Final = (1 << 32) - 1
REQUESTS_PER_ROW_MAX: Final = 1 << 40
"""More than any account makes; keeps what one party claims from overflowing a sum."""


def with_place(links: pl.DataFrame) -> pl.DataFrame:
    """LINKS with the column `place` (UInt32: slot << 16 | kind << 8 | epoch), and with requests within their limit."""
    place = pl.col("slot").cast(pl.UInt32) * (1 << 16) + pl.col("kind").cast(pl.UInt32) * (1 << 8) + pl.col("epoch")
    return links.with_columns(place.cast(pl.UInt32).alias("place"), pl.col("requests").clip(0, REQUESTS_PER_ROW_MAX))


def merged_rows(links: pl.DataFrame) -> Columns:
    """One row per (identifier, place, account), in that order; `mentions` and `requests` as int64."""
    rows = links.lazy().with_columns(pl.col("mentions").cast(pl.Int64))
    key = links.select(pl.struct(KEY).is_duplicated().any()).item()
    if key:
        rows = rows.group_by(KEY).agg(
            pl.col("tail", "first_seen_us").min(),
            pl.col("last_seen_us", "appended_at_us").max(),
            pl.col("mentions").sum().clip(0, UINT32_MAX),
            pl.col("requests").sum(),
        )
    return writable(rows.select(*DTYPES).sort(KEY).collect())


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
    names = [name for name in (*DTYPES, "holders") if name in DTYPES or name in schema]
    columns = {name: np.concatenate([part[name] for part in parts]) if parts else np.empty(0) for name in names}
    place = pl.col("place")
    return (
        pl.DataFrame({"place": pl.Series(columns.pop("place").astype(np.uint32)), **columns})
        .with_columns(slot=place // (1 << 16), kind=place // (1 << 8) % (1 << 8), epoch=place % (1 << 8))
        .select(pl.col(name).cast(dtype) for name, dtype in schema.items())
    )
