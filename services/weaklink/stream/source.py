"""The input side of the runner: one consumer in the stage's group, its assignment, and what a poll gives as `Chunk` or `RecordBatch`."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import structlog
from kafka import KafkaConsumer, TopicPartition
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor

from weaklink import topology
from weaklink.edge_offsets import edge_offsets
from weaklink.parties import EVENTS_TOPICS
from weaklink.settings import Settings
from weaklink.stream.assignor import SingleOwnerAssignor
from weaklink.stream.guard import Guard
from weaklink.stream.membership import Membership
from weaklink.stream.partitions import committed_offsets, resume
from weaklink.stream.receive import receive_in_place
from weaklink.stream.stage import Chunk, Gating, Traits
from weaklink.stream.whole_batches import Limits, RecordBatch, read_whole_batches
from weaklink.topology import StageSpec

_POLL_BYTES: Final = 16 << 20
"""Of inflated batches that one poll holds, and one batch more."""
_FETCH_BYTES: Final = 16 << 20
"""Of all partitions. The C library keeps up to 32 MiB that were given back for the next fetch; of more than that every fetch got fresh pages."""
_PARTITION_FETCH_BYTES: Final = 16 << 20
_SOCKET_BYTES: Final = 4 << 20
_RETRY_BACKOFF_MS: Final = 20
_JOIN_POLL_MS: Final = 1_000
_log = structlog.get_logger()

Input = Chunk | RecordBatch


class Source:
    """A consumer of the topics that a stage reads. `before_revoked` is called before the group is joined anew. Raises kafka's errors.

    `slot`: who is killed and is back under the same one before its session ends has its partitions as before, and nobody else notices.
    """

    def __init__(
        self,
        spec: StageSpec,
        traits: Traits,
        settings: Settings,
        guard: Guard | None = None,
        before_revoked: Callable[[], None] = lambda: None,
        *,
        slot: str | None = None,
    ) -> None:
        stream, kafka = settings.stream, settings.kafka
        self._whole_batches = traits.whole_batches
        self._guard = guard
        self._limits = Limits(
            stream.inflated_batch_bytes_max, stream.batch_records_max, _POLL_BYTES, stream.batch_records_max, guard
        )
        self._batch_bytes = self._batch_records = 0  # of the last poll's batches on average
        self.full = False
        """Whether the last poll gave all that it could: more lies ready."""
        # Who stays keeps what it has: every partition that moves is state to be rebuilt. Range, by which topics of one partition all go to one worker, is
        # what workers of earlier versions know: while some of those are in the group the broker chooses it.
        assignors = (
            (SingleOwnerAssignor(),) if traits.single_owner else (StickyPartitionAssignor, RangePartitionAssignor)
        )
        by_pattern = topology.PARTY_EVENTS in spec.reads
        self.consumer = KafkaConsumer(
            **kafka.client_options(),
            partition_assignment_strategy=assignors,
            group_id=spec.group,
            group_instance_id=slot,
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            allow_auto_create_topics=False,
            check_crcs=stream.check_crcs,
            fetch_max_bytes=_FETCH_BYTES,
            max_partition_fetch_bytes=_PARTITION_FETCH_BYTES,
            receive_buffer_bytes=_SOCKET_BYTES,
            # New topics of a pattern, and topics that were created a moment ago: whoever assigns partitions may not know of them yet, and
            # with the library's five minutes nobody would read them for so long.
            metadata_max_age_ms=stream.metadata_max_age_ms,
            # Before it joins anew the library waits for fresh metadata, within one poll: its pause before asking must be a small part of that.
            retry_backoff_ms=_RETRY_BACKOFF_MS,
            session_timeout_ms=kafka.session_timeout_ms,
            # The others hear of a worker's death with their next heartbeat: what lies between two of them is added to the session.
            heartbeat_interval_ms=max(kafka.session_timeout_ms // 8, 100),
            max_poll_interval_ms=stream.max_poll_interval_ms,
        )
        receive_in_place(self.consumer)
        if traits.whole_batches:
            read_whole_batches(self.consumer, self._limits)
        self.membership = Membership(self.consumer, kafka, spec.group, before_revoked, is_static=slot is not None)
        if by_pattern:
            self.consumer.subscribe(pattern=EVENTS_TOPICS, listener=self.membership)
        else:
            self.consumer.subscribe(topics=list(spec.reads), listener=self.membership)

    def poll(self, timeout_ms: int, records_max: int) -> list[Input]:
        """What has arrived, in order within each partition. While the group is joined, a poll may last longer, so as not to cut a join short."""
        timeout_ms = max(timeout_ms, _JOIN_POLL_MS) if self.membership.joining else timeout_ms
        if self._whole_batches:
            return self._poll_batches(timeout_ms, records_max)
        polled: Mapping[TopicPartition, list[Any]] = self.consumer.poll(timeout_ms=timeout_ms, max_records=records_max)
        chunks: list[Input] = [as_chunk(record) for records in polled.values() for record in records]
        self.full = len(chunks) == records_max
        return chunks

    def _poll_batches(self, timeout_ms: int, batches_max: int) -> list[Input]:
        """Not more of them than fit, by what the last ones came to; where they come to far more, the rest is fetched again rather than held."""
        wanted = min(batches_max, _POLL_BYTES // max(self._batch_bytes, 1), self._limits.poll_records // max(self._batch_records, 1))  # fmt: skip
        wanted = max(wanted, 1)
        self._limits.begin_poll()
        try:
            polled: Mapping[TopicPartition, list[RecordBatch]] = self.consumer.poll(timeout_ms=timeout_ms, max_records=wanted)  # fmt: skip
        finally:
            if self._guard:
                self._guard.disarm()
        taken: list[Input] = []
        for tp, batches in polled.items():
            for batch in batches:
                if batch.postponed:
                    self.consumer.seek(tp, batch.begin)
                    break
                taken.append(batch)
        count = sum(map(len, polled.values()))
        self.full = count == wanted
        if taken:
            self._batch_bytes = sum(len(one.payload) for one in taken if isinstance(one, RecordBatch)) // len(taken)
            self._batch_records = sum(one.records_count for one in taken if isinstance(one, RecordBatch)) // len(taken)
        return taken

    def committed(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """The group's committed offsets, or the beginning of the log where there is none or the log no longer reaches back so far.

        Waits for a transaction that a killed worker left open, until it is aborted. Never less than what was acknowledged as committed: a coordinator
        that took over from a dead one a moment ago does not know yet how far its followers are, and answers others as of before the last
        commits. Whoever reads as `read_committed` asks for *stable* offsets, and is answered as of the end of the coordinator's log.
        """
        partitions = list(partitions)
        if not partitions:
            return {}
        beginnings = edge_offsets(self.consumer.beginning_offsets, partitions)
        committed = committed_offsets(self.consumer, partitions)
        found: dict[TopicPartition, int] = {}
        for tp in partitions:
            offset = committed.get(tp)
            if offset is not None and offset < beginnings[tp]:
                _log.error(
                    "input_lost_to_retention",
                    topic=tp.topic,
                    partition=tp.partition,
                    committed=offset,
                    log_begins=beginnings[tp],
                )
            found[tp] = max(offset or 0, beginnings[tp])
        return found

    def apply_gate(self, stage: object, partitions: Iterable[TopicPartition]) -> None:
        """Pause what the stage does not admit, resume what it does."""
        self.membership.look_for_new_partitions()
        admitted = {tp: stage.admits(tp) if isinstance(stage, Gating) else True for tp in partitions}
        paused = self.consumer.paused()
        if stop := [tp for tp, admit in admitted.items() if not admit and tp not in paused]:
            self.consumer.pause(*stop)
        resume(self.consumer, [tp for tp, admit in admitted.items() if admit and tp in paused])

    def defer(self, positions: Mapping[TopicPartition, int]) -> None:
        """Read these partitions again from here, once the gate admits them."""
        for tp, offset in positions.items():
            self.consumer.pause(tp)
            self.consumer.seek(tp, offset)

    def close(self) -> None:
        """Leave the group, so that others need not wait for the session to time out."""
        self.membership.leave()
        self.consumer.close(autocommit=False)


def as_chunk(record: Any) -> Chunk:
    """A consumer record of an internal topic. A value of None (a tombstone) becomes empty."""
    return Chunk(
        TopicPartition(record.topic, record.partition),
        record.offset,
        record.timestamp * 1000,
        record.value or b"",
        record.key,
        tuple(record.headers),
    )
