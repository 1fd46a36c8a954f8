"""ingest on a real broker, as the process that operators run: exactly once through kills, new parties, compressions."""

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any
from uuid import uuid4

import polars as pl
import pytest
from kafka import KafkaProducer
from kafka.admin import KafkaAdminClient
from polars.testing import assert_frame_equal

from tests.ingest.events import Event, event_id, to_frame, token
from tests.ingest.merging import merge_links
from tests.ingest.worker import committed, ends, outputs, start_worker, worker
from tests.topics import create_topics
from tests.waiting import wait_until
from weaklink import frames, topology
from weaklink.account_keys import account_key
from weaklink.ingest.config import IngestConfig
from weaklink.ingest.fold import fold_links
from weaklink.kafka_options import KafkaConfig
from weaklink.ops.group_offsets import committed_offsets
from weaklink.ops.provision import add_party, provision
from weaklink.parties import Party, PartyKind
from weaklink.records import reasons
from weaklink.records.codec import encode
from weaklink.settings import Settings

pytestmark = pytest.mark.kafka
PARTITIONS = 2


@pytest.fixture
def settings(kafka: KafkaConfig, tmp_path: Path) -> Settings:
    found = Settings(kafka=kafka, data_folder=tmp_path)
    provision(found)
    return found


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "worker.log"
    path.touch()
    return path


def new_party(settings: Settings, kind: PartyKind = PartyKind.LAB) -> str:
    return add_party(settings, Party(id=f"{kind}-{uuid4().hex[:8]}", kind=kind, events_partitions=PARTITIONS)).id


def usage(number: int, now_us: int) -> Event:
    return {
        "event_id": event_id(number), "occurred_at": now_us - number % 1000, "account": f"account-{number % 97}",
        "identifiers": [token(4, number % 31), token(1, number % 17), token(12, 1)], "window_seconds": 0, "model": "large-4",
        "task": "OTHER", "requests": number % 5, "input_tokens": 10, "output_tokens": 20, "end_user": None, "address_class": "VPN",
    }  # fmt: skip


def publish(settings: Settings, party: str, values: Sequence[tuple[int, bytes | None]], **options: Any) -> None:
    """(partition, value) in this order; keys and headers vary."""
    producer = KafkaProducer(**settings.kafka.client_options(), linger_ms=20, batch_size=20_000, **options)
    for number, (partition, value) in enumerate(values):
        key = None if number // 500 % 2 else b"key"
        headers = [("trace", b"x")] if number // 700 % 2 else None
        producer.send(f"party.{party}.events", value, key=key, headers=headers, partition=partition)
    producer.close()


def caught_up(settings: Settings, party: str) -> bool:
    topic = f"party.{party}.events"
    done = {tp: offset or 0 for tp, offset in committed(settings, topic, PARTITIONS).items()}
    return done == ends(settings, topic, PARTITIONS)


def assert_audit(entries: Sequence[dict[str, Any]], totals: dict[str, int]) -> None:
    """Ranges of each partition follow one another without gap or overlap, and sum up."""
    by_partition: dict[tuple[str, int], list[dict[str, Any]]] = defaultdict(list)
    for entry in entries:
        assert entry["consumed"] == entry["accepted"] + entry["rejected"] + entry["duplicates"]
        by_partition[entry["topic"], entry["partition"]].append(entry)
    for found in by_partition.values():
        found.sort(key=lambda entry: entry["from_offset"])
        assert found[0]["from_offset"] == 0
        assert all(one["to_offset"] == other["from_offset"] for one, other in pairwise(found))
    assert {name: sum(entry[name] for entry in entries) for name in totals} == totals


def kill_in_mid_run(settings: Settings, log: Path, party: str) -> None:
    """Start a worker and end it by kill -9 once it has committed some of what lies there, and before it has committed all."""
    group = topology.stage("ingest").group
    with closing(KafkaAdminClient(**settings.kafka.client_options())) as admin:

        def done() -> int:
            """Not `committed`, which does not answer as long as a transaction is open."""
            offsets = committed_offsets(admin, [group])[group]
            return sum(offset for tp, offset in offsets.items() if tp.topic == f"party.{party}.events")

        before = done()
        # Small transactions, so that there are many.
        process = start_worker(settings, log, WEAKLINK_STREAM__BATCHES_MAX="1", WEAKLINK_STREAM__BATCH_RECORDS_MAX="1000")  # fmt: skip
        try:
            wait_until(lambda: done() > before, log.read_text)
        finally:
            process.kill()
            process.wait()
        total = sum(offset or 0 for offset in ends(settings, f"party.{party}.events", PARTITIONS).values())
        assert done() < total, "there was too little to do: nothing was cut"


def test_texts_that_no_chunk_has_room_for_stop_nobody(settings: Settings, log: Path) -> None:
    """Models that a party makes up, as long as they may be: zstd packs them into few batches, lz4 does not, and all of one account go to one
    partition. The rows are cut into several messages; they once made a message that no topic takes, with every attempt, for all parties."""
    party, other = new_party(settings), new_party(settings)
    now_us, of = time.time_ns() // 1000, settings.topics.activity_partitions
    account = next(name for n in range(1000) if account_key(party, name := f"account-{n}") % of == 0)
    random = Random(1)
    models = ["".join(chr(random.randrange(0x20000, 0x2A000)) for _ in range(248)) for _ in range(300)]
    values: list[tuple[int, bytes | None]] = [
        (0, encode("ApiUsage", usage(n, now_us) | {"account": account, "model": f"{models[n % 300]}{n:08}", "requests": 1}))
        for n in range(16_000)
    ]  # fmt: skip
    publish(settings, party, values, compression_type="zstd")
    publish(settings, other, [(0, encode("ApiUsage", usage(1, now_us)))])
    with worker(settings, log):
        wait_until(lambda: caught_up(settings, party) and caught_up(settings, other), log.read_text)
    found = outputs(settings, party, other)
    assert found.rejects == []
    mine = found.activity.filter(party=party)
    assert mine["requests"].sum() == mine["model"].n_unique() == 16_000
    assert "transaction_aborted" not in log.read_text()


def test_every_event_counts_once_through_kills(settings: Settings, log: Path) -> None:
    """kill -9 three times in mid-run: the links are those of an independent calculation, rejects are said once, the audit is without gap."""
    party = new_party(settings)
    now_us = time.time_ns() // 1000
    events = [usage(number, now_us) for number in range(18_000)]

    def publish_part(part: int) -> None:
        # Each event twice now and then, and something bad: by partition, so that the repeat meets the window.
        values: list[tuple[int, bytes | None]] = []
        for number, event in enumerate(events[part * 3000 : part * 3000 + 3000]):
            value = encode("ApiUsage", event)
            values += [(number % PARTITIONS, value)] * (2 if number % 100 == 0 else 1)
            if number % 250 == 0:
                values.append((number % PARTITIONS, value[:-1]))
        publish(settings, party, values, compression_type=("gzip", "lz4", "zstd", None)[part % 4])

    for part in range(5):
        publish_part(part)
    for _ in range(3):
        kill_in_mid_run(settings, log, party)
    with worker(settings, log):
        publish_part(5)
        wait_until(lambda: caught_up(settings, party), log.read_text)
    result = outputs(settings, party)
    links = merge_links([result.links, result.links.clear()], IngestConfig())
    keys = ["identifier", "slot", "account"]
    expected = fold_links(to_frame("ApiUsage", events), "ApiUsage", party, IngestConfig())
    total = pl.concat([links, frames.empty(frames.LINKS)]).group_by(keys).agg(
        pl.col("first_seen_us").min(), pl.col("last_seen_us").max(), pl.col("mentions", "requests").sum()
    )  # fmt: skip
    assert_frame_equal(total.sort(keys), expected.select(total.columns).sort(keys))
    assert result.activity["requests"].sum() == sum(event["requests"] for event in events)
    assert len(result.rejects) == 72
    assert {found[2] for found in result.rejects} == {reasons.MALFORMED}
    assert_audit(result.audit, {"consumed": 18_252, "accepted": 18_000, "rejected": 72, "duplicates": 180})


@pytest.fixture
def stranger(settings: Settings) -> Iterator[str]:
    """An id that nobody registered, whose topic of events is there with a message. Gone afterwards, since the cluster is shared."""
    party = f"stranger-{uuid4().hex[:8]}"
    create_topics(settings.kafka, [f"party.{party}.events"], PARTITIONS)
    publish(settings, party, [(0, encode("ApiUsage", usage(3, time.time_ns() // 1000)))])
    yield party
    with closing(KafkaAdminClient(**settings.kafka.client_options())) as admin:
        admin.delete_topics([f"party.{party}.events"])


def test_a_party_added_while_it_runs_is_read(settings: Settings, log: Path, stranger: str) -> None:
    """A running worker finds a new party's topic, and leaves one of an unregistered party alone."""
    first = new_party(settings)
    now_us = time.time_ns() // 1000
    with worker(settings, log):
        publish(settings, first, [(0, encode("ApiUsage", usage(1, now_us)))])
        wait_until(lambda: caught_up(settings, first), log.read_text)
        added = new_party(settings)
        publish(settings, added, [(0, encode("ApiUsage", usage(2, now_us)))])
        wait_until(lambda: caught_up(settings, added), log.read_text)
        assert outputs(settings, added).activity["events"].sum() == 1
    assert set(committed(settings, f"party.{stranger}.events", PARTITIONS).values()) == {None}
    left = outputs(settings, stranger)
    assert (left.activity.height, left.audit, left.rejects) == (0, [], [])


@pytest.fixture
def misnamed(settings: Settings) -> Iterator[str]:
    """`party.x.events`, with a message: too short an id for a party. Gone afterwards, since the cluster is shared."""
    topic = "party.x.events"
    create_topics(settings.kafka, [topic], PARTITIONS)
    publish(settings, "x", [(0, b"x")])
    yield topic
    with closing(KafkaAdminClient(**settings.kafka.client_options())) as admin:
        admin.delete_topics([topic])


def test_a_topic_whose_party_cannot_be_is_left_alone(settings: Settings, log: Path, misnamed: str) -> None:
    """Whoever may create topics may misname one: read, it would end every worker, again after each restart, and all parties' events would wait."""
    party = new_party(settings)
    with worker(settings, log):
        publish(settings, party, [(0, encode("ApiUsage", usage(1, time.time_ns() // 1000)))])
        wait_until(lambda: caught_up(settings, party), log.read_text)
    assert set(committed(settings, misnamed, PARTITIONS).values()) == {None}


def test_a_batch_that_inflates_too_far_is_rejected_by_range(settings: Settings, log: Path) -> None:
    """One reject names its offsets; what comes before and after it counts."""
    party = new_party(settings)
    now_us = time.time_ns() // 1000
    publish(settings, party, [(0, encode("ApiUsage", usage(1, now_us)))])
    producer = KafkaProducer(
        **settings.kafka.client_options(),
        linger_ms=60_000,  # until it is flushed: one batch, however slow the machine
        batch_size=4 << 20,
        compression_type="gzip",
        max_request_size=4 << 20,
    )
    for _ in range(3):
        producer.send(f"party.{party}.events", bytes(900_000), partition=0)
    producer.flush()
    producer.close()
    publish(settings, party, [(0, encode("ApiUsage", usage(2, now_us)))])
    with worker(settings, log, WEAKLINK_STREAM__INFLATED_BATCH_BYTES_MAX=str(1 << 20)):
        wait_until(lambda: caught_up(settings, party), log.read_text)
    result = outputs(settings, party)
    assert [(found[1], found[2], found[4]) for found in result.rejects] == [(b"", reasons.BATCH_TOO_LARGE, 1)]
    assert_audit(result.audit, {"consumed": 5, "accepted": 2, "rejected": 3, "duplicates": 0})
