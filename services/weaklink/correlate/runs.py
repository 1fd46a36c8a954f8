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

from weaklink.correlate import merge_loops, row_loops, search_loops
from weaklink.correlate.config import CorrelateConfig
from weaklink.correlate.gaps import add_by_episode, nodes_with_gaps
from weaklink.correlate.levels import SortedRuns
from weaklink.correlate.lifetimes import Lifetimes
from weaklink.correlate.memory import Block
from weaklink.correlate.packed import (
    REQUESTS_PER_ROW_MAX,
    WORDS_SCHEMA,
    Array,
    Packed,
    Rows,
    copy_words,
    empty_rows,
    links_frame,
    ordered,
    shared_frame,
    to_words,
)
from weaklink.correlate.row_loops import WORDS
from weaklink.correlate.rows import with_place
from weaklink.correlate.run import Bounds, Piece, Query
from weaklink.errors import CheckpointError
from weaklink.frames import SHARED, empty

__all__ = ["REQUESTS_PER_ROW_MAX", "LinkRuns"]

_US_PER_SECOND: Final = 1_000_000
_EPOCH_SHIFT: Final = np.uint64(32)  # the epoch is the lowest byte of `place`, the upper half of its word
_EPOCH_MASK: Final = np.uint64(0xFF)
_RUNS: Final = pl.Schema({"rows": pl.Int64})
_CLOCK: Final = pl.Schema({"now_cell": pl.Int64})
_REACH: Final = pl.Schema({"begin_max": pl.Int64, "end_min": pl.Int64})


class LinkRuns:
    """All living links of one unit. Not thread-safe."""

    def __init__(self, config: CorrelateConfig) -> None:
        self._config = config
        self._refresh_us = config.refresh_seconds * _US_PER_SECOND
        self._runs = SortedRuns(config.merge_rows_per_add)
        self._lifetimes = Lifetimes(config)

    def __len__(self) -> int:
        """Links stored."""
        return len(self._runs)

    @property
    def bytes_stored(self) -> int:
        """Memory that the stored links take, with their directories and with what merges under way hold twice."""
        return self._runs.bytes_held

    def links(self) -> pl.DataFrame:
        """Every stored link (LINKS), in no particular order."""
        return links_frame(np.concatenate([empty_rows(), *(piece.rows for piece in self._runs.pieces())]))

    def add(self, *links: pl.DataFrame) -> pl.DataFrame:
        """Fold links (LINKS) in; returns the members that readers do not know yet (SHARED), each with its totals so far.

        A member is emitted when its node first has `share_accounts_min` holders, or it joins such a node, or its last use enters a new
        period of `refresh_seconds`. Links that the latest expiry has outlived are ignored. `requests` of one row above REQUESTS_PER_ROW_MAX
        count as that many; those of a link stop at REQUESTS_MAX and its `mentions` at MENTIONS_MAX. Times lie between 1970 and 2255.
        """
        packed = Packed(links, self._lifetimes.oldest_us)
        if not len(packed.rows):
            return empty(SHARED)
        self._lifetimes.note(packed.begin_max_us, packed.end_min_us)
        if not self._lifetimes.kinds_with_gaps():
            return shared_frame(*self._add_together(ordered(packed.rows)))
        every = links_frame(packed.rows)
        gapped = nodes_with_gaps(every, self._runs, self._lifetimes)
        if gapped is None:
            return shared_frame(*self._add_together(ordered(packed.rows)))
        every = with_place(every)
        emitted = []
        together = every.join(gapped, on=["identifier", "place"], how="anti", maintain_order="left").drop("place")
        if together.height:
            rows = Packed([together], self._lifetimes.oldest_us).rows
            emitted.append(shared_frame(*self._add_together(ordered(rows))))
        apart = every.join(gapped, on=["identifier", "place"], how="semi")
        emitted.append(shared_frame(*add_by_episode(apart, self._runs, self._lifetimes, self._config)))
        return pl.concat(emitted)

    def expire(self, now_us: int) -> int:
        """Drop links that `now_us` (microseconds since 1970, the stage's clock) has outlived; returns how many. Free within one time cell."""
        if not self._lifetimes.advance(now_us):
            return 0
        before, oldest_us = len(self), self._lifetimes.oldest_us
        masks, alive = [], 0
        for piece in self._runs.pieces():
            masks.append(np.empty(len(piece), dtype=np.uint8))
            alive += row_loops.mark_alive(piece.rows, oldest_us, masks[-1])
        if alive < before:
            self._runs.keep(masks)
        return before - alive

    def forget_epochs_before(self, oldest: int) -> int:
        """Drop links to tokens of earlier epochs; returns how many. Nodes of other epochs are not theirs, so nothing else changes."""
        masks = [
            ((piece.rows[:, 2] >> _EPOCH_SHIFT) & _EPOCH_MASK >= oldest).astype(np.uint8)
            for piece in self._runs.pieces()
        ]
        before = len(self)
        if not all(mask.all() for mask in masks):
            self._runs.keep(masks)
        return before - len(self)

    def to_frames(self) -> dict[str, pl.DataFrame]:
        """The state as frames of their own memory.

        `links` (words: UInt64, packed, run after run), `runs` (rows: Int64), `clock` (now_cell: Int64), `reach` (begin_max, end_min: Int64 cells by kind).
        """
        pieces = self._runs.pieces()
        return {
            "links": to_words([piece.rows for piece in pieces]),
            "runs": pl.DataFrame({"rows": [len(piece) for piece in pieces]}, schema=_RUNS),
            "clock": pl.DataFrame({"now_cell": [self._lifetimes.now_cell]}, schema=_CLOCK),
            "reach": pl.DataFrame(self._lifetimes.reach, schema=_REACH),
        }

    @classmethod
    def from_frames(cls, config: CorrelateConfig, frames: Mapping[str, pl.DataFrame]) -> Self:
        """The state that `to_frames` wrote. Raises CheckpointError when the frames are not such a state."""
        schemas = {"links": WORDS_SCHEMA, "runs": _RUNS, "clock": _CLOCK, "reach": _REACH}
        if wrong := [name for name, schema in schemas.items() if name not in frames or frames[name].schema != schema]:
            raise CheckpointError(
                f"snapshot of links has no sound {', '.join(wrong)}: it is damaged, or of another version. Remove it: the links will be rebuilt from the log"
            )
        words, lengths = frames["links"].height, frames["runs"]["rows"].to_list()
        if sum(lengths) * WORDS != words:
            raise CheckpointError(
                f"snapshot of links has {words} words, not {WORDS} for each of {sum(lengths)} links; remove it"
            )
        state = cls(config)
        state._lifetimes.now_cell = int(frames["clock"]["now_cell"].item())
        state._lifetimes.reach = {name: frames["reach"][name].to_numpy() for name in _REACH}
        begin = 0
        for length in lengths:
            block = Block(length)
            copy_words(frames["links"], begin, block.rows)
            if not merge_loops.is_ordered(block.rows):
                raise CheckpointError(
                    f"snapshot of links: rows {begin} to {begin + length} are not in order; remove the snapshot"
                )
            state._runs.adopt(block)
            begin += length
        return state

    def _add_together(self, rows: Rows) -> tuple[Rows, Array]:
        """Fold ordered distinct rows of nodes without gaps; returns the rows to emit, and the holders of each."""
        query = Query.of(rows)
        held, holders = np.zeros(query.nodes, dtype=np.int64), np.empty(query.nodes, dtype=np.int64)
        rank = np.zeros(len(rows), dtype=np.int64)
        known, refreshed, emit = (np.zeros(len(rows), dtype=np.uint8) for _ in range(3))
        found, position = np.empty(len(rows), dtype=np.int64), np.empty(len(rows), dtype=np.int64)
        turning = np.zeros(query.nodes, dtype=np.uint8)
        searched: list[tuple[Piece, Bounds]] = []
        for piece in self._runs.pieces():
            at = piece.bounds(query)
            searched.append((piece, at))
            count = search_loops.match(
                piece.rows, rows, query.begins, at.nodes, at.lower, at.upper, held, rank, known, found, position
            )  # fmt: skip
            row_loops.fold_known(piece.rows, rows, found, position, count, self._refresh_us, refreshed)
        config = self._config
        stored = search_loops.decide(
            query.begins, held, rank, known, refreshed, config.share_accounts_min, config.hub_accounts_max, holders, turning, emit
        )  # fmt: skip
        emitted = np.flatnonzero(emit)
        said, said_holders = rows[emitted], holders[query.node_of(emitted)]
        if stored:
            others, node = _others(searched, query, turning, stored)
            said, said_holders = np.concatenate((said, others)), np.concatenate((said_holders, holders[node]))
        self._runs.insert(rows[known == 0])
        return said, said_holders


def _others(searched: list[tuple[Piece, Bounds]], query: Query, turning: Array, stored: int) -> tuple[Rows, Array]:
    """Stored links of the nodes that turn shared whose accounts are not in the chunk, and the node of each. `stored`: how many there are at most."""
    out, node, count = empty_rows(stored), np.empty(stored, dtype=np.int64), 0
    for piece, at in searched:
        count = search_loops.take_others(
            piece.rows, query.rows, query.begins, at.nodes, at.lower, at.upper, turning, out, node, count
        )  # fmt: skip
    return out[:count], node[:count]
