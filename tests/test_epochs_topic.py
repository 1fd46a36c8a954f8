"""The list of expired epochs on a real broker: ended epochs stay ended, whatever lies on the topic, and commands say who ended them."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from structlog.testing import capture_logs
from typer.testing import CliRunner

from tests.topics import create_topics
from tests.waiting import wait_until
from weaklink import epochs_topic
from weaklink.cli.main import app
from weaklink.epochs import Expiry, oldest_in_force
from weaklink.epochs_topic import EpochWatch, read_expiries, write_expiry
from weaklink.errors import BrokerError
from weaklink.kafka_options import KafkaConfig
from weaklink.small_topics import append

NOW = datetime.now(UTC)


def ended(epoch: int, at: datetime = NOW) -> Expiry:
    return Expiry(epoch=epoch, expires_at=at, reason="leak", by="ann", recorded_at=min(at, NOW))


def test_the_oldest_epoch_in_force_never_goes_back() -> None:
    """An epoch ends with all before it, at its time; what is planned is not yet so."""
    later = NOW + timedelta(days=90)
    expiries = [ended(3), ended(1), ended(7, later)]
    assert [oldest_in_force(expiries, at) for at in (NOW - timedelta(1), NOW, later)] == [1, 4, 8]
    with pytest.raises(ValueError, match="cannot expire before it was said to"):
        Expiry(epoch=1, expires_at=NOW - timedelta(1), reason="r", by="b", recorded_at=NOW)


@pytest.mark.kafka
def test_a_watch_follows_the_topic_and_outlives_what_it_cannot_read(
    kafka: KafkaConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No topic, then an expiry, then a record of nobody's: a warning each, and what has ended stays so."""
    topic = f"epochs-{uuid.uuid4().hex[:8]}"
    monkeypatch.setattr(epochs_topic, "_WATCH_SECONDS", 0.0)
    watch = EpochWatch(kafka, topic)
    with capture_logs() as logs:
        assert [watch(), watch()] == [1, 1]
    assert [line["event"] for line in logs] == ["epochs_unknown"]
    create_topics(kafka, [topic], 1)
    write_expiry(kafka, ended(1), topic)
    wait_until(lambda: watch() == 2)
    between = [b'{"epoch": 9, "what": "another version"}', ended(2).to_json(), b""]
    append(kafka, topic, [("x", value) for value in between], "test")
    with capture_logs() as logs:
        wait_until(lambda: watch() == 3)
    assert "end no epoch" in logs[0]["error"]
    write_expiry(kafka, ended(4), topic)
    wait_until(lambda: watch() == 5)
    with pytest.raises(BrokerError, match="newer version"):
        read_expiries(kafka, topic)


@pytest.mark.kafka
def test_the_command_refuses_what_makes_no_sense(kafka: KafkaConfig) -> None:
    """Before anything is written: no reason, a time that is none, an end in the past."""
    environment = kafka.environment()
    for words in (
        ["1"],
        ["0", "--reason", "r"],
        ["1", "--reason", "r", "--at", "never"],
        ["1", "--reason", "r", "--at", "2020-01-01"],
    ):
        result = CliRunner().invoke(app, ["epochs", "expire", *words, "--yes"], env=environment)
        assert result.exit_code != 0, words
