"""correlate as a stage: links of a partition in, shared links to the partition of the same number out. A unit of state is one partition."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

import polars as pl
import structlog
from kafka import TopicPartition

from weaklink import topology
from weaklink.correlate.runs import LinkRuns
from weaklink.epochs import FIRST
from weaklink.epochs_topic import EpochWatch, all_in_force
from weaklink.errors import CheckpointError, ConfigurationError
from weaklink.frames import LINKS, from_chunk, to_chunk
from weaklink.settings import Settings
from weaklink.stream.stage import Chunk, Message, Stage

_SHARED_ROW_BYTES: Final = 80  # 68 uncompressed, and lz4 may add a little
_CHUNK_FRAME_BYTES: Final = 8192
_EXPIRE_AFTER_GROWTH: Final = 8
_log = structlog.get_logger()
_PROGRESS: Final = pl.Schema({"now_us": pl.Int64, "rows_since_expiry": pl.Int64, "rows_at_expiry": pl.Int64})


class Unit:
    """The links of one partition, with its clock. What it is after a chunk depends on the log up to that chunk only, not on how it was polled."""

    def __init__(self, settings: Settings) -> None:
        self.links = LinkRuns(settings.correlate)
        self._event_clock = settings.clock == "event"
        self._slot_us = settings.ingest.slot_hours * 3_600_000_000
        self._cell_us = settings.correlate.time_cell_seconds * 1_000_000
        self._now_us = 0
        self._rows_since_expiry = self._rows_at_expiry = 0
        self._oldest_epoch = FIRST

    def forget_epochs_before(self, oldest: int) -> int:
        """Drop links to tokens of earlier epochs of keys, now and from now on; returns how many were there."""
        if oldest <= self._oldest_epoch:
            return 0
        self._oldest_epoch = oldest
        return self.links.forget_epochs_before(oldest)

    def fold(self, chunks: Iterable[Chunk]) -> Iterator[pl.DataFrame]:
        """Fold chunks in, as many at once as lie between two expiries; yields what to emit."""
        waiting: list[pl.DataFrame] = []
        for chunk in chunks:
            links = from_chunk(chunk.value, LINKS)
            waiting.append(links.filter(pl.col("epoch") >= self._oldest_epoch) if self._oldest_epoch > FIRST else links)
            before_us = self._now_us
            self._now_us = max(before_us, self._clock_us(chunk, links))
            self._rows_since_expiry += links.height
            if self._now_us // self._cell_us > before_us // self._cell_us and self._expiry_pays():
                yield self.links.add(*waiting)
                waiting.clear()
                self.links.expire(self._now_us)
                self._rows_since_expiry, self._rows_at_expiry = 0, len(self.links)
        if waiting:
            yield self.links.add(*waiting)

    def to_frames(self) -> dict[str, pl.DataFrame]:
        """The unit as frames: those of `LinkRuns`, and `progress`."""
        progress = (self._now_us, self._rows_since_expiry, self._rows_at_expiry)
        return self.links.to_frames() | {"progress": pl.DataFrame([progress], schema=_PROGRESS, orient="row")}

    @classmethod
    def from_frames(cls, settings: Settings, frames: Mapping[str, pl.DataFrame]) -> "Unit":
        """The unit that `to_frames` wrote. Raises CheckpointError when the frames are not one."""
        if "progress" not in frames or frames["progress"].schema != _PROGRESS:
            raise CheckpointError(f"snapshot of correlate has frames {sorted(frames)}, no sound 'progress'; remove it")
        unit = cls(settings)
        unit.links = LinkRuns.from_frames(settings.correlate, frames)
        unit._now_us, unit._rows_since_expiry, unit._rows_at_expiry = frames["progress"].row(0)
        return unit

    def _clock_us(self, chunk: Chunk, links: pl.DataFrame) -> int:
        """Append time, or under `clock=event` the latest time at which something was seen to happen."""
        if not self._event_clock:
            return chunk.appended_at_us
        # A lease reaches into slots that lie ahead; its links begin exactly where those slots do. They are no sign of the time.
        ahead = (pl.col("slot") > 0) & (pl.col("first_seen_us") == pl.col("slot").cast(pl.Int64) * self._slot_us)
        latest = links.select(pl.col("first_seen_us").filter(~ahead).max()).item()
        return 0 if latest is None else int(latest)

    def _expiry_pays(self) -> bool:
        """Event time can run through days within seconds: then expire only once the links have grown by an eighth, so that the cost per link is bounded."""
        return not self._event_clock or self._rows_since_expiry * _EXPIRE_AFTER_GROWTH >= self._rows_at_expiry


class Correlate:
    """`Stage` of Chunk; `output` is the topic that it writes."""

    name = "correlate"
    recalls: tuple[str, ...] = ()

    def __init__(
        self,
        settings: Settings,
        output: str = topology.SHARED,
        oldest_epoch: Callable[[], int] = all_in_force,
    ) -> None:
        self._settings = settings
        self._output = output
        self._oldest_epoch = oldest_epoch
        self._purged = False
        self._units: dict[str, Unit] = {}
        self._rows_max = max(1, (settings.topics.chunk_bytes_max - _CHUNK_FRAME_BYTES) // _SHARED_ROW_BYTES)

    def unit(self, source: TopicPartition) -> str:
        """One for each partition of links."""
        return f"links-{source.partition}"

    def replay_from(self, source: TopicPartition, committed_offset: int) -> int:  # the protocol's signature
        """Without a snapshot: everything that the log still holds."""
        return 0

    def restore(self, unit: str, frames: Mapping[str, pl.DataFrame] | None) -> None:
        """Begin the unit from a snapshot's frames, or empty."""
        self._units[unit] = Unit.from_frames(self._settings, frames) if frames else Unit(self._settings)

    def recall(self, unit: str, messages: Iterable[Message]) -> None:
        """Nothing: correlate recalls no topic."""

    def release(self, unit: str) -> None:
        """Forget the unit: another worker has it now."""
        self._units.pop(unit, None)

    def snapshot(self, unit: str) -> Mapping[str, pl.DataFrame]:
        """The unit's links, as copies that later chunks do not change."""
        return self._units[unit].to_frames()

    def process(self, batches: Sequence[Chunk], *, replaying: bool) -> list[Message]:
        """Fold a poll's chunks in; returns what readers of `weaklink.shared` do not know yet."""
        self._forget_epochs()  # before anything is said: after a restart the log and the snapshot may still hold what is over
        by_source: dict[TopicPartition, list[Chunk]] = {}
        for chunk in batches:
            by_source.setdefault(chunk.source, []).append(chunk)
        messages: list[Message] = []
        for source, chunks in by_source.items():
            for shared in self._units[self.unit(source)].fold(chunks):
                if not replaying:
                    messages += self._messages(source.partition, shared)
        return messages

    def tick(self, now_us: int) -> list[Message]:  # the protocol's signature
        """Forget epochs of keys that are over. Links as such expire by the log's clock, so that a replay expires them at the same offsets."""
        self._forget_epochs()
        return []

    def _forget_epochs(self) -> None:
        oldest = self._oldest_epoch()
        for name, unit in self._units.items():
            if forgotten := unit.forget_epochs_before(oldest):
                self._purged = True
                _log.info("epochs_forgotten", stage=self.name, unit=name, oldest_epoch=oldest, links=forgotten)

    def purged(self) -> bool:
        """See `stream.stage.Purging`."""
        purged, self._purged = self._purged, False
        return purged

    def _messages(self, partition: int, shared: pl.DataFrame) -> Iterator[Message]:
        for rows in shared.iter_slices(self._rows_max):
            yield Message(self._output, to_chunk(rows), key=b"%d" % partition, partition=partition)


def make_stage(settings: Settings) -> Stage[Chunk]:
    """correlate for the runner. Raises EpochsUnknown, and ConfigurationError when its output has fewer partitions than its input."""
    if settings.topics.shared_partitions < settings.topics.links_partitions:
        raise ConfigurationError(
            f"topics.shared_partitions is {settings.topics.shared_partitions}, fewer than topics.links_partitions "
            f"({settings.topics.links_partitions}): correlate writes to the partition of the same number"
        )
    return Correlate(settings, oldest_epoch=EpochWatch(settings.kafka))
