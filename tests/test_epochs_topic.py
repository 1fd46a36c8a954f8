"""The list of expired epochs on a real broker: ended epochs stay ended, whatever lies on the topic, and commands say who ended them."""

import os
import subprocess
import sys
import urllib.request
import uuid
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final

import pytest
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaTimeoutError
from structlog.testing import capture_logs
from typer.testing import CliRunner

from tests.ingest.events import token
from tests.log_lines import log_lines
from tests.ops.scram import joined, login
from tests.prerequisites import require
from tests.topics import create_topics
from tests.waiting import PATIENCE_SECONDS, wait_until
from weaklink import epochs_topic, topology
from weaklink.cli.main import app
from weaklink.epochs import Expiry, oldest_in_force
from weaklink.epochs_topic import EpochsUnknown, EpochWatch, read_expiries, write_expiry
from weaklink.errors import BrokerError
from weaklink.kafka_options import KafkaConfig
from weaklink.ops.access import Grant
from weaklink.ops.access_admin import add_grants, remove_grants
from weaklink.ops.broker import LocalCluster
from weaklink.ops.kafka_jars import missing_tools
from weaklink.ops.membership import issue_service_secret
from weaklink.ops.ports import free_ports
from weaklink.ops.provision import provision
from weaklink.partner.reading import read_rejects
from weaklink.records.codec import encode
from weaklink.settings import Settings
from weaklink.sim.services import service_environment
from weaklink.small_topics import append

COMMAND: Final = (sys.executable, "-c", "from weaklink.cli.main import main; main()")
NOW = datetime.now(UTC)
USAGE: Final = {
    "event_id": b"\x01" * 16, "occurred_at": NOW, "account": "a", "identifiers": [token(4, 1, epoch=1)], "window_seconds": 0,
    "model": "m", "task": "OTHER", "requests": 1, "input_tokens": 1, "output_tokens": 1, "end_user": None, "address_class": "VPN",
}  # fmt: skip


def ended(epoch: int, at: datetime = NOW) -> Expiry:
    return Expiry(epoch=epoch, expires_at=at, reason="leak", by="ann", recorded_at=min(at, NOW))


def test_the_oldest_epoch_in_force_never_goes_back() -> None:
    """An epoch ends with all before it, at its time; what is planned is not yet so."""
    later = NOW + timedelta(days=90)
    expiries = [ended(3), ended(1), ended(7, later)]
    assert [oldest_in_force(expiries, at) for at in (NOW - timedelta(1), NOW, later)] == [1, 4, 8]
    with pytest.raises(ValueError, match="cannot expire before it was said to"):
        Expiry(epoch=1, expires_at=NOW - timedelta(1), reason="r", by="b", recorded_at=NOW)


def away(*_: object) -> None:
    raise KafkaTimeoutError("no answer")


@pytest.mark.kafka
def test_a_watch_follows_the_topic_and_outlives_what_it_cannot_read(
    kafka: KafkaConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None before there is a topic; then an expiry, a record of nobody's, and no answer: a warning each, and what has ended stays so."""
    topic = f"epochs-{uuid.uuid4().hex[:8]}"
    monkeypatch.setattr(epochs_topic, "_WATCH_SECONDS", 0.0)
    with pytest.raises(EpochsUnknown, match="weaklink provision"):
        EpochWatch(kafka, topic)
    create_topics(kafka, [topic], 1)
    watch = EpochWatch(kafka, topic)
    assert watch() == 1
    write_expiry(kafka, ended(1), topic)
    wait_until(lambda: watch() == 2)
    between = [b'{"epoch": 9, "what": "another version"}', ended(2).to_json(), b""]
    append(kafka, topic, [("x", value) for value in between], "test")
    with capture_logs() as logs:
        wait_until(lambda: watch() == 3)
        assert watch() == 3
    (line,) = logs
    assert (line["event"], "end no epoch" in line["error"]) == ("epochs_unknown", True)
    write_expiry(kafka, ended(4), topic)
    wait_until(lambda: watch() == 5)
    with monkeypatch.context() as patch, capture_logs() as logs:
        patch.setattr(watch._reader._consumer, "end_offsets", away)
        assert [watch(), watch()] == [5, 5]
    assert [line["event"] for line in logs] == ["epochs_unknown"]
    assert EpochWatch(kafka, topic)() == 5
    with pytest.raises(BrokerError, match="newer version"):
        read_expiries(kafka, topic)


class Worker:
    """A stage in a process under its own login, with what it says of itself."""

    def __init__(self, name: str, kafka: KafkaConfig, folder: Path) -> None:
        (self._port,) = free_ports(1)
        self._log = folder / f"{name}-{self._port}.log"
        words = [*COMMAND, "run", name, "--metrics-port", str(self._port)]
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                words, env=os.environ | service_environment(kafka, folder), stdout=log, stderr=log
            )

    def events(self) -> list[str]:
        return [line["event"] for line in log_lines(self._log.read_bytes())]

    def ready(self) -> bool:
        try:
            return bool(urllib.request.urlopen(f"http://127.0.0.1:{self._port}/readyz", timeout=30).status == 200)
        except OSError:
            return False

    def text(self) -> str:
        return self._log.read_text()

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        self.process.terminate()
        return self.process.wait(PATIENCE_SECONDS)


@pytest.mark.kafka
def test_a_worker_that_cannot_tell_which_epochs_are_over_handles_nothing(tmp_path: Path) -> None:
    """It lost its right to read the list (or to see that there is one), and started again: it waits, not ready, and can be stopped."""
    require(missing_tools())
    with LocalCluster(tmp_path / "kafka", scram=True) as cluster:
        settings = Settings(kafka=cluster.kafka, data_folder=tmp_path)
        provision(settings)
        party, partner = joined(settings, "lab")
        write_expiry(settings.kafka, ended(1))
        groups = {"ingest": "weaklink.ingest", "enforce": "weaklink.enforce"}
        logins = {
            name: login(settings.kafka, group, issue_service_secret(settings, group) or "")
            for name, group in groups.items()
        }
        rights = [Grant(f"weaklink.{name}", "TOPIC", topology.EPOCHS, "READ") for name in logins]
        admin = KafkaAdminClient(**settings.kafka.client_options())
        remove_grants(admin, rights)
        add_grants(
            admin, [Grant("weaklink.ingest", "TOPIC", topology.EPOCHS, "DESCRIBE")]
        )  # that there is one, ingest sees
        append(settings.kafka, party.events_topic, [("a", encode("ApiUsage", USAGE))], "test")
        workers = {name: Worker(name, kafka, tmp_path) for name, kafka in logins.items()}
        try:
            for one in workers.values():
                wait_until(lambda one=one: one.events().count("epochs_unknown") > 1, one.text)  # type: ignore[misc]
                assert not one.ready()
                assert "started" not in one.events()
                assert one.stop() == 0, one.text()
            workers = {name: Worker(name, kafka, tmp_path) for name, kafka in logins.items()}
            wait_until(lambda: all("epochs_unknown" in one.events() for one in workers.values()))
            assert list(read_rejects(partner, party.id)) == []
            add_grants(admin, rights)
            for one in workers.values():
                wait_until(one.ready, one.text)
            wait_until(lambda: bool(list(read_rejects(partner, party.id))), workers["ingest"].text)
            assert [one.reason for one in read_rejects(partner, party.id)] == ["EXPIRED_EPOCH"]
        finally:
            admin.close()
            for one in workers.values():
                one.stop()


@pytest.mark.kafka
def test_the_command_refuses_what_makes_no_sense(kafka: KafkaConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """No reason, no epoch, a time that is none, an end in the past: each is told, and nothing is written. What makes sense is."""
    # A topic of its own: were something let through, it would end an epoch of all tests on this broker.
    topic = f"epochs-{uuid.uuid4().hex[:8]}"
    create_topics(kafka, [topic], 1)
    monkeypatch.setattr(epochs_topic, "write_expiry", partial(write_expiry, topic=topic))
    write_expiry(kafka, ended(1), topic)
    for words, told in (
        (["2"], "Missing option '--reason'"),
        (["0", "--reason", "r"], "greater than or equal to 1"),
        (["2", "--reason", "r", "--at", "never"], "--at never: an epoch that does not end"),
        (["2", "--reason", "r", "--at", "2020-01-01"], "cannot expire before it was said to"),
    ):
        result = CliRunner().invoke(app, ["epochs", "expire", *words, "--yes"], env=kafka.environment())
        assert result.exit_code != 0, words
        assert told in f"{result.output} {result.exception}", words
        assert read_expiries(kafka, topic) == [ended(1)], words
    words = ["epochs", "expire", "2", "--reason", "leak", "--by", "eve", "--yes"]
    result = CliRunner().invoke(app, words, env=kafka.environment())
    assert result.exit_code == 0, result.output
    assert [(one.epoch, one.reason, one.by) for one in read_expiries(kafka, topic)] == [(1, "leak", "ann"), (2, "leak", "eve")]  # fmt: skip
