"""Batches of one party to accepted events, duplicates and rejects: unpack, decode, validate, dedupe, one call for each step and schema."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl
from kafka import TopicPartition

from weaklink.errors import RecordError
from weaklink.ingest.config import IngestConfig
from weaklink.ingest.decode import Bad, decode
from weaklink.ingest.framing import Frames, frame_column
from weaklink.ingest.layout import Layout
from weaklink.ingest.outcome import Outcome, Tally
from weaklink.ingest.rejects import Reject
from weaklink.ingest.schema_registry import RegistryUnavailable
from weaklink.ingest.unpack import read_values
from weaklink.ingest.validate import validate
from weaklink.parties import MAY_PUBLISH, Party
from weaklink.records import reasons
from weaklink.stream.whole_batches import RecordBatch, Refusal

Rows = npt.NDArray[np.int64]
Dedupe = Callable[[TopicPartition, npt.NDArray[np.uint8], Rows], npt.NDArray[np.bool_]]
"""(partition, event ids of valid events as n x 16 bytes, their ascending offsets) -> which are duplicates."""

_ID_BYTES: Final = 16


class _Unresolved(Exception):
    """Partitions of which some record's schema cannot be told now. Raised before anything of the batches has had an effect."""

    def __init__(self, sources: frozenset[TopicPartition]) -> None:
        super().__init__(sources)
        self.sources = sources


@dataclass(frozen=True, slots=True)
class _Records:
    """Values of a party's batches in one column, and where each stood: `batch` numbers its batch."""

    values: pl.Series
    batch: npt.NDArray[np.int64]
    offset: Rows
    batches: Sequence[RecordBatch]

    def columns(self, rows: Rows) -> dict[str, npt.NDArray[Any]]:
        """Partition, offset and append time of these rows."""
        partition = np.array([batch.source.partition for batch in self.batches], dtype=np.int32)
        appended = np.array([batch.max_timestamp_ms * 1000 for batch in self.batches], dtype=np.int64)
        batch = self.batch[rows]
        return {"partition": partition[batch], "offset": self.offset[rows], "appended_at_us": appended[batch]}


class Pipeline:
    """The steps for one party after another. Nothing that a value holds makes it raise, and no call ever mixes parties."""

    def __init__(self, config: IngestConfig, frames: Frames, *, age_limits: bool) -> None:
        self._config = config
        self._frames = frames
        self._age_limits = age_limits

    def run(self, batches: Sequence[RecordBatch], party: Party | None, dedupe: Dedupe) -> Outcome:
        """What becomes of every record in these batches of one party, in order within each partition.

        Partitions that hold an id which only a schema registry could tell, while it does not answer, are `waiting` in the outcome: nothing of
        them counts, and they are to be given again. None for a party that is registered no more, whose event ids are only taken in again: then
        every record is allowed.
        """
        waiting: frozenset[TopicPartition] = frozenset()
        while True:
            outcome = Outcome(waiting=waiting)
            records = self._unpack([batch for batch in batches if batch.source not in waiting], outcome)
            if records is None:
                return outcome
            try:
                valid = self._valid(records, party, outcome)
            except _Unresolved as unresolved:
                waiting |= unresolved.sources
                continue
            self._accept(valid, records, dedupe, outcome)
            return outcome

    def _unpack(self, batches: Sequence[RecordBatch], outcome: Outcome) -> _Records | None:
        readable: list[RecordBatch] = []
        frames: list[pl.DataFrame] = []
        sound = [batch for batch in batches if batch.refusal is None]
        for batch, frame in zip(sound, _read(sound), strict=True):
            if isinstance(frame, RecordError):
                refusal = Refusal(False, f"cannot be read: {frame.detail}", len(batch.payload), "unknown")
                outcome.refused.append(replace(batch, payload=b"", refusal=refusal))
            else:
                readable.append(batch)
                frames.append(frame)
        outcome.refused += [batch for batch in batches if batch.refusal is not None]
        for batch in outcome.refused:
            tally = outcome.tallies.setdefault(batch.source, Tally())
            count = min(batch.records_count, batch.end - batch.begin)
            tally.consumed += count
            tally.rejected += count
        if not readable:
            return None
        numbers = np.repeat(np.arange(len(readable)), [frame.height for frame in frames])
        joined = pl.concat(frames)
        offset = (
            joined["offset_delta"].to_numpy()
            + np.array([batch.base_offset for batch in readable], dtype=np.int64)[numbers]
        )
        values = joined["value"]
        if any(batch.is_clipped for batch in readable):
            begin = np.array([batch.begin for batch in readable], dtype=np.int64)[numbers]
            end = np.array([batch.end for batch in readable], dtype=np.int64)[numbers]
            inside = (begin <= offset) & (offset < end)
            values, offset, numbers = values.filter(pl.Series(inside)), offset[inside], numbers[inside]
        for number, count in enumerate(np.bincount(numbers, minlength=len(readable)).tolist()):
            outcome.tallies.setdefault(readable[number].source, Tally()).consumed += count
        return _Records(values, numbers, offset, readable)

    def _valid(self, records: _Records, party: Party | None, outcome: Outcome) -> dict[str, pl.DataFrame]:
        """Record name -> valid events, `row` among their columns; the others go to the rejects."""
        parts: dict[str, list[pl.DataFrame]] = {}
        framed = self._by_frame(records, outcome)
        for (rows, frame), layout in zip(framed, self._layouts(records, framed), strict=True):
            if layout is None:
                bad = Bad(rows, reasons.UNKNOWN_SCHEMA, "", f"frame {frame.hex()} names no known schema")
                _reject(records, bad, outcome)
            elif party is not None and party.kind not in MAY_PUBLISH[layout.record]:
                bad = Bad(rows, reasons.RECORD_NOT_ALLOWED, "", f"a {party.kind} may not publish {layout.record}")
                _reject(records, bad, outcome)
            elif (events := self._decode(records, rows, len(frame), layout, outcome)) is not None:
                parts.setdefault(layout.record, []).append(events)
        return {record: pl.concat(frames) for record, frames in parts.items()}

    def _layouts(self, records: _Records, framed: Sequence[tuple[Rows, bytes]]) -> list[Layout | None]:
        """The layout of each frame, None for an unknown one. Raises _Unresolved."""
        layouts: list[Layout | None] = []
        unresolved: set[TopicPartition] = set()
        for rows, frame in framed:
            try:
                layouts.append(self._frames.layout(frame))
            except RegistryUnavailable:
                unresolved |= {records.batches[number].source for number in np.unique(records.batch[rows])}
        if unresolved:
            raise _Unresolved(frozenset(unresolved))
        return layouts

    def _by_frame(self, records: _Records, outcome: Outcome) -> list[tuple[Rows, bytes]]:
        """Rows of equal frame. Values without one are rejected here."""
        everything = np.arange(len(records.values), dtype=np.int64)
        if not len(everything):
            return []
        first = frame_column(records.values[:1])[0]
        if first is not None and records.values.null_count() == 0 and records.values.bin.starts_with(first).all():
            return [(everything, first)]
        frames = frame_column(records.values)
        framed = frames.is_not_null().to_numpy()
        empty = (records.values.is_null() | (records.values.bin.size() == 0)).to_numpy()
        _reject(records, Bad(everything[empty], reasons.EMPTY_VALUE, "", "the message has no value"), outcome)
        unframed = everything[~framed & ~empty]
        _reject(records, Bad(unframed, reasons.UNKNOWN_FRAMING, "", "neither C3 01 nor 00 comes first"), outcome)
        grouped = (
            pl.DataFrame({"frame": frames, "row": everything})
            .filter(pl.Series(framed))
            .group_by("frame", maintain_order=True)
            .agg("row")
        )
        return [(rows.to_numpy(), frame) for frame, rows in zip(grouped["frame"], grouped["row"], strict=True)]

    def _decode(
        self, records: _Records, rows: Rows, frame_bytes: int, layout: Layout, outcome: Outcome
    ) -> pl.DataFrame | None:
        values = records.values if len(rows) == len(records.values) else records.values.gather(pl.Series(rows))
        decoded = decode(values, frame_bytes, layout, rows)
        outcome.slow_rows += decoded.slow_rows
        for bad in decoded.bad:
            _reject(records, bad, outcome)
        if decoded.events is None:
            return None
        row = decoded.events["row"].to_numpy()
        events = decoded.events.with_columns(pl.Series(name, column) for name, column in records.columns(row).items())
        if layout.record == "ActionReceipt":  # enforce may have to send it back as it came
            events = events.with_columns(original=records.values.gather(pl.Series(row)))
        violations = validate(events, layout.record, self._config, age_limits=self._age_limits)
        if not violations:
            return events
        good = np.ones(events.height, dtype=np.bool_)
        for violation in violations:
            _reject(records, Bad(row[violation.bad], violation.reason, violation.field, violation.detail), outcome)
            good &= ~violation.bad
        return events.filter(pl.Series(good))

    def _accept(self, valid: Mapping[str, pl.DataFrame], records: _Records, dedupe: Dedupe, outcome: Outcome) -> None:
        """Duplicates are told over all records of a partition together, in the order of their offsets."""
        filled = {record: events for record, events in valid.items() if events.height}
        if not filled:
            return
        ids = pl.concat([events.select("event_id", "partition", "offset") for events in filled.values()])
        duplicate = np.zeros(ids.height, dtype=np.bool_)
        matrix = _id_matrix(ids["event_id"])
        partition, offset = ids["partition"].to_numpy(), ids["offset"].to_numpy()
        for source in {batch.source for batch in records.batches}:
            rows = np.flatnonzero(partition == source.partition)
            rows = rows[np.argsort(offset[rows], kind="stable")]
            if len(rows):
                found = dedupe(source, matrix[rows], offset[rows])
                duplicate[rows] = found
                tally = outcome.tallies[source]
                tally.duplicates += int(found.sum())
                tally.accepted += int(len(rows) - found.sum())
        begin = 0
        for record, events in filled.items():
            repeated = duplicate[begin : begin + events.height]
            begin += events.height
            outcome.accepted[record] = events.filter(pl.Series(~repeated)) if repeated.any() else events


def _read(batches: Sequence[RecordBatch]) -> list[pl.DataFrame | RecordError]:
    try:
        return list(read_values([(batch.payload, batch.records_count) for batch in batches]))
    except RecordError as error:
        if len(batches) == 1:
            return [error]
        return [found for batch in batches for found in _read([batch])]


def _reject(records: _Records, bad: Bad, outcome: Outcome) -> None:
    if not len(bad.rows):
        return
    values = records.values.gather(pl.Series(bad.rows)).to_list()
    for row, value in zip(bad.rows.tolist(), values, strict=True):
        source = records.batches[records.batch[row]].source
        outcome.tallies[source].rejected += 1
        outcome.rejects.append(Reject(source, int(records.offset[row]), value, bad.reason, bad.field, bad.detail))


def _id_matrix(ids: pl.Series) -> npt.NDArray[np.uint8]:
    """Valid event ids (16 bytes each) as n x 16 bytes."""
    array: Any = ids.to_arrow()
    ends = np.frombuffer(array.buffers()[1], dtype=np.int64)[array.offset : array.offset + len(array) + 1]
    data = np.frombuffer(array.buffers()[2], dtype=np.uint8)[ends[0] : ends[-1]]
    return data.reshape(len(array), _ID_BYTES)
