"""Tokens of two epochs side by side: which pairs an event says, said once; and tokens of epochs that are over."""

from collections.abc import Sequence
from itertools import groupby, pairwise
from pathlib import Path

import polars as pl
from hypothesis import given
from hypothesis import strategies as st
from kafka import TopicPartition

from tests.ingest.batches import Parties, Record, batch_of, gather
from tests.ingest.events import NOW_US, Event, event_id, token
from weaklink import frames, topology
from weaklink.ingest.stage import IngestStage
from weaklink.records import reasons
from weaklink.records.codec import encode
from weaklink.settings import Settings
from weaklink.stream.stage import Message, Output

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

    def __init__(self, folder: Path, oldest_epoch: int = 1) -> None:
        self.oldest_epoch = oldest_epoch
        self.stage = IngestStage(
            Settings(data_folder=folder), Parties(lab_a="lab", lab_b="lab"), lambda: self.oldest_epoch
        )
        self.offset = {"lab-a": 0, "lab-b": 0}
        self.assign()

    def assign(self) -> None:
        for party in self.offset:
            self.stage.restore(self.stage.unit(TopicPartition(f"party.{party}.events", 0)), None)

    def take(self, party: str, *events: Event) -> list[Output]:
        batch = batch_of([Record(encode("AccountOpened", one)) for one in events], self.offset[party], party)
        self.offset[party] += len(events)
        return self.stage.process([batch], replaying=False)


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
    ingest.oldest_epoch = 2
    events = [opened(2, token(4, 1, 1)), opened(3, token(4, 1, 2)), opened(4, token(4, 2, 2), token(1, 1, 1))]
    result = gather(ingest.take("lab-a", *events))
    assert [(reason, field, offset) for _, _, reason, field, offset in result.rejects] == [
        (reasons.EXPIRED_EPOCH, "identifiers", 1), (reasons.EXPIRED_EPOCH, "identifiers", 3),
    ]  # fmt: skip
    assert result.links["epoch"].to_list() == [2]
    assert all(one < other for one, other in pairwise(offset for *_, offset in result.rejects))
