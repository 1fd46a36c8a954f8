"""Snapshots of a unit's state with the offsets it stands at, in a folder or an object store by URL.

One snapshot is one file, named by its sequence number: written aside, then moved to its name, so that a reader never meets half of one.
Layout: magic, 8-byte length of the header, header (JSON: format, offsets, frames with their sizes), the frames as Arrow IPC, SHA-256 of all before.
"""

import hashlib
import io
import json
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import polars as pl
import structlog
from kafka import TopicPartition
from pyarrow import ArrowException, fs

from weaklink import metrics
from weaklink.errors import CheckpointError

_MAGIC: Final = b"WLSNAP1\n"
_DIGEST_BYTES: Final = 32
_LENGTH_BYTES: Final = 8
_NAME: Final = re.compile(r"(\d{20})\.snapshot")
_log = structlog.get_logger()

Offsets = Mapping[TopicPartition, int]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """State of one unit: its named frames, as of these offsets (the next to read)."""

    offsets: dict[TopicPartition, int]
    frames: dict[str, pl.DataFrame]


def encode(snapshot: Snapshot) -> bytes:
    """A snapshot as the bytes of its file."""
    bodies: dict[str, bytes] = {}
    for name, frame in snapshot.frames.items():
        buffer = io.BytesIO()
        frame.write_ipc(buffer, compression="lz4")
        bodies[name] = buffer.getvalue()
    header = json.dumps(
        {
            "offsets": [[tp.topic, tp.partition, offset] for tp, offset in sorted(snapshot.offsets.items())],
            "frames": [[name, len(body)] for name, body in bodies.items()],
        }
    ).encode()
    content = b"".join((_MAGIC, len(header).to_bytes(_LENGTH_BYTES, "little"), header, *bodies.values()))
    return content + hashlib.sha256(content).digest()


def decode(data: bytes) -> Snapshot:
    """The snapshot in a file's bytes. Raises CheckpointError unless its checksum agrees."""
    content, digest = data[:-_DIGEST_BYTES], data[-_DIGEST_BYTES:]
    if not data.startswith(_MAGIC) or hashlib.sha256(content).digest() != digest:
        raise CheckpointError("checksum differs: the file is damaged or cut short")
    start = len(_MAGIC) + _LENGTH_BYTES
    length = int.from_bytes(content[len(_MAGIC) : start], "little")
    header = json.loads(content[start : start + length])
    position = start + length
    frames: dict[str, pl.DataFrame] = {}
    for name, size in header["frames"]:
        frames[name] = pl.read_ipc(io.BytesIO(content[position : position + size]))
        position += size
    return Snapshot(
        {TopicPartition(topic, partition): offset for topic, partition, offset in header["offsets"]}, frames
    )


class SnapshotStore:
    """Snapshots of one stage below `url`: a folder of this machine, or anything that pyarrow.fs opens (s3://, gs://, hdfs://)."""

    def __init__(self, url: str, stage: str, kept: int) -> None:
        try:
            if "://" in url:
                self._files, root = fs.FileSystem.from_uri(url)
            else:
                self._files, root = fs.LocalFileSystem(), str(Path(url).absolute())
        except (ArrowException, OSError, ValueError) as error:
            raise CheckpointError(f"snapshots cannot be kept at {url!r}: {error}; check stream.snapshot_url") from error
        self._stage = stage
        self._root = f"{root.rstrip('/')}/{stage}"
        self._kept = kept

    def save(self, unit: str, snapshot: Snapshot) -> None:
        """Write the unit's newest snapshot, then drop those beyond the number kept. Raises CheckpointError."""
        folder = self._folder(unit)
        started = time.perf_counter()
        try:
            self._files.create_dir(folder, recursive=True)
            # Nanoseconds order the snapshots of successive owners; of two at once, the later write wins, and both are sound.
            path = f"{folder}/{time.time_ns():020d}.snapshot"
            with self._files.open_output_stream(f"{path}.partial") as stream:
                stream.write(encode(snapshot))
            self._files.move(f"{path}.partial", path)
            for old in self._paths(unit)[self._kept :]:
                self._files.delete_file(old)
        except (ArrowException, OSError) as error:
            raise CheckpointError(
                f"snapshot of {self._stage} {unit} cannot be written below {folder}: {error}"
            ) from error
        metrics.SNAPSHOT_SECONDS.labels(self._stage).observe(time.perf_counter() - started)

    def newest(self, unit: str, not_beyond: Offsets) -> Snapshot | None:
        """The newest sound snapshot whose offsets are all within the committed ones; None when there is none. Damaged ones are skipped and said."""
        for path, snapshot in self._sound(unit):
            beyond = [tp for tp, offset in snapshot.offsets.items() if offset > not_beyond.get(tp, -1)]
            if not beyond:
                return snapshot
            _log.warning(
                "snapshot_beyond_commit",
                stage=self._stage,
                unit=unit,
                path=path,
                partitions=[f"{tp.topic}-{tp.partition}" for tp in beyond],
            )
        return None

    def _sound(self, unit: str) -> Iterator[tuple[str, Snapshot]]:
        for path in self._paths(unit):
            try:
                with self._files.open_input_stream(path) as stream:
                    snapshot = decode(stream.read())
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

    def _folder(self, unit: str) -> str:
        return f"{self._root}/{quote(unit, safe='')}"

    def _paths(self, unit: str) -> list[str]:
        """Newest first."""
        found: list[Any] = self._files.get_file_info(fs.FileSelector(self._folder(unit), allow_not_found=True))
        return sorted((one.path for one in found if _NAME.fullmatch(one.base_name)), reverse=True)
