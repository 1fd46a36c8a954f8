"""The model of partitions and state that docs/scaling.md reckons with, played through: keys drawn and counted, links folded and expired by the product's own
state, partitions that fill and drain step by step. Seeds are fixed, so that the same figures come out everywhere.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import exp
from typing import Final

import numpy as np
import polars as pl

from bench.link_load import mix
from weaklink.correlate.config import CorrelateConfig
from weaklink.correlate.runs import LinkRuns
from weaklink.frames import LINKS
from weaklink.records.identifiers import IdentifierKind

_HOUR_US: Final = 3_600_000_000


@dataclass(frozen=True)
class Check:
    """A figure by arithmetic and by simulation, and how far apart they may be (a share of the simulated one)."""

    what: str
    arithmetic: float
    simulated: float
    apart_max: float

    @property
    def agrees(self) -> bool:
        """Whether they are close enough."""
        return abs(self.arithmetic - self.simulated) <= self.apart_max * self.simulated


def checks(distinct_share: Callable[[float, float], float], fullest: Callable[[float, int], float]) -> list[Check]:
    """Everything that the arithmetic takes for granted."""
    found = [
        Check(
            f"rows left of {draws:,} reports of {accounts:,} accounts, per report",
            distinct_share(draws, accounts),
            folded(draws, accounts),
            0.02,
        )
        for draws, accounts in ((10_000, 2_400_000), (100_000, 100_000), (400_000, 100_000))
    ]
    found += [
        Check(
            f"fullest of {partitions:,} partitions over the mean, {rows:,} identifiers",
            fullest(rows, partitions),
            fullest_drawn(rows, partitions),
            0.1,
        )
        for rows, partitions in ((100_000, 16), (1_000_000, 256), (4_000_000, 4_096))
    ]
    found.append(
        Check(
            "links alive per account and kind, a use every 30 h, lifetime 24 h",
            alive_share(30, 24),
            alive_links(2_000, 30, 24),
            0.05,
        )
    )
    for outage, utilisation in ((15, 0.6), (15, 0.9)):
        what = f"seconds to catch up after {outage} s without a worker, at {utilisation:.0%}"
        found.append(Check(what, catch_up(outage, utilisation), catch_up_played(outage, utilisation), 0.05))
    return found


def folded(draws: int, accounts: int) -> float:
    """Distinct accounts among so many reports, per report."""
    return len(np.unique(np.random.default_rng(1).integers(0, accounts, draws))) / draws


def fullest_drawn(rows: int, partitions: int) -> float:
    """Identifiers as hashes over partitions by their remainder, as ingest spreads them."""
    counts = np.bincount((mix(np.arange(rows), 1) % np.uint64(partitions)).astype(np.int64), minlength=partitions)
    return float(counts.max() / counts.mean())


def alive_share(hours_between_uses: float, lifetime_hours: float) -> float:
    """How likely a link was used within its lifetime, by uses at random times. An hour more: expiry counts in whole hours, half of one on average each."""
    return 1 - exp(-(lifetime_hours + 1) / hours_between_uses)


def alive_links(accounts: int, hours_between_uses: float, lifetime_hours: int) -> float:
    """The same by the product's own state, hour by hour for ten lifetimes; the mean over the last half."""
    config = CorrelateConfig(lifetime_seconds={IdentifierKind.CARD: lifetime_hours * 3600})
    runs, random, alive = LinkRuns(config), np.random.default_rng(1), []
    for hour in range(10 * lifetime_hours):
        used = np.flatnonzero(random.random(accounts) < 1 - exp(-1 / hours_between_uses))
        runs.add(_uses(used, hour * _HOUR_US + random.integers(0, _HOUR_US, len(used))))
        runs.expire((hour + 1) * _HOUR_US)
        alive.append(len(runs) / accounts)
    return float(np.mean(alive[len(alive) // 2 :]))


def _uses(
    accounts: "np.ndarray[tuple[int, ...], np.dtype[np.int64]]",
    at_us: "np.ndarray[tuple[int, ...], np.dtype[np.int64]]",
) -> pl.DataFrame:
    identifier = mix(accounts, 1)
    return pl.DataFrame(
        {
            "identifier": identifier,
            "tail": identifier >> np.uint64(56),
            "kind": np.full(len(accounts), int(IdentifierKind.CARD)),
            "epoch": np.ones(len(accounts)),
            "slot": np.zeros(len(accounts)),
            "account": mix(accounts, 3),
            "first_seen_us": at_us,
            "last_seen_us": at_us,
            "appended_at_us": at_us,
            "mentions": np.ones(len(accounts)),
            "requests": np.ones(len(accounts)),
        }
    ).cast(LINKS)


def catch_up(outage_seconds: float, utilisation: float) -> float:
    """Until what gathered while nobody read is worked off beside what still comes."""
    return outage_seconds * utilisation / (1 - utilisation)


def catch_up_played(outage_seconds: float, utilisation: float, step_seconds: float = 0.05) -> float:
    """The same step by step: input at random times, a worker that does at most so much in a step."""
    random, waiting, steps = np.random.default_rng(1), 0.0, 0
    per_step = 10_000 * step_seconds
    for _ in range(int(outage_seconds / step_seconds)):
        waiting += float(random.poisson(per_step * utilisation))
    while waiting > per_step:
        waiting = max(0.0, waiting + float(random.poisson(per_step * utilisation)) - per_step)
        steps += 1
    return steps * step_seconds
