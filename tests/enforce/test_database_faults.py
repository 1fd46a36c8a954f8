"""The ledger on a PostgreSQL that goes away at the worst moment: nothing lost, nothing done twice, and nobody waits for ever."""

import asyncio
import urllib.error
import urllib.request
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from chaos.cutting import CuttingProxy, Edge
from sqlalchemy.exc import DBAPIError

from tests.enforce.samples import decision, decoded, proposal
from tests.enforce.service import World
from tests.log_lines import log_lines
from weaklink.enforce.clock import Clock
from weaklink.enforce.config import EnforceConfig
from weaklink.enforce.consume import Decoded, Handling, Incoming
from weaklink.enforce.database import Database, ledger_url
from weaklink.enforce.ledger import Ledger
from weaklink.enforce.tables import action_history, dead_letters, outbox
from weaklink.kafka_options import KafkaConfig
from weaklink.settings import Settings

pytestmark = pytest.mark.postgres

CONFIG = EnforceConfig()
TIMEOUT_SECONDS = 1.0


@pytest.fixture
def server(postgres: str) -> str:
    """An empty database on the server of the tests."""
    name = f"faults_{uuid.uuid4().hex}"
    with psycopg.connect(f"{postgres}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    return f"{postgres}/{name}"


@pytest.fixture
def proxy(server: str) -> Iterator[CuttingProxy]:
    """What stands between the ledger and its server."""
    port = sa.make_url(server).port
    assert port
    with CuttingProxy(port) as running:
        yield running


def opened(address: str) -> Database:
    """A database with a short timeout, as enforce opens it."""
    settings = Settings(enforce=EnforceConfig(ledger_url=address))
    return Database(ledger_url(settings), TIMEOUT_SECONDS)


@pytest.fixture
async def database(server: str, proxy: CuttingProxy) -> AsyncIterator[Database]:
    """The ledger's, through the proxy."""
    database = opened(sa.make_url(server).set(port=proxy.port).render_as_string(hide_password=False))
    await database.migrate()
    yield database
    await database.close()


async def handled(database: Database, account: str) -> None:
    """A decision about this account, as the agent handles it: until it has had its effect."""
    ledger = Ledger(database, CONFIG, Clock("event", CONFIG.clock_lead_hours_max))

    async def apply(some: "list[Decoded] | tuple[Decoded, ...]") -> None:
        for values, value in some:
            await ledger.handle_decision(values, value)

    message = decision(proposal(target_account=account), campaign_id=account)
    assert decoded(message)
    await Handling("Decision", apply, ledger, CONFIG).handle(Incoming("decisions", 0, 0, b"", message))  # type: ignore[arg-type]


async def effects(server: str) -> dict[str, int]:
    """Rows of the ledger, read past the proxy."""
    direct = opened(server)
    try:
        async with direct.read() as connection:
            return {
                table.name: await connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0
                for table in (action_history, outbox, dead_letters)
            }
    finally:
        await direct.close()


@pytest.mark.parametrize("edge", ["before", "after"])
async def test_a_connection_that_is_cut_around_the_commit_costs_an_attempt_and_nothing_else(
    database: Database, proxy: CuttingProxy, server: str, edge: Edge
) -> None:
    """Whether the server had committed or not: the decision acts once, and is nobody's dead letter."""
    await handled(database, "first")
    for account in ("second", "third"):
        proxy.arm(edge)
        await handled(database, account)
    assert proxy.cuts == 2
    assert await effects(server) == {"action_history": 3, "outbox": 3, "dead_letters": 0}


async def test_a_database_that_falls_silent_is_given_up_and_asked_anew(
    database: Database, proxy: CuttingProxy, server: str
) -> None:
    """Connections that stay open and carry nothing (the host is gone, its address has moved) hold a decision up, not for ever."""
    await asyncio.gather(*(handled(database, f"account-{n}") for n in range(3)))
    proxy.silence()
    await handled(database, "last")
    assert await effects(server) == {"action_history": 4, "outbox": 4, "dead_letters": 0}


async def test_a_worker_that_stops_within_a_transaction_gives_its_locks_up(server: str) -> None:
    """A frozen worker has a campaign's lock: the server ends its transaction, and the others go on."""
    frozen, other = opened(server), opened(server)
    try:
        async with frozen.engine.connect() as connection:
            await frozen.lock(connection, "campaign")
            while True:
                try:
                    async with other.write("campaign"):
                        break
                except TimeoutError:
                    continue  # enforce would try again, too
            with pytest.raises(DBAPIError):
                await connection.execute(sa.text("SELECT 1"))
            await connection.invalidate()
    finally:
        await frozen.close()
        await other.close()


@pytest.mark.kafka
def test_a_worker_that_starts_before_its_ledger_waits_for_it(kafka: KafkaConfig, postgres: str, tmp_path: Path) -> None:
    """After a power cut the database comes last: the worker is not ready, says why, can be stopped, and decides once the ledger is there."""
    name = f"late_{uuid.uuid4().hex}"
    world = World(kafka, tmp_path, ledger=f"{postgres}/{name}")

    def events() -> list[str]:
        return [line["event"] for line in log_lines((tmp_path / "service.log").read_bytes())]

    try:
        world.start()
        world.wait(lambda: events().count("ledger_not_opened") > 1)
        with pytest.raises(urllib.error.HTTPError, match="503"):
            urllib.request.urlopen(f"http://127.0.0.1:{world.metrics_port}/readyz", timeout=30)
        assert world.terminate() == 0
        assert "started" not in events()
        world.start()
        world.decide(
            decision(proposal(party=world.lab, target_account="patient"), campaign_id=f"c-{world.mark}", at_us=1)
        )
        with psycopg.connect(f"{postgres}/postgres", autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        world.wait(lambda: [one["target_account"] for one in world.actions] == ["patient"])
    finally:
        world.close()
