"""The ledger's PostgreSQL killed, frozen, gone without a word, and cut off in mid-commit, while decisions and receipts go on coming."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from chaos.background import Background
from chaos.cutting import CuttingProxy, Edge
from chaos.decisions import Decisions
from chaos.lab import Lab
from chaos.ledger import rows
from chaos.offsets import Offsets
from chaos.parties import Answering
from chaos.row import MEMORY_GROWTH_MIB, Row
from chaos.scale import Scale
from chaos.traffic import Traffic
from chaos.verify import row_of, verify_lab

_KILLS, _FREEZES, _CUTS = 5, 5, 25
_SHORT_KILLS, _SHORT_FREEZES, _SHORT_CUTS = 1, 1, 2
_DOWN_SECONDS, _FROZEN_SECONDS = 20.0, 60.0
_SHORT_DOWN_SECONDS, _SHORT_FROZEN_SECONDS = 3.0, 5.0
_DECISIONS_PER_SECOND: Final = 10.0
"""Each with three measures, and their receipts."""
_DECIDE_SECONDS: Final = 0.2
_MEASURES: Final = 3
_LARGE, _LARGE_BYTES = 700, 500_000
"""Decisions that come while the database is frozen for the first time, more than may be held in memory, and bytes of each: 2,000 measures have about as
many."""
_BETWEEN_SECONDS: Final = 1.0
_EDGES: Final[tuple[Edge, ...]] = ("before", "after")
_CAUGHT_UP_TIMES: Final = 2.0
_LEAST_SECONDS: Final = 5.0
"""What catching up may take in any case: of an outage of three seconds a multiple says nothing."""


def run(folder: Path, scale: Scale) -> Row:
    """The row of this fault. extra: `outages`, seconds that each lasted and seconds until everything that had waited was done."""
    with Lab(folder, scale=scale, postgres=True) as lab, behind_proxy(lab) as proxy:
        return torment(lab, proxy, scale)


@contextmanager
def behind_proxy(lab: Lab) -> Iterator[CuttingProxy]:
    """Enforce, and ingest of the parties' receipts, in a laboratory with a PostgreSQL, which they reach by the proxy only."""
    assert lab.database is not None
    with CuttingProxy(lab.database.port) as proxy:
        by_proxy = lab.database.url.replace(f":{lab.database.port}/", f":{proxy.port}/")
        lab.environment["WEAKLINK_ENFORCE__LEDGER_URL"] = by_proxy
        lab.start("enforce")
        lab.start("ingest")
        lab.await_ready()
        yield proxy


def torment(lab: Lab, proxy: CuttingProxy, scale: Scale) -> Row:
    """Every way in which a database goes away, one after another, under load."""
    database = lab.database
    assert database is not None
    lab.revive()
    lab.await_ready()
    kills, freezes = scale.count(_KILLS, _SHORT_KILLS), scale.count(_FREEZES, _SHORT_FREEZES)
    cuts = scale.count(_CUTS, _SHORT_CUTS)
    down, frozen = (_SHORT_DOWN_SECONDS, _SHORT_FROZEN_SECONDS) if scale.is_short else (_DOWN_SECONDS, _FROZEN_SECONDS)
    outages = Outages(lab)
    traffic = Traffic(1)
    with (
        closing(outages),
        Answering(lab.kafka, lab.publisher, traffic) as parties,
        Load(lab, _DECISIONS_PER_SECOND) as load,
    ):
        time.sleep(_BETWEEN_SECONDS)
        lab.watch.reset()
        for _ in range(kills):
            outages.last("killed", down, database.kill, database.start)
        for number in range(freezes):
            large = partial(_weigh_down, lab) if number == 0 and not scale.is_short else None
            outages.last("frozen", frozen, database.freeze, database.thaw, large)
        for _ in range(cuts):
            for edge in _EDGES:
                _await_cut(lab, proxy, lambda edge=edge: proxy.arm(edge))  # type: ignore[misc]  # bound at once
            database.cut()
            _cut_all(lab, proxy)
        load.end()
        lab.settle(("ingest", "enforce"))
    lab.finish(("ingest", "enforce"))
    trials = kills + freezes + cuts * (len(_EDGES) + 2)
    row = row_of("database", trials, lab, verify_lab(lab, stages=("ingest", "enforce")))
    row.extra |= {"decisions": load.decided, "outages": outages.measured, "cuts": proxy.cuts}
    parties.judge(row)
    row.stall_seconds_max = max(lab.watch.stalls.get(one.stage, 0.0) for one in lab.workers)
    buried = rows(lab.ledger_url, "SELECT error FROM dead_letters")
    row.bar(not buried, f"{len(buried)} dead letters, the first: {buried[0]['error'] if buried else ''}")
    growth = row.memory_growth_mib
    row.bar(growth < MEMORY_GROWTH_MIB, f"a service grew by {growth:.0f} MiB, {MEMORY_GROWTH_MIB:.0f} are allowed")
    for kind, lasted, behind in outages.measured:
        allowed = max(_LEAST_SECONDS, _CAUGHT_UP_TIMES * lasted)
        row.bar(behind <= allowed, f"{kind} for {lasted} s: caught up after {behind} s, {allowed:.0f} are allowed", timing=True)  # fmt: skip
    return row


def _weigh_down(lab: Lab) -> None:
    with closing(Decisions(lab.kafka, "large")) as large:
        large.weigh_down(_LARGE, _LARGE_BYTES)


def _await_cut(lab: Lab, proxy: CuttingProxy, cut: Callable[[], object]) -> None:
    before = proxy.cuts
    cut()
    lab.until(lambda: proxy.cuts > before, "no connection was cut: the ledger is not written")


def _cut_all(lab: Lab, proxy: CuttingProxy) -> None:
    """Cut every connection. Where the server has just ended all of them there is none to cut until a worker is back: so again, until one was."""
    before = proxy.cuts

    def cut() -> bool:
        if proxy.cuts > before:
            return True
        proxy.cut_all()
        return False

    lab.until(cut, "no connection was cut: nobody is connected to the ledger")


class Load(Background):
    """So many decisions a second, while the block lasts."""

    def __init__(self, lab: Lab, per_second: float) -> None:
        super().__init__("decisions")
        self._decisions = Decisions(lab.kafka)
        self._per_second = per_second
        self.decided = 0

    def _close(self) -> None:
        self._decisions.close()

    def _work(self) -> None:
        begun = time.monotonic()
        while not self._stop.wait(_DECIDE_SECONDS):
            due = int((time.monotonic() - begun) * self._per_second) - self.decided
            if due > 0:
                self._decisions.decide(self.decided, due, measures=_MEASURES)
                self.decided += due


class Outages:
    """Brings one about, and measures how long it is felt: until all is done that had come by its end."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._offsets = Offsets(lab.kafka)
        self.measured: list[tuple[str, float, float]] = []
        """Kind, seconds that it lasted, seconds from its end until caught up."""

    def last(
        self,
        kind: str,
        seconds: float,
        begin: Callable[[], object],
        end: Callable[[], object],
        meanwhile: Callable[[], object] | None = None,
    ) -> None:
        """An outage of so many seconds; returns when it is made up for."""
        begun = time.monotonic()
        begin()
        if meanwhile:
            meanwhile()
        time.sleep(max(0.0, begun + seconds - time.monotonic()))
        end()
        ended = time.monotonic()
        ended_us = time.time_ns() // 1000
        target = {one.tp: one.end for one in self._offsets.behind(["enforce"])}
        waiting = f"SELECT count(*) AS n FROM outbox WHERE closed_wall_us IS NULL AND created_wall_us < {ended_us}"

        def caught_up() -> bool:
            behind = {one.tp: one.committed for one in self._offsets.behind(["enforce"])}
            if any(behind.get(tp, at) < at for tp, at in target.items()):
                return False
            return not rows(self._lab.ledger_url, waiting)[0]["n"]

        self._lab.until(caught_up, f"not caught up after {kind}")
        self.measured.append((kind, round(ended - begun, 1), round(time.monotonic() - ended, 1)))
        time.sleep(_BETWEEN_SECONDS)

    def close(self) -> None:
        """Close the connections."""
        self._offsets.close()
