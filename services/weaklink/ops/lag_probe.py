"""Asks Kafka for what `lag.py` calculates with: committed offsets, last stable offsets, and the oldest records that wait."""

import itertools
import re
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self

from kafka import KafkaConsumer, TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.protocol.consumer import OffsetSpec

from weaklink import topology
from weaklink.edge_offsets import edge_offsets
from weaklink.kafka_options import KafkaConfig
from weaklink.ops.committed_reading import partitions_of
from weaklink.ops.group_offsets import committed_offsets
from weaklink.ops.lag import PartitionLag, ReaderLag
from weaklink.parties import ACTIONS_TOPICS, EVENTS_TOPICS, PARTY_ID, party_of_topic
from weaklink.stream.partitions import positions

_PARTY_GROUPS: Final = re.compile(rf"party\.({PARTY_ID.pattern})\.[A-Za-z0-9._-]{{1,200}}")
"""Brokers take any text as a group's name. This one becomes a label of metrics, and a cell of a table, where other signs mean something."""
_GROUPS_PER_PARTY_MAX: Final = 8
"""A party may make thousands: each one more set of metrics, and, at an offset of its own, one more round of reading that all wait for."""
_COUNT_OFFSETS_MAX: Final = 500
"""Up to so many offsets behind, records are counted one by one, so that transaction markers do not pass for records."""
_FETCH_BYTES: Final = 1 << 20
_SECONDS_PER_PARTITION: Final = 0.02
"""Of patience, for each partition that is asked together with others."""


_Reader = tuple[str, str, list[str]]
"""Reader, group, and the topics that it reads and that exist."""
_STAGES: Final = {stage.group: stage for stage in topology.STAGES}
_READ: Final = frozenset(name for stage in topology.STAGES for name in stage.reads)
"""Topics that stages read: whoever may ask for lag sees them."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    """What lies before a reader in one partition."""

    records: int
    exact: bool
    oldest_us: int | None


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a reader, by number, stands in a partition. `committed` None: nothing is committed, and it begins at `start`."""

    reader: int
    partition: TopicPartition
    committed: int | None
    start: int


class LagProbe:
    """A connection to look with. It joins no group and commits nothing."""

    def __init__(self, kafka: KafkaConfig, patience_seconds: float = 3.0) -> None:
        self._patience_seconds = patience_seconds
        self._seen: dict[tuple[TopicPartition, int], int] = {}  # reader's offset -> append time of what waits there
        self._admin = KafkaAdminClient(**kafka.client_options())
        self._consumer = KafkaConsumer(
            **kafka.client_options(),
            group_id=None,
            enable_auto_commit=False,
            isolation_level="read_committed",
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=_FETCH_BYTES,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave the broker."""
        self._consumer.close()
        self._admin.close()

    def sample(self, now_us: int | None = None) -> list[ReaderLag]:
        """The lag of every stage, in flow order, then of every party that has an actions topic. Raises kafka's errors."""
        topics = sorted(self._admin.list_topics())
        groups = self._groups()
        candidates = _readers(topics, groups)
        committed = committed_offsets(self._admin, sorted({group for _, group, _ in candidates}))
        readers = _furthest_ahead(candidates, committed)
        partitions = {
            topic: partitions_of(self._consumer, [topic]) for topic in {one for _, _, names in readers for one in names}
        }
        wanted = {tp for found in partitions.values() for tp in found}
        ends = edge_offsets(self._consumer.end_offsets, list(wanted))
        begins = edge_offsets(self._consumer.beginning_offsets, list(wanted))
        members = self._members(groups & {group for _, group, _ in readers})
        places: list[_Place] = []
        for number, (_, group, names) in enumerate(readers):
            for tp in (tp for name in names for tp in partitions[name]):
                offset = committed[group].get(tp)
                places.append(_Place(number, tp, offset, max(begins[tp], offset or 0)))
        seen: dict[tuple[TopicPartition, int], int] = {}
        rows: list[list[PartitionLag]] = [[] for _ in readers]
        for one, found in zip(places, self._waiting_at(places, ends), strict=True):
            if found and found.oldest_us is not None:
                seen[one.partition, one.start] = found.oldest_us
            rows[one.reader].append(_row(one.partition, one.committed, ends[one.partition], found))
        lags = [(reader, group, tuple(own)) for (reader, group, _), own in zip(readers, rows, strict=True)]
        self._seen = seen
        at_us = time.time_ns() // 1000 if now_us is None else now_us
        return [
            ReaderLag(reader, group, at_us, own, members.get(group, 0), group in _STAGES, _missing(group, topics))
            for reader, group, own in lags
        ]

    def last_event_us(self) -> dict[str, int]:
        """Append time of the newest event of every party whose topic holds any; from the broker's index, nothing is read. Raises kafka's errors."""
        topics = [topic for topic in self._admin.list_topics() if re.fullmatch(EVENTS_TOPICS, topic)]
        partitions = partitions_of(self._consumer, topics)
        newest: dict[str, int] = {}
        asked = dict.fromkeys(partitions, OffsetSpec.MAX_TIMESTAMP)
        for tp, found in (self._admin.list_partition_offsets(asked) if asked else {}).items():
            if found.timestamp >= 0:
                party = party_of_topic(tp.topic)
                newest[party] = max(newest.get(party, 0), found.timestamp * 1000)
        return newest

    def _groups(self) -> set[str]:
        return {str(one["group_id"]) for one in self._admin.list_groups()}

    def _members(self, groups: set[str]) -> dict[str, int]:
        """Processes in each of these groups, which exist."""
        described = self._admin.describe_groups(sorted(groups)) if groups else {}
        return {group: len(one["members"]) for group, one in described.items()}

    def _waiting_at(self, places: Sequence[_Place], ends: Mapping[TopicPartition, int]) -> list[_Waiting | None]:
        """What lies before each reader in each partition. Of all partitions together: one reader after the other takes a tenth of a second each."""
        found: list[_Waiting | None] = [None] * len(places)
        left = [number for number, one in enumerate(places) if one.start < ends[one.partition]]
        while left:  # once, and again where a party's groups stand at several places in a partition
            turn: dict[TopicPartition, int] = {}
            for number in left:
                turn.setdefault(places[number].partition, places[number].start)
            waiting = self._waiting({tp: (start, ends[tp]) for tp, start in turn.items()})
            later = []
            for number in left:
                one = places[number]
                if turn[one.partition] == one.start:
                    found[number] = waiting[one.partition]
                else:
                    later.append(number)
            left = later
        return found

    def _waiting(self, spans: Mapping[TopicPartition, tuple[int, int]]) -> dict[TopicPartition, _Waiting]:
        """Reads from where each partition's reader stands: is there a record at all, how old is it, and, if few can follow, how many."""
        far = {tp: (start, end) for tp, (start, end) in spans.items() if end - start > _COUNT_OFFSETS_MAX}
        known = {tp: self._seen[tp, start] for tp, (start, _) in far.items() if (tp, start) in self._seen}
        waiting = {tp: _Waiting(far[tp][1] - far[tp][0], False, oldest_us) for tp, oldest_us in known.items()}
        return waiting | self._read({tp: span for tp, span in spans.items() if tp not in known})

    def _read(self, spans: Mapping[TopicPartition, tuple[int, int]]) -> dict[TopicPartition, _Waiting]:
        if not spans:
            return {}
        began_us = time.time_ns() // 1000
        self._consumer.assign(list(spans))
        for tp, (start, _) in spans.items():
            self._consumer.seek(tp, start)
        counts: dict[TopicPartition, int] = defaultdict(int)
        oldest: dict[TopicPartition, int] = {}
        exact: set[TopicPartition] = set()
        unsettled = set(spans)
        deadline = time.monotonic() + self._patience_seconds + _SECONDS_PER_PARTITION * len(spans)
        while unsettled and time.monotonic() < deadline:
            for tp, records in self._consumer.poll(200).items():
                before_end = [record for record in records if record.offset < spans[tp][1]]
                if before_end:
                    oldest.setdefault(tp, before_end[0].timestamp * 1000)
                    counts[tp] += len(before_end)
            at = positions(self._consumer, unsettled)
            ended = {tp for tp in unsettled if at[tp] >= spans[tp][1]}
            enough = {tp for tp in unsettled & oldest.keys() if spans[tp][1] - spans[tp][0] > _COUNT_OFFSETS_MAX}
            exact |= ended
            if ended or enough:
                unsettled -= ended | enough
                # Not paused: kafka-python keeps what it had fetched of a paused partition, and may never fetch from it again (stream/partitions.resume).
                self._consumer.assign(list(unsettled))
        self._consumer.assign([])
        waiting = {}
        for tp, (start, end) in spans.items():
            # A broker that did not hand the record out in time must not make it look new: it waits since it was first asked for.
            oldest_us = oldest.get(tp) if tp in exact or tp in oldest else self._seen.get((tp, start), began_us)
            waiting[tp] = _Waiting(counts[tp] if tp in exact else end - start, tp in exact, oldest_us)
        return waiting


def _missing(group: str, topics: Sequence[str]) -> tuple[str, ...]:
    """Topics that a stage cannot do without, its own and those of the next ones, and that are not there. Parties' come with the parties."""
    if group not in _STAGES:
        return ()
    needed = {*_STAGES[group].reads, *_STAGES[group].writes} & _READ - {topology.PARTY_EVENTS}
    return tuple(sorted(needed.difference(topics)))


def _readers(topics: Sequence[str], groups: Iterable[str]) -> list[_Reader]:
    """Every stage; then, party by party, the group of its SDK and any other that may read its actions."""
    events = [topic for topic in topics if re.fullmatch(EVENTS_TOPICS, topic)]
    readers = []
    for stage in topology.STAGES:
        names = [one for name in stage.reads for one in (events if name == topology.PARTY_EVENTS else [name])]
        readers.append((stage.name, stage.group, [name for name in names if name in topics]))
    others: dict[str, list[str]] = defaultdict(list)
    for group in sorted(groups):
        if named := _PARTY_GROUPS.fullmatch(group):
            others[named[1]].append(group)
    for topic in topics:
        if re.fullmatch(ACTIONS_TOPICS, topic):
            party = party_of_topic(topic)
            own = [topic, *(group for group in others[party] if group != topic)]
            readers += [(f"party {party}", group, [topic]) for group in own]
    return readers


def _furthest_ahead(readers: Iterable[_Reader], committed: Mapping[str, Mapping[TopicPartition, int]]) -> list[_Reader]:
    """Of each reader's groups the first, and of the others that have committed in its topics those that got furthest."""
    found: list[_Reader] = []
    for _, several in itertools.groupby(readers, key=lambda one: one[0]):
        first, *others = several
        reached = [
            (sum(offsets), one)
            for one in others
            if (offsets := [offset for tp, offset in committed[one[1]].items() if tp.topic in one[2]])
        ]
        reached.sort(key=lambda pair: -pair[0])
        found += [first, *(one for _, one in reached[: _GROUPS_PER_PARTY_MAX - 1])]
    return found


def _row(tp: TopicPartition, committed: int | None, end: int, waiting: _Waiting | None) -> PartitionLag:
    if waiting is None:
        return PartitionLag(tp.topic, tp.partition, committed, end, 0, exact=True, oldest_us=None)
    return PartitionLag(
        tp.topic, tp.partition, committed, end, waiting.records, exact=waiting.exact, oldest_us=waiting.oldest_us
    )
