"""Links as sorted runs: the state of correlate for one partition of links. Links go in, what is newly shared comes out.

A *node* is (identifier, slot) of one kind and epoch; its *holders* are the accounts that use it within one episode (see `episodes.py`).
The state depends on the set of links that went in and on the latest expiry, not on the order of rows or on how they were cut into chunks; the
set of members that were emitted likewise, for nodes that never have more than `hub_accounts_max` holders. Of a larger node (a hub)
a sample is emitted, the `hub_accounts_max` smallest account keys of those that it holds at the time: keys are hashes, so the sample
is fair, and whoever floods a hub with accounts of their own cannot keep later holders out of it. `holders` counts all of them.
"""

from collections.abc import Mapping
from typing import Final, Self

import numpy as np
import polars as pl

from weaklink.correlate.config import CorrelateConfig
from weaklink.correlate.episodes import NODE, STORED, episodes
from weaklink.correlate.levels import SortedRuns
from weaklink.correlate.lifetimes import Lifetimes
from weaklink.correlate.rows import (
    KEY,
    REQUESTS_PER_ROW_MAX,
    UINT32_MAX,
    Stored,
    gather,
    is_ordered,
    merged_rows,
    to_links,
    to_shared,
    with_place,
    writable,
)
from weaklink.correlate.run import DTYPES, Array, Columns, Query
from weaklink.errors import CheckpointError
from weaklink.frames import LINKS, SHARED, empty

__all__ = ["REQUESTS_PER_ROW_MAX", "LinkRuns"]

_POSITION_BITS: Final = 40
_SNAPSHOT: Final = ("links", "runs", "clock")


class LinkRuns:
    """All living links of one unit. Not thread-safe."""

    def __init__(self, config: CorrelateConfig) -> None:
        self._config = config
        self._refresh_us = config.refresh_seconds * 1_000_000
        self._runs = SortedRuns(config.merge_rows_per_add)
        self._lifetimes = Lifetimes(config)

    def __len__(self) -> int:
        """Links stored."""
        return len(self._runs)

    @property
    def bytes_stored(self) -> int:
        """Bytes that the stored links take."""
        return self._runs.bytes_stored

    def add(self, links: pl.DataFrame) -> pl.DataFrame:
        """Fold links (LINKS) in; returns the members that readers do not know yet (SHARED), each with its totals so far.

        A member is emitted when its node first has `share_accounts_min` holders, or it joins such a node, or its last use enters a new
        period of `refresh_seconds`. Links that the latest expiry has outlived are ignored. `requests` of one row above REQUESTS_PER_ROW_MAX
        count as that many; `mentions` stop at the largest UInt32.
        """
        alive = self._lifetimes.alive(links["kind"].to_numpy(), links["last_seen_us"].to_numpy())
        links = links if alive.all() else links.filter(pl.Series(alive))
        if links.is_empty():
            return empty(SHARED)
        self._lifetimes.note(links)
        gapped = self._nodes_with_gaps(links)
        if gapped is None:
            return to_shared([self._add_together(merged_rows(links))])
        emitted = []
        links = with_place(links)
        together = links.join(gapped, on=["identifier", "place"], how="anti", maintain_order="left")
        if together.height:
            emitted.append(self._add_together(merged_rows(together)))
        apart = links.join(gapped, on=["identifier", "place"], how="semi")
        emitted.append(self._add_by_episode(apart))
        return to_shared(emitted)

    def expire(self, now_us: int) -> int:
        """Drop links that `now_us` (microseconds since 1970, the stage's clock) has outlived; returns how many. Free within one time cell."""
        if not self._lifetimes.advance(now_us):
            return 0
        before = len(self)
        masks = [
            self._lifetimes.alive((piece.columns["place"] >> 8) & 255, piece.columns["last_seen_us"])
            for piece in self._runs.pieces()
        ]
        if not all(mask.all() for mask in masks):
            self._runs.keep(masks)
        return before - len(self)

    def to_frames(self) -> dict[str, pl.DataFrame]:
        """The state as frames of their own memory: `links` (LINKS, run after run), `runs` (rows: Int64) and `clock` (now_cell: Int64)."""
        pieces = self._runs.pieces()
        return {
            "links": to_links([piece.columns for piece in pieces]),
            "runs": pl.DataFrame({"rows": [len(piece) for piece in pieces]}, schema={"rows": pl.Int64}),
            "clock": pl.DataFrame({"now_cell": [self._lifetimes.now_cell]}, schema={"now_cell": pl.Int64}),
        }

    @classmethod
    def from_frames(cls, config: CorrelateConfig, frames: Mapping[str, pl.DataFrame]) -> Self:
        """The state that `to_frames` wrote. Raises CheckpointError when the frames are not such a state."""
        missing = [name for name in _SNAPSHOT if name not in frames]
        if missing or frames["links"].schema != LINKS or frames["runs"]["rows"].sum() != frames["links"].height:
            raise CheckpointError(
                f"snapshot of links is not one: missing {missing}, columns {frames['links'].columns if 'links' in frames else '-'}; "
                "it will be rebuilt from the log when the snapshot is removed"
            )
        state = cls(config)
        state._lifetimes.now_cell = int(frames["clock"]["now_cell"].item())
        begin = 0
        links = with_place(frames["links"])
        state._lifetimes.note(links)
        state._widen_for(links["requests"].to_numpy())
        for rows in frames["runs"]["rows"].to_list():
            columns = writable(links.slice(begin, rows))
            if not is_ordered(columns):
                raise CheckpointError(
                    f"snapshot of links: rows {begin} to {begin + rows} are not in order; remove the snapshot"
                )
            state._runs.append(columns)
            begin += rows
        return state

    # -- nodes whose uses all belong together: the fast way

    def _add_together(self, rows: Columns) -> Columns:
        """Fold sorted distinct rows of nodes without gaps; returns the rows to emit, with `holders`."""
        query = Query.of(rows)
        nodes = query.row_node
        held = np.zeros(len(query.node_place), dtype=np.int64)
        rank = np.zeros(len(nodes), dtype=np.int64)
        piece_of_row = np.full(len(nodes), -1, dtype=np.int64)
        position_of_row = np.zeros(len(nodes), dtype=np.int64)
        for number, piece in enumerate(self._runs.pieces()):
            found = piece.find(query)
            held[found.nodes] += found.upper - found.lower
            rank[found.rows] += found.rank
            known = found.rows[found.matched]
            piece_of_row[known] = number
            position_of_row[known] = found.position[found.matched]
        new = piece_of_row < 0
        holders = held + np.bincount(nodes, weights=new, minlength=len(held)).astype(np.int64)
        sharing, shared = held >= self._config.share_accounts_min, holders >= self._config.share_accounts_min
        turning = shared & ~sharing
        others = self._others(query, turning & (held > 0), piece_of_row, position_of_row)
        refreshed = self._update(rows, piece_of_row, position_of_row)
        # New accounts of this chunk count in the rank of those behind them on the same node.
        new_before: Array = np.cumsum(new) - new
        first_of_node = np.flatnonzero(np.concatenate(([True], nodes[1:] != nodes[:-1])))
        rank += new_before - new_before[first_of_node][nodes]
        emit = shared[nodes] & (rank < self._config.hub_accounts_max) & (new | turning[nodes] | refreshed)
        out = {name: column[emit] for name, column in rows.items()}
        out["holders"] = holders[nodes[emit]]
        if others is not None:
            columns, other_nodes = others
            columns["holders"] = holders[other_nodes]
            out = {name: np.concatenate((column, columns[name])) for name, column in out.items()}
        self._runs.insert({name: column[new] for name, column in rows.items()})
        return out

    def _others(
        self, query: Query, wanted: Array, piece_of_row: Array, position_of_row: Array
    ) -> tuple[Columns, Array] | None:
        """Stored links of the wanted nodes whose accounts are not in the chunk, and the node of each."""
        if not wanted.any():
            return None
        stored = gather(self._runs.pieces(), query, wanted)
        present = wanted[query.row_node] & (piece_of_row >= 0)
        place_of_stored, place_of_present = (
            piece << _POSITION_BITS | position
            for piece, position in (
                (stored.piece, stored.position),
                (piece_of_row[present], position_of_row[present]),
            )
        )
        absent = np.isin(place_of_stored, place_of_present, invert=True)
        return {name: column[absent] for name, column in stored.columns.items()}, stored.node[absent]

    def _update(self, rows: Columns, piece_of_row: Array, position_of_row: Array) -> Array:
        """Merge known rows with what is stored, on both sides; returns which of them enter a new refresh period."""
        refreshed = np.zeros(len(piece_of_row), dtype=bool)
        pieces = self._runs.pieces()
        known = [(piece, np.flatnonzero(piece_of_row == number)) for number, piece in enumerate(pieces)]
        for piece, at in known:
            old = piece.take(position_of_row[at])
            last = np.maximum(old["last_seen_us"], rows["last_seen_us"][at])
            refreshed[at] = last // self._refresh_us > old["last_seen_us"] // self._refresh_us
            rows["last_seen_us"][at] = last
            for name, fold in (("first_seen_us", np.minimum), ("tail", np.minimum), ("appended_at_us", np.maximum)):
                rows[name][at] = fold(old[name], rows[name][at])
            rows["mentions"][at] = np.minimum(old["mentions"].astype(np.int64) + rows["mentions"][at], UINT32_MAX)
            rows["requests"][at] += old["requests"]
        self._write(rows, piece_of_row, position_of_row)
        return refreshed

    def _write(self, rows: Columns, piece_of_row: Array, position_of_row: Array) -> None:
        """Write the values (not the keys) of rows to where they are stored."""
        self._widen_for(rows["requests"])
        for number, piece in enumerate(self._runs.pieces()):
            at = np.flatnonzero(piece_of_row == number)
            for name in ("tail", "first_seen_us", "last_seen_us", "appended_at_us", "mentions", "requests"):
                piece.columns[name][position_of_row[at]] = rows[name][at]

    # -- nodes with gaps: the exact way

    def _nodes_with_gaps(self, links: pl.DataFrame) -> pl.DataFrame | None:
        """Nodes (identifier, place) of these links of which two uses, stored or new, are too far apart. None: there are none."""
        kinds = self._lifetimes.kinds_with_gaps()
        if not kinds:
            return None
        suspects = with_place(links.filter(pl.col("kind").is_in(kinds) & (pl.col("slot") == 0)))
        if suspects.is_empty():
            return None
        nodes = (
            suspects.group_by(NODE)
            .agg(pl.col("first_seen_us").max(), pl.col("last_seen_us").min())
            .with_columns(account=pl.lit(0, dtype=pl.UInt64))
            .sort(NODE)
        )
        query = Query.of({name: nodes[name].to_numpy() for name in KEY})
        stored = gather(self._runs.pieces(), query, np.ones(nodes.height, dtype=bool))
        begin_max, end_min = np.array(nodes["first_seen_us"]), np.array(nodes["last_seen_us"])
        np.maximum.at(begin_max, stored.node, stored.columns["first_seen_us"])
        np.minimum.at(end_min, stored.node, stored.columns["last_seen_us"])
        cells = begin_max // self._lifetimes.cell_us - end_min // self._lifetimes.cell_us
        apart = cells > self._lifetimes.gap_cells[(query.node_place >> 8) & 255]
        return nodes.filter(pl.Series(apart)).select(NODE) if apart.any() else None

    def _add_by_episode(self, links: pl.DataFrame) -> Columns:
        """Fold links of nodes with gaps; returns the rows to emit, with `holders`."""
        nodes = links.select(NODE).unique().with_columns(account=pl.lit(0, dtype=pl.UInt64)).sort(KEY)
        query = Query.of({name: nodes[name].to_numpy() for name in KEY})
        stored = gather(self._runs.pieces(), query, np.ones(nodes.height, dtype=bool))
        merged = episodes(
            self._uses(links, stored),
            share_accounts_min=self._config.share_accounts_min,
            hub_accounts_max=self._config.hub_accounts_max,
            refresh_us=self._refresh_us,
        )
        rows = writable(merged)
        first_stored = merged[STORED].list.first().fill_null(-1).to_numpy()
        known = first_stored >= 0
        piece, position = np.full(len(known), -1), np.zeros(len(known), dtype=np.int64)
        piece[known], position[known] = stored.piece[first_stored[known]], stored.position[first_stored[known]]
        self._write(rows, piece, position)
        # Links of one account in episodes that a late use has joined: the first holds the sum now, the others go.
        joined = merged[STORED].list.slice(1).explode().drop_nulls().to_numpy()
        if len(joined):
            masks = [np.ones(len(one), dtype=bool) for one in self._runs.pieces()]
            for number, mask in enumerate(masks):
                mask[stored.position[joined[stored.piece[joined] == number]]] = False
            self._runs.keep(masks)
        self._runs.insert({name: column[~known] for name, column in rows.items()})
        emit = merged["emit"].to_numpy()
        return {name: column[emit] for name, column in rows.items()} | {"holders": merged["holders"].to_numpy()[emit]}

    def _uses(self, links: pl.DataFrame, stored: Stored) -> pl.DataFrame:
        """Stored links and new ones as `episodes` takes them."""
        old = pl.DataFrame(stored.columns).with_columns(pl.int_range(pl.len()).alias(STORED))
        new = links.select(*DTYPES).with_columns(
            pl.col("requests").clip(0, REQUESTS_PER_ROW_MAX), pl.lit(None, dtype=pl.Int64).alias(STORED)
        )
        both = [one.with_columns(pl.col("mentions", "requests").cast(pl.Int64)) for one in (old, new)]
        gap_of_kind = pl.Series(self._lifetimes.gap_cells)
        return pl.concat(both).with_columns(
            (pl.col("first_seen_us") // self._lifetimes.cell_us).alias("begin"),
            (pl.col("last_seen_us") // self._lifetimes.cell_us).alias("end"),
            pl.lit(gap_of_kind).gather(pl.col("place") // 256 % 256).alias("gap"),
        )

    def _widen_for(self, requests: Array) -> None:
        if len(requests) and (requests.max() > UINT32_MAX or requests.min() < 0):
            self._runs.widen("requests")
