"""Folding equals a plain loop over events, and does not depend on where the events are cut."""

import math
from collections import defaultdict
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from tests.ingest.batches import Parties, Record, Result, batch_of, ingest, new_stage
from tests.ingest.events import DAY_US, HOUR_US, NOW_US, Event, event_id, events_of, to_frame, token
from tests.ingest.merging import merge_activity, merge_links
from weaklink import frames
from weaklink.account_keys import account_key
from weaklink.ingest.config import IngestConfig
from weaklink.ingest.fold import fold_activity, fold_links, group_links
from weaklink.ingest.links import LinkTable
from weaklink.records.codec import encode
from weaklink.settings import Settings

CONFIG = IngestConfig(use_gap_hours=6)  # events of the tests span three days
SETTINGS = Settings(data_folder=Path("build/test-ingest"), clock="event", ingest=CONFIG)
LINKED = ["AccountOpened", "ApiUsage", "AddressLease", "PaymentAttempt", "AccountClosed"]
EVERY = [*LINKED, "ModelReleased", "ActionReceipt"]


def naive_links(events: list[Event], record: str, party: str) -> set[tuple[int, ...]]:
    """(identifier, tail, kind, epoch, slot, account, first, last, appended, mentions, requests), one event after the other."""
    spans_of: dict[tuple[int, ...], list[tuple[int, int, int, int]]] = defaultdict(list)
    for number, event in enumerate(events):
        appended = NOW_US + number
        for one in set(event["identifiers"]):
            if one[0] == 12:
                continue
            begin, spans = event["occurred_at"], []
            if record == "AddressLease" and one[0] == 1:
                released = event["released_at"]
                end = begin + CONFIG.lease_open_days * DAY_US if released is None else released
                for slot in range(begin // DAY_US, end // DAY_US + 1):
                    spans.append((slot, max(begin, slot * DAY_US), min(end, (slot + 1) * DAY_US - 1)))
            else:
                spans.append((begin // DAY_US if one[0] == 1 else 0, begin, begin))
            for slot, first, last in spans:
                key = (
                    int.from_bytes(one[2:10], "little"),
                    int.from_bytes(one[9:17], "little"),
                    one[0],
                    one[1],
                    slot,
                    account_key(party, event["account"]),
                )
                spans_of[key].append((first, last, appended, event.get("requests", 0)))
    return {(*key, *row) for key, spans in spans_of.items() for row in stretches(spans, slotted=key[4] > 0)}


def stretches(spans: list[tuple[int, int, int, int]], *, slotted: bool) -> list[list[int]]:
    """Uses of one identifier by one account, as rows of those that lie within the gap of each other."""
    rows: list[list[int]] = []
    for first, last, appended, requests in sorted(spans):
        if not rows or (not slotted and first - rows[-1][1] > CONFIG.use_gap_hours * HOUR_US):
            rows.append([first, last, appended, 0, 0])
        row = rows[-1]
        row[1:3] = [max(row[1], last), max(row[2], appended)]
        row[3] += 1
        row[4] += requests
    return rows


@pytest.mark.parametrize("record", LINKED)
def test_links_equal_a_plain_loop(record: str) -> None:
    """Every (identifier, slot, account) has the times and counts that a loop over the events gives."""

    @given(events=st.lists(events_of(record), max_size=20))
    @settings(max_examples=40, deadline=None)
    def check(events: list[Event]) -> None:
        links = fold_links(to_frame(record, events), record, "lab-a", CONFIG)
        assert links.schema == frames.LINKS
        rows = links.select(
                "identifier", "tail", "kind", "epoch", "slot", "account",
                "first_seen_us", "last_seen_us", "appended_at_us", "mentions", "requests",
            ).rows()  # fmt: skip
        assert len(rows) == len(set(rows))
        assert set(rows) == naive_links(events, record, "lab-a")

    check()


@pytest.mark.parametrize("record", EVERY)
def test_cutting_elsewhere_changes_nothing(record: str) -> None:
    """Folding two parts and merging gives the links and activity of the whole."""

    @given(events=st.lists(events_of(record), max_size=16), cut=st.integers(0, 16))
    @settings(max_examples=25, deadline=None)
    def check(events: list[Event], cut: int) -> None:
        whole = to_frame(record, events)
        parts = [whole[:cut], whole[cut:]]
        keys = ["identifier", "slot", "account", "tail", "kind", "epoch", "first_seen_us"]
        assert_frame_equal(
            merge_links([fold_links(part, record, "p1", CONFIG) for part in parts], CONFIG).sort(keys),
            fold_links(whole, record, "p1", CONFIG).sort(keys),
        )
        order = ["account", "hour", "model", "task", "end_user", "address_class", "first_seen_us", "appended_at_us"]
        assert_frame_equal(
            merge_activity([fold_activity(part, record, "p1") for part in parts]).sort(order),
            fold_activity(whole, record, "p1").sort(order),
        )

    check()


@given(events=st.lists(events_of("ApiUsage"), max_size=20))
@settings(max_examples=40, deadline=None)
def test_usage_equals_a_plain_loop(events: list[Event]) -> None:
    """Usage is folded by account, hour, model, task, end user and address class."""
    expected: dict[tuple[Any, ...], list[float]] = defaultdict(lambda: [0, 0, 0, 0, 0.0, 0.0])
    for event in events:
        key = (
            event["account"], event["occurred_at"] // HOUR_US, event["model"], event["task"], event["end_user"], event["address_class"]
        )  # fmt: skip
        logarithm = math.log(max(event["requests"], 1))
        for place, value in enumerate(
            (1, event["requests"], event["input_tokens"], event["output_tokens"], logarithm, logarithm**2)
        ):
            expected[key][place] += value
    rows = fold_activity(to_frame("ApiUsage", events), "ApiUsage", "lab-a")
    assert rows.schema == frames.ACTIVITY
    found = {
        tuple(row[:6]): list(row[6:])
        for row in rows.select(
            "account_name", "hour", "model", "task", "end_user", "address_class",
            "windows", "requests", "input_tokens", "output_tokens", "log_requests_sum", "log_requests_sq_sum",
        ).iter_rows()
    }  # fmt: skip
    assert found.keys() == expected.keys()
    for key, values in expected.items():
        assert found[key] == pytest.approx(values)
    assert rows["events"].sum() == len(events)


@pytest.mark.parametrize(
    "record", ["AccountOpened", "AddressLease", "PaymentAttempt", "AccountClosed", "ModelReleased"]
)
def test_other_records_keep_one_row_each(record: str) -> None:
    """Every event that is not usage is a row of its own with its fields."""

    @given(events=st.lists(events_of(record), max_size=10))
    @settings(max_examples=20, deadline=None)
    def check(events: list[Event]) -> None:
        rows = fold_activity(to_frame(record, events), record, "lab-a")
        assert rows.schema == frames.ACTIVITY
        assert rows["first_seen_us"].to_list() == [event["occurred_at"] for event in events]
        assert rows["account_name"].to_list() == [event.get("account") for event in events]
        for field in ("plan", "verified", "mail_class", "outcome", "instrument", "merchant", "reason", "model"):
            if events and field in events[0]:
                assert rows[field].to_list() == [event[field] for event in events]
        if events and "released_at" in events[0]:
            assert rows["released_at_us"].to_list() == [event["released_at"] for event in events]
        assert rows["requests"].to_list() == [0] * len(events)

    check()


def test_an_absurd_token_count_cannot_overflow_a_sum() -> None:
    """Counts near 2^63 from one party leave its own sums finite and positive."""
    event = {
        "event_id": event_id(1), "occurred_at": NOW_US, "account": "anna", "identifiers": [token(4, 1)], "window_seconds": 0,
        "model": "large-4", "task": "OTHER", "requests": (1 << 31) - 1, "input_tokens": (1 << 63) - 1, "output_tokens": (1 << 63) - 1,
        "end_user": None, "address_class": "VPN",
    }  # fmt: skip
    rows = fold_activity(to_frame("ApiUsage", [event] * 100), "ApiUsage", "lab-a")
    assert rows["input_tokens"].item() == 100 << 40
    assert fold_links(to_frame("ApiUsage", [event] * 100), "ApiUsage", "lab-a", CONFIG)["requests"].item() == 100 * (
        (1 << 31) - 1
    )


def test_an_endless_lease_is_capped() -> None:
    """A lease of a thousand years makes at most `lease_slots_max` links."""
    event = {
        "event_id": event_id(1), "occurred_at": NOW_US, "account": "anna", "identifiers": [token(1, 1), token(2, 1)],
        "released_at": NOW_US + 365_000 * DAY_US,
    }  # fmt: skip
    links = fold_links(to_frame("AddressLease", [event]), "AddressLease", "cloud-a", CONFIG)
    assert links.filter(pl.col("kind") == 1).height == CONFIG.lease_slots_max
    assert links.filter(pl.col("kind") == 2)["last_seen_us"].item() == NOW_US


def leases(count: int, tokens: int) -> list[Event]:
    """Of 91 days each, of so many addresses that nobody else has, all of them within ingest's limits."""
    return [
        {
            "event_id": event_id(n), "occurred_at": NOW_US - 62 * DAY_US, "account": f"lessee-{n}",
            "identifiers": [token(1, 100 * n + one) for one in range(tokens)], "released_at": NOW_US + 29 * DAY_US,
        }
        for n in range(count)
    ]  # fmt: skip


@pytest.mark.parametrize(("tokens", "slots"), [(1, 92), (2, 92), (3, 61), (32, 5)])
def test_a_lease_of_many_addresses_makes_no_more_links_than_one_of_two(tokens: int, slots: int) -> None:
    """One of one address, also with its token under the next keys, has all its days. Else a message of 636 bytes would make 2,944 links, and a batch of
    a megabyte more than a worker's memory holds: of one after the other, as each is killed for it and the next one reads the batch again."""
    events = leases(200, tokens)
    found = ingest([[batch_of([Record(encode("AddressLease", one)) for one in events], party="cloud-a")]])
    assert found.rejects == []
    assert found.links.height == 200 * tokens * slots
    assert found.links.height <= 200 * 2 * CONFIG.lease_slots_max
    assert_folded(found, [("cloud-a", "AddressLease", events)])


@pytest.mark.parametrize("beside_rows_min", [1 << 20, 0])
def test_what_a_full_table_holds_is_sent_and_the_rest_follows(
    beside_rows_min: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Together the same links, also of identifiers that lay idle: a transaction holds no more rows at a time than the table, whatever leases make."""
    monkeypatch.setattr("weaklink.ingest.links._ROWS_MAX", 1 << 12)
    monkeypatch.setattr("weaklink.ingest.beside.ROWS_MIN", beside_rows_min)
    heights: list[int] = []
    to_frames = LinkTable.to_frames

    def counted(table: LinkTable, partitions: int) -> list[tuple[int, pl.DataFrame]]:
        heights.append(len(table))
        return to_frames(table, partitions)

    monkeypatch.setattr(LinkTable, "to_frames", counted)
    opened: list[Event] = [
        {
            "event_id": event_id(n), "occurred_at": NOW_US - (n // 1_500) * DAY_US, "account": f"account-{n % 1_500}",
            "identifiers": [token(2, n % 1_500), token(1, n % 7), token(4, n)], "plan": "FREE", "verified": "NONE", "mail_class": "FREE",
            "address_class": "VPN",
        }
        for n in range(4_500)
    ]  # fmt: skip
    sent = [("lab-a", "AccountOpened", opened), ("cloud-a", "AddressLease", leases(100, 2))]
    batches = [batch_of([Record(encode(record, one)) for one in events], party=party) for party, record, events in sent]
    found = ingest([batches], SETTINGS)
    assert len(heights) > 5
    assert max(heights) <= 1 << 12
    found.links = group_links(found.links, CONFIG)
    assert_folded(found, sent)


def party_for(record: str) -> str:
    return {"AddressLease": "cloud-a", "PaymentAttempt": "pay-a"}.get(record, "lab-a")


@pytest.mark.parametrize(("joined_rows_max", "beside_rows_min"), [(0, 1 << 20), (64, 1 << 20), (0, 0)])
@pytest.mark.parametrize("record", LINKED)
def test_the_stage_folds_as_frames_are_folded(
    record: str, joined_rows_max: int, beside_rows_min: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compiled, from bytes, over several batches and transactions' worth of them, in one thread and in two: the same links and activity as from a frame
    of the events."""
    monkeypatch.setattr("weaklink.ingest.joining.JOINED_ROWS_MAX", joined_rows_max)
    monkeypatch.setattr("weaklink.ingest.beside.ROWS_MIN", beside_rows_min)
    party = party_for(record)

    @given(
        events=st.lists(events_of(record), min_size=1, max_size=30, unique_by=lambda event: event["event_id"]),
        cut=st.integers(0, 30),
    )
    @settings(max_examples=40, deadline=None)
    def check(events: list[Event], cut: int) -> None:
        values = [Record(encode(record, event)) for event in events]
        parts = [(0, values[:cut]), (min(cut, len(values)), values[cut:])]
        batches = [batch_of(part, base_offset=base, party=party) for base, part in parts if part]
        found = ingest([batches], SETTINGS)
        assert found.rejects == []
        assert_folded(found, [(party, record, events)])

    check()


@pytest.mark.parametrize("beside_rows_min", [1 << 20, 0])
def test_few_events_of_many_parties_are_folded_as_each_by_itself(
    beside_rows_min: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are folded together: accounts of one name stay those of their parties, and each record, token and text is its own."""
    monkeypatch.setattr("weaklink.ingest.beside.ROWS_MIN", beside_rows_min)
    kinds = {"lab-a": "lab", "lab-b": "lab", "cloud-a": "cloud", "pay-a": "payment"}
    registry = Parties(**{name.replace("-", "_"): kind for name, kind in kinds.items()})
    sends = [("lab-a", "ApiUsage"), ("lab-b", "ApiUsage"), ("lab-b", "AccountOpened"), ("lab-a", "AccountClosed")]
    sends += [("cloud-a", "AddressLease"), ("pay-a", "PaymentAttempt")]

    @given(data=st.data())
    @settings(max_examples=40, deadline=None)
    def check(data: st.DataObject) -> None:
        sent: list[tuple[str, str, list[Event]]] = []
        batches, offsets = [], dict.fromkeys(kinds, 0)
        for party, record in sends:
            few = st.lists(events_of(record), max_size=4, unique_by=lambda event: event["event_id"])
            known = {event["event_id"] for other, _, of in sent if other == party for event in of}
            events = [event for event in data.draw(few) if event["event_id"] not in known]
            sent.append((party, record, events))
            if events:
                values = [Record(encode(record, event)) for event in events]
                batches.append(batch_of(values, base_offset=offsets[party], party=party))
                offsets[party] += len(values)
        found = ingest([batches], SETTINGS, new_stage(SETTINGS, registry))
        assert found.rejects == []
        assert_folded(found, sent)

    check()


def assert_folded(found: Result, sent: list[tuple[str, str, list[Event]]]) -> None:
    """Links and activity are what folding the events of each party and record by itself gives."""
    links, activity = [frames.empty(frames.LINKS)], [frames.empty(frames.ACTIVITY)]
    for party, record, events in sent:
        frame = to_frame(record, events).with_columns(appended_at_us=pl.lit(NOW_US, pl.Int64))
        links.append(fold_links(frame, record, party, CONFIG))
        activity.append(fold_activity(frame, record, party))
    keys = ["identifier", "slot", "account", "tail", "kind", "epoch", "first_seen_us"]
    assert_frame_equal(found.links.sort(keys), group_links(pl.concat(links), CONFIG).sort(keys))
    order = [name for name, dtype in frames.ACTIVITY.items() if dtype != pl.Float64]
    assert_frame_equal(found.activity.sort(order), pl.concat(activity).sort(order))
