"""How far each stage has read, seen from outside: committed offsets beside the ends of the logs, and whether what lies between is a record at all."""

import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from kafka import KafkaConsumer, TopicPartition
from kafka.admin import KafkaAdminClient

from weaklink import topology
from weaklink.kafka_options import KafkaConfig
from weaklink.ops.group_offsets import committed_offsets
from weaklink.parties import EVENTS_TOPICS
from weaklink.stream.whole_batches import Limits, read_whole_batches

_READ_SECONDS: Final = 5.0
_TOPICS_SECONDS: Final = 5.0


Ahead = Literal["record", "hidden", "markers"]
"""What lies ahead: a record to read, which there then is until it is read; an open transaction, of which nobody knows yet what becomes; or neither."""


@dataclass(frozen=True, slots=True)
class Behind:
    """A partition of which a stage has not committed everything: next offset to read, and the end of the log with open transactions."""

    stage: str
    tp: TopicPartition
    committed: int
    end: int

    def __str__(self) -> str:
        return f"{self.stage} is at {self.committed} of {self.end} in {self.tp.topic}-{self.tp.partition}"


class Offsets:
    """One observer's connections. Not thread-safe. Raises kafka's errors and BrokerError."""

    def __init__(self, kafka: KafkaConfig) -> None:
        options = kafka.client_options()
        self._admin = KafkaAdminClient(**options)
        self._all = KafkaConsumer(**options, group_id=None, enable_auto_commit=False)
        self._committed_only = KafkaConsumer(
            **options, group_id=None, enable_auto_commit=False, isolation_level="read_committed",
            auto_offset_reset="earliest", max_partition_fetch_bytes=1 << 20, fetch_max_wait_ms=100,
        )  # fmt: skip
        # Whole batches, not inflated: whether there is one is all that is asked, and there may be bombs among them.
        read_whole_batches(self._committed_only, Limits(inflated_bytes_max=1))
        self._topics: set[str] = set()
        self._topics_at = float("-inf")

    def behind(self, stages: Iterable[str]) -> list[Behind]:
        """Every partition that these stages have not read to its end."""
        specs = [topology.stage(name) for name in stages]
        committed = committed_offsets(self._admin, [spec.group for spec in specs])
        found: list[Behind] = []
        for spec in specs:
            partitions = self._partitions(spec.reads)
            ends: Mapping[TopicPartition, int] = self._all.end_offsets(partitions)
            for tp in partitions:
                at = committed[spec.group].get(tp, 0)
                if at < ends[tp]:
                    found.append(Behind(spec.name, tp, at, ends[tp]))
        return found

    def has_records(self, one: Behind) -> bool:
        """Whether there is a record to read, or one that an open transaction still hides: not only markers and what was aborted."""
        return self.ahead(one) != "markers"

    def ahead(self, one: Behind) -> Ahead:
        """What lies ahead. Where no transaction is open that is read: a fetch of up to a megabyte."""
        if self._committed_only.end_offsets([one.tp])[one.tp] < one.end:
            return "hidden"
        self._committed_only.assign([one.tp])
        self._committed_only.seek(one.tp, one.committed)
        deadline = time.monotonic() + _READ_SECONDS
        while self._committed_only.position(one.tp) < one.end:
            if self._committed_only.poll(200, max_records=1):
                return "record"
            if time.monotonic() > deadline:  # who was asked does not answer: to be asked again
                return "hidden"
        return "markers"

    def close(self) -> None:
        """Close the connections."""
        self._admin.close()
        self._all.close()
        self._committed_only.close()

    def _partitions(self, reads: Iterable[str]) -> list[TopicPartition]:
        if time.monotonic() - self._topics_at > _TOPICS_SECONDS:
            self._topics, self._topics_at = set(self._all.topics()), time.monotonic()
        wanted = set(reads)
        by_pattern = topology.PARTY_EVENTS in wanted
        names = sorted(name for name in self._topics if name in wanted or (by_pattern and re.match(EVENTS_TOPICS, name)))  # fmt: skip
        return [TopicPartition(name, number) for name in names for number in sorted(self._all.partitions_for_topic(name) or ())]  # fmt: skip
