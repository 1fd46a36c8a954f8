"""`weaklink backtest`: files in, files out."""

import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from weaklink.backtest.ahead import read_ahead
from weaklink.backtest.findings import lines
from weaklink.backtest.history import History, Input, Progress, Step, read
from weaklink.backtest.replay import Replay
from weaklink.backtest.table import DUPLICATE
from weaklink.folders import writable_folder
from weaklink.settings import Settings

OUTPUTS: Final = (
    "accounts",
    "campaigns",
    "actions",
    "rejects",
    "weak_links",
    "scorecards",
    "replays",
    "curves",
)

Told = Callable[[str, int, int], None]
"""Told (phase, done now, total of the phase)."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run came to."""

    rows: int
    events: int
    rejected: int
    duplicates: int
    accounts: int
    flagged: int
    campaigns: int
    actions: int
    waiting_for_a_person: int
    ticks: int
    seconds: float
    findings: tuple[str, ...] = ()


def backtest(
    paths: Sequence[Path],
    out: Path,
    tick_seconds: int,
    settings: Settings,
    progress: Told = lambda *_: None,
    *,
    benign: Sequence[Path] = (),
    ahead: bool = False,
) -> Summary:
    """Replay the files in event time and write `OUTPUTS` as Parquet below `out`.

    `benign`: files of `benign_files.read_benign`; their entries hold from the first event on, each until it expires.
    `ahead`: events are read, folded and correlated in a process of their own: soonest done with two cores, and not for small files.

    Raises ConfigurationError when a file cannot be used, or none of its rows can, and when nothing can be written to `out`.
    """
    began = time.monotonic()
    writable_folder(out)
    progress("reading", 0, 1)
    given = Input(paths, benign, tick_seconds * 1_000_000, settings)
    halves = read_ahead(given) if ahead else read(given)
    with closing(halves):
        history, run = _replayed(halves, settings, progress)
    rejects = history.rejects
    accounts, campaigns, actions = run.accounts(history.accounts), run.campaigns(), run.ledger.frame(history.values)
    found = run.findings(history.activity, settings)
    for name, frame in zip(OUTPUTS, (accounts, campaigns, actions, rejects, *found.frames().values()), strict=True):
        frame.write_parquet(out / f"{name}.parquet")
    duplicates = rejects.filter(pl.col("reason") == DUPLICATE).height
    return Summary(
        rows=history.events + rejects.height,
        events=history.events,
        rejected=rejects.height - duplicates,
        duplicates=duplicates,
        accounts=accounts.height,
        flagged=accounts["flagged_at"].count(),
        campaigns=campaigns.height,
        actions=actions.height,
        waiting_for_a_person=len(run.ledger.held),
        ticks=history.ticks,
        findings=tuple(lines(found)),
        seconds=time.monotonic() - began,
    )


def _replayed(
    halves: Generator[Progress | History | Step], settings: Settings, progress: Told
) -> tuple[History, Replay]:
    """All ticks of a history, replayed."""
    history = None
    for one in halves:
        if isinstance(one, Progress):
            progress(one.phase, one.done, one.total)
        elif isinstance(one, History):
            history, run = one, Replay(settings, one.parties, one.benign)
        else:
            assert history is not None
            run.step(one)
            progress("replaying", one.events, history.events)
    assert history is not None
    run.finish()
    return history, run
