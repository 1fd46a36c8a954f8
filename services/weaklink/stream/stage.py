"""What a columnar stage is to the runner: pure state that takes batches and gives messages. Only the runner talks to Kafka.

State is kept by *unit*: the piece that moves between workers as one (ingest: a source partition; correlate: a `links`
partition; campaigns: everything). A unit's state at offset N is the fold of its input up to N.

After an assignment the runner, for each new unit:
 1. calls `restore(unit, frames)` with the newest sound snapshot whose offsets are not beyond the committed ones (None: there is none);
 2. calls `recall(unit, messages)` with what the stage itself last committed on its compacted topics (`recalls`);
 3. feeds the input from the snapshot's offsets (or `replay_from`) up to the committed offsets to `process`, and drops what it returns;
 4. from then on sends what `process` and `tick` return, in one transaction with the offsets.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar, runtime_checkable

import polars as pl
from kafka import TopicPartition


@dataclass(frozen=True, slots=True)
class Message:
    """A message to send, or one that was read back. `partition` None: chosen by the key. `value` None: the key's last message counts no more."""

    topic: str
    value: bytes | None
    key: bytes | None = None
    partition: int | None = None
    headers: tuple[tuple[str, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class MessageBlock:
    """Many messages for one partition: `records` is `count` Kafka records (format v2), with offset deltas from 0 and timestamp deltas of 0."""

    topic: str
    partition: int
    count: int
    records: bytes


Output = Message | MessageBlock


@dataclass(frozen=True, slots=True)
class Chunk:
    """One message of an internal topic as the runner hands it to a stage."""

    source: TopicPartition
    offset: int
    appended_at_us: int
    value: bytes
    key: bytes | None = None
    headers: tuple[tuple[str, bytes], ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Range:
    """Offsets of one source partition that a transaction commits: `begin` inclusive, `end` exclusive."""

    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class Traits:
    """What the runner must know of a stage before its first input. A stage without an attribute `traits` has these defaults."""

    whole_batches: bool = False
    """Hand `whole_batches.RecordBatch` to `process`, not `Chunk`."""
    single_owner: bool = False
    """One member of the group owns every partition, the others stand by."""


Input_contra = TypeVar("Input_contra", contravariant=True)


class Stage(Protocol[Input_contra]):
    """Input is `Chunk` for correlate and campaigns, a whole record batch for ingest."""

    name: str
    recalls: tuple[str, ...]

    def unit(self, source: TopicPartition) -> str:
        """The unit of state that this partition feeds."""

    def replay_from(self, source: TopicPartition, committed_offset: int) -> int:
        """Where to begin the silent replay when there is no snapshot (clamped to what the log still holds)."""

    def restore(self, unit: str, frames: Mapping[str, pl.DataFrame] | None) -> None:
        """Begin the unit from a snapshot's frames, or empty."""

    def recall(self, unit: str, messages: Iterable[Message]) -> None:
        """Take back what was last committed on the compacted topics in `recalls`."""

    def release(self, unit: str) -> None:
        """Forget the unit: another worker has it now."""

    def snapshot(self, unit: str) -> Mapping[str, pl.DataFrame]:
        """The unit's state as named frames; `restore` of them is the identity. Empty: this stage needs no snapshots."""

    def process(self, batches: Sequence[Input_contra], *, replaying: bool) -> Sequence[Output]:
        """Fold a poll's batches into the state, in order within each partition, and return what to send."""

    def tick(self, now_us: int) -> list[Message]:
        """Evaluate at the stage's clock. Called at most every `stream.tick_seconds`; its messages commit with the offsets folded so far."""


@runtime_checkable
class Sealing(Protocol):
    """A stage that has a last word on each transaction: ingest writes its audit header there."""

    def seal(self, messages: list[Output], ranges: Mapping[TopicPartition, Range]) -> list[Output]:
        """The messages to send instead of these, given exactly the offsets that the transaction will commit."""


@runtime_checkable
class Deferring(Protocol):
    """A stage that cannot always process what it is given: ingest waits for its schema registry. It is Gating, too. Each `process` is asked about."""

    def deferred(self) -> set[TopicPartition]:
        """Partitions of which the last `process` folded nothing at all. They are left paused, and read again once `admits` lets them."""


@runtime_checkable
class Gating(Protocol):
    """A stage that does not read every partition assigned to it: ingest leaves those of unregistered parties paused."""

    def admits(self, source: TopicPartition) -> bool:
        """Whether to read this partition now. Asked after an assignment and every `stream.gate_seconds`."""


@runtime_checkable
class Purging(Protocol):
    """A stage that forgets more than its input says: tokens of epochs of keys that are over, which must be in no snapshot either."""

    def purged(self) -> bool:
        """Whether something was forgotten since this was last asked: then older snapshots go as soon as new ones are written."""
