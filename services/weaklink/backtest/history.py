"""The first half of a run: what each tick gets, from the files. It needs nothing of what the second half decides, so it may run ahead of it."""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from weaklink import frames
from weaklink.backtest.feed import Feed
from weaklink.backtest.table import read_table
from weaklink.backtest.tokenise import tokenise
from weaklink.benign import BenignRecord
from weaklink.benign_files import read_benign
from weaklink.correlate.runs import LinkRuns
from weaklink.errors import ConfigurationError
from weaklink.parties import PartyKind
from weaklink.partner.tokens import LocalTokeniser, Tokeniser
from weaklink.records.identifiers import IdentifierKind
from weaklink.settings import Settings


@dataclass(frozen=True, slots=True)
class History:
    """All of it together. rejects: table.REJECTS. accounts, activity: as `Feed` gives them. values: [token, value] of the identifiers."""

    events: int
    ticks: int
    parties: Mapping[str, PartyKind]
    benign: Sequence[BenignRecord]
    rejects: pl.DataFrame
    accounts: pl.DataFrame
    activity: pl.DataFrame
    values: pl.DataFrame


@dataclass(frozen=True, slots=True)
class Step:
    """What campaigns get at the end of a tick. shared: frames.SHARED, by correlate's own runs. activity: frames.ACTIVITY."""

    end_us: int
    shared: pl.DataFrame
    activity: pl.DataFrame
    events: int


@dataclass(frozen=True, slots=True)
class Input:
    """What a run is made from. benign: files of `benign_files.read_benign`; their entries hold from the first event on."""

    paths: Sequence[Path]
    benign: Sequence[Path]
    tick_us: int
    settings: Settings


@dataclass(frozen=True, slots=True)
class Progress:
    """So many of the `total` of a phase were done since it was last told."""

    phase: str
    done: int
    total: int


def read(given: Input) -> Generator[Progress | History | Step]:
    """First what there is to tell of reading, then the History, then a Step for each tick in which something happened, in order.

    Raises ConfigurationError when a file cannot be used, or none of its rows can.
    """
    table, rejects = read_table(given.paths)
    yield Progress("reading", 1, 1)
    tokeniser, told = LocalTokeniser.reproducible(), list[Progress]()
    tokenised = tokenise(table, tokeniser, lambda *done: told.append(Progress("tokenising", *done)))
    yield from told
    events, rejects = tokenised.events, pl.concat([rejects, tokenised.rejects]).sort("file", "line")
    if events.is_empty():
        raise ConfigurationError(f"none of the {rejects.height} rows can be used: {_commonest(rejects)}")
    feed = Feed(events, given.tick_us, given.settings.ingest)
    yield History(
        events=events.height,
        ticks=len(feed),
        parties={
            party: PartyKind(kind) for party, kind in events.select("party", "party_kind").unique().sort("party").rows()
        },
        benign=_benign(given.benign, tokeniser, events),
        rejects=rejects,
        accounts=feed.accounts(),
        activity=feed.activity(),
        values=tokenised.values,
    )
    runs = LinkRuns(given.settings.correlate)
    for tick in feed:
        shared = runs.add(tick.links) if tick.links.height else frames.empty(frames.SHARED)
        runs.expire(tick.end_us)
        yield Step(tick.end_us, shared, tick.activity, tick.events)


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
