"""Values of one party's batches, and what was decoded of them, by column of numbers that point into the bytes: no Python object per event."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from weaklink.errors import RecordError
from weaklink.ingest import decode_loops, record_loops, text_loops
from weaklink.ingest.layout import Layout
from weaklink.ingest.workspace import Workspace
from weaklink.records import reasons
from weaklink.records.schemas import EVENT_RECORDS, latest

Rows = npt.NDArray[np.int64]

FIELDS_MAX: Final = max(len(latest(record).json["fields"]) for record in EVENT_RECORDS)
_WALK_ERRORS: Final = {
    record_loops.TOO_LONG: "a Kafka record is longer than its batch",
    record_loops.ENDS_EARLY: "the batch ends within a Kafka record",
}


@dataclass(frozen=True, slots=True)
class Values:
    """Values of Kafka records in order: value `row` is data[begins[row]:ends[row]], null where both are -1. `batch` numbers its batch."""

    data: npt.NDArray[np.uint8]
    begins: Rows
    ends: Rows
    offset_deltas: Rows
    batch: Rows

    def __len__(self) -> int:
        return len(self.begins)

    def value(self, row: int) -> bytes | None:
        """As it came."""
        return None if self.begins[row] < 0 else self.data[self.begins[row] : self.ends[row]].tobytes()

    def take(self, keep: npt.NDArray[np.bool_]) -> "Values":
        """Only those under the mask."""
        return Values(self.data, self.begins[keep], self.ends[keep], self.offset_deltas[keep], self.batch[keep])


def read_values(
    batches: Sequence[tuple[bytes | memoryview, int]], workspace: Workspace | None = None
) -> tuple[Values, dict[int, RecordError]]:
    """(payload, number of records) of inflated Kafka record batches -> their values, and by its number what is wrong with a batch that is none."""
    workspace = workspace or Workspace()
    data = workspace.joined([payload for payload, _ in batches])
    # A record takes 7 bytes at least, whatever number of them the header claims.
    room = sum(min(count, len(payload)) for payload, count in batches)
    begins, ends, deltas = (workspace.take(room) for _ in range(3))
    bad: dict[int, RecordError] = {}
    counts: list[int] = []
    position = row = 0
    for number, (payload, count) in enumerate(batches):
        to = slice(row, row + count)
        end = position + len(payload)
        state = (
            record_loops.ENDS_EARLY
            if count > len(payload)
            else record_loops.walk(data, position, end, count, begins[to], ends[to], deltas[to])
        )
        if state < 0:
            bad[number] = RecordError(reasons.MALFORMED, _WALK_ERRORS[state])
        counts.append(0 if state < 0 else count)
        row += counts[-1]
        position = end
    batch = np.repeat(np.arange(len(batches)), counts)
    return Values(data, begins[:row], ends[:row], deltas[:row], batch), bad


@dataclass(slots=True)
class Events:
    """What was decoded of `values`, a row for each (see `decode_loops` for the columns and `status`)."""

    source: Values
    appended_us: Rows
    workspace: Workspace = field(default_factory=Workspace)
    values: npt.NDArray[np.int64] = field(init=False)
    sizes: npt.NDArray[np.int64] = field(init=False)
    status: Rows = field(init=False)
    item_begins: Rows = field(init=False)
    item_sizes: Rows = field(init=False)
    items: int = 0

    def __post_init__(self) -> None:
        rows = len(self.source)
        self.values, self.sizes = (self.workspace.take(rows, FIELDS_MAX) for _ in range(2))
        self.status = self.workspace.take(rows)
        room = 4 * rows + decode_loops.ITEMS_KEPT
        self.item_begins, self.item_sizes = (self.workspace.take(room) for _ in range(2))

    @classmethod
    def joined(cls, parts: Sequence[tuple["Events", Rows]], layout: Layout) -> "Events":
        """Rows of several, all of one record and good, part after part. Their bytes are copied."""
        workspace = parts[0][0].workspace
        counts, items = [len(rows) for _, rows in parts], [one.items for one, _ in parts]
        sizes_bytes = [len(one.data) for one, _ in parts]
        data_base, item_base = (np.cumsum(sizes) - sizes for sizes in (sizes_bytes, items))
        nothing = np.empty(0, dtype=np.int64)
        source = Values(workspace.joined([one.data.data for one, _ in parts]), nothing, nothing, nothing, nothing)
        events = cls(source, np.concatenate([one.appended_us[rows] for one, rows in parts]), workspace)
        events.values = np.concatenate([one.values[rows] for one, rows in parts])
        events.sizes = np.concatenate([one.sizes[rows] for one, rows in parts])
        for slot, dtype in enumerate(layout.columns.values()):
            if dtype in (pl.String, pl.Binary):
                events.values[:, slot] += np.repeat(data_base, counts)
            elif isinstance(dtype, pl.List):
                events.values[:, slot] += np.repeat(item_base, counts)
        events.item_begins = np.concatenate([one.item_begins[: one.items] for one, _ in parts])
        events.item_begins += np.repeat(data_base, items)
        events.item_sizes = np.concatenate([one.item_sizes[: one.items] for one, _ in parts])
        events.items = sum(items)
        return events

    @property
    def data(self) -> npt.NDArray[np.uint8]:
        """The bytes that everything points into."""
        return self.source.data

    def texts(self, layout: Layout, name: str, rows: Rows) -> tuple[Rows, Rows]:
        """Where a field's bytes begin in these rows, and how many they are (-1: null)."""
        slot = layout.slot(name)
        return self.values[rows, slot], self.sizes[rows, slot]

    def ids(self, rows: Rows) -> npt.NDArray[np.int64]:
        """Event ids as n x 2 words. `event_id` is the first field of every record."""
        out = self.workspace.take(len(rows), 2)
        decode_loops.words_of(self.data, self.values, 0, rows, out)
        return out

    def grow_items(self) -> None:
        """Twice the room for items."""
        begins, sizes = (self.workspace.take(2 * len(self.item_begins)) for _ in range(2))
        begins[: self.items], sizes[: self.items] = self.item_begins[: self.items], self.item_sizes[: self.items]
        self.item_begins, self.item_sizes = begins, sizes

    def to_frame(self, layout: Layout, rows: Rows) -> pl.DataFrame:
        """These rows, which must be good, with the columns of the record's latest schema, and `appended_at_us` Int64."""
        columns = [self._column(layout, name, dtype, rows) for name, dtype in layout.columns.items()]
        appended = pl.Series("appended_at_us", self.appended_us[rows])
        return pl.DataFrame([*columns, appended])

    def _column(self, layout: Layout, name: str, dtype: Any, rows: Rows) -> pl.Series:
        values, sizes = self.texts(layout, name, rows)
        present = sizes != decode_loops.NULL
        if dtype in (pl.String, pl.Binary):
            kind = pa.large_string() if dtype == pl.String else pa.large_binary()
            return pl.Series(name, pl.from_arrow(strings(self.data, values, sizes, kind)), dtype=dtype)
        if isinstance(dtype, pl.List):
            number = np.repeat(values, sizes) + _within(sizes)
            items = strings(self.data, self.item_begins[number], self.item_sizes[number], pa.large_binary())
            ends: Any = pa.array(np.concatenate(([0], np.cumsum(sizes))))
            return pl.Series(name, pl.from_arrow(pa.LargeListArray.from_arrays(ends, items)), dtype=dtype)
        column = pl.Series(name, values)
        if dtype in (pl.Float32, pl.Float64):
            column = pl.Series(name, values.astype(np.int32).view(np.float32) if dtype == pl.Float32 else values.view(np.float64))  # fmt: skip
        column = from_codes(column, dtype) if isinstance(dtype, pl.Enum) else column.cast(dtype)
        return column if present.all() else column.to_frame().select(pl.when(pl.Series(present)).then(name)).to_series()


def from_codes(codes: pl.Series, enum: pl.Enum) -> pl.Series:
    """Numbers of symbols as an Enum."""
    name = codes.name
    return codes.cast(pl.UInt8).to_frame().select(pl.col(name).cat.to(enum)).to_series()


def strings(data: npt.NDArray[np.uint8], begins: Rows, sizes: Rows, kind: Any) -> Any:
    """Byte strings as an Arrow array of large_binary or large_string (then they must be UTF-8); a negative size is null."""
    ends = np.zeros(len(sizes) + 1, dtype=np.int64)
    np.cumsum(np.maximum(sizes, 0), out=ends[1:])
    out = np.empty(int(ends[-1]), dtype=np.uint8)
    text_loops.copy_texts(data, begins, sizes, ends[1:], out)
    present = sizes >= 0
    valid = None if present.all() else pa.py_buffer(np.packbits(present, bitorder="little"))
    return pa.Array.from_buffers(kind, len(sizes), [valid, pa.py_buffer(ends), pa.py_buffer(out)])


def _within(sizes: Rows) -> Rows:
    """0, 1, ... within each of stretches of these sizes."""
    found: Rows = np.arange(int(sizes.sum())) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return found
