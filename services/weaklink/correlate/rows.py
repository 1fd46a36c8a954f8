"""Stored rows of some nodes, as copies: what the exact way of nodes with gaps works on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from weaklink.correlate.packed import Array, Rows, empty_rows
from weaklink.correlate.run import Piece, Query

KEY: Final = ("identifier", "place", "account")


def with_place(links: pl.DataFrame) -> pl.DataFrame:
    """LINKS with the column `place` (UInt32: slot << 16 | kind << 8 | epoch)."""
    place = pl.col("slot").cast(pl.UInt32) * (1 << 16) + pl.col("kind").cast(pl.UInt32) * (1 << 8) + pl.col("epoch")
    return links.with_columns(place.cast(pl.UInt32).alias("place"))


@dataclass(frozen=True, slots=True)
class Stored:
    """Copies of stored rows, with the node of the query that each belongs to, and where it is."""

    rows: Rows
    node: Array
    piece: Array
    position: Array


def gather(pieces: Sequence[Piece], query: Query) -> Stored:
    """All stored rows of the query's nodes."""
    rows = [empty_rows()]
    node, owner, position = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
    for number, piece in enumerate(pieces):
        bounds = piece.bounds(query)
        lengths = bounds.upper - bounds.lower
        ends = np.cumsum(lengths)
        at = np.repeat(bounds.lower - (ends - lengths), lengths) + np.arange(int(lengths.sum()))
        rows.append(piece.rows[at])
        node.append(np.repeat(bounds.nodes, lengths))
        owner.append(np.full(len(at), number))
        position.append(at)
    return Stored(
        rows=np.concatenate(rows),
        node=np.concatenate(node),
        piece=np.concatenate(owner),
        position=np.concatenate(position),
    )
