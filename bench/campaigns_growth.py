"""`python -m bench.campaigns_growth`: what a tick of campaigns costs, and what it holds in memory, as accounts grow.

The stage's engine without Kafka. Households share devices, cards, addresses and templates, and so do operators, who have three accounts
in a thousand. After everything was evaluated once, ticks of a second bring usage of 20,000 accounts and 300 new ones.
"""

import argparse
import json
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
import psutil

from bench.account_load import PARTIES, Load
from weaklink.campaigns.engine import Engine
from weaklink.parties import PartyKind
from weaklink.settings import Settings

_FOLDER: Final = Path("build/bench")
_ACCOUNTS: Final = (1_000_000,)
_LINKS: Final = 5_000_000
_TICKS: Final = 60
_CHUNK: Final = 200_000
_SECOND_US: Final = 1_000_000


@dataclass
class Ticks:
    """Of one size. Seconds are processor seconds of the process; `tick_seconds` beside those that looked for communities."""

    accounts: int
    links: int
    fold_seconds: float = 0.0
    whole_seconds: float = 0.0
    snapshot_seconds: float = 0.0
    after_snapshot_seconds: float = 0.0
    tick_seconds: list[float] = field(default_factory=list)
    communities_seconds: list[float] = field(default_factory=list)
    resident_bytes_per_account: float = 0.0
    peak_mib: float = 0.0
    members: int = 0

    def to_json(self) -> dict[str, Any]:
        """Percentiles of the ticks beside the rest."""
        every = [*self.tick_seconds, *self.communities_seconds]
        return {
            "accounts": self.accounts,
            "links": self.links,
            "fold_cpu_seconds": round(self.fold_seconds, 2),
            "whole_cpu_seconds": round(self.whole_seconds, 2),
            "snapshot_cpu_seconds": round(self.snapshot_seconds, 2),
            "after_snapshot_cpu_seconds": round(self.after_snapshot_seconds, 2),
            "ticks": len(every),
            "tick_cpu_seconds_p50": round(float(np.quantile(every, 0.5)), 3),
            "tick_cpu_seconds_p99": round(float(np.quantile(every, 0.99)), 3),
            "tick_cpu_seconds_max": round(max(every), 3),
            "communities": len(self.communities_seconds),
            "resident_bytes_per_account": round(self.resident_bytes_per_account),
            "peak_mib": round(self.peak_mib),
            "members": self.members,
        }


class _Clock:
    """Processor seconds since it was last asked."""

    def __init__(self) -> None:
        self._last = time.process_time()

    def lap(self) -> float:
        now = time.process_time()
        passed, self._last = now - self._last, now
        return passed


def measure(accounts: int, links: int, ticks: int) -> Ticks:
    """Fill an engine with so many accounts and links, evaluate them, then tick."""
    settings, load, found = Settings(), Load(accounts, links), Ticks(accounts, links)
    process = psutil.Process()
    resident = process.memory_info().rss
    engine = Engine(settings.campaigns, settings.weaklinks)
    parties = {name: PartyKind(kind) for name, kind in PARTIES.items()}
    for activity, shared in load.history(_CHUNK):
        clock = _Clock()
        engine.state.fold_activity(activity)
        engine.state.fold_shared(shared)
        found.fold_seconds += clock.lap()
    now_us, clock = load.end_us, _Clock()
    engine.tick(now_us, parties)
    found.whole_seconds = clock.lap()
    found.resident_bytes_per_account = (process.memory_info().rss - resident) / accounts
    for _ in range(ticks):
        now_us += _SECOND_US
        activity, shared = load.second(now_us)
        before, clock = engine.tracker.members, _Clock()
        engine.state.fold_activity(activity)
        engine.state.fold_shared(shared)
        updates = engine.tick(now_us, parties)
        looked = engine.tracker.members is not before and bool(updates)
        (found.communities_seconds if looked else found.tick_seconds).append(clock.lap())
    clock = _Clock()
    engine.state.to_frames()
    found.snapshot_seconds = clock.lap()
    activity, shared = load.second(now_us + _SECOND_US)
    clock = _Clock()
    engine.state.fold_activity(activity)
    engine.state.fold_shared(shared)
    engine.tick(now_us + _SECOND_US, parties)
    found.after_snapshot_seconds = clock.lap()
    found.members = engine.tracker.members.filter(pl.col("flagged")).height
    found.peak_mib = _peak_mib()
    return found


def _peak_mib() -> float:
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return float("nan")


def main() -> int:
    """Writes campaigns-growth.json; sizes in ascending order, since the peak of memory is the process's."""
    parser = argparse.ArgumentParser(prog="python -m bench.campaigns_growth", description=__doc__)
    parser.add_argument("--accounts", type=int, nargs="+", default=_ACCOUNTS, help="accounts, ascending")
    parser.add_argument("--links", type=int, default=_LINKS, help="links of shared identifiers")
    parser.add_argument("--ticks", type=int, default=_TICKS, help="ticks of a second after the first")
    parser.add_argument("--folder", type=Path, default=_FOLDER, help="where campaigns-growth.json goes")
    given = parser.parse_args()
    sizes = []
    for accounts in sorted(given.accounts):
        sizes.append(measure(accounts, given.links, given.ticks).to_json())
        print(json.dumps(sizes[-1]), flush=True)
    given.folder.mkdir(parents=True, exist_ok=True)
    path = given.folder / "campaigns-growth.json"
    path.write_text(json.dumps({"processors": psutil.cpu_count(), "sizes": sizes}, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
