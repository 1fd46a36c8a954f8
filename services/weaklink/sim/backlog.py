"""How far the pipeline is behind what was published: the loop waits for it instead of running ahead."""

from dataclasses import dataclass
from typing import Final

from kafka import KafkaConsumer, TopicPartition
from kafka.admin import KafkaAdminClient

from weaklink import topology
from weaklink.kafka_options import KafkaConfig
from weaklink.ops.group_offsets import committed_offsets
from weaklink.parties import Party

_MARKERS_MAX: Final = 2
"""A transaction's end marker occupies an offset that no commit may count: so much per partition is no backlog."""


_TO_DETECT: Final = frozenset({topology.LINKS, topology.ACTIVITY, topology.SHARED, topology.DECISIONS})


@dataclass(frozen=True, slots=True)
class Backlog:
    """Messages not yet consumed, by stage."""

    messages: dict[str, int]
    to_detect: int
    """Messages that lie between an event and the action that it tips, beyond ingest: not answers, which delay nothing."""

    @property
    def events(self) -> int:
        """Events that ingest has not yet taken."""
        return self.messages["ingest"]


class BacklogReader:
    """Reads committed offsets and ends of topics. One thread."""

    def __init__(self, kafka: KafkaConfig, parties: list[Party]) -> None:
        self._admin = KafkaAdminClient(**kafka.client_options())
        self._consumer = KafkaConsumer(**kafka.client_options(), group_id=None, enable_auto_commit=False)
        self._parties = parties

    def read(self) -> Backlog:
        """The backlog now."""
        messages: dict[str, int] = {}
        to_detect = 0
        for stage in topology.STAGES:
            topics = [name for name in stage.reads if name != topology.PARTY_EVENTS]
            if topology.PARTY_EVENTS in stage.reads:
                topics += [party.events_topic for party in self._parties]
            partitions = [
                TopicPartition(topic, number)
                for topic in topics
                for number in self._consumer.partitions_for_topic(topic) or ()
            ]
            ends = self._consumer.end_offsets(partitions)
            committed = committed_offsets(self._admin, [stage.group])[stage.group]
            behind = {one: ends[one] - committed.get(one, 0) for one in partitions}
            behind = {one: count for one, count in behind.items() if count > _MARKERS_MAX}
            messages[stage.name] = sum(behind.values())
            to_detect += sum(count for one, count in behind.items() if one.topic in _TO_DETECT)
        return Backlog(messages, to_detect)

    def close(self) -> None:
        """Leave the broker."""
        self._admin.close()
        self._consumer.close()
