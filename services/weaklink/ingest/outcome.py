"""What became of the records of one party's batches."""

from dataclasses import dataclass, field

import polars as pl
from kafka import TopicPartition

from weaklink.ingest.rejects import Reject
from weaklink.stream.whole_batches import RecordBatch


@dataclass(slots=True)
class Tally:
    """What became of the records of one partition."""

    consumed: int = 0
    accepted: int = 0
    rejected: int = 0
    duplicates: int = 0


@dataclass(slots=True)
class Outcome:
    """Of one party's batches. `accepted`: record name -> events, with `partition` Int32, `offset` and `appended_at_us` Int64;
    receipts with `original` Binary, the value as it came."""

    accepted: dict[str, pl.DataFrame] = field(default_factory=dict)
    rejects: list[Reject] = field(default_factory=list)
    refused: list[RecordBatch] = field(default_factory=list)
    tallies: dict[TopicPartition, Tally] = field(default_factory=dict)
    slow_rows: int = 0
    waiting: frozenset[TopicPartition] = frozenset()
