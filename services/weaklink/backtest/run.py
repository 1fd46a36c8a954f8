"""`weaklink backtest`: files in, files out."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from weaklink.backtest.feed import Feed
from weaklink.backtest.findings import lines
from weaklink.backtest.replay import replay
from weaklink.backtest.table import DUPLICATE, read_table
from weaklink.backtest.tokenise import tokenise
from weaklink.benign import BenignRecord
from weaklink.benign_files import read_benign
from weaklink.errors import ConfigurationError
from weaklink.parties import PartyKind
from weaklink.partner.tokens import LocalTokeniser, Tokeniser
from weaklink.records.identifiers import IdentifierKind
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

Progress = Callable[[str, int, int], None]
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
    progress: Progress = lambda *_: None,
    *,
    benign: Sequence[Path] = (),
) -> Summary:
    """Replay the files in event time and write `OUTPUTS` as Parquet below `out`.

    `benign`: files of `benign_files.read_benign`; their entries hold from the first event on, each until it expires.

    Raises ConfigurationError when a file cannot be used, or none of its rows can.
    """
    began = time.monotonic()
    progress("reading", 0, 1)
    table, rejects = read_table(paths)
    progress("reading", 1, 1)
    tokeniser = LocalTokeniser.reproducible()
    tokenised = tokenise(table, tokeniser, lambda *done: progress("tokenising", *done))
    events, rejects = tokenised.events, pl.concat([rejects, tokenised.rejects]).sort("file", "line")
    if events.is_empty():
        raise ConfigurationError(f"none of the {rejects.height} rows can be used: {_commonest(rejects)}")
    kinds = {party: PartyKind(kind) for party, kind in events.select("party", "party_kind").unique().iter_rows()}
    listed = _benign(benign, tokeniser, events)
    feed = Feed(events, tick_seconds * 1_000_000, settings.ingest)
    run = replay(feed, settings, kinds, lambda done: progress("replaying", done, events.height), listed)
    accounts, campaigns, actions = run.accounts(feed.accounts()), run.campaigns(), run.ledger.frame(tokenised.values)
    out.mkdir(parents=True, exist_ok=True)
    found = run.findings(feed.activity(), settings)
    for name, frame in zip(OUTPUTS, (accounts, campaigns, actions, rejects, *found.frames().values()), strict=True):
        frame.write_parquet(out / f"{name}.parquet")
    duplicates = rejects.filter(pl.col("reason") == DUPLICATE).height
    return Summary(
        rows=events.height + rejects.height,
        events=events.height,
        rejected=rejects.height - duplicates,
        duplicates=duplicates,
        accounts=accounts.height,
        flagged=accounts["flagged_at"].count(),
        campaigns=campaigns.height,
        actions=actions.height,
        waiting_for_a_person=len(run.ledger.held),
        ticks=len(feed),
        findings=tuple(lines(found)),
        seconds=time.monotonic() - began,
    )


def _benign(paths: Sequence[Path], tokeniser: Tokeniser, events: pl.DataFrame) -> list[BenignRecord]:
    """The files' entries; values without a kind of identifier are listed under every kind that the events have."""
    kinds = events["identifiers"].explode().drop_nulls().bin.slice(0, 1).unique().sort()
    found = [IdentifierKind(kind[0]) for kind in kinds]
    now = events["occurred_at"].min()
    return [
        one
        for path in paths
        for one in read_benign(path, tokeniser.tokens, found, by="backtest", now=now)  # type: ignore[arg-type]
    ]


def _commonest(rejects: pl.DataFrame) -> str:
    if rejects.is_empty():
        return "the files have no rows"
    file, line, reason, field, detail = rejects.row(0)
    return f"the first is {file} line {line}: {reason} ({field}: {detail})"
