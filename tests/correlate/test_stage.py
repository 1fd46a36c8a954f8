"""correlate as a stage: its state is a function of the log, however the log is polled."""

from itertools import pairwise

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kafka import TopicPartition
from polars.testing import assert_frame_equal

from tests.correlate import naive
from tests.correlate.test_runs import CONFIG, HOUR_US, KEY, streams, use
from weaklink import topology
from weaklink.correlate.runs import LinkRuns
from weaklink.correlate.stage import Correlate, make_stage
from weaklink.errors import CheckpointError, ConfigurationError, WeaklinkError
from weaklink.frames import SHARED, from_chunk, to_chunk
from weaklink.ingest.config import IngestConfig
from weaklink.records.identifiers import IdentifierKind
from weaklink.settings import Settings, TopicsConfig
from weaklink.stream.stage import Chunk, Message

INGEST = IngestConfig(use_gap_hours=1)  # below the short lifetimes of these tests

SOURCE = TopicPartition(topology.LINKS, 3)
UNIT = "links-3"


def chunk(offset: int, uses: list[naive.Use], appended_at_us: int = 0) -> Chunk:
    return Chunk(SOURCE, offset, appended_at_us, to_chunk(naive.frame(uses)))


def stage(configuration: Settings) -> Correlate:
    made = Correlate(configuration)
    made.restore(UNIT, None)
    return made


def links_of(made: Correlate) -> pl.DataFrame:
    """What the stage would write to a snapshot now, as links."""
    frames = {name: frame for name, frame in made.snapshot(UNIT).items() if name != "progress"}
    return LinkRuns.from_frames(CONFIG, frames).links().sort(KEY)


def rows(messages: list[Message]) -> pl.DataFrame:
    return pl.concat([pl.DataFrame(schema=SHARED), *(from_chunk(one.value or b"", SHARED) for one in messages)])


@settings(max_examples=30, deadline=None)
@given(st.lists(streams(6), min_size=1, max_size=8), st.sets(st.integers(1, 8)), st.sampled_from(["append", "event"]))
def test_how_chunks_are_polled_changes_nothing(log: list[list[naive.Use]], cuts: set[int], clock: str) -> None:
    """Nor does a snapshot, a restore and a silent replay in the middle."""
    configuration = Settings(clock=clock, correlate=CONFIG, ingest=INGEST)  # type: ignore[arg-type]
    chunks = [chunk(at, uses, at * 5 * HOUR_US) for at, uses in enumerate(log)]
    one, other = stage(configuration), stage(configuration)
    emitted_one = rows([message for each in chunks for message in one.process([each], replaying=False)])
    bounds = [0, *sorted(cut for cut in cuts if cut < len(chunks)), len(chunks)]
    emitted = []
    for begin, end in pairwise(bounds):
        emitted += other.process(chunks[begin:end], replaying=False)
        snapshot = other.snapshot(UNIT)
        other.release(UNIT)
        other.restore(UNIT, snapshot)
    for name, frame in one.snapshot(UNIT).items():
        if name in ("clock", "progress"):  # how links lie in runs may differ
            assert_frame_equal(frame, other.snapshot(UNIT)[name])
    assert_frame_equal(links_of(one), links_of(other))
    members = ["identifier", "slot", "kind", "epoch", "account"]
    assert set(emitted_one.select(members).rows()) == set(rows(emitted).select(members).rows())
    rebuilt = stage(configuration)
    assert rebuilt.process(chunks, replaying=True) == []
    assert_frame_equal(links_of(rebuilt), links_of(one))


def test_output_goes_to_the_partition_of_the_same_number_in_chunks_below_the_limit() -> None:
    """A message larger than the topic takes would stop the stage."""
    limit = 40_000
    made = stage(Settings(topics=TopicsConfig(chunk_bytes_max=limit)))
    uses = [use(account * 0x9E3779B97F4A7C15 % 2**64, 0) for account in range(900)]
    uses = [
        one | {"tail": naive.tail_of(7, one["account"] * 31), "appended_at_us": one["account"] % 2**52} for one in uses
    ]
    messages = made.process([chunk(0, uses)], replaying=False)
    assert len(messages) > 1
    assert {(one.topic, one.partition, one.key) for one in messages} == {(topology.SHARED, 3, b"3")}
    assert max(len(one.value or b"") for one in messages) <= limit
    assert rows(messages).height == 900


def test_links_expire_by_append_time() -> None:
    """Two holders whose uses lie close together still do not share when the log says that the first was outlived long ago."""
    made = stage(Settings(correlate=CONFIG, ingest=INGEST))
    made.process([chunk(0, [use(1, 0)], 0)], replaying=False)
    made.process([chunk(1, [use(9, 20, identifier=1)], 20 * HOUR_US)], replaying=False)
    assert made.process([chunk(2, [use(2, 0)], 20 * HOUR_US)], replaying=False) == []
    assert links_of(made)["account"].to_list() == [9]


def test_a_lease_that_reaches_into_the_future_does_not_move_the_event_clock() -> None:
    """Otherwise one open lease would expire every address of the present."""
    made = stage(Settings(clock="event", correlate=CONFIG, ingest=INGEST))
    day_us = 24 * HOUR_US
    address = {"kind": int(IdentifierKind.IP)}
    ahead = [use(1, 24 * slot, **address, slot=slot) for slot in (101, 102, 190)]
    made.process([chunk(0, [use(1, 24 * 100 + 5, **address, slot=100), *ahead])], replaying=False)
    emitted = rows(made.process([chunk(1, [use(2, 24 * 100 + 6, **address, slot=100)])], replaying=False))
    assert sorted(emitted["account"].to_list()) == [1, 2]
    assert made.snapshot(UNIT)["progress"]["now_us"].item() == 100 * day_us + 6 * HOUR_US


def test_an_epoch_that_is_over_is_forgotten_before_anything_is_said() -> None:
    """A worker that starts again finds its links in the log, or in a snapshot from before: others that share them hear nothing of it."""
    before = stage(Settings(correlate=CONFIG, ingest=INGEST))
    before.process([chunk(0, [use(1, 1, epoch=1)])], replaying=False)
    snapshot = before.snapshot(UNIT)
    for frames in (None, snapshot):
        made = Correlate(Settings(correlate=CONFIG, ingest=INGEST), oldest_epoch=lambda: 2)
        made.restore(UNIT, frames)
        said = made.process([chunk(0, [use(1, 1, epoch=1)]), chunk(1, [use(2, 2, epoch=1)])], replaying=False)
        assert rows(said).height == 0
        assert made.purged() == (frames is not None)


def test_what_cannot_be_right_is_said() -> None:
    """Fewer partitions out than in, a chunk of another schema, a snapshot of another stage."""
    with pytest.raises(ConfigurationError, match="shared_partitions"):
        make_stage(Settings(topics=TopicsConfig(links_partitions=4, shared_partitions=2)))
    made = stage(Settings())
    with pytest.raises(WeaklinkError, match="columns"):
        made.process([Chunk(SOURCE, 0, 0, to_chunk(pl.DataFrame({"a": [1]})))], replaying=False)
    with pytest.raises(CheckpointError, match="progress"):
        made.restore(UNIT, {"links": pl.DataFrame()})
