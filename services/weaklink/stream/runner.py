"""The loop of a columnar stage: gather, process, tick, commit as one transaction, and rebuild when a transaction or an assignment is lost.

While one transaction is committed, the stage folds what the next one will hold. So its state may be one transaction ahead of what is committed, and two
ahead of what is known to be. Whatever goes wrong with a commit, the state is forgotten and rebuilt from the committed offsets; and nothing looks at
committed offsets, writes a snapshot or leaves the group before the transaction under way has ended.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import structlog
from kafka import TopicPartition
from kafka.errors import FencedInstanceIdError, KafkaError

from weaklink import metrics
from weaklink.health import Health
from weaklink.settings import Settings
from weaklink.stream.checkpoint import SnapshotStore
from weaklink.stream.committer import Committer
from weaklink.stream.gather import Gatherer
from weaklink.stream.guard import Guard, process
from weaklink.stream.partitions import positions
from weaklink.stream.recovery import Interrupted, Recovery
from weaklink.stream.saver import Saver
from weaklink.stream.sink import TransactionAborted, TransactionalSink, slot_taken
from weaklink.stream.sizes import StateSizes
from weaklink.stream.source import Input, Source
from weaklink.stream.stage import Chunk, Gating, Output, Purging, Range, Sealing, Stage, Traits
from weaklink.topology import StageSpec
from weaklink.traces import span

_BACKOFF_SECONDS: Final = 0.5
_SETTLE_SECONDS: Final = 1.0
_TAKE_UP_SECONDS: Final = 2.0
"""So long at most a stage that was rebuilt is not asked what time alone makes of its state, unless input has come."""
_log = structlog.get_logger()


class Runner:
    """`run()` until `stop()`. One for a process; only `stop` may be called from another thread or a signal handler."""

    def __init__(
        self,
        stage: Stage[Any],
        spec: StageSpec,
        settings: Settings,
        slot: str | None = None,
        health: Health | None = None,
        *,
        guard: Guard | None = None,
    ) -> None:
        self._guard = guard
        self._stage = stage
        self._health = health
        self._sizes = StateSizes(stage.name)
        self._stream = settings.stream
        traits: Traits = getattr(stage, "traits", Traits())
        self._committer = Committer(stage.name, TransactionalSink(stage.name, slot, settings))
        # A worker that the group has given up on may not commit: what is under way is let through before the partitions go.
        patience_seconds = settings.kafka.session_timeout_ms / 2000
        self._source = Source(
            spec, traits, settings, guard, lambda: self._committer.await_end(patience_seconds), slot=slot
        )
        self._gatherer = Gatherer(self._source, self._stream, whole_batches=traits.whole_batches)
        url = self._stream.snapshot_url or str(Path(settings.data_folder) / "snapshots")
        store = SnapshotStore(url, stage.name, self._stream.snapshots_kept, self._stream.snapshot_compression)
        self._recovery = Recovery(stage, self._source, store, settings, guard, health)
        self._saver = Saver(stage, store, self._sizes, self._stream.snapshot_seconds, self._settle)
        self._stopping = False
        self._recovered = False
        self._ahead = False  # the state holds more than any transaction that was begun
        self._taking_up, self._tick_first_at = False, 0.0  # a rebuilt stage waits for what waits for it, until then
        self._next_tick = self._next_gate = 0.0

    def stop(self) -> None:
        """Finish the transaction in hand, write snapshots and leave the group; a rebuild is given up, its state being nobody's yet."""
        self._stopping = self._recovery.stopping = True

    def run(self) -> None:
        """Work until stopped. Raises what a stage raises, and BrokerError when another process uses the same slot."""
        try:
            while not self._stopping:
                try:
                    self._turn()
                except Interrupted:
                    self._recovered = False
                except TransactionAborted:
                    # What the stage folded and returned is lost, or it is unknown whether it is: begin again from what is committed.
                    metrics.TRANSACTIONS_ABORTED.labels(self._stage.name).inc()
                    self._recovery.forget()
                    self._recovered = False
                except FencedInstanceIdError as error:
                    raise slot_taken(self._stage.name) from error
                except KafkaError as error:
                    _log.warning(
                        "broker_trouble", stage=self._stage.name, error=f"{type(error).__name__}: {error}", next="retry"
                    )
                    if self._ahead:
                        self._recovery.forget()
                    self._recovered = False
                    time.sleep(_BACKOFF_SECONDS)
                # Also after a turn that failed: it is alive, and a restart would not mend what it waits for.
                if self._health:
                    self._health.turned(ready=self._recovered and not self._source.membership.joining)
            if self._recovered and self._ends_well():
                self._saver.save_all(self._recovery.held)
        finally:
            self._saver.close()
            self._committer.close()
            self._source.close()

    def _ends_well(self) -> bool:
        """Whether the last transaction is committed: only then the state is what a snapshot may say that it is."""
        try:
            self._settle()
        except (TransactionAborted, KafkaError) as error:
            _log.warning(
                "last_transaction_lost", stage=self._stage.name, error=str(error), next="its input is read again"
            )
            return False
        return True

    def _settle(self) -> None:
        """Wait for the transaction under way. Raises TransactionAborted, or kafka's errors with the state forgotten."""
        try:
            self._committer.settle()
        except KafkaError:
            self._recovery.forget()
            raise

    def _turn(self) -> None:
        inputs = self._gatherer.next(self._committer.seconds)
        if self._source.membership.joining:
            return
        if self._source.membership.changed or not self._recovered:
            self._settle()
            # What was gathered belongs to the assignment before, or to positions from before a lost transaction: it is read again.
            self._recovered = False
            if self._guard:
                self._guard.refresh()
            lost, self._source.membership.was_lost = self._source.membership.was_lost, False
            if lost and self._stage.recalls:
                # Whoever had its units may have said more than its offsets tell: what a tick says moves none.
                self._recovery.forget()
            self._recovery.recover(self._source.membership.accept_changes())
            self._recovered = True
            self._taking_up, self._tick_first_at = True, time.monotonic() + _TAKE_UP_SECONDS
            self._sizes.keep(self._recovery.held)
            self._next_gate = 0.0
            self._gate()
            return
        self._gate()
        if inputs:
            with span(
                f"{self._stage.name} transaction",
                messaging__system="kafka",
                messaging__batch__message_count=len(inputs),
            ):
                self._advance(inputs)
        else:
            self._advance(inputs)
        if isinstance(self._stage, Purging) and self._stage.purged():
            self._saver.save_purged(self._recovery.held)
        self._saver.save_next(self._recovery.held)

    def _advance(self, inputs: Sequence[Input]) -> None:
        messages: list[Output] = []
        self._ahead = True
        if inputs:
            with metrics.PROCESS_SECONDS.labels(self._stage.name).time(), span("process", weaklink__inputs=len(inputs)):
                messages, left = process(self._stage, inputs, self._guard, replaying=False)
            inputs = self._without(left, inputs)
        # What waited is committed before anything is evaluated, which after a rebuild takes longest: however long folding it took.
        taking_up = self._taking_up and (bool(inputs) or time.monotonic() < self._tick_first_at)
        self._taking_up = taking_up and not inputs
        if self._recovery.held and time.monotonic() >= self._next_tick and not taking_up:
            self._next_tick = time.monotonic() + self._stream.tick_seconds
            messages += self._stage.tick(time.time_ns() // 1000)
        if self._committer.has_ended:
            self._settle()
        ranges = self._ranges({one.source for one in inputs}, idle=not inputs and not self._committer.is_under_way)
        if ranges or messages:
            if isinstance(self._stage, Sealing):
                messages = self._stage.seal(messages, ranges)
            self._commit(
                messages, ranges, sum(one.records_count if not isinstance(one, Chunk) else 1 for one in inputs)
            )
        self._ahead = False

    def _without(self, left: Sequence[Input], inputs: Sequence[Input]) -> Sequence[Input]:
        """What the stage has folded. The rest is read again: from its first on, since what came before it of its partition is committed now."""
        if not left:
            return inputs
        begins = {one.source: _begin(one) for one in reversed(left)}
        self._source.defer(begins)
        return [one for one in inputs if one.source not in begins or _begin(one) < begins[one.source]]

    def _ranges(self, read: set[TopicPartition], *, idle: bool) -> dict[TopicPartition, Range]:
        """What the transaction covers: up to the positions, which lie behind all that was gathered and behind transaction markers that follow it.

        When idle for a second, markers alone are committed too, so that lag reads 0 and not 1.
        """
        settle = idle and time.monotonic() - self._committer.ended_at > _SETTLE_SECONDS
        ranges: dict[TopicPartition, Range] = {}
        for offsets in self._recovery.held.values():
            for tp, position in positions(self._source.consumer, offsets if settle else read & offsets.keys()).items():
                if position > offsets[tp]:
                    ranges[tp] = Range(offsets[tp], position)
        return ranges

    def _commit(self, messages: Sequence[Output], ranges: dict[TopicPartition, Range], records: int) -> None:
        """Begin the transaction, once the one before is committed."""
        self._settle()
        if self._source.membership.given_up:
            raise TransactionAborted(
                "the group has given up on this worker: nothing may be committed before it has joined anew"
            )
        offsets = {tp: span.end for tp, span in ranges.items()}
        # What a tick alone says goes with the offsets as they are: only offsets let the broker refuse a worker that the group has given up on.
        fence = {tp: offset for held in self._recovery.held.values() for tp, offset in held.items()}
        self._committer.begin(messages, offsets or fence, self._source.membership.metadata, records)
        for tp, offset in offsets.items():
            self._recovery.held[self._stage.unit(tp)][tp] = offset

    def _gate(self) -> None:
        if time.monotonic() >= self._next_gate:
            self._next_gate = time.monotonic() + self._stream.gate_seconds
            self._source.apply_gate(self._stage, self._source.consumer.assignment() - self._recovery.unready)
            if any(isinstance(self._stage, Gating) and self._stage.admits(tp) for tp in self._recovery.unready):
                self._recovered = False


def _begin(one: Input) -> int:
    """The first offset of it that is the reader's."""
    return one.offset if isinstance(one, Chunk) else one.begin
