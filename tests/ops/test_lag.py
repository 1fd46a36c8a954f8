"""Lag as arithmetic: totals, trend, and when it is caught up."""

import json
import math
from dataclasses import replace
from datetime import UTC, datetime
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weaklink.errors import BrokerError
from weaklink.kafka_options import KafkaConfig
from weaklink.ops import silence
from weaklink.ops.lag import History, PartitionLag, ReaderLag, outlook
from weaklink.ops.lag_report import LagReport
from weaklink.ops.verdict import Verdict
from weaklink.parties import Party, PartyKind

SECOND_US = 1_000_000


def reader(at_seconds: float, records: int, committed: int = 0, name: str = "ingest") -> ReaderLag:
    at_us = int(at_seconds * SECOND_US)
    oldest = at_us - 5 * SECOND_US if records else None
    part = PartitionLag("t", 0, committed, committed + records, records, exact=True, oldest_us=oldest)
    return ReaderLag(name, f"weaklink.{name}", at_us, (part,))


def distinct(found: list[PartitionLag]) -> tuple[PartitionLag, ...]:
    """Each partition once."""
    return tuple(replace(one, partition=number) for number, one in enumerate(found))


partitions = st.builds(
    PartitionLag,
    topic=st.just("t"),
    partition=st.just(0),
    committed=st.none() | st.integers(0, 1000),
    end=st.integers(0, 2000),
    records=st.integers(0, 10**12),
    exact=st.booleans(),
    oldest_us=st.none() | st.integers(0, 2**60),
)
samples = st.lists(
    st.builds(
        ReaderLag, st.just("r"), st.just("g"), st.integers(0, 2**60), st.lists(partitions, max_size=3).map(distinct)
    ),
    min_size=1,
    max_size=6,
).map(lambda found: sorted(found, key=lambda one: one.at_us))


@given(samples)
def test_no_input_gives_an_undefined_or_negative_number(found: list[ReaderLag]) -> None:
    """Idle topics, clocks that disagree and groups that never committed included."""
    ahead = outlook(found)
    numbers = [ahead.records_per_second, found[-1].seconds, found[-1].records, ahead.caught_up_seconds or 0]
    assert all(math.isfinite(number) and number >= 0 for number in numbers)
    assert (ahead.caught_up_seconds == 0) == (found[-1].records == 0)
    json.dumps(LagReport(0, [(found[-1], ahead)]).to_json(), allow_nan=False)


def test_seconds_are_the_age_of_the_oldest_record_that_waits_anywhere() -> None:
    """Not the sum, not the mean, and 0 when nothing waits."""
    parts = tuple(
        PartitionLag("t", number, 0, 9, 9, exact=True, oldest_us=oldest) for number, oldest in enumerate((70, 20, None))
    )
    lag = ReaderLag("r", "g", 100 * SECOND_US, tuple(parts))
    assert lag.seconds == (100 * SECOND_US - 20) / 1e6
    assert reader(3, 0).seconds == 0


def test_a_falling_lag_says_when_it_is_caught_up() -> None:
    """1000 fewer in 10 s, 500 left: 5 s more."""
    ahead = outlook([reader(7, 1500, 200), reader(17, 500, 3200)])
    assert (ahead.trend, ahead.records_per_second, ahead.caught_up_seconds) == ("falling", 300, 5)


def test_a_rising_or_steady_lag_is_not_caught_up_at_this_pace() -> None:
    """Rather nothing than a number that means nothing."""
    assert outlook([reader(0, 100), reader(10, 500)]).trend == "rising"
    assert outlook([reader(0, 100), reader(10, 500)]).caught_up_seconds is None
    assert outlook([reader(0, 10_000), reader(10, 10_100)]).trend == "steady"
    assert outlook([reader(0, 10_000), reader(10, 10_100)]).caught_up_seconds is None
    assert outlook([reader(0, 1)]).trend == "steady"


def test_history_keeps_the_window_and_forgets_readers_that_are_gone() -> None:
    """So that a peak of an hour ago does not make today's lag look as if it fell."""
    history = History(window_seconds=10)
    history.add([reader(0, 10_000), reader(0, 5, name="enforce")])
    history.add([reader(9, 100)])
    ((_, ahead),) = history.add([reader(19, 100)])
    assert ahead.trend == "steady"
    ((_, fresh),) = history.add([reader(20, 900, name="enforce")])
    assert fresh.trend == "steady"


def test_skew_is_the_worst_partitions_share_times_their_number() -> None:
    """1 where the lag lies evenly or is none, n where one of n partitions has it all."""

    def skew(*records: int) -> float:
        parts = (PartitionLag("t", n, 0, one, one, exact=True, oldest_us=0) for n, one in enumerate(records))
        return ReaderLag("r", "g", 0, tuple(parts)).skew

    assert (skew(), skew(0, 0), skew(5, 5, 5), skew(0, 0, 0, 9), skew(3, 1)) == (1, 1, 1, 4, 1.5)


def test_one_stopped_partition_condemns_its_reader_alone() -> None:
    """The others' verdicts stay their own."""

    def at(seconds: int) -> ReaderLag:
        moving = PartitionLag("t", 0, seconds * 10, 1000, 1000 - seconds * 10, exact=True, oldest_us=0)
        stuck = PartitionLag("t", 1, 7, 9, 2, exact=True, oldest_us=0)
        return ReaderLag("r", "g", seconds * SECOND_US, (moving, stuck))

    ahead = outlook([at(seconds) for seconds in range(20)])
    assert ahead.verdicts == {("t", 0): Verdict.OK, ("t", 1): Verdict.STOPPED}
    assert ahead.verdict is Verdict.STOPPED


@pytest.mark.parametrize(
    ("records", "members", "is_stage", "missing", "verdict"),
    [
        (0, 1, True, (), Verdict.OK),
        (0, 0, True, (), Verdict.NOT_RUNNING),
        (5, 0, True, (), Verdict.STOPPED),
        (0, 0, True, ("weaklink.links",), Verdict.NOT_PROVISIONED),
        (0, 0, False, (), Verdict.OK),
        (5, 0, False, (), Verdict.STOPPED),
        (0, None, True, (), Verdict.OK),
    ],
)
def test_a_stage_that_nobody_runs_is_not_ok_and_a_party_that_has_nothing_to_read_is(
    records: int, members: int | None, is_stage: bool, missing: tuple[str, ...], verdict: Verdict
) -> None:
    """On a broker that was never provisioned nothing waits either. Where records wait they tell more, and partitions keep their own verdicts."""
    part = PartitionLag("t", 0, 7, 7 + records, records, exact=True, oldest_us=0)
    ahead = outlook([ReaderLag("r", "g", at * SECOND_US, (part,), members, is_stage, missing) for at in range(20)])
    assert ahead.verdict is verdict
    assert ahead.verdicts["t", 0] is (Verdict.STOPPED if records else Verdict.OK)


def test_a_stage_that_nobody_runs_is_told_before_it_was_watched_for_long() -> None:
    part = PartitionLag("t", 0, 7, 9, 2, exact=True, oldest_us=0)
    assert outlook([ReaderLag("r", "g", SECOND_US, (part,), 0, True)]).verdict is Verdict.NOT_RUNNING
    assert outlook([ReaderLag("r", "g", SECOND_US, (part,), 1, True)]).verdict is Verdict.UNKNOWN


class _Registry:
    """A registry that a test can change, or take away."""

    parties: ClassVar[dict[str, Party]] = {}
    away: ClassVar[bool] = False

    def __init__(self, kafka: KafkaConfig) -> None:
        pass

    def refresh(self) -> dict[str, Party]:
        if self.away:
            raise BrokerError("not there")
        return dict(self.parties)

    def close(self) -> None:
        pass


def test_silence_does_not_end_with_the_last_event_that_a_topic_keeps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retention deletes it, and a party that never sent anything has none; but whoever is kept out, or was removed, is not waited for."""
    monkeypatch.setattr(silence, "PartyRegistry", _Registry)
    watch = silence.Silence(KafkaConfig())

    def party(name: str, suspended_at: datetime | None = None) -> Party:
        added_at = datetime.fromtimestamp(10, UTC)
        return Party(id=name, kind=PartyKind.LAB, added_at=added_at, suspended_at=suspended_at)

    def silent(at_seconds: int, **last_seconds: int) -> dict[str, float]:
        parts = [
            PartitionLag(f"party.{one}.events", 0, 0, 0, 0, exact=True, oldest_us=None)
            for one in ("lab", "new", "out", "gone")
        ]
        rows = History().add([ReaderLag("ingest", "weaklink.ingest", at_seconds * SECOND_US, tuple(parts))])
        return watch.seconds(
            LagReport(at_seconds * SECOND_US, rows, {one: at * SECOND_US for one, at in last_seconds.items()})
        )

    _Registry.parties = {one: party(one) for one in ("lab", "new", "without-topics")}
    _Registry.parties["out"] = party("out", suspended_at=datetime.fromtimestamp(20, UTC))
    assert silent(100, lab=40, out=30, gone=30) == {"lab": 60, "new": 90, "out": 70, "gone": 70}
    assert silent(200) == {"lab": 160, "new": 190}
    _Registry.away = True
    assert silent(300) == {"lab": 260, "new": 290}
    _Registry.away = False
    assert silent(400, new=390) == {"lab": 360, "new": 10}
    assert silence.Silence(KafkaConfig()).seconds(LagReport(0, [])) == {}


def test_a_party_is_seen_from_both_sides() -> None:
    """Whose events wait for ingest, who does not read its actions, who has gone silent."""

    def lag(reader: str, group: str, topic: str, records: int) -> ReaderLag:
        part = PartitionLag(topic, 0, 0, records, records, exact=True, oldest_us=90 * SECOND_US if records else None)
        return ReaderLag(reader, group, 100 * SECOND_US, (part,))

    rows = History().add(
        [
            lag("ingest", "weaklink.ingest", "party.a-lab.events", 7),
            lag("party a-lab", "party.a-lab.actions", "party.a-lab.actions", 0),
            lag("party b-lab", "party.b-lab.actions", "party.b-lab.actions", 4),
            lag("party b-lab", "party.b-lab.siem", "party.b-lab.actions", 3),
        ]
    )
    a, b = LagReport(100 * SECOND_US, rows, {"a-lab": 40 * SECOND_US}).parties
    assert (a.party, a.events_waiting, a.events_seconds, a.silent_seconds, a.actions_unread) == ("a-lab", 7, 10, 60, 0)
    assert (b.party, b.events_waiting, b.silent_seconds, b.actions_unread, b.actions_seconds) == (
        "b-lab",
        0,
        None,
        3,
        10,
    )
