"""ingest on a real broker while its schema registry is away: nothing good is rejected, and nothing counts twice."""

import time
from pathlib import Path

import pytest
from kafka import TopicPartition

from tests.ingest.registry import confluent, schema_registry, text_of
from tests.ingest.test_kafka import assert_audit, caught_up, new_party, publish, usage
from tests.ingest.worker import committed, outputs, start_worker, worker
from tests.waiting import wait_until
from weaklink.kafka_options import KafkaConfig
from weaklink.ops.ports import free_ports
from weaklink.ops.provision import provision
from weaklink.records.codec import encode
from weaklink.settings import Settings

pytestmark = pytest.mark.kafka


def registry_at(port: int) -> dict[str, str]:
    """What makes a worker ask a registry there for the schemas of usage."""
    return {
        "WEAKLINK_INGEST__SCHEMA_REGISTRY__URL": f"http://127.0.0.1:{port}",
        "WEAKLINK_INGEST__SCHEMA_REGISTRY__SUBJECTS": '["usage"]',
        "WEAKLINK_INGEST__SCHEMA_REGISTRY__RETRY_SECONDS_MAX": "1",
    }


def test_a_restart_without_the_registry_waits_for_it_and_rejects_nothing(kafka: KafkaConfig, tmp_path: Path) -> None:
    """Killed, and started again while the registry is down: even the window of event ids cannot be rebuilt. Other parties go on."""
    settings, log = Settings(kafka=kafka, data_folder=tmp_path), tmp_path / "worker.log"
    log.touch()
    provision(settings)
    waits, other = new_party(settings), new_party(settings)
    (port,) = free_ports(1)
    environment = registry_at(port)
    now_us = time.time_ns() // 1000
    framed = [confluent(7, encode("ApiUsage", usage(number, now_us))) for number in range(3)]
    with schema_registry(("usage",), port) as registry:
        registry.subjects["usage"] = [(7, text_of("ApiUsage"))]
        process = start_worker(settings, log, **environment)
        publish(settings, waits, [(0, framed[0])])
        wait_until(lambda: caught_up(settings, waits), log.read_text)
        process.kill()
        process.wait()
    before = committed(settings, f"party.{waits}.events", 2)
    publish(settings, waits, [(0, framed[0]), (0, framed[1]), (1, framed[2]), (1, b"bad")])
    publish(settings, other, [(0, encode("ApiUsage", usage(9, now_us)))])
    with worker(settings, log, **environment):
        wait_until(lambda: caught_up(settings, other), log.read_text)
        assert committed(settings, f"party.{waits}.events", 2) == before
        with schema_registry(("usage",), port) as registry:
            registry.subjects["usage"] = [(7, text_of("ApiUsage"))]
            wait_until(lambda: caught_up(settings, waits), log.read_text)
    assert log.read_text().count("schema_registry_unavailable") == 1
    found = outputs(settings, waits)
    assert [value for _, value, *_ in found.rejects] == [b"bad"]
    assert_audit(found.audit, {"consumed": 5, "accepted": 3, "rejected": 1, "duplicates": 1})


def test_what_came_before_a_batch_that_waits_is_committed_with_its_offsets(kafka: KafkaConfig, tmp_path: Path) -> None:
    """One batch is folded alone, as it was in hand when a process died, and counts; the next one of its partition waits for the registry.

    Left uncommitted together, the first would count again when the worker is killed while it waits: its event ids are in that worker's memory only.
    """
    settings, log = Settings(kafka=kafka, data_folder=tmp_path), tmp_path / "worker.log"
    log.touch()
    provision(settings)
    party = new_party(settings)
    (port,) = free_ports(1)
    environment = registry_at(port)
    now_us = time.time_ns() // 1000
    topic = f"party.{party}.events"
    verdicts = tmp_path / "snapshots" / "ingest" / "verdicts"
    verdicts.mkdir(parents=True)
    (verdicts / f"suspect {topic}-0 0-0").touch()
    publish(settings, party, [(0, encode("ApiUsage", usage(0, now_us)))])
    publish(settings, party, [(0, confluent(7, encode("ApiUsage", usage(1, now_us))))])
    publish(settings, party, [(0, encode("ApiUsage", usage(2, now_us)))])
    process = start_worker(settings, log, **environment)
    try:
        wait_until(lambda: outputs(settings, party).activity.height > 0, log.read_text)
    finally:
        process.kill()
        process.wait()
    assert committed(settings, topic, 1)[TopicPartition(topic, 0)] == 1
    with schema_registry(("usage",), port) as registry, worker(settings, log, **environment):
        registry.subjects["usage"] = [(7, text_of("ApiUsage"))]
        wait_until(lambda: caught_up(settings, party), log.read_text)
    found = outputs(settings, party)
    assert (found.activity["events"].sum(), found.rejects) == (3, [])
    assert_audit(found.audit, {"consumed": 3, "accepted": 3, "rejected": 0, "duplicates": 0})
