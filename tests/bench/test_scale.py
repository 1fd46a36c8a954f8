"""Workers that die and join while events come: the output stays exactly right, and partitions lie evenly."""

import time
from pathlib import Path
from threading import Event

import pytest
from bench.scale import Publisher, scale

from weaklink.ops.broker import LocalCluster


@pytest.mark.kafka
@pytest.mark.usefixtures("own_brokers")
def test_two_workers_a_stage_lose_nothing_when_one_dies_and_another_joins(tmp_path: Path) -> None:
    with LocalCluster(tmp_path / "broker") as cluster:
        found = scale(cluster.kafka, tmp_path, workers=2, events=9_000)
    assert found["wrong"] == []
    assert found["ingest_partitions"] == found["correlate_partitions"] == [2, 2]
    assert found["ingest_partitions_at_the_end"] == found["correlate_partitions_at_the_end"] == [2, 2]
    for name in ("killed", "joined"):
        assert set(found[name]) == {"ingest", "correlate"}
        # 50 a second, and a death takes the session's timeout.
        assert all(found["events_while"][name][stage] > 20 * found[name][stage] for stage in found[name])


class Counting(Publisher):
    """Publishes nowhere."""

    def __init__(self) -> None:
        self.published = 0
        self.some = Event()

    def publish(self, events: int) -> None:
        self.published += events
        if events:
            self.some.set()


def test_events_come_steadily_and_the_rest_at_once_when_the_handover_is_over() -> None:
    """Not all of them before, and none is left out; what fails in the thread or beside it is told."""
    publisher = Counting()
    with publisher.publishing(10_000, seconds=600.0):
        assert publisher.some.wait(60)
        assert 0 < publisher.published < 5_000
    assert publisher.published == 10_000
    begun = time.monotonic()
    with publisher.publishing(100, seconds=0.2):
        while publisher.published < 10_100:
            time.sleep(0.01)
    assert time.monotonic() - begun > 0.15
    with pytest.raises(ZeroDivisionError), publisher.publishing(10, seconds=0.0):
        time.sleep(0.1)
    with pytest.raises(KeyError), publisher.publishing(10_000, seconds=600.0):
        raise KeyError
    assert publisher.published == 20_100
