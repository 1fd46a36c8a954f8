"""Batches of one party to accepted events, duplicates and rejects: unpack, decode, dedupe, one call for each step and schema."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from kafka import TopicPartition

from weaklink.epochs import Expiry
from weaklink.ingest import record_loops
from weaklink.ingest.config import IngestConfig
from weaklink.ingest.decode import Bad, decode
from weaklink.ingest.events import Events, Rows, Values, read_values
from weaklink.ingest.framing import Frames, by_frame
from weaklink.ingest.layout import Layout, Rule
from weaklink.ingest.outcome import Accepted, Outcome, Tally
from weaklink.ingest.rejects import Rejects
from weaklink.ingest.schema_registry import RegistryUnavailable
from weaklink.ingest.validate import rules_of
from weaklink.ingest.workspace import Workspace
from weaklink.parties import MAY_PUBLISH, Party
from weaklink.records import reasons
from weaklink.stream.whole_batches import RecordBatch, Refusal

Dedupe = Callable[[TopicPartition, npt.NDArray[np.int64], Rows], npt.NDArray[np.bool_]]
"""(partition, event ids of valid events as n x 2 words, their ascending offsets) -> which are duplicates."""


class _Unresolved(Exception):
    """Partitions of which some record's schema cannot be told now. Raised before anything of the batches has had an effect."""

    def __init__(self, sources: frozenset[TopicPartition]) -> None:
        super().__init__(sources)
        self.sources = sources


class _Records:
    """Values of a party's batches, and where each stood."""

    def __init__(self, values: Values, batches: Sequence[RecordBatch]) -> None:
        self.values = values
        self.batches = batches
        numbers: dict[TopicPartition, int] = {}
        self.source_of_batch: Rows = np.array(
            [numbers.setdefault(batch.source, len(numbers)) for batch in batches], dtype=np.int64
        )
        self.sources = list(numbers)
        base = np.array([batch.base_offset for batch in batches], dtype=np.int64)
        self.offset: Rows = values.offset_deltas + base[values.batch]

    def appended_us(self) -> Rows:
        """Append time of each record."""
        found: Rows = np.array([batch.max_timestamp_ms * 1000 for batch in self.batches], dtype=np.int64)
        return found[self.values.batch]

    def of_source(self, source: TopicPartition, good: npt.NDArray[np.bool_]) -> Rows:
        """Its good records, by ascending offset."""
        mask = good & (self.source_of_batch == self.sources.index(source))[self.values.batch]
        rows = np.flatnonzero(mask)
        offset = self.offset[rows]
        return rows if (offset[1:] > offset[:-1]).all() else rows[np.argsort(offset, kind="stable")]


class Pipeline:
    """The steps for one party after another. Nothing that a value holds makes it raise, and no call ever mixes parties."""

    def __init__(self, config: IngestConfig, frames: Frames, *, age_limits: bool) -> None:
        self._config = config
        self._frames = frames
        self._age_limits = age_limits
        self.expiries: Sequence[Expiry] = ()
        """Epochs of keys that are over, each from some time on: events that arrived later with its tokens are rejected."""
        self._workspace = Workspace()

    def begin(self) -> None:
        """What came of earlier runs is not needed any more."""
        self._workspace.clear()

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
                events, valid = self._valid(records, party, outcome)
            except _Unresolved as unresolved:
                waiting |= unresolved.sources
                continue
            self._accept(events, valid, records, dedupe, outcome)
            return outcome

    def _unpack(self, batches: Sequence[RecordBatch], outcome: Outcome) -> _Records | None:
        sound = [batch for batch in batches if batch.refusal is None]
        values, bad = read_values([(batch.payload, batch.records_count) for batch in sound], self._workspace)
        for number, error in bad.items():
            batch = sound[number]
            refusal = Refusal(False, f"cannot be read: {error.detail}", len(batch.payload), "unknown")
            outcome.refused.append(replace(batch, payload=b"", refusal=refusal))
        outcome.refused += [batch for batch in batches if batch.refusal is not None]
        for batch in outcome.refused:
            tally = outcome.tallies.setdefault(batch.source, Tally())
            count = min(batch.records_count, batch.end - batch.begin)
            tally.consumed += count
            tally.rejected += count
        if len(bad) == len(sound):
            return None
        records = _Records(values, sound)
        if any(batch.is_clipped for batch in sound):
            begin, end = (np.array([getattr(batch, name) for batch in sound], dtype=np.int64)[values.batch] for name in ("begin", "end"))  # fmt: skip
            records = _Records(values.take((begin <= records.offset) & (records.offset < end)), sound)
        for number, count in enumerate(np.bincount(records.values.batch, minlength=len(sound)).tolist()):
            if number not in bad:
                outcome.tallies.setdefault(sound[number].source, Tally()).consumed += count
        return records

    def _valid(
        self, records: _Records, party: Party | None, outcome: Outcome
    ) -> tuple[Events, dict[str, list[tuple[Layout, Rows]]]]:
        """What could be decoded; record name -> rows of good events by layout. The others go to the rejects."""
        groups, framed = by_frame(records.values)
        layouts = self._layouts(records, framed)
        empty, unframed = (np.flatnonzero(groups == code) for code in (record_loops.EMPTY_FRAME, record_loops.NO_FRAME))
        _reject(records, Bad(empty, reasons.EMPTY_VALUE, "", "the message has no value"), outcome)
        _reject(records, Bad(unframed, reasons.UNKNOWN_FRAMING, "", "neither C3 01 nor 00 comes first"), outcome)
        events = Events(records.values, records.appended_us(), self._workspace)
        good: dict[str, list[tuple[Layout, Rows]]] = {}
        unknown = [one for one, layout in zip(framed, layouts, strict=True) if layout is None]
        if unknown:
            _reject(records, _of_unknown(unknown), outcome)
        for (rows, frame), layout in zip(framed, layouts, strict=True):
            if layout is None:
                continue
            if party is not None and party.kind not in MAY_PUBLISH[layout.record]:
                bad = Bad(rows, reasons.RECORD_NOT_ALLOWED, "", f"a {party.kind} may not publish {layout.record}")
                _reject(records, bad, outcome)
            else:
                decoded = decode(events, rows, len(frame), layout, self._rules_of(layout))
                for bad in decoded.bad:
                    _reject(records, bad, outcome)
                good.setdefault(layout.record, []).append((layout, decoded.good))
        return events, good

    def _rules_of(self, layout: Layout) -> tuple[Rule, ...]:
        return (
            *layout.rules,
            *rules_of(layout, self._config, age_limits=self._age_limits, expiries=self.expiries),
        )

    def _layouts(self, records: _Records, framed: Sequence[tuple[Rows, bytes]]) -> list[Layout | None]:
        """The layout of each frame, None for an unknown one. Raises _Unresolved."""
        layouts: list[Layout | None] = []
        unresolved: set[TopicPartition] = set()
        for rows, frame in framed:
            try:
                layouts.append(self._frames.layout(frame))
            except RegistryUnavailable:
                unresolved |= {records.batches[number].source for number in np.unique(records.values.batch[rows])}
        if unresolved:
            raise _Unresolved(frozenset(unresolved))
        return layouts

    def _accept(
        self, events: Events, valid: Mapping[str, Sequence[tuple[Layout, Rows]]], records: _Records, dedupe: Dedupe, outcome: Outcome
    ) -> None:  # fmt: skip
        """Duplicates are told over all records of a partition together, in the order of their offsets."""
        counts = np.zeros(len(records.values), dtype=np.bool_)
        for parts in valid.values():
            for _, rows in parts:
                counts[rows] = True
        for source in records.sources:
            rows = records.of_source(source, counts)
            if len(rows):
                found = dedupe(source, events.ids(rows), records.offset[rows])
                counts[rows[found]] = False
                tally = outcome.tallies[source]
                duplicates = int(found.sum())
                tally.duplicates += duplicates
                tally.accepted += len(rows) - duplicates
        for record, parts in valid.items():
            rows = (
                np.sort(np.concatenate([rows[counts[rows]] for _, rows in parts]))
                if len(parts) > 1
                else parts[0][1][counts[parts[0][1]]]
            )
            if len(rows):
                partition = np.array([batch.source.partition for batch in records.batches], dtype=np.int64)
                outcome.accepted[record] = Accepted(
                    parts[0][0], events, rows, partition[records.values.batch[rows]], records.offset[rows]
                )


def _of_unknown(framed: Sequence[tuple[Rows, bytes]]) -> Bad:
    """All together: a party may give each of its messages a frame of its own, and none of them may cost more than other bad messages do."""
    if len(framed) == 1:
        ((rows, frame),) = framed
        return Bad(rows, reasons.UNKNOWN_SCHEMA, "", f"frame {frame.hex()} names no known schema")
    rows = np.sort(np.concatenate([rows for rows, _ in framed]))
    return Bad(rows, reasons.UNKNOWN_SCHEMA, "", "its frame names no known schema")


def _reject(records: _Records, bad: Bad, outcome: Outcome) -> None:
    if not len(bad.rows):
        return
    offsets, source_of_row = records.offset[bad.rows], records.source_of_batch[records.values.batch[bad.rows]]
    for number in np.unique(source_of_row).tolist():
        source, own = records.sources[number], source_of_row == number
        outcome.tallies[source].rejected += int(own.sum())
        outcome.rejects.append(
            Rejects(source, records.values, bad.rows[own], offsets[own], bad.reason, bad.field, bad.detail)
        )
