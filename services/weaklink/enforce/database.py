"""The ledger's database: engine, transactions, and migrations that run on start. SQLite or PostgreSQL."""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
import structlog
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.util import CommandError
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.util import await_only

from weaklink.errors import ConfigurationError, LedgerError
from weaklink.folders import writing
from weaklink.settings import Settings
from weaklink.starting import Away

_MIGRATIONS: Final = Path(__file__).parent / "migrations"
_MIGRATION_LOCK: Final = "weaklink.ledger.migrations"
_SQLITE_BUSY_SECONDS: Final = 30
_SQLITE_RETRY_SECONDS: Final = 0.05
_READ_ONLY: Final = "weaklink_read_only"
_log = structlog.get_logger()


class LedgerAway(Away, LedgerError):
    """The ledger's database does not answer."""

    def warn(self) -> None:
        """A line of the log."""
        meaning = "nothing is decided or answered before the ledger is open"
        _log.warning("ledger_not_opened", error=str(self), meaning=meaning, next="retry")


def is_missing(url: sa.URL) -> bool:
    """Whether it is a SQLite file that is not there: to open it would make an empty one."""
    return url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file()


def reading_engine(url: sa.URL) -> sa.Engine:
    """For a command that reads the ledger without an event loop."""
    driver = "sqlite" if url.get_backend_name() == "sqlite" else "postgresql+psycopg"
    return sa.create_engine(url.set(drivername=driver), hide_parameters=True)


def ledger_url(settings: Settings) -> sa.URL:
    """The URL with its async driver. Raises ConfigurationError for a database that the ledger does not know."""
    text = settings.enforce.ledger_url
    if text is None:
        return sa.URL.create("sqlite+aiosqlite", database=str(settings.data_folder / "enforce" / "ledger.sqlite3"))
    try:
        url = make_url(text)
    except ArgumentError as error:
        raise ConfigurationError(f"enforce.ledger_url is not a database URL: {error}") from error
    match url.get_backend_name():
        case "sqlite":
            return url.set(drivername="sqlite+aiosqlite")
        case "postgresql" | "postgres":
            return url.set(drivername="postgresql+asyncpg")
    raise ConfigurationError(
        f"enforce.ledger_url names {url.get_backend_name()}; the ledger runs on sqlite and postgresql"
    )


class Database:
    """One engine per process. Writers of one campaign exclude each other: by an advisory lock, or by SQLite's one writer."""

    def __init__(self, url: sa.URL, timeout_seconds: float | None = None) -> None:
        """`timeout_seconds`: how long a transaction may take. None: as long as it likes."""
        self.sqlite = url.get_backend_name() == "sqlite"
        self._timeout_seconds = timeout_seconds
        if self.sqlite and url.database:
            folder = Path(url.database).parent
            with writing(folder):
                folder.mkdir(parents=True, exist_ok=True)
        arguments = {"timeout": _SQLITE_BUSY_SECONDS} if self.sqlite else _server_settings(timeout_seconds)
        self.engine: AsyncEngine = create_async_engine(
            url, connect_args=arguments, pool_pre_ping=not self.sqlite, hide_parameters=True
        )
        if self.sqlite:
            sa.event.listen(self.engine.sync_engine, "connect", _on_connect)
            sa.event.listen(self.engine.sync_engine, "begin", _on_begin)

    @asynccontextmanager
    async def write(self, *locks: str) -> AsyncIterator[AsyncConnection]:
        """A transaction that commits at the end of the block, alone on `locks` (names of campaigns) until then.

        Raises TimeoutError when it takes longer than it may; whether it has committed is then unknown.
        """
        async with self._in_time(), self.engine.begin() as connection:
            await self.lock(connection, *locks)
            yield connection

    async def lock(self, connection: AsyncConnection, *names: str) -> None:
        """Wait for, and hold until the end of the transaction, the locks of these names. Sorted, so that no two wait for each other."""
        if not self.sqlite:
            for name in sorted(set(names)):
                await connection.execute(
                    sa.text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"), {"name": name}
                )

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A transaction for reading: in SQLite it does not wait for the writer. Raises TimeoutError as `write` does."""
        async with self._in_time(), self.engine.connect() as connection:
            await connection.execution_options(**{_READ_ONLY: True})
            yield connection

    @asynccontextmanager
    async def _in_time(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._timeout_seconds):
                yield
        except TimeoutError as error:
            raise TimeoutError(f"the ledger's database did not answer within {self._timeout_seconds} s") from error

    async def migrate(self) -> None:
        """Bring the schema to this version's. Several workers may start at once: one does it, the others wait.

        Raises LedgerAway when the database does not answer, LedgerError when it has a schema that this version does not know.
        """
        try:
            async with self.write(_MIGRATION_LOCK) as connection:
                await connection.run_sync(_upgrade)
        except (OSError, DBAPIError) as error:
            raise LedgerAway(f"the ledger at {self.engine.url!r} cannot be opened: {error}") from error
        except CommandError as error:
            raise LedgerError(
                f"the ledger at {self.engine.url!r} has a schema that this version does not know ({error}): was it used by a newer one?"
            ) from error

    async def migrate_back(self, revision: str) -> None:
        """Bring the schema to that of an older version, with all rows, before the older version is started again.

        Raises LedgerError when there is no such revision before this one, or the database does not answer.
        """
        try:
            async with self.write(_MIGRATION_LOCK) as connection:
                await connection.run_sync(_downgrade, revision)
        except (OSError, DBAPIError) as error:
            raise LedgerAway(f"the ledger at {self.engine.url!r} cannot be opened: {error}") from error
        except (CommandError, NotImplementedError) as error:
            raise LedgerError(f"the ledger at {self.engine.url!r} cannot go back to {revision!r}: {error}") from error

    async def revision(self) -> str | None:
        """The schema's revision; None for a database without a ledger."""
        async with self.read() as connection:
            return await connection.run_sync(lambda sync: MigrationContext.configure(sync).get_current_revision())

    async def close(self) -> None:
        """Close every connection."""
        await self.engine.dispose()


def _server_settings(timeout_seconds: float | None) -> dict[str, Any]:
    """PostgreSQL's side of a timeout: it ends the transaction of a client that has stopped in the middle of it (frozen, or gone without a
    word), so that the locks of that transaction hold nobody up for longer."""
    if timeout_seconds is None:
        return {}
    return {"server_settings": {"idle_in_transaction_session_timeout": str(int(timeout_seconds * 1000))}}


def migrate_ledger(settings: Settings) -> None:
    """Create or upgrade the ledger of these settings (for `weaklink provision` and tests)."""

    async def run() -> None:
        database = Database(ledger_url(settings))
        try:
            await database.migrate()
        finally:
            await database.close()

    asyncio.run(run())


async def migrate_to(settings: Settings, revision: str | None) -> tuple[str | None, str | None]:
    """Migrate the ledger of these settings to this version's schema, or back to an older one; its revision before and after."""
    database = Database(ledger_url(settings))
    try:
        before = await database.revision()
        await (database.migrate() if revision is None else database.migrate_back(revision))
        return before, await database.revision()
    finally:
        await database.close()


def wall_us() -> int:
    """The wall clock."""
    return time.time_ns() // 1000


def _upgrade(connection: sa.Connection) -> None:
    command.upgrade(_alembic(connection), "head")


def _downgrade(connection: sa.Connection, revision: str) -> None:
    command.downgrade(_alembic(connection), revision)


def _alembic(connection: sa.Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _on_connect(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver begins no transactions of its own: _on_begin does
    cursor = connection.cursor()
    _use_write_ahead_log(cursor)
    # synchronous=FULL: an action must not be lost to a power cut after Kafka's offsets were committed.
    for pragma in ("synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _use_write_ahead_log(cursor: Any) -> None:
    """Waits for its turn: the first change of the journal's mode is refused at once while another connection has the file open."""
    deadline = time.monotonic() + _SQLITE_BUSY_SECONDS
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
        await_only(asyncio.sleep(_SQLITE_RETRY_SECONDS))


def _on_begin(connection: sa.Connection) -> None:
    # IMMEDIATE: a writer waits for its turn here, where the busy timeout holds, and not at its first write, where SQLite refuses at once.
    mode = "DEFERRED" if connection.get_execution_options().get(_READ_ONLY) else "IMMEDIATE"
    connection.exec_driver_sql(f"BEGIN {mode}")
