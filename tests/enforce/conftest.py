"""A real PostgreSQL on loopback, and the ledger on each of its two databases."""

import os
import pwd
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from psycopg import sql

from tests.prerequisites import require
from weaklink.enforce.clock import Clock
from weaklink.enforce.config import EnforceConfig
from weaklink.enforce.database import Database
from weaklink.enforce.ledger import Ledger
from weaklink.ops.ports import free_ports


def _postgres_binaries() -> Path | None:
    found = shutil.which("pg_ctl")
    folders = [Path(found).parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return next((folder for folder in reversed(folders) if (folder / "initdb").exists()), None)


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """URL of a PostgreSQL server of this test session, without a database name."""
    binaries = _postgres_binaries()
    root = os.geteuid() == 0  # PostgreSQL refuses to run as root
    require(() if binaries else ["PostgreSQL is not installed: its half of the ledger's tests is left out"])
    assert binaries is not None
    if root and "postgres" not in {entry.pw_name for entry in pwd.getpwall()}:
        require(["PostgreSQL cannot run as root, and there is no user postgres"])
    as_user = ["runuser", "-u", "postgres", "--"] if root else []
    folder = Path(tempfile.mkdtemp(prefix="weaklink-postgres-"))
    if root:
        shutil.chown(folder, "postgres")
    (port,) = free_ports(1)
    control = [*as_user, str(binaries / "pg_ctl"), "-D", str(folder / "data"), "-w"]
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"
    initdb = [*as_user, str(binaries / "initdb"), "-D", str(folder / "data"), "-A", "trust", "-U", "weaklink"]
    subprocess.run(initdb, check=True, stdout=subprocess.DEVNULL, cwd=folder)
    start = [*control, "-o", options, "-l", str(folder / "log"), "start"]
    subprocess.run(start, check=True, stdout=subprocess.DEVNULL, cwd=folder)
    try:
        yield f"postgresql://weaklink@127.0.0.1:{port}"
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], check=True, stdout=subprocess.DEVNULL, cwd=folder)
        shutil.rmtree(folder, ignore_errors=True)


def new_database(server: str) -> str:
    """URL of an empty database there, as enforce takes it."""
    name = f"ledger_{uuid.uuid4().hex}"
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    return f"{server}/{name}"


def rows_of(address: str) -> Iterator[tuple[str, bytes]]:
    """(table, its values) for each row of every table of a PostgreSQL database, Weaklink's own or not."""
    with psycopg.connect(address) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1").fetchall()
        for (table,) in tables:
            for row in connection.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(table))):
                yield table, b" ".join(value if isinstance(value, bytes) else str(value).encode() for value in row)


def log_of(server: str) -> Path:
    """The server's own log."""
    with psycopg.connect(f"{server}/postgres") as connection:
        (folder,) = connection.execute("SHOW data_directory").fetchone() or ("",)
    return Path(folder).parent / "log"


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def ledger_address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of an empty database, of each kind in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/ledger.sqlite3"
    return new_database(request.getfixturevalue("postgres"))


def open_database(address: str) -> Database:
    """The database at a plain URL, with its async driver."""
    url = sa.make_url(address)
    return Database(
        url.set(drivername={"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg"}[url.drivername])
    )


@pytest.fixture
async def database(ledger_address: str) -> AsyncIterator[Database]:
    """The ledger's database, migrated from empty."""
    database = open_database(ledger_address)
    await database.migrate()
    yield database
    await database.close()


@pytest.fixture
def ledger(database: Database) -> Ledger:
    """The ledger under clock=event, with default settings."""
    config = EnforceConfig()
    return Ledger(database, config, Clock("event", config.clock_lead_hours_max))
