"""A stored link as seven words of 64 bits, and the Python side of the loops that write and read them.

| word | upper bits | lower bits |
|---|---|---|
| 0 | identifier | |
| 1 | account | |
| 2 | place (32) | mentions (32) |
| 3, 4, 5 | first seen, last seen, append time (53 each: microseconds since 1970, until 2255) | requests (11 each) |
| 6 | tail without its lowest byte (56) | requests (8) |

The lowest byte of a tail is the highest one of its identifier: both are byte 10 of the token. `place` is slot << 16 | kind << 8 | epoch:
together with the identifier it is the node that accounts share. Tokens that agree in their identifier but not in kind or epoch are thereby
different nodes, whatever a party sends. Rows are ordered by (identifier, place, account), all unsigned. One row is whole in one or two
lines of the processor's cache, so that finding, changing and moving a link costs one access to memory, not one for each column.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from weaklink.correlate import row_loops
from weaklink.correlate.row_loops import MENTIONS_MAX, REQUESTS_MAX, TIME_US_MAX, WORDS
from weaklink.frames import LINKS, NUMPY, SHARED

__all__ = ["LINK_BYTES", "MENTIONS_MAX", "REQUESTS_MAX", "REQUESTS_PER_ROW_MAX", "TIME_US_MAX", "Array", "Rows"]

Array = npt.NDArray[Any]
Rows = npt.NDArray[np.uint64]

LINK_BYTES: Final = WORDS * 8
REQUESTS_PER_ROW_MAX: Final = row_loops.REQUESTS_PER_ROW_MAX
WORDS_SCHEMA: Final = pl.Schema({"words": pl.UInt64})
_BUCKET_ROWS: Final = 2
_KINDS: Final = 256


def empty_rows(count: int = 0) -> Rows:
    """So many rows, not yet written."""
    return np.empty((count, WORDS), dtype=np.uint64)


class Packed:
    """Rows (not in order) of links, with how far the uses of each kind reach: `begin_max_us`, `end_min_us` by kind byte, unslotted links only."""

    def __init__(self, frames: Sequence[pl.DataFrame], oldest_us: Array) -> None:
        """`frames`: LINKS. `oldest_us` by kind byte: a link that was last used before is left out."""
        rows = empty_rows(sum(frame.height for frame in frames))
        self.begin_max_us = np.full(_KINDS, np.iinfo(np.int64).min)
        self.end_min_us = np.full(_KINDS, np.iinfo(np.int64).max)
        count = 0
        for frame in frames:
            columns = [np.ascontiguousarray(frame[name].to_numpy()) for name in LINKS]
            arguments: list[Any] = [rows, count, *columns, oldest_us, self.begin_max_us, self.end_min_us]
            count = row_loops.pack(*arguments)
        self.rows: Rows = rows[:count]


def ordered(rows: Rows) -> Rows:
    """One row per (identifier, place, account), in that order: times and counts of equal ones are taken together."""
    count = len(rows)
    order, spare = np.empty(count, dtype=np.int64), np.empty(count, dtype=np.int64)
    bits = max(1, (count // _BUCKET_ROWS).bit_length() - 1)
    row_loops.order_rows(rows, order, spare, np.zeros((1 << bits) + 1, dtype=np.int64), bits)
    out = empty_rows(count)
    return out[: row_loops.fold_ordered(rows, order, out)]


def links_frame(rows: Rows) -> pl.DataFrame:
    """Rows as LINKS."""
    return pl.DataFrame(_columns(rows), schema=LINKS)


def shared_frame(rows: Rows, holders: Array) -> pl.DataFrame:
    """Rows as SHARED."""
    return pl.DataFrame(_columns(rows) | {"holders": holders.astype(np.uint32)}, schema=SHARED)


def to_words(parts: Sequence[Rows]) -> pl.DataFrame:
    """Rows, one part after the other, as a frame of their own memory: WORDS_SCHEMA, seven words for each.

    The system's memory: NumPy and Arrow's own allocator ask for huge pages, and a virtual machine whose host took them back waits four times as long for these.
    """
    count = sum(part.size for part in parts)
    memory = pa.allocate_buffer(count * 8, memory_pool=pa.system_memory_pool())
    words, at = np.frombuffer(memory, dtype=np.uint64), 0
    for part in parts:
        words[at : at + part.size] = part.reshape(-1)
        at += part.size
    # By Arrow, since Polars would copy what is large already.
    array = pa.Array.from_buffers(pa.uint64(), count, [None, memory])
    return pl.DataFrame({"words": pl.Series(values=array)}, schema=WORDS_SCHEMA)


def copy_words(frame: pl.DataFrame, begin: int, out: Rows) -> None:
    """Write the rows from number `begin` on of such a frame to `out`. Piece by piece as they lie: put together first, all would be held once more."""
    words, at = out.reshape(-1), 0
    for chunk in frame["words"].slice(begin * WORDS, len(words)).get_chunks():
        words[at : at + len(chunk)] = chunk.to_numpy()
        at += len(chunk)


def _columns(rows: Rows) -> dict[str, Array]:
    columns = {name: np.empty(len(rows), dtype=NUMPY[dtype]) for name, dtype in LINKS.items()}
    row_loops.unpack(rows, *columns.values())
    return columns
