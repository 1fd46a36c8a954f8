"""Tokens of two epochs side by side: which pairs an event says, said once; and tokens of epochs that are over."""

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import groupby, pairwise
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka import TopicPartition

from tests.ingest.batches import Parties, Record, batch_of, gather, single
from tests.ingest.events import NOW_US, Event, event_id, token
from weaklink import frames, topology
from weaklink.epochs import Expiry
from weaklink.ingest.stage import IngestStage
from weaklink.records import reasons
from weaklink.records.codec import encode
from weaklink.settings import Settings
from weaklink.stream.stage import Message, Output, Range
from weaklink.stream.whole_batches import RecordBatch

Pair = tuple[bytes, bytes, str]
_tokens = st.builds(token, st.sampled_from([1, 4, 9, 12]), st.integers(0, 2), st.integers(1, 3))
_same_value = st.builds(lambda kind, value: [token(kind, value, 1), token(kind, value, 2)], st.sampled_from([1, 4, 9, 12]), st.integers(0, 3))  # fmt: skip
_identifiers = st.one_of(
    st.lists(_tokens, max_size=6), st.lists(_same_value, max_size=5).map(lambda some: [one for both in some for one in both])
)  # fmt: skip


def opened(number: int, *identifiers: bytes) -> Event:
    return {
        "event_id": event_id(number), "occurred_at": NOW_US, "account": f"account-{number}", "identifiers": list(identifiers),
        "plan": "FREE", "verified": "NONE", "mail_class": "UNKNOWN", "address_class": "UNKNOWN",
    }  # fmt: skip


def pairs_by_hand(identifiers: Sequence[bytes]) -> set[tuple[bytes, bytes]]:
    """(newer, older) of every stretch of one kind that goes older, newer, older, newer."""
    found = set()
    for _, stretch in groupby(identifiers, lambda one: one[0]):
        own = list(stretch)
        couples = list(zip(own[::2], own[1::2], strict=False))
        if len(own) % 2 == 0 and len({(one[1], other[1]) for one, other in couples}) == 1 and own[0][1] < own[1][1]:
            found |= {(other, one) for one, other in couples}
    return found


class Ingest:
    """A stage, and the offset of each party's next event."""

    def __init__(self, folder: Path) -> None:
        self.expiries: list[Expiry] = []
        self.stage = IngestStage(Settings(data_folder=folder), Parties(lab_a="lab", lab_b="lab"), lambda: self.expiries)
        self.offset = {"lab-a": 0, "lab-b": 0}
        self.assign()

    def assign(self) -> None:
        for party in self.offset:
            self.stage.restore(self.stage.unit(TopicPartition(f"party.{party}.events", 0)), None)

    def take(self, party: str, *events: Event) -> list[Output]:
        batch = batch_of([Record(encode("AccountOpened", one)) for one in events], self.offset[party], party)
        self.offset[party] += len(events)
        return self.stage.process([batch], replaying=False)


def over(epoch: int, since_us: int) -> Expiry:
    since = datetime.fromtimestamp(since_us / 1_000_000, UTC)
    return Expiry(epoch=epoch, expires_at=since, recorded_at=since, reason="a leak", by="ann")


def equations(messages: Sequence[Output]) -> list[Pair]:
    rows = [
        frames.from_chunk(one.value or b"", frames.EQUATIONS)
        for one in messages
        if isinstance(one, Message) and one.topic == topology.EQUATIONS
    ]
    return [
        (
            frames.token_bytes(row["identifier"], row["tail"], row["kind"], row["epoch"]),
            frames.token_bytes(row["former"], row["former_tail"], row["kind"], row["former_epoch"]),
            row["party"],
        )
        for row in pl.concat(rows or [frames.empty(frames.EQUATIONS)]).iter_rows(named=True)
    ]


@given(st.lists(st.tuples(st.sampled_from(["lab-a", "lab-b"]), _identifiers), min_size=1, max_size=8))
def test_what_stands_side_by_side_is_equated_once_for_each_party(said: list[tuple[str, list[bytes]]]) -> None:
    """Against plain loops; a repeat says nothing, and after a new beginning everything is said again."""
    ingest = Ingest(Path("unused"))
    wanted = {(newer, older, party) for party, tokens in said for newer, older in pairs_by_hand(tokens)}
    for number in (0, 1):
        found = [
            pair
            for place, (party, tokens) in enumerate(said)
            for pair in equations(ingest.take(party, opened(1000 * number + place, *tokens)))
        ]
        assert set(found) == wanted
        assert len(found) == len(wanted)
        assert [equations(ingest.take(party, opened(5000 + place, *tokens))) for place, (party, tokens) in enumerate(said)] == [[]] * len(said)  # fmt: skip
        ingest = Ingest(Path("unused")) if number else ingest
        ingest.assign()


def test_one_epoch_after_the_other_equates_nothing() -> None:
    """First all of the old, then all of the new: which belongs to which is not said, and guessing would join strangers."""
    one, other = (token(4, value, 1) for value in (1, 2))
    newer = [token(4, value, 2) for value in (1, 2)]
    assert equations(Ingest(Path("unused")).take("lab-a", opened(1, one, other, *newer))) == []


def test_many_pairs_of_one_poll_are_all_said() -> None:
    """More than the table of one call holds."""
    events = [
        opened(n, *(token(9, 16 * n + band, epoch) for band in range(16) for epoch in (1, 2))) for n in range(200)
    ]
    found = equations(Ingest(Path("unused")).take("lab-a", *events))
    assert len(found) == len(set(found)) == 200 * 16


def test_tokens_of_an_epoch_that_is_over_are_rejected_and_those_in_force_count() -> None:
    """The reject says why, and the good event beside it counts. What the epoch's end does not touch goes on."""
    ingest = Ingest(Path("unused"))
    (before,) = [
        m
        for m in ingest.take("lab-a", opened(1, token(4, 1, 1)))
        if isinstance(m, Message) and m.topic == topology.LINKS
    ]
    assert frames.from_chunk(before.value or b"", frames.LINKS).height == 1
    ingest.expiries = [over(1, NOW_US)]
    events = [opened(2, token(4, 1, 1)), opened(3, token(4, 1, 2)), opened(4, token(4, 2, 2), token(1, 1, 1))]
    result = gather(ingest.take("lab-a", *events))
    assert [(reason, field, offset) for _, _, reason, field, offset in result.rejects] == [
        (reasons.EXPIRED_EPOCH, "identifiers", 1), (reasons.EXPIRED_EPOCH, "identifiers", 3),
    ]  # fmt: skip
    assert result.links["epoch"].to_list() == [2]
    assert all(one < other for one, other in pairwise(offset for *_, offset in result.rejects))


@pytest.mark.parametrize("restarts", [False, True])
def test_a_worker_that_rebuilds_its_window_knows_what_was_accepted_before_an_epoch_ended(
    tmp_path: Path, *, restarts: bool
) -> None:
    """An event that was accepted then stays known when it is published again with newer tokens; one that was rejected since is not known, and counts then.

    Judged by the epochs of today, a worker that restarted would count the first twice; judged by none, it would drop the second as repeated.
    """
    ended_us = NOW_US + 1_000_000

    def batch(base_offset: int, after_us: int, *events: Event) -> RecordBatch:
        records = [Record(encode("AccountOpened", one)) for one in events]
        return batch_of(records, base_offset, now_us=ended_us + after_us)

    def run(stage: IngestStage, batch: RecordBatch) -> tuple[int, int, int]:
        messages = stage.process([batch], replaying=False)
        span = {batch.source: Range(batch.begin, batch.end)}
        (told,) = gather(stage.seal(messages, span)).audit
        return told["accepted"], told["rejected"], told["duplicates"]

    expiries: list[Expiry] = []
    settings, parties = Settings(data_folder=tmp_path), Parties(lab_a="lab")
    stage = IngestStage(settings, parties, lambda: expiries)
    before = batch(0, -1_000, opened(1, token(4, 1, 1)), opened(2, token(4, 2, 2)))
    since = batch(2, 0, opened(3, token(4, 3, 1)), opened(4, token(4, 4, 2)))
    stage.restore(stage.unit(before.source), None)
    assert run(stage, before) == (2, 0, 0)
    expiries.append(over(1, ended_us))
    assert run(stage, since) == (1, 1, 0)
    if restarts:
        stage = IngestStage(settings, parties, lambda: expiries)
        stage.restore(stage.unit(before.source), None)
        assert stage.process([before, since], replaying=True) == []
    again = batch(4, 5_000, *(opened(number, token(4, number, 2)) for number in (1, 2, 3, 4)))
    assert run(stage, again) == (1, 0, 3)


def test_the_end_of_an_epoch_is_told_by_the_newest_that_is_over(tmp_path: Path) -> None:
    """Several ends, in whatever order they were written, each from its own time on."""
    ingest = Ingest(tmp_path)
    ingest.expiries = [over(1, NOW_US - 5), over(3, NOW_US), over(2, NOW_US - 3), over(4, NOW_US + 1_000)]
    outputs = ingest.take("lab-a", *(opened(epoch, token(4, 1, epoch)) for epoch in (1, 3, 4)))
    assert {(one[2], one[4]) for one in gather(outputs).rejects} == {
        (reasons.EXPIRED_EPOCH, 0),
        (reasons.EXPIRED_EPOCH, 1),
    }
    told = [
        value
        for one in outputs
        for message in single(one)
        for name, value in message.headers
        if name == "weaklink-detail"
    ]
    assert told == [b"a token of an epoch before 4, the oldest whose keys are in force"] * 2
