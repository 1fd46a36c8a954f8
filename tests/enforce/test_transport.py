"""What Weaklink changes in Faust's consumer, by private names: this fails loudly where a new version changes them."""

from collections import defaultdict
from types import SimpleNamespace
from typing import Any

import aiokafka
import pytest
from faust.transport.drivers.aiokafka import Consumer as FaustConsumer
from faust.types import TP
from intervaltree import IntervalTree

from weaklink.enforce.transport import CommittedConsumer

PARTITION = TP("weaklink.receipts", 0)


def bare_consumer(kind: type[Any]) -> Any:
    """Only what committing needs: no connection, no app."""
    consumer = object.__new__(kind)
    consumer._acked = defaultdict(list)
    consumer._acked_index = defaultdict(set)
    consumer._committed_offset = defaultdict(lambda: None)
    consumer._gap = defaultdict(IntervalTree)
    consumer._unacked_messages = set()
    return consumer


def first_handled_and_committed(kind: type[Any], then: list[int]) -> Any:
    """A consumer that has committed a partition's first message, at 0, and since handled these; Faust adds no gap there."""
    consumer = bare_consumer(kind)
    consumer._committed_offset[PARTITION] = 1
    consumer._acked[PARTITION] += then
    return consumer


async def offset_after_reading(consumer: Any, offsets: list[int]) -> int:
    """What the next commit would be, when messages at these offsets were read and handled; between them lie markers."""
    before = offsets[0]
    for offset in offsets:
        if offset - before > 1:
            await consumer._add_gap(PARTITION, before + 1, offset)
        consumer._acked[PARTITION].append(offset)
        before = offset
    result: int = consumer._new_offset(PARTITION)
    return result


@pytest.mark.parametrize("offsets", [[0, 1, 2], [0, 2, 4, 6], [0, 1, 3, 4, 7, 12], [5, 9]])
async def test_one_commit_covers_all_that_was_handled_markers_between(offsets: list[int]) -> None:
    """However many transactions ended between the messages."""
    assert await offset_after_reading(bare_consumer(CommittedConsumer), offsets) == offsets[-1] + 1


async def test_fausts_own_consumer_still_stops_at_each_marker() -> None:
    """The defect that is stepped around; when this fails, a new version has mended it and `_add_gap` can go."""
    assert await offset_after_reading(bare_consumer(FaustConsumer), [0, 2, 4, 6]) == 3


def test_two_markers_after_the_first_message_do_not_end_all_commits() -> None:
    """As a broker leaves them that dies while it writes one."""
    assert first_handled_and_committed(CommittedConsumer, [3])._new_offset(PARTITION) == 4
    assert first_handled_and_committed(CommittedConsumer, [3, 4])._new_offset(PARTITION) == 5


def test_fausts_own_consumer_still_commits_nothing_after_them() -> None:
    """The defect that is stepped around; when this fails, a new version has mended it and `_new_offset` can go."""
    assert first_handled_and_committed(FaustConsumer, [3])._new_offset(PARTITION) is None


async def test_a_gap_that_faust_has_seen_counts_once() -> None:
    """Also where it lies right behind what was committed."""
    consumer = first_handled_and_committed(CommittedConsumer, [5, 7])
    await consumer._add_gap(PARTITION, 1, 5)
    await consumer._add_gap(PARTITION, 6, 7)
    assert consumer._new_offset(PARTITION) == 8


def test_a_message_that_is_handled_late_is_waited_for() -> None:
    """Offset 2 was read and is not handled yet: 3 alone is no reason to commit."""
    consumer = first_handled_and_committed(CommittedConsumer, [3])
    late = SimpleNamespace(tp=PARTITION, offset=2, acked=False)
    consumer._unacked_messages = [late]
    assert consumer._new_offset(PARTITION) is None
    consumer._unacked_messages = [SimpleNamespace(tp=TP("weaklink.receipts", 1), offset=2, acked=False)]
    assert consumer._new_offset(PARTITION) == 4


def test_what_was_read_and_handled_by_nobody_is_no_gap() -> None:
    """Offset 29 was emptied out of a queue: 31 and 32 are handled, and nothing is committed, so that whoever reads on from there has it."""
    consumer = bare_consumer(CommittedConsumer)
    consumer._committed_offset[PARTITION] = 28
    consumer._acked[PARTITION] += [31, 32]
    assert consumer._new_offset(PARTITION) is None


async def test_an_unhandled_message_is_never_committed() -> None:
    """Offset 4 was read, and is not handled yet: the commit stops before it, though 6 is handled."""
    consumer = bare_consumer(CommittedConsumer)
    await consumer._add_gap(PARTITION, 1, 2)
    await consumer._add_gap(PARTITION, 3, 4)
    await consumer._add_gap(PARTITION, 5, 6)
    consumer._acked[PARTITION] += [0, 2, 6]
    assert consumer._new_offset(PARTITION) == 4


def test_aiokafka_still_has_the_isolation_level() -> None:
    """The name that makes the consumer read committed messages only."""
    assert "_isolation_level" in aiokafka.AIOKafkaConsumer.__init__.__code__.co_names
