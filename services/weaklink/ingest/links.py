"""Accepted events to link rows, over all parties and records of a transaction: equal to `fold.fold_links` of them, without a frame in between."""

import secrets
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from weaklink.frames import LINKS
from weaklink.ingest import fold_loops
from weaklink.ingest.config import MICROSECONDS_PER_DAY, IngestConfig
from weaklink.ingest.events import Rows
from weaklink.ingest.fold import UNLINKED, split_uses
from weaklink.ingest.outcome import Accepted

_HOUR_US: Final = 3_600_000_000
_ROWS_MIN: Final = 1 << 12
"""More than one event makes."""
_ROWS_MAX: Final = 1 << 19
"""40 MiB with what finds them. Hardly any transaction of ordinary events comes to so many; leases of months in one batch come to millions."""
_SLOTS_PER_ROW: Final = 2
_SECRET: Final = np.uint64(secrets.randbits(64) | 1)


@dataclass(frozen=True, slots=True)
class _Part:
    """What was added in one call: the link of each item of `accepted` (-1: none)."""

    accepted: Accepted
    item_links: Rows


class LinkTable:
    """Link rows as they grow, up to a size at which they are to be taken away."""

    def __init__(self, config: IngestConfig) -> None:
        self._config = config
        self._slot_us = config.slot_hours * _HOUR_US
        self._parts: list[_Part] = []
        self._count = 0
        self._rows = np.empty((_ROWS_MIN, fold_loops.LINK_WORDS), dtype=np.int64)
        self._slots = np.zeros(_SLOTS_PER_ROW * _ROWS_MIN, dtype=np.uint64)

    def __len__(self) -> int:
        return self._count

    def clear(self) -> None:
        """Begin anew, in the same memory."""
        self._parts.clear()
        self._count = 0
        self._slots[:] = 0

    def add(self, accepted: Accepted, accounts: Rows, item_links: Rows, done: int = 0) -> int:
        """Events of one party and record, from number `done` on, and the account hash of each. Returns how many of them are done: fewer than all when the
        table is full, to be gone on with after `to_frames` and `clear`. `item_links`: room for a number for each of the events' items, which is kept.
        """
        layout, events = accepted.layout, accepted.events
        if layout.record in UNLINKED:
            return len(accepted.rows)
        released = layout.slot("released_at") if layout.record == "AddressLease" else -1
        requests = layout.slot("requests") if layout.record == "ApiUsage" else -1
        where = np.array([layout.slot("occurred_at"), layout.slot("identifiers"), requests, released], dtype=np.int64)
        item_links[:] = -1
        while True:
            done, self._count = fold_loops.add_links(
                events.data, accepted.rows, events.values, events.sizes, events.item_begins, events.appended_us, accounts, where, done,
                self._slot_us, self._config.lease_open_days * MICROSECONDS_PER_DAY, self._config.lease_slots_max,
                self._rows, self._slots, self._count, _SECRET, item_links,
            )  # fmt: skip
            if done == len(accepted.rows) or len(self._rows) >= _ROWS_MAX:
                break
            self._grow()
        self._parts.append(_Part(accepted, item_links))
        return done

    def to_frames(self, partitions: int) -> list[tuple[int, pl.DataFrame]]:
        """(partition, LINKS rows of identifiers that fall to it), of partitions that get any."""
        rows = self._rows[: self._count]
        idle = rows[:, fold_loops.LAST] - rows[:, fold_loops.FIRST] > self._config.use_gap_hours * _HOUR_US
        idle &= (rows[:, fold_loops.TRAITS] >> 16) & 0xFFFF == 0
        partition = (rows[:, fold_loops.IDENTIFIER].view(np.uint64) % np.uint64(partitions)).astype(np.int64)
        split = None
        if idle.any():
            split = split_uses(self._uses(np.flatnonzero(idle)), self._config)
            partition[idle] = -1
        found: list[tuple[int, pl.DataFrame]] = []
        for number in range(partitions):
            frame = _frame(rows[partition == number])
            if split is not None:
                frame = pl.concat([frame, split.filter(pl.col("identifier") % partitions == number)])
            if frame.height:
                found.append((number, frame))
        return found

    def _uses(self, links: Rows) -> pl.DataFrame:
        """Every use of these links as a row of its own."""
        wanted = np.zeros(self._count + 1, dtype=np.bool_)  # the last one answers for -1
        wanted[links] = True
        uses: list[npt.NDArray[np.int64]] = []
        for part in self._parts:
            events, layout = part.accepted.events, part.accepted.layout
            item_rows = np.empty(events.items, dtype=np.int64)
            rows, slot = part.accepted.rows, layout.slot("identifiers")
            begins, sizes = events.values[rows, slot], events.sizes[rows, slot]
            within = np.arange(int(sizes.sum())) - np.repeat(np.cumsum(sizes) - sizes, sizes)
            item_rows[np.repeat(begins, sizes) + within] = np.repeat(rows, sizes)
            items = np.flatnonzero(wanted[part.item_links])
            row = item_rows[items]
            use = self._rows[part.item_links[items]]
            use[:, fold_loops.FIRST] = use[:, fold_loops.LAST] = events.values[row, layout.slot("occurred_at")]
            use[:, fold_loops.APPENDED] = events.appended_us[row]
            use[:, fold_loops.TRAITS] = (use[:, fold_loops.TRAITS] & 0xFFFFFFFF) | 1 << 32
            use[:, fold_loops.REQUESTS] = (
                events.values[row, layout.slot("requests")] if layout.record == "ApiUsage" else 0
            )
            uses.append(use)
        return _frame(np.concatenate(uses))

    def _grow(self) -> None:
        room = np.empty((2 * len(self._rows), fold_loops.LINK_WORDS), dtype=np.int64)
        room[: self._count] = self._rows[: self._count]
        self._rows, self._slots = room, np.zeros(_SLOTS_PER_ROW * len(room), dtype=np.uint64)
        fold_loops.rebuild_links(self._rows, self._count, self._slots, _SECRET)


def _frame(rows: npt.NDArray[np.int64]) -> pl.DataFrame:
    traits = rows[:, fold_loops.TRAITS]
    columns = {
        "identifier": _word(rows, fold_loops.IDENTIFIER),
        "tail": _word(rows, fold_loops.TAIL),
        "kind": traits.astype(np.uint8),
        "epoch": (traits >> 8).astype(np.uint8),
        "slot": (traits >> 16).astype(np.uint16),
        "account": _word(rows, fold_loops.ACCOUNT),
        "first_seen_us": np.ascontiguousarray(rows[:, fold_loops.FIRST]),
        "last_seen_us": np.ascontiguousarray(rows[:, fold_loops.LAST]),
        "appended_at_us": np.ascontiguousarray(rows[:, fold_loops.APPENDED]),
        "mentions": (traits >> 32).astype(np.uint32),
        "requests": np.ascontiguousarray(rows[:, fold_loops.REQUESTS]),
    }
    return pl.DataFrame(columns, schema=LINKS)


def _word(rows: npt.NDArray[np.int64], column: int) -> npt.NDArray[np.uint64]:
    return np.ascontiguousarray(rows[:, column]).view(np.uint64)
