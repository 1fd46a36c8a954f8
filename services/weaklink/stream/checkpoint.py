"""Snapshots of a unit's state with the offsets it stands at, in a folder or an object store by URL.

One snapshot is one file, named by its sequence number: written aside, then moved to its name, so that a reader never meets half of one.
Layout: magic, the frames as Arrow IPC, a table (JSON: offsets; name, size and SHA-256 of each frame), its length in 8 bytes, SHA-256 of the table and
its length. So it is written and read frame by frame, and never held whole beside the state that it is of.
"""

import contextlib
import hashlib
import io
import json
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, Literal, cast
from urllib.parse import quote

import polars as pl
import pyarrow as pa
import structlog
from kafka import TopicPartition
from pyarrow import ArrowException, fs

from weaklink import metrics
from weaklink.errors import CheckpointError

_MAGIC: Final = b"WLSNAP2\n"
_DIGEST_BYTES: Final = 32
_LENGTH_BYTES: Final = 8
_NAME: Final = re.compile(r"(\d{20})\.snapshot")
_PARTIAL: Final = re.compile(r"(\d{20})\.snapshot\.partial")
_DAMAGED: Final = "checksum differs: the file is damaged, cut short, or of another version"
_log = structlog.get_logger()

Compression = Literal["uncompressed", "lz4", "zstd"]
Offsets = Mapping[TopicPartition, int]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """State of one unit: its named frames, as of these offsets (the next to read)."""

    offsets: dict[TopicPartition, int]
    frames: dict[str, pl.DataFrame]


class _Counted:
    """A file being written, with how much of the current frame there is and its digest."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self.size, self.digest = 0, hashlib.sha256()

    def write(self, data: Any) -> int:
        """Take some bytes."""
        self.digest.update(data)
        self._file.write(data)
        self.size += len(data)
        return len(data)

    def flush(self) -> None:
        """Nothing is kept back here."""


def write(snapshot: Snapshot, file: Any, compression: Compression = "uncompressed") -> None:
    """Write a snapshot to an open binary file."""
    file.write(_MAGIC)
    frames: list[tuple[str, int, str]] = []
    for name, frame in snapshot.frames.items():
        counted = _Counted(file)
        frame.write_ipc(cast("IO[bytes]", counted), compression=compression)
        frames.append((name, counted.size, counted.digest.hexdigest()))
    offsets = [[tp.topic, tp.partition, offset] for tp, offset in sorted(snapshot.offsets.items())]
    table = json.dumps({"offsets": offsets, "frames": frames}).encode()
    end = table + len(table).to_bytes(_LENGTH_BYTES, "little")
    file.write(end)
    file.write(hashlib.sha256(end).digest())


def read(file: Any) -> Snapshot:
    """The snapshot in an open file of Arrow (NativeFile) that can be read anywhere. Raises CheckpointError unless its checksums agree."""
    end = file.seek(0, io.SEEK_END)
    tail_bytes = _LENGTH_BYTES + _DIGEST_BYTES
    file.seek(max(0, end - tail_bytes))
    tail = file.read(tail_bytes)
    length = int.from_bytes(tail[:_LENGTH_BYTES], "little")
    begin = end - len(tail) - length
    if begin < len(_MAGIC):
        raise CheckpointError(_DAMAGED)
    file.seek(begin)
    table = file.read(length)
    if hashlib.sha256(table + tail[:_LENGTH_BYTES]).digest() != tail[_LENGTH_BYTES:]:
        raise CheckpointError(_DAMAGED)
    header = json.loads(table)
    file.seek(0)
    if file.read(len(_MAGIC)) != _MAGIC or len(_MAGIC) + sum(size for _, size, _ in header["frames"]) != begin:
        raise CheckpointError(_DAMAGED)
    frames: dict[str, pl.DataFrame] = {}
    for name, size, digest in header["frames"]:
        # The system's memory, not Arrow's: see `correlate.packed.to_words`.
        body = pa.allocate_buffer(size, memory_pool=pa.system_memory_pool())
        if file.readinto(body) != size or hashlib.sha256(body).hexdigest() != digest:
            raise CheckpointError(_DAMAGED)
        # By Arrow, whose frames lie in what was read: Polars would hold everything once more.
        frames[name] = cast("pl.DataFrame", pl.from_arrow(pa.ipc.open_file(body).read_all(), rechunk=False))
    offsets = {TopicPartition(topic, partition): offset for topic, partition, offset in header["offsets"]}
    return Snapshot(offsets, frames)


def open_folder(url: str) -> tuple[Any, str]:
    """The file system of a folder of this machine, or of anything that pyarrow.fs opens (s3://, gs://, hdfs://), and the path there. Raises CheckpointError."""
    try:
        if "://" not in url:
            return fs.LocalFileSystem(), str(Path(url).absolute()).rstrip("/")
        files, root = fs.FileSystem.from_uri(url)
        return files, root.rstrip("/")
    except (ArrowException, OSError, ValueError) as error:
        raise CheckpointError(f"snapshots cannot be kept at {url!r}: {error}; check stream.snapshot_url") from error


class SnapshotStore:
    """Snapshots of one stage below `url`: a folder of this machine, or anything that pyarrow.fs opens (s3://, gs://, hdfs://)."""

    def __init__(self, url: str, stage: str, kept: int, compression: Compression = "uncompressed") -> None:
        self._files, root = open_folder(url)
        self._stage = stage
        self._root = f"{root}/{stage}"
        self._kept = kept
        self._compression: Compression = compression

    def save(self, unit: str, snapshot: Snapshot) -> None:
        """Write the unit's newest snapshot, then drop those beyond the number kept. Raises CheckpointError."""
        folder = self._folder(unit)
        started = time.perf_counter()
        partial = ""
        try:
            self._files.create_dir(folder, recursive=True)
            path = f"{folder}/{self._next_number(unit):020d}.snapshot"
            for cut_short in self._cut_short(unit, path):
                self._files.delete_file(cut_short)
            partial = f"{path}.partial"
            with self._files.open_output_stream(partial) as stream:
                write(snapshot, stream, self._compression)
            self._files.move(partial, path)
            for old in self._paths(unit)[self._kept :]:
                self._files.delete_file(old)
        except (ArrowException, OSError, pl.exceptions.PolarsError) as error:
            # Half a file on a full disk would be there for ever, and one more with every attempt.
            with contextlib.suppress(ArrowException, OSError):
                self._files.delete_file(partial)
            raise CheckpointError(
                f"snapshot of {self._stage} {unit} cannot be written below {folder}: {error}"
            ) from error
        metrics.SNAPSHOT_SECONDS.labels(self._stage).observe(time.perf_counter() - started)

    def probe(self) -> None:
        """Write a small file and remove it. Raises CheckpointError when that cannot be done."""
        path = f"{self._root}/probe-{time.time_ns()}"
        try:
            self._files.create_dir(self._root, recursive=True)
            with self._files.open_output_stream(path) as stream:
                stream.write(_MAGIC)
            self._files.delete_file(path)
        except (ArrowException, OSError) as error:
            raise CheckpointError(f"nothing can be written below {self._root}: {error}") from error

    def drop_older(self, unit: str) -> None:
        """Keep the unit's newest snapshot alone. What cannot be deleted is said; later ones drop it in their turn."""
        newest, *older = self._paths(unit) or ("",)
        for path in (*older, *self._cut_short(unit, newest)):
            try:
                self._files.delete_file(path)
            except (ArrowException, OSError) as error:
                _log.error("snapshot_not_deleted", stage=self._stage, unit=unit, path=path, error=str(error))

    def usable(self, unit: str, not_beyond: Offsets) -> Iterator[Snapshot]:
        """Sound snapshots whose offsets are all within the committed ones, newest first. Damaged ones are skipped and said."""
        for path, snapshot in self._sound(unit):
            beyond = [tp for tp, offset in snapshot.offsets.items() if offset > not_beyond.get(tp, -1)]
            if not beyond:
                yield snapshot
                continue
            _log.warning(
                "snapshot_beyond_commit",
                stage=self._stage,
                unit=unit,
                path=path,
                partitions=[f"{tp.topic}-{tp.partition}" for tp in beyond],
            )

    def newest(self, unit: str, not_beyond: Offsets) -> Snapshot | None:
        """The first of the `usable` ones; None when there is none."""
        return next(self.usable(unit, not_beyond), None)

    def _sound(self, unit: str) -> Iterator[tuple[str, Snapshot]]:
        for path in self._paths(unit):
            try:
                with self._files.open_input_file(path) as file:
                    snapshot = read(file)
            except (CheckpointError, ArrowException, OSError, ValueError, pl.exceptions.PolarsError) as error:
                metrics.SNAPSHOT_FAILURES.labels(self._stage).inc()
                _log.error(
                    "snapshot_damaged",
                    stage=self._stage,
                    unit=unit,
                    path=path,
                    error=str(error),
                    next="trying the one before",
                )
                continue
            yield path, snapshot

    def _next_number(self, unit: str) -> int:
        """Nanoseconds order the snapshots of successive owners; of two at once, the later write wins, and both are sound.

        A clock that goes back must not make the newest look like the oldest, which would be deleted.
        """
        newest = next(iter(self._paths(unit)), "0")
        return max(time.time_ns(), int(newest.rpartition("/")[2].partition(".")[0]) + 1)

    def _folder(self, unit: str) -> str:
        return f"{self._root}/{quote(unit, safe='')}"

    def _paths(self, unit: str) -> list[str]:
        """Newest first."""
        return self._matching(unit, _NAME)

    def _cut_short(self, unit: str, newest: str) -> list[str]:
        """What is left of snapshots before this one whose writers were killed, whole states each. Whoever still writes one is no longer the unit's owner."""
        return [path for path in self._matching(unit, _PARTIAL) if path < newest]

    def _matching(self, unit: str, name: re.Pattern[str]) -> list[str]:
        found: list[Any] = self._files.get_file_info(fs.FileSelector(self._folder(unit), allow_not_found=True))
        return sorted((one.path for one in found if name.fullmatch(one.base_name)), reverse=True)
