"""Nodes with gaps: stored links and new uses by episode, the exact and slower way (see `episodes.py`)."""

from typing import Final

import numpy as np
import polars as pl

from weaklink.correlate.config import CorrelateConfig
from weaklink.correlate.episodes import NODE, STORED, episodes
from weaklink.correlate.levels import SortedRuns
from weaklink.correlate.lifetimes import Lifetimes
from weaklink.correlate.packed import Array, Packed, Rows, empty_rows, links_frame
from weaklink.correlate.rows import KEY, Stored, gather, with_place
from weaklink.correlate.run import Query
from weaklink.frames import LINKS

_PLACE_SHIFT: Final = np.uint64(32)
_US_PER_SECOND: Final = 1_000_000


def nodes_with_gaps(links: pl.DataFrame, runs: SortedRuns, lifetimes: Lifetimes) -> pl.DataFrame | None:
    """Nodes (identifier, place) of these links (LINKS) of which two uses, stored or new, are too far apart. None: there are none."""
    suspects = with_place(links.filter(pl.col("kind").is_in(lifetimes.kinds_with_gaps()) & (pl.col("slot") == 0)))
    if suspects.is_empty():
        return None
    nodes = suspects.group_by(NODE).agg(pl.col("first_seen_us").max(), pl.col("last_seen_us").min()).sort(NODE)
    stored = gather(runs.pieces(), _query(nodes))
    begin_max, end_min = np.array(nodes["first_seen_us"]), np.array(nodes["last_seen_us"])
    old = links_frame(stored.rows)
    np.maximum.at(begin_max, stored.node, old["first_seen_us"].to_numpy())
    np.minimum.at(end_min, stored.node, old["last_seen_us"].to_numpy())
    cells = begin_max // lifetimes.cell_us - end_min // lifetimes.cell_us
    apart = cells > lifetimes.gap_cells[(nodes["place"].to_numpy() >> 8) & 255]
    return nodes.filter(pl.Series(apart)).select(NODE) if apart.any() else None


def add_by_episode(
    links: pl.DataFrame, runs: SortedRuns, lifetimes: Lifetimes, config: CorrelateConfig
) -> tuple[Rows, Array]:
    """Fold links (LINKS with `place`) of nodes with gaps into the runs; returns the rows to emit, and the holders of each."""
    stored = gather(runs.pieces(), _query(links.select(NODE).unique().sort(NODE)))
    merged = episodes(
        _uses(links, stored, lifetimes),
        share_accounts_min=config.share_accounts_min,
        hub_accounts_max=config.hub_accounts_max,
        refresh_us=config.refresh_seconds * _US_PER_SECOND,
    )
    rows = _pack(merged)
    first_stored = merged[STORED].list.first().fill_null(-1).to_numpy()
    known = first_stored >= 0
    pieces = runs.pieces()
    for number, piece in enumerate(pieces):
        at = np.flatnonzero(known)[stored.piece[first_stored[known]] == number]
        piece.rows[stored.position[first_stored[at]]] = rows[at]
    # Links of one account in episodes that a late use has joined: the first holds the sum now, the others go.
    joined = merged[STORED].list.slice(1).explode().drop_nulls().to_numpy()
    if len(joined):
        masks = [np.ones(len(one), dtype=np.uint8) for one in pieces]
        for number, mask in enumerate(masks):
            mask[stored.position[joined[stored.piece[joined] == number]]] = 0
        runs.keep(masks)
    runs.insert(rows[~known])
    emit = merged["emit"].to_numpy()
    return rows[emit], merged["holders"].to_numpy()[emit]


def _query(nodes: pl.DataFrame) -> Query:
    """Of distinct nodes in order, whatever their accounts."""
    rows = empty_rows(nodes.height)
    rows[:] = 0
    rows[:, 0] = nodes["identifier"].to_numpy()
    rows[:, 2] = nodes["place"].to_numpy().astype(np.uint64) << _PLACE_SHIFT
    return Query.of(rows)


def _pack(merged: pl.DataFrame) -> Rows:
    place = pl.col("place")
    links = merged.with_columns(slot=place // 65536, kind=place // 256 % 256, epoch=place % 256).select(LINKS.names())
    return Packed([links.cast(LINKS)], np.full(256, np.iinfo(np.int64).min)).rows


def _uses(links: pl.DataFrame, stored: Stored, lifetimes: Lifetimes) -> pl.DataFrame:
    """Stored links and new ones as `episodes` takes them."""
    old = with_place(links_frame(stored.rows)).with_columns(pl.int_range(pl.len()).alias(STORED))
    new = links.with_columns(pl.lit(None, dtype=pl.Int64).alias(STORED))
    columns = [*KEY, *(name for name in LINKS if name not in (*KEY, "slot", "kind", "epoch")), STORED]
    both = [one.select(columns).with_columns(pl.col("mentions", "requests").cast(pl.Int64)) for one in (old, new)]
    gap_of_kind = pl.Series(lifetimes.gap_cells)
    return pl.concat(both).with_columns(
        (pl.col("first_seen_us") // lifetimes.cell_us).alias("begin"),
        (pl.col("last_seen_us") // lifetimes.cell_us).alias("end"),
        pl.lit(gap_of_kind).gather(pl.col("place") // 256 % 256).alias("gap"),
    )
