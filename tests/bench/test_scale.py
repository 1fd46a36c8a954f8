"""Workers that die and join: the output stays exactly right, and partitions lie evenly."""

from pathlib import Path

import pytest
from bench.scale import scale

from weaklink.ops.broker import LocalCluster


@pytest.mark.kafka
@pytest.mark.usefixtures("own_brokers")
def test_two_workers_a_stage_lose_nothing_when_one_dies_and_another_joins(tmp_path: Path) -> None:
    with LocalCluster(tmp_path / "broker") as cluster:
        found = scale(cluster.kafka, tmp_path, workers=2, events=9_000)
    assert found["wrong"] == []
    assert found["ingest_partitions"] == found["correlate_partitions"] == [2, 2]
    assert found["ingest_partitions_at_the_end"] == found["correlate_partitions_at_the_end"] == [2, 2]
    assert set(found["killed"]) == set(found["joined"]) == {"ingest", "correlate"}
