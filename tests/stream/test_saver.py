"""Snapshots are written when there is something new in them, and again when the last one could not be."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from kafka import TopicPartition

from weaklink.errors import CheckpointError
from weaklink.stream.checkpoint import Snapshot, SnapshotStore
from weaklink.stream.saver import Saver
from weaklink.stream.sizes import StateSizes

LINKS = TopicPartition("links", 0)
UNIT = "links-0"


class OneFrame:
    """As much of a stage as is asked for its state."""

    name = "correlate"

    def snapshot(self, unit: str) -> dict[str, pl.DataFrame]:
        return {unit: pl.DataFrame({"n": [1]})}


def saver(folder: Path, interval_seconds: float = 0.0) -> tuple[Saver, SnapshotStore]:
    store = SnapshotStore(str(folder), "correlate", kept=9)
    stage: Any = OneFrame()
    return Saver(stage, store, StateSizes("correlate"), interval_seconds, settle=lambda: None), store


def written(folder: Path) -> int:
    return len(list(folder.rglob("*.snapshot")))


def test_what_has_not_moved_since_its_snapshot_is_not_written_again_at_a_stop(tmp_path: Path) -> None:
    """So that the snapshot before the newest is of an earlier moment, and a stop takes no longer than it must."""
    saving, _ = saver(tmp_path)
    saving.save_next({UNIT: {LINKS: 5}})
    saving.save_all({UNIT: {LINKS: 5}})
    assert written(tmp_path) == 1
    saving.save_all({UNIT: {LINKS: 6}})
    saving.close()
    assert written(tmp_path) == 2


def test_what_could_not_be_written_is_written_at_the_next_occasion(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saving, store = saver(tmp_path)
    really = store.save

    def full(unit: str, snapshot: Snapshot) -> None:
        raise CheckpointError("no space left")

    monkeypatch.setattr(store, "save", full)
    saving.save_all({UNIT: {LINKS: 5}})
    monkeypatch.setattr(store, "save", really)
    saving.save_all({UNIT: {LINKS: 5}})
    saving.close()
    assert written(tmp_path) == 1


def test_what_was_purged_is_in_no_snapshot_that_is_left_though_nothing_moved(tmp_path: Path) -> None:
    saving, _ = saver(tmp_path)
    saving.save_all({UNIT: {LINKS: 4}})
    saving.save_all({UNIT: {LINKS: 5}})
    before = set(tmp_path.rglob("*.snapshot"))
    saving.save_purged({UNIT: {LINKS: 5}})
    saving.close()
    assert written(tmp_path) == 1
    assert not before & set(tmp_path.rglob("*.snapshot"))
