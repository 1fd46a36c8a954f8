"""`make bench-growth`: what correlate costs as its links grow, and how long it takes to save, load and rebuild them; beside the limits of the machine.

One unit (a partition of links), as the stage runs it: Arrow messages in, messages of shared links out. Half of the rows of a message are
links that are new, half are known ones drawn over all that is stored: the worst for the processor's caches.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import psutil
from kafka import TopicPartition

from bench.link_load import BEGIN_US, Members, members, message
from bench.rebuild import rebuild
from weaklink import topology
from weaklink.correlate.memory import Block
from weaklink.correlate.packed import LINK_BYTES
from weaklink.correlate.stage import Correlate
from weaklink.frames import LINKS, SHARED, from_chunk
from weaklink.settings import Settings
from weaklink.stream.checkpoint import Snapshot, SnapshotStore
from weaklink.stream.stage import Chunk

_FOLDER: Final = Path("build/bench")
_MARKS: Final = (1_000_000, 10_000_000, 50_000_000)
_MESSAGE_ROWS: Final = 20_000
_WINDOW_MESSAGES: Final = 100
_FILL_ROWS: Final = 200_000
_SOURCE: Final = TopicPartition(topology.LINKS, 0)
_UNIT: Final = "links-0"


@dataclass
class Window:
    """Messages around so many stored links. `limit`: the same messages only read, not folded. Seconds are processor seconds, but for those of a message."""

    links: int
    rows: int = 0
    cpu_seconds: float = 0.0
    limit_cpu_seconds: float = 0.0
    message_seconds: list[float] = field(default_factory=list)
    bytes_per_link: float = 0.0
    resident_bytes_per_link: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Rates, and percentiles of a message's time."""
        p50, p99 = np.quantile(self.message_seconds, (0.5, 0.99))
        return {
            "links": self.links,
            "rows": self.rows,
            "rows_per_second": round(self.rows / sum(self.message_seconds)),
            "rows_per_cpu_second": round(self.rows / self.cpu_seconds),
            "limit_rows_per_cpu_second": round(self.rows / self.limit_cpu_seconds),
            "message_ms_p50": round(p50 * 1e3, 2),
            "message_ms_p99": round(p99 * 1e3, 2),
            "message_ms_max": round(max(self.message_seconds) * 1e3, 2),
            "bytes_per_link": round(self.bytes_per_link, 2),
            "resident_bytes_per_link": round(self.resident_bytes_per_link, 2),
        }


class Grown:
    """A unit that grows, and what it has said so far."""

    def __init__(self) -> None:
        self.stage = Correlate(Settings())
        self.stage.restore(_UNIT, None)
        self.stored = 0
        self.said = Members()
        self._offset = 0
        self._random = np.random.default_rng(1)
        self._resident = psutil.Process().memory_info().rss

    def fill(self, links: int) -> None:
        """Up to so many stored links, all of them new."""
        while self.stored < links:
            self._fold(min(_FILL_ROWS, links - self.stored), 0)

    def measure(self, messages: int = _WINDOW_MESSAGES) -> Window:
        """So many messages of new and known links. Generating them does not count."""
        window = Window(self.stored)
        for _ in range(messages):
            self._fold(_MESSAGE_ROWS // 2, _MESSAGE_ROWS // 2, window)
        window.bytes_per_link = self.links.bytes_stored / len(self.links)
        window.resident_bytes_per_link = (psutil.Process().memory_info().rss - self._resident) / len(self.links)
        return window

    @property
    def links(self) -> Any:
        """The stored links."""
        return self.stage._units[_UNIT].links

    def _fold(self, new: int, again: int, window: Window | None = None) -> None:
        value = message(self.stored, new, again, self._random)
        self.stored += new
        self._offset += 1
        if window:
            cpu = time.process_time()
            window.rows += from_chunk(value, LINKS).height
            window.limit_cpu_seconds += time.process_time() - cpu
        cpu, begun = time.process_time(), time.perf_counter()
        said = self.stage.process([Chunk(_SOURCE, self._offset, BEGIN_US, value)], replaying=False)
        if window:
            window.message_seconds.append(time.perf_counter() - begun)
            window.cpu_seconds += time.process_time() - cpu
        for one in said:
            self.said = self.said.plus(from_chunk(one.value or b"", SHARED)["account"].to_numpy())


@contextmanager
def _timed(into: dict[str, float], name: str) -> Iterator[None]:
    begun, cpu = time.perf_counter(), time.process_time()
    yield
    into[f"{name}_seconds"] = round(time.perf_counter() - begun, 2)
    into[f"{name}_cpu_seconds"] = round(time.process_time() - cpu, 2)


def save_and_load(grown: Grown, folder: Path) -> dict[str, Any]:
    """Time to write and to load a snapshot, beside writing and reading as many bytes; and to look for what has outlived its time."""
    found: dict[str, Any] = {"links": len(grown.links)}
    store = SnapshotStore(str(folder / "snapshots"), "growth", 1)
    with _timed(found, "copy"):
        frames = dict(grown.stage.snapshot(_UNIT))
    with _timed(found, "write"):
        store.save(_UNIT, Snapshot({_SOURCE: 1}, frames))
    del frames
    before = grown.links.bytes_stored
    with _timed(found, "expiry_scan"):
        grown.links.expire(BEGIN_US + 2 * 3_600_000_000)  # two cells on: every link is looked at, none is too old
    grown.stage.release(_UNIT)
    path = next((folder / "snapshots").rglob("*.snapshot"))
    found["bytes"] = path.stat().st_size
    found |= _plain_file(path, folder / "plain.bin")
    with _timed(found, "limit_memory"):
        _touched(found["bytes"])
    with _timed(found, "restore"):
        snapshot = store.newest(_UNIT, {_SOURCE: 1})
        assert snapshot is not None
        grown.stage.restore(_UNIT, snapshot.frames)
        del snapshot
    found["snapshot_and_restore_seconds"] = round(
        found["copy_seconds"] + found["write_seconds"] + found["restore_seconds"], 2
    )
    found["bytes_per_link_before_and_after"] = [
        round(one / len(grown.links), 2) for one in (before, grown.links.bytes_stored)
    ]
    path.unlink()
    return found


def slower(windows: Sequence[Mapping[str, Any]]) -> float:
    """The share of the rate (rows/s by the clock) with the fewest links that is lost with the most."""
    first, last = (float(one["rows_per_second"]) for one in (windows[0], windows[-1]))
    return round(1 - last / first, 3)


def _touched(count: int) -> None:
    """Have so many bytes of memory handed out, as runs of links have."""
    Block(count // LINK_BYTES).rows[:] = 1


def _plain_file(path: Path, other: Path) -> dict[str, float]:
    found: dict[str, float] = {}
    with _timed(found, "limit_read_and_write"):
        other.write_bytes(path.read_bytes())
    other.unlink()
    return found


def main() -> int:
    """0: what was said is exactly what is right, at the end and after loading."""
    parser = argparse.ArgumentParser(prog="python -m bench.growth", description=__doc__)
    parser.add_argument("--links", type=int, default=_MARKS[-1], help="stored links at the end (50,000,000 take 8 GB)")
    parser.add_argument(
        "--rebuild-links", type=int, default=10_000_000, help="links rebuilt from the log of a real broker; 0: none"
    )
    parser.add_argument("--folder", type=Path, default=_FOLDER, help="where growth.json goes")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    grown, windows = Grown(), list[dict[str, Any]]()
    for mark in sorted({min(mark, given.links) for mark in _MARKS}):
        grown.fill(mark)
        windows.append(grown.measure().to_json())
        print(json.dumps(windows[-1]), flush=True)
    snapshot = save_and_load(grown, given.folder)
    print(json.dumps(snapshot), flush=True)
    again = grown.measure().to_json()  # a unit that was loaded goes on as it was
    correct = asdict(grown.said) == asdict(members(grown.stored))
    del grown
    document = {
        "windows": windows,
        "slower": slower(windows),
        "snapshot": snapshot,
        "after_restore": again,
        "rebuild": rebuild(given.rebuild_links, given.folder) if given.rebuild_links else None,
        "correct": correct,
    }
    (given.folder / "growth.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(json.dumps({name: document[name] for name in ("slower", "rebuild", "correct")}))
    return 0 if correct else 1


if __name__ == "__main__":
    sys.exit(main())
