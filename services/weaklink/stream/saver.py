"""When snapshots are written: the unit whose last one is oldest, in the background; every unit at a stop and after something was purged."""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeAlias

import structlog
from kafka import TopicPartition

from weaklink import metrics
from weaklink.errors import CheckpointError
from weaklink.stream.checkpoint import Snapshot, SnapshotStore
from weaklink.stream.sizes import StateSizes
from weaklink.stream.stage import Stage

Held: TypeAlias = Mapping[str, Mapping[TopicPartition, int]]
"""The offsets at which the state of each unit stands."""
_log = structlog.get_logger()


class Saver:
    """`settle` waits for the transaction under way, so that all that a snapshot holds is committed; what it raises, goes on to the caller."""

    def __init__(
        self,
        stage: Stage[Any],
        store: SnapshotStore,
        sizes: StateSizes,
        interval_seconds: float,
        settle: Callable[[], None],
    ) -> None:
        self._stage = stage
        self._store = store
        self._sizes = sizes
        self._interval_seconds = interval_seconds
        self._settle = settle
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="snapshots")
        self._writing: Future[None] | None = None
        # when a unit was last begun to be written, or first seen
        self._begun_seconds: dict[str, float] = {}
        # where it stood in the last snapshot that is really there
        self._written: dict[str, Mapping[TopicPartition, int]] = {}

    def save_next(self, held: Held) -> None:
        """Begin to write the next unit that is due and has moved since its last snapshot, unless one is being written."""
        if self._writing is not None:
            if not self._writing.done():
                return
            self._report(self._writing)
            self._writing = None
        now = time.monotonic()
        for unit, offsets in held.items():
            due = now - self._begun_seconds.setdefault(unit, now) >= self._interval_seconds
            if due and self._has_moved(unit, offsets) and (writing := self._save(unit, offsets)):
                self._writing = writing
                return

    def save_all(self, held: Held) -> None:
        """Have every unit written, before this returns, that has moved since its last snapshot."""
        if self._writing is not None:
            self._report(self._writing)
            self._writing = None
        for unit, offsets in held.items():
            if self._has_moved(unit, offsets) and (writing := self._save(unit, offsets)):
                self._report(writing)

    def save_purged(self, held: Held) -> None:
        """Have what was forgotten in no snapshot either. Rare, so that it may hold up the loop for as long as it takes to write them."""
        self._written.clear()  # what is there holds what must be forgotten, wherever it stands
        for unit, offsets in held.items():
            if (writing := self._save(unit, offsets)) and self._report(writing):
                self._store.drop_older(unit)

    def close(self) -> None:
        """Wait for the snapshot that is being written."""
        self._writer.shutdown(wait=True)

    def _has_moved(self, unit: str, held: Mapping[TopicPartition, int]) -> bool:
        return self._written.get(unit) != held

    def _save(self, unit: str, held: Mapping[TopicPartition, int]) -> Future[None] | None:
        """None for a unit without frames, for which no commit is waited: ingest has hundreds of these."""
        offsets = dict(held)
        # Frames do not change once they are made, so another thread may write them while the stage goes on.
        frames = dict(self._stage.snapshot(unit))
        if frames:
            self._settle()
        self._begun_seconds[unit] = time.monotonic()
        self._sizes.measured(unit, frames)
        return self._writer.submit(self._write, unit, Snapshot(offsets, frames)) if frames else None

    def _write(self, unit: str, snapshot: Snapshot) -> None:
        self._store.save(unit, snapshot)
        self._written[unit] = snapshot.offsets

    def _report(self, writing: Future[None]) -> bool:
        """A snapshot that cannot be written costs a longer rebuild, never the stage."""
        try:
            writing.result()
        except CheckpointError as error:
            metrics.SNAPSHOT_FAILURES.labels(self._stage.name).inc()
            _log.error("snapshot_failed", stage=self._stage.name, error=str(error))
            return False
        return True
