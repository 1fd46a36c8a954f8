"""The stage on a real broker: campaigns and decisions once, and the same ids after a restart, with a snapshot and without."""

import shutil
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from tests.campaigns.test_state import verdict
from tests.campaigns.test_track import PARTIES, world_with
from tests.campaigns.worlds import World, campaign
from tests.topics import create_topics
from tests.waiting import PATIENCE_SECONDS, wait_until
from weaklink import frames
from weaklink.benign import ADD, REMOVE, BenignRecord, account_entry, record
from weaklink.benign_topic import write_records
from weaklink.campaigns.benign import BENIGN
from weaklink.campaigns.messages import Topics
from weaklink.campaigns.stage import CampaignsStage
from weaklink.kafka_options import KafkaConfig
from weaklink.records.codec import decode, encode
from weaklink.settings import Settings
from weaklink.small_topics import append
from weaklink.stream.config import StreamConfig
from weaklink.stream.runner import Runner
from weaklink.stream.stage import Message
from weaklink.topology import StageSpec

PARTITIONS = 2


@pytest.fixture
def topics(kafka: KafkaConfig) -> Topics:
    """Topics of this test alone."""
    mark = uuid.uuid4().hex[:8]
    names = {name: f"{name}-{mark}" for name in ("activity", "shared", "feedback", "benign", "campaigns", "decisions")}
    create_topics(kafka, [names["campaigns"]], partitions=1, configs={"cleanup.policy": "compact"})
    create_topics(kafka, [name for role, name in names.items() if role != "campaigns"], PARTITIONS)
    return Topics(**names)


class WatchedStage(CampaignsStage):
    """Shows, from its own thread, what its benign list held at the last tick: its tables fold when they are read, so no other thread may."""

    listed = pl.DataFrame(schema=BENIGN)
    accounts_listed = 0

    def tick(self, now_us: int) -> list[Message]:
        out = super().tick(now_us)
        benign = self.engine.state.benign
        self.accounts_listed = len(benign.accounts(0))
        self.listed = benign.table.rows()
        return out


@contextmanager
def running(kafka: KafkaConfig, topics: Topics, folder: Path) -> Iterator[WatchedStage]:
    """The stage in a thread, under event time."""
    settings = Settings(
        kafka=kafka, stream=StreamConfig(tick_seconds=0.2, snapshot_seconds=600), data_folder=folder, clock="event"
    )
    spec = StageSpec(
        "campaigns",
        "columnar",
        f"weaklink.{topics.activity}",
        (topics.activity, topics.shared, topics.feedback, topics.benign),
        (topics.campaigns, topics.decisions),
        "campaigns under test",
    )
    stage = WatchedStage(settings, lambda: PARTIES, topics)
    runner = Runner(stage, spec, settings, slot=topics.activity)
    thread = threading.Thread(target=runner.run)
    thread.start()
    try:
        yield stage
    finally:
        runner.stop()
        thread.join(PATIENCE_SECONDS)
        assert not thread.is_alive()


def publish(kafka: KafkaConfig, topics: Topics, world: World) -> None:
    """The world's frames, in several chunks on all partitions."""
    producer = KafkaProducer(**kafka.client_options(), max_request_size=8 << 20)
    for topic, rows in ((topics.activity, world.activity()), (topics.shared, world.shared())):
        for part in range(PARTITIONS):
            mine = rows.filter(pl.col("account") % PARTITIONS == part)
            for piece in (mine[: mine.height // 2], mine[mine.height // 2 :]):
                producer.send(topic, frames.to_chunk(piece), partition=part)
    producer.flush(PATIENCE_SECONDS)
    producer.close()


def read(kafka: KafkaConfig, topic: str, partitions: int, kind: str) -> list[dict[str, Any]]:
    """Every committed record of this kind on a topic."""
    consumer = KafkaConsumer(**kafka.client_options(), isolation_level="read_committed", auto_offset_reset="earliest")
    assigned = [TopicPartition(topic, number) for number in range(partitions)]
    consumer.assign(assigned)
    ends = consumer.end_offsets(assigned)
    found: list[dict[str, Any]] = []
    while any(consumer.position(one) < ends[one] for one in assigned):
        for records in consumer.poll(300).values():
            decoded = [decode(record.value) for record in records if record.value is not None]
            found += [values for name, values in decoded if name == kind]
    consumer.close()
    return found


def settled(kafka: KafkaConfig, topics: Topics, least: int) -> list[dict[str, Any]]:
    """The campaigns published, once there are at least so many ids and no more come."""
    found: list[dict[str, Any]] = []

    def no_more() -> bool:
        nonlocal found
        time.sleep(1.0)
        before, found = len(found), read(kafka, topics.campaigns, 1, "Campaign")
        return len({one["campaign_id"] for one in found}) >= least and len(found) == before

    wait_until(no_more, lambda: f"{len(found)} messages, {least} campaigns wanted")
    return found


def measures(kafka: KafkaConfig, topics: Topics) -> list[tuple[Any, ...]]:
    return [
        (d["campaign_id"], m["op"], m["party"], m["measure"], m["target_account"], m["target_token"])
        for d in read(kafka, topics.decisions, PARTITIONS, "Decision")
        for m in d["measures"]
    ]


@pytest.mark.kafka
@pytest.mark.parametrize("snapshot", [True, False])
def test_a_restart_goes_on_with_the_same_ids_and_says_nothing_twice(
    kafka: KafkaConfig, topics: Topics, tmp_path: Path, snapshot: bool
) -> None:
    """Found, stopped, started again (with and without its snapshot): one id, each measure once; then growth under the same id."""
    world = world_with("c")
    publish(kafka, topics, world)
    with running(kafka, topics, tmp_path):
        first = settled(kafka, topics, 1)
    said = measures(kafka, topics)
    assert said
    assert len(said) == len(set(said))
    if not snapshot:
        shutil.rmtree(tmp_path / "snapshots")
    with running(kafka, topics, tmp_path) as stage:
        campaign(world, "d", 40)
        publish(kafka, topics, world)
        later = settled(kafka, topics, 2)
        assert {one["campaign_id"] for one in first} <= set(stage.engine.tracker.campaigns)
    ids = {one["campaign_id"] for one in later}
    assert len(ids) == 2
    assert {one["campaign_id"] for one in first} < ids
    again = measures(kafka, topics)
    old = {one["campaign_id"] for one in first}
    assert [m for m in again if m[0] in old and m[1] == "WITHDRAW" and m[3] == "SUSPEND"] == []
    assert len([m for m in again if m[1] == "ISSUE"]) == len({m for m in again if m[1] == "ISSUE"})


@pytest.mark.kafka
def test_a_dispute_on_the_feedback_topic_withdraws_the_measure(
    kafka: KafkaConfig, topics: Topics, tmp_path: Path
) -> None:
    """The party's word comes back through enforce's feedback, and the measure on its account falls."""
    publish(kafka, topics, world_with("c"))
    with running(kafka, topics, tmp_path):
        (found,) = settled(kafka, topics, 1)[-1:]
        standing = [one["measure"] for one in read(kafka, topics.campaigns, 1, "StandingMeasure")]
        measure = next(m for m in standing if m["target_account"] and m["party"] == "lab-a")
        feedback = verdict("lab-a", measure["target_account"], "DISPUTED", measure["measure"])
        feedback |= {"campaign_id": found["campaign_id"], "recorded_at": found["updated_at"]}
        producer = KafkaProducer(**kafka.client_options())
        producer.send(topics.feedback, encode("Feedback", feedback), key=b"x").get(PATIENCE_SECONDS)
        producer.close()

        def withdrawn() -> set[Any]:
            return {m[4] for m in measures(kafka, topics) if m[1] == "WITHDRAW"}

        wait_until(lambda: measure["target_account"] in withdrawn())


@pytest.mark.kafka
def test_an_account_put_on_the_benign_list_is_let_go(kafka: KafkaConfig, topics: Topics, tmp_path: Path) -> None:
    """A person lists a member: its measures fall. Taken off again, it is judged as any other; a restart knows both records.
    What nobody can read stands before them: the topic is kept for ever, and the stage would end of it again and again."""
    publish(kafka, topics, world_with("c"))

    def listed(op: str, minutes: int) -> BenignRecord:
        at = datetime(2026, 3, 2, tzinfo=UTC) + timedelta(minutes=minutes)
        entry = account_entry("lab-a", member["account"])
        return record(entry=entry, op=op, reason="our own tests", by="ann", recorded_at=at)

    def members() -> set[str]:
        return set(stage.engine.tracker.members.filter("flagged")["account_name"].to_list())

    with running(kafka, topics, tmp_path) as stage:
        settled(kafka, topics, 1)
        standing = [one["measure"] for one in read(kafka, topics.campaigns, 1, "StandingMeasure")]
        measure = next(m for m in standing if m["target_account"] and m["party"] == "lab-a")
        member = {"account": measure["target_account"]}
        append(kafka, topics.benign, [("of a newer version", b'{"entry": "?"}')], "the list")
        write_records(kafka, [listed(ADD, 0)], topics.benign)
        wait_until(lambda: member["account"] not in members())
        wait_until(lambda: member["account"] in {m[4] for m in measures(kafka, topics) if m[1] == "WITHDRAW"})
        write_records(kafka, [listed(REMOVE, 1)], topics.benign)
        wait_until(lambda: stage.listed.height == 2)
        assert stage.accounts_listed == 0
    with running(kafka, topics, tmp_path) as stage:
        wait_until(lambda: stage.listed.height == 2)
