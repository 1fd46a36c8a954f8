"""Where batches are cut, how records are keyed, headed, compressed or damaged changes nothing about the events in them."""

import datetime
import io
import random
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import fastavro
import polars as pl
import pytest
from chaos.judge import decode_body
from hypothesis import given, settings
from hypothesis import strategies as st
from kafka import TopicPartition
from polars.testing import assert_frame_equal
from prometheus_client import REGISTRY

from tests.ingest.batches import Parties, Record, Result, batch_of, gather, ingest, new_stage
from tests.ingest.decoding import read
from tests.ingest.events import Event, events_of
from tests.ingest.merging import merge_activity, merge_links
from weaklink.errors import BrokerError
from weaklink.ingest.config import IngestConfig
from weaklink.ingest.events import read_values
from weaklink.ingest.layout import compile_layout
from weaklink.parties import Party
from weaklink.records.codec import decode as decode_one
from weaklink.records.codec import encode
from weaklink.records.schemas import EVENT_RECORDS, Schema, latest
from weaklink.settings import Settings

LAB = ("AccountOpened", "ApiUsage", "AccountClosed", "ModelReleased", "ActionReceipt")


def values_of(record: str) -> st.SearchStrategy[bytes]:
    return events_of(record).map(lambda event: encode(record, event))


def damaged(value: bytes, at: int, how: str) -> bytes:
    at = min(at, len(value))
    return {
        "cut": value[:at],
        "longer": value + b"\x00" * (at % 3 + 1),
        "flip": value[:at] + b"\xfe" + value[at + 1 :],
    }[how]


any_value = st.one_of(*(values_of(record) for record in LAB))
bad_value = st.builds(damaged, any_value, st.integers(0, 120), st.sampled_from(["cut", "longer", "flip"]))
records = st.builds(
    Record,
    st.one_of(any_value, any_value, any_value, bad_value, st.none()),
    st.none() | st.binary(max_size=5),
    st.lists(st.tuples(st.text(max_size=3), st.binary(max_size=3)), max_size=2).map(tuple),
)


def summary(result: Result) -> dict[str, Any]:
    keys = ["identifier", "slot", "account", "first_seen_us"]
    order = [
        "account",
        "record",
        "hour",
        "model",
        "task",
        "end_user",
        "address_class",
        "first_seen_us",
        "plan",
        "verified",
        "mail_class",
        "reason",
    ]
    totals = {
        name: sum(entry[name] for entry in result.audit) for name in ("consumed", "accepted", "rejected", "duplicates")
    }
    return {
        "links": merge_links([result.links, result.links[:0]], IngestConfig()).pipe(_regroup).sort(keys),
        "activity": merge_activity([result.activity, result.activity[:1].clear()]).pipe(_regroup_activity).sort(order),
        "rejects": result.rejects,
        "receipts": [(message.key, message.value) for message in result.receipts],
        "totals": totals,
    }


def _regroup(links: pl.DataFrame) -> pl.DataFrame:
    half = links.height // 2
    return merge_links([links[:half], links[half:]], IngestConfig())


def _regroup_activity(activity: pl.DataFrame) -> pl.DataFrame:
    half = activity.height // 2
    return merge_activity([activity[:half], activity[half:]])


@given(found=st.lists(records, max_size=25), cuts=st.lists(st.integers(0, 25), max_size=6), polls=st.integers(1, 4))
@settings(max_examples=80, deadline=None)
def test_cutting_batches_elsewhere_changes_nothing(found: list[Record], cuts: list[int], polls: int) -> None:
    """The same records in other batches and other transactions: the same links, activity, receipts and rejects."""
    if not found:
        return
    whole = ingest([[batch_of(found)]])
    bounds = sorted({0, len(found), *(cut for cut in cuts if cut < len(found))})
    batches = [batch_of(found[begin:end], base_offset=begin) for begin, end in pairwise(bounds)]
    merged = [batches[begin : begin + polls] for begin in range(0, len(batches), polls)]
    one, other = summary(whole), summary(ingest(merged))
    for name in ("links", "activity"):
        assert_frame_equal(one.pop(name), other.pop(name))
    assert one == other


@given(found=st.lists(any_value, min_size=1, max_size=20), null_key=st.booleans(), headers=st.integers(0, 9))
@settings(max_examples=40, deadline=None)
def test_keys_and_headers_do_not_matter(found: list[bytes], null_key: bool, headers: int) -> None:
    """With or without keys, and with any number of headers, the values come out as they went in."""
    head = tuple((f"h{number}", b"x" * number) for number in range(headers))
    batch = batch_of([Record(value, None if null_key else b"key", head) for value in found])
    values, bad = read_values([(batch.payload, batch.records_count)])
    assert bad == {}
    assert [values.value(row) for row in range(len(values))] == found
    assert values.offset_deltas.tolist() == list(range(len(found)))


@given(found=st.lists(records, min_size=1, max_size=12))
@settings(max_examples=60, deadline=None)
def test_mixed_records_are_read_as_kafka_wrote_them(found: list[Record]) -> None:
    """Keys, null keys, headers and null values in one batch, and such batches side by side."""
    batches = [batch_of(found), batch_of(found[:1]), batch_of(found)]
    values, bad = read_values([(b.payload, b.records_count) for b in batches])
    assert bad == {}
    assert [values.value(row) for row in range(len(values))] == [one.value for one in (*found, found[0], *found)]
    assert values.batch.tolist() == [0] * len(found) + [1] + [2] * len(found)


@pytest.mark.parametrize("record", EVENT_RECORDS)
def test_columns_equal_the_record_by_record_reader(record: str) -> None:
    """Every field of every event is what fastavro reads."""

    @given(found=st.lists(events_of(record), min_size=1, max_size=20))
    @settings(max_examples=25, deadline=None)
    def check(found: list[Event]) -> None:
        values = [encode(record, event) for event in found]
        layout = compile_layout(latest(record))
        decoded = read(values, layout, 10)
        assert decoded.bad == []
        rows = decoded.frame.drop("row").cast({pl.Datetime: pl.Int64}).to_dicts()
        expected = []
        for value in values:
            name, fields = decode_one(value)
            assert name == record
            expected.append({key: _plain(field) for key, field in fields.items()})
        assert rows == expected

    check()


def _plain(value: Any) -> Any:
    if isinstance(value, datetime.datetime):
        return round((value - datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)) / datetime.timedelta(microseconds=1))
    return value


def test_whatever_is_damaged_each_value_is_judged_alone() -> None:
    """2,000 mutated events: a value is accepted among others exactly if it is accepted alone, and then the slow reader accepts it too."""
    generator = random.Random(3)
    layout = compile_layout(latest("ApiUsage"))
    base = [
        encode(
            "ApiUsage",
            {
                "event_id": bytes(16), "occurred_at": 1, "account": "anna", "identifiers": [bytes(17)] * 2, "window_seconds": 0, "model": "m",
                "task": "OTHER", "requests": 1, "input_tokens": 1, "output_tokens": 1, "end_user": None, "address_class": "VPN",
            },
        )[10:]
    ]  # fmt: skip
    bodies = []
    for _ in range(2000):
        body = bytearray(base[0])
        for _ in range(generator.randint(0, 2)):
            body[generator.randrange(len(body))] = generator.randrange(256)
        bodies.append(bytes(body[: generator.choice([len(body), len(body), generator.randrange(len(body))])]))
    together = read(bodies, layout)
    accepted = set(together.frame["row"].to_list())
    for number in range(0, 2000, 7):
        assert (read(bodies[number : number + 1], layout).frame.height == 1) == (number in accepted)
        if number in accepted:
            assert not decode_body(latest("ApiUsage"), bodies[number])[1]
    assert len(accepted) + len(together.reasons()) == 2000
    assert 200 < len(accepted) < 1900


def test_an_event_is_counted_once_over_batches_and_partitions_apart(tmp_path: Path) -> None:
    """The same event twice in a partition is a duplicate, in another partition it is another event."""
    value = Record(
        encode(
            "ModelReleased",
            {"event_id": b"i" * 16, "occurred_at": 1_795_000_000_000_000, "model": "m", "released_at": 5},
        )
    )
    polls = [[batch_of([value, value]), batch_of([value], partition=1)], [batch_of([value], base_offset=2)]]
    result = ingest(polls, stage=new_stage(Settings(data_folder=tmp_path)))
    assert [(entry["partition"], entry["accepted"], entry["duplicates"]) for entry in result.audit] == [
        (0, 1, 1),
        (1, 1, 0),
        (0, 0, 1),
    ]


def test_replay_says_nothing_and_rebuilds_the_window(tmp_path: Path) -> None:
    """After silent replay of the events before, a repeat of one of them is a duplicate."""
    values = [
        Record(
            encode(
                "ModelReleased",
                {"event_id": bytes([n]) * 16, "occurred_at": 1_795_000_000_000_000, "model": "m", "released_at": 5},
            )
        )
        for n in range(10)
    ]
    stage = new_stage(Settings(data_folder=tmp_path))
    batch = batch_of(values)
    stage.restore(stage.unit(batch.source), None)
    assert stage.process([batch.clipped(2, 10)], replaying=True) == []
    result = gather(stage.seal(stage.process([batch_of(values, base_offset=10)], replaying=False), {}))
    assert result.activity.height == 2  # only the two that were clipped off


def test_event_ids_that_lie_in_files_are_told(tmp_path: Path) -> None:
    """As soon as a window is rebuilt, and until it is given up."""
    stage = new_stage(Settings(data_folder=tmp_path, ingest=IngestConfig(duplicate_memory_bytes_max=0)))
    event = {"event_id": b"i" * 16, "occurred_at": 1_795_000_000_000_000, "model": "m", "released_at": 5}
    batch = batch_of([Record(encode("ModelReleased", event))])
    unit = stage.unit(batch.source)
    stage.restore(unit, None)
    stage.process([batch], replaying=True)
    assert (REGISTRY.get_sample_value("weaklink_spilled_bytes", {"stage": "ingest"}) or 0) > 0
    stage.release(unit)
    assert REGISTRY.get_sample_value("weaklink_spilled_bytes", {"stage": "ingest"}) == 0


def test_a_batch_that_is_no_batch_is_rejected_whole(tmp_path: Path) -> None:
    """Bytes that are no Kafka records cost one reject, and the batch after it counts."""
    good = [
        Record(
            encode(
                "ModelReleased",
                {"event_id": b"i" * 16, "occurred_at": 1_795_000_000_000_000, "model": "m", "released_at": 5},
            )
        )
    ]
    broken = replace(batch_of(good), payload=b"\xff\xff\xff")
    result = ingest([[broken, batch_of(good, base_offset=1)]], stage=new_stage(Settings(data_folder=tmp_path)))
    assert [(found[2], found[4]) for found in result.rejects] == [("MALFORMED", 0)]
    assert result.activity.height == 1


def test_an_older_writer_is_read_as_the_latest(tmp_path: Path) -> None:
    """Fields that the writer lacks take their defaults, its symbols are matched by name, and int is widened to long."""
    definition = {
        "type": "record", "name": "ApiUsage", "namespace": "weaklink",
        "fields": [
            {"name": "event_id", "type": "bytes"},
            {"name": "occurred_at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
            {"name": "account", "type": "string"},
            {"name": "extra", "type": ["null", "double"]},
            {"name": "window_seconds", "type": "int"},
            {"name": "model", "type": "string"},
            {"name": "task", "type": {"type": "enum", "name": "Task", "symbols": ["VISION", "OTHER"]}},
            {"name": "requests", "type": "int"},
            {"name": "input_tokens", "type": "int"},
            {"name": "output_tokens", "type": "long"},
        ],
    }  # fmt: skip
    layout = compile_layout(Schema("ApiUsage", 0, definition, fastavro.parse_schema(definition), b""))
    out = io.BytesIO()
    fields = {
        "event_id": b"i" * 16, "occurred_at": 5, "account": "anna", "extra": 1.5, "window_seconds": 0, "model": "m", "task": "VISION",
        "requests": 3, "input_tokens": 4, "output_tokens": 5,
    }  # fmt: skip
    fastavro.schemaless_writer(out, fastavro.parse_schema(definition), fields)
    row = read([out.getvalue()], layout).frame.row(0, named=True)
    assert (row["task"], row["identifiers"], row["end_user"], row["address_class"], row["input_tokens"]) == (
        "VISION",
        [],
        None,
        "UNKNOWN",
        4,
    )


def test_ingest_goes_on_while_the_registry_of_parties_cannot_be_read() -> None:
    """With the parties known so far; at the start, when none is known, it says so instead."""

    class Away(Parties):
        away = False

        def refresh(self) -> dict[str, Party]:
            if self.away:
                raise BrokerError("the registry of parties cannot be used")
            return super().refresh()

    parties = Away(lab_a="lab")
    stage = new_stage(Settings(data_folder=Path("build/test-ingest")), parties)
    parties.away = True
    assert stage.admits(TopicPartition("party.lab-a.events", 0))
    assert not stage.admits(TopicPartition("party.lab-b.events", 0))
    with pytest.raises(BrokerError):
        new_stage(Settings(data_folder=Path("build/test-ingest")), parties)


def test_partitions_wait_for_a_slow_registry_once_and_not_one_after_another() -> None:
    """With Kafka away each refresh takes half a minute: for hundreds of partitions the loop would stand still, deaf to a stop."""

    class Slow(Parties):
        refreshes = 0

        def refresh(self) -> dict[str, Party]:
            self.refreshes += 1
            time.sleep(0.6)
            return super().refresh()

    parties = Slow(lab_a="lab")
    config = IngestConfig(registry_refresh_seconds=0.5)
    stage = new_stage(Settings(data_folder=Path("build/test-ingest"), ingest=config), parties)
    parties.refreshes = 0
    assert all(stage.admits(TopicPartition("party.lab-a.events", number)) for number in range(5))
    assert parties.refreshes == 1
