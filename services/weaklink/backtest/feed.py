"""Events to what each tick of the stages gets: links and activity, folded by ingest's own functions, in event time."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import polars as pl

from weaklink import frames
from weaklink.account_keys import account_hash
from weaklink.ingest.config import IngestConfig
from weaklink.ingest.fold import fold_activity, fold_links
from weaklink.records.schemas import latest

_MARK: Final = "\x1f"
"""Separates an account's name from its tick; no account has a control character in its name."""


@dataclass(frozen=True, slots=True)
class Tick:
    """What happened in (the end of the tick before, end_us]. links: frames.LINKS. activity: frames.ACTIVITY."""

    end_us: int
    links: pl.DataFrame
    activity: pl.DataFrame
    events: int


class Feed:
    """All ticks in which something happened. Ticks end at multiples of `tick_us` since 1970, whatever the first event is.

    One fold per party and record serves all ticks at once: the tick rides along in the account's name, so that rows of different
    ticks stay apart, and is taken off again afterwards. What a tick gets is the fold of its own events, as in the stages.
    """

    def __init__(self, events: pl.DataFrame, tick_us: int, config: IngestConfig) -> None:
        self._tick_us = tick_us
        times = events.select(
            pl.col("occurred_at").dt.timestamp("us").floordiv(tick_us).alias("tick"),
        )
        numbered = events.with_columns(times["tick"])
        links, activity = [], []
        for (party, record), part in numbered.partition_by(
            "party", "event_type", as_dict=True, maintain_order=True
        ).items():
            found = _fold(part, str(record), str(party), config)
            links.append(found[0])
            activity.append(found[1])
        self._counts = numbered.group_by("tick").len().sort("tick")
        self._links = pl.concat(links or [frames.empty(frames.LINKS).with_columns(tick=pl.lit(0, pl.Int64))]).sort(
            "tick", maintain_order=True
        )
        self._activity = pl.concat(
            activity or [frames.empty(frames.ACTIVITY).with_columns(tick=pl.lit(0, pl.Int64))]
        ).sort("tick", maintain_order=True)

    def accounts(self) -> pl.DataFrame:
        """Every account of the input: [account UInt64, party, account_name]."""
        named = self._activity.filter(pl.col("account_name").is_not_null())
        return named.select("account", "party", "account_name").unique(maintain_order=True)

    def activity(self) -> pl.DataFrame:
        """All of it: frames.ACTIVITY."""
        return self._activity.select(*frames.ACTIVITY)

    def __len__(self) -> int:
        """Number of ticks in which something happened."""
        return self._counts.height

    def __iter__(self) -> Iterator[Tick]:
        no_links, no_activity = frames.empty(frames.LINKS), frames.empty(frames.ACTIVITY)
        links, activity = _slices(self._links, frames.LINKS), _slices(self._activity, frames.ACTIVITY)
        for tick, count in self._counts.iter_rows():
            yield Tick(
                (tick + 1) * self._tick_us,
                links.get(tick, no_links),
                activity.get(tick, no_activity),
                count,
            )


def _fold(events: pl.DataFrame, record: str, party: str, config: IngestConfig) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(LINKS, ACTIVITY) of one party and record, each with `tick` Int64."""
    marked = pl.format("{}" + _MARK + "{}", "account", "tick").alias("marked")
    ready = _as_decoded(events, record).with_columns(events["tick"], events.select(marked)["marked"])
    names = ready.select("account", "tick", "marked").unique() if "account" in ready.columns else None
    if names is None:
        activity = fold_activity(ready.drop("tick", "marked"), record, party)
        # Without an account nothing rides along, but each of these is a row of its own, at its own time.
        tick = ready.select(pl.col("occurred_at").dt.timestamp("us").alias("first_seen_us"), "tick").unique(
            "first_seen_us"
        )
        return (
            frames.empty(frames.LINKS).with_columns(tick=pl.lit(0, pl.Int64)),
            activity.join(tick, on="first_seen_us", maintain_order="left").select(*frames.ACTIVITY, "tick"),
        )
    back = names.select(
        account_hash(party, "marked").alias("account"),
        account_hash(party, "account").alias("true_account"),
        pl.col("account").alias("true_name"),
        "tick",
    )
    carried = ready.drop("account", "tick").rename({"marked": "account"})
    links = fold_links(carried, record, party, config).join(back, on="account", maintain_order="left")
    activity = fold_activity(carried, record, party).join(back, on="account", maintain_order="left")
    return (
        links.with_columns(pl.col("true_account").alias("account")).select(*frames.LINKS, "tick"),
        activity.with_columns(
            pl.col("true_account").alias("account"), pl.col("true_name").alias("account_name")
        ).select(*frames.ACTIVITY, "tick"),
    )


def _as_decoded(events: pl.DataFrame, record: str) -> pl.DataFrame:
    """The columns of the record's latest schema, as ingest decodes them. In event time an event is appended when it happens."""
    wanted = [field["name"] for field in latest(record).json["fields"]]
    plain = {"event_id": pl.lit(None, pl.Binary).alias("event_id")}
    columns = [plain.get(name, pl.col(name)) for name in wanted]
    ready = events.select(*columns, pl.col("occurred_at").dt.timestamp("us").alias("appended_at_us"))
    return ready.with_columns(pl.col(pl.Datetime).dt.replace_time_zone(None))


def _slices(rows: pl.DataFrame, schema: pl.Schema) -> dict[int, pl.DataFrame]:
    """Rows of each tick; `rows` is sorted by tick."""
    runs = rows.select(pl.col("tick").rle()).unnest("tick") if rows.height else None
    if runs is None:
        return {}
    begin, parts = 0, {}
    for length, tick in runs.iter_rows():
        parts[tick] = rows.slice(begin, length).select(*schema)
        begin += length
    return parts
