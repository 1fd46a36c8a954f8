"""What a rebuild leaves behind when it cannot be finished, and what it says when the log does not reach back far enough."""

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest
from kafka import TopicPartition
from structlog.testing import capture_logs

from tests.stream.counting import Counting
from weaklink.errors import CheckpointError
from weaklink.settings import Settings
from weaklink.stream.checkpoint import Snapshot, SnapshotStore
from weaklink.stream.recovery import Interrupted, Recovery

FIRST, SECOND = TopicPartition("in", 0), TopicPartition("in", 1)


def source_of(committed: dict[TopicPartition, int], begins: int, *, changed: bool) -> Any:
    """A source whose log begins at `begins`, and whose assignment changes at the first poll or never."""
    consumer = SimpleNamespace(
        beginning_offsets=lambda partitions: dict.fromkeys(partitions, begins),
        _subscription=SimpleNamespace(
            assignment={tp: SimpleNamespace(position=SimpleNamespace(offset=at)) for tp, at in committed.items()}
        ),
        pause=lambda *_: None,
        resume=lambda *_: None,
        seek=lambda *_: None,
        _fetcher=SimpleNamespace(_paused_partition_records={}),
    )
    return SimpleNamespace(
        consumer=consumer,
        committed=lambda tps: {tp: committed[tp] for tp in tps},
        poll=lambda *_: [],
        membership=SimpleNamespace(changed=changed),
    )


def test_units_of_an_interrupted_rebuild_are_released(tmp_path: Path) -> None:
    """Else a worker would hold on to the state of partitions that have moved elsewhere meanwhile."""
    stage = Counting("in", "out")
    store = SnapshotStore(str(tmp_path), "in", 3)
    recovery = Recovery(stage, source_of({FIRST: 10, SECOND: 5}, 0, changed=True), store, Settings())
    with pytest.raises(Interrupted):
        recovery.recover([FIRST, SECOND])
    assert (stage.sums, recovery.held) == ({}, {})


def test_a_stop_does_not_wait_for_a_rebuild(tmp_path: Path) -> None:
    """It may take longer than an orchestrator's patience; what is half rebuilt is released."""
    stage = Counting("in", "out")
    source = source_of({FIRST: 10, SECOND: 5}, 0, changed=False)
    source.consumer.position = lambda tp: 0  # nothing arrives
    recovery = Recovery(stage, source, SnapshotStore(str(tmp_path), "in", 3), Settings())
    recovery.stopping = True
    with pytest.raises(Interrupted):
        recovery.recover([FIRST, SECOND])
    assert (stage.sums, recovery.held) == ({}, {})


@pytest.mark.parametrize(("begins", "said"), [(0, 0), (4, 1)])
def test_a_rebuild_from_a_log_that_has_expired_says_so(tmp_path: Path, begins: int, said: int) -> None:
    """Also without a snapshot: what the log no longer holds is missing from the state."""
    stage = Counting("in", "out")
    store = SnapshotStore(str(tmp_path), "in", 3)
    recovery = Recovery(stage, source_of({FIRST: 10}, begins, changed=False), store, Settings())
    with capture_logs() as logs:
        recovery.recover([FIRST])
    assert sum(line["event"] == "rebuild_incomplete" for line in logs) == said
    assert recovery.held == {"0": {FIRST: 10}}


class Upgraded(Counting):
    """A version that wants another frame than the one before wrote."""

    def restore(self, unit: str, frames: Mapping[str, pl.DataFrame] | None) -> None:
        """As a stage does that finds what it does not know."""
        if frames is not None and "total" not in frames:
            raise CheckpointError("no frame `total`: the snapshot is of another version")
        super().restore(unit, None if frames is None else {"sum": frames["total"].rename({"total": "sum"})})


@pytest.mark.parametrize(("readable", "begun"), [(False, None), (True, 42)])
def test_a_snapshot_that_this_version_cannot_read_is_passed_over(
    tmp_path: Path, readable: bool, begun: int | None
) -> None:
    """It says so, and takes the one before, or begins from the log; it never stops the worker."""
    store = SnapshotStore(str(tmp_path), "in", 3)
    if readable:
        store.save("0", Snapshot({FIRST: 10}, {"total": pl.DataFrame({"total": [begun]})}))
    store.save("0", Snapshot({FIRST: 10}, {"sum": pl.DataFrame({"sum": [1]})}))
    stage = Upgraded("in", "out")
    recovery = Recovery(stage, source_of({FIRST: 10}, 0, changed=False), store, Settings())
    with capture_logs() as logs:
        recovery.recover([FIRST])
    assert [line["event"] for line in logs] == ["snapshot_unusable", "rebuilding", "recovered"]
    assert logs[1]["snapshot"] is readable
    assert stage.sums == {"0": begun or 0}
    assert recovery.held == {"0": {FIRST: 10}}
