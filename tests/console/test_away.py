"""The console while Kafka or the ledger is away, and when something unforeseen happens: it answers, says so, and goes on by itself."""

import time
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaConsumer
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.testclient import TestClient

from tests.console.conftest import Case, make_case, opened, sign_in
from tests.waiting import wait_until
from weaklink.cases.store import Cases
from weaklink.console import app as console_app
from weaklink.console.app import make_app
from weaklink.enforce.queries import newest_change
from weaklink.health import Health
from weaklink.kafka_options import KafkaConfig
from weaklink.ops.broker import LocalCluster

pytestmark = pytest.mark.kafka


def test_pages_are_answered_while_kafka_is_away(
    own_brokers: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the feed waits for a broker that is gone, nobody else does; and every page says that it may be old."""
    monkeypatch.setitem(KafkaConsumer.DEFAULT_CONFIG, "request_timeout_ms", 10_000)
    with LocalCluster(tmp_path / "kafka") as cluster:
        case = make_case(cluster.kafka.model_copy(update={"bootstrap_timeout_ms": 1000}), tmp_path, monkeypatch)
        with opened(case) as client:
            headers, feed = sign_in(client, "olga"), client.app.state.cases  # type: ignore[attr-defined]
            cluster.kill_node(1)
            slowest = 0.0

            def is_told() -> bool:
                nonlocal slowest
                for address in ("/", "/login", f"/campaigns/{case.campaign}"):
                    began = time.monotonic()
                    assert client.get(address, headers=headers).status_code in (200, 303)
                    slowest = max(slowest, time.monotonic() - began)
                return feed.error is not None

            wait_until(is_told)
            assert slowest < 5
            assert feed.error in client.get("/", headers=headers).text
            assert case.campaign in client.get("/", headers=headers).text


def test_a_feed_goes_on_after_what_nobody_foresaw(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that ended would leave every page as it is, without a word."""
    take, failures = Cases.take, 3

    def failing(self: Cases, key: bytes, value: bytes | None) -> None:
        nonlocal failures
        if failures:
            failures -= 1
            raise ValueError("nobody foresaw this")
        take(self, key, value)

    monkeypatch.setattr(Cases, "take", failing)
    with opened(case):  # waits until the topic has been read
        assert failures == 0


def test_updates_go_on_after_what_nobody_foresaw(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop that looks for them would end silently, and with it the probes' word that the console is well."""
    failures = 3

    async def failing(connection: AsyncConnection) -> Any:
        nonlocal failures
        if failures:
            failures -= 1
            raise ValueError("nobody foresaw this")
        return await newest_change(connection)

    monkeypatch.setattr(console_app, "newest_change", failing)
    with opened(case) as client:
        health = client.app.state.health = Health(60)  # type: ignore[attr-defined]
        wait_until(lambda: health.ready)
        assert failures == 0
        assert client.app.state.changes.version > 0  # type: ignore[attr-defined]


def test_a_console_waits_for_a_ledger_that_is_away(
    kafka: KafkaConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is alive and not ready, instead of being restarted again and again; once the ledger is there it goes on by itself."""
    monkeypatch.setattr(console_app, "_OPEN_SECONDS", 0.5)
    case = make_case(kafka, tmp_path / "there", monkeypatch)
    folder = tmp_path / "away"
    blocked = folder / "enforce" / "ledger.sqlite3"
    blocked.mkdir(parents=True)  # a folder is no file that SQLite could open
    settings = case.settings.model_copy(update={"data_folder": folder})
    app = make_app(settings)
    health = app.state.health = Health(60)
    began = time.monotonic()
    with TestClient(app, follow_redirects=False) as client:
        wait_until(lambda: app.state.cases.error is None)
        wait_until(lambda: health.silent_seconds < time.monotonic() - began - 0.5)  # it has turned since
        assert (health.healthy, health.ready) == (True, False)
        assert client.get("/healthz").status_code == client.get("/login").status_code == 200
        blocked.rmdir()
        wait_until(lambda: health.ready)
        assert client.get("/", headers={"cookie": "weaklink_session=none"}).status_code == 303
