"""SIGTERM: a service finishes what it has in hand, commits it, and leaves its group, so that others need not wait."""

import os
import signal
import subprocess
import sys
import time
import urllib.request
import uuid
from pathlib import Path

import pytest
from kafka import KafkaProducer
from kafka.admin import KafkaAdminClient
from tests.ingest.events import event_id, token
from tests.ingest.worker import committed, ends
from tests.waiting import PATIENCE_SECONDS, wait_until

from weaklink import topology
from weaklink.kafka_options import KafkaConfig
from weaklink.ops.ports import free_ports
from weaklink.ops.provision import add_party, provision
from weaklink.parties import Party, PartyKind
from weaklink.records.codec import encode
from weaklink.settings import Settings

pytestmark = pytest.mark.kafka
SESSION_SECONDS = 45
"""Longer than the test: a member that does not leave is still there at its end."""


class Service:
    """One service as operators run it, with its probes."""

    def __init__(self, stage: str, settings: Settings, **environment: str) -> None:
        self.stage = stage
        self.settings = settings
        (self.port,) = free_ports(1)
        self.log = settings.data_folder / f"{stage}.log"
        own = {
            "WEAKLINK_KAFKA__BOOTSTRAP_SERVERS": settings.kafka.bootstrap_servers,
            "WEAKLINK_KAFKA__SESSION_TIMEOUT_MS": f"{SESSION_SECONDS}000",
            "WEAKLINK_DATA_FOLDER": str(settings.data_folder),
            "WEAKLINK_LOG_JSON": "true",
        }
        command = [sys.executable, "-c", "from weaklink.cli.main import main; main()", "run", stage]
        with self.log.open("ab") as file:
            self.process = subprocess.Popen(
                [*command, "--metrics-port", f"{self.port}"],
                env={**os.environ, **own, **environment}, stdout=file, stderr=file,
            )  # fmt: skip

    def ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def members(self) -> int:
        admin = KafkaAdminClient(**self.settings.kafka.client_options())
        try:
            group = topology.stage(self.stage).group
            return len(admin.describe_groups([group])[group]["members"])
        finally:
            admin.close()

    def stop(self) -> None:
        """SIGTERM, and what it must lead to."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(PATIENCE_SECONDS) == 0, self.log.read_text()[-3000:]
        assert "Traceback" not in self.log.read_text()


@pytest.fixture
def settings(kafka: KafkaConfig, tmp_path: Path) -> Settings:
    found = Settings(kafka=kafka, data_folder=tmp_path)
    provision(found)
    return found


@pytest.mark.parametrize("stage", [stage.name for stage in topology.STAGES])
def test_a_service_becomes_ready_and_leaves_its_group_when_it_is_told_to(stage: str, settings: Settings) -> None:
    """At once: not when its session ends."""
    service = Service(stage, settings)
    try:
        wait_until(service.ready, service.log.read_text)
        assert service.members() == 1
        service.stop()
        assert service.members() == 0
    finally:
        service.process.kill()
        service.process.wait()


def test_what_it_had_in_hand_is_committed(settings: Settings) -> None:
    """It is told to stop while it waits for more input for its transaction: that transaction is finished all the same."""
    party = add_party(settings, Party(id=f"stop-{uuid.uuid4().hex[:8]}", kind=PartyKind.LAB, events_partitions=1)).id
    topic = f"party.{party}.events"
    service = Service("ingest", settings, WEAKLINK_STREAM__LINGER_MS="4000", WEAKLINK_STREAM__LINGER_MS_MAX="4000")
    try:
        wait_until(service.ready, service.log.read_text)
        publish(settings, topic, 0)
        wait_until(lambda: committed(settings, topic, 1) == ends(settings, topic, 1), service.log.read_text)
        publish(settings, topic, 1)
        time.sleep(
            1
        )  # long enough to be fetched, not to be committed; were it otherwise, the test would prove less, and not fail
        service.stop()
        assert committed(settings, topic, 1) == ends(settings, topic, 1)
        assert service.members() == 0
    finally:
        service.process.kill()
        service.process.wait()


def publish(settings: Settings, topic: str, number: int) -> None:
    event = {
        "event_id": event_id(number), "occurred_at": time.time_ns() // 1000, "account": "a", "identifiers": [token(4, 1)],
        "window_seconds": 0, "model": "large-4", "task": "OTHER", "requests": 1, "input_tokens": 10, "output_tokens": 20,
        "end_user": None, "address_class": "VPN",
    }  # fmt: skip
    producer = KafkaProducer(**settings.kafka.client_options())
    producer.send(topic, encode("ApiUsage", event), partition=0).get(timeout=PATIENCE_SECONDS)
    producer.close()
