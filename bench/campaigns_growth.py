"""`python -m bench.campaigns_growth`: what a tick of campaigns costs, and what it holds in memory, as accounts grow.

The stage's engine without Kafka. Households share devices, cards, addresses and templates, and so do operators, who have three accounts
in a thousand. After everything was evaluated once, ticks of a second bring usage of 20,000 accounts and 300 new ones; the last comes after a day, and forgets
what is too old.
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
from weaklink.campaigns.standing import Thresholds
from weaklink.parties import PartyKind
from weaklink.settings import Settings

_FOLDER: Final = Path("build/bench")
_ACCOUNTS: Final = (1_000_000,)
_LINKS: Final = 5_000_000
_TICKS: Final = 60
_CHUNK: Final = 50_000
_SECOND_US: Final = 1_000_000
_DAY_US: Final = 86_400 * _SECOND_US
_EAGER_EVERY: Final = 20
"""Of so many ticks the last looks for communities if anything has moved at all, as the stage asks for when it has had rest."""


@dataclass
class Ticks:
    """Of one size. Seconds are processor seconds of the process, but for `clock_seconds` of all ticks; `tick_seconds` beside those that looked for communities.

    Peaks are of resident memory: of all, and of the ticks of a second alone.
    """

    accounts: int
    links: int
    fold_seconds: float = 0.0
    whole_seconds: float = 0.0
    snapshot_seconds: float = 0.0
    after_snapshot_seconds: float = 0.0
    day_seconds: float = 0.0
    tick_seconds: list[float] = field(default_factory=list)
    communities_seconds: list[float] = field(default_factory=list)
    clock_seconds: list[float] = field(default_factory=list)
    folded_bytes_per_account: float = 0.0
    resident_bytes_per_account: float = 0.0
    peak_mib: float = 0.0
    ticks_peak_mib: float = 0.0
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
            "after_a_day_cpu_seconds": round(self.day_seconds, 2),
            "ticks": len(every),
            "tick_cpu_seconds_p50": round(float(np.quantile(every, 0.5)), 3),
            "tick_cpu_seconds_p99": round(float(np.quantile(every, 0.99)), 3),
            "tick_cpu_seconds_max": round(max(every), 3),
            "tick_seconds_p50": round(float(np.quantile(self.clock_seconds, 0.5)), 3),
            "tick_seconds_max": round(max(self.clock_seconds), 3),
            "tick_without_search_cpu_seconds_max": round(max(self.tick_seconds, default=0.0), 3),
            "communities": len(self.communities_seconds),
            "communities_cpu_seconds_p50": round(float(np.median(self.communities_seconds or [0.0])), 3),
            "communities_cpu_seconds_max": round(max(self.communities_seconds, default=0.0), 3),
            "folded_bytes_per_account": round(self.folded_bytes_per_account),
            "resident_bytes_per_account": round(self.resident_bytes_per_account),
            "peak_mib": round(self.peak_mib),
            "ticks_peak_mib": round(self.ticks_peak_mib),
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


class _Filled:
    """An engine that was given so many accounts, and is given seconds and ticks."""

    def __init__(self, accounts: int, links: int) -> None:
        settings = Settings()
        self._load = Load(accounts, links)
        self._parties = {name: PartyKind(kind) for name, kind in PARTIES.items()}
        self.engine = Engine(settings.campaigns, settings.weaklinks, Thresholds.of(settings.enforce))
        self._now_us = self._load.end_us

    def fold(self) -> float:
        """Fold all there is; returns how long that took."""
        seconds = 0.0
        for activity, shared in self._load.history(_CHUNK):
            clock = _Clock()
            self.engine.state.fold_activity(activity)
            self.engine.state.fold_shared(shared)
            seconds += clock.lap()
        return seconds

    def first(self) -> float:
        """The first tick, which evaluates everything."""
        clock = _Clock()
        self.engine.tick(self._now_us, self._parties)
        return clock.lap()

    def tick(self, after_us: int = _SECOND_US, *, eager: bool = False) -> float:
        """What comes in a second, and a tick; how long both took."""
        self._now_us += after_us
        activity, shared = self._load.second(self._now_us)
        clock = _Clock()
        self.engine.state.fold_activity(activity)
        self.engine.state.fold_shared(shared)
        self.engine.tick(self._now_us, self._parties, eager=eager)
        return clock.lap()


def measure(accounts: int, links: int, ticks: int) -> Ticks:
    """Fill an engine with so many accounts and links, evaluate them, then tick."""
    found, filled = Ticks(accounts, links), _Filled(accounts, links)
    before = _resident()
    found.fold_seconds = filled.fold()
    found.folded_bytes_per_account = (_resident() - before) / accounts
    found.whole_seconds = filled.first()
    found.peak_mib = _peak_mib()
    _forget_peak()
    for number in range(1, ticks + 1):
        begun = time.perf_counter()
        seconds = filled.tick(eager=number % _EAGER_EVERY == 0)
        found.clock_seconds.append(time.perf_counter() - begun)
        (found.communities_seconds if filled.engine.searched else found.tick_seconds).append(seconds)
    found.resident_bytes_per_account = (_resident() - before) / accounts
    found.ticks_peak_mib = _peak_mib()
    clock = _Clock()
    filled.engine.state.to_frames()
    found.snapshot_seconds = clock.lap()
    found.after_snapshot_seconds = filled.tick()
    found.day_seconds = filled.tick(_DAY_US)
    found.members = filled.engine.tracker.members.filter(pl.col("flagged")).height
    found.peak_mib = max(found.peak_mib, _peak_mib())
    return found


def _resident() -> int:
    resident: int = psutil.Process().memory_info().rss
    return resident


def _forget_peak() -> None:
    """Have the kernel begin anew with the largest resident memory (proc(5), clear_refs)."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _peak_mib() -> float:
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return float("nan")


def main() -> int:
    """Writes campaigns-growth.json, sizes in ascending order."""
    parser = argparse.ArgumentParser(prog="python -m bench.campaigns_growth", description=__doc__)
    parser.add_argument("--accounts", type=int, nargs="+", default=_ACCOUNTS, help="accounts, ascending")
    parser.add_argument("--links", type=int, default=_LINKS, help="links of shared identifiers")
    parser.add_argument("--ticks", type=int, default=_TICKS, help="ticks of a second after the first")
    parser.add_argument("--folder", type=Path, default=_FOLDER, help="where campaigns-growth.json goes")
    given = parser.parse_args()
    sizes = []
    for accounts in sorted(given.accounts):
        _forget_peak()
        sizes.append(measure(accounts, given.links, given.ticks).to_json())
        print(json.dumps(sizes[-1]), flush=True)
    given.folder.mkdir(parents=True, exist_ok=True)
    path = given.folder / "campaigns-growth.json"
    path.write_text(json.dumps({"processors": psutil.cpu_count(), "sizes": sizes}, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
