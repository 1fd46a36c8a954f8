"""After an assignment: snapshot, recall, silent replay up to the committed offsets. Only then does a unit of state speak."""

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import structlog
from kafka import TopicPartition
from kafka.errors import KafkaError

from weaklink import metrics
from weaklink.edge_offsets import edge_offsets
from weaklink.errors import WeaklinkError
from weaklink.health import Health
from weaklink.settings import Settings
from weaklink.stream.checkpoint import Snapshot, SnapshotStore
from weaklink.stream.compacted import read_compacted
from weaklink.stream.guard import Guard, process
from weaklink.stream.partitions import positions, resume
from weaklink.stream.source import Input, Source
from weaklink.stream.stage import Chunk, Stage
from weaklink.traces import span

_POLL_MS: Final = 200
_INPUTS_IN_POLL: Final = 500
_log = structlog.get_logger()


class Interrupted(Exception):
    """The assignment changed, or a stop was asked for, while state was being rebuilt: begin again with what is ours then."""


class Recovery:
    """Rebuilds units of state. `held` tells at which offsets each unit stands: its state is the fold of the input up to there."""

    def __init__(  # noqa: PLR0917  # the runner's parts, once
        self,
        stage: Stage[Any],
        source: Source,
        store: SnapshotStore,
        settings: Settings,
        guard: Guard | None = None,
        health: Health | None = None,
    ) -> None:
        self._guard = guard
        self._health = health
        self._stage = stage
        self._source = source
        self._store = store
        self._settings = settings
        self.held: dict[str, dict[TopicPartition, int]] = {}
        self.stopping = False
        """Set from a signal handler or another thread: give up a rebuild that is under way."""
        self.unready: set[TopicPartition] = set()
        """Partitions of units that could not be rebuilt yet, because the stage deferred some of their input: paused, and without state."""

    def forget(self) -> None:
        """Every unit's state is in doubt (its transaction did not commit): rebuild all at the next `recover`."""
        for unit in list(self.held):
            self._release(unit)

    def recover(self, assigned: Iterable[TopicPartition]) -> None:
        """Bring every unit of the assignment to the committed offsets, and seek there. Raises Interrupted, kafka's errors, CheckpointError.

        A unit that stands exactly at the committed offsets already is kept: no one else has folded anything meanwhile.
        """
        started = time.perf_counter()
        units: dict[str, list[TopicPartition]] = defaultdict(list)
        for tp in assigned:
            units[self._stage.unit(tp)].append(tp)
        committed = self._source.committed(tp for partitions in units.values() for tp in partitions)
        targets = {unit: {tp: committed[tp] for tp in partitions} for unit, partitions in units.items()}
        for unit in [unit for unit, offsets in self.held.items() if targets.get(unit) != offsets]:
            self._release(unit)
        stale = {unit: offsets for unit, offsets in targets.items() if unit not in self.held}
        starts: dict[TopicPartition, int] = {}
        begun: list[str] = []
        try:
            for unit, offsets in stale.items():
                begun.append(unit)
                starts |= self._begin(unit, offsets)
            with span(f"{self._stage.name} rebuild", weaklink__units=len(stale)):
                deferred = self._replay(starts, {tp: committed[tp] for tp in starts}, committed)
        except (Interrupted, KafkaError):
            # Half rebuilt, and perhaps another worker's by now: nobody would release them later.
            for unit in begun:
                self._stage.release(unit)
            raise
        for unit in {self._stage.unit(tp) for tp in deferred}:
            self._stage.release(unit)
            del stale[unit]
        self.held |= stale
        self.unready = set(committed) - {tp for offsets in self.held.values() for tp in offsets}
        # What is not ready stays paused, whatever the gate says of it: the runner recovers again once the stage admits it.
        resume(self._source.consumer, set(committed) - self.unready)
        metrics.UNITS.labels(self._stage.name).set(len(self.held))
        if stale:
            metrics.REBUILD_SECONDS.labels(self._stage.name).observe(time.perf_counter() - started)
        _log.info(
            "recovered",
            stage=self._stage.name,
            units=len(self.held),
            rebuilt=len(stale),
            seconds=round(time.perf_counter() - started, 3),
        )

    def _release(self, unit: str) -> None:
        del self.held[unit]
        self._stage.release(unit)

    def _begin(self, unit: str, committed: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        """Restore and recall a unit; where to begin its replay."""
        snapshot = self._restore(unit, committed)
        if self._stage.recalls:
            self._stage.recall(unit, read_compacted(self._stage.recalls, self._settings))
        beginnings = edge_offsets(self._source.consumer.beginning_offsets, list(committed))
        starts: dict[TopicPartition, int] = {}
        for tp, offset in committed.items():
            at = snapshot.offsets.get(tp) if snapshot else None
            wanted = self._stage.replay_from(tp, offset) if at is None else at
            starts[tp] = min(max(wanted, beginnings[tp]), offset)
            if wanted < beginnings[tp]:
                _log.warning(
                    "rebuild_incomplete", unit=unit, topic=tp.topic, partition=tp.partition, wanted_from=wanted, log_begins=beginnings[tp],
                    meaning="input between the two has expired: the state lacks it",
                )  # fmt: skip
        _log.info(
            "rebuilding",
            unit=unit,
            snapshot=snapshot is not None,
            records=sum(offset - starts[tp] for tp, offset in committed.items()),
        )
        return starts

    def _restore(self, unit: str, committed: Mapping[TopicPartition, int]) -> Snapshot | None:
        """Restore a unit from the newest snapshot that the stage can read: one of another version of Weaklink may be none of those."""
        for snapshot in self._store.usable(unit, committed):
            try:
                self._stage.restore(unit, snapshot.frames)
            except WeaklinkError as error:
                metrics.SNAPSHOT_FAILURES.labels(self._stage.name).inc()
                _log.error(
                    "snapshot_unusable", stage=self._stage.name, unit=unit, error=str(error),
                    next="trying the one before; without one, rebuilding from the log",
                )  # fmt: skip
                continue
            return snapshot
        self._stage.restore(unit, None)
        return None

    def _replay(
        self,
        starts: Mapping[TopicPartition, int],
        targets: Mapping[TopicPartition, int],
        committed: Mapping[TopicPartition, int],
    ) -> set[TopicPartition]:
        """Read [start, target) of every partition into `process` and drop what it returns; then stand, paused, at the committed offsets.

        Returns the partitions of which the stage deferred something.
        """
        consumer = self._source.consumer
        deferred: set[TopicPartition] = set()
        waiting = {tp for tp, start in starts.items() if start < targets[tp]}
        if idle := set(committed) - waiting:
            consumer.pause(*idle)
        for tp in waiting:
            consumer.seek(tp, starts[tp])
        resume(consumer, waiting)
        while waiting:
            if self._health:  # a long rebuild is no standstill
                self._health.turned(ready=False)
            inputs = self._source.poll(_POLL_MS, _INPUTS_IN_POLL)
            if self._source.membership.changed or self.stopping:
                raise Interrupted
            if clipped := until(inputs, targets):
                wanted = [one for one in clipped if one.source not in deferred]
                _, left = process(self._stage, wanted, self._guard, replaying=True)
                deferred |= {one.source for one in left}
            # The position passes transaction markers and aborted batches too, so it reaches the target even where no record lies before it.
            at = positions(consumer, waiting)
            done = {tp for tp in waiting if tp in deferred or at[tp] >= targets[tp]}
            if done:
                consumer.pause(*done)
                waiting -= done
        for tp, offset in committed.items():
            consumer.seek(tp, offset)
        consumer.pause(*committed)
        return deferred


def until(inputs: Sequence[Input], targets: Mapping[TopicPartition, int]) -> list[Input]:
    """What lies before the targets; a batch across one is clipped."""
    kept: list[Input] = []
    for one in inputs:
        target = targets[one.source]
        if isinstance(one, Chunk):
            if one.offset < target:
                kept.append(one)
        elif one.base_offset < target:
            kept.append(one if one.end <= target else one.clipped(one.begin, target))
    return kept
