"""Membership in a group when joining, or taking in what topics there are, takes longer than one poll."""

import re
import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from kafka import KafkaConsumer, KafkaProducer
from kafka.coordinator.consumer import ConsumerCoordinator

from tests.topics import create_topics
from tests.waiting import wait_until
from weaklink.group_member import complete_joins
from weaklink.kafka_options import KafkaConfig

_JOIN_SECONDS = 0.4
_METADATA_SECONDS = 0.15
_POLL_MS = 100


def slow_joins(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a busy broker: the answer comes after the poll."""
    join = ConsumerCoordinator._do_join_and_sync_async

    async def slow_join(self: Any) -> Any:
        await self._net.sleep(_JOIN_SECONDS)
        return await join(self)

    monkeypatch.setattr(ConsumerCoordinator, "_do_join_and_sync_async", slow_join)


def slow_metadata(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with thousands of topics: working them out holds up the client's event loop for longer than a poll."""
    take = ConsumerCoordinator._handle_metadata_update

    def slow_take(self: Any, cluster: Any) -> None:
        time.sleep(_METADATA_SECONDS)
        take(self, cluster)

    monkeypatch.setattr(ConsumerCoordinator, "_handle_metadata_update", slow_take)


@pytest.mark.kafka
@pytest.mark.parametrize("slow", [[slow_joins], [slow_metadata], [slow_joins, slow_metadata]])
def test_a_new_topic_of_the_pattern_is_read_though_joining_outlasts_a_poll(
    kafka: KafkaConfig, monkeypatch: pytest.MonkeyPatch, slow: list[Callable[[pytest.MonkeyPatch], None]]
) -> None:
    """Else the consumer would lose its assignment and stand still for ever, on a busy machine and for a busy broker."""
    for make_slow in slow:
        make_slow(monkeypatch)
    mark = uuid4().hex[:8]
    create_topics(kafka, [f"join-{mark}-0"], partitions=1)
    consumer = KafkaConsumer(
        **kafka.client_options(),
        group_id=f"join-{mark}",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        metadata_max_age_ms=300,
    )
    complete_joins(consumer)
    consumer.subscribe(pattern=rf"^join-{re.escape(mark)}-\d+$")
    read: list[bytes] = []

    def has_read(number: int) -> bool:
        for records in consumer.poll(timeout_ms=_POLL_MS).values():
            read.extend(record.value for record in records)
        return f"{number}".encode() in read

    producer = KafkaProducer(**kafka.client_options())
    try:
        for number in range(3):
            if number:
                create_topics(kafka, [f"join-{mark}-{number}"], partitions=1)
            producer.send(f"join-{mark}-{number}", f"{number}".encode()).get(60)
            wait_until(lambda number=number: has_read(number))  # type: ignore[misc]  # bound at once
    finally:
        producer.close()
        consumer.close()
