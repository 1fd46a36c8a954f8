"""kill -9 of the campaigns stage on a real broker: a standby with another transactional id goes on where it was."""

import os
import subprocess
import sys
import threading
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import pytest
from kafka import KafkaProducer
from polars.testing import assert_frame_equal

from tests.campaigns.test_stage import measures, publish, read, running, settled, topics
from tests.campaigns.test_track import world_with
from tests.campaigns.worlds import campaign
from tests.waiting import wait_until
from weaklink.campaigns.journal import remembered
from weaklink.campaigns.messages import Topics
from weaklink.kafka_options import KafkaConfig
from weaklink.settings import Settings
from weaklink.stream.compacted import read_compacted

__all__ = ["topics"]  # the fixture


def worker(kafka: KafkaConfig, topics: Topics, slot: str, folder: Path) -> subprocess.Popen[bytes]:
    roles = [f"{role}={name}" for role, name in asdict(topics).items()]
    command = [sys.executable, "-m", "tests.campaigns.worker", kafka.bootstrap_servers, slot, str(folder), *roles]
    return subprocess.Popen(command, env=os.environ | {"POLARS_MAX_THREADS": "1"}, stdout=subprocess.DEVNULL)


def members(kafka: KafkaConfig, topics: Topics) -> int:
    """How many messages about members are on the topic."""
    return len(read(kafka, topics.campaigns, 1, "CampaignMember"))


@pytest.mark.kafka
def test_what_a_killed_owner_had_decided_is_known_to_the_next_and_said_once(
    kafka: KafkaConfig, topics: Topics, tmp_path: Path
) -> None:
    """Two owners killed, each under a slot of its own; the third holds exactly what the topic says, and no measure was issued twice."""
    world = world_with("c")
    publish(kafka, topics, world)
    for number, following in enumerate(("d", "e")):
        # What it says itself: one that is killed while it starts has decided nothing.
        before = members(kafka, topics)
        process = worker(kafka, topics, f"slot-{number}-{topics.activity}", tmp_path)
        try:
            wait_until(lambda before=before: members(kafka, topics) > before)  # type: ignore[misc]
        finally:
            process.kill()
            process.wait(10)
        campaign(world, following, 40)  # for the next owner
        publish(kafka, topics, world)
    ids = {one["campaign_id"] for one in read(kafka, topics.campaigns, 1, "Campaign")}
    with running(kafka, topics, tmp_path) as stage:
        found = settled(kafka, topics, 3)
        settings = Settings(kafka=kafka)
        written = remembered(read_compacted([topics.campaigns], settings))
        tracker = stage.engine.tracker
        assert_frame_equal(written.members, tracker.members)
        assert_frame_equal(written.former, tracker.former)
        assert written.campaigns == tracker.campaigns
        assert written.clocks == stage.engine.clocks
    assert ids <= {one["campaign_id"] for one in found}
    assert len({one["campaign_id"] for one in found}) == 3
    issued = Counter(one for one in measures(kafka, topics) if one[1] == "ISSUE" and one[3] == "SUSPEND")
    withdrawn = Counter((one[0], "ISSUE", *one[2:]) for one in measures(kafka, topics) if one[1] == "WITHDRAW")
    assert issued
    assert not {one for one, many in issued.items() if many > 1 + withdrawn[one]}


@pytest.mark.kafka
def test_a_new_owner_sees_what_was_committed_behind_a_transaction_that_is_still_open(
    kafka: KafkaConfig, topics: Topics
) -> None:
    """An older owner's transaction hangs; records committed after its first lie beyond the last stable offset, and are read all the same."""
    older, newer = (
        KafkaProducer(
            **kafka.client_options(), transactional_id=f"{name}-{topics.campaigns}", transaction_timeout_ms=10_000
        )
        for name in ("older", "newer")
    )
    for producer in (older, newer):
        producer.init_transactions()
        producer.begin_transaction()
    older.send(topics.campaigns, b"lost", key=b"x").get(30)
    newer.send(topics.campaigns, b"kept", key=b"y").get(30)
    newer.commit_transaction()
    aborting = threading.Timer(2.0, older.abort_transaction)
    aborting.start()
    found = read_compacted([topics.campaigns], Settings(kafka=kafka))
    aborting.join()
    older.close(5)
    newer.close(5)
    assert [(one.key, one.value) for one in found] == [(b"y", b"kept")]
