"""What became of the records of one party's batches."""

from dataclasses import dataclass, field

import polars as pl
from kafka import TopicPartition

from weaklink.ingest.events import Events, Rows
from weaklink.ingest.layout import Layout
from weaklink.ingest.rejects import Rejects
from weaklink.stream.whole_batches import RecordBatch


@dataclass(slots=True)
class Tally:
    """What became of the records of one partition."""

    consumed: int = 0
    accepted: int = 0
    rejected: int = 0
    duplicates: int = 0


@dataclass(frozen=True, slots=True)
class Accepted:
    """Events of one record: `rows` of `events`, with their partitions and offsets. `layout` says which columns they have."""

    layout: Layout
    events: Events
    rows: Rows
    partitions: Rows
    offsets: Rows

    def to_frame(self) -> pl.DataFrame:
        """With the columns of the record's latest schema, and `appended_at_us` Int64."""
        return self.events.to_frame(self.layout, self.rows)


@dataclass(slots=True)
class Outcome:
    """Of one party's batches. `accepted`: record name -> events."""

    accepted: dict[str, Accepted] = field(default_factory=dict)
    rejects: list[Rejects] = field(default_factory=list)
    refused: list[RecordBatch] = field(default_factory=list)
    tallies: dict[TopicPartition, Tally] = field(default_factory=dict)
    waiting: frozenset[TopicPartition] = frozenset()
