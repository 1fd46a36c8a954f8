"""How long a partition stood still, as seen from outside."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from chaos.offsets import Ahead, Behind
from chaos.watch import Watch
from chaos.worker import Worker
from kafka import TopicPartition

from tests.waiting import wait_until
from weaklink.kafka_options import KafkaConfig

TP = TopicPartition("weaklink.links", 0)
OTHER = TopicPartition("weaklink.links", 1)


class Seen:
    """What the broker would show: `readable` are the partitions that hold a record ahead."""

    def __init__(self, *readable: TopicPartition) -> None:
        self.readable = readable
        self.hidden = False
        self.looks = 0

    def ahead(self, one: Behind) -> Ahead:
        self.looks += 1
        return "hidden" if self.hidden else "record" if one.tp in self.readable else "markers"


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


def test_what_waits_in_the_outbox_stands_until_it_is_published() -> None:
    """Topic by topic: a relay that publishes for others is no excuse. As long as the first row is the same nothing moves, whatever joins it."""
    watch = Watch(KafkaConfig(), [], "sqlite:///nowhere")
    for second in range(9):
        watch._take_unpublished({"party.lab-a.actions": 7, "party.lab-b.actions": 100 + second}, float(second))
    watch._take_unpublished({"party.lab-b.actions": 200}, 9.0)
    watch._take_unpublished({"party.lab-a.actions": 300}, 20.0)
    assert watch.stalls == watch.resumed == {"enforce": 8.0}
    assert watch.longest["enforce"].startswith("the outbox for party.lab-a.actions")


def test_a_second_death_before_the_partition_moves_begins_a_new_count() -> None:
    """Of the stage's own workers: how long one death costs is asked. The standstill itself is told as long as it was."""
    watch, seen = Watch(KafkaConfig(), []), Seen(TP)
    watch.note_death("correlate", 0.0)
    for second in range(20):
        take(watch, seen, float(second), tp=5)
        if second == 8:
            watch.note_death("correlate", 8.0)
            watch.note_death("ingest", 8.0)
    assert watch.stalls == {"correlate": 19.0}
    assert watch.resumed == {"correlate": 11.0}
    watch.note_death("ingest", 19.0)
    take(watch, seen, 20.0, tp=5)
    assert watch.resumed == {"correlate": 12.0}


def test_a_death_after_others_should_have_taken_over_is_no_excuse() -> None:
    """What stood for longer than a session and a rebalance goes on counting, whoever dies then."""
    watch, seen = Watch(KafkaConfig(), []), Seen(TP)
    for second in range(40):
        if second in (0, 13, 26):
            watch.note_death("correlate", float(second))
        take(watch, seen, float(second), tp=5)
    assert watch.resumed == watch.stalls == {"correlate": 39.0}


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


def test_what_comes_after_markers_waits_from_then_on() -> None:
    """Though another partition of the stage has stood for longer before: offsets that nobody need commit are no standstill."""
    watch, seen = Watch(KafkaConfig(), []), Seen(OTHER)
    for now in range(30):
        take(watch, seen, float(now), other=5)
    assert watch.stalls == {"correlate": 29.0}
    for now in range(30, 60):
        take(watch, seen, float(now), tp=99)
    seen.readable = (TP, OTHER)
    for now in range(60, 70):
        watch._take(cast("Any", seen), [Behind("correlate", TP, 99, 101)], float(now))
    assert watch.stalls == {"correlate": 29.0}
    assert watch._since["correlate", TP][1] >= 59.0


def test_looking_costs_little_where_everything_stands() -> None:
    """Though more comes all the time: a record that lies ahead lies there until it is read."""
    watch, seen = Watch(KafkaConfig(), []), Seen(TP)
    for now in range(30):
        watch._take(cast("Any", seen), [Behind("correlate", TP, 5, 100 + now)], float(now))
    assert watch.stalls == {"correlate": 29.0}
    assert seen.looks == 1


def test_what_a_transaction_hid_counts_until_it_is_aborted() -> None:
    """Then only what was aborted lies ahead, which nobody need read."""
    watch, seen = Watch(KafkaConfig(), []), Seen()
    seen.hidden = True
    for now in range(10):
        take(watch, seen, float(now), tp=5)
    seen.hidden = False
    for now in range(10, 40):
        take(watch, seen, float(now), tp=5)
    assert 9.0 <= watch.stall_seconds_max <= 12.0
    assert seen.looks < 10


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


_PASSING_PEAK = """
import signal, time
def peak(*_):
    taken = b"x" * (100 << 20)
    del taken
    print("PEAK", flush=True)
signal.signal(signal.SIGUSR1, peak)
print("READY", flush=True)
while True:
    time.sleep(60)
"""


@pytest.fixture
def peaking(tmp_path: Path) -> Iterator[Worker]:
    """A process that takes 100 MiB for a moment when it is told to."""
    worker = Worker("ingest", "ingest-0", tmp_path / "log", {}, (sys.executable, "-c", _PASSING_PEAK))
    worker.start()
    wait_until(lambda: "READY" in worker.tail())
    yield worker
    worker.kill()


def take_memory(worker: Worker) -> None:
    """Let it peak, and come down again."""
    before = worker.tail().count("PEAK")
    os.kill(worker.pid, signal.SIGUSR1)
    wait_until(lambda: worker.tail().count("PEAK") > before)


@pytest.mark.parametrize("forgets", [True, False])
def test_memory_that_comes_and_goes_between_two_samples_counts(peaking: Worker, monkeypatch: pytest.MonkeyPatch, forgets: bool) -> None:  # fmt: skip
    """From the baseline on, and anew after a reset; where the system keeps its high-water mark to itself, the samples are what there is, and it is said."""
    monkeypatch.setattr(Worker, "ready", lambda _: True)
    monkeypatch.setattr("chaos.watch._SETTLED_SECONDS", 0.0)
    if not forgets:
        monkeypatch.setattr(Worker, "forget_peak", lambda _: False)
    elif not peaking.forget_peak():
        pytest.skip("this system does not let a process's high-water mark be forgotten")
    watch = Watch(KafkaConfig(), [peaking])
    take_memory(peaking)  # before anybody looks
    watch._sample_memory()
    watch._sample_memory()
    assert watch.memory_growth_mib < 20
    take_memory(peaking)
    watch._sample_memory()
    assert watch.memory_sampled is not forgets
    assert (watch.memory_growth_mib > 90) is forgets
    watch.reset()
    watch._sample_memory()
    watch._sample_memory()
    assert watch.memory_growth_mib < 20


def test_a_process_that_is_gone_has_no_memory(peaking: Worker) -> None:
    """And nothing of it can be forgotten."""
    peaking.kill()
    assert (peaking.peak_mib(), peaking.resident_mib(), peaking.forget_peak()) == (0.0, 0.0, False)
