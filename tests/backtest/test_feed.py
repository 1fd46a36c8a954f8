"""What each tick gets is the fold of its own events, as the stages fold them."""

from datetime import timedelta
from pathlib import Path

import polars as pl
from polars.testing import assert_frame_equal

from tests.backtest.histories import START, history, row, written
from weaklink.backtest.feed import Feed
from weaklink.backtest.table import COLUMNS, read_table
from weaklink.backtest.tokenise import tokenise
from weaklink.frames import ACTIVITY, LINKS
from weaklink.ingest.config import IngestConfig
from weaklink.partner.tokens import LocalTokeniser

HOUR_US = 3_600_000_000


def events_of(folder: Path, frame: pl.DataFrame) -> pl.DataFrame:
    table, _ = read_table([written(folder, frame)])
    return tokenise(table, LocalTokeniser.throwaway(), lambda *_: None).events


def test_a_tick_equals_the_fold_of_its_events_alone(tmp_path: Path) -> None:
    events = events_of(tmp_path, history())
    for tick in list(Feed(events, 6 * HOUR_US, IngestConfig()))[::4]:
        at = pl.col("occurred_at").dt.timestamp("us")
        own = events.filter((at >= tick.end_us - 6 * HOUR_US) & (at < tick.end_us))
        assert tick.events == own.height
        (alone,) = list(Feed(own, 6 * HOUR_US, IngestConfig()))
        keys = ["identifier", "slot", "account", "first_seen_us", "mentions", "requests"]
        assert_frame_equal(tick.links.sort(keys), alone.links.sort(keys))
        order = ["account", "first_seen_us", "record", "task"]
        assert_frame_equal(tick.activity.sort(order), alone.activity.sort(order))


def test_every_event_is_in_exactly_one_tick(tmp_path: Path) -> None:
    events = events_of(tmp_path, history())
    ticks = list(Feed(events, HOUR_US, IngestConfig()))
    assert sum(tick.events for tick in ticks) == events.height
    assert sum(int(tick.activity["events"].sum()) for tick in ticks) == events.height
    assert all(tick.activity.schema == ACTIVITY and tick.links.schema == LINKS for tick in ticks)
    assert all((tick.activity["first_seen_us"] < tick.end_us).all() for tick in ticks)
    names = pl.concat([tick.activity for tick in ticks])["account_name"].drop_nulls().unique()
    assert set(names) == set(events["account"].drop_nulls())


def test_a_lease_is_known_when_it_begins_and_covers_its_slots(tmp_path: Path) -> None:
    lease = row(
        "cloud-a",
        "cloud",
        "AddressLease",
        START,
        "lessee",
        identifiers=[("IP", "192.0.2.7")],
        released_at=START + timedelta(days=3),
    )
    (tick,) = list(Feed(events_of(tmp_path, pl.DataFrame([lease], schema=COLUMNS)), HOUR_US, IngestConfig()))
    assert tick.links["slot"].n_unique() == 4
