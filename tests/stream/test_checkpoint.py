"""Snapshots: what is saved comes back, damage is noticed, and the newest sound one wins."""

import io
import resource
import signal
import time
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kafka import TopicPartition
from polars.testing import assert_frame_equal

from weaklink.errors import CheckpointError
from weaklink.stream.checkpoint import Compression, Snapshot, SnapshotStore, read, write

TP = TopicPartition("weaklink.links", 0)
OTHER = TopicPartition("weaklink.links", 1)


def snapshot(offset: int) -> Snapshot:
    frames = {
        "rows": pl.DataFrame(
            {"a": [offset, None], "b": [b"x", b""], "c": pl.Series(["u", "v"], dtype=pl.Enum(["u", "v"]))}
        ),
        "empty": pl.DataFrame(schema={"n": pl.UInt64}),
    }
    return Snapshot({TP: offset, OTHER: offset + 1}, frames)


def files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.snapshot"))


def encode(made: Snapshot, compression: Compression = "uncompressed") -> bytes:
    file = io.BytesIO()
    write(made, file, compression)
    return file.getvalue()


def decode(data: bytes) -> Snapshot:
    return read(pa.BufferReader(data))


@given(
    offsets=st.dictionaries(st.integers(0, 5), st.integers(0, 1 << 60)),
    values=st.lists(st.none() | st.integers(0, 1 << 40)),
    compression=st.sampled_from(["uncompressed", "lz4", "zstd"]),
)
@settings(max_examples=50, deadline=None)
def test_a_snapshot_comes_back_as_it_was(
    offsets: dict[int, int], values: list[int | None], compression: Compression
) -> None:
    """Encoding and decoding is the identity."""
    frame = pl.DataFrame({"v": pl.Series(values, dtype=pl.Int64)})
    found = decode(
        encode(
            Snapshot({TopicPartition("t", number): offset for number, offset in offsets.items()}, {"f": frame}),
            compression,
        )
    )
    assert found.offsets == {TopicPartition("t", number): offset for number, offset in offsets.items()}
    assert_frame_equal(found.frames["f"], frame)


def test_what_a_killed_writer_left_goes_with_the_next_snapshot_and_with_the_older_ones(tmp_path: Path) -> None:
    """It would fill the disk death by death, and keep tokens whose epoch is over; what a later owner writes now is left alone."""
    store = SnapshotStore(str(tmp_path), "count", kept=2)
    store.save("0", snapshot(1))
    (first,) = files(tmp_path)

    def left(number: int) -> Path:
        path = first.with_name(f"{number:020d}.snapshot.partial")
        path.write_bytes(b"half")
        return path

    number = int(first.stem)
    dead, writing = left(number + 1), left(number + 10**18)
    store.save("0", snapshot(2))
    assert (dead.exists(), writing.exists()) == (False, True)
    dead = left(number + 1)
    store.drop_older("0")
    assert (dead.exists(), writing.exists()) == (False, True)
    assert [decode(path.read_bytes()).offsets[TP] for path in files(tmp_path)] == [2]


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_any_damage_is_noticed(data: st.DataObject) -> None:
    """A changed byte or a cut anywhere raises CheckpointError."""
    whole = encode(snapshot(5))
    at = data.draw(st.integers(0, len(whole) - 1))
    changed = whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 255))]) + whole[at + 1 :]
    for broken in (changed, whole[:at]):
        with pytest.raises(CheckpointError):
            decode(broken)


def test_the_newest_sound_one_wins(tmp_path: Path) -> None:
    """A damaged newest is skipped for the one before; with all damaged there is none."""
    store = SnapshotStore(str(tmp_path), "stage", 5)
    for offset in (1, 2, 3):
        store.save("unit", snapshot(offset))
    limit = {TP: 100, OTHER: 100}
    for expected in (3, 2, 1):
        found = store.newest("unit", limit)
        assert found is not None
        assert found.offsets[TP] == expected
        assert_frame_equal(found.frames["rows"], snapshot(expected).frames["rows"])
        newest = files(tmp_path)[expected - 1]
        newest.write_bytes(newest.read_bytes()[:-7])
    assert store.newest("unit", limit) is None


def test_one_beyond_the_committed_offsets_is_not_taken(tmp_path: Path) -> None:
    """State must not be ahead of what the group has committed."""
    store = SnapshotStore(str(tmp_path), "stage", 5)
    for offset in (10, 20):
        store.save("unit", snapshot(offset))
    found = store.newest("unit", {TP: 15, OTHER: 15})
    assert found is not None
    assert found.offsets[TP] == 10
    assert store.newest("unit", {TP: 15}) is None


def test_only_the_last_few_are_kept_and_units_are_apart(tmp_path: Path) -> None:
    """Old ones go; a unit with odd characters in its name has a folder of its own."""
    store = SnapshotStore(tmp_path.as_uri(), "stage", 2)
    for offset in range(5):
        store.save("a/../b", snapshot(offset))
    store.save("c", snapshot(9))
    assert len(files(tmp_path)) == 3
    assert not list(tmp_path.rglob("*.partial"))
    found = store.newest("a/../b", {TP: 100, OTHER: 100})
    assert found is not None
    assert found.offsets[TP] == 4
    assert store.newest("never", {TP: 100}) is None


def test_what_was_forgotten_is_in_no_older_snapshot_of_that_unit(tmp_path: Path) -> None:
    """Its newest one alone stays; other units keep theirs."""
    store = SnapshotStore(str(tmp_path), "stage", 3)
    for offset in (1, 2, 3):
        store.save("purged", snapshot(offset))
        store.save("other", snapshot(offset))
    store.drop_older("purged")
    assert [one.offsets[TP] for one in store.usable("purged", {TP: 100, OTHER: 100})] == [3]
    assert [one.offsets[TP] for one in store.usable("other", {TP: 100, OTHER: 100})] == [3, 2, 1]


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    """CheckpointError names the place."""
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="file"):
        SnapshotStore(str(tmp_path / "file"), "stage", 1).save("unit", snapshot(1))
    with pytest.raises(CheckpointError, match="snapshot_url"):
        SnapshotStore("nonsense://x", "stage", 1)


def test_a_clock_that_goes_back_does_not_hide_the_newest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An hour back, and snapshots go on: the last one written is the newest, and the one that is kept."""
    store, hour_ns = SnapshotStore(str(tmp_path), "stage", 2), 3_600_000_000_000
    for offset, now_ns in enumerate((5 * hour_ns, 4 * hour_ns, 4 * hour_ns + 1, 9 * hour_ns)):
        monkeypatch.setattr(time, "time_ns", lambda now_ns=now_ns: now_ns)
        store.save("unit", snapshot(offset))
        found = store.newest("unit", {TP: 100, OTHER: 100})
        assert found is not None
        assert found.offsets[TP] == offset


def test_half_a_snapshot_is_not_left_behind(tmp_path: Path) -> None:
    """Files may not grow beyond 4 KiB, as on a disk that is full: each attempt fails, says so, and leaves nothing; the sound one before is still there."""
    store = SnapshotStore(str(tmp_path), "stage", 2)
    store.save("unit", snapshot(1))
    big = Snapshot({TP: 2, OTHER: 2}, {"rows": pl.DataFrame({"n": range(100_000)})})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        for _ in range(3):
            with pytest.raises(CheckpointError, match="cannot be written"):
                store.save("unit", big)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    assert len(list(tmp_path.rglob("*.*"))) == 1
    found = store.newest("unit", {TP: 100, OTHER: 100})
    assert found is not None
    assert found.offsets[TP] == 1
