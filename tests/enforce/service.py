"""The enforce service as a process of its own, on a real Kafka, and the topics around it."""

import os
import random
import signal
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kafka import KafkaConsumer, KafkaProducer
from kafka.consumer.fetcher import ConsumerRecord

from tests.waiting import PATIENCE_SECONDS, wait_until
from weaklink import topology
from weaklink.kafka_options import KafkaConfig
from weaklink.ops.ports import free_ports
from weaklink.ops.provision import add_party, provision
from weaklink.parties import Party, PartyKind
from weaklink.records.codec import decode
from weaklink.settings import Settings

_PROGRAM = "from weaklink.cli.main import main; main()"


class World:
    """Two labs of unique names, the service's process, and readers of everything that it publishes."""

    def __init__(self, kafka: KafkaConfig, folder: Path, ledger: str | None = None) -> None:
        """`ledger`: URL of its database. None: SQLite in this folder."""
        self.folder = folder
        self.ledger = {"WEAKLINK_ENFORCE__LEDGER_URL": ledger} if ledger else {}
        self.mark = uuid.uuid4().hex[:10]
        self.lab, self.other = f"lab-{self.mark}", f"other-{self.mark}"
        self.settings = Settings(clock="event", data_folder=folder, kafka=kafka)
        provision(self.settings)
        for party in (self.lab, self.other):
            add_party(self.settings, Party(id=party, kind=PartyKind.LAB))
        options = kafka.client_options()
        self.producer = KafkaProducer(**options, acks="all", linger_ms=0)
        self.transactions = KafkaProducer(**options, transactional_id=f"campaigns-{self.mark}", linger_ms=0)
        self.transactions.init_transactions()
        topics = [f"party.{party}.{kind}" for party in (self.lab, self.other) for kind in ("actions", "rejects")]
        self.consumer = KafkaConsumer(
            *topics, topology.FEEDBACK, **options, group_id=None, auto_offset_reset="earliest", fetch_max_wait_ms=50
        )
        self.records: list[ConsumerRecord] = []
        (self.metrics_port,) = free_ports(1)
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        """What the service's process, and the CLI, see."""
        return (
            os.environ
            | self.ledger
            | {
                "WEAKLINK_CLOCK": "event",
                "WEAKLINK_DATA_FOLDER": str(self.folder),
                "WEAKLINK_KAFKA__BOOTSTRAP_SERVERS": self.settings.kafka.bootstrap_servers,
            }
        )

    def start(self) -> None:
        """Start the service; does not wait for it."""
        self.process = self.started("test", "--metrics-port", str(self.metrics_port))

    def started(self, slot: str, *options: str, before: str = "") -> subprocess.Popen[bytes]:
        """A worker, started after these lines of Python in its process. Whoever asks for it ends it."""
        command = [sys.executable, "-c", before + _PROGRAM, "run", "enforce", "--slot", slot, *options]
        with (self.folder / "service.log").open("ab") as log:
            return subprocess.Popen(command, env=self.environment, stdout=log, stderr=log)

    def metrics(self) -> dict[str, float]:
        """What the service shows to Prometheus: sample with its labels -> value."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=30) as answer:
            lines = [line for line in answer.read().decode().splitlines() if not line.startswith("#")]
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}

    def kill(self) -> None:
        """kill -9."""
        assert self.process
        self.process.kill()
        self.process.wait()

    def terminate(self) -> int:
        """SIGTERM; gives the exit status."""
        assert self.process
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=PATIENCE_SECONDS)

    def close(self) -> None:
        """Stop everything."""
        if self.process and self.process.poll() is None:
            self.kill()
        self.consumer.close()
        self.producer.close()
        self.transactions.close()

    def decide(self, *messages: bytes, commit: bool = True) -> None:
        """Publish decisions as campaigns does: in one transaction, which is committed or aborted."""
        self.transactions.begin_transaction()
        for message in messages:
            campaign_id = decode(message)[1]["campaign_id"]
            self.transactions.send(topology.DECISIONS, key=campaign_id.encode(), value=message)
        if commit:
            self.transactions.commit_transaction()
        else:
            self.transactions.flush()
            self.transactions.abort_transaction()

    def publish(self, topic: str, key: str, value: bytes) -> None:
        """One message, delivered."""
        self.producer.send(topic, key=key.encode(), value=value).get(timeout=PATIENCE_SECONDS)

    def poll(self, seconds: float = 0.1) -> None:
        """Read on."""
        for found in self.consumer.poll(timeout_ms=int(seconds * 1000)).values():
            self.records += found

    def on(self, topic: str) -> list[dict[str, Any]]:
        """Every message read so far on a topic, decoded; of feedback only what concerns our labs."""
        messages = [decode(record.value)[1] for record in self.records if record.topic == topic]
        return [one for one in messages if one.get("party", self.lab) in (self.lab, self.other)]

    @property
    def actions(self) -> list[dict[str, Any]]:
        """What the lab was told, in order."""
        return self.on(f"party.{self.lab}.actions")

    def wait(self, condition: Callable[[], bool]) -> None:
        """Read on until the condition holds. Fails with the end of the service's log when it never does."""

        def read_on() -> bool:
            self.poll()
            return condition()

        wait_until(read_on, (self.folder / "service.log").read_text)

    def wait_some(self, chance: random.Random) -> None:
        """Read on for a random moment."""
        deadline = time.monotonic() + chance.uniform(0, 0.2)
        while time.monotonic() < deadline:
            self.poll(0.02)
