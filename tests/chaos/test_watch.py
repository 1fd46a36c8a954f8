"""How long a partition stood still, as seen from outside."""

from typing import Any

from chaos.offsets import Behind
from chaos.watch import Watch
from kafka import TopicPartition

from weaklink.kafka_options import KafkaConfig

TP = TopicPartition("weaklink.links", 0)
OTHER = TopicPartition("weaklink.links", 1)


class Seen:
    """What the broker would show: `readable` are the partitions that hold a record ahead."""

    def __init__(self, *readable: TopicPartition) -> None:
        self.readable = readable

    def has_records(self, one: Behind) -> bool:
        return one.tp in self.readable


def take(watch: Watch, seen: Any, now: float, **committed: int) -> None:
    partitions = {"tp": TP, "other": OTHER}
    watch._take(seen, [Behind("correlate", partitions[name], at, 100) for name, at in committed.items()], now)


def test_a_standstill_is_counted_until_the_partition_moves() -> None:
    """Per partition: that another one moves is no excuse. The longest one of a stage counts."""
    watch, seen = Watch(KafkaConfig(), []), Seen(TP, OTHER)
    for second in range(10):
        take(watch, seen, float(second), tp=5, other=5 + second // 3)
    assert watch.stalls == {"correlate": 9.0}
    for second in range(10, 14):
        take(watch, seen, float(second), tp=50, other=8)
    assert watch.stall_seconds_max == 9.0


def test_what_moves_while_nobody_can_look_counts_as_having_stood() -> None:
    """A broker that answers no question hides when a partition went on."""
    watch, seen = Watch(KafkaConfig(), []), Seen(TP)
    take(watch, seen, 0.0, tp=5)
    take(watch, seen, 1.0, tp=6)
    take(watch, seen, 8.0, tp=7)
    assert watch.stall_seconds_max == 7.0


def test_a_partition_that_is_read_to_its_end_does_not_stand_still() -> None:
    """However long nothing comes; what comes later is counted from then on."""
    watch, seen = Watch(KafkaConfig(), []), Seen(TP)
    take(watch, seen, 0.0, tp=5)
    take(watch, seen, 2.0)
    take(watch, seen, 60.0, tp=5)
    take(watch, seen, 61.0, tp=5)
    assert watch.stall_seconds_max == 1.0


def test_transaction_markers_alone_are_nothing_to_wait_for() -> None:
    """Offsets lie ahead, and no record."""
    watch, seen = Watch(KafkaConfig(), []), Seen()
    for now in range(0, 60, 2):
        take(watch, seen, float(now), tp=99)
    assert watch.stall_seconds_max <= 4.0


def test_reset_forgets() -> None:
    """A new count begins, for partitions that stand already, too."""
    watch, seen = Watch(KafkaConfig(), []), Seen(TP)
    take(watch, seen, 0.0, tp=5)
    take(watch, seen, 20.0, tp=5)
    watch.reset()
    take(watch, seen, 21.0, tp=5)
    assert watch.stall_seconds_max == 0.0
    take(watch, seen, 23.5, tp=5)
    assert watch.stall_seconds_max == 2.5
